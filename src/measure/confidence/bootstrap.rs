//! Bootstrap-t: instead of Student's quantiles, those that resampled replications show. For skewed figures of few replications.
//!
//! Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 12.5. Replications are resampled, never requests. All figures of an
//! experiment are resampled alike: draw i of resample b is keyed by both, so neither threads nor other figures shift it.

use super::{Estimate, Interval, Method, residual_squares};
use crate::random::Key;

/// How often replications are resampled.
const RESAMPLES: usize = 2000;

/// The fewest replications that are resampled: of fewer, too many resamples hold one replication only and have no spread.
pub(super) const REPLICATIONS_MIN: usize = 5;

/// A statistic of a sample and its standard error.
type Studentized = (f64, f64);

/// The interval of `statistic` over items `0..n`, moved by `shift`; `None` with fewer than five, or without spread.
fn interval(n: usize, key: Key, level: f64, whole: Studentized, statistic: impl Fn(&[usize]) -> Studentized) -> Option<Interval> {
    let (value, error) = whole;
    if n < REPLICATIONS_MIN || error <= 0.0 {
        return None;
    }
    let mut sample = vec![0; n];
    let mut deviations: Vec<f64> = (0..RESAMPLES as u64)
        .map(|resample| {
            let mut draws = key.with(resample).draws();
            sample.iter_mut().for_each(|item| *item = (draws.unit() * n as f64) as usize);
            let (again, its_error) = statistic(&sample);
            match again - value {
                0.0 => 0.0,
                distance => distance / its_error,
            }
        })
        .collect();
    deviations.sort_by(f64::total_cmp);
    let quantile = |p: f64| deviations[((p * RESAMPLES as f64).ceil() as usize).clamp(1, RESAMPLES) - 1];
    let tail = (1.0 - level) / 2.0;
    let interval = Interval {
        low: value - quantile(1.0 - tail) * error,
        high: value - quantile(tail) * error,
    };
    (interval.low.is_finite() && interval.high.is_finite()).then_some(interval)
}

/// The mean of items and its standard error.
fn studentized_mean(values: impl ExactSizeIterator<Item = f64> + Clone) -> Studentized {
    let n = values.len() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let squares: f64 = values.map(|value| (value - mean) * (value - mean)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

/// With the interval of a mean of `values`.
pub(super) fn mean(estimate: Estimate, values: &[f64], key: Key, level: f64) -> Estimate {
    let whole = studentized_mean(values.iter().copied());
    let found = interval(values.len(), key, level, whole, |sample| {
        studentized_mean(sample.iter().map(|&item| values[item]))
    });
    with(estimate, found)
}

/// With the interval of a ratio of totals.
pub(super) fn ratio(estimate: Estimate, pairs: &[(f64, f64)], key: Key, level: f64) -> Estimate {
    let of = |pairs: &[(f64, f64)]| {
        let n = pairs.len() as f64;
        let (a, b) = pairs.iter().fold((0.0, 0.0), |(a, b), pair| (a + pair.0, b + pair.1));
        let theta = a / b;
        let error = (residual_squares(pairs, theta) / (n - 1.0) / n).sqrt() / (b / n);
        (theta, error)
    };
    if pairs.iter().any(|&(_, b)| b <= 0.0) {
        // A resample might hold such replications only.
        return estimate;
    }
    let found = interval(pairs.len(), key, level, of(pairs), |sample| {
        let resampled: Vec<(f64, f64)> = sample.iter().map(|&item| pairs[item]).collect();
        of(&resampled)
    });
    with(estimate, found)
}

/// With the interval of a quantile: the quantiles of each replication are resampled, their spread is about the quantile of all together.
pub(super) fn sectioning(estimate: Estimate, bucket_half_width: f64, each: &[f64], key: Key, level: f64) -> Estimate {
    let n = each.len() as f64;
    let (mean, error) = studentized_mean(each.iter().copied());
    let found = interval(each.len(), key, level, (mean, error), |sample| {
        studentized_mean(sample.iter().map(|&item| each[item]))
    });
    let squares: f64 = each.iter().map(|q| (q - estimate.value) * (q - estimate.value)).sum();
    let wider = (squares / (n - 1.0) / n).sqrt() / error;
    let moved = found.map(|interval| Interval {
        low: estimate.value + (interval.low - mean) * wider - bucket_half_width,
        high: estimate.value + (interval.high - mean) * wider + bucket_half_width,
    });
    with(estimate, moved)
}

/// The estimate with the interval found, if there is one.
fn with(estimate: Estimate, found: Option<Interval>) -> Estimate {
    match found {
        None => estimate,
        interval => Estimate {
            interval,
            method: Method::BootstrapT,
            ..estimate
        },
    }
}
