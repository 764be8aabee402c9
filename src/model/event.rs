//! What can happen in the mesh: a closed set of small values.

use crate::engine;

/// An event; the indices are those of the world's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The next instant of a client's arrival process.
    Arrival { client: u32 },
    /// A closed-loop user has thought enough.
    UserSends { user: u32 },
    /// An attempt reaches its endpoint.
    RequestDelivered { task: u32 },
    /// A task's work is done.
    WorkDone { task: u32 },
    /// The first job of a processor-sharing endpoint is done.
    SharedWorkDone { endpoint: u32 },
    /// A task has waited too long in its queue.
    QueueTimeout { task: u32 },
    /// The answer of a call's present attempt reaches the caller.
    ResponseDelivered { call: u32 },
    /// The back-off before a retry is over.
    RetryDue { call: u32 },
    /// The oldest timer of a list of equal timeouts is due.
    TimerFires { list: u32 },
    /// A call's overall timeout (only where timers are events of their own).
    CallTimeout { call: u32 },
    /// A call's per-try timeout (only where timers are events of their own).
    AttemptTimeout { call: u32 },
    /// An endpoint learns that a caller gave up.
    CancelDelivered { cancel: u32 },
    /// A probe reaches its endpoint.
    ProbeDelivered { probe: u32 },
    /// The answer to a probe reaches the caller.
    ProbeAnswered { probe: u32 },
    /// A fault begins.
    FaultBegins { fault: u32 },
    /// A fault ends.
    FaultEnds { fault: u32 },
    /// Something within a fault changes.
    FaultTick { fault: u32 },
    /// An arrival on top of what a client sends.
    ExtraArrival { extra: u32 },
    /// A timeout that a fault has set.
    DeadlinePasses { deadline: u32 },
    /// The first packet of a connection that a policy wants reaches its endpoint.
    ConnectDelivered { opening: u32 },
    /// Such a connection is there, or is refused.
    ConnectAnswered { opening: u32 },
    /// Such a connection takes too long.
    ConnectTimeout { opening: u32 },
    /// Attempts of a caller that have waited have a connection.
    PoolReady { caller: u32 },
    /// A call that hedges makes its next attempt.
    HedgeDue { group: u32 },
    /// A caller's policy wants to be woken.
    PolicyTimer { caller: u32 },
    /// A caller's policy wants an endpoint checked.
    CheckDue { caller: u32 },
    /// A check that was left out is looked at.
    SteadyCheck { series: u32 },
    /// Something happens in discovery.
    Discovery { item: u32 },
    /// A deadline that a call inherited.
    InheritedDeadline { call: u32 },
}

const _: () = assert!(size_of::<Event>() <= 8);

impl engine::Event for Event {
    #[inline]
    fn word(self) -> u64 {
        let (kind, index) = match self {
            Event::Arrival { client } => (1, client),
            Event::UserSends { user } => (2, user),
            Event::RequestDelivered { task } => (3, task),
            Event::WorkDone { task } => (4, task),
            Event::SharedWorkDone { endpoint } => (5, endpoint),
            Event::QueueTimeout { task } => (6, task),
            Event::ResponseDelivered { call } => (7, call),
            Event::RetryDue { call } => (8, call),
            Event::TimerFires { list } => (9, list),
            Event::CallTimeout { call } => (10, call),
            Event::AttemptTimeout { call } => (11, call),
            Event::CancelDelivered { cancel } => (12, cancel),
            Event::FaultBegins { fault } => (13, fault),
            Event::FaultEnds { fault } => (14, fault),
            Event::ProbeDelivered { probe } => (15, probe),
            Event::ProbeAnswered { probe } => (16, probe),
            Event::PolicyTimer { caller } => (17, caller),
            Event::InheritedDeadline { call } => (24, call),
            Event::CheckDue { caller } => (25, caller),
            Event::SteadyCheck { series } => (26, series),
            Event::FaultTick { fault } => (18, fault),
            Event::ExtraArrival { extra } => (19, extra),
            Event::DeadlinePasses { deadline } => (20, deadline),
            Event::Discovery { item } => (21, item),
            Event::ConnectDelivered { opening } => (32, opening),
            Event::ConnectAnswered { opening } => (33, opening),
            Event::ConnectTimeout { opening } => (34, opening),
            Event::PoolReady { caller } => (35, caller),
            Event::HedgeDue { group } => (36, group),
        };
        (kind << 32) | u64::from(index)
    }
}
