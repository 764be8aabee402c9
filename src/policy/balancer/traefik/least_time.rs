//! Traefik's leasttime: the shortest mean time to the first byte times requests, by weight; several take turns by deadline.
//!
//! A server of which nothing is known scores 0, so new ones get everything until their first answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{Answer, EndpointIndex, Endpoints, Health, Outcome};
use crate::random::Rng;
use crate::time::Time;

/// It has no options.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {}

impl Options {
    /// Nothing can be wrong.
    ///
    /// # Errors
    /// None.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Answers whose times are remembered.
const SAMPLES: usize = 100;

/// One process's servers.
#[derive(Clone, Debug, Default)]
pub struct Balancer {
    servers: Vec<Server>,
    // By level: the latest deadline there has been; `None`: the level has not been seen.
    latest: Vec<Option<f64>>,
}

/// What is known of one server.
#[derive(Clone, Debug, Default)]
struct Server {
    // `None`: it has not begun.
    deadline: Option<f64>,
    // Of the last answers, in whole milliseconds; past 100 the oldest is overwritten.
    times: Vec<u64>,
    oldest: usize,
    sum: u64,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "The shortest mean answer time of the last 100 times requests, by weight; several by deadline";
    const SOURCE: &'static str = "traefik/traefik pkg/server/service/loadbalancer/leasttime/leasttime.go";
    const CHECKED: &'static str = "Vectors of its score; a sequence computed from its source";
    const DIFFERENCES: &'static str =
        "Servers begin in the order of the list, which Traefik shuffles; answers come whole, so the first byte is the last";
    const RULES: Rules = Rules::Any;

    fn new(_: &Options, _: usize) -> Balancer {
        Balancer::default()
    }

    fn on_added(&mut self, server: EndpointIndex, _: Time) {
        if server.at() >= self.servers.len() {
            self.servers.resize(server.at() + 1, Server::default());
        }
        self.servers[server.at()] = Server::default();
    }

    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, _: Time) {
        if set.is_picked_from() {
            self.look(endpoints, set);
        }
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        _: Time,
        _: &mut Rng,
    ) -> Option<EndpointIndex> {
        if self.latest.get(set.level()).is_none_or(Option::is_none) {
            self.look(endpoints, set);
        }
        let is_up = |server: &EndpointIndex| !matches!(set.health(*server), Health::Unhealthy | Health::Excluded);
        let up = || set.iter().filter(is_up);
        let score = |server: EndpointIndex| {
            let (active, weight) = (endpoints.active[server.at()], endpoints.weights[server.at()]);
            score(self.servers[server.at()].mean(), active, weight)
        };
        let first = up().next()?;
        if up().nth(1).is_none() {
            return Some(first);
        }
        let mut least = f64::MAX;
        let (mut chosen, mut ties) = (first, 0);
        for server in up() {
            let score = score(server);
            if score < least {
                (least, chosen, ties) = (score, server, 1);
            } else if score == least {
                ties += 1;
                if self.deadline(server) < self.deadline(chosen) {
                    chosen = server;
                }
            }
        }
        if ties > 1 {
            self.take_turn(endpoints, set.level(), chosen);
        }
        Some(chosen)
    }

    #[inline]
    fn on_finished(&mut self, server: EndpointIndex, outcome: &Outcome, _: Time) {
        if let Answer::Status(_) = outcome.answer {
            self.servers[server.at()].record(outcome.latency.0 / 1_000_000);
        }
    }
}

/// What is compared: the mean time in milliseconds times requests and one more, by weight.
pub fn score(mean: f64, active: u32, weight: u32) -> f64 {
    mean * (1.0 + f64::from(active)) / f64::from(weight)
}

impl Balancer {
    /// Looks at a level anew: servers that have not begun do so, each a turn after the one before.
    fn look(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>) {
        if self.latest.len() <= set.level() {
            self.latest.resize(set.level() + 1, None);
        }
        let latest = self.latest[set.level()].get_or_insert(0.0);
        for server in set.iter() {
            let deadline = &mut self.servers[server.at()].deadline;
            if deadline.is_none() {
                *latest += 1.0 / f64::from(endpoints.weights[server.at()]);
                *deadline = Some(*latest);
            }
        }
    }

    fn deadline(&self, server: EndpointIndex) -> f64 {
        self.servers[server.at()].deadline.expect("its level has been looked at")
    }

    /// Moves on the deadline of a server that was taken among equals.
    fn take_turn(&mut self, endpoints: &Endpoints<'_>, level: usize, server: EndpointIndex) {
        let deadline = self.deadline(server) + 1.0 / f64::from(endpoints.weights[server.at()]);
        self.servers[server.at()].deadline = Some(deadline);
        let latest = self.latest[level].as_mut().expect("the level has been looked at");
        *latest = latest.max(deadline);
    }
}

impl Server {
    fn mean(&self) -> f64 {
        match self.times.len() {
            0 => 0.0,
            count => self.sum as f64 / count as f64,
        }
    }

    fn record(&mut self, time: u64) {
        self.sum += time;
        if self.times.len() < SAMPLES {
            self.times.push(time);
            return;
        }
        self.sum -= std::mem::replace(&mut self.times[self.oldest], time);
        self.oldest = (self.oldest + 1) % SAMPLES;
    }
}
