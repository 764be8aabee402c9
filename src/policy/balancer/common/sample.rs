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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::balancer::common::two_distinct;
    use crate::policy::candidates::{Candidates, Rules};
    use crate::policy::listing::Kind;

    /// How often each pair of four is drawn in 60,000 draws: 10,000 are expected, and 5 standard deviations are 456.
    fn check_pairs(mut draw: impl FnMut(CandidateSet<'_>, &mut Rng) -> [EndpointIndex; 2]) {
        let candidates = Candidates::of_equals(Rules::Envoy, 4);
        let set = candidates.set(Kind::Healthy as u32);
        let mut rng = Rng::new(1);
        let mut counts = [[0_u32; 4]; 4];
        for _ in 0..60_000 {
            let [a, b] = draw(set, &mut rng);
            counts[a.at().min(b.at())][a.at().max(b.at())] += 1;
        }
        for (a, row) in counts.iter().enumerate() {
            for (b, &count) in row.iter().enumerate() {
                let expected = if a < b { 10_000 } else { 0 };
                assert!(count.abs_diff(expected) <= 456, "{counts:?}");
            }
        }
    }

    #[test]
    fn all_pairs_are_equally_likely() {
        let mut sample = Sample::default();
        check_pairs(|set, rng| sample.draw(set, 2, rng).try_into().expect("two are drawn"));
        check_pairs(|set, rng| two_distinct(set, rng).into());
    }
}
