//! Circuit breakers of a whole cluster: Envoy's limits on what a caller has under way, and breakers of libraries in the application.
//!
//! Envoy's are limits on counts, per caller and cluster (`source/common/upstream/resource_manager_impl.h`); every test is
//! `count < limit`.

mod hystrix;
mod resilience4j;
mod window;

pub use hystrix::Options as HystrixOptions;
pub use resilience4j::{Options as Resilience4jOptions, WindowType};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::retry::{Limit, RetryBudget};
use crate::policy::{Answer, Outcome, Refusal};
use crate::time::Time;

/// Envoy's limits of a cluster, and a breaker in the application. If anything of Envoy's is written, or nothing at all, the others of its
/// limits have Envoy's defaults.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Connections to all endpoints; 1024 if absent. More requests wait, but an endpoint without any connection may always have one. It
    /// takes effect where there is `connection_pool`.
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection; 1024 if absent. It takes effect where there is `connection_pool`.
    pub max_pending_requests: Option<u32>,
    /// Requests under way; 1024 if absent.
    pub max_requests: Option<u32>,
    /// Retries under way, with those that wait for their moment; 3 if absent.
    pub max_retries: Option<u32>,
    /// Retries in relation to what is under way, instead of `max_retries`; none if absent.
    pub retry_budget: Option<RetryBudget>,
    /// Limits of a single endpoint.
    pub per_host_thresholds: Option<PerHost>,
    /// The same as Envoy writes it: a list in which the entry of priority `DEFAULT` counts.
    pub thresholds: Vec<Thresholds>,
    /// A breaker in the application, around all its attempts; none if absent.
    #[serde(rename = "library/circuit_breaker", alias = "library")]
    pub library: Option<Library>,
}

/// One entry of Envoy's list.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// `DEFAULT` or `HIGH`; calls here are of priority `DEFAULT`.
    pub priority: Priority,
    /// See above.
    pub max_connections: Option<u32>,
    /// See above.
    pub max_pending_requests: Option<u32>,
    /// See above.
    pub max_requests: Option<u32>,
    /// See above.
    pub max_retries: Option<u32>,
    /// See above.
    pub retry_budget: Option<RetryBudget>,
}

/// The priority of requests that an entry is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// That of all requests here.
    #[default]
    #[serde(alias = "DEFAULT")]
    Default,
    /// That of none.
    #[serde(alias = "HIGH")]
    High,
}

/// Limits of a single endpoint.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PerHost {
    /// Connections to one endpoint; without limit if absent.
    pub max_connections: Option<u32>,
}

/// A breaker of a library; one of them is written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Library {
    /// That of resilience4j.
    pub resilience4j: Option<Resilience4jOptions>,
    /// That of Hystrix.
    pub hystrix: Option<HystrixOptions>,
}

/// Envoy's defaults.
const DEFAULT: Limits = Limits {
    connections: 1024,
    pending: 1024,
    requests: 1024,
    connections_per_host: u32::MAX,
};
const DEFAULT_RETRIES: u32 = 3;

/// The limits that follow from the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections.
    pub connections: u32,
    /// Requests that wait for one.
    pub pending: u32,
    /// Requests under way.
    pub requests: u32,
    /// Connections to one endpoint.
    pub connections_per_host: u32,
}

impl Limits {
    /// None.
    pub const NONE: Limits = Limits {
        connections: u32::MAX,
        pending: u32::MAX,
        requests: u32::MAX,
        connections_per_host: u32::MAX,
    };
}

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        let flat = Options {
            thresholds: Vec::new(),
            library: None,
            per_host_thresholds: None,
            ..self.clone()
        };
        if !self.thresholds.is_empty() && flat != Options::default() {
            return Err("limits are written beside `thresholds` or in it, not in both places".to_string());
        }
        let default = |thresholds: &&Thresholds| thresholds.priority == Priority::Default;
        if self.thresholds.iter().filter(default).count() > 1 {
            return Err("`thresholds` has two entries of priority DEFAULT".to_string());
        }
        match &self.library {
            None => Ok(()),
            Some(Library {
                resilience4j: Some(options),
                hystrix: None,
            }) => options.check(),
            Some(Library {
                resilience4j: None,
                hystrix: Some(options),
            }) => options.check(),
            Some(_) => Err("`library/circuit_breaker` is one of `resilience4j` and `hystrix`".to_string()),
        }
    }

    /// What is said of requests of priority DEFAULT.
    fn written(&self) -> Thresholds {
        let default = |thresholds: &&Thresholds| thresholds.priority == Priority::Default;
        self.thresholds.iter().find(default).cloned().unwrap_or(Thresholds {
            priority: Priority::Default,
            max_connections: self.max_connections,
            max_pending_requests: self.max_pending_requests,
            max_requests: self.max_requests,
            max_retries: self.max_retries,
            retry_budget: self.retry_budget.clone(),
        })
    }

    /// Whether Envoy's limits hold.
    fn is_envoys(&self) -> bool {
        let without = Options {
            library: None,
            ..self.clone()
        };
        self.library.is_none() || without != Options::default()
    }

    /// The limits on requests and connections.
    pub fn limits(&self) -> Limits {
        if !self.is_envoys() {
            return Limits::NONE;
        }
        let written = self.written();
        let per_host = self.per_host_thresholds.as_ref().and_then(|host| host.max_connections);
        Limits {
            connections: written.max_connections.unwrap_or(DEFAULT.connections),
            pending: written.max_pending_requests.unwrap_or(DEFAULT.pending),
            requests: written.max_requests.unwrap_or(DEFAULT.requests),
            connections_per_host: per_host.unwrap_or(DEFAULT.connections_per_host),
        }
    }

    /// The limit of retries.
    pub fn retry_limit(&self) -> Limit {
        let written = self.written();
        match written.retry_budget {
            _ if !self.is_envoys() => Limit::Unlimited,
            Some(budget) => Limit::Budget(budget),
            None => Limit::Fixed(written.max_retries.unwrap_or(DEFAULT_RETRIES)),
        }
    }
}

/// A breaker of a library.
#[derive(Debug)]
enum Switch {
    Resilience4j(resilience4j::Breaker),
    Hystrix(hystrix::Breaker),
}

/// What holds the attempts of one caller back before an endpoint is picked.
#[derive(Debug)]
pub(crate) struct Breaker {
    max_requests: u64,
    switch: Option<Switch>,
}

/// Whether the application takes an attempt that ended so for a failure; `None`: it does not judge it.
fn is_failure(answer: Answer) -> Option<bool> {
    match answer {
        Answer::Status(status) => Some(status >= 500),
        Answer::ConnectFailure | Answer::Reset | Answer::PerTryTimeout | Answer::Timeout => Some(true),
        Answer::Cancelled => None,
    }
}

impl Breaker {
    pub fn new(options: &Options) -> Breaker {
        let library = options.library.as_ref();
        let resilience4j = library.and_then(|library| library.resilience4j.as_ref());
        let hystrix = library.and_then(|library| library.hystrix.as_ref());
        Breaker {
            max_requests: match options.limits().requests {
                u32::MAX => u64::MAX,
                limit => u64::from(limit),
            },
            switch: match (resilience4j, hystrix) {
                (Some(options), _) => Some(Switch::Resilience4j(resilience4j::Breaker::new(options))),
                (None, Some(options)) => Some(Switch::Hystrix(hystrix::Breaker::new(options))),
                (None, None) => None,
            },
        }
    }

    /// Whether an attempt may go anywhere while so many requests are under way.
    ///
    /// # Errors
    /// Why it may not.
    #[inline]
    pub fn admit(&mut self, requests: u64, now: Time) -> Result<(), Refusal> {
        let admitted = match &mut self.switch {
            None => true,
            Some(Switch::Resilience4j(breaker)) => breaker.admit(now),
            Some(Switch::Hystrix(breaker)) => breaker.admit(now),
        };
        if !admitted {
            return Err(Refusal::CircuitOpen);
        }
        if requests >= self.max_requests {
            self.on_refused(now);
            return Err(Refusal::Overflow);
        }
        Ok(())
    }

    /// An attempt that was admitted found no endpoint: the application gets an error at once.
    pub fn on_refused(&mut self, now: Time) {
        let error = Answer::Status(503);
        self.record(error, crate::time::Duration::ZERO, now);
    }

    /// An attempt has ended.
    #[inline]
    pub fn on_finished(&mut self, outcome: &Outcome, now: Time) {
        if self.switch.is_some() {
            self.record(outcome.answer, outcome.latency, now);
        }
    }

    fn record(&mut self, answer: Answer, latency: crate::time::Duration, now: Time) {
        let failed = is_failure(answer);
        match &mut self.switch {
            None => {}
            Some(Switch::Resilience4j(breaker)) => breaker.record(failed, latency, now),
            Some(Switch::Hystrix(breaker)) => breaker.record(failed, latency, now),
        }
    }
}
