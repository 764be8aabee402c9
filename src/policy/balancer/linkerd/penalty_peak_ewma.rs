//! Linkerd's load biaser: peak EWMA in which a failure counts as a slow answer, so that who fails fast does not look attractive.
//!
//! It differs from the plain one in three more ways: a peak is compared with the decayed estimate, reading the load changes
//! nothing, and a measurement that is not later than the last one is dropped unless it is a peak.

use std::hint::select_unpredictable;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math;
use crate::policy::balancer::common::two_distinct;
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{Answer, EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// What the proxy's `LoadBiaserConfig` holds.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The latency of an endpoint before anything is known of it.
    #[schemars(extend("x-upstream" = "LoadBiaserConfig.default_rtt"))]
    pub default_rtt: Duration,
    /// The mean lifetime of a measurement; less than 1 ms counts as 1 ms.
    #[serde(alias = "rtt_decay")]
    #[schemars(extend("x-upstream" = "LoadBiaserConfig.rtt_decay"))]
    pub decay: Duration,
    /// The latency that a failure (429 or 5xx) counts as, at least.
    #[schemars(extend("x-upstream" = "LoadBiaserConfig.penalty_ms"))]
    pub penalty: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            default_rtt: Duration::from_secs(1),
            decay: Duration::from_secs(10),
            penalty: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// Nothing can be wrong.
    ///
    /// # Errors
    /// None.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// The least mean lifetime that the estimator works with.
const MIN_DECAY: Duration = Duration::from_millis(1);

/// A moving average over unevenly spaced measurements, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ewma {
    value: f64,
    decay: f64,
    updated: Time,
}

impl Ewma {
    /// An average that begins with `value`; infinity stands for none, and gives way to whatever is measured first.
    pub fn new(value: f64, decay: Duration, now: Time) -> Ewma {
        Ewma {
            value,
            decay: decay.max(MIN_DECAY).as_secs_f64(),
            updated: now,
        }
    }

    /// What was last stored.
    pub fn get(&self) -> f64 {
        self.value
    }

    /// What is left of it at `now`.
    #[inline]
    pub fn get_at(&self, now: Time) -> f64 {
        if self.value.is_infinite() || now <= self.updated {
            return self.value;
        }
        self.value * math::exp(-now.since(self.updated).as_secs_f64() / self.decay)
    }

    /// Takes a measurement, unless it is not later than the last one.
    pub fn add(&mut self, value: f64, now: Time) {
        if now <= self.updated {
            return;
        }
        if self.value.is_infinite() {
            self.value = value;
        } else {
            let new = 1.0 - math::exp(-now.since(self.updated).as_secs_f64() / self.decay);
            self.value = self.value * (1.0 - new) + value * new;
        }
        self.updated = now;
    }

    /// As [`Ewma::add`], but what is above the decayed value replaces it.
    pub fn add_peak(&mut self, value: f64, now: Time) {
        if self.value.is_infinite() || self.get_at(now) < value {
            self.value = value;
            self.updated = now;
        } else {
            self.add(value, now);
        }
    }
}

/// One caller's estimates.
#[derive(Clone, Debug)]
pub struct Balancer {
    options: Options,
    estimates: Vec<Ewma>,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "As linkerd/peak_ewma, but a failure counts as an answer of 5 s";
    const SOURCE: &'static str =
        "linkerd/linkerd2-proxy linkerd/load-biaser/src/lib.rs, linkerd/ewma/src/lib.rs, linkerd/pool/p2c/src/lib.rs";
    const CHECKED: &'static str = "Values of Linkerd's own tests; Loads computed from its formula; The share that theory gives";
    const DIFFERENCES: &'static str = "Answers carry no Retry-After, which would lengthen the penalty; gRPC failures are those that \
        come as HTTP statuses; a request ends with its answer, where the proxy ends it with the first data of a body";
    const RULES: Rules = Rules::Ready;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            options: options.clone(),
            estimates: Vec::new(),
        }
    }

    fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        let fresh = Ewma::new(self.options.default_rtt.as_secs_f64(), self.options.decay, now);
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
        let load = |endpoint: EndpointIndex| {
            self.estimates[endpoint.at()].get_at(now) * (f64::from(endpoints.active[endpoint.at()]) + 1.0)
        };
        Some(select_unpredictable(load(first) <= load(second), first, second))
    }

    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        let estimate = &mut self.estimates[endpoint.at()];
        let measured = match outcome.answer {
            // A penalty never makes an endpoint look better than it did.
            Answer::Status(429 | 500..600) => self.options.penalty.as_secs_f64().max(estimate.get_at(now)),
            _ => outcome.latency.as_secs_f64(),
        };
        estimate.add_peak(measured, now);
    }
}
