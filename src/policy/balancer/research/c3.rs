//! C3: replicas are ranked by a score that grows with the cube of the queue that a request would find, and each has a send rate.
//!
//! Suresh et al. (NSDI 2015), with the constants of their Cassandra (`org.apache.cassandra.c3`, which wreda/cassandra-rein keeps in
//! `src/java/org/apache/cassandra/c3/{ScoreTracker,RateController,ReplicaGroupActor}.java`). A server answers with the length of
//! its queue and its service time; the queue is corrected for what all clients are about to send. The rate of a server rises as
//! CUBIC's window does, and falls when it answers less than is sent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{CubicLimits, CubicRate};
use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{Answer, CallerInfo, EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// The constants of score and rate.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The weight of a new measurement in the moving averages, above 0 and at most 1.
    #[schemars(extend("x-upstream" = "ScoreTracker.ALPHA"))]
    pub alpha: f64,
    /// The power of the queue in the score, from 1 to 10; the paper's b.
    pub exponent: f64,
    /// How many clients there are; if absent, what the driver knows of the caller.
    pub clients: Option<u32>,
    /// Whether send rates are limited, too.
    pub rate_control: bool,
    /// The interval that rates are for, the paper's delta.
    #[schemars(extend("x-upstream" = "RateController.RATE_INTERVAL_MS"))]
    pub rate_interval: Duration,
    /// How many requests to a server may be sent at once, at least 1.
    #[schemars(extend("x-upstream" = "RateController.RATE_LIMITER_MAX_TOKENS"))]
    pub max_tokens: f64,
    /// What a rate is multiplied by when it is too high, above 0 and below 1.
    #[schemars(extend("x-upstream" = "RateController.CUBIC_BETA"))]
    pub beta: f64,
    /// How fast rates rise, in requests per interval and cubed millisecond; above 0.
    #[schemars(extend("x-upstream" = "RateController.CUBIC_C"))]
    pub gamma: f64,
    /// The most that a rate rises at once, in requests per interval; above 0.
    #[schemars(extend("x-upstream" = "RateController.CUBIC_SMAX"))]
    pub s_max: f64,
    /// How long after a rise a rate does not fall.
    #[schemars(extend("x-upstream" = "RateController.CUBIC_HYSTERISIS_DURATION"))]
    pub hysteresis: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            alpha: 0.9,
            exponent: 3.0,
            clients: None,
            rate_control: true,
            rate_interval: Duration::from_millis(20),
            max_tokens: 50.0,
            beta: 0.2,
            gamma: 0.000_004,
            s_max: 10.0,
            hysteresis: Duration::from_millis(80),
        }
    }
}

impl Options {
    /// Whether the options make sense.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        let limits = [
            (
                "alpha",
                self.alpha,
                self.alpha > 0.0 && self.alpha <= 1.0,
                "above 0 and at most 1",
            ),
            (
                "exponent",
                self.exponent,
                (1.0..=10.0).contains(&self.exponent),
                "from 1 to 10",
            ),
            (
                "max_tokens",
                self.max_tokens,
                (1.0..=1e9).contains(&self.max_tokens),
                "from 1 to 1e9",
            ),
            ("beta", self.beta, self.beta > 0.0 && self.beta < 1.0, "above 0 and below 1"),
            (
                "gamma",
                self.gamma,
                self.gamma > 0.0 && self.gamma <= 1e9,
                "above 0 and at most 1e9",
            ),
            (
                "s_max",
                self.s_max,
                self.s_max > 0.0 && self.s_max <= 1e9,
                "above 0 and at most 1e9",
            ),
        ];
        if let Some((name, value, _, range)) = limits.iter().find(|limit| !limit.2) {
            return Err(format!("`{name}` must be {range}, not {value}"));
        }
        if self.rate_interval == Duration::ZERO {
            return Err("`rate_interval` must be longer than 0".to_string());
        }
        match self.clients {
            Some(0) => Err("`clients` must be at least 1".to_string()),
            _ => Ok(()),
        }
    }
}

impl From<&Options> for CubicLimits {
    fn from(options: &Options) -> CubicLimits {
        CubicLimits {
            interval: options.rate_interval,
            max_tokens: options.max_tokens,
            beta: options.beta,
            gamma: options.gamma,
            s_max: options.s_max,
            hysteresis: options.hysteresis,
        }
    }
}

/// The moving averages for one server; times are in any one unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Averages {
    /// From sending to the answer.
    pub response: f64,
    /// Of the service alone.
    pub service: f64,
    /// Requests at the server.
    pub queue: f64,
}

impl Averages {
    /// The score of a server with so many requests of this client outstanding, one of so many clients: the lowest is best.
    pub fn score(&self, outstanding: u32, clients: u32, exponent: f64) -> f64 {
        let queue = 1.0 + f64::from(outstanding) * f64::from(clients) + self.queue;
        self.response - self.service + power(queue, exponent) * self.service
    }
}

/// The usual exponent is 3, which needs no logarithm.
fn power(x: f64, exponent: f64) -> f64 {
    if exponent == 3.0 {
        x * x * x
    } else {
        crate::math::pow(x, exponent)
    }
}

/// What is known of one server.
#[derive(Clone, Copy, Debug)]
struct Server {
    averages: Averages,
    rate: CubicRate,
}

/// One caller's ranking.
#[derive(Clone, Debug)]
pub struct Balancer {
    options: Options,
    limits: CubicLimits,
    clients: u32,
    servers: Vec<Server>,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "The lowest score of latency and cubed queue among the endpoints that are below their send rates";
    const SOURCE: &'static str = "Suresh, Canini, Schmid and Feldmann, NSDI 2015; their Cassandra's org.apache.cassandra.c3 in \
        wreda/cassandra-rein src/java/org/apache/cassandra/c3/{ScoreTracker,RateController}.java";
    const CHECKED: &'static str =
        "Vectors computed from its formula; Scores computed pick by pick; Rates computed from the paper's rule";
    const DIFFERENCES: &'static str = "Where all endpoints are at their rates the best of them gets the request at once, which the real \
        one keeps in a queue until a rate allows it; without load reports a latency counts as service time; rates hold for 80 ms after a rise, as in the authors' code, \
        where the paper says twice the interval";
    const RULES: Rules = Rules::Envoy;
    const WANTS: Wants = Wants {
        load_reports: true,
        ..Wants::NOTHING
    };

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            options: options.clone(),
            limits: options.into(),
            clients: options.clients.unwrap_or(1),
            servers: Vec::new(),
        }
    }

    fn on_caller(&mut self, caller: &CallerInfo) {
        self.clients = self.options.clients.unwrap_or(caller.instances);
    }

    fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        let fresh = Server {
            averages: Averages::default(),
            rate: CubicRate::new(&self.limits, now),
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
        let limited = self.options.rate_control;
        let rank = |endpoint: EndpointIndex| {
            let server = &self.servers[endpoint.at()];
            let outstanding = endpoints.active[endpoint.at()];
            let score = server.averages.score(outstanding, self.clients, self.options.exponent);
            (limited && !server.rate.has_token(&self.limits, now), score)
        };
        let mut best = set.get(0);
        let (mut least, mut ties) = (rank(best), 1);
        for endpoint in set.iter().skip(1) {
            let found = rank(endpoint);
            if found < least {
                (best, least, ties) = (endpoint, found, 1);
            } else if found == least {
                ties += 1;
                if rng.below(ties) == 0 {
                    best = endpoint;
                }
            }
        }
        if limited && !least.0 {
            self.servers[best.at()].rate.take(&self.limits, now);
        }
        Some(best)
    }

    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        if !matches!(outcome.answer, Answer::Status(_)) {
            return;
        }
        let Server { averages, rate } = &mut self.servers[endpoint.at()];
        let latency = outcome.latency.as_secs_f64();
        let (service, queue) = match outcome.load {
            Some(load) => (load.service_time.as_secs_f64(), f64::from(load.in_flight)),
            None => (latency, 0.0),
        };
        let alpha = self.options.alpha;
        let update = |average: &mut f64, value: f64| *average = alpha * value + (1.0 - alpha) * *average;
        update(&mut averages.response, latency);
        update(&mut averages.service, service);
        update(&mut averages.queue, queue);
        if self.options.rate_control {
            rate.on_answer(&self.limits, now);
        }
    }
}
