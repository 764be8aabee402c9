//! How much of a run's beginning to leave out: MSER-5.
//!
//! The rule of White (1997) in the form with means of five (White, Cobb & Spratt 2000): of all cuts, take the one that
//! makes the standard error of the rest's mean smallest. It is applied to the average over replications at each point
//! of a time grid (Welch's idea), which is far less noisy than one run.

/// Points in a batch.
const BATCH: usize = 5;

/// Where MSER-5 cuts a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How many points of the series to leave out.
    pub points: usize,
    /// Whether the rest can be trusted.
    pub verdict: Verdict,
}

/// Whether a series is long enough for its cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Settled,
    /// The best cut lies at the end of the search: the series may not have settled at all.
    OnBoundary,
}

/// The cut of MSER-5: with the batch means Z_1..Z_k, the d in 0..=k/2 (the smallest of equals) that minimises
/// sum_{j>d} (Z_j - mean_d)^2 / (k-d)^2. A cut of more than k/2 - 5 batches is on the boundary.
pub fn mser5(series: &[f64]) -> Cut {
    let batches: Vec<f64> = series
        .chunks_exact(BATCH)
        .map(|batch| batch.iter().sum::<f64>() / BATCH as f64)
        .collect();
    let k = batches.len();
    let candidates = k / 2;
    // Welford's update from the end gives the sum of squares of every suffix without cancellation.
    let (mut mean, mut squares) = (0.0, 0.0);
    let mut best = (f64::INFINITY, 0);
    for d in (0..k).rev() {
        let n = (k - d) as f64;
        let delta = batches[d] - mean;
        mean += delta / n;
        squares += delta * (batches[d] - mean);
        let statistic = squares / (n * n);
        if d <= candidates && statistic <= best.0 {
            best = (statistic, d);
        }
    }
    let on_boundary = best.1 + BATCH > candidates && best.1 > 0;
    Cut {
        points: best.1 * BATCH,
        verdict: if on_boundary { Verdict::OnBoundary } else { Verdict::Settled },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, without any cleverness.
    fn by_definition(series: &[f64]) -> usize {
        let z: Vec<f64> = series.chunks_exact(5).map(|batch| batch.iter().sum::<f64>() / 5.0).collect();
        let statistic = |d: usize| {
            let rest = &z[d..];
            let mean = rest.iter().sum::<f64>() / rest.len() as f64;
            rest.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / (rest.len() * rest.len()) as f64
        };
        let mut best = 0;
        for d in 0..=z.len() / 2 {
            if !z[d..].is_empty() && statistic(d) < statistic(best) {
                best = d;
            }
        }
        best * 5
    }

    #[test]
    fn a_step_is_cut_where_it_ends() {
        // 100 points of a ramp, then 900 of a level that alternates by one: the ramp goes, the rest stays.
        let series: Vec<f64> = (0..1000)
            .map(|i| if i < 100 { f64::from(i) } else { 100.0 + f64::from(i / 5 % 2) })
            .collect();
        let cut = mser5(&series);
        assert_eq!(cut.verdict, Verdict::Settled);
        assert!((95..=105).contains(&cut.points), "{cut:?}");
    }

    #[test]
    fn a_level_is_not_cut_and_a_ramp_is_on_the_boundary() {
        assert_eq!(
            mser5(&[7.0; 1000]),
            Cut {
                points: 0,
                verdict: Verdict::Settled
            }
        );
        let ramp: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(
            mser5(&ramp),
            Cut {
                points: 500,
                verdict: Verdict::OnBoundary
            }
        );
        assert_eq!(
            mser5(&[]),
            Cut {
                points: 0,
                verdict: Verdict::Settled
            }
        );
    }

    proptest! {
        #[test]
        fn cut_is_that_of_the_definition(series in prop::collection::vec(0..1_000_u32, 10..400)) {
            let series: Vec<f64> = series.into_iter().map(|x| f64::from(x * x)).collect();
            prop_assert_eq!(mser5(&series).points, by_definition(&series));
        }
    }
}
