//! The least loaded of several endpoints, fair among those that tie.

use std::cmp::Ordering;
use std::hint::select_unpredictable;

use crate::policy::{CandidateSet, EndpointIndex};
use crate::random::Rng;

/// The member with the least load, each of those that tie with the same probability; `loads` is by [`EndpointIndex`].
#[inline]
pub fn least_of_set(set: CandidateSet<'_>, loads: &[u32], rng: &mut Rng) -> EndpointIndex {
    if set.is_prefix() {
        least_of_prefix(&loads[..set.len() as usize], rng)
    } else {
        least_of(set.iter(), loads, rng)
    }
}

/// The endpoint with the least load, each of those that tie with the same probability. `endpoints` must not be empty.
pub fn least_of(mut endpoints: impl Iterator<Item = EndpointIndex>, loads: &[u32], rng: &mut Rng) -> EndpointIndex {
    let mut best = endpoints.next().expect("somebody can be picked");
    let mut ties = 1;
    for other in endpoints {
        match loads[other.at()].cmp(&loads[best.at()]) {
            Ordering::Less => (best, ties) = (other, 1),
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

/// The same without branches in its loops, so that they run many endpoints at a time.
fn least_of_prefix(loads: &[u32], rng: &mut Rng) -> EndpointIndex {
    let least = loads.iter().copied().fold(u32::MAX, u32::min);
    let ties: u32 = loads.iter().map(|&load| u32::from(load == least)).sum();
    let nth = if ties == 1 { 0 } else { rng.below(u64::from(ties)) };
    let mut tied = (0..loads.len() as u32).filter(|&i| loads[i as usize] == least);
    EndpointIndex(tied.nth(nth as usize).expect("there are so many"))
}

/// The least loaded of `count` drawn endpoints, of which one may be drawn twice; the one drawn first wins a tie.
#[inline]
pub fn least_of_draws(mut draw: impl FnMut() -> EndpointIndex, loads: &[u32], count: u32) -> EndpointIndex {
    let mut best = draw();
    let mut best_load = loads[best.at()];
    for _ in 1..count {
        let drawn = draw();
        let load = loads[drawn.at()];
        // Which one is better is a toss-up, so a branch would be mispredicted half of the time.
        let is_better = load < best_load;
        best = select_unpredictable(is_better, drawn, best);
        best_load = select_unpredictable(is_better, load, best_load);
    }
    best
}

/// The endpoint with the least overhead for its weight, as IPVS compares them: without division, and the first one wins a tie.
pub fn least_overhead(
    endpoints: &[EndpointIndex],
    overhead: impl Fn(EndpointIndex) -> u64,
    weight: impl Fn(EndpointIndex) -> u32,
) -> Option<EndpointIndex> {
    let mut candidates = endpoints.iter().copied();
    let mut least = candidates.next()?;
    let (mut least_overhead, mut least_weight) = (overhead(least), u64::from(weight(least)));
    for endpoint in candidates {
        let (overhead, weight) = (overhead(endpoint), u64::from(weight(endpoint)));
        if least_overhead * weight > overhead * least_weight {
            (least, least_overhead, least_weight) = (endpoint, overhead, weight);
        }
    }
    Some(least)
}
