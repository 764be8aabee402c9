//! The members of a candidate set with normalized weights: what rings and Maglev tables are built of.

use crate::policy::balancer::common::hash;
use crate::policy::{CandidateSet, EndpointIndex, Endpoints};

/// A member with the text that is hashed for it.
#[derive(Clone, Copy, Debug)]
pub struct WeightedHost<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its share of all weights; the shares add up to 1.
    pub weight: f64,
}

/// The members of `set`, in its order.
pub fn weighted_hosts<'a>(endpoints: &Endpoints<'a>, set: CandidateSet<'_>, use_hostname: bool) -> Vec<WeightedHost<'a>> {
    let sum: u64 = set.iter().map(|endpoint| u64::from(endpoints.weights[endpoint.at()])).sum();
    set.iter()
        .map(|endpoint| WeightedHost {
            key: hash::key(&endpoints.infos[endpoint.at()], use_hostname),
            weight: weight_in(endpoints, endpoint, sum),
        })
        .collect()
}

/// The share of one endpoint in a sum of weights.
pub fn weight_in(endpoints: &Endpoints<'_>, endpoint: EndpointIndex, sum: u64) -> f64 {
    f64::from(endpoints.weights[endpoint.at()]) / sum as f64
}
