//! Paired comparisons of variants under common random numbers.
//!
//! Replication r of every variant sees the same traffic and the same work, so what is compared is the difference within
//! each replication. The intervals of one metric hold for all pairs of variants at once (Bonferroni): with c pairs each
//! has a confidence of 1 - 0.05 / c. Verdicts follow from these intervals; p-values are given with Holm's correction. Nothing is ever
//! ranked by point estimates.

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
    /// The share of the variance of independent runs that the common random numbers saved.
    pub variance_saved: Option<f64>,
    /// How likely such differences would be if there were none, corrected for all pairs of this metric by Holm.
    pub p_value: Option<f64>,
    /// What can be said.
    pub verdict: Verdict,
    /// Where no difference can be told: differences beyond this are excluded. In the unit of the metric.
    pub no_difference_above: Option<f64>,
    /// How many replications more would tell, about, where the interval is too wide and they are not very many.
    pub replications_needed: Option<u64>,
}

/// How pairs are judged.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    /// Makes the intervals.
    pub by: Estimator,
    /// Differences up to this share of the figure (of failures, where the metric is availability) do not matter.
    pub indifference: Option<f64>,
}

/// What an interval of differences says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `a` is lower.
    Lower,
    /// `a` is higher.
    Higher,
    /// The interval contains zero; or, where there is a zone of indifference, it lies within that.
    NoDifference,
    /// There is no interval; or it contains zero and reaches beyond the zone of indifference.
    Undecided,
}

impl Verdict {
    /// Whether one of the two is better.
    pub fn separates(self) -> bool {
        matches!(self, Verdict::Lower | Verdict::Higher)
    }
}

/// Further replications are told only up to so many times those there are: beyond that the estimate is worth nothing.
const NEEDED_FACTOR_MAX: f64 = 100.0;

/// The confidence of one of `pairs` intervals that shall hold together with [`confidence::LEVEL`].
pub fn simultaneous_level(pairs: usize) -> f64 {
    1.0 - (1.0 - confidence::LEVEL) / pairs.max(1) as f64
}

/// Compares every variant with every earlier one, for each client that both have.
pub fn compare(subjects: &[Subject<'_>], judge: Judge) -> Vec<Comparison> {
    let level = simultaneous_level(subjects.len() * subjects.len().saturating_sub(1) / 2);
    let judge = Judge {
        by: judge.by.at(level),
        ..judge
    };
    let mut comparisons = Vec::new();
    for (a, of_a) in subjects.iter().enumerate() {
        for (b, of_b) in subjects.iter().enumerate().take(a) {
            for (client, name) in of_a.clients.iter().enumerate() {
                let Some(other) = of_b.clients.iter().position(|other| other == name) else {
                    continue;
                };
                let folds = (&of_a.result.clients[client], &of_b.result.clients[other]);
                let of_metric = |metric| {
                    let comparison = judge.pair(metric, folds.0, folds.1)?;
                    Some(Comparison {
                        client,
                        a,
                        b,
                        ..comparison
                    })
                };
                comparisons.extend(metrics().filter_map(of_metric));
            }
        }
    }
    correct(&mut comparisons, subjects);
    comparisons
}

/// Corrects the p-values of each metric of each client for the number of pairs.
fn correct(comparisons: &mut [Comparison], subjects: &[Subject<'_>]) {
    let family = |comparison: &Comparison| (&subjects[comparison.a].clients[comparison.client], comparison.metric);
    let mut done = vec![false; comparisons.len()];
    for first in 0..comparisons.len() {
        let same = |index: &usize| !done[*index] && family(&comparisons[*index]) == family(&comparisons[first]);
        let members: Vec<usize> = (first..comparisons.len()).filter(same).collect();
        let known: Vec<(usize, f64)> = members
            .iter()
            .filter_map(|&index| Some((index, comparisons[index].p_value?)))
            .collect();
        let corrected = confidence::holm(&known.iter().map(|&(_, p)| p).collect::<Vec<_>>());
        for (&(index, _), p) in known.iter().zip(corrected) {
            comparisons[index].p_value = Some(p);
        }
        members.iter().for_each(|&index| done[index] = true);
    }
}

fn metrics() -> impl Iterator<Item = Metric> {
    let quantiles = (0..QUANTILES.len()).map(Metric::Quantile);
    [Metric::Availability, Metric::MeanLatency].into_iter().chain(quantiles)
}

impl Judge {
    /// Compares one metric; the variants and the client are left to be filled in.
    fn pair(&self, metric: Metric, a: &ClientFold, b: &ClientFold) -> Option<Comparison> {
        let (of_a, of_b) = (of_each(metric, a)?, of_each(metric, b)?);
        let difference = self.by.paired_difference(&of_a, &of_b)?;
        // What shares are taken of: of availability the failures.
        let (scale_a, scale_b) = match metric {
            Metric::Availability => (failure_shares(&of_a), failure_shares(&of_b)),
            Metric::MeanLatency | Metric::Quantile(_) => (of_a.clone(), of_b.clone()),
        };
        let sum: f64 = scale_a.iter().chain(&scale_b).sum();
        let zone = self
            .indifference
            .map(|share| share * sum / (scale_a.len() + scale_b.len()) as f64);
        let verdict = verdict(&difference, zone);
        let told = difference.interval.filter(|_| verdict == Verdict::NoDifference);
        Some(Comparison {
            client: 0,
            metric,
            a: 0,
            b: 0,
            difference,
            ratio: self.by.paired_ratio(&scale_a, &scale_b),
            correlation: confidence::correlation(&of_a, &of_b),
            variance_saved: confidence::variance_saved(&of_a, &of_b),
            p_value: confidence::p_value(&of_a, &of_b),
            verdict,
            no_difference_above: told.map(|interval| zone.unwrap_or_else(|| interval.low.abs().max(interval.high.abs()))),
            replications_needed: if verdict.separates() {
                None
            } else {
                needed(&difference, zone)
            },
        })
    }
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

fn verdict(difference: &Estimate, zone: Option<f64>) -> Verdict {
    let Some(interval) = difference.interval else {
        return Verdict::Undecided;
    };
    match zone {
        Some(zone) if -zone <= interval.low && interval.high <= zone => Verdict::NoDifference,
        _ if interval.high < 0.0 => Verdict::Lower,
        _ if interval.low > 0.0 => Verdict::Higher,
        Some(_) => Verdict::Undecided,
        None => Verdict::NoDifference,
    }
}

/// How many replications more would tell: the half-width falls with the root of their number, and is narrow enough when the interval about
/// the difference seen leaves out zero, or lies within the zone.
fn needed(difference: &Estimate, zone: Option<f64>) -> Option<u64> {
    let half = difference.interval?.half_width();
    let distance = difference.value.abs();
    let wanted = distance.max(zone.map_or(0.0, |zone| zone - distance));
    let factor = (half / wanted) * (half / wanted);
    let more = ((factor - 1.0) * difference.n as f64).ceil();
    (wanted > 0.0 && more > 0.0 && factor <= NEEDED_FACTOR_MAX).then_some(more as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Interval;
    use crate::measure::confidence::Method;

    fn estimate(value: f64, half: f64) -> Estimate {
        Estimate {
            value,
            interval: Some(Interval {
                low: value - half,
                high: value + half,
            }),
            n: 10,
            method: Method::PairedT,
        }
    }

    #[test]
    fn verdicts_follow_from_the_interval_and_the_zone() {
        let cases = [
            (5.0, 1.0, None, Verdict::Higher),
            (-5.0, 1.0, None, Verdict::Lower),
            (0.5, 1.0, None, Verdict::NoDifference),
            (5.0, 1.0, Some(2.0), Verdict::Higher),
            // Certainly different, and certainly by less than matters.
            (1.0, 0.5, Some(2.0), Verdict::NoDifference),
            (0.5, 1.0, Some(2.0), Verdict::NoDifference),
            // Neither is known.
            (0.5, 3.0, Some(2.0), Verdict::Undecided),
            // Certainly different; by how much that matters is open.
            (2.0, 1.5, Some(2.0), Verdict::Higher),
        ];
        for (value, half, zone, expected) in cases {
            assert_eq!(verdict(&estimate(value, half), zone), expected, "{value} ± {half}, {zone:?}");
        }
        let unknown = Estimate {
            interval: None,
            ..estimate(1.0, 1.0)
        };
        assert_eq!(verdict(&unknown, None), Verdict::Undecided);
    }

    #[test]
    fn replications_needed_follow_from_the_half_width() {
        // Half of the width tells from zero: four times as many, thirty more.
        assert_eq!(needed(&estimate(1.0, 2.0), None), Some(30));
        // Or half of it lies within the zone of 2.
        assert_eq!(needed(&estimate(1.0, 2.0), Some(2.0)), Some(30));
        assert_eq!(needed(&estimate(0.5, 3.0), Some(2.0)), Some(30));
        assert_eq!(needed(&estimate(0.0, 2.0), None), None);
        assert_eq!(needed(&estimate(0.01, 2.0), None), None);
    }
}
