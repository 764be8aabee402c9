//! HAProxy's `observe`: failures in a row among a server's own traffic count as failed health checks, or take it down.
//!
//! `src/health.c` and `src/check.c` (`__health_adjust`), and `observe`, `error-limit`, `on-error`, `rise` and `fall` of its manual.
//! Real HAProxy wants health checks beside it: only they bring a server back. Where there are none here, who is down stays so until it
//! leaves the list and comes back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::whole_number::{self, WholeNumber};
use crate::policy::watch::{Decision, Decisions, Notice, Reason, Watcher};
use crate::policy::{Answer, EndpointIndex};

/// The parameters of a `server` line that are about its traffic.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "HaproxyObserve")]
pub struct Options {
    /// What counts: `layer4`, whether there is a connection; `layer7`, answers too (all 5xx but 501 and 505 are failures).
    pub observe: Observe,
    /// So many failures in a row are answered by `on_error`.
    #[serde(alias = "error-limit", deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub error_limit: u32,
    /// What is done then: `fail-check` counts as one failed check, `sudden-death` leaves one more to the end, `mark-down` takes the
    /// server down; `fastinter` only makes checks quicker.
    #[serde(alias = "on-error")]
    pub on_error: OnError,
    /// So many checks that pass in a row bring a server back.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub rise: u32,
    /// So many failed checks in a row take it down.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub fall: u32,
}

/// What of a server's traffic is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Observe {
    /// Whether it takes connections.
    Layer4,
    /// Its answers as well.
    #[default]
    Layer7,
}

/// What is done when the limit is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// Checks become quicker.
    Fastinter,
    /// A check has failed.
    #[default]
    #[serde(alias = "fail_check")]
    FailCheck,
    /// A check has failed, and the next one that does is the last.
    #[serde(alias = "sudden_death")]
    SuddenDeath,
    /// The server is down.
    #[serde(alias = "mark_down")]
    MarkDown,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            observe: Observe::Layer7,
            error_limit: 10,
            on_error: OnError::FailCheck,
            rise: 2,
            fall: 3,
        }
    }
}

impl Options {
    /// Whether HAProxy would take them.
    ///
    /// # Errors
    /// A sentence about the option that it would not take.
    pub fn check(&self) -> Result<(), String> {
        for (name, count) in [("error_limit", self.error_limit), ("rise", self.rise), ("fall", self.fall)] {
            if count == 0 {
                return Err(format!("`{name}` must be at least 1"));
            }
        }
        Ok(())
    }
}

/// What is known of a server. It is up while `health` is at least `rise`.
#[derive(Clone, Copy, Debug, Default)]
struct Server {
    consecutive_errors: u32,
    health: u32,
}

/// What one caller knows of the servers of an upstream.
#[derive(Debug)]
pub(crate) struct Detector {
    options: Options,
    // By endpoint.
    servers: Vec<Server>,
}

impl Detector {
    pub fn new(options: &Options) -> Detector {
        Detector {
            options: options.clone(),
            servers: Vec::new(),
        }
    }

    fn health_max(&self) -> u32 {
        self.options.rise.saturating_add(self.options.fall - 1)
    }

    pub fn on_added(&mut self, endpoint: EndpointIndex) {
        if self.servers.len() <= endpoint.at() {
            self.servers.resize(endpoint.at() + 1, Server::default());
        }
        self.servers[endpoint.at()] = Server {
            consecutive_errors: 0,
            health: self.health_max(),
        };
    }

    pub fn on_removed(&mut self, endpoint: EndpointIndex) {
        self.servers[endpoint.at()] = Server::default();
    }

    /// An attempt has ended.
    #[inline]
    pub fn on_finished(&mut self, endpoint: EndpointIndex, answer: Answer, decisions: &mut Decisions) {
        let is_error = match (answer, self.options.observe) {
            (Answer::Cancelled, _) => return,
            (Answer::ConnectFailure, _) => true,
            (_, Observe::Layer4) => false,
            (Answer::Status(status), Observe::Layer7) => status >= 500 && !matches!(status, 501 | 505),
            (Answer::Reset | Answer::PerTryTimeout | Answer::Timeout, Observe::Layer7) => true,
        };
        let server = &mut self.servers[endpoint.at()];
        if !is_error {
            server.consecutive_errors = 0;
            return;
        }
        server.consecutive_errors += 1;
        if server.consecutive_errors < self.options.error_limit {
            return;
        }
        server.consecutive_errors = 0;
        self.obey_limit(endpoint, decisions);
    }

    fn obey_limit(&mut self, endpoint: EndpointIndex, decisions: &mut Decisions) {
        let rise = self.options.rise;
        let server = &mut self.servers[endpoint.at()];
        if server.health < rise {
            return;
        }
        match self.options.on_error {
            OnError::Fastinter => return,
            OnError::FailCheck => {}
            OnError::SuddenDeath => server.health = server.health.min(rise + 1),
            OnError::MarkDown => server.health = rise,
        }
        server.health -= 1;
        if server.health < rise {
            // As HAProxy does it: all of `rise` is to be climbed again.
            server.health = 0;
            let reason = Reason::ConsecutiveFailures;
            decide(decisions, endpoint, Decision::Out { reason, until: None });
        }
    }

    /// An active health check has passed.
    pub fn on_check_passed(&mut self, endpoint: EndpointIndex, decisions: &mut Decisions) {
        let (rise, max) = (self.options.rise, self.health_max());
        let server = &mut self.servers[endpoint.at()];
        if server.health >= rise {
            server.health = max;
            return;
        }
        server.health += 1;
        if server.health == rise {
            server.health = max;
            decide(decisions, endpoint, Decision::In);
        }
    }
}

fn decide(decisions: &mut Decisions, endpoint: EndpointIndex, decision: Decision) {
    decisions.push_back(Notice {
        endpoint,
        watcher: Watcher::OutlierDetection,
        decision,
    });
}
