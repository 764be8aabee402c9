//! Faults as the model needs them: when, with whom, what.

use crate::model::plan::Probability;
use crate::time::{Duration, Time};

/// One fault.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    /// What a chart or an expectation calls it.
    pub label: String,
    /// What it does to whom: `crash zone b`.
    pub what: String,
    /// When it begins; with [`RepeatPlan::Random`] when the first time to failure begins.
    pub at: Time,
    /// How long it lasts; [`Duration::MAX`]: to the end.
    pub lasts: Duration,
    /// Whether it comes again.
    pub repeat: RepeatPlan,
    /// Which endpoints it strikes; none where it strikes no endpoint.
    pub target: TargetPlan,
    /// What it does.
    pub kind: FaultKind,
}

/// Whether a fault comes again. Distributions are those of [`crate::model::Plan::distributions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatPlan {
    /// It comes once.
    Once,
    /// It comes again and again.
    Every {
        /// From one begin to the next: a distribution; at least as long as the fault lasts.
        gap: u32,
        /// None is left from here on.
        until: Time,
    },
    /// It comes and goes at random, the same in every variant.
    Random {
        /// Time to failure, from the end of one to the begin of the next: a distribution.
        mttf: u32,
        /// Time to repair: a distribution.
        mttr: u32,
        /// Who fails together.
        by: UnitPlan,
        /// None is left from here on.
        until: Time,
    },
}

/// Who has one time to failure in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitPlan {
    /// Nobody: each endpoint has its own.
    Endpoint,
    /// The targets in one zone.
    Zone,
    /// All targets.
    All,
}

/// Whom a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPlan {
    /// These endpoints, in ascending order.
    Endpoints(Vec<u32>),
    /// So many of the endpoints of a service, drawn by the replication's seed.
    Some {
        /// The service.
        service: u32,
        /// How many of its endpoints.
        count: u32,
    },
    /// All of these.
    Several(Vec<TargetPlan>),
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// The endpoints are down.
    Crash {
        /// How.
        mode: CrashMode,
        /// What they are like when they come back.
        cold_start: Option<ColdStartPlan>,
        /// Whether the machine goes with them, so that nobody is left to say so.
        is_node: bool,
    },
    /// Work takes this many times as long.
    SlowFactor(f64),
    /// Each piece of work takes this much longer: a distribution of [`crate::model::Plan::distributions`].
    SlowAdd(u32),
    /// The endpoints have so much time of a core in each period; when it is used up they stand still for the rest of it.
    Throttle {
        /// Core time per period; more than 0.
        quota: Duration,
        /// The period; more than 0.
        period: Duration,
        /// Periods begin at this moment of the run and at whole periods from it; [`Duration::MAX`]: a draw for each endpoint.
        phase: Duration,
    },
    /// The endpoints stand still: as long as the fault lasts, or again and again within it.
    Pause {
        /// From one pause to the next, and how long one lasts: distributions. `None`: one pause, as long as the fault.
        again: Option<(u32, u32)>,
    },
    /// A share of the requests is answered with an error on arrival.
    Errors {
        /// Which share.
        share: Probability,
        /// The status of the answer.
        status: u16,
    },
    /// A share of the requests is never answered.
    Hang {
        /// Which share.
        share: Probability,
    },
    /// Memory grows until the process is killed.
    Leak(LeakPlan),
    /// The network between two parties.
    Link(LinkFaultPlan),
    /// A source of what callers know is down.
    Outage(Outage),
    /// The control plane takes longer.
    SlowControlPlane {
        /// How many times as long it takes over what it does; positive.
        factor: f64,
        /// And so much longer for each caller that it tells: a distribution.
        add: Option<u32>,
    },
    /// Callers are told wrong addresses.
    Wrong(WrongPlan),
    /// Callers' proxies hold up, abort or cut short calls.
    Inject(InjectPlan),
    /// Clients send more, or less.
    Spike {
        /// Which clients.
        clients: Vec<u32>,
        /// How many times as many requests; not negative.
        factor: f64,
    },
    /// A share of a client's requests has one key.
    HotKey {
        /// Which clients; each has numbered keys.
        clients: Vec<u32>,
        /// Which share of the requests.
        share: Probability,
        /// The number of the key.
        key: u32,
    },
}

/// How endpoints are down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashMode {
    /// Connections are refused, and what is in flight is reset.
    Refuse,
    /// Nothing is answered any more.
    Hang,
    /// Connections are accepted and reset when a request comes.
    Reset,
}

/// What endpoints are like when they come back: work takes `factor` times as long at first, and less and less so in a straight line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColdStartPlan {
    /// How many times as long at first; at least 1.
    pub factor: f64,
    /// How long until it is as usual; [`Duration::ZERO`]: time does not count.
    pub lasts: Duration,
    /// How many requests until it is as usual; 0: they do not count.
    pub requests: u32,
}

/// Memory that grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeakPlan {
    /// Bytes lost by each request.
    pub per_request: f64,
    /// Bytes lost in each second.
    pub per_second: f64,
    /// Bytes at which the process is killed; more than 0.
    pub limit: f64,
    /// How long it takes to start.
    pub restart: Duration,
    /// The wait before the second start; it doubles with each further one. Before the first there is none.
    pub back_off: Duration,
    /// The longest wait.
    pub back_off_max: Duration,
    /// After so long a life the wait is forgotten.
    pub back_off_reset: Duration,
    /// What it is like after a start.
    pub cold_start: Option<ColdStartPlan>,
}

/// What happens to the network between two parties.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkFaultPlan {
    /// Who sends.
    pub from: PartyPlan,
    /// To whom.
    pub to: PartyPlan,
    /// Whether only packets from `from` to `to` are struck; else also those the other way.
    pub one_way: bool,
    /// What becomes of them.
    pub effect: LinkEffect,
}

/// What becomes of packets.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkEffect {
    /// They are lost for good.
    Cut,
    /// A transmission is lost with this probability besides, and sent again; below 1.
    Loss(f64),
    /// They take this much longer: the sum of distributions of [`crate::model::Plan::distributions`].
    Latency(Vec<u32>),
    /// At most so many bytes per second.
    Bandwidth(f64),
}

/// Callers and endpoints: whoever is in one of the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartyPlan {
    /// Whether it is everybody.
    pub everybody: bool,
    /// Whoever is in these zones.
    pub zones: Vec<u32>,
    /// The endpoints of these services, also as callers.
    pub services: Vec<u32>,
    /// The callers of these clients.
    pub clients: Vec<u32>,
    /// These endpoints, also as callers.
    pub endpoints: Vec<u32>,
    /// The registry that endpoints tell that they are there.
    pub registry: bool,
}

/// What tells callers of endpoints, and can be down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// Names are not resolved.
    Dns,
    /// The registry neither hears nor answers.
    Registry,
    /// The control plane pushes nothing.
    ControlPlane,
    /// Whoever tells callers of endpoints tells them what was true when this began.
    Stale,
}

impl Outage {
    /// How many kinds there are.
    pub const COUNT: usize = 4;
}

/// Who is told wrong addresses, and what is there.
#[derive(Clone, Debug, PartialEq)]
pub struct WrongPlan {
    /// Which callers.
    pub from: PartyPlan,
    /// Of these services; empty: of all.
    pub to: Vec<u32>,
    /// Which share of the callers.
    pub callers: Probability,
    /// What is at the addresses.
    pub astray: Astray,
}

/// What is at a wrong address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Astray {
    /// Nobody who would answer.
    Nobody(CrashMode),
    /// Another service, which answers with this status.
    Other(u16),
}

/// What callers' proxies do to calls, before they try for the first time.
#[derive(Clone, Debug, PartialEq)]
pub struct InjectPlan {
    /// Whose calls.
    pub from: PartyPlan,
    /// Calls to these services; empty: to all.
    pub to: Vec<u32>,
    /// Which share of the callers.
    pub callers: Probability,
    /// Which share of their calls is held up, and for how long: a distribution.
    pub delay: Option<(Probability, u32)>,
    /// Which share of their calls is answered at once, and with what status.
    pub abort: Option<(Probability, u16)>,
    /// A timeout of the whole call besides its own; [`Duration::MAX`]: none.
    pub timeout: Duration,
}
