//! Problems on paper: rustc's shape for people, JSON for programs, annotations for GitHub Actions.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Diagnostic, Diagnostics, Label, Severity};
use crate::scenario::expect::Place;
use crate::scenario::source::{Source, SourceKind};

/// Problems that are written out; the rest are counted in one line.
const SHOWN_MAX: usize = 100;
/// A line longer than this is not shown, only named.
const LINE_MAX: usize = 2000;
/// Labels further apart than this many lines are shown as two pieces of text.
const LINES_APART_MAX: usize = 200;

impl Diagnostics {
    /// All problems in rustc's shape, with a last line that counts them; empty if there are none.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for item in self.items.iter().take(SHOWN_MAX) {
            out.push_str(&renderer.render(&self.report(item)));
            out.push_str("\n\n");
        }
        let left_out = self.items.len().saturating_sub(SHOWN_MAX) + self.dropped;
        if left_out > 0 {
            out.push_str(&format!("… and {left_out} more\n\n"));
        }
        if let Some(last) = self.count_line() {
            out.push_str(&renderer.render(&[Group::with_title(last)]));
            out.push('\n');
        }
        out
    }

    fn count_line(&self) -> Option<annotate_snippets::Title<'static>> {
        let errors = self.count(Severity::Error) + self.dropped;
        let warnings = self.count(Severity::Warning);
        let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let text = match (errors, warnings) {
            (0, 0) => return None,
            (0, _) => return Some(Level::WARNING.primary_title(plural(warnings, "warning"))),
            (_, 0) => plural(errors, "problem"),
            _ => format!("{}, {}", plural(errors, "problem"), plural(warnings, "warning")),
        };
        Some(Level::ERROR.primary_title(text))
    }

    fn count(&self, severity: Severity) -> usize {
        self.items.iter().filter(|item| item.severity == severity).count()
    }

    fn report<'a>(&'a self, item: &'a Diagnostic) -> Vec<Group<'a>> {
        let level = match item.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(&*item.message).id(item.code));
        for piece in self.pieces(&item.labels) {
            group = match self.snippet(&piece) {
                Some(snippet) => group.element(snippet),
                None => group.element(self.origin(piece[0].1)),
            };
        }
        if !item.variants.is_empty() {
            let names: Vec<String> = item.variants.iter().map(|name| format!("`{name}`")).collect();
            let plural = if names.len() == 1 { "" } else { "s" };
            group = group.element(Level::NOTE.message(format!("in variant{plural} {}", names.join(", "))));
        }
        for note in &item.notes {
            group = group.element(Level::NOTE.message(clean(note)));
        }
        for help in &item.helps {
            group = group.element(Level::HELP.message(clean(help)));
        }
        vec![group]
    }

    /// Labels that can be shown in one piece of text, the first label being the primary one.
    fn pieces<'a>(&self, labels: &'a [Label]) -> Vec<Vec<(AnnotationKind, &'a Label)>> {
        let mut pieces: Vec<Vec<(AnnotationKind, &Label)>> = Vec::new();
        for (index, label) in labels.iter().enumerate() {
            let kind = if index == 0 {
                AnnotationKind::Primary
            } else {
                AnnotationKind::Context
            };
            let near = pieces.iter_mut().find(|piece| {
                piece[0].1.span.source == label.span.source && self.line(label).abs_diff(self.line(piece[0].1)) <= LINES_APART_MAX
            });
            match near {
                Some(piece) => piece.push((kind, label)),
                None => pieces.push(vec![(kind, label)]),
            }
        }
        pieces
    }

    fn line(&self, label: &Label) -> usize {
        self.source(label.span).line_of(label.span.start as usize)
    }

    /// The lines that the labels are on; `None` if they are too long to be shown.
    fn snippet<'a>(&'a self, labels: &[(AnnotationKind, &'a Label)]) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
        let source = self.source(labels[0].1.span);
        let lines = labels.iter().map(|(_, label)| self.line(label));
        let first = lines.clone().min()?;
        let last = lines.max()?;
        let (start, end) = (source.line_start(first), source.line_start(last + 1));
        let text = source.text().get(start..end)?;
        if text.split('\n').any(|line| line.len() > LINE_MAX) {
            return None;
        }
        let mut snippet = Snippet::source(text).line_start(first + 1).path(source.name());
        for (kind, label) in labels {
            let (from, to) = place_on_one_line(source, label);
            let annotation = kind.span(from - start..to - start);
            snippet = snippet.annotation(match label.text.is_empty() {
                true => annotation,
                false => annotation.label(clean(&label.text)),
            });
        }
        Some(snippet)
    }

    fn origin<'a>(&'a self, label: &Label) -> Origin<'a> {
        let source = self.source(label.span);
        let (line, column) = source.position(label.span.start as usize);
        Origin::path(source.name()).line(line).char_column(column)
    }

    /// The problems as a JSON array: `code`, `severity`, `message`, `file`, `line`, `column`, `end_column` (from 1; `null` without a
    /// place), `labels`, `notes`, `help`, `variants`.
    pub fn to_json(&self) -> serde_json::Value {
        self.items.iter().map(|item| self.item_json(item)).collect()
    }

    fn item_json(&self, item: &Diagnostic) -> serde_json::Value {
        let place = |label: &Label| {
            let source = self.source(label.span);
            let (from, to) = place_on_one_line(source, label);
            let ((line, column), (_, end)) = (source.position(from), source.position(to));
            serde_json::json!({"file": source.name(), "line": line, "column": column, "end_column": end, "text": label.text})
        };
        let first = item.labels.first().map(&place).unwrap_or_default();
        let field = |key: &str| first.get(key).cloned().unwrap_or_default();
        serde_json::json!({
            "code": item.code,
            "severity": severity_word(item.severity),
            "message": item.message,
            "file": field("file"),
            "line": field("line"),
            "column": field("column"),
            "end_column": field("end_column"),
            "labels": item.labels.iter().map(&place).collect::<Vec<_>>(),
            "notes": item.notes,
            "help": item.helps,
            "variants": item.variants,
        })
    }

    /// One workflow command per problem, which GitHub Actions shows beside the line.
    pub fn render_github(&self) -> String {
        let of = |item: &Diagnostic| {
            let label = item.labels.first();
            let place = label.map(|label| (self.source(label.span), label));
            let place = place
                .filter(|(source, _)| source.kind() == SourceKind::File)
                .map(|(source, label)| {
                    let (from, to) = place_on_one_line(source, label);
                    let ((line, column), (_, end_column)) = (source.position(from), source.position(to));
                    let place = Place {
                        line,
                        column,
                        end_column,
                    };
                    (source.name(), Some(place))
                });
            let message: Vec<&str> = [&item.message]
                .into_iter()
                .chain(&item.notes)
                .chain(&item.helps)
                .map(String::as_str)
                .collect();
            annotation(severity_word(item.severity), item.code, place, &message.join("\n"))
        };
        self.items.iter().map(of).collect()
    }
}

/// A workflow command of GitHub Actions: `level` is `error`, `warning` or `notice`; the place is a file, perhaps with a part of a line.
pub fn annotation(level: &str, title: &str, place: Option<(&str, Option<Place>)>, message: &str) -> String {
    let mut properties = Vec::new();
    if let Some((file, _)) = place {
        properties.push(format!("file={}", escape_property(file)));
    }
    properties.push(format!("title={}", escape_property(title)));
    if let Some((_, Some(place))) = place {
        properties.push(format!(
            "line={},col={},endColumn={}",
            place.line, place.column, place.end_column
        ));
    }
    format!("::{level} {}::{}\n", properties.join(","), escape_data(message))
}

/// A label as a range of bytes that does not leave its first line and is not empty, unless the text is.
fn place_on_one_line(source: &Source, label: &Label) -> (usize, usize) {
    let start = source.floor_boundary(label.span.start as usize);
    let line_end = source.line_start(source.line_of(start) + 1);
    let line = source.text()[start..line_end].trim_end_matches(['\n', '\r']);
    let end = source
        .floor_boundary(label.span.end as usize)
        .clamp(start, start + line.len());
    if end > start {
        return (start, end);
    }
    let width = line.chars().next().map_or(0, char::len_utf8);
    (start, start + width)
}

/// Text of a user's file without what a terminal would take as a command.
fn clean(text: &str) -> String {
    annotate_snippets::normalize_untrusted_str(text)
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}
