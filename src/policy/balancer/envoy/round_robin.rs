//! Envoy's ROUND_ROBIN: a cursor with a random start, or an earliest-deadline-first schedule where weights differ.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{PerSet, Schedules};
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

/// One caller's rotation.
#[derive(Clone, Debug, Default)]
pub struct Balancer {
    seed: u64,
    // Picks made; it outlives changes of the set, as in Envoy: only its remainder changes.
    cursors: PerSet<u64>,
    schedules: Schedules,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "One after the other from a random start; by weights on an earliest-deadline-first schedule";
    const SOURCE: &'static str = "envoyproxy/envoy source/extensions/load_balancing_policies/round_robin/round_robin_lb.h";
    const CHECKED: &'static str = "Recordings of Envoy 1.40; vectors of its scheduler test";
    const RULES: Rules = Rules::Envoy;

    fn new(_: &Options, _: usize) -> Balancer {
        Balancer::default()
    }

    fn start(&mut self, rng: &mut Rng) {
        self.seed = rng.next_u64();
        self.schedules = Schedules::new(self.seed);
    }

    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, _: Time) {
        self.schedules
            .update(set, |endpoint| f64::from(endpoints.weights[endpoint.at()]));
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        _: Time,
        _: &mut Rng,
    ) -> Option<EndpointIndex> {
        if !set.has_equal_weights() {
            return Some(
                self.schedules
                    .pick(set, |endpoint| f64::from(endpoints.weights[endpoint.at()])),
            );
        }
        let cursor = self.cursors.of(set.number());
        let place = self.seed.wrapping_add(*cursor) % u64::from(set.len());
        *cursor = cursor.wrapping_add(1);
        Some(set.get(place as u32))
    }
}
