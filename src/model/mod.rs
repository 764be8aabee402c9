//! The mesh world.

mod abandon;
mod audit;
mod baggage;
mod call;
mod caller;
mod check;
mod client;
mod discovery;
mod endpoint;
mod event;
mod fault;
mod hedge;
mod incident;
mod key;
mod load;
mod network;
mod observe;
mod operation;
pub mod plan;
mod pool;
mod probe;
mod processor_sharing;
mod queue;
pub mod result;
mod run;
mod steady;
mod table;
mod task;
mod timers;
pub mod trace;
mod visit;
mod watch;
mod windows;
mod world;

pub use plan::Plan;
pub use result::RunResult;

/// What a run needs beside its plan.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// The scenario's seed.
    pub seed: u64,
    /// Which replication.
    pub replication: u32,
    /// Where the measured window begins.
    pub warmup: crate::time::Duration,
    /// Whether events that nothing observes are left out. The result is the same either way, but for the digest and the count of events.
    pub elision: Elision,
    /// Whether [`RunResult::in_system`] is filled.
    pub pilot: bool,
}

/// Whether events that nothing observes are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elision {
    /// They are: the default.
    On,
    /// Every event is scheduled and handled; for tests of the former.
    Off,
}

/// Runs one cell: a pure function.
pub fn run(plan: &Plan, options: RunOptions) -> RunResult {
    run::run(plan, options)
}

/// Runs one cell as [`run`] does, and follows some of its requests. The result is that of [`run`], the digest included.
pub fn run_followed(plan: &Plan, options: RunOptions, requests: &[trace::RequestId]) -> (RunResult, trace::Log) {
    let tracer = trace::Tracer::follow(requests, plan.clients.len());
    run::run_traced(plan, options, tracer)
}

/// Runs one cell as [`run`] does, and looks for requests: see [`trace::Log::found`].
pub fn run_searched(plan: &Plan, options: RunOptions, search: trace::Search) -> (RunResult, trace::Log) {
    let tracer = trace::Tracer::search(search, plan.clients.len());
    run::run_traced(plan, options, tracer)
}

/// Runs one cell as [`run`] does, and looks the world over after every event: slow, for tests.
///
/// # Panics
/// If anything does not hold that must always hold, such as that a call is in flight until it has ended once.
pub fn run_audited(plan: &Plan, options: RunOptions) -> RunResult {
    run::run_audited(plan, options)
}
