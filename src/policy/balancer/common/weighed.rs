//! Two choices among weighted nodes, as Finagle's apertures make them.
//!
//! `finagle-core/src/main/scala/com/twitter/finagle/loadbalancer/aperture/{WeightedP2CPick,ProbabilityDistribution}.scala`.

use crate::policy::EndpointIndex;
use crate::policy::balancer::common::panic_mode::Status;

/// A node with what decides between it and another.
#[derive(Clone, Copy, Debug)]
pub struct Weighed {
    /// Which it is.
    pub endpoint: EndpointIndex,
    /// Its share of traffic, in any unit.
    pub weight: f64,
    /// Its load.
    pub load: f64,
    /// Its health.
    pub status: Status,
}

/// Draws that may hit the first node before it is accepted as the second, too.
const SECOND_DRAWS_MAX: u32 = 5;

/// Weights that differ by less are the same: what rounding leaves must not favour anybody.
const WEIGHT_TOLERANCE: f64 = 0.0001;

impl Weighed {
    /// A second draw, other than `first` if a few draws give one.
    #[inline]
    pub fn second<T: Copy + PartialEq>(first: T, mut draw: impl FnMut() -> T) -> T {
        let mut draws = (0..SECOND_DRAWS_MAX).map(|_| draw());
        draws.find(|&drawn| drawn != first).unwrap_or(first)
    }

    /// The healthier of two, or of equally healthy ones that with less load for its weight; this one if that is the same.
    #[inline]
    pub fn or(self, other: Weighed) -> EndpointIndex {
        let wins = if self.status != other.status {
            self.status > other.status
        } else if (self.weight - other.weight).abs() < WEIGHT_TOLERANCE {
            self.load <= other.load
        } else {
            self.load / self.weight <= other.load / other.weight
        };
        if wins { self.endpoint } else { other.endpoint }
    }
}
