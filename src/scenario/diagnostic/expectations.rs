//! What is wrong with `expect` and `baseline`: the wording is that of the language itself, and the place is within a line.

use std::ops::Range;

use super::{Diagnostic, Diagnostics};
use crate::scenario::expect;
use crate::scenario::source::{SourceKind, Span};

impl Diagnostics {
    pub(crate) fn wrong_expectation(&mut self, span: Span, text: &str, problem: expect::Problem) {
        let error = Diagnostic::error("MS0066", format!("this is no expectation: {}", problem.message));
        let help = problem.help.unwrap_or_else(|| {
            "for example `p99(least_request) < 0.9 * p99(round_robin)` or `availability(base) > 99.9%`".to_string()
        });
        self.push(error.at(self.within(span, text, &problem.at), "").help(help));
    }

    /// Of `baseline`: a metric that is none.
    pub(crate) fn wrong_metric(&mut self, span: Span, text: &str, problem: expect::Problem) {
        let error = Diagnostic::error(
            "MS0068",
            format!("this cannot be compared with a baseline: {}", problem.message),
        );
        let mut error = error.at(self.within(span, text, &problem.at), "");
        error.helps.extend(problem.help);
        self.push(error);
    }

    /// What probably is not meant so.
    pub(crate) fn odd_expectation(&mut self, span: Span, text: &str, remark: expect::Problem) {
        let mut warning = Diagnostic::warning("MS0067", remark.message).at(self.within(span, text, &remark.at), "");
        warning.helps.extend(remark.help);
        self.push(warning);
    }

    /// The part of a scalar's span that a part of its text has, where the text stands in the file as it is.
    fn within(&self, span: Span, text: &str, part: &Range<usize>) -> Span {
        let written = self.source(span).text().get(span.start as usize..span.end as usize);
        let Some(offset) = written.and_then(|written| written.find(text)).filter(|_| !text.is_empty()) else {
            return span;
        };
        let first = span.start + offset as u32;
        // What is missing at the end is shown at the last character.
        let last_char = text.char_indices().next_back().map_or(0, |(at, _)| at);
        let start = part.start.min(last_char);
        Span {
            source: span.source,
            start: first + start as u32,
            end: first + part.end.clamp(start, text.len()) as u32,
        }
    }

    /// Where something is in the scenario's file; `None` if it is an argument's.
    pub(crate) fn place(&self, span: Span) -> Option<expect::Place> {
        let source = self.source(span);
        (source.kind() == SourceKind::File).then(|| {
            let (line, column) = source.position(span.start as usize);
            let (last_line, end_column) = source.position(span.end as usize);
            expect::Place {
                line,
                column,
                end_column: if last_line == line { end_column } else { column + 1 },
            }
        })
    }
}
