//! Servers side by side on a line, each as long as its weight: where a number falls.

use crate::policy::balancer::nginx::peers::View;
use crate::policy::{CandidateSet, EndpointIndex, Endpoints};

/// Where each member of a set ends on the line; empty where all are equally long.
#[derive(Clone, Debug)]
pub struct Ranges {
    ends: Box<[u64]>,
    total: u64,
}

impl Ranges {
    /// The line of `set`.
    pub fn new(endpoints: &Endpoints<'_>, set: CandidateSet<'_>) -> Ranges {
        let mut total = 0;
        let ends = set.iter().map(|endpoint| {
            total += u64::from(endpoints.weights[endpoint.at()]);
            total
        });
        let ends: Vec<u64> = ends.collect();
        Ranges {
            ends: if set.has_equal_weights() { [].into() } else { ends.into() },
            total,
        }
    }

    /// How long the line is.
    #[inline]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The member at `point`, which is below the total.
    #[inline]
    pub fn at(&self, view: &View<'_>, point: u64) -> EndpointIndex {
        let place = if self.ends.is_empty() {
            point / u64::from(view.weight(view.set.get(0)))
        } else {
            self.ends.partition_point(|&end| end <= point) as u64
        };
        view.set.get(place as u32)
    }
}
