//! Envoy's LEAST_REQUEST: the least loaded of a few random endpoints, or of all; a schedule where weights differ or grow.
//!
//! The draws are with replacement, as Envoy's are: of two endpoints the busier one is picked a quarter of the time.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::math;
use crate::policy::balancer::common::wrapped_number::{self, Number};
use crate::policy::balancer::common::{Schedules, SlowStartConfig, least_of_draws, least_of_set, words_schema};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

/// What Envoy's `LeastRequest` message holds.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How many random endpoints are compared, at least 2. Without effect where weights differ or all are scanned.
    #[schemars(extend("x-upstream" = "LeastRequest.choice_count"))]
    pub choice_count: u32,
    /// Where weights differ, an endpoint's weight is divided by (active requests + 1) to this power; 0 leaves the weights alone.
    #[serde(deserialize_with = "wrapped_number::runtime_double")]
    #[schemars(with = "Number", extend("x-upstream" = "LeastRequest.active_request_bias"))]
    pub active_request_bias: f64,
    /// Whether a few random endpoints are compared, or all.
    #[schemars(extend("x-upstream" = "LeastRequest.selection_method"))]
    pub selection_method: SelectionMethod,
    /// How the weight of a new endpoint grows; not at all, it has it at once, if absent. All are scheduled by weight from the time
    /// when an endpoint begins until the list next changes after the window, as in Envoy.
    #[schemars(extend("x-upstream" = "LeastRequest.slow_start_config"))]
    pub slow_start_config: SlowStartConfig,
}

/// How the least loaded endpoint is looked for where all weights are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectionMethod {
    /// Among `choice_count` random ones; the one drawn first wins a tie.
    #[serde(alias = "N_CHOICES")]
    NChoices,
    /// Among all; ties are broken at random.
    #[serde(alias = "FULL_SCAN")]
    FullScan,
}

impl JsonSchema for SelectionMethod {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SelectionMethod".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        words_schema(&["n_choices", "full_scan"])
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            choice_count: 2,
            active_request_bias: 1.0,
            selection_method: SelectionMethod::NChoices,
            slow_start_config: SlowStartConfig::default(),
        }
    }
}

impl Options {
    /// Whether the options are in the ranges that Envoy admits.
    ///
    /// # Errors
    /// A sentence about the option that is not.
    pub fn check(&self) -> Result<(), String> {
        if self.choice_count < 2 {
            return Err(format!("`choice_count` must be at least 2, not {}", self.choice_count));
        }
        if !(self.active_request_bias >= 0.0 && self.active_request_bias.is_finite()) {
            return Err(format!(
                "`active_request_bias` must be at least 0, not {}",
                self.active_request_bias
            ));
        }
        self.slow_start_config.check()
    }
}

/// One caller's schedules; with equal weights there is nothing to remember but the active requests.
#[derive(Clone, Debug)]
pub struct Balancer {
    choice_count: u32,
    bias: f64,
    method: SelectionMethod,
    schedules: Schedules,
}

/// The weight of an endpoint in the schedule when it has `active` requests.
pub fn scheduled_weight(weight: u32, active: u32, bias: f64) -> f64 {
    let (weight, load) = (f64::from(weight), f64::from(active) + 1.0);
    if bias == 1.0 {
        weight / load
    } else if bias == 0.0 {
        weight
    } else {
        weight / math::pow(load, bias)
    }
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "The fewest active requests among a few random endpoints, or among all";
    const SOURCE: &'static str = "envoyproxy/envoy source/extensions/load_balancing_policies/least_request/least_request_lb.cc";
    const CHECKED: &'static str = "Recordings of Envoy 1.40; weights computed from its formula; the share that theory gives; slow start of Envoy 1.40 by share; weights computed from its slow start formula; Recorded latencies of the real proxy";
    const RULES: Rules = Rules::Envoy;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            choice_count: options.choice_count,
            bias: options.active_request_bias,
            method: options.selection_method,
            schedules: Schedules::new(&options.slow_start_config),
        }
    }

    fn start(&mut self, rng: &mut Rng) {
        self.schedules.start(rng.next_u64());
    }

    fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        self.schedules.on_added(endpoint, now);
    }

    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        let bias = self.bias;
        let weight = |endpoint| weight_now(endpoints, endpoint, bias);
        self.schedules.update(set, set.has_equal_weights(), weight, now);
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        now: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        let bias = self.bias;
        let weight = |endpoint| weight_now(endpoints, endpoint, bias);
        let scheduled = self.schedules.pick(set, || set.has_equal_weights(), weight, now);
        scheduled.or_else(|| {
            Some(match self.method {
                SelectionMethod::NChoices => least_of_draws(|| set.random(rng), endpoints.active, self.choice_count),
                SelectionMethod::FullScan => least_of_set(set, endpoints.active, rng),
            })
        })
    }
}

fn weight_now(endpoints: &Endpoints<'_>, endpoint: EndpointIndex, bias: f64) -> f64 {
    scheduled_weight(endpoints.weights[endpoint.at()], endpoints.active[endpoint.at()], bias)
}
