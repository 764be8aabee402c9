//! Failure accrual: a breaker for each endpoint, which shuts it on failures and tries it with single requests.
//!
//! Linkerd calls a breaker that lets requests through open and Finagle an endpoint alive; here it admits, is shut for a time, and then
//! on trial: one request goes there, and what becomes of it decides. While it is awaited the endpoint gets nothing else.

mod config;
pub mod finagle;
pub mod linkerd;

pub use config::{Config, NAMES};
pub(crate) use config::{finagle_schemas, linkerd_schemas};

use crate::policy::watch::{Decision, Decisions, Notice, Reason, Watcher};
use crate::policy::{Answer, EndpointIndex, Outcome};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// The breakers of one caller and upstream.
#[derive(Debug)]
pub(crate) struct Accrual {
    kind: Kind,
    // By endpoint.
    states: Vec<State>,
    // Who is shut, in no order, and when the first of them is to be tried.
    shut: Vec<EndpointIndex>,
    next_trial: Time,
    // Whose trials have begun or ended to be awaited.
    changed: Vec<EndpointIndex>,
}

/// What is known of the endpoints, by whose breakers they are.
#[derive(Debug)]
enum Kind {
    Linkerd {
        rules: linkerd::Rules,
        records: Vec<linkerd::Record>,
    },
    Finagle {
        rules: finagle::Rules,
        records: Vec<finagle::Record>,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Admitting,
    Shut {
        until: Time,
    },
    /// The next request tries it.
    OnTrial,
    /// It is being tried.
    Awaited,
}

impl Accrual {
    pub fn new(config: &Config) -> Accrual {
        let kind = match config {
            Config::LinkerdConsecutive(options) => Kind::linkerd(options.into()),
            Config::LinkerdUnified(options) => Kind::linkerd(options.into()),
            Config::FinagleHybrid(options) => Kind::finagle(options.into()),
            Config::FinagleConsecutiveFailures(options) => Kind::finagle(options.into()),
            Config::FinagleSuccessRate(options) => Kind::finagle(options.into()),
            Config::FinagleSuccessRateWithinDuration(options) => Kind::finagle(options.into()),
        };
        Accrual {
            kind,
            states: Vec::new(),
            shut: Vec::new(),
            next_trial: Time::MAX,
            changed: Vec::new(),
        }
    }

    pub fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        let count = self.states.len().max(endpoint.at() + 1);
        self.states.resize(count, State::Admitting);
        self.forget(endpoint);
        match &mut self.kind {
            Kind::Linkerd { records, .. } => {
                records.resize_with(count, || linkerd::Record::new(now));
                records[endpoint.at()] = linkerd::Record::new(now);
            }
            Kind::Finagle { records, .. } => {
                records.resize_with(count, || finagle::Record::new(now));
                records[endpoint.at()] = finagle::Record::new(now);
            }
        }
    }

    pub fn on_removed(&mut self, endpoint: EndpointIndex) {
        self.forget(endpoint);
    }

    fn forget(&mut self, endpoint: EndpointIndex) {
        self.states[endpoint.at()] = State::Admitting;
        self.shut.retain(|&other| other != endpoint);
    }

    /// Whether an endpoint gets nothing because it is being tried.
    #[inline]
    pub fn is_awaited(&self, endpoint: EndpointIndex) -> bool {
        self.states[endpoint.at()] == State::Awaited
    }

    /// An endpoint about which [`Accrual::is_awaited`] says something else than before.
    #[inline]
    pub fn next_changed(&mut self) -> Option<EndpointIndex> {
        self.changed.pop()
    }

    fn set_state(&mut self, endpoint: EndpointIndex, state: State) {
        let last = std::mem::replace(&mut self.states[endpoint.at()], state);
        if (last == State::Awaited) != (state == State::Awaited) {
            self.changed.push(endpoint);
        }
    }

    /// An attempt was placed.
    #[inline]
    pub fn on_started(&mut self, endpoint: EndpointIndex) {
        if self.states[endpoint.at()] == State::OnTrial {
            self.set_state(endpoint, State::Awaited);
        }
    }

    /// An attempt has ended.
    #[inline]
    pub fn on_finished(
        &mut self,
        endpoint: EndpointIndex,
        outcome: &Outcome,
        now: Time,
        rng: &mut Rng,
        decisions: &mut Decisions,
    ) {
        let state = self.states[endpoint.at()];
        if outcome.answer == Answer::Cancelled {
            // Nothing was learnt: another request tries it.
            if state == State::Awaited {
                self.set_state(endpoint, State::OnTrial);
            }
            return;
        }
        match self.kind.judge(endpoint, state, outcome.answer, now, rng) {
            Verdict::Nothing => {}
            Verdict::Well => self.set_state(endpoint, State::Admitting),
            Verdict::Unclear => self.set_state(endpoint, State::OnTrial),
            Verdict::Shut(time, reason) => {
                let until = now + time;
                self.set_state(endpoint, State::Shut { until });
                self.shut.push(endpoint);
                self.next_trial = self.next_trial.min(until);
                let until = Some(until);
                decide(decisions, endpoint, Decision::Out { reason, until });
            }
        }
    }

    /// When the next endpoint may be tried.
    #[inline]
    pub fn next_timer(&self) -> Time {
        self.next_trial
    }

    /// Endpoints whose time has come may be tried.
    pub fn on_timer(&mut self, now: Time, decisions: &mut Decisions) {
        self.next_trial = Time::MAX;
        let (states, next_trial) = (&mut self.states, &mut self.next_trial);
        self.shut.retain(|&endpoint| match states[endpoint.at()] {
            State::Shut { until } if until <= now => {
                states[endpoint.at()] = State::OnTrial;
                decide(decisions, endpoint, Decision::In);
                false
            }
            State::Shut { until } => {
                *next_trial = until.min(*next_trial);
                true
            }
            _ => false,
        });
    }
}

/// What a result says of an endpoint.
enum Verdict {
    /// It stays as it is.
    Nothing,
    /// It takes requests as before.
    Well,
    /// The trial has decided nothing.
    Unclear,
    /// It is shut for so long.
    Shut(Duration, Reason),
}

impl Kind {
    fn linkerd(rules: linkerd::Rules) -> Kind {
        Kind::Linkerd {
            rules,
            records: Vec::new(),
        }
    }

    fn finagle(rules: finagle::Rules) -> Kind {
        Kind::Finagle {
            rules,
            records: Vec::new(),
        }
    }

    fn judge(&mut self, endpoint: EndpointIndex, state: State, answer: Answer, now: Time, rng: &mut Rng) -> Verdict {
        match self {
            Kind::Linkerd { rules, records } => {
                let record = &mut records[endpoint.at()];
                match state {
                    // What comes late says nothing.
                    State::Shut { .. } => Verdict::Nothing,
                    State::Admitting => match record.trips(rules, answer, now) {
                        Some(reason) => Verdict::Shut(record.penalty(rules, rng), reason),
                        None => Verdict::Nothing,
                    },
                    // Linkerd takes the first result, even if it is not that of the request that tries it.
                    State::OnTrial | State::Awaited if record.is_well(rules, answer) => {
                        *record = linkerd::Record::new(now);
                        Verdict::Well
                    }
                    State::OnTrial | State::Awaited => Verdict::Shut(record.penalty(rules, rng), Reason::ConsecutiveFailures),
                }
            }
            Kind::Finagle { rules, records } => {
                let record = &mut records[endpoint.at()];
                match (finagle::is_success(answer), state) {
                    (Some(true), State::Awaited) => {
                        record.revived(now);
                        record.succeeded(rules, now);
                        Verdict::Well
                    }
                    (Some(true), _) => {
                        record.succeeded(rules, now);
                        Verdict::Nothing
                    }
                    (Some(false), State::Admitting | State::Awaited) => match record.failed(rules, now, rng) {
                        Some((time, reason)) => Verdict::Shut(time, reason),
                        None if state == State::Awaited => Verdict::Unclear,
                        None => Verdict::Nothing,
                    },
                    _ => Verdict::Nothing,
                }
            }
        }
    }
}

fn decide(decisions: &mut Decisions, endpoint: EndpointIndex, decision: Decision) {
    decisions.push_back(Notice {
        endpoint,
        watcher: Watcher::FailureAccrual,
        decision,
    });
}
