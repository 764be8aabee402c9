//! YAML as a tree of nodes that know their places: what patches work on, before anything has a type.
//!
//! The events are `saphyr-parser`'s; the tree is ours, for its spans, its limits (depth, count of nodes with aliases
//! expanded) and its strictness (no duplicate keys, no complex keys, no foreign tags). Scalars stay text with a mark whether
//! they were quoted; [`Scalar::resolve`] reads them by YAML 1.2's core schema.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as YamlSpan, StrInput, Tag};

use super::diagnostic::Diagnostics;
use super::source::{Source, Span};

/// Collections within collections, aliases expanded. The passes behind this one may recurse so deep.
pub const DEPTH_MAX: usize = 128;
/// Nodes of one tree, aliases expanded: ten times what 1,000 services with 100 named endpoints each have.
pub const NODES_MAX: usize = 4_000_000;

/// A value and the best place to point at when something is wrong with it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it is: a scalar or a flow collection itself, a block collection's key or its first line.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// One piece of text.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file, without duplicate keys.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// Its value.
    pub value: Node,
}

/// A key with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The text, quotes removed.
    pub text: Box<str>,
    /// Where it stands.
    pub span: Span,
}

/// A scalar as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text, quotes removed.
    pub text: Box<str>,
    /// Whether it stood without quotes, so that `1` is a number and `~` is null.
    pub plain: bool,
}

/// What a scalar means under YAML 1.2's core schema.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resolved<'a> {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A negative whole number.
    Negative(i64),
    /// Any other number; may be infinite or NaN.
    Float(f64),
    /// Anything else.
    Text(&'a str),
}

impl Scalar {
    /// A scalar that reads as itself.
    pub fn plain(text: &str) -> Scalar {
        Scalar {
            text: text.into(),
            plain: true,
        }
    }

    /// What the scalar means (YAML 1.2.2, section 10.3.2).
    pub fn resolve(&self) -> Resolved<'_> {
        if !self.plain {
            return Resolved::Text(&self.text);
        }
        match &*self.text {
            "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
            "true" | "True" | "TRUE" => Resolved::Bool(true),
            "false" | "False" | "FALSE" => Resolved::Bool(false),
            ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
            text => number(text).unwrap_or(Resolved::Text(text)),
        }
    }
}

/// `-1`, `0x1F`, `0o17`, `1.5e3`, `.inf`; not Rust's `inf`, `NaN` or `1_000`.
fn number(text: &str) -> Option<Resolved<'static>> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        return Some(Resolved::Float(sign * f64::INFINITY));
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !unsigned.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Ok(number) = text.parse() {
            return Some(Resolved::Unsigned(number));
        }
        if let Ok(number) = text.parse() {
            return Some(Resolved::Negative(number));
        }
    }
    // Beyond 64 bits a whole number is a float; Rust's grammar is the core schema's once names and underscores are out.
    text.parse().ok().map(Resolved::Float)
}

fn radix(digits: &str, radix: u32) -> Option<Resolved<'static>> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some(u64::from_str_radix(digits, radix).map_or(Resolved::Float(f64::INFINITY), Resolved::Unsigned))
}

impl Node {
    /// Nothing, at `span`.
    pub fn null(span: Span) -> Node {
        Node {
            span,
            value: Value::Scalar(Scalar::plain("")),
        }
    }

    /// Whether it is a null scalar.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.resolve() == Resolved::Null)
    }

    /// The value under `key`, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| &*entry.key.text == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// How many nodes it is made of, itself included.
    pub fn count(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 1,
            Value::List(items) => 1 + items.iter().map(Node::count).sum::<usize>(),
            Value::Map(entries) => 1 + entries.iter().map(|entry| 1 + entry.value.count()).sum::<usize>(),
        }
    }

    /// How many collections are within each other, itself included.
    pub fn depth(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => 1 + items.iter().map(Node::depth).max().unwrap_or(0),
            Value::Map(entries) => 1 + entries.iter().map(|entry| entry.value.depth()).max().unwrap_or(0),
        }
    }
}

/// Reads one YAML document. `None` if there is none that could be worked with; the diagnostics say why.
pub(crate) fn parse(source: &Source, number: u32, diagnostics: &mut Diagnostics) -> Option<Node> {
    parse_part(source, number, 0, diagnostics)
}

/// Reads the part of `source` from byte `from` on, for values within arguments.
pub(crate) fn parse_part(source: &Source, number: u32, from: usize, diagnostics: &mut Diagnostics) -> Option<Node> {
    let text = &source.text()[from..];
    let whole = Span {
        source: number,
        start: from as u32,
        end: from as u32,
    };
    if let Some((at, character)) = text.char_indices().find(|&(at, c)| is_forbidden(c, &text[at..])) {
        let start = (from + at) as u32;
        diagnostics.control_character(
            Span {
                start,
                end: start + 1,
                ..whole
            },
            character,
        );
        return None;
    }
    let builder = Builder {
        diagnostics,
        text,
        places: Places::new(source, from),
        number,
        whole,
        stack: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        root: None,
    };
    builder.run()
}

/// What YAML does not allow in a text (section 5.1), and a `\r` that ends no line.
fn is_forbidden(c: char, rest: &str) -> bool {
    match c {
        '\t' | '\n' => false,
        '\r' => !rest.starts_with("\r\n"),
        _ => c.is_control() && c != '\u{85}',
    }
}

/// Turns the parser's lines and columns into bytes. Its own index mixes bytes and characters.
struct Places<'a> {
    source: &'a Source,
    first_line: usize,
    first_column: usize,
    /// The place found last: line, column and byte. The next is near it, so a long line is not walked again and again.
    last: (usize, usize, usize),
}

impl<'a> Places<'a> {
    fn new(source: &'a Source, from: usize) -> Places<'a> {
        let (line, column) = source.position(from);
        Places {
            source,
            first_line: line - 1,
            first_column: column - 1,
            last: (line - 1, column - 1, from),
        }
    }

    fn byte(&mut self, marker: Marker) -> u32 {
        let line = self.first_line + marker.line().saturating_sub(1);
        let column = marker.col() + if marker.line() <= 1 { self.first_column } else { 0 };
        let text = self.source.text();
        if self.last.0 != line {
            self.last = (line, 0, self.source.line_start(line));
        }
        let (_, mut at_column, mut byte) = self.last;
        while at_column < column {
            let Some(next) = text[byte..].chars().next().filter(|&c| c != '\n') else {
                break;
            };
            byte += next.len_utf8();
            at_column += 1;
        }
        while at_column > column {
            let Some(before) = text[..byte].chars().next_back() else {
                break;
            };
            byte -= before.len_utf8();
            at_column -= 1;
        }
        self.last = (line, at_column, byte);
        byte as u32
    }
}

/// A collection that is being read.
struct Frame {
    span: Span,
    anchor: usize,
    /// Whether it stands between brackets or braces.
    flow: bool,
    body: Body,
}

enum Body {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        seen: BTreeMap<Box<str>, Span>,
        key: Option<Key>,
        merged: Vec<Node>,
    },
}

/// What an anchor names.
struct Anchored {
    node: Node,
    count: usize,
    depth: usize,
}

/// Why reading stops; the reason has been reported.
struct Stop;

struct Builder<'a, 'd> {
    diagnostics: &'d mut Diagnostics,
    text: &'a str,
    places: Places<'a>,
    number: u32,
    whole: Span,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Anchored>,
    nodes: usize,
    root: Option<Node>,
}

impl<'a> Builder<'a, '_> {
    fn run(mut self) -> Option<Node> {
        let mut parser = Parser::new_from_str(self.text);
        self.read(&mut parser).ok()?;
        match self.root {
            Some(node) => Some(node),
            // A text without a document, such as an empty one, reads as null.
            None => Some(Node::null(self.whole)),
        }
    }

    fn read(&mut self, parser: &mut Parser<'a, StrInput<'a>>) -> Result<(), Stop> {
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let start = self.places.byte(*error.marker());
                    let end = start + 1;
                    match error.info() {
                        // The parser reads ahead, and has a limit of its own behind ours.
                        "recursion limit exceeded" => self.diagnostics.too_deep(self.span(start, end), DEPTH_MAX),
                        info => self.diagnostics.syntax(self.span(start, end), info),
                    }
                    return Err(Stop);
                }
            };
            if let Event::DocumentStart(_) = event {
                documents += 1;
                if documents > 1 {
                    let span = self.place(span);
                    self.diagnostics.several_documents(span);
                    return Err(Stop);
                }
            }
            self.event(event, span)?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'a>, at: YamlSpan) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let span = self.place(at);
                let plain = self.plain(style == ScalarStyle::Plain, tag.as_deref(), span)?;
                // An empty value is announced as `~` where there is no text.
                let text: Box<str> = if plain && at.is_empty() {
                    "".into()
                } else {
                    text.as_ref().into()
                };
                if self.wants_key() {
                    self.anchor(
                        anchor,
                        span,
                        &Value::Scalar(Scalar {
                            text: text.clone(),
                            plain,
                        }),
                    );
                    return self.key(Key { text, span });
                }
                let span = if at.is_empty() {
                    self.key_span().unwrap_or(span)
                } else {
                    span
                };
                let value = Value::Scalar(Scalar { text, plain });
                self.anchor(anchor, span, &value);
                self.add(Node { span, value })
            }
            Event::SequenceStart(anchor, tag) => self.open(at, anchor, tag.as_deref(), Body::List(Vec::new())),
            Event::MappingStart(anchor, tag) => {
                let body = Body::Map {
                    entries: Vec::new(),
                    seen: BTreeMap::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.open(at, anchor, tag.as_deref(), body)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(at),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => Ok(()),
        }
    }

    fn span(&self, start: u32, end: u32) -> Span {
        Span {
            source: self.number,
            start,
            end,
        }
    }

    fn place(&mut self, at: YamlSpan) -> Span {
        let start = self.places.byte(at.start);
        let end = self.places.byte(at.end).max(start);
        // Block scalars end at the start of the line behind them.
        let text = &self.places.source.text()[start as usize..end as usize];
        self.span(start, start + text.trim_end().len() as u32)
    }

    /// Whether a scalar counts as plain under its tag.
    fn plain(&mut self, plain: bool, tag: Option<&Tag>, span: Span) -> Result<bool, Stop> {
        let Some(tag) = tag else { return Ok(plain) };
        match (tag.is_yaml_core_schema(), tag.suffix.as_str()) {
            (true, "str") => Ok(false),
            (true, "int" | "float" | "bool" | "null") => Ok(plain),
            _ if tag.handle.is_empty() && tag.suffix == "!" => Ok(false),
            _ => {
                self.diagnostics.foreign_tag(span, &tag.to_string());
                Err(Stop)
            }
        }
    }

    fn wants_key(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Frame {
                body: Body::Map { key: None, .. },
                ..
            })
        )
    }

    fn key_span(&self) -> Option<Span> {
        match &self.stack.last()?.body {
            Body::Map { key, .. } => key.as_ref().map(|key| key.span),
            Body::List(_) => None,
        }
    }

    fn key(&mut self, new: Key) -> Result<(), Stop> {
        self.spend(1, new.span)?;
        let Some(Frame {
            body: Body::Map { key, seen, .. },
            ..
        }) = self.stack.last_mut()
        else {
            unreachable!("only a map wants a key")
        };
        match seen.get(&new.text) {
            Some(&first) => self.diagnostics.duplicate_key(new.span, first, &new.text),
            None => drop(seen.insert(new.text.clone(), new.span)),
        }
        *key = Some(new);
        Ok(())
    }

    fn spend(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            self.diagnostics.too_many_nodes(span, NODES_MAX);
            return Err(Stop);
        }
        Ok(())
    }

    fn anchor(&mut self, anchor: usize, span: Span, value: &Value) {
        if anchor > 0 {
            let node = Node {
                span,
                value: value.clone(),
            };
            let (count, depth) = (node.count(), node.depth());
            // The copy counts too.
            self.nodes += count;
            self.anchors.insert(anchor, Anchored { node, count, depth });
        }
    }

    fn open(&mut self, at: YamlSpan, anchor: usize, tag: Option<&Tag>, body: Body) -> Result<(), Stop> {
        let span = self.place(at);
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && matches!(tag.suffix.as_str(), "map" | "seq"))
        {
            self.diagnostics.foreign_tag(span, &tag.to_string());
            return Err(Stop);
        }
        if self.wants_key() {
            self.diagnostics.complex_key(span);
            return Err(Stop);
        }
        if self.stack.len() >= DEPTH_MAX {
            self.diagnostics.too_deep(span, DEPTH_MAX);
            return Err(Stop);
        }
        self.spend(1, span)?;
        let bracket = if matches!(body, Body::List(_)) { '[' } else { '{' };
        let flow = self.places.source.text()[span.start as usize..].starts_with(bracket);
        self.stack.push(Frame {
            span,
            anchor,
            flow,
            body,
        });
        Ok(())
    }

    fn close(&mut self, at: YamlSpan) -> Result<(), Stop> {
        let end = self.place(at);
        let frame = self.stack.pop().expect("the parser closes what it opened");
        let value = match frame.body {
            Body::List(items) => Value::List(items),
            Body::Map { entries, merged, .. } => Value::Map(self.merge(entries, merged)?),
        };
        let span = match frame.flow {
            true => frame.span.to(end),
            false => self.key_span().unwrap_or_else(|| self.first_line(frame.span)),
        };
        self.anchor(frame.anchor, span, &value);
        self.add(Node { span, value })
    }

    fn first_line(&self, span: Span) -> Span {
        let source = self.places.source;
        let start = span.start as usize;
        let line = &source.text()[start..source.line_start(source.line_of(start) + 1)];
        let line = line.split(" #").next().unwrap_or(line);
        self.span(span.start, span.start + line.trim_end().len() as u32)
    }

    /// Adds what `<<` brings: entries of the map itself win, then those of earlier maps (yaml.org/type/merge.html).
    fn merge(&mut self, mut entries: Vec<Entry>, merged: Vec<Node>) -> Result<Vec<Entry>, Stop> {
        if merged.is_empty() {
            return Ok(entries);
        }
        let mut seen: BTreeMap<Box<str>, ()> = entries.iter().map(|entry| (entry.key.text.clone(), ())).collect();
        for node in merged {
            let maps = match node.value {
                Value::List(items) => items,
                value => vec![Node { value, ..node }],
            };
            for map in maps {
                let Value::Map(others) = map.value else {
                    self.diagnostics.merge_needs_map(map.span);
                    return Err(Stop);
                };
                let new = others
                    .into_iter()
                    .filter(|other| seen.insert(other.key.text.clone(), ()).is_none());
                entries.extend(new);
            }
        }
        Ok(entries)
    }

    fn alias(&mut self, anchor: usize, at: YamlSpan) -> Result<(), Stop> {
        let span = self.place(at);
        let Some(anchored) = self.anchors.get(&anchor) else {
            self.diagnostics.recursive_alias(span);
            return Err(Stop);
        };
        let (count, depth) = (anchored.count, anchored.depth);
        if self.stack.len() + depth > DEPTH_MAX {
            self.diagnostics.too_deep(span, DEPTH_MAX);
            return Err(Stop);
        }
        self.spend(count, span)?;
        let node = self.anchors[&anchor].node.clone();
        if !self.wants_key() {
            return self.add(node);
        }
        match node.value {
            Value::Scalar(scalar) => self.key(Key { text: scalar.text, span }),
            _ => {
                self.diagnostics.complex_key(span);
                Err(Stop)
            }
        }
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Node) -> Result<(), Stop> {
        self.spend(1, node.span)?;
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.body {
            Body::List(items) => items.push(node),
            Body::Map {
                entries,
                key,
                merged,
                seen,
            } => {
                let key = key.take().expect("a value comes behind its key");
                let is_first = seen.get(&key.text) == Some(&key.span);
                match &*key.text {
                    _ if !is_first => {}
                    "<<" => merged.push(node),
                    _ => entries.push(Entry { key, value: node }),
                }
            }
        }
        Ok(())
    }
}
