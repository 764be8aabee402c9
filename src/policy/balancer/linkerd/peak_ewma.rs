//! Linkerd's default: of two distinct random endpoints the one with the lower peak-sensitive latency times requests in flight.
//!
//! Failures count with their latency like answers, so an endpoint that fails fast looks attractive: that is the real one's too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::PeakEwmas;
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// What Linkerd's policy controller tells the proxy.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The latency of an endpoint before anything is known of it.
    #[schemars(extend("x-upstream" = "Load.peak_ewma.default_rtt"))]
    pub default_rtt: Duration,
    /// The mean lifetime of a measurement.
    #[schemars(extend("x-upstream" = "Load.peak_ewma.decay"))]
    pub decay: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            default_rtt: Duration::from_millis(30),
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
    const ABOUT: &'static str = "Of two random endpoints the one with the lower peak latency times requests in flight";
    const SOURCE: &'static str = "tower-rs/tower tower/src/load/peak_ewma.rs; linkerd/linkerd2-proxy linkerd/pool/p2c/src/lib.rs";
    const CHECKED: &'static str = "Values of tower's own tests; Loads computed from its formula; The share that theory gives";
    const DIFFERENCES: &'static str = "A request ends with its answer, where the proxy ends it with the first data of a body; calls do not wait for an endpoint";
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
