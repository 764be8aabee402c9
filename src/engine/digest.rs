//! A running hash over every event handled: equal digests mean equal runs.

use crate::time::Time;

/// The hash so far. One multiplication per event; not for adversaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Digest(0x6D65_7368_7369_6D31)
    }
}

impl Digest {
    /// Takes in one event.
    #[inline]
    pub fn absorb(&mut self, time: Time, word: u64) {
        let x = (self.0 ^ time.0).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        self.0 = x ^ word;
    }

    /// The hash.
    pub fn finish(self) -> u64 {
        let x = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        x ^ (x >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(events: &[(u64, u64)]) -> u64 {
        let mut digest = Digest::default();
        for &(time, word) in events {
            digest.absorb(Time(time), word);
        }
        digest.finish()
    }

    #[test]
    fn order_time_and_word_all_count() {
        let reference = digest(&[(1, 2), (3, 4)]);
        for other in [
            &[(3, 4), (1, 2)][..],
            &[(1, 2), (3, 5)],
            &[(1, 2), (4, 4)],
            &[(1, 2)],
            &[(1, 2), (3, 4), (3, 4)],
        ] {
            assert_ne!(digest(other), reference, "{other:?}");
        }
    }
}
