//! Patches on trees: variants and `--set`. Nothing here knows the schema, but for the places where a map is a choice.
//!
//! A patch is merged as RFC 7396 does it: maps are merged, other values replaced, `null` removes a key. The new nodes keep
//! their own spans, so that an error points at the variant or the argument that caused it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::diagnostic::Diagnostics;
use super::parse;
use super::source::{Source, Span};
use super::tree::{DEPTH_MAX, Entry, Key, Node, Resolved, Scalar, Value};

/// Where a map holds one key, the name of a policy, distribution or process: another name replaces it instead of coming beside it.
/// `*` stands for any key.
const CHOICES: &[&[&str]] = &[
    &["mesh", "balancer"],
    &["mesh", "discovery"],
    &["topology", "network", "same_zone"],
    &["topology", "network", "cross_zone"],
    &["topology", "services", "*", "mesh", "balancer"],
    &["topology", "services", "*", "mesh", "discovery"],
    &["clients", "*", "arrivals"],
    &["clients", "*", "arrivals", "closed", "think"],
    &["clients", "*", "arrivals", "renewal", "gap"],
    &["clients", "*", "key"],
    &["clients", "*", "request_size"],
    &["clients", "*", "response_size"],
];

fn is_choice(path: &[&str]) -> bool {
    CHOICES.iter().any(|choice| {
        choice.len() == path.len()
            && choice
                .iter()
                .zip(path)
                .all(|(pattern, key)| *pattern == "*" || pattern == key)
    })
}

/// Merges `patch` into `base`.
pub(crate) fn merge(base: &mut Node, patch: &Node) {
    merge_at(&mut Vec::new(), base, patch);
}

fn merge_at<'a>(path: &mut Vec<&'a str>, base: &mut Node, patch: &'a Node) {
    let Value::Map(changes) = &patch.value else {
        *base = patch.clone();
        return;
    };
    let is_other_choice = is_choice(path) && changes.iter().all(|change| base.get(&change.key.text).is_none());
    if !matches!(base.value, Value::Map(_)) || is_other_choice {
        *base = Node {
            span: patch.span,
            value: Value::Map(Vec::new()),
        };
    }
    let Value::Map(entries) = &mut base.value else {
        unreachable!("it has just been made a map")
    };
    merge_entries(path, entries, changes);
}

fn merge_entries<'a>(path: &mut Vec<&'a str>, entries: &mut Vec<Entry>, changes: &'a [Entry]) {
    let places: BTreeMap<Box<str>, usize> = (0..).zip(&*entries).map(|(at, entry)| (entry.key.text.clone(), at)).collect();
    let mut removed = vec![false; entries.len()];
    for change in changes {
        let place = places.get(&change.key.text).copied();
        if change.value.is_null() {
            if let Some(at) = place {
                removed[at] = true;
            }
            continue;
        }
        path.push(&change.key.text);
        match place {
            Some(at) => merge_at(path, &mut entries[at].value, &change.value),
            None => {
                let mut value = Node::null(change.value.span);
                merge_at(path, &mut value, &change.value);
                entries.push(Entry {
                    key: change.key.clone(),
                    value,
                });
            }
        }
        path.pop();
    }
    removed.resize(entries.len(), false);
    let mut removed = removed.into_iter();
    entries.retain(|_| removed.next() == Some(false));
}

/// One `--set path=value`.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    path: Vec<Key>,
    value: Node,
}

impl Set {
    /// Reads an argument; `option` is what the user typed before it. `None` if it is wrong, which the diagnostics say.
    pub(crate) fn parse(option: &str, path: &str, value: &str, diagnostics: &mut Diagnostics) -> Option<Set> {
        let source = Arc::new(Source::argument(option, format!("{path}={value}")));
        let number = diagnostics.add_source(Arc::clone(&source));
        let whole = Span {
            source: number,
            start: 0,
            end: path.len() as u32,
        };
        let path = match segments(path, number) {
            Ok(path) => path,
            Err(problem) => {
                diagnostics.bad_path(whole, problem);
                return None;
            }
        };
        let value = parse::parse_part(&source, number, whole.end as usize + 1, diagnostics)?;
        if path.len() + value.depth() > DEPTH_MAX {
            diagnostics.too_deep(whole, DEPTH_MAX);
            return None;
        }
        Some(Set { path, value })
    }

    /// What a grid sets: the path stands at `place`. `None` if it is wrong, which the diagnostics say.
    pub(crate) fn of_grid(path: &str, place: Span, value: Node, diagnostics: &mut Diagnostics) -> Option<Set> {
        match segments(path, place.source) {
            Ok(path) if path.len() + value.depth() > DEPTH_MAX => diagnostics.too_deep(place, DEPTH_MAX),
            Ok(path) => {
                let path = path.into_iter().map(|key| Key { span: place, ..key }).collect();
                return Some(Set { path, value });
            }
            Err(problem) => diagnostics.bad_path(place, problem),
        }
        None
    }

    /// Whether its path begins with `key`: `variants` and `sweep` are no part of what variants patch.
    pub(crate) fn is_about(&self, key: &str) -> bool {
        &*self.path[0].text == key
    }

    /// Puts the value where the path leads. Maps on the way are made where there are none.
    pub(crate) fn apply(&self, root: &mut Node, diagnostics: &mut Diagnostics) {
        self.apply_at(0, root, diagnostics);
    }

    fn apply_at(&self, depth: usize, node: &mut Node, diagnostics: &mut Diagnostics) {
        let Some(key) = self.path.get(depth) else {
            *node = self.value.clone();
            return;
        };
        if let Value::List(items) = &mut node.value {
            return self.apply_to_item(depth, key, items, diagnostics);
        }
        if !self.make_map(depth, key, node, diagnostics) {
            return;
        }
        let Value::Map(entries) = &mut node.value else {
            unreachable!("it has just been made a map")
        };
        let place = entries.iter().position(|entry| entry.key.text == key.text);
        let is_removal = depth + 1 == self.path.len() && self.value.is_null();
        match place {
            Some(at) if is_removal => drop(entries.remove(at)),
            Some(at) => self.apply_at(depth + 1, &mut entries[at].value, diagnostics),
            None if is_removal => {}
            None => {
                let mut value = Node::null(key.span);
                self.apply_at(depth + 1, &mut value, diagnostics);
                entries.push(Entry { key: key.clone(), value });
            }
        }
    }

    /// Makes `node` a map that `key` may be looked up in; false if it is a value that holds nothing.
    fn make_map(&self, depth: usize, key: &Key, node: &mut Node, diagnostics: &mut Diagnostics) -> bool {
        let path: Vec<&str> = self.path[..depth].iter().map(|key| &*key.text).collect();
        let is_choice = is_choice(&path);
        let entries = match &node.value {
            Value::Map(_) if !is_choice || node.get(&key.text).is_some() => return true,
            // A bare name stands for one with no options; another name takes its place.
            Value::Scalar(Scalar { text, .. }) if *text == key.text => vec![Entry {
                key: key.clone(),
                value: Node::null(key.span),
            }],
            Value::Scalar(scalar) if scalar.resolve() != Resolved::Null && !is_choice => {
                diagnostics.path_enters_scalar(key.span, &key.text, &scalar.text);
                return false;
            }
            _ => Vec::new(),
        };
        *node = Node {
            span: key.span,
            value: Value::Map(entries),
        };
        true
    }

    fn apply_to_item(&self, depth: usize, key: &Key, items: &mut Vec<Node>, diagnostics: &mut Diagnostics) {
        let name = |item: &Node| item.get("name").and_then(|name| name.text().map(str::to_string));
        let by_name = items.iter().position(|item| name(item).as_deref() == Some(&*key.text));
        let by_number = key.text.parse().ok().filter(|&at: &usize| at < items.len());
        let Some(at) = by_name.or(by_number) else {
            let names: Vec<String> = items.iter().filter_map(name).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            diagnostics.no_such_item(key.span, &key.text, &names, items.len());
            return;
        };
        if depth + 1 == self.path.len() && self.value.is_null() {
            items.remove(at);
        } else {
            self.apply_at(depth + 1, &mut items[at], diagnostics);
        }
    }
}

/// Cuts `a.b[0]."c.d"` into its keys.
fn segments(path: &str, source: u32) -> Result<Vec<Key>, &'static str> {
    let mut keys = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let rest = &path[at..];
        let (from, length, skip) = if let Some(quoted) = rest.strip_prefix('"') {
            (1, quoted.find('"').ok_or("a quote is not closed")?, 1)
        } else if let Some(number) = rest.strip_prefix('[') {
            (1, number.find(']').ok_or("a bracket is not closed")?, 1)
        } else {
            (0, rest.find(['.', '[']).unwrap_or(rest.len()), 0)
        };
        if length == 0 {
            return Err("a part of it is empty");
        }
        let start = (at + from) as u32;
        keys.push(Key {
            text: path[at + from..at + from + length].into(),
            span: Span {
                source,
                start,
                end: start + length as u32,
            },
        });
        at += from + length + skip;
        match path[at..].chars().next() {
            Some('.') if at + 1 == path.len() => return Err("it ends with a dot"),
            Some('.') => at += 1,
            Some('[') | None => {}
            Some(_) => return Err("a dot is missing"),
        }
    }
    if keys.is_empty() { Err("it is empty") } else { Ok(keys) }
}
