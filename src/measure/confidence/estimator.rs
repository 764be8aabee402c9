//! Which way intervals are made.

use super::{Estimate, Method, bootstrap, mean, paired, proportion, ratio, sectioning};
use crate::random::Key;

/// Makes intervals: by Student's t, or by resampling replications.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimator {
    /// Two-sided confidence of each.
    pub level: f64,
    /// What resamples follow from; `None`: Student's t.
    pub bootstrap: Option<Key>,
}

impl Estimator {
    /// By Student's t, with this confidence.
    pub fn student(level: f64) -> Estimator {
        Estimator { level, bootstrap: None }
    }

    /// The same way with another confidence.
    #[must_use]
    pub fn at(self, level: f64) -> Estimator {
        Estimator { level, ..self }
    }

    /// See [`mean`].
    pub fn mean(&self, values: &[f64]) -> Option<Estimate> {
        let estimate = mean(values, self.level)?;
        Some(self.resampled(estimate, |estimate, key| bootstrap::mean(estimate, values, key, self.level)))
    }

    /// See [`ratio`].
    pub fn ratio(&self, pairs: &[(f64, f64)]) -> Option<Estimate> {
        let estimate = ratio(pairs, self.level)?;
        Some(self.resampled(estimate, |estimate, key| bootstrap::ratio(estimate, pairs, key, self.level)))
    }

    /// See [`proportion()`].
    pub fn proportion(&self, pairs: &[(f64, f64)]) -> Option<Estimate> {
        let estimate = proportion(pairs, self.level)?;
        match estimate.method {
            Method::Wilson | Method::RuleOfThree => Some(estimate),
            _ => {
                let resampled = self.ratio(pairs)?;
                Some(Estimate {
                    interval: resampled.interval.map(|interval| interval.within(0.0, 1.0)),
                    ..resampled
                })
            }
        }
    }

    /// See [`sectioning`].
    pub fn sectioning(&self, pooled: f64, bucket_half_width: f64, each: &[f64]) -> Estimate {
        let estimate = sectioning(pooled, bucket_half_width, each, self.level);
        self.resampled(estimate, |estimate, key| {
            bootstrap::sectioning(estimate, bucket_half_width, each, key, self.level)
        })
    }

    /// See [`super::paired_difference`].
    pub fn paired_difference(&self, a: &[f64], b: &[f64]) -> Option<Estimate> {
        let estimate = paired::paired_difference(a, b, self.level)?;
        let differences = paired::differences(a, b);
        Some(self.resampled(estimate, |estimate, key| {
            bootstrap::mean(estimate, &differences, key, self.level)
        }))
    }

    /// See [`super::paired_ratio`].
    pub fn paired_ratio(&self, a: &[f64], b: &[f64]) -> Option<Estimate> {
        Some(paired::of_logs(self.mean(&paired::log_ratios(a, b)?)?))
    }

    fn resampled(&self, estimate: Estimate, with: impl Fn(Estimate, Key) -> Estimate) -> Estimate {
        match self.bootstrap {
            Some(key) if estimate.n >= bootstrap::REPLICATIONS_MIN => with(estimate, key),
            _ => estimate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math;
    use crate::measure::confidence::LEVEL;
    use crate::random::{Draws, Purpose, Streams};

    fn bootstrap(experiment: u64) -> Estimator {
        Estimator {
            level: LEVEL,
            bootstrap: Some(Streams::new(experiment, 0).key(Purpose::Bootstrap, 0)),
        }
    }

    /// How often intervals of the mean of ten such numbers cover it, in 1,500 experiments: by Student's t and by bootstrap-t.
    fn coverage(truth: f64, number: impl Fn(&mut Draws) -> f64) -> [f64; 2] {
        let mut covered = [0; 2];
        for experiment in 0..1_500 {
            let mut draws = Streams::new(experiment, 1).key(Purpose::Work, 0).draws();
            let values: Vec<f64> = (0..10).map(|_| number(&mut draws)).collect();
            for (count, estimator) in covered.iter_mut().zip([Estimator::student(LEVEL), bootstrap(experiment)]) {
                let estimate = estimator.mean(&values).expect("ten");
                *count += u32::from(estimate.interval.expect("ten").contains(truth));
            }
        }
        covered.map(|count| f64::from(count) / 1_500.0)
    }

    #[test]
    fn skewed_numbers_are_covered_better_by_resampling() {
        // Exponential numbers: known to be covered by Student's t about 90 % of the time with ten of them.
        let [student, resampled] = coverage(1.0, |draws| -math::ln(draws.unit()));
        assert!(student < 0.92, "{student}");
        assert!((0.935..=0.97).contains(&resampled), "{resampled}");
        // Sums of twelve uniform numbers are as good as normal: there both are right.
        let [student, resampled] = coverage(6.0, |draws| (0..12).map(|_| draws.unit()).sum());
        assert!((0.93..=0.97).contains(&student), "{student}");
        assert!((0.925..=0.975).contains(&resampled), "{resampled}");
    }

    #[test]
    fn resampling_says_so_and_is_the_same_each_time() {
        let values = [1.0, 2.0, 4.0, 3.0, 9.0, 2.5, 1.5];
        let pairs = values.map(|value| (value * 10.0, 10.0));
        let estimator = bootstrap(1);
        let mean = estimator.mean(&values).expect("seven");
        assert_eq!(mean.method, Method::BootstrapT);
        assert_eq!(estimator.mean(&values), Some(mean));
        assert_ne!(bootstrap(2).mean(&values).expect("seven").interval, mean.interval);
        // Skewed to the right, so the interval reaches further to the right.
        let interval = mean.interval.expect("seven");
        assert!(interval.high - mean.value > mean.value - interval.low, "{interval:?}");
        // With equal denominators the ratio is the mean, and so is the quantile that is the mean of the quantiles.
        let ratio = estimator.ratio(&pairs).expect("seven").interval.expect("seven");
        assert!(
            (ratio.high - interval.high).abs() < 1e-9 && (ratio.low - interval.low).abs() < 1e-9,
            "{ratio:?}"
        );
        let quantile = estimator.sectioning(mean.value, 0.0, &values).interval.expect("seven");
        assert!((quantile.high - interval.high).abs() < 1e-9, "{quantile:?}");
        // Too few to be resampled, and nothing to resample.
        assert_eq!(estimator.mean(&values[..4]).expect("four").method, Method::T);
        assert_eq!(estimator.mean(&[2.0; 8]).expect("eight").method, Method::T);
        let zeros = [0.0; 7];
        assert_eq!(
            estimator.paired_difference(&values, &zeros).expect("seven").interval,
            mean.interval
        );
        assert_eq!(estimator.paired_ratio(&values, &zeros), None);
    }
}
