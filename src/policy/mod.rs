//! The policies of service meshes as a library: calls in, decisions out; time and randomness are arguments.
//!
//! Nothing here has a clock, a socket, a thread or an idea of a simulation, so a real proxy could run it. A driver (the
//! model, `replay`) holds one [`Cluster`] per caller and upstream, tells it what happened and asks it what to do.
//! What all callers of an upstream may share (configuration, addresses, rings) is in one [`Upstream`].

pub mod balancer;
pub mod candidates;
mod cluster;
pub mod connection_pool;
mod endpoints;
pub mod retry;

pub use candidates::CandidateSet;
pub use cluster::{Cluster, Upstream};
pub use endpoints::{EndpointIndex, EndpointInfo, Endpoints, Health, PRIORITY_MAX};

use crate::time::Duration;

/// What a mesh does with calls to one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterConfig {
    /// Which endpoint of the candidates gets a call.
    pub balancer: balancer::Config,
    /// Whether and when to try again; `None`: never.
    pub retry: Option<retry::Options>,
}

/// What a policy may know of the call it places.
#[derive(Clone, Copy, Debug)]
pub struct CallInfo<'a> {
    /// The 64-bit hash of the request's key (XXH64 of its text, seed 0); `None`: it has none.
    pub hash: Option<u64>,
    /// 0 for the first attempt, 1 for the first retry.
    pub attempt: u32,
    /// Requests in the system at each endpoint, for policies that know the servers' own state; empty where nobody knows.
    pub server_load: &'a [u32],
}

/// Proof that an attempt was placed; given back when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Where the attempt went.
    pub endpoint: EndpointIndex,
}

/// Why there is no endpoint for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No endpoint may be picked ("no healthy upstream").
    NoEndpoint,
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
    /// Attempts of this call so far, this one included.
    pub attempts: u32,
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
