//! Shares of a whole that is counted.

use super::{Estimate, Interval, Method, normal, ratio, residual_squares, student_t};
use crate::math;

/// Events of the rarer kind per replication, on average, below which the spread of replications is too skewed for Student's t.
const EVENTS_MIN: f64 = 5.0;
/// And the share of replications without any above which it is.
const ZEROS_MAX: f64 = 0.2;

/// Wilson's interval for a proportion of `successes` of `trials` independent ones (Journal of the American Statistical Association 22,
/// 1927).
pub fn wilson(successes: f64, trials: f64, level: f64) -> Interval {
    wilson_with(successes, trials, normal((1.0 + level) / 2.0))
}

/// Wilson's interval with another quantile than that of the normal distribution.
fn wilson_with(successes: f64, trials: f64, z: f64) -> Interval {
    let p = successes / trials;
    let z2n = z * z / trials;
    let centre = (p + z2n / 2.0) / (1.0 + z2n);
    let half = z / (1.0 + z2n) * (p * (1.0 - p) / trials + z2n / (4.0 * trials)).sqrt();
    // At 0 and 1 the bound is the proportion itself but for rounding.
    let low = if successes <= 0.0 { 0.0 } else { centre - half };
    let high = if successes >= trials { 1.0 } else { centre + half };
    Interval { low, high }.within(0.0, 1.0)
}

/// A share of successes by replication, (successes, trials) each: the ratio estimator, or where the rarer of success and failure is so rare
/// that many replications have none, Wilson's interval over as many independent trials as the spread of the replications leaves.
pub fn proportion(pairs: &[(f64, f64)], level: f64) -> Option<Estimate> {
    let estimate = ratio(pairs, level)?;
    if estimate.interval.is_none() && pairs.len() < super::REPLICATIONS_MIN {
        return Some(estimate);
    }
    Some(rare(pairs, level).unwrap_or(Estimate {
        interval: estimate.interval.map(|interval| interval.within(0.0, 1.0)),
        ..estimate
    }))
}

/// The interval of a share near 0 or 1; `None` where there are enough of both kinds in each replication, or nothing to tell.
pub(super) fn rare(pairs: &[(f64, f64)], level: f64) -> Option<Estimate> {
    let n = pairs.len();
    let (successes, trials) = pairs.iter().fold((0.0, 0.0), |(a, b), pair| (a + pair.0, b + pair.1));
    if trials <= 0.0 || n < super::REPLICATIONS_MIN {
        return None;
    }
    let failures = trials - successes;
    let events = successes.min(failures);
    let of_pair = |&(s, t): &(f64, f64)| if successes <= failures { s } else { t - s };
    let zeros = pairs.iter().filter(|pair| of_pair(pair) <= 0.0).count();
    if events >= EVENTS_MIN * n as f64 && (zeros as f64) < ZEROS_MAX * n as f64 {
        return None;
    }
    let share = successes / trials;
    if events <= 0.0 {
        let bound = (-math::ln(1.0 - level) / trials).min(1.0);
        let interval = if successes <= 0.0 {
            Interval { low: 0.0, high: bound }
        } else {
            Interval {
                low: 1.0 - bound,
                high: 1.0,
            }
        };
        return Some(Estimate {
            value: share,
            interval: Some(interval),
            n,
            method: Method::RuleOfThree,
        });
    }
    let effect = design_effect(pairs, share, trials);
    let effective = trials / effect;
    // Where failures come together, how much so is an estimate too: Student's quantile allows for it (Korn and Graubard, Survey Methodology 24,
    // 1998).
    let quantile = match effect > 1.0 {
        true => student_t((1.0 + level) / 2.0, n - 1),
        false => normal((1.0 + level) / 2.0),
    };
    Some(Estimate {
        value: share,
        interval: Some(wilson_with(share * effective, effective, quantile)),
        n,
        method: Method::Wilson,
    })
}

/// How many times the variance between replications is that of independent trials; at least 1.
fn design_effect(pairs: &[(f64, f64)], share: f64, trials: f64) -> f64 {
    let n = pairs.len() as f64;
    let between = residual_squares(pairs, share) / (n - 1.0) * n / (trials * trials);
    (between / (share * (1.0 - share) / trials)).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::confidence::LEVEL;
    use crate::random::{Purpose, Streams};

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b}");
    }

    #[test]
    fn wilson_is_that_of_the_literature() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81/263, 15/148, 0/20, 1/29.
        for (successes, trials, low, high) in [
            (81.0, 263.0, 0.2553, 0.3662),
            (15.0, 148.0, 0.0624, 0.1605),
            (0.0, 20.0, 0.0, 0.1611),
            (1.0, 29.0, 0.0061, 0.1718),
        ] {
            let interval = wilson(successes, trials, LEVEL);
            close(interval.low, low, 5e-5);
            close(interval.high, high, 5e-5);
        }
    }

    #[test]
    fn nothing_seen_is_at_most_three_in_all_trials() {
        let perfect = proportion(&[(1000.0, 1000.0); 10], LEVEL).expect("trials");
        assert_eq!((perfect.value, perfect.method), (1.0, Method::RuleOfThree));
        close(perfect.interval.expect("ten").low, 1.0 - 2.995_732e-4, 1e-9);
        close(perfect.interval.expect("ten").high, 1.0, 0.0);
        let never = proportion(&[(0.0, 1000.0); 10], LEVEL).expect("trials");
        close(never.interval.expect("ten").high, 2.995_732e-4, 1e-9);
    }

    #[test]
    fn failures_that_come_together_count_as_few() {
        // Ten failures in one of ten replications are about one event; spread evenly they are ten.
        let mut bursty = [(1000.0, 1000.0); 10];
        bursty[3].0 = 990.0;
        let bursty = proportion(&bursty, LEVEL).expect("trials");
        let even = proportion(&[(999.0, 1000.0); 10], LEVEL).expect("trials");
        assert_eq!([bursty.method, even.method], [Method::Wilson; 2]);
        assert_eq!(bursty.value, even.value);
        let (bursty, even) = (bursty.interval.expect("ten"), even.interval.expect("ten"));
        assert_eq!(even, wilson(9990.0, 10_000.0, LEVEL));
        assert!(
            bursty.low < even.low - 0.003 && bursty.high > even.high,
            "{bursty:?} {even:?}"
        );
    }

    #[test]
    fn one_replication_has_a_share_and_no_interval() {
        let one = proportion(&[(9.0, 10.0)], LEVEL).expect("trials");
        assert_eq!((one.value, one.interval), (0.9, None));
        assert_eq!(proportion(&[(0.0, 0.0); 3], LEVEL), None);
    }

    #[test]
    fn plenty_of_both_kinds_leave_the_ratio() {
        let pairs: Vec<(f64, f64)> = (0..12).map(|r| (900.0 + f64::from(r), 1000.0)).collect();
        let share = proportion(&pairs, LEVEL).expect("trials");
        assert_eq!(share.method, Method::Ratio);
        assert_eq!(share.interval, ratio(&pairs, LEVEL).expect("trials").interval);
    }

    /// How often the interval covers the share in 2,000 experiments of ten replications of 1,000 trials: of independent ones, or of ones
    /// that fail in bursts of `burst`.
    fn coverage(share: f64, burst: usize) -> f64 {
        let covered = (0..2_000).filter(|&experiment| {
            let pairs: Vec<(f64, f64)> = (0..10)
                .map(|replication| {
                    let mut draws = Streams::new(experiment, replication).key(Purpose::Coin, burst as u64).draws();
                    let bursts = (0..1_000 / burst).filter(|_| draws.unit() < share).count();
                    ((bursts * burst) as f64, 1_000.0)
                })
                .collect();
            let estimate = proportion(&pairs, LEVEL).and_then(|estimate| estimate.interval).expect("ten");
            estimate.contains(share)
        });
        covered.count() as f64 / 2_000.0
    }

    #[test]
    fn rare_failures_are_covered_as_often_as_said() {
        // Two standard errors of 2,000 experiments are one point. Counts are lumps, and the spread of ten replications is itself uncertain, so
        // coverage swings about 95 %; more is wide, less would be wrong.
        for (share, burst) in [
            (0.0005, 1),
            (0.001, 1),
            (0.003, 1),
            (0.01, 1),
            (0.02, 1),
            (0.5, 1),
            (0.02, 10),
            (0.05, 10),
            (0.2, 10),
        ] {
            let covered = coverage(share, burst);
            assert!((0.93..=0.99).contains(&covered), "{share} in bursts of {burst}: {covered}");
        }
    }
}
