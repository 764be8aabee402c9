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

/// The members of `set` with their shares, which add up to 1: in its order, or locality by locality where these have weights. Then
/// a locality without weight is left out, and how many of its endpoints are healthy makes no difference, as in Envoy
/// (`source/extensions/load_balancing_policies/common/thread_aware_lb_impl.cc`: `normalizeLocalityWeights`).
pub fn shares(endpoints: &Endpoints<'_>, set: CandidateSet<'_>) -> Vec<(EndpointIndex, f64)> {
    let Some(localities) = set.by_weighted_locality() else {
        return normalized(endpoints, set.iter(), 1.0);
    };
    let sum: u64 = localities.iter().map(|&(weight, _)| u64::from(weight)).sum();
    let weighted = localities.iter().filter(|(weight, _)| *weight > 0);
    weighted
        .flat_map(|(weight, members)| normalized(endpoints, members.iter().copied(), f64::from(*weight) / sum as f64))
        .collect()
}

/// The members of `set` in its order, whatever their localities.
pub fn weighted_hosts<'a>(endpoints: &Endpoints<'a>, set: CandidateSet<'_>, use_hostname: bool) -> Vec<WeightedHost<'a>> {
    let shares = normalized(endpoints, set.iter(), 1.0).into_iter();
    shares
        .map(|(endpoint, weight)| WeightedHost {
            key: hash::key(&endpoints.infos[endpoint.at()], use_hostname),
            weight,
        })
        .collect()
}

/// The members with their shares of `whole`.
fn normalized(
    endpoints: &Endpoints<'_>,
    members: impl Iterator<Item = EndpointIndex> + Clone,
    whole: f64,
) -> Vec<(EndpointIndex, f64)> {
    let weight = |endpoint: EndpointIndex| endpoints.weights[endpoint.at()];
    let sum: u64 = members.clone().map(|endpoint| u64::from(weight(endpoint))).sum();
    members
        .map(|endpoint| (endpoint, f64::from(weight(endpoint)) * whole / sum as f64))
        .collect()
}
