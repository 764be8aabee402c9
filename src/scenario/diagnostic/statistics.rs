//! The errors of how results are to be judged.

use super::{Diagnostic, Diagnostics};
use crate::scenario::expect::Problem;
use crate::scenario::source::Span;

impl Diagnostics {
    pub(crate) fn wrong_figure(&mut self, span: Span, problem: Problem) {
        let help = problem.help.unwrap_or_else(|| {
            "for example `precision: {p99(least_request): 2%}` or `precision: {p99: 2%}` for all variants".to_string()
        });
        let message = format!("this is no metric to be known well: {}", problem.message);
        self.push(Diagnostic::error("MS0110", message).at(span, "").help(help));
    }

    pub(crate) fn select_without_indifference(&mut self, span: Span) {
        self.push(
            Diagnostic::error(
                "MS0111",
                "the best variant is looked for, and nothing says which differences do not matter",
            )
            .at(span, "")
            .help("add `statistics: {indifference: 2%}`; with two variants that are equally good the search would never end"),
        );
    }
}
