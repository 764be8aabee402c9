//! A log-linear histogram of nanoseconds: mergeable, exact in its counts, and small while it is idle.
//!
//! The buckets are those of HdrHistogram (Tene): values below 2^B have a bucket each; above, every octave (a power of two
//! up to the next) is cut into 2^B equal buckets. A bucket is at most 2^-B of its values wide, so its midpoint is wrong by
//! at most 2^-(B+1): 0.39 % for B = 7, 1.6 % for B = 5. Only octaves that hold values are allocated. Adding counters is
//! associative and commutative, so what a merge gives depends neither on order nor on threads.

/// The most octaves there are, the exact values below 2^B counting as one.
const OCTAVES: usize = 64;
/// No octave of this number is allocated.
const ABSENT: u8 = u8::MAX;

/// A log-linear histogram with 2^B buckets an octave.
#[derive(Clone)]
pub struct Histogram<const B: u32 = 7> {
    /// By octave: which run of 2^B counters is its own, or [`ABSENT`].
    slots: [u8; OCTAVES],
    /// The counters, in runs of 2^B, in the order in which the octaves were first used.
    counts: Vec<u64>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl<const B: u32> Histogram<B> {
    const WIDTH: usize = 1 << B;

    /// A histogram without values. It owns no memory yet.
    pub const fn new() -> Histogram<B> {
        assert!(B >= 1 && B <= 16);
        Histogram {
            slots: [ABSENT; OCTAVES],
            counts: Vec::new(),
            count: 0,
            sum: 0,
            min: u64::MAX,
            max: 0,
        }
    }

    /// Adds one value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        let (octave, bucket) = Self::place(value);
        let slot = self.slots[octave];
        let slot = if slot == ABSENT { self.allocate(octave) } else { slot };
        self.counts[((slot as usize) << B) + bucket] += 1;
        self.count += 1;
        self.sum += u128::from(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Adds all values of `other`.
    pub fn merge(&mut self, other: &Histogram<B>) {
        for octave in 0..OCTAVES {
            let Some(theirs) = other.octave(octave) else { continue };
            let slot = match self.slots[octave] {
                ABSENT => self.allocate(octave),
                slot => slot,
            };
            let first = (slot as usize) << B;
            for (ours, theirs) in self.counts[first..first + Self::WIDTH].iter_mut().zip(theirs) {
                *ours += theirs;
            }
        }
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// How many values are 0: small values have a bucket each.
    pub fn zeros(&self) -> u64 {
        self.octave(0).map_or(0, |counts| counts[0])
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their exact sum.
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// Their exact mean; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The smallest value; `None` without values.
    pub fn min(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min)
    }

    /// The largest value; `None` without values.
    pub fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// The quantile at `p` from 0 to 1: the midpoint of the first bucket whose cumulative count reaches ceil(p N), kept
    /// within the smallest and the largest value. `None` without values.
    pub fn quantile(&self, p: f64) -> Option<f64> {
        self.quantile_bucket(p).map(|bucket| self.midpoint(bucket))
    }

    /// The middle of one of its buckets, kept within the smallest and the largest value.
    pub fn midpoint(&self, bucket: Bucket) -> f64 {
        let middle = bucket.lower as f64 + bucket.half_width();
        middle.clamp(self.min as f64, self.max as f64)
    }

    /// The bucket of the quantile at `p`; `None` without values.
    pub fn quantile_bucket(&self, p: f64) -> Option<Bucket> {
        let [bucket] = self.quantile_buckets([p]);
        bucket
    }

    /// The buckets of the quantiles at `ps`, which ascend, in one pass; `None` without values.
    pub fn quantile_buckets<const N: usize>(&self, ps: [f64; N]) -> [Option<Bucket>; N] {
        debug_assert!(ps.is_sorted() && ps.iter().all(|p| (0.0..=1.0).contains(p)));
        let mut found = [None; N];
        let mut next = 0;
        let mut cumulative = 0;
        for bucket in self.buckets() {
            cumulative += bucket.count;
            while next < N && cumulative >= self.rank(ps[next]) {
                found[next] = Some(bucket);
                next += 1;
            }
            if next == N {
                break;
            }
        }
        found
    }

    /// ceil(p N), at least 1 and at most N. Exact below 2^53 values.
    fn rank(&self, p: f64) -> u64 {
        ((p * self.count as f64).ceil() as u64).clamp(1, self.count.max(1))
    }

    /// The buckets that hold values, in ascending order.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        (0..OCTAVES)
            .filter_map(|octave| Some((octave, self.octave(octave)?)))
            .flat_map(|(octave, counts)| {
                let occupied = counts.iter().enumerate().filter(|&(_, &count)| count > 0);
                occupied.map(move |(bucket, &count)| {
                    let (lower, upper) = Self::bounds(octave, bucket);
                    Bucket { lower, upper, count }
                })
            })
    }

    /// The number of each bucket that holds values, ascending, and how many it holds: what [`Histogram::from_occupied`] takes back.
    pub fn occupied(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.buckets().map(|bucket| {
            let (octave, place) = Self::place(bucket.lower);
            (((octave << B) + place) as u32, bucket.count)
        })
    }

    /// The histogram with these buckets, whose values have this sum, minimum and maximum; `None` if there is none.
    pub fn from_occupied(occupied: impl IntoIterator<Item = (u32, u64)>, sum: u128, min: u64, max: u64) -> Option<Histogram<B>> {
        let mut histogram = Self::new();
        let mut next = 0;
        for (number, count) in occupied {
            let (octave, bucket) = ((number >> B) as usize, number as usize & (Self::WIDTH - 1));
            if number < next || octave >= OCTAVES || count == 0 {
                return None;
            }
            next = number + 1;
            let slot = match histogram.slots[octave] {
                ABSENT => histogram.allocate(octave),
                slot => slot,
            };
            histogram.counts[((slot as usize) << B) + bucket] = count;
            histogram.count = histogram.count.checked_add(count)?;
        }
        if histogram.count > 0 {
            (histogram.sum, histogram.min, histogram.max) = (sum, min, max);
            let ends = (histogram.buckets().next()?, histogram.buckets().last()?);
            let is_within = |value: u64, bucket: Bucket| bucket.lower <= value && value <= bucket.upper;
            (is_within(min, ends.0) && is_within(max, ends.1)).then_some(histogram)
        } else {
            Some(histogram)
        }
    }

    /// Octave and bucket of a value.
    #[inline]
    fn place(value: u64) -> (usize, usize) {
        // Values below 2^B share the shift of the first octave above them, which leaves them as they are.
        let exponent = (value | (1 << B)).ilog2();
        let shift = exponent - B;
        let octave = shift as usize + usize::from(value >> B != 0);
        (octave, (value >> shift) as usize & (Self::WIDTH - 1))
    }

    /// The smallest and the largest value of a bucket.
    fn bounds(octave: usize, bucket: usize) -> (u64, u64) {
        if octave == 0 {
            return (bucket as u64, bucket as u64);
        }
        let shift = octave - 1;
        let lower = ((Self::WIDTH + bucket) as u64) << shift;
        (lower, lower + ((1 << shift) - 1))
    }

    fn octave(&self, octave: usize) -> Option<&[u64]> {
        let slot = self.slots[octave];
        (slot != ABSENT).then(|| &self.counts[(slot as usize) << B..((slot as usize) + 1) << B])
    }

    #[cold]
    #[inline(never)]
    fn allocate(&mut self, octave: usize) -> u8 {
        let slot = (self.counts.len() >> B) as u8;
        // At once for as many octaves as commonly come, so that a long run allocates no more than a short one; what is not
        // written takes address space, not memory.
        let spare = self.counts.capacity() - self.counts.len();
        if spare < Self::WIDTH {
            let octaves = if self.counts.is_empty() { 24 } else { 4 };
            self.counts.reserve_exact(octaves * Self::WIDTH);
        }
        self.counts.resize(self.counts.len() + Self::WIDTH, 0);
        self.slots[octave] = slot;
        slot
    }
}

/// One bucket of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The smallest value it takes.
    pub lower: u64,
    /// The largest value it takes.
    pub upper: u64,
    /// How many it holds.
    pub count: u64,
}

impl Bucket {
    /// Half the width of the bucket: the most by which its midpoint may be wrong.
    pub fn half_width(&self) -> f64 {
        (self.upper - self.lower) as f64 / 2.0
    }
}

impl<const B: u32> Default for Histogram<B> {
    fn default() -> Self {
        Self::new()
    }
}

/// Equal if they hold the same values, in whichever order these came.
impl<const B: u32> PartialEq for Histogram<B> {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.sum, self.min, self.max) == (other.count, other.sum, other.min, other.max)
            && self.buckets().eq(other.buckets())
    }
}

impl<const B: u32> std::fmt::Debug for Histogram<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count)
            .field("mean", &self.mean())
            .field("min", &self.min())
            .field("max", &self.max())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|&value| histogram.record(value));
        histogram
    }

    /// Values of every magnitude.
    fn any_value() -> impl Strategy<Value = u64> {
        (0..64_u32, any::<u64>()).prop_map(|(shift, bits)| bits >> shift)
    }

    #[test]
    fn bucket_index_is_that_of_the_formula() {
        // v < 2^b: v; else e = floor(log2 v), (e-b+1) 2^b + ((v >> (e-b)) - 2^b).
        for value in [0, 1, 127, 128, 129, 255, 256, 258, 1_000_000, 5_000_000_007, u64::MAX] {
            let expected = if value < 128 {
                value
            } else {
                let e = u64::from(value.ilog2());
                (e - 7 + 1) * 128 + ((value >> (e - 7)) - 128)
            };
            let (octave, bucket) = Histogram::<7>::place(value);
            assert_eq!((octave * 128 + bucket) as u64, expected, "{value}");
        }
    }

    #[test]
    fn an_empty_histogram_owns_nothing_and_says_nothing() {
        let empty: Histogram = Histogram::new();
        assert_eq!(empty.counts.capacity(), 0);
        assert_eq!(
            (empty.mean(), empty.quantile(0.5), empty.min(), empty.max()),
            (None, None, None, None)
        );
        assert_eq!(empty, Histogram::default());
    }

    #[test]
    fn quantile_is_the_value_of_rank_ceil_p_n() {
        let histogram = of(&(1..=100).collect::<Vec<_>>());
        for (p, value) in [(0.0, 1.0), (0.5, 50.0), (0.501, 51.0), (0.99, 99.0), (1.0, 100.0)] {
            assert_eq!(histogram.quantile(p), Some(value), "{p}");
        }
        let together = histogram
            .quantile_buckets([0.0, 0.5, 0.99, 1.0])
            .map(|bucket| bucket.expect("values").lower);
        assert_eq!(together, [1, 50, 99, 100]);
    }

    proptest! {
        #[test]
        fn a_value_lies_in_its_bucket_and_the_bucket_is_narrow(value in any_value()) {
            let histogram = of(&[value]);
            let bucket = histogram.buckets().next().expect("one value, one bucket");
            prop_assert!(bucket.lower <= value && value <= bucket.upper);
            prop_assert!((bucket.upper - bucket.lower) as f64 <= value as f64 / 128.0);
            prop_assert_eq!(histogram.quantile(0.5), Some(value as f64));
        }

        #[test]
        fn quantiles_are_those_of_the_sorted_values(
            mut values in prop::collection::vec(any_value(), 1..300),
            p in 0.0..=1.0_f64,
        ) {
            let quantile = of(&values).quantile(p).expect("there are values");
            values.sort_unstable();
            let rank = ((p * values.len() as f64).ceil() as usize).max(1);
            let exact = values[rank - 1] as f64;
            prop_assert!((quantile - exact).abs() <= exact / 256.0, "{} is not {}", quantile, exact);
        }

        #[test]
        fn a_histogram_is_made_again_of_its_buckets(values in prop::collection::vec(any_value(), 0..200)) {
            let histogram = of(&values);
            let (min, max) = (histogram.min().unwrap_or(0), histogram.max().unwrap_or(0));
            let again = Histogram::from_occupied(histogram.occupied(), histogram.sum(), min, max);
            prop_assert_eq!(again.as_ref(), Some(&histogram));
            if min != max {
                let reversed: Vec<_> = histogram.occupied().collect::<Vec<_>>().into_iter().rev().collect();
                prop_assert!(reversed.len() == 1 || Histogram::<7>::from_occupied(reversed, histogram.sum(), min, max).is_none());
            }
        }

        #[test]
        fn merging_is_recording_in_any_order(
            values in prop::collection::vec(any_value(), 0..200),
            cut in 0..200_usize,
        ) {
            let (left, right) = values.split_at(cut.min(values.len()));
            let (mut ab, mut ba) = (of(left), of(right));
            ab.merge(&of(right));
            ba.merge(&of(left));
            prop_assert_eq!(&ab, &of(&values));
            prop_assert_eq!(&ba, &ab);
            prop_assert_eq!(ab.sum(), values.iter().map(|&value| u128::from(value)).sum::<u128>());
            prop_assert_eq!(ab.buckets().map(|bucket| bucket.count).sum::<u64>(), ab.count());
        }
    }
}
