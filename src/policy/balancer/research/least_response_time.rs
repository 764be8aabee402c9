//! Least response time: the endpoint whose latency times requests in flight, the new one included, is the least for its weight.
//!
//! The rule that nginx Plus (`least_time`), F5 and Traefik share. They differ in how they average latencies, in whether an
//! average fades while nothing is measured, and in what an endpoint is worth of which nothing is known: all three are options.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math;
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// How latencies are averaged.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The mean lifetime of a measurement in the moving average. Without effect where `window` is set.
    pub decay: Duration,
    /// The average is that of the last so many latencies, all alike, instead of a moving one; at most 10000.
    pub window: Option<u32>,
    /// Whether the moving average falls towards 0 while nothing is measured, so that a slow endpoint is tried again.
    pub idle_decay: bool,
    /// The latency of an endpoint before anything is known of it; 0: those are tried first.
    pub default_latency: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            decay: Duration::from_secs(10),
            window: None,
            idle_decay: true,
            default_latency: Duration::ZERO,
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
        match self.window {
            Some(window) if !(1..=10_000).contains(&window) => {
                Err(format!("`window` must be from 1 to 10000 latencies, not {window}"))
            }
            _ => Ok(()),
        }
    }
}

/// The latencies of one endpoint, in nanoseconds.
#[derive(Clone, Debug)]
struct Estimate {
    average: f64,
    updated: Time,
    is_measured: bool,
    // The last ones with their sum, where there is a window.
    last: VecDeque<u64>,
    sum: u64,
}

/// One caller's estimates.
#[derive(Clone, Debug)]
pub struct Balancer {
    options: Options,
    estimates: Vec<Estimate>,
}

impl Balancer {
    #[inline]
    fn latency(&self, endpoint: EndpointIndex, now: Time) -> f64 {
        let estimate = &self.estimates[endpoint.at()];
        if self.options.idle_decay && self.options.window.is_none() && estimate.is_measured {
            estimate.average * self.kept(estimate, now)
        } else {
            estimate.average
        }
    }

    fn kept(&self, estimate: &Estimate, now: Time) -> f64 {
        math::exp(-(now.since(estimate.updated).0 as f64) / self.options.decay.0 as f64)
    }
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "The least latency times requests in flight of all endpoints, for their weights";
    const SOURCE: &'static str = "The rule of nginx Plus least_time, F5 fastest, and traefik/traefik pkg/server/service/loadbalancer/leasttime/leasttime.go";
    const CHECKED: &'static str = "Loads computed from its formula; The share that theory gives";
    const DIFFERENCES: &'static str =
        "None of the products is followed in every detail; nginx/least_time and traefik/least_time are";
    const RULES: Rules = Rules::Envoy;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            options: options.clone(),
            estimates: Vec::new(),
        }
    }

    fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        let fresh = Estimate {
            average: self.options.default_latency.0 as f64,
            updated: now,
            is_measured: false,
            last: VecDeque::with_capacity(self.options.window.unwrap_or(0) as usize),
            sum: 0,
        };
        if endpoint.at() >= self.estimates.len() {
            self.estimates.resize(endpoint.at() + 1, fresh.clone());
        }
        self.estimates[endpoint.at()] = fresh;
    }

    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        now: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        // Requests in flight decide among endpoints of no latency, or the first answer would have to be waited for by all.
        let score = |endpoint: EndpointIndex| {
            let requests = (f64::from(endpoints.active[endpoint.at()]) + 1.0) / f64::from(endpoints.weights[endpoint.at()]);
            (self.latency(endpoint, now) * requests, requests)
        };
        let mut best = set.get(0);
        let (mut least, mut ties) = (score(best), 1);
        for endpoint in set.iter().skip(1) {
            let found = score(endpoint);
            if found < least {
                (best, least, ties) = (endpoint, found, 1);
            } else if found == least {
                ties += 1;
                if rng.below(ties) == 0 {
                    best = endpoint;
                }
            }
        }
        Some(best)
    }

    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        let latency = outcome.latency.0;
        let kept = self.kept(&self.estimates[endpoint.at()], now);
        let estimate = &mut self.estimates[endpoint.at()];
        if let Some(window) = self.options.window {
            if estimate.last.len() == window as usize {
                estimate.sum -= estimate.last.pop_front().expect("a window is not empty");
            }
            estimate.last.push_back(latency);
            estimate.sum += latency;
            estimate.average = estimate.sum as f64 / estimate.last.len() as f64;
        } else if estimate.is_measured {
            estimate.average = estimate.average * kept + latency as f64 * (1.0 - kept);
        } else {
            estimate.average = latency as f64;
        }
        estimate.is_measured = true;
        estimate.updated = now;
    }
}
