//! A log-linear histogram of nanoseconds.

/// Placeholder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {}

impl Histogram {
    /// Adds one value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        let _ = value;
    }
}
