//! The wording: one constructor per error, so that a code is met once here and a call site states only the fact.
//!
//! Codes are grouped by pass: MS000x files, MS001x YAML, MS002x decoding, MS003x patches, MS004x and MS005x names, MS006x values
//! and times, MS007x size. A code keeps its meaning for ever; a new error takes a new one.

use super::{Diagnostic, Diagnostics, nearest};
use crate::scenario::source::Span;

/// Longer values are cut in messages.
const SHOWN_MAX: usize = 60;

/// `text` in backticks, cut to a length that one can read.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("`{}…`", &text[..at]),
        None => format!("`{text}`"),
    }
}

/// `there is one with a similar name`, if there is.
fn similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|meant| format!("did you mean `{meant}`?"))
}

/// All of a few names in one line.
fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "none".to_string(),
        1..=40 => names.join(", "),
        n => format!("{}, … ({n} in all)", names[..40].join(", ")),
    }
}

/// The nearest name, or all there are.
fn similar_or_list<'a>(name: &str, known: &[&'a str], what: &str) -> String {
    similar(name, known.iter().copied()).unwrap_or_else(|| format!("{what}: {}", list(known.iter().copied())))
}

/// Files.
impl Diagnostics {
    pub(crate) fn cannot_read(&mut self, name: &str, error: &std::io::Error) {
        let problem = Diagnostic::error("MS0001", format!("cannot read {}: {error}", quote(name)));
        self.push(problem);
    }

    pub(crate) fn text_too_large(&mut self, name: &str, limit: usize) {
        let message = format!("{} is larger than {} MiB", quote(name), limit >> 20);
        let problem = Diagnostic::error("MS0002", message);
        self.push(
            problem.help("`replicas: N` makes many endpoints of one line; long lists of values go into files of their own"),
        );
    }

    pub(crate) fn not_utf8(&mut self, name: &str, valid: usize) {
        let message = format!("{} is not UTF-8: the byte at offset {valid} begins no character", quote(name));
        self.push(Diagnostic::error("MS0003", message));
    }

    pub(crate) fn control_character(&mut self, span: Span, character: char) {
        let message = format!("a control character (U+{:04X}) is not allowed in YAML", u32::from(character));
        self.push(Diagnostic::error("MS0004", message).at(span, "here"));
    }
}

/// YAML.
impl Diagnostics {
    pub(crate) fn syntax(&mut self, span: Span, info: &str) {
        let source = self.source(span);
        let line = source.line_of(span.start as usize);
        let text = &source.text()[source.line_start(line)..source.line_start(line + 1)];
        let indented_by_tab = text.trim_start_matches(' ').starts_with('\t');
        let problem = Diagnostic::error("MS0010", format!("this is not YAML: {info}")).at(span, "here");
        self.push(problem.maybe_help(indented_by_tab.then(|| "indent by spaces: YAML allows no tabs there".to_string())));
    }

    pub(crate) fn several_documents(&mut self, span: Span) {
        let problem = Diagnostic::error("MS0011", "a file holds one scenario, but a second YAML document begins");
        self.push(
            problem
                .at(span, "here")
                .help("put it into a file of its own, or make it a variant"),
        );
    }

    pub(crate) fn too_deep(&mut self, span: Span, limit: usize) {
        let message = format!("nested too deeply: more than {limit} levels");
        self.push(Diagnostic::error("MS0013", message).at(span, "this is one level too many"));
    }

    pub(crate) fn too_many_nodes(&mut self, span: Span, limit: usize) {
        let message = format!("too large: more than {limit} values, aliases written out");
        self.push(Diagnostic::error("MS0014", message).at(span, "reading stopped here"));
    }

    pub(crate) fn duplicate_key(&mut self, span: Span, first: Span, key: &str) {
        let problem = Diagnostic::error("MS0015", format!("the key {} is there twice", quote(key)));
        self.push(problem.at(span, "again here").at(first, "first here"));
    }

    pub(crate) fn complex_key(&mut self, span: Span) {
        let problem = Diagnostic::error("MS0016", "a key must be plain text, not a list or a map");
        self.push(problem.at(span, "this is used as a key"));
    }

    pub(crate) fn foreign_tag(&mut self, span: Span, tag: &str) {
        let problem = Diagnostic::error("MS0017", format!("the tag {} means nothing here", quote(tag)));
        self.push(problem.at(span, "").help("remove the tag"));
    }

    pub(crate) fn recursive_alias(&mut self, span: Span) {
        let problem = Diagnostic::error("MS0018", "an alias within the value that it stands for");
        self.push(problem.at(span, "this would go on for ever"));
    }

    pub(crate) fn merge_needs_map(&mut self, span: Span) {
        let problem = Diagnostic::error("MS0019", "`<<` merges maps, and this is none");
        self.push(problem.at(span, "expected a map, or an alias of one"));
    }
}
