//! How the variants differ.

use crate::experiment::compare::{self, Comparison, Metric, Subject, Verdict};
use crate::experiment::fold::QUANTILE_NAMES;
use crate::experiment::{Outcome, Scenario};
use crate::report::summarize::figures::Figures;
use crate::report::summary::{ComparisonSummary, Value};

pub(super) fn comparisons(scenario: &Scenario, outcome: &Outcome, by: Figures) -> Vec<ComparisonSummary> {
    let pairs = scenario.variants.iter().zip(&outcome.variants);
    let subjects = pairs.map(|(variant, result)| Subject {
        clients: &variant.names.clients,
        result,
    });
    let compared = compare::compare(&subjects.collect::<Vec<_>>(), by.by);
    compared
        .iter()
        .map(|comparison| of_comparison(comparison, scenario))
        .collect()
}

fn of_comparison(comparison: &Comparison, scenario: &Scenario) -> ComparisonSummary {
    let (a, b) = (&scenario.variants[comparison.a], &scenario.variants[comparison.b]);
    let figure = match comparison.metric {
        Metric::Availability => "availability_ratio".to_string(),
        Metric::MeanLatency => "latency_seconds.mean".to_string(),
        Metric::Quantile(index) => format!("latency_seconds.{}", QUANTILE_NAMES[index]),
    };
    let verdict = match comparison.verdict {
        Verdict::Lower => "lower",
        Verdict::Higher => "higher",
        Verdict::NoDifference => "no difference",
        Verdict::Undecided => "undecided",
    };
    ComparisonSummary {
        metric: format!("{}.{figure}", a.names.clients[comparison.client]),
        a: a.name.clone(),
        b: b.name.clone(),
        difference: Value::divided(&comparison.difference, 1.0),
        ratio: Value::of(comparison.ratio, "a replication has the value zero"),
        correlation: match comparison.correlation {
            Some(correlation) => Value::exact(correlation),
            None => Value::missing("one of the two does not vary over the replications"),
        },
        verdict: verdict.to_string(),
    }
}
