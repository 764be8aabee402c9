//! Values over time.

use crate::time::{Duration, Time};

/// A sum per bucket of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {}

impl Series {
    /// A series over `duration` in buckets of `interval`.
    pub fn new(duration: Duration, interval: Duration) -> Series {
        let _ = (duration, interval);
        Series {}
    }

    /// Adds `amount` to the bucket of `at`; what lies after the end goes to nobody.
    #[inline]
    pub fn add(&mut self, at: Time, amount: u64) {
        let _ = (at, amount);
    }

    /// Adds to every bucket the nanoseconds that it shares with `from..to`.
    #[inline]
    pub fn add_overlap(&mut self, from: Time, to: Time) {
        let _ = (from, to);
    }
}

/// A coarse histogram per bucket of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesHistogram {}

impl SeriesHistogram {
    /// A series over `duration` in buckets of `interval`.
    pub fn new(duration: Duration, interval: Duration) -> SeriesHistogram {
        let _ = (duration, interval);
        SeriesHistogram {}
    }

    /// Adds `value` to the bucket of `at`.
    #[inline]
    pub fn record(&mut self, at: Time, value: u64) {
        let _ = (at, value);
    }
}
