//! Single figures: a point, its interval, and why there is none.

use crate::experiment::fold::{ClientFold, LatencyFold, QUANTILE_NAMES, QUANTILES};
use crate::experiment::{self, Scenario};
use crate::measure::confidence::{self, Estimator};
use crate::report::Named;
use crate::report::summary::Value;

pub(super) const NO_REQUESTS: &str = "no requests";
const NO_SUCCESS: &str = "no values";
const NOTHING: &str = "nothing was measured";

/// Makes figures the way a scenario asks for.
#[derive(Clone, Copy)]
pub(super) struct Figures {
    /// Makes their intervals.
    pub by: Estimator,
}

impl Figures {
    pub fn of(scenario: &Scenario) -> Figures {
        Figures {
            by: experiment::estimator(scenario),
        }
    }

    pub fn mean(self, each: &[f64]) -> Value {
        Value::of(self.by.mean(each), NOTHING)
    }

    pub fn ratio(self, a: &[f64], b: &[f64]) -> Value {
        Value::of(self.by.ratio(&pairs(a, b)), NO_REQUESTS).within(0.0, f64::INFINITY)
    }

    pub fn share(self, successes: &[f64], trials: &[f64]) -> Value {
        self.proportion(&pairs(successes, trials), NO_REQUESTS)
    }

    pub fn proportion(self, pairs: &[(f64, f64)], nothing: &str) -> Value {
        Value::of(self.by.proportion(pairs), nothing)
    }

    /// A part of a whole that is no count, so that no trials stand behind it.
    pub fn part(self, pairs: impl Iterator<Item = (f64, f64)>, nothing: &str) -> Value {
        let pairs: Vec<(f64, f64)> = pairs.collect();
        Value::of(self.by.ratio(&pairs), nothing).within(0.0, 1.0)
    }

    /// The share of failures over the share allowed.
    pub fn burn(self, fold: &ClientFold) -> Value {
        let budget = 1.0 - fold.objective;
        match self.by.proportion(&pairs(&fold.failed, &fold.requests)) {
            Some(share) => Value::divided(&share, budget),
            None => Value::missing(NO_REQUESTS),
        }
    }

    /// Per second: a mean over replications of equal length, else the ratio of the totals.
    pub fn rate(self, counts: &[f64], seconds: &[f64]) -> Value {
        let is_even = seconds.windows(2).all(|pair| pair[0] == pair[1]);
        match seconds.first() {
            Some(&first) if is_even && first > 0.0 => self.mean(&divided(counts, first)),
            _ => Value::of(self.by.ratio(&pairs(counts, seconds)), NOTHING),
        }
    }

    /// The mean over the replications in which it came to that; how many these are is said where it was not in all.
    pub fn reached(self, times: &[Option<f64>], nothing: &str) -> Value {
        let told: Vec<f64> = times.iter().flatten().copied().collect();
        let finite: Vec<f64> = told.iter().copied().filter(|time| time.is_finite()).collect();
        if told.is_empty() {
            return Value::missing(nothing);
        }
        let value = self.mean(&finite).within(0.0, f64::INFINITY);
        let reason = (finite.len() < told.len()).then(|| format!("reached in {} of {} replications", finite.len(), told.len()));
        Value { reason, ..value }
    }

    /// The median of times, infinite ones included: one independent number per replication, so order statistics bound it.
    pub fn median(self, times: &[Option<f64>]) -> Value {
        let told: Vec<f64> = times.iter().flatten().copied().collect();
        let Some(median) = confidence::order_statistics(&told, 0.5, self.by.level) else {
            return Value::missing(NOTHING);
        };
        if median.value.is_infinite() {
            return Value::missing("not reached in most replications");
        }
        match median.interval {
            Some(interval) if interval.high.is_infinite() => Value {
                reason: Some("the interval has no upper bound: not reached in all replications".to_string()),
                ..Value::exact(median.value)
            },
            _ => Value::divided(&median, 1.0),
        }
    }

    /// Mean, quantiles and maximum in seconds.
    pub fn latency(self, fold: &LatencyFold) -> Named<Value> {
        let nanos_a_second = 1e9;
        let mean = self.by.ratio(&fold.totals);
        let mean = mean.map_or_else(|| Value::missing(NO_SUCCESS), |mean| Value::divided(&mean, nanos_a_second));
        let mut figures = vec![("mean".to_string(), mean.within(0.0, f64::INFINITY))];
        let buckets = fold.pooled.quantile_buckets(QUANTILES);
        for (index, name) in QUANTILE_NAMES.into_iter().enumerate() {
            let value = match (buckets[index], fold.values_missing(index)) {
                (None, _) => Value::missing(NO_SUCCESS),
                (Some(_), Some(needed)) => Value::too_few(needed, fold.pooled.count()),
                (Some(bucket), None) => {
                    let each: Vec<f64> = fold.quantiles.iter().flatten().map(|quantiles| quantiles[index]).collect();
                    let pooled = fold.pooled.midpoint(bucket);
                    let estimate = self.by.sectioning(pooled, bucket.half_width(), &each);
                    Value::divided(&estimate, nanos_a_second).within(0.0, f64::INFINITY)
                }
            };
            figures.push((name.to_string(), value));
        }
        let max = fold.pooled.max().map(|max| max as f64 / 1e9);
        figures.push((
            "max".to_string(),
            max.map_or_else(|| Value::missing(NO_SUCCESS), Value::exact),
        ));
        Named(figures)
    }
}

pub(super) fn divided(each: &[f64], divisor: f64) -> Vec<f64> {
    each.iter().map(|value| value / divisor).collect()
}

fn pairs(a: &[f64], b: &[f64]) -> Vec<(f64, f64)> {
    a.iter().copied().zip(b.iter().copied()).collect()
}
