//! A world that is looked over after every event: what must hold of any run at any moment. For tests; a plain run knows nothing of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{self, Agenda, Sequence};
use crate::model::endpoint::Condition;
use crate::model::event::Event;
use crate::model::plan::{Discipline, UNLIMITED};
use crate::model::task::TaskState;
use crate::model::world::{NIL, World};
use crate::policy::circuit_breaker::PRIORITIES;
use crate::policy::{EndpointIndex, outlier_detection};
use crate::time::Time;

/// The world, and when it was looked at last.
#[derive(Debug)]
pub(crate) struct Audited<'p> {
    /// What is looked at.
    pub world: World<'p>,
    last: Time,
    /// The requests in flight after the last event, by their keys, and those that have ended.
    open: BTreeSet<u64>,
    ended: BTreeSet<u64>,
    /// By caller: how many endpoints outlier detection had out.
    ejected: BTreeMap<usize, u32>,
}

/// What a packet that a partition takes must leave as it is.
#[derive(Debug, PartialEq)]
enum Untouched {
    /// An answer: the attempt that waits for it.
    Call {
        call: u32,
        id: u64,
        generation: u32,
        attempts: u16,
        site: u32,
        endpoint: u32,
        wake: Sequence,
    },
    /// A request: what its endpoint has.
    Endpoint {
        endpoint: u32,
        load: u32,
        busy: u32,
        queued: u32,
    },
}

impl<'p> Audited<'p> {
    pub fn new(world: World<'p>) -> Audited<'p> {
        Audited {
            world,
            last: Time::ZERO,
            open: BTreeSet::new(),
            ended: BTreeSet::new(),
            ejected: BTreeMap::new(),
        }
    }
}

impl engine::World for Audited<'_> {
    type Event = Event;

    fn touch(&self, event: Event) -> u64 {
        self.world.touch(event)
    }

    fn handle(&mut self, event: Event, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        assert!(now >= self.last, "time goes back at {event:?}");
        self.last = now;
        let taken = self.world.taken_by_partition(event, sequence);
        self.world.handle(event, sequence, now, agenda);
        if let Some(before) = taken {
            let after = match before {
                Untouched::Call { call, .. } => self.world.waiting(call),
                Untouched::Endpoint { endpoint, .. } => self.world.there(endpoint),
            };
            assert_eq!(after, before, "{event:?} crosses a partition");
        }
        self.world.audit(event);
        self.audit_requests(event);
        self.audit_ejections(event);
    }
}

impl Audited<'_> {
    /// No request ends twice.
    fn audit_requests(&mut self, event: Event) {
        let world = &self.world;
        let is_request = |&call: &u32| {
            let row = &world.calls[call];
            row.site != NIL && world.sites[row.site as usize].client != NIL && !world.is_further_attempt(call)
        };
        let open: BTreeSet<u64> = (world.calls.slots().filter(is_request))
            .map(|call| world.calls[call].id.0)
            .collect();
        for id in &open {
            assert!(!self.ended.contains(id), "a request that has ended goes on after {event:?}");
        }
        for &id in self.open.difference(&open) {
            assert!(self.ended.insert(id), "a request ends twice at {event:?}");
        }
        self.open = open;
    }

    /// Where outlier detection takes one more endpoint out, it may.
    fn audit_ejections(&mut self, event: Event) {
        for (number, caller) in self.world.callers.iter().enumerate() {
            let ejected = caller.cluster.ejected();
            let before = self.ejected.insert(number, ejected).unwrap_or(0);
            let config = caller.cluster.upstream().config();
            let Some(outlier_detection::Config::Envoy(options)) = &config.outlier_detection else {
                continue;
            };
            let hosts = caller.cluster.upstream().endpoints().len() as u32;
            let (most, one) = (options.max_ejection_percent, options.always_eject_one_host);
            assert!(
                ejected <= before || is_ejection_allowed(ejected, hosts, most, one),
                "{ejected} of {hosts} endpoints are out, at most {most} % may be, after {event:?}"
            );
        }
    }
}

/// Envoy's rule for the last of `ejected` endpoints that are out: the share must not exceed the limit with it, but for a first one where
/// one may always be out.
fn is_ejection_allowed(ejected: u32, hosts: u32, max_ejection_percent: u32, always_eject_one_host: bool) -> bool {
    ejected * 100 <= max_ejection_percent * hosts || (always_eject_one_host && ejected == 1)
}

impl World<'_> {
    /// Panics where something does not hold; `event` was the last.
    fn audit(&self, event: Event) {
        self.audit_calls(event);
        self.audit_endpoints(event);
        self.audit_limits(event);
        self.audit_parked_checks(event);
    }

    /// What an event would deliver through a partition must not change; `None`: nothing is in its way.
    fn taken_by_partition(&self, event: Event, sequence: Sequence) -> Option<Untouched> {
        match event {
            Event::ResponseDelivered { call } => {
                let row = &self.calls[call];
                let is_wanted = row.site != NIL && row.wake == sequence;
                (is_wanted && self.is_cut(row.cluster, self.endpoint_of(row), false)).then(|| self.waiting(call))
            }
            Event::RequestDelivered { task } => {
                let row = &self.tasks[task];
                let is_taken = row.waits_for != NIL && self.is_cut(row.waits_for, row.endpoint, true);
                is_taken.then(|| self.there(row.endpoint))
            }
            _ => None,
        }
    }

    fn waiting(&self, call: u32) -> Untouched {
        let row = &self.calls[call];
        Untouched::Call {
            call,
            id: row.id.0,
            generation: row.generation,
            attempts: row.attempts,
            // What has ended or waits for a retry is at no endpoint.
            site: row.site,
            endpoint: row.endpoint,
            wake: row.wake,
        }
    }

    fn there(&self, endpoint: u32) -> Untouched {
        let station = &self.stations[endpoint as usize];
        Untouched::Endpoint {
            endpoint,
            load: self.load[endpoint as usize],
            busy: station.busy,
            queued: station.queued,
        }
    }

    /// No breaker of Envoy's lets more through than it may; each priority has limits of its own.
    fn audit_limits(&self, event: Event) {
        let mut attempts = vec![[(0, 0); 2]; self.callers.len()];
        for call in self.calls.slots() {
            let row = &self.calls[call];
            if row.site == NIL || self.is_check(row.site) || row.endpoint == NIL {
                continue;
            }
            let (sent, waiting) = &mut attempts[row.cluster as usize][self.plan.sites[row.site as usize].priority.at()];
            match self.wait_of_call.get(call as usize) {
                Some(&wait) if wait != NIL => *waiting += 1,
                _ => *sent += 1,
            }
        }
        for (caller, attempts) in self.callers.iter().zip(attempts) {
            let config = caller.cluster.upstream().config();
            let Some(breaker) = &config.circuit_breaker else { continue };
            for (priority, (sent, waiting)) in PRIORITIES.into_iter().zip(attempts) {
                let limits = breaker.limits(priority);
                assert!(sent <= limits.requests, "{sent} requests after {event:?}, with {limits:?}");
                // Those that are ready have left their queue, and hear of it later in the same instant.
                if config.pool.is_some() && !caller.cluster.has_ready() {
                    assert!(
                        waiting <= limits.pending,
                        "{waiting} requests wait after {event:?}, with {limits:?}"
                    );
                }
            }
        }
    }

    /// Checks that are left out are such as nothing can hold up. In the end, when none is made any more, they are left as they are.
    fn audit_parked_checks(&self, event: Event) {
        if self.observe.now >= self.sends_end {
            return;
        }
        for (caller, endpoint) in self.parked_checks() {
            assert!(
                !self.is_path_troubled(caller, endpoint),
                "a check of {endpoint} is left out after {event:?}"
            );
            let condition = self.endpoints[endpoint as usize].condition;
            assert_eq!(
                condition,
                Condition::Up,
                "checks of endpoint {endpoint} are left out after {event:?}"
            );
        }
    }

    /// Calls opened are those completed and those in flight, and each attempt in flight is one that its caller's policy knows of.
    fn audit_calls(&self, event: Event) {
        let mut open = 0;
        let mut attempts = vec![Vec::new(); self.callers.len()];
        for call in self.calls.slots() {
            let row = &self.calls[call];
            if row.site == NIL || self.is_check(row.site) {
                continue;
            }
            // Further attempts of a call that hedges are rows, and no calls.
            open += u64::from(!self.is_further_attempt(call));
            if row.endpoint != NIL {
                attempts[row.cluster as usize].push(row.endpoint);
            }
        }
        assert_eq!(self.opened, self.completed + open, "calls after {event:?}");
        for (caller, mut attempts) in self.callers.iter().zip(attempts) {
            attempts.sort_unstable();
            for endpoint in 0..caller.endpoint_count {
                let count = attempts.iter().filter(|&&there| there == endpoint).count() as u32;
                let known = caller.cluster.active(EndpointIndex(endpoint));
                assert_eq!(count, known, "attempts at endpoint {endpoint} after {event:?}");
            }
        }
    }

    /// No endpoint serves or queues more than it may, one that is down has nothing, and what it has is what its tasks say.
    fn audit_endpoints(&self, event: Event) {
        let mut there = vec![0; self.endpoints.len()];
        for task in self.tasks.slots() {
            let row = &self.tasks[task];
            if row.endpoint == NIL || row.state.is_under_way() || row.state == TaskState::Abandoned {
                continue;
            }
            if row.join == NIL && !self.is_check(row.site) {
                there[row.endpoint as usize] += 1;
            }
        }
        for (index, row) in self.endpoints.iter().enumerate() {
            let service = &self.services[row.service as usize];
            if service.settles_visits {
                continue;
            }
            let station = &self.stations[index];
            let limit = service.concurrency;
            if service.discipline != Discipline::ProcessorSharing && limit != UNLIMITED {
                assert!(station.busy <= limit, "slots of endpoint {index} after {event:?}");
            }
            assert_eq!(there[index], self.load[index], "tasks at endpoint {index} after {event:?}");
            if row.condition != Condition::Up {
                assert_eq!(there[index], 0, "endpoint {index} is down after {event:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_few_is_out_only_where_that_is_always_allowed() {
        // 10 % of ten endpoints is one of them; of nine it is none.
        assert!(is_ejection_allowed(1, 10, 10, false) && !is_ejection_allowed(2, 10, 10, true));
        assert!(!is_ejection_allowed(1, 9, 10, false) && is_ejection_allowed(1, 9, 10, true));
        assert!(is_ejection_allowed(2, 4, 50, false) && !is_ejection_allowed(3, 4, 50, false));
    }
}
