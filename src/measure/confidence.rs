//! Intervals over independent replications.
//!
//! Every function takes one number per replication. Replications are independent by construction, so Student's t needs
//! no model of autocorrelation. Nothing here may be fed with single requests of a run: these are not independent
//! (Law, Simulation Modeling and Analysis, 5e, chapter 9).

mod bootstrap;
mod estimator;
mod order;
mod paired;
mod proportion;

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

pub use estimator::Estimator;
pub use order::order_statistics;
pub use paired::{correlation, holm, negative_correlation_p_value, p_value, paired_difference, paired_ratio, variance_saved};
pub use proportion::{proportion, wilson};

/// Two-sided confidence of every interval that names no other.
pub const LEVEL: f64 = 0.95;

/// The fewest replications over which an interval is given.
pub const REPLICATIONS_MIN: usize = 2;

/// With fewer replications than this the interval of a ratio is the jackknife's.
const JACKKNIFE_BELOW: usize = 10;

/// Where a value lies with some confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Interval {
    fn around(centre: f64, half_width: f64) -> Interval {
        Interval {
            low: centre - half_width,
            high: centre + half_width,
        }
    }

    /// Half of its width.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }

    /// The part of it that lies within `low..=high`.
    pub fn within(self, low: f64, high: f64) -> Interval {
        Interval {
            low: self.low.clamp(low, high),
            high: self.high.clamp(low, high),
        }
    }

    /// Whether `value` lies in it.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// How an interval was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Student's t for the mean of one number per replication.
    T,
    /// The delta method for a ratio of two totals that are both random.
    Ratio,
    /// The jackknife for such a ratio with fewer than ten replications.
    Jackknife,
    /// The quantile of all replications together, with the spread of the quantiles of each about it.
    Sectioning,
    /// Order statistics of independent numbers, one per replication.
    OrderStatistics,
    /// Student's t with the quantiles that resampled replications show.
    BootstrapT,
    /// Wilson's for a share, over as many independent trials as there are effectively.
    Wilson,
    /// A share of nothing: -ln(0.05), about three, over the number of trials.
    RuleOfThree,
    /// Student's t for the mean difference of paired replications.
    PairedT,
    /// The same for the logarithm of the ratio of paired replications.
    PairedLogRatio,
    /// Student's t for the difference of two means that are not paired, with Welch and Satterthwaite's degrees of freedom.
    Welch,
}

impl Method {
    /// Its short name in results.
    pub fn name(self) -> &'static str {
        match self {
            Method::T => "t",
            Method::Ratio => "ratio",
            Method::Jackknife => "jackknife",
            Method::Sectioning => "sectioning",
            Method::OrderStatistics => "order_statistics",
            Method::BootstrapT => "bootstrap_t",
            Method::Wilson => "wilson",
            Method::RuleOfThree => "rule_of_three",
            Method::PairedT => "paired_t",
            Method::PairedLogRatio => "paired_log_ratio",
            Method::Welch => "welch",
        }
    }
}

/// A value and, with enough replications, its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Its interval; `None` with fewer than [`REPLICATIONS_MIN`] replications.
    pub interval: Option<Interval>,
    /// How many replications are behind it.
    pub n: usize,
    /// How the interval was made.
    pub method: Method,
}

/// The quantile of Student's t with `degrees` degrees of freedom at `p`.
pub fn student_t(p: f64, degrees: usize) -> f64 {
    assert!(degrees >= 1);
    let t = StudentsT::new(0.0, 1.0, degrees as f64).expect("positive degrees of freedom");
    portable(t.inverse_cdf(p))
}

/// The quantile of the standard normal distribution at `p`.
pub fn normal(p: f64) -> f64 {
    portable(Normal::standard().inverse_cdf(p))
}

/// Rounds away the digits in which one platform's `ln` differs from another's.
fn portable(quantile: f64) -> f64 {
    (quantile * 1e9).round() / 1e9
}

/// The half-width of a t-interval at `level` for the mean of `n` values with the sum of squared deviations `squares`.
fn half_width(squares: f64, n: usize, level: f64) -> Option<f64> {
    (n >= REPLICATIONS_MIN).then(|| {
        let deviation = (squares.max(0.0) / (n - 1) as f64).sqrt();
        student_t((1.0 + level) / 2.0, n - 1) * deviation / (n as f64).sqrt()
    })
}

/// The mean of `values` with its t-interval; `None` without values.
pub fn mean(values: &[f64], level: f64) -> Option<Estimate> {
    let n = values.len();
    (n > 0).then(|| {
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares = values.iter().map(|y| (y - mean) * (y - mean)).sum();
        Estimate {
            value: mean,
            interval: half_width(squares, n, level).map(|half| Interval::around(mean, half)),
            n,
            method: Method::T,
        }
    })
}

/// The ratio of two totals that are both random: sum A / sum B over (A, B) per replication. The interval is the delta
/// method's, or the jackknife's with fewer than ten replications. `None` where sum B is zero.
pub fn ratio(pairs: &[(f64, f64)], level: f64) -> Option<Estimate> {
    let n = pairs.len();
    let (a, b) = pairs.iter().fold((0.0, 0.0), |(a, b), pair| (a + pair.0, b + pair.1));
    (b > 0.0).then(|| {
        let theta = a / b;
        let (half, method) = if n < JACKKNIFE_BELOW {
            (jackknife_half_width(pairs, (a, b), level), Method::Jackknife)
        } else {
            let half = half_width(residual_squares(pairs, theta), n, level);
            (half.map(|half| half / (b / n as f64)), Method::Ratio)
        };
        Estimate {
            value: theta,
            interval: half.map(|half| Interval::around(theta, half)),
            n,
            method,
        }
    })
}

/// The sum of (A - theta B)^2: what the delta method makes the variance of a ratio from.
fn residual_squares(pairs: &[(f64, f64)], theta: f64) -> f64 {
    pairs.iter().map(|(a, b)| (a - theta * b) * (a - theta * b)).sum()
}

/// The half-width from the pseudo-values n theta - (n-1) theta_{-r}; `None` where leaving one out leaves nothing.
fn jackknife_half_width(pairs: &[(f64, f64)], (a, b): (f64, f64), level: f64) -> Option<f64> {
    let n = pairs.len() as f64;
    let pseudo: Option<Vec<f64>> = pairs
        .iter()
        .map(|pair| (b > pair.1).then(|| n * a / b - (n - 1.0) * (a - pair.0) / (b - pair.1)))
        .collect();
    mean(&pseudo?, level)?.interval.map(|interval| interval.half_width())
}

/// The interval of a quantile by sectioning: around the quantile of all replications together, with the spread of the
/// quantiles of each about it, widened by half a bucket.
pub fn sectioning(pooled: f64, bucket_half_width: f64, each: &[f64], level: f64) -> Estimate {
    let squares = each.iter().map(|q| (q - pooled) * (q - pooled)).sum();
    let half = half_width(squares, each.len(), level);
    Estimate {
        value: pooled,
        interval: half.map(|half| Interval::around(pooled, half + bucket_half_width)),
        n: each.len(),
        method: Method::Sectioning,
    }
}

/// Running sums of (A, B) per replication: a ratio estimator in constant memory, for what there are very many of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RatioSums {
    n: usize,
    a: f64,
    b: f64,
    aa: f64,
    ab: f64,
    bb: f64,
}

impl RatioSums {
    /// Adds a replication.
    pub fn add(&mut self, a: f64, b: f64) {
        self.n += 1;
        self.a += a;
        self.b += b;
        self.aa += a * a;
        self.ab += a * b;
        self.bb += b * b;
    }

    /// Sum A / sum B with the delta method's interval; `None` where sum B is zero.
    pub fn estimate(&self, level: f64) -> Option<Estimate> {
        (self.b > 0.0).then(|| {
            let theta = self.a / self.b;
            let squares = self.aa - 2.0 * theta * self.ab + theta * theta * self.bb;
            let half = half_width(squares, self.n, level).map(|half| half / (self.b / self.n as f64));
            Estimate {
                value: theta,
                interval: half.map(|half| Interval::around(theta, half)),
                n: self.n,
                method: Method::Ratio,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b}");
    }

    #[test]
    fn student_quantiles_are_those_of_the_tables() {
        // NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2.
        for (p, degrees, t) in [
            (0.975, 1, 12.706),
            (0.975, 2, 4.303),
            (0.975, 4, 2.776),
            (0.975, 9, 2.262),
            (0.975, 19, 2.093),
            (0.975, 29, 2.045),
            (0.975, 49, 2.010),
            (0.975, 100, 1.984),
            (0.995, 9, 3.250),
            (0.995, 19, 2.861),
            (0.999, 9, 4.297),
            (0.95, 30, 1.697),
        ] {
            close(student_t(p, degrees), t, 6e-4);
        }
        close(student_t(0.975, 100_000), normal(0.975), 1e-4);
        // The same handbook, table 1.3.6.7.1 inverted.
        close(normal(0.975), 1.959_964, 1e-6);
    }

    #[test]
    fn mean_has_the_interval_of_the_handbook() {
        // NIST/SEMATECH e-Handbook, section 1.3.5.2 (ZARR13.DAT): n 195, mean 9.261460, standard deviation 0.022789,
        // 95 % interval 9.258242 to 9.264679.
        let half = half_width(0.022_789 * 0.022_789 * 194.0, 195, LEVEL).expect("many values");
        close(9.261_460 - half, 9.258_242, 1e-6);
        close(9.261_460 + half, 9.264_679, 1e-6);
        // Two values: mean 2, S = sqrt 2, t = 12.7062, half-width 12.7062.
        let two = mean(&[1.0, 3.0], LEVEL).expect("two values");
        close(two.value, 2.0, 0.0);
        close(two.interval.expect("two values").half_width(), 12.706_2, 1e-4);
        assert_eq!(mean(&[5.0], LEVEL).expect("one value").interval, None);
        assert_eq!(mean(&[], LEVEL), None);
    }

    #[test]
    fn ratio_of_proportional_totals_has_no_width() {
        let pairs: Vec<(f64, f64)> = (1..=12).map(|b| (f64::from(b) * 0.5, f64::from(b))).collect();
        for n in [5, 12] {
            let estimate = ratio(&pairs[..n], LEVEL).expect("positive denominators");
            close(estimate.value, 0.5, 1e-15);
            close(estimate.interval.expect("replications").half_width(), 0.0, 1e-12);
        }
        assert_eq!(ratio(&[(1.0, 0.0)], LEVEL), None);
    }

    #[test]
    fn ratio_with_equal_denominators_is_the_mean() {
        // With B constant both the delta method and the jackknife are the plain t-interval of A / B.
        let a = [3.0, 5.0, 4.0, 7.0, 6.0, 5.5, 4.5, 6.5, 3.5, 5.0, 4.0];
        for n in [6, 11] {
            let pairs: Vec<(f64, f64)> = a[..n].iter().map(|&a| (a, 2.0)).collect();
            let halves: Vec<f64> = a[..n].iter().map(|a| a / 2.0).collect();
            let (ratio, mean) = (ratio(&pairs, LEVEL).expect("b > 0"), mean(&halves, LEVEL).expect("values"));
            close(ratio.value, mean.value, 1e-12);
            close(ratio.interval.expect("n").low, mean.interval.expect("n").low, 1e-12);
        }
    }

    #[test]
    fn running_sums_are_the_delta_method() {
        let pairs: Vec<(f64, f64)> = (1..=15)
            .map(|i| (f64::from(i * i % 7) + 3.0, f64::from(i % 4) + 2.0))
            .collect();
        let mut sums = RatioSums::default();
        pairs.iter().for_each(|&(a, b)| sums.add(a, b));
        let (plain, running) = (ratio(&pairs, LEVEL).expect("b > 0"), sums.estimate(LEVEL).expect("b > 0"));
        close(plain.value, running.value, 1e-12);
        close(plain.interval.expect("n").high, running.interval.expect("n").high, 1e-9);
    }

    #[test]
    fn sectioning_centres_on_the_pooled_quantile() {
        // S_q^2 about 10 is (1 + 1 + 4 + 0 + 4) / 4 = 2.5; t(4) = 2.7764; half = 2.7764 sqrt(2.5 / 5) = 1.9632.
        let estimate = sectioning(10.0, 0.25, &[9.0, 11.0, 12.0, 10.0, 12.0], LEVEL);
        close(estimate.interval.expect("five").half_width(), 1.963_2 + 0.25, 1e-4);
        close(estimate.interval.expect("five").low, 10.0 - 2.213_2, 1e-4);
    }

    #[test]
    fn intervals_cover_the_truth_as_often_as_they_say() {
        // Exponential replications of 50 values each; 2,000 experiments of 10: within 95 % +- 3.3 standard errors.
        let mut state = 1_u64;
        let mut unit = move || {
            // Steele, Lea & Flood 2014: SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
        };
        let covered = (0..2_000).filter(|_| {
            let means: Vec<f64> = (0..10)
                .map(|_| (0..50).map(|_| -math::ln(unit())).sum::<f64>() / 50.0)
                .collect();
            mean(&means, LEVEL)
                .and_then(|estimate| estimate.interval)
                .expect("ten")
                .contains(1.0)
        });
        let share = covered.count() as f64 / 2_000.0;
        close(share, 0.95, 3.3 * (0.95 * 0.05 / 2_000.0_f64).sqrt());
    }
}
