//! Numbers as bytes: variable-length integers, lists, and the two shapes that results are mostly made of, histograms and series.
//!
//! The same bytes on every platform. A number takes seven bits a byte, the lowest first (LEB128), so small ones are short; histograms
//! hold their occupied buckets only, each as the distance from the one before; runs of zeros in a series take two bytes.

use crate::measure::{Grid, Histogram, Series, SeriesHistogram};
use crate::time::{Duration, Time};

/// Elements for which room is made before any has been read: a length may be wrong.
const TRUSTED_LENGTH: usize = 1024;

/// Takes values.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    /// The grid written last: the series of a run share one.
    grid: Grid,
}

impl Writer {
    /// What has been written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Gives the values back in the order in which they were written.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    grid: Grid,
}

impl<'a> Reader<'a> {
    /// A reader of what a [`Writer`] wrote.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader {
            bytes,
            grid: Grid::default(),
        }
    }

    /// Whether all has been read.
    pub fn is_at_end(&self) -> bool {
        self.bytes.is_empty()
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(byte)
    }
}

/// A value that has bytes. Reading gives `None` where the bytes are those of no such value.
pub trait Encoded: Sized {
    /// Writes it.
    fn encode(&self, to: &mut Writer);
    /// Reads it.
    fn decode(from: &mut Reader<'_>) -> Option<Self>;
}

impl Encoded for u128 {
    fn encode(&self, to: &mut Writer) {
        let mut rest = *self;
        while rest > u128::from(u64::MAX) {
            to.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        (rest as u64).encode(to);
    }

    fn decode(from: &mut Reader<'_>) -> Option<u128> {
        let mut value = 0_u128;
        let mut shift = 0;
        loop {
            let byte = from.byte()?;
            let bits = u128::from(byte & 0x7f);
            // What does not fit is no number of ours.
            if shift > 127 || (bits << shift) >> shift != bits {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
            shift += 7;
        }
    }
}

impl Encoded for u64 {
    fn encode(&self, to: &mut Writer) {
        let mut rest = *self;
        while rest >= 0x80 {
            to.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        to.bytes.push(rest as u8);
    }

    fn decode(from: &mut Reader<'_>) -> Option<u64> {
        // Most are one byte.
        match from.bytes.first() {
            Some(&byte) if byte < 0x80 => {
                from.bytes = &from.bytes[1..];
                Some(u64::from(byte))
            }
            _ => u64::try_from(u128::decode(from)?).ok(),
        }
    }
}

macro_rules! narrower {
    ($($number:ty)*) => {$(
        impl Encoded for $number {
            fn encode(&self, to: &mut Writer) {
                (*self as u64).encode(to);
            }
            fn decode(from: &mut Reader<'_>) -> Option<$number> {
                <$number>::try_from(u64::decode(from)?).ok()
            }
        }
    )*};
}

narrower!(u8 u16 u32 usize);

impl Encoded for bool {
    fn encode(&self, to: &mut Writer) {
        to.bytes.push(u8::from(*self));
    }

    fn decode(from: &mut Reader<'_>) -> Option<bool> {
        match from.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Encoded for f64 {
    fn encode(&self, to: &mut Writer) {
        to.bytes.extend(self.to_bits().to_le_bytes());
    }

    fn decode(from: &mut Reader<'_>) -> Option<f64> {
        let (bytes, rest) = from.bytes.split_first_chunk::<8>()?;
        from.bytes = rest;
        Some(f64::from_bits(u64::from_le_bytes(*bytes)))
    }
}

impl Encoded for Time {
    fn encode(&self, to: &mut Writer) {
        self.0.encode(to);
    }

    fn decode(from: &mut Reader<'_>) -> Option<Time> {
        u64::decode(from).map(Time)
    }
}

impl Encoded for Duration {
    fn encode(&self, to: &mut Writer) {
        self.0.encode(to);
    }

    fn decode(from: &mut Reader<'_>) -> Option<Duration> {
        u64::decode(from).map(Duration)
    }
}

impl<T: Encoded> Encoded for Option<T> {
    fn encode(&self, to: &mut Writer) {
        self.is_some().encode(to);
        if let Some(value) = self {
            value.encode(to);
        }
    }

    fn decode(from: &mut Reader<'_>) -> Option<Option<T>> {
        match bool::decode(from)? {
            true => T::decode(from).map(Some),
            false => Some(None),
        }
    }
}

impl<T: Encoded> Encoded for Vec<T> {
    fn encode(&self, to: &mut Writer) {
        self.len().encode(to);
        self.iter().for_each(|value| value.encode(to));
    }

    fn decode(from: &mut Reader<'_>) -> Option<Vec<T>> {
        let length = usize::decode(from)?;
        let mut values = Vec::with_capacity(length.min(TRUSTED_LENGTH));
        for _ in 0..length {
            values.push(T::decode(from)?);
        }
        Some(values)
    }
}

impl<A: Encoded, B: Encoded> Encoded for (A, B) {
    fn encode(&self, to: &mut Writer) {
        self.0.encode(to);
        self.1.encode(to);
    }

    fn decode(from: &mut Reader<'_>) -> Option<(A, B)> {
        Some((A::decode(from)?, B::decode(from)?))
    }
}

impl<A: Encoded, B: Encoded, C: Encoded> Encoded for (A, B, C) {
    fn encode(&self, to: &mut Writer) {
        self.0.encode(to);
        self.1.encode(to);
        self.2.encode(to);
    }

    fn decode(from: &mut Reader<'_>) -> Option<(A, B, C)> {
        Some((A::decode(from)?, B::decode(from)?, C::decode(from)?))
    }
}

impl<const B: u32> Encoded for Histogram<B> {
    fn encode(&self, to: &mut Writer) {
        self.occupied().count().encode(to);
        let (Some(min), Some(max)) = (self.min(), self.max()) else {
            return;
        };
        min.encode(to);
        (max - min).encode(to);
        self.sum().encode(to);
        let mut next = 0;
        for (number, count) in self.occupied() {
            (number - next).encode(to);
            count.encode(to);
            next = number + 1;
        }
    }

    fn decode(from: &mut Reader<'_>) -> Option<Histogram<B>> {
        let occupied = usize::decode(from)?;
        if occupied == 0 {
            return Some(Histogram::new());
        }
        let min = u64::decode(from)?;
        let max = min.checked_add(u64::decode(from)?)?;
        let sum = u128::decode(from)?;
        let mut next = 0_u32;
        let mut is_whole = true;
        let buckets = (0..occupied).map_while(|_| {
            let mut bucket = || {
                let number = next.checked_add(u32::decode(from)?)?;
                next = number.checked_add(1)?;
                Some((number, u64::decode(from)?))
            };
            let bucket = bucket();
            is_whole &= bucket.is_some();
            bucket
        });
        let histogram = Histogram::from_occupied(buckets, sum, min, max)?;
        is_whole.then_some(histogram)
    }
}

impl Encoded for Grid {
    fn encode(&self, to: &mut Writer) {
        let is_as_before = *self == to.grid;
        is_as_before.encode(to);
        if !is_as_before {
            let (duration, interval) = self.parts();
            duration.encode(to);
            interval.encode(to);
            to.grid = *self;
        }
    }

    fn decode(from: &mut Reader<'_>) -> Option<Grid> {
        if !bool::decode(from)? {
            let (duration, interval) = (Duration::decode(from)?, Duration::decode(from)?);
            from.grid = match interval {
                Duration::ZERO => Grid::default(),
                // Each bucket takes a byte at least, or a share of a run of zeros that is short in memory too.
                _ if duration.0.div_ceil(interval.0) > u64::from(u32::MAX) => return None,
                _ => Grid::new(duration, interval),
            };
        }
        Some(from.grid)
    }
}

/// Whether a series has begun; then its grid; then its sums, a run of zeros as a zero and how many more follow.
impl Encoded for Series {
    fn encode(&self, to: &mut Writer) {
        let sums = self.sums();
        (!sums.is_empty()).encode(to);
        if sums.is_empty() {
            return;
        }
        self.grid().encode(to);
        let mut at = 0;
        while at < sums.len() {
            sums[at].encode(to);
            let run = sums[at..].iter().take_while(|&&sum| sum == 0).count();
            if run > 0 {
                (run - 1).encode(to);
            }
            at += run.max(1);
        }
    }

    fn decode(from: &mut Reader<'_>) -> Option<Series> {
        if !bool::decode(from)? {
            return Some(Series::default());
        }
        let grid = Grid::decode(from)?;
        let mut sums = Vec::with_capacity(grid.buckets().min(TRUSTED_LENGTH));
        while sums.len() < grid.buckets() {
            match u64::decode(from)? {
                0 => {
                    let length = sums.len().checked_add(usize::decode(from)?)?.checked_add(1)?;
                    if length > grid.buckets() {
                        return None;
                    }
                    sums.resize(length, 0);
                }
                sum => sums.push(sum),
            }
        }
        Series::from_sums(grid, sums)
    }
}

impl Encoded for SeriesHistogram {
    fn encode(&self, to: &mut Writer) {
        let histograms = self.histograms();
        (!histograms.is_empty()).encode(to);
        if !histograms.is_empty() {
            self.grid().encode(to);
            histograms.iter().for_each(|histogram| histogram.encode(to));
        }
    }

    fn decode(from: &mut Reader<'_>) -> Option<SeriesHistogram> {
        if !bool::decode(from)? {
            return Some(SeriesHistogram::default());
        }
        let grid = Grid::decode(from)?;
        let mut histograms = Vec::with_capacity(grid.buckets().min(TRUSTED_LENGTH));
        for _ in 0..grid.buckets() {
            histograms.push(Histogram::decode(from)?);
        }
        SeriesHistogram::from_histograms(grid, histograms)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(value: &impl Encoded) -> Vec<u8> {
        let mut writer = Writer::default();
        value.encode(&mut writer);
        writer.into_bytes()
    }

    fn again<T: Encoded>(value: &T) -> Option<T> {
        let bytes = bytes(value);
        let mut reader = Reader::new(&bytes);
        let value = T::decode(&mut reader)?;
        reader.is_at_end().then_some(value)
    }

    #[test]
    fn numbers_take_seven_bits_a_byte() {
        assert_eq!(bytes(&127_u64), [0x7f]);
        // The example of the DWARF standard (figure C.1).
        assert_eq!(bytes(&624_485_u64), [0xe5, 0x8e, 0x26]);
        assert_eq!(bytes(&u64::MAX).len(), 10);
        assert_eq!(bytes(&u128::MAX).len(), 19);
        assert_eq!(again(&u128::MAX), Some(u128::MAX));
        assert_eq!(u64::decode(&mut Reader::new(&bytes(&(1_u128 << 64)))), None);
        assert_eq!(u128::decode(&mut Reader::new(&[0xff; 30])), None);
        assert_eq!(u16::decode(&mut Reader::new(&bytes(&70_000_u64))), None);
    }

    #[test]
    fn series_come_back_and_zeros_are_short() {
        let mut series = Series::new(Duration(1_050), Duration(10));
        assert_eq!(bytes(&series).len(), 7, "{:?}", bytes(&series));
        series.add(Time(0), 3);
        series.add(Time(1_049), 1 << 40);
        assert_eq!(again(&series), Some(series.clone()));
        assert_eq!(again(&Series::default()), Some(Series::default()));
        // A second series of the same grid does not repeat it.
        let (one, two) = (bytes(&series).len(), bytes(&(series.clone(), series)).len());
        assert!(two < 2 * one);
    }

    proptest! {
        #[test]
        fn histograms_come_back(values in prop::collection::vec((0..64_u32, any::<u64>()).prop_map(|(shift, bits)| bits >> shift), 0..300)) {
            let mut histogram: Histogram = Histogram::new();
            values.iter().for_each(|&value| histogram.record(value));
            prop_assert_eq!(again(&histogram), Some(histogram));
        }

        #[test]
        fn whatever_the_bytes_are_reading_them_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = <(Histogram, Series, SeriesHistogram)>::decode(&mut Reader::new(&bytes));
            let _ = Vec::<Histogram<5>>::decode(&mut Reader::new(&bytes));
        }
    }
}
