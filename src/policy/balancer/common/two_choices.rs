//! Two distinct random members: the power of two choices without replacement.

use crate::policy::{CandidateSet, EndpointIndex};
use crate::random::Rng;

/// Two different members of a set of at least two, each ordered pair with the same probability.
#[inline]
pub fn two_distinct(set: CandidateSet<'_>, rng: &mut Rng) -> (EndpointIndex, EndpointIndex) {
    debug_assert!(set.len() >= 2);
    let first = rng.below(u64::from(set.len())) as u32;
    let second = rng.below(u64::from(set.len() - 1)) as u32;
    // Shifted past the first, so that no draw need be repeated and all pairs are equally likely.
    let second = second + u32::from(second >= first);
    (set.get(first), set.get(second))
}
