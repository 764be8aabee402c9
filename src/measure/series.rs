//! Values over time, in buckets of equal width.

use crate::measure::Histogram;
use crate::time::{Duration, Time};

/// A duration cut into buckets of equal width; the last may be shorter. Whoever records into several series of one grid
/// finds the bucket once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    duration: u64,
    interval: u64,
    buckets: usize,
    /// ceil(2^(63 + shift) / interval).
    reciprocal: u64,
    /// ceil(log2 interval).
    shift: u32,
}

impl Grid {
    /// `duration` in buckets of `interval`.
    pub fn new(duration: Duration, interval: Duration) -> Grid {
        assert!(interval.0 > 0, "a bucket has a width");
        let shift = u64::BITS - (interval.0 - 1).leading_zeros();
        Grid {
            duration: duration.0,
            interval: interval.0,
            buckets: usize::try_from(duration.0.div_ceil(interval.0)).expect("a series fits in memory"),
            reciprocal: (1_u128 << (63 + shift)).div_ceil(u128::from(interval.0)) as u64,
            shift,
        }
    }

    /// `nanos / interval` without a division, exact below 2^63: with m = ceil(2^(63+l) / d) and 2^l >= d, m d exceeds
    /// 2^(63+l) by less than 2^l, so floor(n m / 2^(63+l)) = floor(n / d) for all n < 2^63 (Granlund & Montgomery 1994,
    /// theorem 4.2).
    #[inline]
    fn bucket(&self, nanos: u64) -> usize {
        (((u128::from(nanos) * u128::from(self.reciprocal)) >> 63) as u64 >> self.shift) as usize
    }

    /// The bucket of `at`; beyond the end, one that no series has.
    #[inline]
    pub fn find(&self, at: Time) -> usize {
        if at.0 < self.duration { self.bucket(at.0) } else { usize::MAX }
    }

    /// The duration and the width of a bucket that it was made of; both 0 for that of a series that was never begun.
    pub fn parts(&self) -> (Duration, Duration) {
        (Duration(self.duration), Duration(self.interval))
    }

    /// How many buckets there are.
    pub fn buckets(&self) -> usize {
        self.buckets
    }

    fn width(&self, bucket: usize) -> Duration {
        let start = bucket as u64 * self.interval;
        Duration(self.interval.min(self.duration.saturating_sub(start)))
    }
}

/// A sum per bucket of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    grid: Grid,
    sums: Vec<u64>,
}

impl Series {
    /// A series over `duration` in buckets of `interval`.
    pub fn new(duration: Duration, interval: Duration) -> Series {
        let grid = Grid::new(duration, interval);
        Series {
            grid,
            sums: vec![0; grid.buckets],
        }
    }

    /// Adds `amount` to the bucket of `at`; what lies after the end goes to nobody.
    #[inline]
    pub fn add(&mut self, at: Time, amount: u64) {
        if at.0 < self.grid.duration {
            self.sums[self.grid.bucket(at.0)] += amount;
        }
    }

    /// Adds `amount` to a bucket that [`Grid::find`] gave.
    #[inline]
    pub fn add_in(&mut self, bucket: usize, amount: u64) {
        if let Some(sum) = self.sums.get_mut(bucket) {
            *sum += amount;
        }
    }

    /// Adds to every bucket the nanoseconds that it shares with `from..to`.
    #[inline]
    pub fn add_overlap(&mut self, from: Time, to: Time) {
        self.add_overlap_from(self.grid.find(from), from, to);
    }

    /// Adds to every bucket the nanoseconds that it shares with `from..to`, `times` over.
    pub fn add_overlap_times(&mut self, times: u64, from: Time, to: Time) {
        let end = to.0.min(self.grid.duration);
        let mut from = from.0;
        while times > 0 && from < end {
            let bucket = self.grid.bucket(from);
            let until = end.min((bucket as u64 + 1) * self.grid.interval);
            self.sums[bucket] += times * (until - from);
            from = until;
        }
    }

    /// As [`Series::add_overlap`], given the bucket of `from`.
    #[inline]
    pub fn add_overlap_from(&mut self, first: usize, from: Time, to: Time) {
        let end = to.0.min(self.grid.duration);
        if from.0 >= end {
            return;
        }
        if end - first as u64 * self.grid.interval <= self.grid.interval {
            self.sums[first] += end - from.0;
        } else {
            self.spread(first, from.0, end);
        }
    }

    #[inline(never)]
    fn spread(&mut self, first: usize, from: u64, end: u64) {
        let (mut bucket, mut from) = (first, from);
        while from < end {
            let until = end.min((bucket as u64 + 1) * self.grid.interval);
            self.sums[bucket] += until - from;
            from = until;
            bucket += 1;
        }
    }

    /// Adds the sums of `other`, which covers the same time in the same buckets (or is empty).
    pub fn merge(&mut self, other: &Series) {
        if self.sums.is_empty() {
            self.clone_from(other);
        } else if !other.sums.is_empty() {
            assert_eq!(self.grid, other.grid, "series of one plan share a grid");
            self.sums
                .iter_mut()
                .zip(&other.sums)
                .for_each(|(ours, theirs)| *ours += theirs);
        }
    }

    /// The series with these sums; `None` if `grid` has not as many buckets.
    pub fn from_sums(grid: Grid, sums: Vec<u64>) -> Option<Series> {
        (sums.len() == grid.buckets).then_some(Series { grid, sums })
    }

    /// Its buckets of time.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The sum of each bucket.
    pub fn sums(&self) -> &[u64] {
        &self.sums
    }

    /// The width of a bucket: shorter for the last one where the interval does not divide the duration.
    pub fn width(&self, bucket: usize) -> Duration {
        self.grid.width(bucket)
    }
}

/// A coarse histogram per bucket of time: 32 buckets an octave, 1.6 % of error.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesHistogram {
    grid: Grid,
    histograms: Vec<Histogram<5>>,
}

impl SeriesHistogram {
    /// A series over `duration` in buckets of `interval`.
    pub fn new(duration: Duration, interval: Duration) -> SeriesHistogram {
        let grid = Grid::new(duration, interval);
        SeriesHistogram {
            grid,
            histograms: vec![Histogram::new(); grid.buckets],
        }
    }

    /// Adds `value` to the bucket of `at`.
    #[inline]
    pub fn record(&mut self, at: Time, value: u64) {
        if at.0 < self.grid.duration {
            self.histograms[self.grid.bucket(at.0)].record(value);
        }
    }

    /// Adds `value` to a bucket that [`Grid::find`] gave.
    #[inline]
    pub fn record_in(&mut self, bucket: usize, value: u64) {
        if let Some(histogram) = self.histograms.get_mut(bucket) {
            histogram.record(value);
        }
    }

    /// Adds the values of `other`, which covers the same time in the same buckets (or is empty).
    pub fn merge(&mut self, other: &SeriesHistogram) {
        if self.histograms.is_empty() {
            self.clone_from(other);
        } else if !other.histograms.is_empty() {
            assert_eq!(self.grid, other.grid, "series of one plan share a grid");
            self.histograms
                .iter_mut()
                .zip(&other.histograms)
                .for_each(|(ours, theirs)| ours.merge(theirs));
        }
    }

    /// The series with these histograms; `None` if `grid` has not as many buckets.
    pub fn from_histograms(grid: Grid, histograms: Vec<Histogram<5>>) -> Option<SeriesHistogram> {
        (histograms.len() == grid.buckets).then_some(SeriesHistogram { grid, histograms })
    }

    /// Its buckets of time.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The histogram of each bucket.
    pub fn histograms(&self) -> &[Histogram<5>] {
        &self.histograms
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bucket_is_the_quotient(
            nanos in 0..(1_u64 << 63),
            interval in prop_oneof![1..100_u64, 1..(1_u64 << 62), (0..62_u32).prop_map(|e| 1_u64 << e)],
            near in 0..3_u64,
        ) {
            let grid = Grid::new(Duration(interval), Duration(interval));
            // The neighbourhood of a multiple is where an inexact reciprocal would show.
            let multiple = (nanos / interval * interval).saturating_add(near).saturating_sub(1).min((1 << 63) - 1);
            for n in [nanos, multiple] {
                prop_assert_eq!(grid.bucket(n) as u64, n / interval, "{} / {}", n, interval);
            }
        }

        #[test]
        fn overlaps_add_up_to_the_span(from in 0..2_000_u64, length in 0..2_000_u64) {
            let mut series = Series::new(Duration(1_050), Duration(100));
            series.add_overlap(Time(from), Time(from + length));
            let mut thrice = Series::new(Duration(1_050), Duration(100));
            thrice.add_overlap_times(3, Time(from), Time(from + length));
            prop_assert!(thrice.sums().iter().zip(series.sums()).all(|(thrice, once)| *thrice == 3 * once));
            let within = (from + length).min(1_050).saturating_sub(from.min(1_050));
            prop_assert_eq!(series.sums().iter().sum::<u64>(), within);
            for (bucket, &sum) in series.sums().iter().enumerate() {
                let (start, end) = (bucket as u64 * 100, bucket as u64 * 100 + series.width(bucket).0);
                let expected = end.min(from + length).saturating_sub(start.max(from));
                prop_assert_eq!(sum, expected, "bucket {}", bucket);
            }
        }
    }

    #[test]
    fn what_lies_after_the_end_goes_to_nobody() {
        let mut series = Series::new(Duration(250), Duration(100));
        for nanos in [0, 99, 100, 249, 250, 299, u64::MAX] {
            series.add(Time(nanos), 1);
        }
        assert_eq!(series.sums(), [2, 1, 1]);
        assert_eq!(series.width(2), Duration(50));
        let mut empty = Series::default();
        empty.add(Time(0), 1);
        empty.add_overlap(Time(0), Time(9));
        assert_eq!(empty.sums(), [0_u64; 0]);
    }

    #[test]
    fn histograms_are_kept_by_bucket() {
        let mut series = SeriesHistogram::new(Duration(200), Duration(100));
        series.record(Time(50), 7);
        series.record(Time(150), 9);
        series.record(Time(250), 11);
        let mut twice = series.clone();
        twice.merge(&series);
        let counts: Vec<u64> = twice.histograms().iter().map(Histogram::count).collect();
        assert_eq!(counts, [2, 2]);
        assert_eq!(twice.histograms()[1].quantile(0.5), Some(9.0));
    }
}
