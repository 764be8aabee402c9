//! A run from its first event to its result.

use crate::engine::{self, Agenda, Digest};
use crate::model::RunOptions;
use crate::model::audit::Audited;
use crate::model::event::Event;
use crate::model::plan::Plan;
use crate::model::result::RunResult;
use crate::model::trace::{Log, Trace, Tracer};
use crate::model::world::World;
use crate::time::Time;

/// Runs one cell.
pub(super) fn run(plan: &Plan, options: RunOptions) -> RunResult {
    let mut world = World::new(plan, options, ());
    let (digest, events) = simulate(&mut world, |world| world);
    world.finish(digest, events).0
}

/// Runs one cell, traced.
pub(super) fn run_traced(plan: &Plan, options: RunOptions, tracer: Tracer) -> (RunResult, Log) {
    let mut world = World::new(plan, options, tracer);
    let (digest, events) = simulate(&mut world, |world| world);
    let horizon = world.horizon;
    let (result, tracer) = world.finish(digest, events);
    (result, tracer.finish(horizon))
}

/// Runs one cell, looked over after every event.
pub(super) fn run_audited(plan: &Plan, options: RunOptions) -> RunResult {
    let mut audited = Audited::new(World::new(plan, options, ()));
    let (digest, events) = simulate(&mut audited, |audited| &mut audited.world);
    audited.world.finish(digest, events).0
}

fn simulate<'p, T: Trace + 'p, W: engine::World<Event = Event>>(
    world: &mut W,
    inner: impl Fn(&mut W) -> &mut World<'p, T>,
) -> (u64, u64) {
    let mut agenda = Agenda::default();
    let mut digest = Digest::default();
    let started = inner(world);
    started.start_faults(&mut agenda);
    started.start_discovery(&mut agenda);
    started.start_watching(&mut agenda);
    started.start_clients(&mut agenda);
    let horizon = started.horizon;
    let events = engine::run(world, &mut agenda, horizon, &mut digest);
    (digest.finish(), events)
}

impl<T: Trace> World<'_, T> {
    fn finish(mut self, digest: u64, events: u64) -> (RunResult, T) {
        self.count_unfinished();
        self.count_left_over();
        self.count_beliefs();
        let simulated = self.last_completion.max(Time::ZERO + self.plan.duration);
        let sums = self.endpoints.iter().map(|endpoint| endpoint.sums);
        let fault_windows = std::mem::take(&mut self.faults.windows);
        let mut connections = vec![vec![0; self.plan.services.len()]; self.plan.windows.len()];
        for caller in &self.callers {
            let counts = self
                .observe
                .windows
                .connections(caller.first_pair as usize, caller.endpoint_count as usize);
            for (window, count) in connections.iter_mut().zip(counts) {
                window[caller.service as usize] += count;
            }
        }
        let mut result = self.observe.finish(self.plan, sums, digest, events, simulated);
        result.fault_windows = fault_windows;
        for (window, counts) in result.windows.iter_mut().zip(connections) {
            for (service, count) in window.services.iter_mut().zip(counts) {
                service.connections = count;
            }
        }
        for caller in &self.callers {
            result.services[caller.service as usize].connections += u64::from(caller.connected);
        }
        (result, self.trace)
    }
}
