//! Replications until figures are known well enough, or the best variant is found.
//!
//! Decisions are taken after each whole replication, in their order, on those folded so far: a parallel run may be ahead of them, and what it
//! has computed too much is dropped. So results do not depend on the number of threads.

use crate::experiment::expect::{Lookup, Missing};
use crate::experiment::fold::{LatencyFold, QUANTILES};
use crate::experiment::{Outcome, Scenario, estimator};
use crate::measure::Interval;
use crate::measure::confidence::{Estimate, Estimator, LEVEL};
use crate::measure::selection::{Best, Kn};
use crate::scenario::expect::{Metric, MetricOf, ScopeKind, find};
use crate::scenario::statistics::{Target, with_variant};

/// Replications before which no interval is trusted to say that it is narrow: with fewer, runs stop by luck.
pub const REPLICATIONS_MIN: u32 = 10;

/// What was asked for, and what came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reached {
    /// Each figure that was to be known well.
    pub targets: Vec<TargetReached>,
    /// What the search for the best variant came to.
    pub selection: Option<Selection>,
    /// Replications of each variant.
    pub replications: u32,
    /// The most there might have been.
    pub max_replications: u32,
}

/// How well a figure is known.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetReached {
    /// The figure: `p99(least_request)`.
    pub text: String,
    /// Half the width of the interval that was asked for, as a share of the figure.
    pub wanted: f64,
    /// That reached; `None` where the figure is not known at all.
    pub relative: Option<f64>,
    /// Whether that is well enough: half the width is at most wanted / (1 + wanted) of the estimate, so at most `wanted` of the truth.
    pub met: bool,
    /// Why it is not known.
    pub reason: Option<String>,
}

/// The best variant by a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The metric.
    pub text: String,
    /// The zone of indifference in the unit of the metric.
    pub zone: f64,
    /// The variant that is best, or as good as the best but for the zone; the best so far where it was not found.
    pub best: usize,
    /// Whether it was found within the replications allowed.
    pub found: bool,
    /// The replications after which each variant was out of it, by variant; `None` for those never out.
    pub left_after: Vec<Option<u32>>,
}

/// Watches an experiment as it grows.
pub(super) struct Watcher<'a> {
    scenario: &'a Scenario,
    by: Estimator,
    kn: Option<Search>,
}

struct Search {
    metric: MetricOf,
    /// Made once the first stage is over.
    kn: Option<Kn>,
    zone: f64,
    left_after: Vec<Option<u32>>,
}

impl<'a> Watcher<'a> {
    /// `None` where the number of replications is fixed.
    pub fn of(scenario: &'a Scenario) -> Option<Watcher<'a>> {
        let statistics = &scenario.statistics;
        let select = statistics.select.as_ref().filter(|_| scenario.variants.len() > 1);
        (!statistics.precision.is_empty() || select.is_some()).then(|| Watcher {
            scenario,
            by: estimator(scenario),
            kn: select.map(|metric| Search {
                metric: metric.clone(),
                kn: None,
                zone: 0.0,
                left_after: vec![None; scenario.variants.len()],
            }),
        })
    }

    /// Before so many replications nothing is decided.
    pub fn first(&self) -> u32 {
        let first = self.scenario.replications.max(REPLICATIONS_MIN);
        first.min(self.last())
    }

    /// There are never more than so many.
    pub fn last(&self) -> u32 {
        self.scenario.statistics.max_replications.max(self.scenario.replications)
    }

    /// Whether all is known that was asked for, with the replications folded so far: to be asked after each of them from the first stage on.
    pub fn is_satisfied(&mut self, outcome: &Outcome) -> bool {
        let all_met = self.targets(outcome).iter().all(|target| target.met);
        let replications = outcome.replications();
        let first = self.first();
        let found = match &mut self.kn {
            Some(search) => search.step(self.scenario, outcome, first, replications),
            None => true,
        };
        all_met && found
    }

    /// How many replications there will be in all, about: half-widths fall with the root of their number.
    pub fn replications_expected(&self, outcome: &Outcome) -> u32 {
        let open = self.targets(outcome).into_iter().filter(|target| !target.met);
        let factors = open.map(|target| {
            let wanted = target.wanted / (1.0 + target.wanted);
            target
                .relative
                .map_or(f64::INFINITY, |relative| (relative / wanted) * (relative / wanted))
        });
        let so_far = outcome.replications();
        let expected = f64::from(so_far) * factors.fold(1.0, f64::max);
        // A float that is too large becomes the largest number.
        (expected.ceil() as u32).clamp(so_far + 1, self.last().max(so_far + 1))
    }

    fn targets(&self, outcome: &Outcome) -> Vec<TargetReached> {
        let targets = self.scenario.statistics.precision.iter();
        targets
            .map(|target| reached(self.scenario, outcome, target, self.by))
            .collect()
    }

    /// What came of it.
    pub fn report(self, outcome: &Outcome) -> Reached {
        Reached {
            targets: self.targets(outcome),
            replications: outcome.replications(),
            max_replications: self.last(),
            selection: self.kn.map(|search| search.report(self.scenario, outcome)),
        }
    }
}

fn reached(scenario: &Scenario, outcome: &Outcome, target: &Target, by: Estimator) -> TargetReached {
    let estimate = estimate(scenario, outcome, &target.metric, by);
    let relative = estimate.as_ref().ok().and_then(relative_half_width);
    TargetReached {
        text: target.text.clone(),
        wanted: target.relative,
        relative,
        met: relative.is_some_and(|relative| relative <= target.relative / (1.0 + target.relative)),
        reason: estimate.err(),
    }
}

/// Half the width of the interval over the figure; none of a figure that is zero and varies.
fn relative_half_width(estimate: &Estimate) -> Option<f64> {
    let half = estimate.interval?.half_width();
    let relative = if half == 0.0 { 0.0 } else { half / estimate.value.abs() };
    relative.is_finite().then_some(relative)
}

/// A figure with the interval that the summary gives it.
fn estimate(scenario: &Scenario, outcome: &Outcome, of: &MetricOf, by: Estimator) -> Result<Estimate, String> {
    let each = values(scenario, outcome, of)?;
    let mean = || by.mean(&each).ok_or_else(|| "there are no replications".to_string());
    match (of.metric, latency(scenario, outcome, of)) {
        (Metric::Mean, Some(fold)) => by.ratio(&fold.totals).map(in_seconds).map_or_else(mean, Ok),
        (Metric::Quantile(index), Some(fold)) => {
            let pooled = fold.pooled.quantile_buckets(QUANTILES)[index];
            pooled.map_or_else(mean, |bucket| {
                let nanos: Vec<f64> = each.iter().map(|seconds| seconds * 1e9).collect();
                Ok(in_seconds(by.sectioning(
                    fold.pooled.midpoint(bucket),
                    bucket.half_width(),
                    &nanos,
                )))
            })
        }
        _ => mean(),
    }
}

fn in_seconds(nanos: Estimate) -> Estimate {
    Estimate {
        value: nanos.value / 1e9,
        interval: nanos.interval.map(|interval| Interval {
            low: interval.low / 1e9,
            high: interval.high / 1e9,
        }),
        ..nanos
    }
}

/// A metric in each replication.
fn values(scenario: &Scenario, outcome: &Outcome, of: &MetricOf) -> Result<Vec<f64>, String> {
    let lookup = Lookup {
        scenario,
        outcome,
        variant: None,
    };
    lookup.each(of).map_err(|missing| match missing {
        Missing::NotRun(reason) | Missing::Data(reason, _) => reason,
    })
}

/// The latencies behind a metric.
fn latency<'o>(scenario: &Scenario, outcome: &'o Outcome, of: &MetricOf) -> Option<&'o LatencyFold> {
    let known: Vec<&str> = scenario.variants.iter().map(|variant| variant.name.as_str()).collect();
    let meaning = of.meaning(&known).ok()?;
    let index = match &meaning.variant {
        Some(name) => known.iter().position(|other| other == name)?,
        None => 0,
    };
    let (variant, result) = (&scenario.variants[index], &outcome.variants[index]);
    let (kind, at) = find(&variant.names, &variant.plan, meaning.scope.as_ref()).ok()?;
    let window = match &meaning.window {
        Some(window) => Some(&result.windows[variant.windows.iter().position(|other| other == window)?]),
        None => None,
    };
    Some(match kind {
        ScopeKind::Client => &window.map_or(&result.clients, |window| &window.clients)[at].latency,
        ScopeKind::Service => &window.map_or(&result.services, |window| &window.services)[at].latency,
        ScopeKind::Edge => &window.map_or(&result.edges, |window| &window.edges)[at].latency,
        ScopeKind::Endpoint => return None,
    })
}

impl Search {
    /// The metric of each variant by replication, the better the larger; `None` where one has none.
    fn scores(&self, scenario: &Scenario, outcome: &Outcome) -> Option<Vec<Vec<f64>>> {
        let sign = if higher_is_better(self.metric.metric) { 1.0 } else { -1.0 };
        let of = |name: &str| {
            let each = values(scenario, outcome, &with_variant(&self.metric, name, false)).ok()?;
            Some(each.into_iter().map(|value| sign * value).collect())
        };
        scenario.variants.iter().map(|variant| of(&variant.name)).collect()
    }

    /// Takes the next replication; whether one is left.
    fn step(&mut self, scenario: &Scenario, outcome: &Outcome, first: u32, replications: u32) -> bool {
        let Some(scores) = self.scores(scenario, outcome) else {
            return false;
        };
        if self.kn.is_none() {
            let share = scenario.statistics.indifference.unwrap_or(0.0);
            self.zone = share * scale(self.metric.metric, &scores);
            if self.zone <= 0.0 {
                return false;
            }
            self.kn = Some(Kn::new(&scores, first as usize, self.zone, 1.0 - LEVEL));
        }
        let kn = self.kn.as_mut().expect("it has just been made");
        let outcome = kn.step(&scores);
        for (variant, left) in self.left_after.iter_mut().enumerate() {
            if left.is_none() && !kn.survives(variant) {
                *left = Some(replications);
            }
        }
        outcome != Best::Open
    }

    fn report(self, scenario: &Scenario, outcome: &Outcome) -> Selection {
        let scores = self.scores(scenario, outcome).unwrap_or_default();
        let kn = self.kn.as_ref();
        let survives = |variant: usize| kn.is_none_or(|kn| kn.survives(variant));
        let mean = |variant: usize| {
            scores
                .get(variant)
                .map_or(0.0, |each| each.iter().sum::<f64>() / each.len() as f64)
        };
        let best = (0..scenario.variants.len())
            .filter(|&variant| survives(variant))
            .max_by(|&a, &b| mean(a).total_cmp(&mean(b)).then(b.cmp(&a)));
        Selection {
            text: self.metric.metric.name().to_string(),
            zone: self.zone,
            best: best.unwrap_or(0),
            found: kn.is_some_and(|kn| kn.best() != Best::Open),
            left_after: self.left_after,
        }
    }
}

/// What the zone of indifference is a share of: the mean share of failures where it is availability, else the figure of the best.
fn scale(metric: Metric, scores: &[Vec<f64>]) -> f64 {
    let mean = |each: &Vec<f64>| each.iter().sum::<f64>() / each.len() as f64;
    match metric {
        Metric::Availability => scores.iter().map(|each| 1.0 - mean(each)).sum::<f64>() / scores.len() as f64,
        _ => scores.iter().map(mean).fold(f64::NEG_INFINITY, f64::max).abs(),
    }
}

/// Whether more of it is better: most of what is measured is time, failures or effort.
fn higher_is_better(metric: Metric) -> bool {
    matches!(metric, Metric::Availability)
}
