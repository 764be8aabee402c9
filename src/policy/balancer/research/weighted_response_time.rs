//! Ribbon's WeightedResponseTimeRule: random, with a probability that falls with the average latency.
//!
//! Every half a minute each server gets as its weight the sum of all averages less its own, averages being those of all requests
//! since the server is known, in whole milliseconds each. Until there are weights, or when the list has another length than when
//! they were made, it is a round robin.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Health, Outcome};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// The interval.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How often weights are made.
    #[serde(alias = "ServerWeightTaskTimerInterval")]
    #[schemars(extend("x-upstream" = "ServerWeightTaskTimerInterval"))]
    pub server_weight_task_timer_interval: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            server_weight_task_timer_interval: Duration::from_secs(30),
        }
    }
}

impl Options {
    /// Whether the options make sense.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if self.server_weight_task_timer_interval == Duration::ZERO {
            return Err("`server_weight_task_timer_interval` must be longer than 0".to_string());
        }
        Ok(())
    }
}

/// The sums of the weights up to each of several servers with these average response times.
pub fn accumulated_weights(averages: impl Iterator<Item = f64> + Clone) -> impl Iterator<Item = f64> {
    let total: f64 = averages.clone().sum();
    averages.scan(0.0, move |passed, average| {
        *passed += total - average;
        Some(*passed)
    })
}

/// Weights that add up to less are none.
const LEAST_TOTAL: f64 = 0.001;

/// How many dead servers the round robin passes before it gives up.
const ROUND_ROBIN_TRIES: u32 = 10;

/// How many draws may hit dead servers before those alive are looked for.
const DRAWS_MAX: u32 = 8;

/// The response times of one server, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Statistics {
    sum: f64,
    count: f64,
}

impl Statistics {
    fn average(self) -> f64 {
        if self.count == 0.0 { 0.0 } else { self.sum / self.count }
    }
}

/// One caller's rule.
#[derive(Clone, Debug)]
pub struct Balancer {
    interval: Duration,
    statistics: Vec<Statistics>,
    // The set in use, its members, and the weights that were last made of them.
    set: Option<usize>,
    servers: Vec<EndpointIndex>,
    weights: Vec<f64>,
    // When weights are made next; `None`: before anything is known.
    due: Option<Time>,
    cursor: u32,
}

impl Balancer {
    /// Makes the weights that a timer would have made by now. Nothing has changed since the last time that it would have run.
    fn catch_up(&mut self, now: Time) {
        let Some(due) = self.due.filter(|&due| due <= now) else {
            return;
        };
        let runs = now.since(due).0 / self.interval.0 + 1;
        self.due = Some(due + Duration(runs * self.interval.0));
        let averages = self.servers.iter().map(|server| self.statistics[server.at()].average());
        self.weights.clear();
        self.weights.extend(accumulated_weights(averages));
    }

    fn round_robin(&mut self, set: CandidateSet<'_>) -> Option<EndpointIndex> {
        (0..ROUND_ROBIN_TRIES).find_map(|_| {
            self.cursor = (self.cursor + 1) % set.len();
            let endpoint = set.get(self.cursor);
            is_alive(set, endpoint).then_some(endpoint)
        })
    }

    /// Draws until a server is alive; after some draws, one of those alive in proportion to their weights, which is the same.
    fn weighted(&self, set: CandidateSet<'_>, total: f64, rng: &mut Rng) -> Option<EndpointIndex> {
        for _ in 0..DRAWS_MAX {
            let drawn = rng.unit() * total;
            let place = self.weights.partition_point(|&passed| passed < drawn);
            let endpoint = set.get(place as u32);
            if is_alive(set, endpoint) {
                return Some(endpoint);
            }
        }
        let weight = |place: u32| {
            let before = place.checked_sub(1).map_or(0.0, |before| self.weights[before as usize]);
            self.weights[place as usize] - before
        };
        let alive = (0..set.len()).filter(|&place| is_alive(set, set.get(place)));
        let mut left = rng.unit() * alive.clone().map(weight).sum::<f64>();
        let mut last = None;
        for place in alive {
            left -= weight(place);
            last = Some(set.get(place));
            if left <= 0.0 {
                break;
            }
        }
        last
    }
}

fn is_alive(set: CandidateSet<'_>, endpoint: EndpointIndex) -> bool {
    matches!(set.health(endpoint), Health::Healthy | Health::Degraded)
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "Random, the more likely the lower the average latency; weights are made every 30 s";
    const SOURCE: &'static str = "Netflix/ribbon ribbon-loadbalancer/src/main/java/com/netflix/loadbalancer/\
        {WeightedResponseTimeRule,RoundRobinRule,ServerStats}.java";
    const CHECKED: &'static str =
        "Vectors computed from Ribbon's source; Shares of its weights; The round robin before there are weights";
    const DIFFERENCES: &'static str = "The first interval begins when the first server is known; where all servers that are alive have \
        weight 0 one of them is picked, where Ribbon would draw for ever";
    const RULES: Rules = Rules::Any;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            interval: options.server_weight_task_timer_interval,
            statistics: Vec::new(),
            set: None,
            servers: Vec::new(),
            weights: Vec::new(),
            due: None,
            cursor: 0,
        }
    }

    fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        // Before what is known under that index is forgotten.
        self.catch_up(now);
        if endpoint.at() >= self.statistics.len() {
            self.statistics.resize(endpoint.at() + 1, Statistics::default());
        }
        self.statistics[endpoint.at()] = Statistics::default();
        self.due = self.due.or(Some(now + self.interval));
    }

    fn update(&mut self, _: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        self.catch_up(now);
        if self.set == Some(set.number()) {
            self.servers.clear();
            self.servers.extend(set.iter());
        }
    }

    fn pick(
        &mut self,
        _: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        now: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        if self.set != Some(set.number()) {
            self.set = Some(set.number());
            self.servers.clear();
            self.servers.extend(set.iter());
        }
        self.catch_up(now);
        let total = self.weights.last().copied().unwrap_or(0.0);
        if total < LEAST_TOTAL || self.weights.len() != set.len() as usize {
            return self.round_robin(set);
        }
        self.weighted(set, total, rng)
    }

    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        self.catch_up(now);
        let statistics = &mut self.statistics[endpoint.at()];
        statistics.sum += (outcome.latency.0 / 1_000_000) as f64;
        statistics.count += 1.0;
    }
}
