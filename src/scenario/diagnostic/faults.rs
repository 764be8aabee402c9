//! The errors that only faults have.

use super::messages::{quote, similar_or_list};
use super::{Diagnostic, Diagnostics};
use crate::scenario::source::Span;

/// Names that faults use.
impl Diagnostics {
    pub(crate) fn unknown_client<'a>(&mut self, span: Span, name: &str, known: impl IntoIterator<Item = &'a str>) {
        let problem = Diagnostic::error("MS0090", format!("there is no client {}", quote(name)));
        self.push_with(problem.at(span, ""), || similar_or_list(name, known, "the clients are"));
    }

    pub(crate) fn unknown_node(&mut self, span: Span, name: &str, known: &[&str]) {
        let problem = Diagnostic::error("MS0091", format!("no endpoint is on a node {}", quote(name)));
        self.push_with(problem.at(span, ""), || match known {
            [] => Some("give endpoints a `node`: `endpoints: [{node: n1}, {node: n2}]`".to_string()),
            _ => similar_or_list(name, known.iter().copied(), "the nodes are"),
        });
    }

    /// `known` are the names of the faults before.
    pub(crate) fn unknown_fault(&mut self, span: Span, name: &str, known: &[&str]) {
        let problem = Diagnostic::error("MS0092", format!("no fault before this one is called {}", quote(name)));
        self.push_with(problem.at(span, ""), || match known {
            [] => Some("give the earlier fault a `name`, or write `previous` for the one before".to_string()),
            _ => similar_or_list(name, known.iter().copied(), "the faults before are"),
        });
    }

    pub(crate) fn no_end_before(&mut self, span: Span) {
        let problem = Diagnostic::error("MS0093", "the fault that this one comes after has no end that is known");
        self.push(
            problem
                .at(span, "")
                .help("give that fault a `for`; random faults and those that repeat for ever have no last end"),
        );
    }
}
