//! tower's `Balance` over `PeakEwma`: of two distinct random endpoints the one with the lower peak latency times requests in flight.
//!
//! Linkerd's balancer is this one with other figures. Here `default_rtt` is the second that the crate's documentation speaks of
//! (its constructor asks for it), and by default a request is done when its response comes (`CompleteOnResponse`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::PeakEwmas;
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// What `PeakEwma::new` takes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The latency of an endpoint before anything is known of it.
    #[schemars(extend("x-upstream" = "PeakEwma::new default_rtt"))]
    pub default_rtt: Duration,
    /// The mean lifetime of a measurement.
    #[schemars(extend("x-upstream" = "PeakEwma::new decay_ns"))]
    pub decay: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            default_rtt: Duration::from_secs(1),
            decay: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// Whether the options make sense.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if self.decay == Duration::ZERO {
            return Err("`decay` must be longer than 0".to_string());
        }
        Ok(())
    }
}

/// One caller's estimates.
#[derive(Clone, Debug)]
pub struct Balancer(PeakEwmas);

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "As linkerd/peak_ewma, with the defaults of the crate: an unknown endpoint is taken for slow";
    const SOURCE: &'static str = "tower-rs/tower tower/src/load/{peak_ewma,completion}.rs, tower/src/balance/p2c/service.rs";
    const CHECKED: &'static str = "Values of tower's own tests; Loads computed from its formula; The share that theory gives";
    const DIFFERENCES: &'static str =
        "The crate has no default for `decay`; where no endpoint is ready a call fails, where `Balance` would keep it waiting";
    const RULES: Rules = Rules::Ready;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer(PeakEwmas::new(options.default_rtt, options.decay))
    }

    fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        self.0.add(endpoint, now);
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
        Some(self.0.pick(endpoints, set, now, rng))
    }

    fn score(&mut self, endpoints: &Endpoints<'_>, endpoint: EndpointIndex, now: Time) -> Option<f64> {
        Some(self.0.load(endpoints, endpoint, now))
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        self.0.observe(endpoint, outcome.latency, now);
    }
}
