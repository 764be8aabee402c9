//! The least loaded of several endpoints, fair among those that tie.

use std::cmp::Ordering;

use crate::policy::EndpointIndex;
use crate::random::Rng;

/// The endpoint with the least load, each of those that tie with the same probability. `endpoints` must not be empty.
#[inline]
pub fn least(
    mut endpoints: impl Iterator<Item = EndpointIndex>,
    load: impl Fn(EndpointIndex) -> u32,
    rng: &mut Rng,
) -> EndpointIndex {
    let mut best = endpoints.next().expect("somebody can be picked");
    let mut best_load = load(best);
    let mut ties = 1;
    for other in endpoints {
        let other_load = load(other);
        match other_load.cmp(&best_load) {
            Ordering::Less => (best, best_load, ties) = (other, other_load, 1),
            Ordering::Equal => {
                // The k-th of a tie replaces the one before with probability 1/k, so each of them stays with the same.
                ties += 1;
                if rng.below(ties) == 0 {
                    best = other;
                }
            }
            Ordering::Greater => {}
        }
    }
    best
}
