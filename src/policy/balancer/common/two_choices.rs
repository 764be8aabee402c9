//! Two distinct random members: the power of two choices without replacement.

use crate::policy::{CandidateSet, EndpointIndex};
use crate::random::Rng;

/// Two different members of a set of at least two, each ordered pair with the same probability.
#[inline]
pub fn two_distinct(set: CandidateSet<'_>, rng: &mut Rng) -> (EndpointIndex, EndpointIndex) {
    let (first, second) = two_places(set.len(), rng);
    (set.get(first), set.get(second))
}

/// Two different places of `n`, of which there are at least two, each ordered pair with the same probability.
#[inline]
pub fn two_places(n: u32, rng: &mut Rng) -> (u32, u32) {
    debug_assert!(n >= 2);
    let first = rng.below(u64::from(n)) as u32;
    let second = rng.below(u64::from(n - 1)) as u32;
    // Shifted past the first, so that no draw need be repeated and all pairs are equally likely.
    (first, second + u32::from(second >= first))
}
