//! tower's `Balance` over `PendingRequests`: of two distinct random endpoints the one with fewer requests in flight.

use std::hint::select_unpredictable;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::two_distinct;
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

/// It has no options.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {}

impl Options {
    /// Nothing can be wrong.
    ///
    /// # Errors
    /// None.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// It has no state: the requests in flight are counted for it.
#[derive(Clone, Debug)]
pub struct Balancer;

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "Of two random endpoints the one with fewer requests in flight; weights are ignored";
    const SOURCE: &'static str = "tower-rs/tower tower/src/load/pending_requests.rs, tower/src/balance/p2c/service.rs";
    const CHECKED: &'static str = "The stationary distribution of two servers; The share that theory gives";
    const DIFFERENCES: &'static str = "Where no endpoint is ready a call fails, where `Balance` would keep it waiting";
    const RULES: Rules = Rules::Ready;

    fn new(_: &Options, _: usize) -> Balancer {
        Balancer
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        _: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        if set.len() == 1 {
            return Some(set.get(0));
        }
        let (first, second) = two_distinct(set, rng);
        let load = |endpoint: EndpointIndex| endpoints.active[endpoint.at()];
        Some(select_unpredictable(load(first) <= load(second), first, second))
    }
}
