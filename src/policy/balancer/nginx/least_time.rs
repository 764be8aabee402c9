//! nginx's least_time: the shortest time that a server would need for its requests and one more, by weight.
//!
//! Long commercial, the method is in nginx's open development tree since 2026, which this follows; its averages are of milliseconds.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::nginx::options::server_options;
use crate::policy::balancer::nginx::peers::{Peers, View};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{Answer, EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::Time;

server_options! {
    "What nginx lets a user write for `least_time` and for each `server`.";
    /// Which time is averaged.
    #[schemars(extend("x-upstream" = "least_time header|last_byte"))]
    mode: Mode = Mode::Header,
    /// Whether requests that are not yet answered count by the time that they have taken so far.
    #[schemars(extend("x-upstream" = "least_time … inflight"))]
    inflight: bool = false,
}

/// Until when the time of an answer is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Mode {
    /// Until its header is there.
    Header,
    /// Until all of it is there.
    LastByte,
}

/// One worker's servers.
#[derive(Clone, Debug)]
pub struct Balancer {
    peers: Peers,
    times: Vec<Times>,
    inflight: bool,
}

/// What is known of a server's times, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    // Of answers, and of requests that wait for one; 0: nothing is known.
    average: u64,
    inflight_average: u64,
    // What the requests that wait have waited in all, up to `changed`.
    inflight_sum: u64,
    changed: u64,
    inflight: u64,
}

/// Times above this are equally bad.
const BAD: u64 = 5000;

/// Times within one such step are equally good.
const STEP: u64 = 20;

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str =
        "The shortest average answer time times requests, by weight; several by smooth weighted round robin";
    const SOURCE: &'static str = "nginx/nginx src/http/modules/ngx_http_upstream_least_time_module.c";
    const CHECKED: &'static str = "A sequence computed from its source";
    const DIFFERENCES: &'static str =
        "Answers come whole, so `header` and `last_byte` are the same; requests in flight that fail count until their end";
    const RULES: Rules = Rules::Any;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            peers: Peers::new(options.server()),
            times: Vec::new(),
            inflight: options.inflight,
        }
    }

    fn on_added(&mut self, endpoint: EndpointIndex, _: Time) {
        self.peers.on_added(endpoint);
        if endpoint.at() >= self.times.len() {
            self.times.resize(endpoint.at() + 1, Times::default());
        }
        self.times[endpoint.at()] = Times::default();
    }

    fn update(&mut self, _: &Endpoints<'_>, _: CandidateSet<'_>, _: Time) {
        self.peers.on_changed();
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        now: Time,
        _: &mut Rng,
    ) -> Option<EndpointIndex> {
        let view = self.peers.view(endpoints, set, hints, now)?;
        if self.peers.is_single() {
            return self.peers.round_robin(&view);
        }
        let now = milliseconds(now);
        let (least, is_tied) = self.least(&view, now)?;
        let chosen = if is_tied {
            let Balancer { peers, times, .. } = self;
            let least_cost = needed(peers, times, &view, least);
            peers.round_robin_among(&view, view.set.iter(), |peers, endpoint| {
                let cost = needed(peers, times, &view, endpoint);
                compare(&view, (endpoint, cost), (least, least_cost)).is_eq()
            })?
        } else {
            least
        };
        self.peers.take(&view, chosen);
        if self.inflight {
            self.times[chosen.at()].begin(now);
        }
        Some(chosen)
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        if !self.peers.is_single() {
            let began = Time(now.0.saturating_sub(outcome.latency.0));
            let taken = milliseconds(now) - milliseconds(began);
            let times = &mut self.times[endpoint.at()];
            if times.inflight > 0 {
                times.end(taken, milliseconds(now));
            }
            if matches!(outcome.answer, Answer::Status(_)) && !self.peers.is_given_up(outcome) {
                times.average = average(times.average, taken);
            }
        }
        self.peers.on_finished(endpoint, outcome, now);
    }
}

impl Balancer {
    /// The first server with the shortest time, and whether it has its like.
    fn least(&mut self, view: &View<'_>, now: u64) -> Option<(EndpointIndex, bool)> {
        let Balancer { peers, times, .. } = self;
        let mut least: Option<((EndpointIndex, u64), bool)> = None;
        for endpoint in view.set.iter() {
            if !peers.is_eligible(view, endpoint) {
                continue;
            }
            times[endpoint.at()].wait(now);
            let candidate = (endpoint, needed(peers, times, view, endpoint));
            least = Some(match least {
                None => (candidate, false),
                Some((best, is_tied)) => match compare(view, candidate, best) {
                    Ordering::Less => (candidate, false),
                    Ordering::Equal => (best, true),
                    Ordering::Greater => (best, is_tied),
                },
            });
        }
        least.map(|((endpoint, _), is_tied)| (endpoint, is_tied))
    }
}

/// Which of two servers needs less time by weight.
fn compare(view: &View<'_>, a: (EndpointIndex, u64), b: (EndpointIndex, u64)) -> Ordering {
    let weight = |endpoint| u64::from(view.weight(endpoint));
    (a.1 * weight(b.0)).cmp(&(b.1 * weight(a.0)))
}

/// The time that a server would need for its requests and one more.
fn needed(peers: &Peers, times: &[Times], view: &View<'_>, endpoint: EndpointIndex) -> u64 {
    let times = &times[endpoint.at()];
    let fail_timeout = peers.options().fail_timeout;
    let idle = view.seconds - peers.checked(endpoint);
    let mut time = times.average;
    if idle > fail_timeout {
        // Halved for each such time without a request, so that slow servers get another chance.
        time = time.checked_shr((idle / (fail_timeout + 1)).min(64) as u32).unwrap_or(0);
    }
    if times.inflight > 0 {
        time = time.max(times.inflight_average);
    }
    let step = if time > BAD { BAD } else { time + STEP - time % STEP };
    step * (1 + u64::from(view.conns(endpoint)))
}

impl Times {
    /// Averages in what the requests in flight have waited so far.
    fn wait(&mut self, now: u64) {
        if let Some(mean) = self.inflight_sum.checked_div(self.inflight) {
            self.inflight_average = average(self.inflight_average, mean + now - self.changed);
        }
    }

    /// One more request in flight.
    fn begin(&mut self, now: u64) {
        self.inflight_sum += (now - self.changed) * self.inflight;
        self.changed = now;
        self.inflight += 1;
    }

    /// One request less, that took so long.
    fn end(&mut self, taken: u64, now: u64) {
        if self.inflight == 1 {
            self.inflight_sum = 0;
        } else {
            let sum = self.inflight_sum + (now - self.changed) * self.inflight;
            self.inflight_sum = sum.saturating_sub(taken);
            self.changed = now;
        }
        self.inflight -= 1;
    }
}

/// Of whole milliseconds: the new value counts a twentieth.
fn average(average: u64, value: u64) -> u64 {
    if average == 0 {
        return value;
    }
    (0.5 + (value as f64 * 0.05 + average as f64 * 0.95)) as u64
}

/// nginx's other clock, which counts milliseconds.
fn milliseconds(now: Time) -> u64 {
    now.0 / 1_000_000
}
