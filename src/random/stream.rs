//! The generator, and how seeds and keys become draws.
//!
//! The sequential generator is xoshiro256++ (Blackman and Vigna, TOMS 2021), whose values are fixed by its authors. A key is
//! mixed by the finalizer "moremur" (Pelle Evensen's improvement of the SplitMix64 finalizer), a bijection of 64 bits.

use rand::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What a draw is for. The number is part of every key: changing it changes every result, so new purposes go at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// When a client sends.
    Arrivals = 1,
    /// The identity of a request, from which all its draws follow.
    Request = 2,
    /// Which key a request carries.
    HashKey = 3,
    /// Which caller (proxy) of a client sends a request.
    Caller = 4,
    /// How much work a step is.
    Work = 5,
    /// Coins of `probability`, `choose` and `fail`.
    Coin = 6,
    /// Latency and loss of a network hop.
    Network = 7,
    /// A cluster's own decisions: random picks, jitter.
    Policy = 8,
    /// Think time of a closed-loop user.
    Think = 9,
    /// Which endpoints a fault takes.
    Fault = 10,
    /// Which dispatcher an idle endpoint reports to.
    Idle = 11,
    /// Bytes of a request or response.
    Size = 12,
    /// Resampling in statistics.
    Bootstrap = 13,
    /// The ways of a caller's probes.
    Probe = 14,
    /// The ages at which connections are closed.
    Connection = 15,
    /// When in its period a caller's periodic work begins.
    Phase = 16,
    /// When endpoints are checked, and the ways of the checks.
    Check = 17,
    /// What discovery does and when.
    Discovery = 18,
    /// When random faults come, and for how long.
    FaultTime = 19,
    /// Which requests a proxy beside an endpoint turns away.
    Shield = 24,
}

/// Mixes two words into one; for a fixed `b` a bijection of `a`, and the reverse.
#[inline]
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut x = a ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 27;
    x = x.wrapping_mul(0x3C79_AC49_2BA7_B653);
    x ^= x >> 33;
    x = x.wrapping_mul(0x1C69_B3F7_4AC4_AE35);
    x ^ (x >> 27)
}

/// A point in the tree of keys. Two different paths give unrelated draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub u64);

impl Key {
    /// The key below this one that `word` names.
    #[inline]
    #[must_use]
    pub fn with(self, word: u64) -> Key {
        Key(mix(self.0, word))
    }

    /// The draws of this key, the first of them next.
    #[inline]
    pub fn draws(self) -> Draws {
        Draws { key: self.0, next: 0 }
    }

    /// The first draw of this key as a uniform number in (0, 1).
    #[inline]
    pub fn unit(self) -> f64 {
        self.draws().unit()
    }
}

/// The sequence of draws that belong to one key. Drawing more of them shifts no other key's.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    key: u64,
    next: u64,
}

impl Draws {
    /// Uniform 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.next += 1;
        mix(self.key, self.next)
    }

    /// Uniform in the open interval (0, 1): the middle of one of 2^52 equal cells.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        open_unit(self.next_u64())
    }
}

/// Bits as a uniform number in the open interval (0, 1); the lowest twelve have no part in it.
#[inline]
pub(super) fn open_unit(bits: u64) -> f64 {
    // 52 bits and the half fit a float's 53 digits: one bit more, and the last cell would round to 1.
    ((bits >> 12) as f64 + 0.5) * (1.0 / 4_503_599_627_370_496.0)
}

/// A sequential generator with the same values on every platform and in every version.
#[derive(Clone, Debug)]
pub struct Rng(Xoshiro256PlusPlus);

impl Rng {
    /// The generator of `seed`.
    pub fn new(seed: u64) -> Rng {
        Rng(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Uniform 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in 0..n, with a bias below n / 2^64, as the real proxies' remainder has. `n` must not be 0.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        debug_assert!(n > 0);
        // The high half of a product, not a remainder: a multiplication is cheaper than a division.
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// Uniform in the open interval (0, 1).
    #[inline]
    pub fn unit(&mut self) -> f64 {
        open_unit(self.next_u64())
    }

    /// As keyed draws, so that one sampler serves both; takes one value of this generator.
    #[inline]
    pub fn draws(&mut self) -> Draws {
        Draws {
            key: self.next_u64(),
            next: 0,
        }
    }
}

/// All randomness of one cell: a pure function of (seed, replication), the same for every variant.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    root: Key,
}

impl Streams {
    /// The streams of replication `replication` under `seed`.
    pub fn new(seed: u64, replication: u32) -> Streams {
        Streams {
            root: Key(mix(seed, 0x6D65_7368_7369_6D00)).with(u64::from(replication)),
        }
    }

    /// The key of a purpose and of what it belongs to.
    pub fn key(&self, purpose: Purpose, owner: u64) -> Key {
        self.root.with(purpose as u64).with(owner)
    }

    /// A sequential generator for a purpose and what it belongs to.
    pub fn rng(&self, purpose: Purpose, owner: u64) -> Rng {
        Rng::new(self.key(purpose, owner).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The expected words were computed by an independent program from the authors' definitions: xoshiro256++ seeded by SplitMix64
    // (Blackman and Vigna), and the finalizer "moremur" (Evensen).

    #[test]
    fn the_generator_has_its_authors_values() {
        let mut rng = Rng::new(42);
        let words = [rng.next_u64(), rng.next_u64(), rng.next_u64()];
        assert_eq!(words, [0xD076_4D4F_4476_689F, 0x519E_4174_576F_3791, 0xFBE0_7CFB_0C24_ED8C]);
    }

    #[test]
    fn streams_have_fixed_first_draws() {
        let mut draws = Streams::new(42, 0).key(Purpose::Work, 7).draws();
        let words = [draws.next_u64(), draws.next_u64(), draws.next_u64()];
        assert_eq!(words, [0x34D0_DBA1_A935_647C, 0x43C6_571A_5528_5568, 0xF397_75AF_A622_E1EC]);
        let mut rng = Streams::new(42, 3).rng(Purpose::Arrivals, 0);
        assert_eq!(
            [rng.next_u64(), rng.next_u64()],
            [0x6D9C_A4DD_C515_F5A5, 0xB82F_7D05_0124_B5C0]
        );
    }

    #[test]
    fn units_stay_within_the_open_interval() {
        assert!(open_unit(0) > 0.0);
        assert!(open_unit(u64::MAX) < 1.0);
        assert_eq!(open_unit(u64::MAX), 1.0 - f64::EPSILON / 2.0);
    }

    /// Pearson's statistic of `cells` equally likely cells, as standard deviations from its mean.
    fn chi_square(cells: usize, values: impl Iterator<Item = usize>) -> f64 {
        let mut counts = vec![0_u32; cells];
        values.for_each(|cell| counts[cell] += 1);
        let expected = f64::from(counts.iter().sum::<u32>()) / cells as f64;
        let statistic: f64 = counts
            .iter()
            .map(|&count| (f64::from(count) - expected) * (f64::from(count) - expected) / expected)
            .sum();
        (statistic - (cells - 1) as f64) / (2.0 * (cells - 1) as f64).sqrt()
    }

    #[test]
    fn keyed_draws_are_uniform_and_unrelated() {
        let streams = Streams::new(1, 0);
        let request = |id: u64| streams.key(Purpose::Request, 0).with(id);
        let n = 1 << 18;
        for shift in [0, 8, 24, 40, 56] {
            let byte = |bits: u64| (bits >> shift) as usize & 0xFF;
            // The first draws of successive keys; successive draws of one key; the first draws of successive steps.
            let across = chi_square(256, (0..n).map(|id| byte(request(id).draws().next_u64())));
            let mut draws = request(9).draws();
            let along = chi_square(256, (0..n).map(|_| byte(draws.next_u64())));
            let steps = chi_square(256, (0..n).map(|step| byte(request(9).with(step).draws().next_u64())));
            // Pairs of neighbours, for the upper four bits of each.
            let pair = |a: u64, b: u64| byte(a) >> 4 << 4 | byte(b) >> 4;
            let neighbours = (0..n).map(|id| pair(request(id).draws().next_u64(), request(id + 1).draws().next_u64()));
            let pairs = chi_square(256, neighbours);
            for z in [across, along, steps, pairs] {
                assert!(z.abs() < 4.5, "bits {shift}..: {across} {along} {steps} {pairs}");
            }
        }
    }

    #[test]
    fn one_bit_of_a_key_changes_half_of_the_draw() {
        for bit in 0..64 {
            let changed: u32 = (0..1000).map(|id| (mix(id, 1) ^ mix(id ^ (1 << bit), 1)).count_ones()).sum();
            let mean = f64::from(changed) / 1000.0;
            assert!((mean - 32.0).abs() < 1.0, "bit {bit} changes {mean} bits");
        }
    }

    #[test]
    fn below_is_uniform() {
        let mut rng = Rng::new(3);
        assert!(chi_square(7, (0..70_000).map(|_| rng.below(7) as usize)).abs() < 4.5);
    }
}
