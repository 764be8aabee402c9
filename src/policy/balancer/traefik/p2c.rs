//! Traefik's p2c: of two different random servers the one with fewer requests in flight.

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

/// It has no state.
#[derive(Clone, Debug)]
pub struct Balancer;

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "Of two different random servers the one with fewer requests; weights are ignored";
    const SOURCE: &'static str = "traefik/traefik pkg/server/service/loadbalancer/p2c/p2c.go";
    const CHECKED: &'static str = "The shares that its source gives";
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
        let is_better = endpoints.active[second.at()] < endpoints.active[first.at()];
        Some(if is_better { second } else { first })
    }
}
