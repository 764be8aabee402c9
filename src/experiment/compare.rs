//! Paired comparisons of variants under common random numbers.
//!
//! Replication r of every variant sees the same traffic and the same work, so what is compared is the difference within
//! each replication. The intervals of one metric hold for all pairs of variants at once (Bonferroni): with c pairs each
//! has a confidence of 1 - 0.05 / c. Nothing is ever ranked by point estimates.

use crate::experiment::fold::{ClientFold, QUANTILES, VariantResult};
use crate::measure::confidence::{self, Estimate, Estimator};

/// What of a client is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The share of requests that succeeded.
    Availability,
    /// The mean latency of successes, in seconds.
    MeanLatency,
    /// One of the [`QUANTILES`] of the latency of successes, in seconds.
    Quantile(usize),
}

/// A variant as far as comparing needs it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The names of its clients.
    pub clients: &'a [String],
    /// Its results.
    pub result: &'a VariantResult,
}

/// How variant `a` differs from variant `b` in one metric of one client.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The client, by its index in `a`.
    pub client: usize,
    /// What is compared.
    pub metric: Metric,
    /// The one compared: the later in the file.
    pub a: usize,
    /// The one it is compared with.
    pub b: usize,
    /// `a - b`; for a quantile the mean difference of the quantiles of single replications.
    pub difference: Estimate,
    /// `a / b` of the latencies, or of the shares of failures; `None` where one of them is zero.
    pub ratio: Option<Estimate>,
    /// Correlation of the two over replications: what the common random numbers achieved.
    pub correlation: Option<f64>,
    /// What can be said.
    pub verdict: Verdict,
}

/// What an interval of differences says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `a` is lower.
    Lower,
    /// `a` is higher.
    Higher,
    /// The interval contains zero.
    NoDifference,
    /// There is no interval.
    Undecided,
}

/// The confidence of one of `pairs` intervals that shall hold together with [`confidence::LEVEL`].
pub fn simultaneous_level(pairs: usize) -> f64 {
    1.0 - (1.0 - confidence::LEVEL) / pairs.max(1) as f64
}

/// Compares every variant with every earlier one, for each client that both have.
pub fn compare(subjects: &[Subject<'_>], by: Estimator) -> Vec<Comparison> {
    let level = simultaneous_level(subjects.len() * subjects.len().saturating_sub(1) / 2);
    let mut comparisons = Vec::new();
    for (a, of_a) in subjects.iter().enumerate() {
        for (b, of_b) in subjects.iter().enumerate().take(a) {
            for (client, name) in of_a.clients.iter().enumerate() {
                let Some(other) = of_b.clients.iter().position(|other| other == name) else {
                    continue;
                };
                let folds = (&of_a.result.clients[client], &of_b.result.clients[other]);
                let of_metric = |metric| {
                    let (difference, ratio, correlation) = pair(metric, folds.0, folds.1, by.at(level))?;
                    Some(Comparison {
                        client,
                        metric,
                        a,
                        b,
                        difference,
                        ratio,
                        correlation,
                        verdict: verdict(&difference),
                    })
                };
                comparisons.extend(metrics().filter_map(of_metric));
            }
        }
    }
    comparisons
}

fn metrics() -> impl Iterator<Item = Metric> {
    let quantiles = (0..QUANTILES.len()).map(Metric::Quantile);
    [Metric::Availability, Metric::MeanLatency].into_iter().chain(quantiles)
}

type Pair = (Estimate, Option<Estimate>, Option<f64>);

fn pair(metric: Metric, a: &ClientFold, b: &ClientFold, by: Estimator) -> Option<Pair> {
    let (of_a, of_b) = (of_each(metric, a)?, of_each(metric, b)?);
    let difference = by.paired_difference(&of_a, &of_b)?;
    let ratio = match metric {
        Metric::Availability => by.paired_ratio(&failure_shares(&of_a), &failure_shares(&of_b)),
        Metric::MeanLatency | Metric::Quantile(_) => by.paired_ratio(&of_a, &of_b),
    };
    Some((difference, ratio, confidence::correlation(&of_a, &of_b)))
}

fn failure_shares(availabilities: &[f64]) -> Vec<f64> {
    availabilities.iter().map(|availability| 1.0 - availability).collect()
}

/// The metric of each replication; `None` where one has no values, or too few for a quantile.
fn of_each(metric: Metric, client: &ClientFold) -> Option<Vec<f64>> {
    let seconds = |nanos: Vec<f64>| nanos.into_iter().map(|nanos| nanos / 1e9).collect();
    match metric {
        Metric::Availability => client.availabilities(),
        Metric::MeanLatency => client.latency.means().map(seconds),
        Metric::Quantile(index) if client.latency.values_missing(index).is_some() => None,
        Metric::Quantile(index) => client.latency.quantile_of_each(index).map(seconds),
    }
}

fn verdict(difference: &Estimate) -> Verdict {
    match difference.interval {
        None => Verdict::Undecided,
        Some(interval) if interval.high < 0.0 => Verdict::Lower,
        Some(interval) if interval.low > 0.0 => Verdict::Higher,
        Some(_) => Verdict::NoDifference,
    }
}
