//! Active health checks: a caller asks each endpoint now and then whether it is well.
//!
//! `envoy.rs` and `haproxy.rs` say what is made of the answers; here is when endpoints are asked. The time to the next check is counted from the
//! end of the last one in both, so checks that run into their timeout come less often.

mod config;
pub mod envoy;
pub mod haproxy;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

pub use config::{Options, Statuses};

use crate::policy::EndpointIndex;
use crate::policy::watch::{Decision, Decisions, Notice, Reason, Watcher};
use crate::random::{Draws, Key, Rng};
use crate::time::{Duration, Time};

/// What a check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The endpoint answered with this HTTP status, or took a connection where nothing more is asked for.
    Status(u16),
    /// There was no answer in time.
    Timeout,
    /// There was no connection, or it broke.
    NetworkFailure,
    /// An answer, of a check or of a request, said that the endpoint is to be taken for failed at once: Envoy's header
    /// `x-envoy-immediate-health-check-fail`.
    ImmediateFailure,
}

/// What a check asks for, which decides what it costs the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A request, which waits in the queue and takes a slot as all do.
    Request,
    /// A connection, which the endpoint's kernel accepts.
    Connection,
}

/// What is known of one endpoint.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// It is in the list.
    listed: bool,
    /// A check is on its way.
    checking: bool,
    /// The driver sees to its checks.
    parked: bool,
    /// Checks that have ended: the draws of the pause after each are its own.
    ended: u32,
    /// When the next one begins, if none is on its way.
    due: Time,
    standing: Standing,
}

/// How an endpoint stands, in the terms of whose checks these are.
#[derive(Clone, Copy, Debug)]
enum Standing {
    Envoy(envoy::Standing),
    Haproxy(haproxy::Standing),
}

/// What a result does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    /// The endpoint is taken out or comes back.
    turn: Option<Turn>,
    /// Until the next check.
    pause: Duration,
}

/// A change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Out,
    In,
}

/// The checks of one caller and upstream.
#[derive(Debug)]
pub(crate) struct Checker {
    options: Options,
    /// Who is there now has been found well before: a proxy uses no upstream before that.
    since: Time,
    rows: Vec<Row>,
    /// Checks to come, the earliest first; those that are not the `due` of their row are out of date.
    queue: BinaryHeap<Reverse<(Time, u32)>>,
    /// A request has been sent.
    traffic: bool,
    listed: u32,
    /// The draws of jitter.
    jitter: Key,
}

impl Checker {
    pub fn new(options: &Options, jitter: Key, now: Time) -> Checker {
        Checker {
            options: options.clone(),
            since: now,
            rows: Vec::new(),
            queue: BinaryHeap::new(),
            traffic: false,
            listed: 0,
            jitter,
        }
    }

    /// The draws of the pause after an endpoint's `number`th check.
    fn draws(&self, endpoint: EndpointIndex, number: u32) -> Draws {
        self.jitter.with(u64::from(endpoint.0)).with(u64::from(number)).draws()
    }

    /// The first checks come after this share of the interval: the caller has been at work for a while, and has sent requests.
    pub fn set_phase(&mut self, share: f64, now: Time) {
        self.traffic = true;
        let interval = self.options.interval();
        let first = Duration::from_nanos_f64(interval.0 as f64 * share);
        for at in 0..self.rows.len() {
            if self.rows[at].listed && !self.rows[at].checking {
                let spread = self.options.spread(at as u32, self.listed);
                self.rows[at].due = now + first + spread;
                self.queue.push(Reverse((self.rows[at].due, at as u32)));
            }
        }
        self.forget_outdated();
    }

    /// Whether the endpoint is out until it has been checked.
    pub fn on_added(&mut self, endpoint: EndpointIndex, now: Time, rng: &mut Rng) -> bool {
        let blank = Row {
            listed: false,
            checking: false,
            parked: false,
            ended: 0,
            due: Time::MAX,
            standing: Standing::Haproxy(haproxy::Standing::default()),
        };
        if self.rows.len() <= endpoint.at() {
            self.rows.resize(endpoint.at() + 1, blank);
        }
        let is_warm = now <= self.since;
        let (standing, delay, out) = match &self.options {
            Options::Envoy(options) => {
                let standing = options.standing(is_warm);
                let delay = if is_warm { options.interval } else { options.first_pause(rng) };
                (Standing::Envoy(standing), delay, !is_warm)
            }
            Options::Haproxy(options) => {
                let delay = if is_warm { options.inter } else { Duration::ZERO };
                (Standing::Haproxy(options.standing(is_warm)), delay, false)
            }
        };
        self.rows[endpoint.at()] = Row {
            listed: true,
            checking: false,
            parked: false,
            ended: self.rows[endpoint.at()].ended,
            due: now + delay,
            standing,
        };
        self.listed += 1;
        self.queue.push(Reverse((now + delay, endpoint.0)));
        out
    }

    pub fn on_removed(&mut self, endpoint: EndpointIndex) {
        let Some(row) = self.rows.get_mut(endpoint.at()) else { return };
        if row.listed {
            row.listed = false;
            row.checking = false;
            row.parked = false;
            row.due = Time::MAX;
            self.listed -= 1;
            self.forget_outdated();
        }
    }

    /// Whether an endpoint that is out does not even count among those that could be picked.
    pub fn is_excluded(&self, endpoint: EndpointIndex) -> bool {
        match self.rows.get(endpoint.at()).map(|row| &row.standing) {
            Some(Standing::Envoy(standing)) => standing.excluded,
            _ => false,
        }
    }

    /// A request was sent.
    #[inline]
    pub fn on_traffic(&mut self, _: Time) {
        self.traffic = true;
    }

    /// When the next check is due.
    #[inline]
    pub fn next_timer(&self) -> Time {
        self.queue.peek().map_or(Time::MAX, |first| first.0.0)
    }

    /// The next check, and whom it asks.
    #[inline]
    pub fn first(&self) -> Option<(Time, EndpointIndex)> {
        self.queue
            .peek()
            .map(|&Reverse((at, endpoint))| (at, EndpointIndex(endpoint)))
    }

    /// Whether an endpoint is one whose checks pass and change nothing by that, as long as nothing else happens.
    fn is_steady(&self, row: &Row) -> bool {
        let is_at_rest = match (&row.standing, &self.options) {
            (Standing::Envoy(standing), _) => standing.is_at_rest(),
            (Standing::Haproxy(standing), Options::Haproxy(options)) => options.is_at_rest(*standing),
            (Standing::Haproxy(_), Options::Envoy(_)) => false,
        };
        row.listed && !row.checking && !row.parked && self.traffic && is_at_rest && self.options.is_expected(200)
    }

    /// Leaves the checks of an endpoint to the driver, if all that pass would change nothing: when the next is due.
    pub fn park(&mut self, endpoint: EndpointIndex) -> Option<Time> {
        let row = self.rows.get(endpoint.at()).filter(|row| self.is_steady(row))?;
        let due = row.due;
        let row = &mut self.rows[endpoint.at()];
        row.parked = true;
        row.due = Time::MAX;
        self.forget_outdated();
        Some(due)
    }

    /// Whether the driver sees to the checks of an endpoint.
    pub fn is_parked(&self, endpoint: EndpointIndex) -> bool {
        self.rows.get(endpoint.at()).is_some_and(|row| row.parked)
    }

    /// The driver has seen `ended` checks pass, and gives the endpoint back; `due`: the next one, or `None` if one is on its way. Only the
    /// number counts if the endpoint has left the list meanwhile.
    pub fn unpark(&mut self, endpoint: EndpointIndex, ended: u32, due: Option<Time>) {
        let row = &mut self.rows[endpoint.at()];
        row.ended = row.ended.wrapping_add(ended);
        if !std::mem::take(&mut row.parked) {
            return;
        }
        row.checking = due.is_none();
        if let Some(due) = due {
            row.due = due;
            self.queue.push(Reverse((due, endpoint.0)));
        }
    }

    /// The pause after a check that the driver has seen pass, when `ended` others had since it got the endpoint.
    pub fn steady_pause(&self, endpoint: EndpointIndex, ended: u32) -> Duration {
        let number = self.rows[endpoint.at()].ended.wrapping_add(ended);
        match &self.options {
            Options::Envoy(options) => options.pause(true, false, self.traffic, &mut self.draws(endpoint, number)),
            Options::Haproxy(options) => options.inter,
        }
    }

    /// The same where it is always the same.
    pub fn constant_pause(&self) -> Option<Duration> {
        match &self.options {
            Options::Envoy(options) => options.constant_pause(),
            Options::Haproxy(options) => Some(options.inter),
        }
    }

    /// An endpoint that is to be checked now, and how long to wait for its answer.
    pub fn next_check(&mut self, now: Time) -> Option<(EndpointIndex, Duration)> {
        if self.next_timer() > now {
            return None;
        }
        let Reverse((_, endpoint)) = self.queue.pop()?;
        let row = &mut self.rows[endpoint as usize];
        row.checking = true;
        row.due = Time::MAX;
        self.forget_outdated();
        Some((EndpointIndex(endpoint), self.options.timeout()))
    }

    /// What was found; whether it was a success.
    pub fn on_checked(&mut self, endpoint: EndpointIndex, finding: Finding, now: Time, decisions: &mut Decisions) -> bool {
        let Some(ended) = self.rows.get(endpoint.at()).map(|row| row.ended) else {
            return false;
        };
        let mut draws = self.draws(endpoint, ended);
        let row = &mut self.rows[endpoint.at()];
        // A request's answer may say so at any time; else a result without a check is one that came too late.
        let is_passive = finding == Finding::ImmediateFailure && !row.checking;
        if !row.listed || !(row.checking || is_passive) {
            return false;
        }
        let passed = match finding {
            Finding::Status(status) => self.options.is_expected(status),
            _ => false,
        };
        let step = match (&mut row.standing, &self.options) {
            (Standing::Envoy(standing), Options::Envoy(options)) => {
                options.step(standing, finding, passed, self.traffic, &mut draws)
            }
            (Standing::Haproxy(standing), Options::Haproxy(options)) => options.step(standing, passed),
            _ => unreachable!("endpoints stand in the terms of the options"),
        };
        if let Some(turn) = step.turn {
            decisions.push_back(Notice {
                endpoint,
                watcher: Watcher::HealthCheck,
                decision: match turn {
                    Turn::In => Decision::In,
                    Turn::Out => Decision::Out {
                        reason: Reason::HealthCheck,
                        until: None,
                    },
                },
            });
        }
        if !is_passive {
            row.checking = false;
            row.ended = row.ended.wrapping_add(1);
            row.due = now + step.pause;
            self.queue.push(Reverse((row.due, endpoint.0)));
        }
        passed
    }

    /// Afterwards the first of the queue is the next check.
    fn forget_outdated(&mut self) {
        while let Some(&Reverse((at, endpoint))) = self.queue.peek() {
            if self.rows[endpoint as usize].due == at {
                return;
            }
            self.queue.pop();
        }
    }
}
