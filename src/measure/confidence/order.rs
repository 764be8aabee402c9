//! Quantiles of independent numbers, such as one per replication, by order statistics.

use super::{Estimate, Interval, Method};

/// The quantile `p` of independent numbers, with the interval between two of them whose ranks the binomial distribution gives (Conover,
/// Practical Nonparametric Statistics, 3e, section 3.2): it needs no idea of their distribution. Infinite numbers are those that were not
/// reached. There is no interval where a bound would be beyond all of them; `None` without numbers. `p` is within (0, 1).
pub fn order_statistics(values: &[f64], p: f64, level: f64) -> Option<Estimate> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let rank = ((p * n as f64).ceil() as usize).clamp(1, n.max(1));
    let value = *sorted.get(rank - 1)?;
    let (low, high) = ranks(n, p, (1.0 - level) / 2.0);
    let interval = match (low, high) {
        (Some(low), Some(high)) => Some(Interval {
            low: sorted[low - 1],
            high: sorted[high - 1],
        }),
        _ => None,
    };
    Some(Estimate {
        value,
        interval,
        n,
        method: Method::OrderStatistics,
    })
}

/// The ranks from 1 between which the quantile lies but for a probability of `tail` on either side: the largest l with
/// P(Binomial(n, p) < l) <= tail, the smallest u with P(Binomial(n, p) < u) >= 1 - tail.
fn ranks(n: usize, p: f64, tail: f64) -> (Option<usize>, Option<usize>) {
    // Neighbouring terms from the mode outwards, then divided by their sum: nothing underflows that matters.
    let mode = (((n + 1) as f64 * p) as usize).min(n);
    let mut terms = vec![0.0; n + 1];
    terms[mode] = 1.0;
    let odds = p / (1.0 - p);
    for k in mode..n {
        terms[k + 1] = terms[k] * odds * (n - k) as f64 / (k + 1) as f64;
    }
    for k in (0..mode).rev() {
        terms[k] = terms[k + 1] / odds * (k + 1) as f64 / (n - k) as f64;
    }
    let sum: f64 = terms.iter().sum();
    let (mut low, mut high) = (None, None);
    let mut below = 0.0;
    for rank in 1..=n {
        below += terms[rank - 1] / sum;
        if below <= tail {
            low = Some(rank);
        }
        if high.is_none() && below >= 1.0 - tail {
            high = Some(rank);
        }
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::confidence::LEVEL;

    #[test]
    fn ranks_are_those_of_the_tables() {
        // The median: Conover, 3e, table A3 by way of the sign test; n = 5 is too few for 95 %.
        for (n, low, high) in [(6, 1, 6), (9, 2, 8), (10, 2, 9), (20, 6, 15), (50, 18, 33)] {
            assert_eq!(ranks(n, 0.5, 0.025), (Some(low), Some(high)), "{n}");
        }
        assert_eq!(ranks(5, 0.5, 0.025), (None, None));
        // An upper bound of the 99th percentile needs ln 0.025 / ln 0.99 = 368 numbers.
        assert_eq!(ranks(367, 0.99, 0.025).1, None);
        assert_eq!(ranks(368, 0.99, 0.025).1, Some(368));
    }

    #[test]
    fn a_median_knows_what_was_not_reached() {
        let times = [3.0, 1.0, f64::INFINITY, 2.0, 5.0, 4.0, f64::INFINITY, 6.0, 7.0, 8.0];
        let median = order_statistics(&times, 0.5, LEVEL).expect("ten");
        assert_eq!((median.value, median.n), (5.0, 10));
        let interval = median.interval.expect("ten are enough");
        assert_eq!((interval.low, interval.high), (2.0, f64::INFINITY));
        assert_eq!(order_statistics(&[], 0.5, LEVEL), None);
        assert_eq!(order_statistics(&[1.0], 0.5, LEVEL).expect("one").interval, None);
    }
}
