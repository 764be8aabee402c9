//! A scenario with every name resolved to an index: all that the model needs, and nothing optional.
//!
//! `scenario/compile.rs` makes it; below that point a scenario cannot be wrong, so the model asserts and does not report.

mod discovery;
mod fault;

use std::sync::Arc;

pub use discovery::{DiscoveryPlan, Membership, STATIC};
pub use fault::{
    Astray, ColdStartPlan, CrashMode, FaultKind, FaultPlan, InjectPlan, LeakPlan, LinkEffect, LinkFaultPlan, Outage, PartyPlan,
    RepeatPlan, TargetPlan, UnitPlan, WrongPlan,
};

pub use crate::policy::connection_pool::Protocol;
use crate::policy::overload::{Criticality, ShieldOptions, codel};
use crate::policy::{ClusterConfig, EndpointInfo, MetadataMatch, RoutingPriority, connection_pool};
use crate::random::{Arrival, Distribution};
use crate::time::{Duration, Time};

/// The whole scenario of one variant. Immutable, shared by all cells.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Arrivals stop here.
    pub duration: Duration,
    /// What is left out of the measures.
    pub warmup: Warmup,
    /// How long after `duration` what is in flight may still finish.
    pub drain: Duration,
    /// Width of the buckets of every time series; see [`Plan::series_interval`].
    pub interval: Duration,
    /// Hops between zones.
    pub network: NetworkPlan,
    /// The services, in the order of the file.
    pub services: Vec<ServicePlan>,
    /// All endpoints; those of one service are neighbours.
    pub endpoints: Vec<EndpointPlan>,
    /// All operations; those of one service are neighbours.
    pub operations: Vec<OperationPlan>,
    /// The steps of all operations, flattened.
    pub program: Vec<Instr>,
    /// Distributions that the program and the think times name by index.
    pub distributions: Vec<Distribution>,
    /// First instructions of the branches of all `parallel` steps.
    pub branches: Vec<u32>,
    /// Arms of all `choose` steps.
    pub arms: Vec<ArmPlan>,
    /// Every place a call is made from: the clients' first, in their order, then those of the program, then those of health checks.
    pub sites: Vec<SitePlan>,
    /// Who calls whom, for reports: several sites may share one.
    pub edges: Vec<EdgePlan>,
    /// Policies by owner (a client or a service) and upstream; each caller of the owner has one of its own.
    pub clusters: Vec<ClusterPlan>,
    /// How callers learn of endpoints, where they do not know all of them from the start.
    pub discoveries: Vec<DiscoveryPlan>,
    /// The clients.
    pub clients: Vec<ClientPlan>,
    /// The faults, in the order of the file.
    pub faults: Vec<FaultPlan>,
    /// Spans of time that are measured by themselves.
    pub windows: Vec<WindowPlan>,
    /// Endpoints that somebody wants to know of, replication by replication.
    pub named_endpoints: Vec<u32>,
}

impl Plan {
    /// The narrowest of 1, 2 and 5 times a power of ten that cuts `duration` into at most 300 buckets, from 1 ms on.
    pub fn series_interval(duration: Duration) -> Duration {
        let mut unit = 1_000_000;
        loop {
            for factor in [1, 2, 5] {
                let interval = unit * factor;
                if duration.0.div_ceil(interval) <= 300 {
                    return Duration(interval);
                }
            }
            unit *= 10;
        }
    }
}

/// What is left out of the measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warmup {
    /// Requests that clients intend to send before this.
    Fixed(Duration),
    /// What MSER-5 says after a pilot run of every cell.
    Auto,
}

/// One-way hops. `zones` counts the zones, at least one.
#[derive(Clone, Debug)]
pub struct NetworkPlan {
    /// How many zones there are.
    pub zones: u32,
    /// What discovery calls each zone.
    pub zone_names: Vec<String>,
    /// The region of each; empty: it has none.
    pub zone_regions: Vec<String>,
    /// The link from zone `a` to zone `b` is `links[a * zones + b]`.
    pub links: Vec<LinkPlan>,
}

/// One direction between two zones (or within one).
#[derive(Clone, Debug)]
pub struct LinkPlan {
    /// One-way latency in nanoseconds.
    pub latency: Distribution,
    /// Probability that a transmission is lost and sent again; below 1.
    pub loss: f64,
    /// Delay of the first retransmission; it doubles with each further one.
    pub retransmission_timeout: Duration,
    /// Bytes per second; infinite where sizes cost no time.
    pub bandwidth: f64,
}

/// One service.
#[derive(Clone, Debug)]
pub struct ServicePlan {
    /// Its endpoints in [`Plan::endpoints`].
    pub first_endpoint: u32,
    /// How many of them; at least one.
    pub endpoint_count: u32,
    /// Requests that one endpoint serves at once; [`UNLIMITED`] without a limit.
    pub concurrency: u32,
    /// Requests that may wait at one endpoint; [`UNLIMITED`] without a limit.
    pub queue_limit: u32,
    /// Who is served next.
    pub discipline: Discipline,
    /// Cores of one endpoint, for processor sharing.
    pub cores: u32,
    /// After this long in the queue a request is answered 503; [`Duration::MAX`]: never.
    pub queue_timeout: Duration,
    /// Whether a request keeps its slot while it waits for its own calls.
    pub threading: Threading,
    /// What becomes of a request whose caller gave up.
    pub on_cancel: OnCancel,
    /// What stands in front of each endpoint's queue.
    pub shield: ShieldOptions,
    /// What has waited too long in a queue that never empties is answered 503; `None`: it is served.
    pub codel: Option<codel::Options>,
    /// So many requests at an endpoint turn away one of each criticality, the least critical first; `None`: they do not.
    pub shed: Option<[u32; 4]>,
    /// When answers with these statuses ask their callers to come again.
    pub retry_after: Vec<(u16, Duration)>,
    /// The services' operations in [`Plan::operations`].
    pub first_operation: u32,
    /// How many of them.
    pub operation_count: u32,
}

/// No limit.
pub const UNLIMITED: u32 = u32::MAX;

/// Who is served next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discipline {
    /// In the order of arrival.
    Fifo,
    /// The youngest first.
    Lifo,
    /// The youngest first while more than so many wait, else in the order of arrival.
    AdaptiveLifo(u32),
    /// All at once, sharing the cores; a job uses at most one.
    ProcessorSharing,
}

/// Whether a request keeps its slot while it waits for its own calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threading {
    /// It gives the slot up and queues for one before its next work.
    Async,
    /// It keeps the slot from start to end.
    Sync,
}

/// What becomes of a request whose caller gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCancel {
    /// The endpoint never learns of it and works on.
    Continue,
    /// It is dropped if it still waits in the queue.
    DropQueued,
    /// It is dropped from the queue, or its work stops and its own calls are cancelled.
    Stop,
}

/// One endpoint.
#[derive(Clone, Debug)]
pub struct EndpointPlan {
    /// Its service.
    pub service: u32,
    /// Its zone.
    pub zone: u32,
    /// Work takes `1 / speed` of its time here; positive.
    pub speed: f64,
    /// Probability of answering at once with `fail_status` instead of working.
    pub fail: Probability,
    /// The status of such an answer.
    pub fail_status: u16,
    /// What discovery says of it.
    pub info: EndpointInfo,
    /// When it is there.
    pub membership: Membership,
}

/// A probability as a threshold on 64 uniform bits, so that one draw decides and coins are monotone in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probability(u64);

impl Probability {
    /// It never happens.
    pub const NEVER: Probability = Probability(0);
    /// It always happens.
    pub const ALWAYS: Probability = Probability(u64::MAX);

    /// The probability `p`, from 0 to 1.
    pub fn new(p: f64) -> Probability {
        debug_assert!((0.0..=1.0).contains(&p));
        // The cast saturates: 1.0 becomes ALWAYS.
        Probability((p * 18_446_744_073_709_551_616.0) as u64)
    }

    /// It as a number from 0 to 1.
    pub fn share(self) -> f64 {
        match self {
            Probability::ALWAYS => 1.0,
            Probability(threshold) => threshold as f64 / 18_446_744_073_709_551_616.0,
        }
    }

    /// Whether it happens, given 64 uniform bits.
    #[inline]
    pub fn happens(self, bits: u64) -> bool {
        bits < self.0 || self.0 == u64::MAX
    }
}

/// One operation of a service.
#[derive(Clone, Debug)]
pub struct OperationPlan {
    /// Its service.
    pub service: u32,
    /// Its first instruction in [`Plan::program`]; it ends at the first [`Instr::End`] met.
    pub start: u32,
}

/// One instruction of an operation. Draws are keyed by the distance of an instruction from its operation's start, so
/// instructions are numbered in the order of the file, and `repeat` is written out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instr {
    /// Work for the time that a distribution of [`Plan::distributions`] gives.
    Work {
        /// Index of the distribution.
        distribution: u32,
    },
    /// A call; the next instruction runs after its answer.
    Call {
        /// Index in [`Plan::sites`].
        site: u32,
        /// What a failed answer does.
        on_error: OnError,
    },
    /// Branches side by side; the next instruction runs after the last of them has ended.
    Parallel {
        /// The first of them in [`Plan::branches`].
        first: u32,
        /// How many.
        count: u32,
        /// What a failed branch does.
        on_error: OnError,
    },
    /// Goes on with the next instruction with this probability, else at `to`.
    Maybe {
        /// The probability of the next instruction.
        probability: Probability,
        /// Where to go otherwise.
        to: u32,
    },
    /// Goes to one of several arms.
    Choose {
        /// The first of them in [`Plan::arms`].
        first: u32,
        /// How many.
        count: u32,
    },
    /// Goes to `to`.
    Jump {
        /// Where to.
        to: u32,
    },
    /// Ends the operation with this status, with this probability.
    Fail {
        /// How likely.
        probability: Probability,
        /// The answer.
        status: u16,
    },
    /// Ends the branch or the operation.
    End,
}

/// What a failed step does to its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// The operation ends with status 500 (in `parallel`: once all branches have ended).
    Fail,
    /// It goes on as if nothing had happened.
    Ignore,
}

/// One arm of a `choose` step.
#[derive(Clone, Copy, Debug)]
pub struct ArmPlan {
    /// The share of all arms up to and including this one; the last is [`Probability::ALWAYS`].
    pub up_to: Probability,
    /// Its first instruction; it ends with a jump behind the step.
    pub start: u32,
}

/// A place that calls are made from.
#[derive(Clone, Debug)]
pub struct SitePlan {
    /// The operation called.
    pub operation: u32,
    /// Its edge, for reports; [`NO_EDGE`]: it is that of a cluster's health checks.
    pub edge: u32,
    /// Its cluster in [`Plan::clusters`].
    pub cluster: u32,
    /// What it demands of an endpoint: an index in [`ClusterPlan::demands`] or [`NO_DEMAND`].
    pub demand: u32,
    /// Whose limits its calls count against.
    pub priority: RoutingPriority,
    /// Time for the whole call with its retries; [`Duration::MAX`]: no limit.
    pub timeout: Duration,
    /// Time for one attempt; [`Duration::MAX`]: no limit.
    pub per_try_timeout: Duration,
    /// Whether the called know until when their answer is wanted, and their calls end by then.
    pub deadline_propagation: bool,
    /// How important its calls are; `None`: as the request that they are made for.
    pub criticality: Option<Criticality>,
    /// Bytes of the request; an index in [`Plan::distributions`] or [`NO_SIZE`].
    pub request_size: u32,
    /// Bytes of the answer; an index in [`Plan::distributions`] or [`NO_SIZE`].
    pub response_size: u32,
}

/// Nobody's call.
pub const NO_EDGE: u32 = u32::MAX;

/// It demands nothing.
pub const NO_DEMAND: u32 = u32::MAX;

/// No payload.
pub const NO_SIZE: u32 = u32::MAX;

/// Who calls whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgePlan {
    /// Who calls.
    pub from: Owner,
    /// The operation called.
    pub operation: u32,
}

/// Whose callers hold a cluster: a client's proxies or a service's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A client, by index.
    Client(u32),
    /// A service, by index.
    Service(u32),
}

/// The policy of an owner towards an upstream.
#[derive(Clone, Debug)]
pub struct ClusterPlan {
    /// Whose callers hold it.
    pub owner: Owner,
    /// The service called.
    pub service: u32,
    /// What it does.
    pub config: Arc<ClusterConfig>,
    /// Its connections.
    pub connections: ConnectionPlan,
    /// What its calls demand of an endpoint's metadata.
    pub demands: Vec<MetadataMatch>,
    /// How it learns of the endpoints: an index in [`Plan::discoveries`] or [`STATIC`].
    pub discovery: u32,
}

/// How a caller connects to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionPlan {
    /// Connections are there from the start and cost nothing.
    Warm,
    /// One TCP round trip for a new connection.
    Pooled(connection_pool::Options),
}

/// One client.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// Its call.
    pub site: u32,
    /// When it sends.
    pub load: Load,
    /// What hashing balancers hash.
    pub keys: KeyPlan,
    /// The zone of each caller; at least one.
    pub caller_zones: Vec<u32>,
    /// The share of its requests that is to succeed: its error budget is the rest.
    pub objective: f64,
}

/// When a client sends.
#[derive(Clone, Debug)]
pub enum Load {
    /// Arrivals do not react to the answers.
    Open(Arrival),
    /// Users wait for an answer, think, and send again.
    Closed {
        /// How many users.
        users: u32,
        /// Think time: an index in [`Plan::distributions`]. Each user thinks before the first request too.
        think: u32,
    },
}

/// What key a request carries; of several, key `k` is the text `key-k`.
#[derive(Clone, Debug)]
pub enum KeyPlan {
    /// None.
    None,
    /// Always the same.
    Fixed {
        /// Its text.
        text: Arc<str>,
        /// The hash of it.
        hash: u64,
    },
    /// Key `k` of `hashes` with equal shares.
    Uniform {
        /// The hash of each key.
        hashes: Arc<[u64]>,
    },
    /// Key `k` (from 0) with a share in proportion to (k + 1)^-s.
    Zipf {
        /// The hash of each key.
        hashes: Arc<[u64]>,
        /// The share of the keys up to and including each.
        cumulative: Arc<[f64]>,
    },
}

/// A span of time, or several, that is measured by itself. Faults are indices in [`Plan::faults`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowPlan {
    /// From one moment up to another.
    Between(Time, Time),
    /// While any of these faults is on.
    During(Vec<u32>),
    /// Until the first of these faults begins.
    Before(Vec<u32>),
    /// When one of these faults has ended and none is on.
    After(Vec<u32>),
}
