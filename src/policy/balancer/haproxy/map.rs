//! The table of static-rr and of map-based hashes: each server has as many places as its weight says, well spread
//! (`src/lb_map.c`).

use crate::policy::EndpointIndex;
use crate::policy::balancer::haproxy::servers::Servers;
use crate::policy::candidates::CandidateSet;

/// Whose each place is.
#[derive(Clone, Debug)]
pub struct Map {
    places: Box<[EndpointIndex]>,
}

impl Map {
    /// The table of the usable servers of `set`. Where only one backup server is used its weight is the length, though all of
    /// them take part.
    pub fn new(servers: &Servers, set: CandidateSet<'_>) -> Map {
        let usable: Vec<EndpointIndex> = set.iter().filter(|&server| servers.eweight(server) > 0).collect();
        let weights: Vec<i64> = usable.iter().map(|&server| i64::from(servers.eweight(server))).collect();
        let length = match servers.sole_backup(set) {
            Some(sole) => i64::from(servers.eweight(sole)),
            None => weights.iter().sum(),
        };
        if length == 1 {
            return Map {
                places: [usable[0]].into(),
            };
        }
        let mut scores = vec![0; usable.len()];
        let place = |_| usable[next(&mut scores, &weights, length)];
        Map {
            places: (0..length).map(place).collect(),
        }
    }

    /// How many places there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whose a place is.
    #[inline]
    pub fn get(&self, place: usize) -> EndpointIndex {
        self.places[place]
    }
}

/// The server of the next place: each score grows by the weight, and the first whose score is highest in whole lengths pays one.
fn next(scores: &mut [i64], weights: &[i64], length: i64) -> usize {
    let (mut best, mut most) = (0, i64::MIN);
    for (i, (score, weight)) in scores.iter_mut().zip(weights).enumerate() {
        *score += weight;
        let lengths = (*score + length) / length;
        if lengths > most {
            (best, most) = (i, lengths);
        }
    }
    scores[best] -= length;
    best
}
