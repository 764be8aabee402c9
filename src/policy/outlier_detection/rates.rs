//! Counts of answers by interval, and what is an outlier among rates of success.

/// Answers of one endpoint in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    pub successes: u32,
    pub total: u32,
}

impl Bucket {
    #[inline]
    pub fn count(&mut self, is_success: bool) {
        self.total += 1;
        self.successes += u32::from(is_success);
    }

    /// Successes of `whole`; not a number where there are no answers.
    pub fn rate_of(self, whole: f64) -> f64 {
        f64::from(self.successes) * whole / f64::from(self.total)
    }
}

/// The mean of rates, and the rate below which one is an outlier: so many standard deviations of the population below the mean, in
/// thousandths. `None`: there are no rates.
///
/// Envoy's `successRateEjectionThreshold` (`source/common/upstream/outlier_detection_impl.cc`) and the same step of gRFC A50.
pub fn success_rate_threshold(rates: impl Iterator<Item = f64> + Clone, stdev_factor: u32) -> Option<(f64, f64)> {
    let (mut count, mut sum) = (0_u32, 0.0);
    for rate in rates.clone() {
        count += 1;
        sum += rate;
    }
    if count == 0 {
        return None;
    }
    let mean = sum / f64::from(count);
    let variance = rates.fold(0.0, |sum, rate| sum + (rate - mean) * (rate - mean)) / f64::from(count);
    Some((mean, mean - variance.sqrt() * (f64::from(stdev_factor) / 1000.0)))
}
