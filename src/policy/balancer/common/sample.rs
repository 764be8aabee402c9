//! Some distinct random members of a set.

use crate::policy::{CandidateSet, EndpointIndex};
use crate::random::Rng;

/// Room for a sample, kept from draw to draw.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    drawn: Vec<EndpointIndex>,
}

impl Sample {
    /// `count` distinct members of `set`, which has at least so many; each subset with the same probability, in no particular
    /// order (R. W. Floyd's method, CACM 30 (1987) p. 754). Costs O(`count`²).
    pub fn draw(&mut self, set: CandidateSet<'_>, count: u32, rng: &mut Rng) -> &[EndpointIndex] {
        self.drawn.clear();
        for last in set.len() - count..set.len() {
            let member = set.get(rng.below(u64::from(last) + 1) as u32);
            let taken = self.drawn.contains(&member);
            self.drawn.push(if taken { set.get(last) } else { member });
        }
        &self.drawn
    }
}
