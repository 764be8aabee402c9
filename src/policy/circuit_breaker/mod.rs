//! Circuit breakers of a whole cluster: Envoy's limits on what a caller has under way, and breakers of libraries in the application.
//!
//! Envoy's are limits on counts, per caller, cluster and priority of a request (`source/common/upstream/resource_manager_impl.h`); every
//! test is `count < limit`.

mod hystrix;
mod limits;
mod resilience4j;
mod window;

pub use hystrix::Options as HystrixOptions;
pub use limits::{Limits, PRIORITIES, PerHost, RoutingPriority, Thresholds};
pub use resilience4j::{Options as Resilience4jOptions, WindowType};
pub(in crate::policy) use window::Window;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::circuit_breaker::limits::{DEFAULT, DEFAULT_RETRIES, one_or_many, one_or_many_schema};
use crate::policy::retry::{Limit, RetryBudget, Standing};
use crate::policy::{Answer, Outcome, Refusal};
use crate::time::Time;

/// Envoy's limits of a cluster, and a breaker in the application. If anything of Envoy's is written, or nothing at all, the others of its
/// limits have Envoy's defaults.
///
/// What is written here itself holds for calls of priority `DEFAULT`, which all are without `mesh.priority`.
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
    /// Endpoints that there are connections to; without limit if absent. A request for a further one fails, as if no endpoint were well. It
    /// takes effect where there is `connection_pool`.
    pub max_connection_pools: Option<u32>,
    /// Limits of a single endpoint: a map, or a list of such for each priority, as in Envoy.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(schema_with = "one_or_many_schema")]
    pub per_host_thresholds: Vec<PerHost>,
    /// The same as Envoy writes it: a list with an entry for each priority. What has none there has Envoy's defaults.
    pub thresholds: Vec<Thresholds>,
    /// A breaker in the application, around all its attempts; none if absent.
    #[serde(rename = "library/circuit_breaker", alias = "library")]
    pub library: Option<Library>,
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

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        let is_flat = self.flat() != Thresholds::default();
        for priority in PRIORITIES {
            let entries = self.thresholds.iter().filter(|entry| entry.priority == priority).count();
            if priority == RoutingPriority::Default && entries > 0 && is_flat {
                return Err("limits are written beside `thresholds` or in it, not in both places".to_string());
            }
            let hosts = self.per_host_thresholds.iter().filter(|entry| entry.priority == priority);
            for (list, count) in [("thresholds", entries), ("per_host_thresholds", hosts.count())] {
                if count > 1 {
                    return Err(format!("`{list}` has two entries of priority {}", priority.word()));
                }
            }
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

    /// What is written without a priority.
    fn flat(&self) -> Thresholds {
        Thresholds {
            priority: RoutingPriority::Default,
            max_connections: self.max_connections,
            max_pending_requests: self.max_pending_requests,
            max_requests: self.max_requests,
            max_retries: self.max_retries,
            retry_budget: self.retry_budget.clone(),
            max_connection_pools: self.max_connection_pools,
        }
    }

    /// What is said of requests of a priority.
    fn written(&self, priority: RoutingPriority) -> Thresholds {
        let entry = self.thresholds.iter().find(|entry| entry.priority == priority);
        match (entry, priority) {
            (Some(entry), _) => entry.clone(),
            (None, RoutingPriority::Default) => self.flat(),
            (None, RoutingPriority::High) => Thresholds::default(),
        }
    }

    /// Whether Envoy's limits hold.
    fn is_envoys(&self) -> bool {
        let without = Options {
            library: None,
            ..self.clone()
        };
        self.library.is_none() || without != Options::default()
    }

    /// The limits on requests and connections of a priority.
    pub fn limits(&self, priority: RoutingPriority) -> Limits {
        if !self.is_envoys() {
            return Limits::NONE;
        }
        let written = self.written(priority);
        let per_host = self.per_host_thresholds.iter().find(|host| host.priority == priority);
        Limits {
            connections: written.max_connections.unwrap_or(DEFAULT.connections),
            pending: written.max_pending_requests.unwrap_or(DEFAULT.pending),
            requests: written.max_requests.unwrap_or(DEFAULT.requests),
            pools: written.max_connection_pools.unwrap_or(DEFAULT.pools),
            connections_per_host: per_host
                .and_then(|host| host.max_connections)
                .unwrap_or(DEFAULT.connections_per_host),
        }
    }

    /// The limit of retries of a priority.
    pub fn retry_limit(&self, priority: RoutingPriority) -> Limit {
        let written = self.written(priority);
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
    // By priority.
    max_requests: [u64; 2],
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
            max_requests: PRIORITIES.map(|priority| match options.limits(priority).requests {
                u32::MAX => u64::MAX,
                limit => u64::from(limit),
            }),
            switch: match (resilience4j, hystrix) {
                (Some(options), _) => Some(Switch::Resilience4j(resilience4j::Breaker::new(options))),
                (None, Some(options)) => Some(Switch::Hystrix(hystrix::Breaker::new(options))),
                (None, None) => None,
            },
        }
    }

    /// Whether an attempt may go anywhere while so many requests of its priority are under way.
    ///
    /// # Errors
    /// Why it may not.
    #[inline]
    pub fn admit(&mut self, standing: Standing, now: Time) -> Result<(), Refusal> {
        let admitted = match &mut self.switch {
            None => true,
            Some(Switch::Resilience4j(breaker)) => breaker.admit(now),
            Some(Switch::Hystrix(breaker)) => breaker.admit(now),
        };
        if !admitted {
            return Err(Refusal::CircuitOpen);
        }
        if standing.requests >= self.max_requests[standing.priority.at()] {
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
