//! What is compared replication by replication, under common random numbers.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::{Estimate, Interval, Method, mean, portable};
use crate::math;

/// The mean of the differences `a - b` of paired replications with its t-interval.
pub fn paired_difference(a: &[f64], b: &[f64], level: f64) -> Option<Estimate> {
    let estimate = mean(&differences(a, b), level)?;
    Some(Estimate {
        method: Method::PairedT,
        ..estimate
    })
}

pub(super) fn differences(a: &[f64], b: &[f64]) -> Vec<f64> {
    assert_eq!(a.len(), b.len(), "replication r of both");
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// The geometric mean of the ratios `a / b` of paired replications, with the interval of the log-ratios. `None` where a
/// value is not positive.
pub fn paired_ratio(a: &[f64], b: &[f64], level: f64) -> Option<Estimate> {
    Some(of_logs(mean(&log_ratios(a, b)?, level)?))
}

/// The logarithms of `a / b`; `None` where a value is not positive.
pub(super) fn log_ratios(a: &[f64], b: &[f64]) -> Option<Vec<f64>> {
    assert_eq!(a.len(), b.len(), "replication r of both");
    let pairs = a.iter().zip(b);
    pairs.map(|(&a, &b)| (a > 0.0 && b > 0.0).then(|| math::ln(a / b))).collect()
}

/// The ratio whose logarithm is estimated so.
pub(super) fn of_logs(logs: Estimate) -> Estimate {
    Estimate {
        value: math::exp(logs.value),
        interval: logs.interval.map(|interval| Interval {
            low: math::exp(interval.low),
            high: math::exp(interval.high),
        }),
        n: logs.n,
        method: match logs.method {
            Method::T => Method::PairedLogRatio,
            other => other,
        },
    }
}

/// The sums of squares and products of deviations from the means: (aa, bb, ab).
fn deviations(a: &[f64], b: &[f64]) -> (f64, f64, f64) {
    assert_eq!(a.len(), b.len(), "replication r of both");
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    a.iter().zip(b).fold((0.0, 0.0, 0.0), |(aa, bb, ab), (a, b)| {
        let (a, b) = (a - mean_a, b - mean_b);
        (aa + a * a, bb + b * b, ab + a * b)
    })
}

/// Pearson's correlation; `None` where a side does not vary.
pub fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let (aa, bb, ab) = deviations(a, b);
    (aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt())
}

/// How likely a correlation as low as `correlation` would be in `n` pairs if there were none: one-sided, by Fisher's z-transformation
/// (Metron 1, 1921). `None` with fewer than four pairs, which tell nothing.
pub fn negative_correlation_p_value(correlation: f64, n: usize) -> Option<f64> {
    let z = 0.5 * math::ln((1.0 + correlation) / (1.0 - correlation));
    (n > 3).then(|| {
        let normal = Normal::new(0.0, 1.0).expect("a standard deviation");
        portable(normal.cdf(z * ((n - 3) as f64).sqrt()))
    })
}

/// The share of the variance of `a - b` that pairing saves: 1 - Var(A - B) / (Var A + Var B). Nothing is saved at 0, all of it at 1; it
/// is negative where pairing widens the interval. `None` where neither side varies.
pub fn variance_saved(a: &[f64], b: &[f64]) -> Option<f64> {
    let (aa, bb, ab) = deviations(a, b);
    (aa + bb > 0.0).then(|| 2.0 * ab / (aa + bb))
}

/// How likely differences as far from zero would be if there were none: two-sided, by Student's t. `None` with fewer than two, or where
/// none differs from another.
pub fn p_value(a: &[f64], b: &[f64]) -> Option<f64> {
    let differences = differences(a, b);
    let n = differences.len();
    if n < 2 {
        return None;
    }
    let mean = differences.iter().sum::<f64>() / n as f64;
    let squares: f64 = differences.iter().map(|d| (d - mean) * (d - mean)).sum();
    let error = (squares / (n - 1) as f64 / n as f64).sqrt();
    (error > 0.0).then(|| {
        let t = StudentsT::new(0.0, 1.0, (n - 1) as f64).expect("positive degrees of freedom");
        portable(2.0 * t.cdf(-(mean / error).abs())).clamp(0.0, 1.0)
    })
}

/// Holm's step-down correction (Scandinavian Journal of Statistics 6, 1979): p-values of several tests such that any is to be believed at
/// level alpha where its corrected value is at most alpha, with probability 1 - alpha for all together.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&i, &j| p_values[i].total_cmp(&p_values[j]));
    let mut corrected = vec![0.0; count];
    let mut largest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max((count - rank) as f64 * p_values[index]).min(1.0);
        corrected[index] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::confidence::LEVEL;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b}");
    }

    #[test]
    fn pairing_removes_what_both_share() {
        let b = [10.0, 40.0, 20.0, 80.0, 30.0];
        let a: Vec<f64> = b.iter().map(|b| b + 2.0).collect();
        let difference = paired_difference(&a, &b, LEVEL).expect("pairs");
        close(difference.value, 2.0, 1e-12);
        close(difference.interval.expect("five").half_width(), 0.0, 1e-9);
        let double: Vec<f64> = b.iter().map(|b| b * 2.0).collect();
        let ratio = paired_ratio(&double, &b, LEVEL).expect("positive");
        close(ratio.value, 2.0, 1e-12);
        assert_eq!(paired_ratio(&[0.0], &[1.0], LEVEL), None);
        close(correlation(&double, &b).expect("they vary"), 1.0, 1e-12);
        close(
            correlation(&double.iter().map(|x| -x).collect::<Vec<_>>(), &b).expect("they vary"),
            -1.0,
            1e-12,
        );
        assert_eq!(correlation(&[1.0, 1.0], &[1.0, 2.0]), None);
        // z = atanh(-0.5) = -0.549306; times the root of 28 - 3: Phi(-2.746531) = 0.003011.
        close(negative_correlation_p_value(-0.5, 28).expect("28 pairs"), 0.003_011, 1e-5);
        close(negative_correlation_p_value(0.0, 10).expect("ten pairs"), 0.5, 1e-12);
        assert_eq!(negative_correlation_p_value(-1.0, 2), None);
    }

    #[test]
    fn what_is_saved_follows_from_the_variances() {
        // Var A = 4, Var B = 1, Cov = 1 on these: Var(A - B) = 3, so two fifths are saved.
        let (a, b) = ([2.0, -2.0, 2.0, -2.0], [1.0, 0.0, 0.0, -1.0]);
        let variance = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>()
        };
        let expected = 1.0 - variance(&differences(&a, &b)) / (variance(&a) + variance(&b));
        close(variance_saved(&a, &b).expect("they vary"), expected, 1e-12);
        close(variance_saved(&a, &a).expect("they vary"), 1.0, 1e-12);
        close(variance_saved(&a, &a.map(|a| -a)).expect("they vary"), -1.0, 1e-12);
        assert_eq!(variance_saved(&[1.0, 1.0], &[2.0, 2.0]), None);
    }

    #[test]
    fn p_values_are_those_of_students_first_example() {
        // Student, Biometrika 6 (1908): additional hours of sleep by two soporifics on ten patients; paired t = 4.0621, p = 0.002833.
        let one = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let two = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        close(p_value(&two, &one).expect("they differ"), 0.002_833, 5e-7);
        let difference = paired_difference(&two, &one, LEVEL).expect("ten");
        // The same in R's t.test: mean 1.58, 95 % interval 0.7001142 to 2.4598858.
        close(difference.interval.expect("ten").low, 0.700_114_2, 1e-6);
        close(difference.interval.expect("ten").high, 2.459_885_8, 1e-6);
        assert_eq!(p_value(&[1.0], &[0.0]), None);
        assert_eq!(p_value(&[1.0, 2.0], &[0.0, 1.0]), None);
    }

    #[test]
    fn holm_steps_down() {
        // R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") is 0.03 0.06 0.06 0.02.
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        corrected
            .iter()
            .zip(expected)
            .for_each(|(&p, expected)| close(p, expected, 1e-12));
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
