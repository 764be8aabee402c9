//! Linkerd's default: of two distinct random endpoints the one with the lower peak-sensitive latency times requests in flight.
//!
//! Failures count with their latency like answers, so an endpoint that fails fast looks attractive: that is the real one's too.

use std::hint::select_unpredictable;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{PeakEwma, two_distinct};
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
pub struct Balancer {
    default_rtt: f64,
    decay: f64,
    estimates: Vec<PeakEwma>,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "Of two random endpoints the one with the lower peak latency times requests in flight";
    const SOURCE: &'static str = "tower-rs/tower tower/src/load/peak_ewma.rs; linkerd/linkerd2-proxy linkerd/pool/p2c/src/lib.rs";
    const CHECKED: &'static str = "Vectors of tower's test; the share that theory gives";
    const RULES: Rules = Rules::Ready;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            default_rtt: options.default_rtt.0 as f64,
            decay: options.decay.0 as f64,
            estimates: Vec::new(),
        }
    }

    fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        let fresh = PeakEwma::new(self.default_rtt, now);
        if endpoint.at() >= self.estimates.len() {
            self.estimates.resize(endpoint.at() + 1, fresh);
        }
        self.estimates[endpoint.at()] = fresh;
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
        if set.len() == 1 {
            return Some(set.get(0));
        }
        let (first, second) = two_distinct(set, rng);
        let decay = self.decay;
        let mut load = |endpoint: EndpointIndex| self.estimates[endpoint.at()].load(endpoints.active[endpoint.at()], decay, now);
        // Which one is better is a toss-up, so a branch would be mispredicted half of the time.
        Some(select_unpredictable(load(first) <= load(second), first, second))
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        self.estimates[endpoint.at()].observe(outcome.latency, self.decay, now);
    }
}
