//! How the variants differ.

use crate::experiment::compare::{self, Comparison, Judge, Metric, Subject, Verdict};
use crate::experiment::fold::QUANTILE_NAMES;
use crate::experiment::{Outcome, Scenario, ranking};
use crate::measure::confidence;
use crate::report::format;
use crate::report::summarize::figures::Figures;
use crate::report::summary::{ComparisonSummary, RankSummary, RankingSummary, Summary, Value};

pub(super) fn comparisons(scenario: &Scenario, outcome: &Outcome, by: Figures) -> Vec<ComparisonSummary> {
    let pairs = scenario.variants.iter().zip(&outcome.variants);
    let subjects = pairs.map(|(variant, result)| Subject {
        clients: &variant.names.clients,
        result,
    });
    let judge = Judge {
        by: by.by,
        indifference: scenario.statistics.indifference,
    };
    let compared = compare::compare(&subjects.collect::<Vec<_>>(), judge);
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
        correlation: known(comparison.correlation, "one of the two does not vary over the replications"),
        variance_saved_ratio: known(comparison.variance_saved, "neither of the two varies over the replications"),
        p_value: known(comparison.p_value, "the differences do not vary over the replications"),
        verdict: verdict.to_string(),
        statement: statement(comparison, scenario.statistics.indifference),
        no_difference_above: comparison.no_difference_above,
        replications_needed: comparison.replications_needed,
    }
}

fn known(figure: Option<f64>, nothing: &str) -> Value {
    figure.map_or_else(|| Value::missing(nothing), Value::exact)
}

/// What can be said of `a`, in words.
fn statement(comparison: &Comparison, indifference: Option<f64>) -> String {
    let more = comparison.replications_needed;
    let about = |more: u64| format!("about {more} more replication{}", if more == 1 { "" } else { "s" });
    let higher_is_better = comparison.metric == Metric::Availability;
    match (comparison.verdict, more) {
        (Verdict::Lower, _) => if higher_is_better { "worse" } else { "better" }.to_string(),
        (Verdict::Higher, _) => if higher_is_better { "better" } else { "worse" }.to_string(),
        (Verdict::NoDifference, more) => {
            let bound = match (indifference, comparison.no_difference_above) {
                (Some(share), _) => format!("{} %", format::digits(share * 100.0, 2)),
                (None, Some(0.0)) | (None, None) => return "no difference".to_string(),
                (None, Some(above)) if higher_is_better => format!("{} points", format::digits(above * 100.0, 2)),
                (None, Some(above)) => format::seconds(above),
            };
            match more {
                Some(more) if indifference.is_none() => format!("no difference above {bound} ({} would tell more)", about(more)),
                _ => format!("no difference above {bound}"),
            }
        }
        (Verdict::Undecided, Some(more)) => format!("undecided: {}", about(more)),
        (Verdict::Undecided, None) if comparison.difference.interval.is_none() => "undecided: one replication".to_string(),
        (Verdict::Undecided, None) => "undecided: very many more replications".to_string(),
    }
}

/// A correlation below this widens intervals by more than a few percent.
const CORRELATION_MIN: f64 = -0.1;
/// Pairs named in a warning.
const NAMED_MAX: usize = 3;

/// Warns where common random numbers did harm: in what answers are given by, the mean latency and the 99th percentile of the main client.
/// Ten replications correlate by -0.3 for no reason in one of five cases, so only what chance does not explain is a warning; all correlations
/// are in the summary.
pub(super) fn backfired(summary: &Summary) -> Option<String> {
    let client = summary.main_client()?;
    let metrics = ["mean", "p99"].map(|name| format!("{client}.latency_seconds.{name}"));
    let tested: Vec<(&ComparisonSummary, f64)> = summary
        .comparisons
        .iter()
        .filter(|c| metrics.contains(&c.metric))
        .filter_map(|c| Some((c, c.correlation.value?)))
        .collect();
    let harmful = |&(c, correlation): &(&ComparisonSummary, f64)| {
        let n = c.difference.n.unwrap_or(0);
        let p_value = confidence::negative_correlation_p_value(correlation, n);
        let is_chance = p_value.is_none_or(|p| p * tested.len() as f64 > 1.0 - summary.confidence.level);
        correlation < CORRELATION_MIN && !is_chance
    };
    let found: Vec<(&ComparisonSummary, f64)> = tested.iter().copied().filter(harmful).collect();
    let shown: Vec<String> = found
        .iter()
        .take(NAMED_MAX)
        .map(|(c, correlation)| format!("{} and {} in {} ({correlation:.2})", c.a, c.b, format::metric(&c.metric)))
        .collect();
    let more = match found.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!found.is_empty()).then(|| {
        format!(
            "common random numbers backfired: negative correlation of {}{more}, so that intervals of their differences are wider than those of \
             independent runs; more --replications make up for it",
            shown.join(", ")
        )
    })
}

/// The order of the variants by each figure that is compared, where all variants have it.
pub(super) fn rankings(summary: &Summary) -> Vec<RankingSummary> {
    let mut metrics: Vec<&str> = Vec::new();
    for comparison in &summary.comparisons {
        if !metrics.contains(&comparison.metric.as_str()) {
            metrics.push(&comparison.metric);
        }
    }
    metrics.into_iter().filter_map(|metric| ranking(summary, metric)).collect()
}

fn ranking(summary: &Summary, metric: &str) -> Option<RankingSummary> {
    let names: Vec<&str> = summary.variants.iter().map(|variant| variant.name.as_str()).collect();
    let figures: Vec<f64> = summary
        .variants
        .iter()
        .map(|variant| variant.figure(metric)?.value)
        .collect::<Option<_>>()?;
    let of_pair = |a: usize, b: usize| {
        let is_it = |c: &&ComparisonSummary| c.metric == metric && c.a == names[a] && c.b == names[b];
        summary.comparisons.iter().find(is_it)
    };
    let separated = |a: usize, b: usize| {
        let found = of_pair(a, b).or_else(|| of_pair(b, a));
        found.is_some_and(|found| matches!(found.verdict.as_str(), "lower" | "higher"))
    };
    let lower_is_better = !metric.ends_with("availability_ratio");
    let ranks = ranking::rank(&figures, lower_is_better, separated);
    Some(RankingSummary {
        metric: metric.to_string(),
        variants: ranks
            .into_iter()
            .map(|rank| RankSummary {
                variant: names[rank.variant].to_string(),
                rank: [rank.best, rank.worst],
                group: rank.groups,
            })
            .collect(),
    })
}
