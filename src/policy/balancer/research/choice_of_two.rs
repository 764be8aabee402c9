//! Netflix's edge: of two random servers the one with the better sum of three scores: errors, utilization, requests in flight.
//!
//! "Rethinking Netflix's Edge Load Balancing" (Netflix Technology Blog, 2018), for Zuul. Servers over a limit are passed over in the
//! draw, unless several draws find no other. A server that has not answered yet has one request at a time, a young one is passed
//! over often, and what is known of a server fades while it says nothing new, or it would never be tried again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{Answer, EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// What the post describes, with figures where it has none.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The weight of a server's share of connection errors in its score, from 0 to 1000.
    pub health_weight: f64,
    /// The weight of the utilization that a server reports (1 = full), from 0 to 1000.
    pub utilization_weight: f64,
    /// The weight of a server's part in the requests in flight at both, from 0 to 1000.
    pub in_flight_weight: f64,
    /// A server with a greater share of connection errors is passed over, from 0 to 1.
    pub max_error_ratio: f64,
    /// A server that reports a greater utilization is passed over, above 0.
    pub max_utilization: f64,
    /// How many draws may be passed over before one is taken as it is.
    pub draws: u32,
    /// How long a new server gets less than its share, growing evenly; 0: not at all.
    pub warmup: Duration,
    /// How long it takes until what is known of a server has faded to nothing.
    pub decay: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            health_weight: 1.0,
            utilization_weight: 1.0,
            in_flight_weight: 1.0,
            max_error_ratio: 0.5,
            max_utilization: 0.9,
            draws: 10,
            warmup: Duration::from_secs(90),
            decay: Duration::from_secs(30),
        }
    }
}

impl Options {
    /// Whether the options make sense.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        let weights = [
            ("health_weight", self.health_weight),
            ("utilization_weight", self.utilization_weight),
            ("in_flight_weight", self.in_flight_weight),
        ];
        if let Some((name, value)) = weights.iter().find(|(_, value)| !(0.0..=1000.0).contains(value)) {
            return Err(format!("`{name}` must be from 0 to 1000, not {value}"));
        }
        if !(0.0..=1.0).contains(&self.max_error_ratio) {
            return Err(format!("`max_error_ratio` must be from 0 to 1, not {}", self.max_error_ratio));
        }
        if !(self.max_utilization > 0.0 && self.max_utilization <= 1e9) {
            return Err(format!("`max_utilization` must be above 0, not {}", self.max_utilization));
        }
        if !(1..=1000).contains(&self.draws) {
            return Err(format!("`draws` must be from 1 to 1000, not {}", self.draws));
        }
        if self.decay == Duration::ZERO {
            return Err("`decay` must be longer than 0".to_string());
        }
        Ok(())
    }
}

/// The weight of an outcome in the share of errors.
const ERROR_WEIGHT: f64 = 0.1;

/// What is known of one server.
#[derive(Clone, Copy, Debug)]
struct Server {
    // When it came to a list that had others already; `None`: it was there from the start.
    born: Option<Time>,
    has_answered: bool,
    error_ratio: f64,
    utilization: f64,
    updated: Time,
}

impl Server {
    /// What is left of a measurement at `now`: it fades evenly.
    fn left(&self, value: f64, decay: Duration, now: Time) -> f64 {
        value * (1.0 - now.since(self.updated).0 as f64 / decay.0 as f64).max(0.0)
    }
}

/// What one caller knows of the servers.
#[derive(Clone, Debug)]
pub struct Balancer {
    options: Options,
    servers: Vec<Server>,
    has_picked: bool,
}

impl Balancer {
    fn error_ratio(&self, endpoint: EndpointIndex, now: Time) -> f64 {
        let server = &self.servers[endpoint.at()];
        server.left(server.error_ratio, self.options.decay, now)
    }

    fn utilization(&self, endpoint: EndpointIndex, now: Time) -> f64 {
        let server = &self.servers[endpoint.at()];
        server.left(server.utilization, self.options.decay, now)
    }

    /// Whether a draw may be kept.
    fn is_viable(&self, endpoints: &Endpoints<'_>, endpoint: EndpointIndex, now: Time, rng: &mut Rng) -> bool {
        let server = &self.servers[endpoint.at()];
        if !server.has_answered && endpoints.active[endpoint.at()] > 0
            || self.error_ratio(endpoint, now) > self.options.max_error_ratio
            || self.utilization(endpoint, now) > self.options.max_utilization
        {
            return false;
        }
        match server.born.map(|born| now.since(born)) {
            Some(age) if age < self.options.warmup => rng.unit() * (self.options.warmup.0 as f64) < age.0 as f64,
            _ => true,
        }
    }

    /// A viable member other than `taken`, or the last that was drawn.
    fn draw(
        &self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        taken: Option<EndpointIndex>,
        now: Time,
        rng: &mut Rng,
    ) -> EndpointIndex {
        let mut drawn = set.get(0);
        for _ in 0..self.options.draws {
            drawn = loop {
                let member = set.random(rng);
                if Some(member) != taken {
                    break member;
                }
            };
            if self.is_viable(endpoints, drawn, now, rng) {
                break;
            }
        }
        drawn
    }
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str =
        "Of two random endpoints the one with fewer errors, less utilization and fewer requests in flight";
    const SOURCE: &'static str = "Netflix Technology Blog, Rethinking Netflix's Edge Load Balancing (2018)";
    const CHECKED: &'static str = "The stationary distribution of two servers; Scores computed pick by pick; \
        Probation, warm-up and limits as described";
    const DIFFERENCES: &'static str = "The post does not say how the three scores are weighed nor what the limits are: those are options \
        here, with figures of our own; the share of errors is a moving average over outcomes";
    const RULES: Rules = Rules::Envoy;
    const WANTS: Wants = Wants {
        load_reports: true,
        ..Wants::NOTHING
    };

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            options: options.clone(),
            servers: Vec::new(),
            has_picked: false,
        }
    }

    fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        let fresh = Server {
            born: self.has_picked.then_some(now),
            has_answered: false,
            error_ratio: 0.0,
            utilization: 0.0,
            updated: now,
        };
        if endpoint.at() >= self.servers.len() {
            self.servers.resize(endpoint.at() + 1, fresh);
        }
        self.servers[endpoint.at()] = fresh;
    }

    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        now: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        self.has_picked = true;
        if set.len() == 1 {
            return Some(set.get(0));
        }
        let first = self.draw(endpoints, set, None, now, rng);
        let second = self.draw(endpoints, set, Some(first), now, rng);
        let both = f64::from(endpoints.active[first.at()] + endpoints.active[second.at()]).max(1.0);
        let score = |endpoint: EndpointIndex| {
            self.options.health_weight * self.error_ratio(endpoint, now)
                + self.options.utilization_weight * self.utilization(endpoint, now)
                + self.options.in_flight_weight * f64::from(endpoints.active[endpoint.at()]) / both
        };
        Some(if score(first) <= score(second) { first } else { second })
    }

    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        let decay = self.options.decay;
        let server = &mut self.servers[endpoint.at()];
        let failed = matches!(outcome.answer, Answer::ConnectFailure | Answer::Reset | Answer::PerTryTimeout);
        let errors = server.left(server.error_ratio, decay, now);
        let utilization = server.left(server.utilization, decay, now);
        server.error_ratio = errors + ERROR_WEIGHT * (f64::from(u8::from(failed)) - errors);
        server.utilization = match outcome.load {
            Some(load) if load.application_utilization > 0.0 => load.application_utilization,
            Some(load) => load.cpu_utilization,
            None => utilization,
        };
        server.has_answered |= matches!(outcome.answer, Answer::Status(_));
        server.updated = now;
    }
}
