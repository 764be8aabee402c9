//! A quantile of latencies with two significant digits, as the histogram that Envoy uses has them (circllhist).

/// Latencies in microseconds, in bins of two significant digits: ten to a hundred of each power of ten.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    bins: Vec<u32>,
    count: u32,
}

/// The first bins are 0 to 9, one value each; then 90 bins for each power of ten.
const SMALL: u64 = 10;
const PER_POWER: u64 = 90;
/// Up to 10^10 us, which is almost three hours.
const POWERS: u64 = 9;

impl Latencies {
    pub fn new() -> Latencies {
        Latencies {
            bins: vec![0; (SMALL + PER_POWER * POWERS) as usize],
            count: 0,
        }
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    pub fn record(&mut self, micros: u64) {
        let mut bin = micros;
        if micros >= SMALL {
            let (mut digits, mut power) = (micros, 0);
            while digits >= 100 {
                digits /= 10;
                power += 1;
            }
            bin = SMALL + power * PER_POWER + (digits - 10);
        }
        let last = self.bins.len() - 1;
        self.bins[(bin as usize).min(last)] += 1;
        self.count += 1;
    }

    /// The value below which the share `q` lies, within its bin as if values were spread evenly; and forgets all.
    pub fn take(&mut self, q: f64) -> u64 {
        let wanted = q * f64::from(self.count);
        let mut below = 0.0;
        let mut found = 0.0;
        for (bin, &count) in (0..).zip(&self.bins) {
            let count = f64::from(count);
            if count > 0.0 {
                let (low, width) = bounds(bin);
                found = low + width * ((wanted - below) / count).clamp(0.0, 1.0);
                if below + count >= wanted {
                    break;
                }
            }
            below += count;
        }
        self.clear();
        found as u64
    }

    pub fn clear(&mut self) {
        if self.count > 0 {
            self.bins.fill(0);
            self.count = 0;
        }
    }
}

/// Where a bin begins, and how wide it is.
fn bounds(bin: u64) -> (f64, f64) {
    // A value below ten has a second digit too, which whole microseconds never show.
    let Some(number) = bin.checked_sub(SMALL) else {
        return (bin as f64, 0.0);
    };
    let width = (0..number / PER_POWER).fold(1.0, |width, _| width * 10.0);
    ((number % PER_POWER + 10) as f64 * width, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_have_two_digits() {
        let mut latencies = Latencies::new();
        for micros in 1..=1000 {
            latencies.record(micros);
        }
        // 499 values lie below 500, and within a bin values count as spread evenly.
        assert_eq!(latencies.take(0.5), 501);
        assert_eq!(latencies.count(), 0);
        for value in [0, 7, 42, 4_242, 31_999_999] {
            latencies.record(value);
            let found = latencies.take(0.5) as f64;
            assert!(
                (found - value as f64).abs() <= 0.1 * value as f64,
                "{value} is taken for {found}"
            );
        }
        latencies.record(u64::MAX);
        assert!(latencies.take(0.9) >= 9_000_000_000);
    }
}
