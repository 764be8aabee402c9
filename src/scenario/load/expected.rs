//! What a scenario is held against: its `expect` and its `baseline`.

use super::Loader;
use crate::scenario::expect::{self, Expectation};
use crate::scenario::source::Span;
use crate::scenario::{Baseline, schema};

impl Loader<'_> {
    /// Reads `expect`. Of a variant that is left out this time nothing can be said but that it exists.
    pub(super) fn expectations(&mut self, lines: &[(String, Span)]) -> Vec<Expectation> {
        let known: Vec<&str> = self.all_variants.iter().map(String::as_str).collect();
        let mut expectations = Vec::new();
        for (text, span) in lines {
            match Expectation::parse_with_remarks(text) {
                Ok((expectation, remarks)) => {
                    for problem in expect::check(&expectation, &self.variants, &known) {
                        self.diagnostics.wrong_expectation(*span, text, problem);
                    }
                    for remark in remarks {
                        self.diagnostics.odd_expectation(*span, text, remark);
                    }
                    let place = self.diagnostics.place(*span);
                    expectations.push(Expectation { place, ..expectation });
                }
                Err(problem) => self.diagnostics.wrong_expectation(*span, text, problem),
            }
        }
        expectations
    }

    /// Reads `baseline`.
    pub(super) fn baseline(&mut self, written: &schema::baseline::Baseline) -> Baseline {
        let known: Vec<&str> = self.all_variants.iter().map(String::as_str).collect();
        let mut baseline = Baseline {
            tolerance: written.tolerance.as_ref().map(|field| field.checked().value()),
            ..Baseline::default()
        };
        for (name, share) in written.tolerances.iter().flat_map(|field| field.checked().iter()) {
            match expect::metric_named(&name.text) {
                Ok(metric) => baseline.tolerances.push((metric, share.checked().value())),
                Err(problem) => self.diagnostics.wrong_metric(name.span, &name.text, problem),
            }
        }
        for field in written.metrics.iter().flat_map(|field| field.checked()) {
            let text = field.checked();
            let read = expect::baseline_metric(text, &self.variants, &known);
            match read {
                Ok(metric) => baseline.metrics.push(metric),
                Err(problem) => self.diagnostics.wrong_metric(field.span, text, problem),
            }
        }
        baseline
    }
}
