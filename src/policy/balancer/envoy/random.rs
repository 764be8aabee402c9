//! Envoy's RANDOM: uniform, whatever the weights.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    const ABOUT: &'static str = "Uniformly random; weights are ignored";
    const SOURCE: &'static str = "envoyproxy/envoy source/extensions/load_balancing_policies/random/random_lb.cc";
    const CHECKED: &'static str = "The share that theory gives; Recorded latencies of the real proxy";
    const RULES: Rules = Rules::Envoy;

    fn new(_: &Options, _: usize) -> Balancer {
        Balancer
    }

    #[inline]
    fn pick(&mut self, _: &Endpoints<'_>, set: CandidateSet<'_>, _: &Hints<'_>, _: Time, rng: &mut Rng) -> Option<EndpointIndex> {
        Some(set.random(rng))
    }
}
