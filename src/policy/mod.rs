//! The policies of service meshes as a library: calls in, decisions out; time and randomness are arguments.
//!
//! Nothing here has a clock, a socket, a thread or an idea of a simulation, so a real proxy could run it. A driver (the
//! model, `replay`) holds one [`Cluster`] per caller and upstream, tells it what happened and asks it what to do.
//! What all callers of an upstream may share (configuration, addresses, rings) is in one [`Upstream`].

pub mod balancer;
pub mod candidates;
pub mod catalog;
pub mod circuit_breaker;
mod cluster;
pub mod connection_pool;
pub mod discovery;
mod endpoints;
pub mod failure_accrual;
pub mod health_check;
pub mod hedging;
mod listing;
mod metadata;
pub mod outlier_detection;
pub mod overload;
mod pinned;
mod request_pool;
pub mod retry;
mod timeline;
mod upstream;
mod watch;

pub use candidates::CandidateSet;
pub use circuit_breaker::RoutingPriority;
pub use cluster::{Choice, Cluster, Look, Seen};
pub use endpoints::{EndpointIndex, EndpointInfo, Endpoints, Health, PRIORITY_MAX};
pub use metadata::{Metadata, MetadataMatch, Value as MetadataValue};
pub use request_pool::{Opening, Place, WaitIndex};
pub use upstream::{Upstream, View};
pub use watch::{Decision, Notice, Reason, Watcher};

use core::net::IpAddr;
use std::sync::Arc;

use crate::time::Duration;

/// What a mesh does with calls to one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterConfig {
    /// Which endpoint of the candidates gets a call.
    pub balancer: balancer::Config,
    /// Who the candidates are.
    pub candidates: candidates::Options,
    /// Whether and when to try again; `None`: never.
    pub retry: Option<retry::Options>,
    /// Whether a retry is made beside an attempt that takes too long, as in Envoy; `None`: it is not.
    pub hedge_policy: Option<hedging::HedgePolicy>,
    /// Several attempts of one call at a time, as in gRPC, instead of retries; `None`: one at a time.
    pub hedging: Option<hedging::Options>,
    /// Limits on what a caller has under way, and breakers in the application; `None`: none.
    pub circuit_breaker: Option<circuit_breaker::Options>,
    /// Whose limits calls count against, for a driver that is not told so of each.
    pub priority: RoutingPriority,
    /// How connections are used, for balancers that choose for each connection and not for each call; `None`: each call has one of its
    /// own.
    pub connections: Option<connection_pool::Options>,
    /// How connections to each endpoint are used and limited, for a cluster that keeps them and the requests that wait for one; `None`:
    /// they are the driver's.
    pub pool: Option<connection_pool::Options>,
    /// Whom answers take out for a while; `None`: nobody.
    pub outlier_detection: Option<outlier_detection::Config>,
    /// Breakers of single endpoints; `None`: none.
    pub failure_accrual: Option<failure_accrual::Config>,
    /// How endpoints are asked whether they are well; `None`: they are not.
    pub health_check: Option<health_check::Options>,
    /// What a caller holds back of itself.
    pub guard: overload::GuardOptions,
    /// Which localities a caller prefers, as Istio sees it; `None`: no difference is made.
    pub locality_lb_setting: Option<candidates::LocalityLbSetting>,
}

impl ClusterConfig {
    /// Whether a caller's policy does things of itself, and not only when a call is placed or ends: then it is to exist from the start.
    pub fn is_active(&self) -> bool {
        self.outlier_detection.is_some() || self.failure_accrual.is_some() || self.health_check.is_some()
    }
}

impl From<balancer::Config> for ClusterConfig {
    /// The balancer with nothing around it.
    fn from(balancer: balancer::Config) -> ClusterConfig {
        ClusterConfig {
            balancer,
            candidates: candidates::Options::default(),
            retry: None,
            hedge_policy: None,
            hedging: None,
            circuit_breaker: None,
            priority: RoutingPriority::Default,
            connections: None,
            pool: None,
            outlier_detection: None,
            failure_accrual: None,
            health_check: None,
            guard: overload::GuardOptions::default(),
            locality_lb_setting: None,
        }
    }
}

/// What a policy may know of the call it places.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallInfo<'a> {
    /// The 64-bit hash of the request's key (XXH64 of its text, seed 0); `None`: it has none.
    pub hash: Option<u64>,
    /// The key itself, for policies that want it (see [`balancer::Wants::key`]); `None`: it has none, or nobody knows it.
    pub key: Option<&'a str>,
    /// The client's address, for policies that want it; `None`: nobody knows it.
    pub source: Option<IpAddr>,
    /// 0 for the first attempt, 1 for the first retry.
    pub attempt: u32,
    /// What it demands of an endpoint's metadata, by its number at the caller; `None`: nothing.
    pub metadata_match: Option<MatchId>,
    /// Whose limits it counts against.
    pub priority: RoutingPriority,
    /// Where earlier attempts of this call went, the oldest first; an endpoint may be there twice.
    pub tried: &'a [EndpointIndex],
    /// Requests in the system at each endpoint, for policies that know the servers' own state; empty where nobody knows.
    pub server_load: &'a [u32],
}

/// What calls demand of an endpoint's metadata, by its number at one caller: see [`Cluster::demand`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchId(u32);

/// Who picks: one of several callers of the same kind, in its zone.
#[derive(Clone, Debug, PartialEq)]
pub struct CallerInfo {
    /// Its number among its peers, from 0.
    pub instance: u32,
    /// How many peers there are, itself included; at least 1.
    pub instances: u32,
    /// Its region; empty: unknown.
    pub region: String,
    /// Its zone; empty: unknown.
    pub zone: String,
    /// Its sub-zone; empty: unknown.
    pub sub_zone: String,
    /// How many of the peers are in each zone; empty: unknown.
    pub local_hosts: Arc<[(String, u32)]>,
}

impl Default for CallerInfo {
    /// A caller on its own, somewhere.
    fn default() -> CallerInfo {
        CallerInfo {
            instance: 0,
            instances: 1,
            region: String::new(),
            zone: String::new(),
            sub_zone: String::new(),
            local_hosts: Arc::new([]),
        }
    }
}

/// What an endpoint says of itself, with an answer or when it is probed: an ORCA report and what research policies add.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadReport {
    /// Requests per second that it serves.
    pub rps_fractional: f64,
    /// Errors per second among its answers.
    pub eps: f64,
    /// How busy the application says it is, 1 = fully; 0: it does not say.
    pub application_utilization: f64,
    /// How busy its processors are, 1 = fully; 0: it does not say.
    pub cpu_utilization: f64,
    /// Requests at the endpoint, served or waiting, without the one that is answered.
    pub in_flight: u32,
    /// What this request's service took, without waiting.
    pub service_time: Duration,
    /// The median latency of requests that lately arrived when about `in_flight` others were there.
    pub latency: Duration,
}

/// Proof that an attempt was placed; given back when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Where the attempt went.
    pub endpoint: EndpointIndex,
    /// The priority that it was placed with.
    pub priority: RoutingPriority,
}

impl From<EndpointIndex> for Ticket {
    /// That of an attempt of which nothing is said but where it went.
    fn from(endpoint: EndpointIndex) -> Ticket {
        Ticket {
            endpoint,
            priority: RoutingPriority::Default,
        }
    }
}

/// Why there is no endpoint for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No endpoint may be picked ("no healthy upstream").
    NoEndpoint,
    /// A circuit breaker of the cluster is at its limit.
    Overflow,
    /// A breaker in the application is open.
    CircuitOpen,
    /// The caller holds itself back: admission control, a throttle, a rate limit of its own.
    Throttled,
}

impl Refusal {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Refusal::NoEndpoint => "no_endpoint",
            Refusal::Overflow => "overflow",
            Refusal::CircuitOpen => "circuit_open",
            Refusal::Throttled => "throttled",
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The endpoint answered with this HTTP status.
    Status(u16),
    /// No connection could be made.
    ConnectFailure,
    /// The connection broke before the answer.
    Reset,
    /// The per-try timeout passed.
    PerTryTimeout,
    /// The overall timeout of the call passed: nobody waits for an answer any more.
    Timeout,
    /// The caller gave up for another reason.
    Cancelled,
}

/// The end of an attempt as the policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// How it ended.
    pub answer: Answer,
    /// From sending the attempt to its end.
    pub latency: Duration,
    /// Attempts of this call so far, this one included; 0: there are others under way, and what becomes of the call is decided apart.
    pub attempts: u32,
    /// What came with the answer, for policies that want it.
    pub load: Option<LoadReport>,
    /// When the answer asks to come again, from now ([`Duration::MAX`]: never); `None`: it does not say.
    pub retry_after: Option<Duration>,
}

/// What is to become of a call after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer stands.
    Done,
    /// Try again after this pause.
    Retry {
        /// How long to wait first.
        after: Duration,
    },
}
