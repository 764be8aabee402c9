//! Envoy's ROUND_ROBIN: a cursor with a random start, or an earliest-deadline-first schedule where weights differ or grow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{PerSet, Schedules, SlowStartConfig};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

/// What Envoy's `RoundRobin` message holds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How the weight of a new endpoint grows; not at all, it has it at once, if absent.
    #[schemars(extend("x-upstream" = "RoundRobin.slow_start_config"))]
    pub slow_start_config: SlowStartConfig,
}

impl Options {
    /// Whether the options are in the ranges that Envoy admits.
    ///
    /// # Errors
    /// A sentence about the option that is not.
    pub fn check(&self) -> Result<(), String> {
        self.slow_start_config.check()
    }
}

/// One caller's rotation.
#[derive(Clone, Debug)]
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
    const CHECKED: &'static str = "Recordings of Envoy 1.40; vectors of its scheduler test; slow start of Envoy 1.40 by share; weights computed from its slow start formula; Recorded latencies of the real proxy";
    const RULES: Rules = Rules::Envoy;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            seed: 0,
            cursors: PerSet::default(),
            schedules: Schedules::new(&options.slow_start_config),
        }
    }

    fn start(&mut self, rng: &mut Rng) {
        self.seed = rng.next_u64();
        self.schedules.start(self.seed);
    }

    fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        self.schedules.on_added(endpoint, now);
    }

    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        let weight = |endpoint: EndpointIndex| f64::from(endpoints.weights[endpoint.at()]);
        self.schedules.update(set, set.has_equal_weights(), weight, now);
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        now: Time,
        _: &mut Rng,
    ) -> Option<EndpointIndex> {
        let weight = |endpoint: EndpointIndex| f64::from(endpoints.weights[endpoint.at()]);
        let scheduled = self.schedules.pick(set, || set.has_equal_weights(), weight, now);
        scheduled.or_else(|| {
            let cursor = self.cursors.of(set.number());
            let place = self.seed.wrapping_add(*cursor) % u64::from(set.len());
            *cursor = cursor.wrapping_add(1);
            Some(set.get(place as u32))
        })
    }
}
