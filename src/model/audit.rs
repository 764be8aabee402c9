//! A world that is looked over after every event: what must hold of any run at any moment. For tests; a plain run knows nothing of it.

use crate::engine::{self, Agenda, Sequence};
use crate::model::endpoint::Condition;
use crate::model::event::Event;
use crate::model::plan::{Discipline, UNLIMITED};
use crate::model::task::TaskState;
use crate::model::world::{NIL, World};
use crate::policy::EndpointIndex;
use crate::time::Time;

/// The world, and when it was looked at last.
#[derive(Debug)]
pub(crate) struct Audited<'p> {
    /// What is looked at.
    pub world: World<'p>,
    last: Time,
}

impl<'p> Audited<'p> {
    pub fn new(world: World<'p>) -> Audited<'p> {
        Audited { world, last: Time::ZERO }
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
        self.world.handle(event, sequence, now, agenda);
        self.world.audit(event);
    }
}

impl World<'_> {
    /// Panics where something does not hold; `event` was the last.
    fn audit(&self, event: Event) {
        self.audit_calls(event);
        self.audit_endpoints(event);
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
