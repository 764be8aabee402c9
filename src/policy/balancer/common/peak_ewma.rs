//! A latency estimate that jumps up at once and decays slowly: tower's peak EWMA.
//!
//! Two quirks are tower's (`tower/src/load/peak_ewma.rs`): a new peak is compared with the estimate before it decays, and reading
//! the load decays it for good, as if a request of no latency had ended.

use std::hint::select_unpredictable;

use crate::math;
use crate::policy::balancer::common::two_distinct;
use crate::policy::{CandidateSet, EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// The estimate for one endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeakEwma {
    rtt: f64,
    updated: Time,
}

impl PeakEwma {
    /// An estimate before there is any measurement; `rtt` in nanoseconds.
    pub fn new(rtt: f64, now: Time) -> PeakEwma {
        PeakEwma { rtt, updated: now }
    }

    /// A request ended after `latency`; `decay` is the mean lifetime of a measurement in nanoseconds.
    #[inline]
    pub fn observe(&mut self, latency: Duration, decay: f64, now: Time) {
        let latency = latency.0 as f64;
        if self.rtt < latency {
            self.rtt = latency;
        } else {
            let kept = math::exp(-(now.since(self.updated).0 as f64) / decay);
            self.rtt = self.rtt * kept + latency * (1.0 - kept);
        }
        self.updated = now;
    }

    /// The estimate times one more than the requests in flight.
    #[inline]
    pub fn load(&mut self, pending: u32, decay: f64, now: Time) -> f64 {
        self.observe(Duration::ZERO, decay, now);
        self.rtt * (f64::from(pending) + 1.0)
    }
}

/// The estimates of one caller, and the choice of two by them.
#[derive(Clone, Debug)]
pub struct PeakEwmas {
    default_rtt: f64,
    decay: f64,
    estimates: Vec<PeakEwma>,
}

impl PeakEwmas {
    /// No endpoint is known yet; one of which nothing is measured has a latency of `default_rtt`.
    pub fn new(default_rtt: Duration, decay: Duration) -> PeakEwmas {
        PeakEwmas {
            default_rtt: default_rtt.0 as f64,
            decay: decay.0 as f64,
            estimates: Vec::new(),
        }
    }

    /// Learns of an endpoint.
    pub fn add(&mut self, endpoint: EndpointIndex, now: Time) {
        let fresh = PeakEwma::new(self.default_rtt, now);
        if endpoint.at() >= self.estimates.len() {
            self.estimates.resize(endpoint.at() + 1, fresh);
        }
        self.estimates[endpoint.at()] = fresh;
    }

    /// Of two distinct random members of `set` the one with the lower load; the first drawn if they are equal.
    #[inline]
    pub fn pick(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time, rng: &mut Rng) -> EndpointIndex {
        if set.len() == 1 {
            return set.get(0);
        }
        let (first, second) = two_distinct(set, rng);
        let decay = self.decay;
        let mut load = |endpoint: EndpointIndex| self.estimates[endpoint.at()].load(endpoints.active[endpoint.at()], decay, now);
        // Which one is better is a toss-up, so a branch would be mispredicted half of the time.
        select_unpredictable(load(first) <= load(second), first, second)
    }

    /// The load of an endpoint, by which [`PeakEwmas::pick`] compares: nanoseconds times requests.
    pub fn load(&mut self, endpoints: &Endpoints<'_>, endpoint: EndpointIndex, now: Time) -> f64 {
        self.estimates[endpoint.at()].load(endpoints.active[endpoint.at()], self.decay, now)
    }

    /// A request ended after `latency`.
    #[inline]
    pub fn observe(&mut self, endpoint: EndpointIndex, latency: Duration, now: Time) {
        self.estimates[endpoint.at()].observe(latency, self.decay, now);
    }
}
