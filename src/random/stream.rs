//! The generator, and how seeds and keys become draws.
//!
//! The sequential generator is xoshiro256++ (Blackman and Vigna, TOMS 2021), whose values are fixed by its authors. A key is
//! mixed by the finalizer "moremur" (Pelle Evensen's improvement of the SplitMix64 finalizer), a bijection of 64 bits.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng};

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

    /// Uniform in the open interval (0, 1): the middle of one of 2^53 equal cells.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        open_unit(self.next_u64())
    }
}

#[inline]
fn open_unit(bits: u64) -> f64 {
    ((bits >> 11) as f64 + 0.5) * (1.0 / 9_007_199_254_740_992.0)
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

    /// Uniform in 0..n, by the remainder as the real proxies take it; the bias is below n / 2^64. `n` must not be 0.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        debug_assert!(n > 0);
        // The high half of the product is uniform too, and a multiplication is cheaper than a division.
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
