//! Finagle's P2C with peak EWMA: of two distinct random nodes the healthier one, else that with the lower peak latency times
//! requests in flight.
//!
//! A node of which nothing is known costs nothing until it has a request, and then so much that it gets no second one before the
//! first is answered. As in tower's heir of it, reading a load decays the estimate for good.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{PanicMode, PeakEwma, Status, WeightClasses};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// What `Balancers.p2cPeakEwma` and the stack parameters around it take.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The mean lifetime of a measurement.
    #[serde(alias = "decayTime")]
    #[schemars(extend("x-upstream" = "Balancers.p2cPeakEwma decayTime"))]
    pub decay_time: Duration,
    /// How many endpoints may be unhealthy before one request in a hundred is sent to an unhealthy one.
    #[serde(alias = "panicMode")]
    #[schemars(extend("x-upstream" = "PanicMode"))]
    pub panic_mode: PanicMode,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            decay_time: Duration::from_secs(10),
            panic_mode: PanicMode::default(),
        }
    }
}

impl Options {
    /// Whether the options make sense.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if self.decay_time == Duration::ZERO {
            return Err("`decay_time` must be longer than 0".to_string());
        }
        Ok(())
    }
}

/// What a node costs that is asked for the first time, in nanoseconds: `Long.MaxValue >> 16`.
const PENALTY: f64 = (i64::MAX >> 16) as f64;

/// The estimate for one node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric(PeakEwma);

impl Metric {
    /// Nothing is known.
    pub fn new(now: Time) -> Metric {
        Metric(PeakEwma::new(0.0, now))
    }

    /// A request ended after `latency`; `decay` is in nanoseconds.
    #[inline]
    pub fn observe(&mut self, latency: Duration, decay: f64, now: Time) {
        self.0.observe(latency, decay, now);
    }

    /// What one more request costs, in nanoseconds.
    #[inline]
    pub fn load(&mut self, pending: u32, decay: f64, now: Time) -> f64 {
        let load = self.0.load(pending, decay, now);
        if load == 0.0 && pending > 0 {
            PENALTY + f64::from(pending)
        } else {
            load
        }
    }
}

/// One caller's estimates.
#[derive(Clone, Debug)]
pub struct Balancer {
    panic_mode: PanicMode,
    classes: WeightClasses,
    metrics: Metrics,
}

#[derive(Clone, Debug)]
struct Metrics {
    decay: f64,
    by_endpoint: Vec<Metric>,
}

impl Metrics {
    #[inline]
    fn better(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        (first, second): (EndpointIndex, EndpointIndex),
        now: Time,
    ) -> EndpointIndex {
        let decay = self.decay;
        let mut load =
            |endpoint: EndpointIndex| self.by_endpoint[endpoint.at()].load(endpoints.active[endpoint.at()], decay, now);
        let (status, other) = (Status::of(set, first), Status::of(set, second));
        // Finagle reads loads for its statistics too, the second one where the first is 0; and reading changes them.
        let first_load = load(first);
        let second_load = (status == other || first_load == 0.0).then(|| load(second));
        let first_wins = match second_load {
            Some(second_load) if status == other => first_load <= second_load,
            _ => status > other,
        };
        if first_wins { first } else { second }
    }
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "Of two random endpoints the healthier, then the one with the lower peak latency times requests";
    const SOURCE: &'static str = "twitter/finagle finagle-core/src/main/scala/com/twitter/finagle/loadbalancer/\
        {TrafficDistributor,PeakEwma}.scala, p2c/P2CPick.scala";
    const CHECKED: &'static str = "Vectors computed from Finagle's source; Loads computed from its formula; Requests of Finagle's own test; \
        Shares of weighted endpoints";
    const RULES: Rules = Rules::Any;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            panic_mode: options.panic_mode,
            classes: WeightClasses::default(),
            metrics: Metrics {
                decay: options.decay_time.0 as f64,
                by_endpoint: Vec::new(),
            },
        }
    }

    fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        let fresh = Metric::new(now);
        let metrics = &mut self.metrics.by_endpoint;
        if endpoint.at() >= metrics.len() {
            metrics.resize(endpoint.at() + 1, fresh);
        }
        metrics[endpoint.at()] = fresh;
    }

    fn update(&mut self, _: &Endpoints<'_>, _: CandidateSet<'_>, _: Time) {
        self.classes.forget();
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
        let metrics = &mut self.metrics;
        let better = |first, second| metrics.better(endpoints, set, (first, second), now);
        Some(self.classes.two_choices(endpoints, set, self.panic_mode, rng, better))
    }

    fn score(&mut self, endpoints: &Endpoints<'_>, endpoint: EndpointIndex, now: Time) -> Option<f64> {
        let decay = self.metrics.decay;
        let metric = self.metrics.by_endpoint.get_mut(endpoint.at())?;
        Some(metric.load(endpoints.active[endpoint.at()], decay, now))
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        let Metrics { decay, by_endpoint } = &mut self.metrics;
        by_endpoint[endpoint.at()].observe(outcome.latency, *decay, now);
    }
}
