//! What is measured in every replication, by name.

use std::fmt;

/// A kind of thing that has metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeKind {
    /// A client: its requests.
    Client,
    /// A service: the attempts at its endpoints.
    Service,
    /// An edge: the calls from one owner to an operation.
    Edge,
    /// An endpoint: the attempts that arrive at it.
    Endpoint,
}

/// What is measured in every replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The share of requests, calls or attempts that succeeded.
    Availability,
    /// The mean latency of successes, in seconds.
    Mean,
    /// A quantile of the latency of successes, in seconds: an index into [`QUANTILE_NAMES`].
    Quantile(usize),
    /// How many requests, calls or attempts.
    Requests,
    /// The same by the second.
    Rate,
    /// Successful requests, calls or attempts by the second.
    Goodput,
    /// The share of requests, calls or attempts that failed; of one cause where one is named.
    ErrorRate,
    /// Failed requests, calls or attempts; of one cause where one is named.
    Failures,
    /// Requests or calls that a circuit breaker refused.
    Overflow,
    /// How many times as many requests of a client failed as its objective allows.
    ErrorBudgetBurn,
    /// Attempts by request or call; of a service: of the calls to it.
    AttemptsPerRequest,
    /// Attempts that arrive at a service by request of a client, all clients taken together.
    Amplification,
    /// The share of a service's work that was for attempts whose answer nobody waited for.
    WastedWork,
    /// How often callers took endpoints of a service out of balancing.
    Ejections,
    /// The share of a service's endpoints that its callers keep out of balancing: mean over callers and time.
    EjectedShare,
    /// The share of time in which callers of a service use endpoints whatever their health.
    PanicShare,
    /// From a change of an endpoint of a service to a caller that believes it: the mean, in seconds.
    DiscoveryDelay,
    /// Attempts that were sent to an endpoint that was gone or down.
    StaleRequests,
    /// The share of a service's slots that is busy.
    Utilization,
    /// The mean number of requests at a service.
    InFlight,
    /// The mean wait before service, in seconds.
    QueueWait,
    /// The share of attempts that waited.
    Waited,
    /// Attempts at the busiest endpoint of a service by those at an average one.
    LoadMax,
    /// Pairs of a caller and an endpoint of a service that had to do with each other.
    Connections,
    /// Of a fault, in seconds: from its begin until a caller takes an endpoint struck out; mean over those that do.
    TimeToDetect,
    /// Of a fault, in seconds: from its begin until every caller has all endpoints struck out.
    TimeToEject,
    /// Of a fault, in seconds: from its begin until endpoints struck get less than a hundredth of the attempts.
    TimeToShift,
    /// Of a fault, in seconds: from its end until clients are as well off as before.
    TimeToRecover,
    /// Of a fault: failed requests beyond those that would have failed without it.
    RequestsLost,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Less of it.
    Lower,
    /// More of it.
    Higher,
    /// Neither: that it stays what it was.
    Same,
}

/// The quantiles there are.
pub const QUANTILE_NAMES: [&str; 7] = ["p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99"];

const NAMES: [(&str, Metric); 28] = [
    ("availability", Metric::Availability),
    ("mean", Metric::Mean),
    ("requests", Metric::Requests),
    ("rate", Metric::Rate),
    ("goodput", Metric::Goodput),
    ("error_rate", Metric::ErrorRate),
    ("failures", Metric::Failures),
    ("overflow", Metric::Overflow),
    ("error_budget_burn", Metric::ErrorBudgetBurn),
    ("attempts_per_request", Metric::AttemptsPerRequest),
    ("amplification", Metric::Amplification),
    ("wasted_work", Metric::WastedWork),
    ("ejections", Metric::Ejections),
    ("ejected_share", Metric::EjectedShare),
    ("panic_share", Metric::PanicShare),
    ("discovery_delay", Metric::DiscoveryDelay),
    ("stale_requests", Metric::StaleRequests),
    ("utilization", Metric::Utilization),
    ("in_flight", Metric::InFlight),
    ("queue_wait", Metric::QueueWait),
    ("waited", Metric::Waited),
    ("load_max", Metric::LoadMax),
    ("connections", Metric::Connections),
    ("time_to_detect", Metric::TimeToDetect),
    ("time_to_eject", Metric::TimeToEject),
    ("time_to_shift", Metric::TimeToShift),
    ("time_to_recover", Metric::TimeToRecover),
    ("requests_lost", Metric::RequestsLost),
];

/// What failures are counted by, beside statuses (`503`) and classes of them (`5xx`).
const CAUSES: [&str; 12] = [
    "timeout",
    "per_try_timeout",
    "connect_failure",
    "reset",
    "no_endpoint",
    "overflow",
    "circuit_open",
    "throttled",
    "unfinished",
    "endpoint",
    "proxy_overflow",
    "no_healthy_upstream",
];

/// Whether failures are counted by this.
pub fn is_cause(word: &str) -> bool {
    let digits = word.strip_suffix("xx").unwrap_or(word);
    let is_status = word.len() == 3 && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_status || CAUSES.contains(&word)
}

/// Whether a word is `p` and a number.
pub(super) fn is_quantile(word: &str) -> bool {
    let digits = word.strip_prefix(['p', 'P']).unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// The names of all metrics.
pub fn metric_names() -> impl Iterator<Item = &'static str> {
    QUANTILE_NAMES.into_iter().chain(NAMES.iter().map(|(name, _)| *name))
}

impl Metric {
    /// The metric of a name.
    pub fn from_name(name: &str) -> Option<Metric> {
        let quantile = QUANTILE_NAMES.iter().position(|other| *other == name).map(Metric::Quantile);
        quantile.or_else(|| NAMES.iter().find(|(other, _)| *other == name).map(|(_, metric)| *metric))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Quantile(index) => QUANTILE_NAMES[index],
            other => {
                NAMES
                    .iter()
                    .find(|(_, metric)| *metric == other)
                    .expect("every metric has a name")
                    .0
            }
        }
    }

    /// Whether things of a kind have it.
    pub fn is_of(self, kind: ScopeKind) -> bool {
        match self {
            Metric::Availability | Metric::Requests | Metric::Rate | Metric::Goodput | Metric::ErrorRate | Metric::Failures => {
                true
            }
            Metric::Mean | Metric::Quantile(_) | Metric::AttemptsPerRequest => kind != ScopeKind::Endpoint,
            Metric::Overflow => matches!(kind, ScopeKind::Client | ScopeKind::Edge),
            Metric::ErrorBudgetBurn => kind == ScopeKind::Client,
            Metric::Amplification
            | Metric::WastedWork
            | Metric::Ejections
            | Metric::EjectedShare
            | Metric::PanicShare
            | Metric::DiscoveryDelay
            | Metric::StaleRequests
            | Metric::InFlight
            | Metric::Waited
            | Metric::LoadMax
            | Metric::Connections => kind == ScopeKind::Service,
            Metric::Utilization | Metric::QueueWait => matches!(kind, ScopeKind::Service | ScopeKind::Endpoint),
            Metric::TimeToDetect | Metric::TimeToEject | Metric::TimeToShift | Metric::TimeToRecover | Metric::RequestsLost => {
                false
            }
        }
    }

    /// Whether it is a fault that has it.
    pub fn is_of_faults(self) -> bool {
        matches!(
            self,
            Metric::TimeToDetect | Metric::TimeToEject | Metric::TimeToShift | Metric::TimeToRecover | Metric::RequestsLost
        )
    }

    /// Whether it is known of windows of time.
    pub fn has_windows(self) -> bool {
        !matches!(self, Metric::DiscoveryDelay | Metric::StaleRequests)
    }

    /// Whether it may be asked of one cause of failures.
    pub fn takes_cause(self) -> bool {
        matches!(self, Metric::Failures | Metric::ErrorRate)
    }

    /// The power of a second in which it is: 1 for times, -1 for rates, 0 for shares and counts.
    pub fn unit(self) -> i32 {
        match self {
            Metric::Mean
            | Metric::Quantile(_)
            | Metric::DiscoveryDelay
            | Metric::QueueWait
            | Metric::TimeToDetect
            | Metric::TimeToEject
            | Metric::TimeToShift
            | Metric::TimeToRecover => 1,
            Metric::Rate | Metric::Goodput => -1,
            _ => 0,
        }
    }

    /// Which way is better.
    pub fn better(self) -> Better {
        match self {
            Metric::Availability | Metric::Goodput => Better::Higher,
            Metric::Requests | Metric::Rate => Better::Same,
            _ => Better::Lower,
        }
    }

    /// Whether it is a share of a whole, at most 1.
    pub fn is_share(self) -> bool {
        matches!(
            self,
            Metric::Availability
                | Metric::ErrorRate
                | Metric::WastedWork
                | Metric::EjectedShare
                | Metric::PanicShare
                | Metric::Utilization
                | Metric::Waited
        )
    }
}

impl fmt::Display for ScopeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScopeKind::Client => "a client",
            ScopeKind::Service => "a service",
            ScopeKind::Edge => "an edge",
            ScopeKind::Endpoint => "an endpoint",
        })
    }
}
