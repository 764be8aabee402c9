//! What is wrong with a scenario: every problem with its place, its code and its remedy.
//!
//! Passes push into one [`Diagnostics`] and go on, so that all problems are reported at once. The wording is in
//! `messages.rs`, one constructor per error; the shapes on paper are in `render.rs`.

mod expectations;
mod faults;
mod messages;
mod nearest;
mod render;
mod statistics;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::source::{Source, Sources, Span};

pub use render::annotation;

pub(crate) use messages::{Size, quote};
pub(crate) use nearest::nearest;

/// More problems than anyone reads; the rest are only counted.
const KEPT_MAX: usize = 200;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// It runs, but probably not as meant.
    Warning,
}

/// A place with a remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is to be said of it; may be empty.
    pub text: String,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable: `MS0012` means the same in every version.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, as a lowercase fragment.
    pub message: String,
    /// Where; empty for what concerns a file as a whole. The first is where the problem is, others belong to it.
    pub labels: Vec<Label>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// What to do.
    pub helps: Vec<String>,
    /// The variants that have the problem; empty if all have.
    pub variants: Vec<String>,
}

impl Diagnostic {
    /// An error whose place is told by [`Diagnostic::at`].
    pub(crate) fn error(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            helps: Vec::new(),
            variants: Vec::new(),
        }
    }

    /// A warning whose place is told by [`Diagnostic::at`].
    pub(crate) fn warning(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(code, message)
        }
    }

    /// Adds a place.
    #[must_use]
    pub(crate) fn at(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Adds a line of help.
    #[must_use]
    pub(crate) fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.helps.push(text.into());
        self
    }

    /// Adds a remark.
    #[must_use]
    pub(crate) fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }
}

/// All problems of one load, and the texts that they point into.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    sources: Sources,
    items: Vec<Diagnostic>,
    /// Where the problem with this place, code and message is in `items`: variants repeat each other's.
    seen: BTreeMap<(Option<Span>, &'static str, String), usize>,
    dropped: usize,
    variant: Option<String>,
    point: Option<Box<str>>,
}

impl Diagnostics {
    /// None so far.
    pub fn new() -> Diagnostics {
        Diagnostics::default()
    }

    /// None so far, of texts that are known.
    pub(crate) fn about(sources: Sources) -> Diagnostics {
        Diagnostics {
            sources,
            ..Diagnostics::default()
        }
    }

    /// The texts that problems point into.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The problems in the order in which they were found (by place, once the load is over).
    pub fn items(&self) -> &[Diagnostic] {
        &self.items
    }

    /// Whether anything forbids running.
    pub fn has_errors(&self) -> bool {
        self.dropped > 0 || self.items.iter().any(|item| item.severity == Severity::Error)
    }

    /// Whether there is a problem with something within `span`.
    pub(crate) fn has_within(&self, span: Span) -> bool {
        let places = self
            .items
            .iter()
            .filter_map(|item| item.labels.first())
            .map(|label| label.span);
        places
            .into_iter()
            .any(|place| place.source == span.source && place.start >= span.start && place.end <= span.end)
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds a source and gives the number that spans name it by.
    pub(crate) fn add_source(&mut self, source: Arc<Source>) -> u32 {
        self.sources.add(source)
    }

    /// The source that `span` points into.
    pub(crate) fn source(&self, span: Span) -> &Source {
        self.sources.get(span)
    }

    /// What is pushed from here on is found in this variant.
    pub(crate) fn enter_variant(&mut self, name: &str) {
        self.variant = Some(name.to_string());
    }

    /// What is pushed from here on is of all variants.
    pub(crate) fn leave_variant(&mut self) {
        self.variant = None;
    }

    /// What is pushed from here on is found at this point of a grid.
    pub(crate) fn enter_point(&mut self, name: &str) {
        self.point = Some(name.into());
    }

    /// Adds a problem, unless it is known; then it is noted that one more variant has it.
    pub(crate) fn push(&mut self, problem: Diagnostic) {
        self.push_with(problem, || None);
    }

    /// As [`Diagnostics::push`], with a line of help that is not worked out in vain: looking for similar names takes time.
    pub(crate) fn push_with(&mut self, mut problem: Diagnostic, help: impl FnOnce() -> Option<String>) {
        let place = problem.labels.first().map(|label| label.span);
        let key = (place, problem.code, problem.message.clone());
        if let Some(&at) = self.seen.get(&key) {
            let variants = &mut self.items[at].variants;
            variants.extend(self.variant.clone().filter(|variant| !variants.contains(variant)));
            return;
        }
        if self.items.len() >= KEPT_MAX {
            self.dropped += usize::from(problem.severity == Severity::Error);
            return;
        }
        problem.helps.extend(help());
        let point = self.point.iter().map(|point| format!("at the grid's point `{point}`"));
        problem.notes.extend(point);
        problem.variants.extend(self.variant.clone());
        self.seen.insert(key, self.items.len());
        self.items.push(problem);
    }

    /// Ends a load over `variants` variants: problems that all of them have are not theirs, and all are put in the order of the text.
    pub(crate) fn finish(&mut self, variants: usize) {
        for item in &mut self.items {
            if item.variants.len() >= variants {
                item.variants.clear();
            }
        }
        self.seen.clear();
        self.variant = None;
        self.point = None;
        let place = |item: &Diagnostic| item.labels.first().map(|label| label.span);
        self.items.sort_by_key(|item| (item.severity, place(item)));
    }
}
