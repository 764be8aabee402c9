//! Work that ends before its time: callers that give up, and endpoints that crash.

use crate::engine::{Agenda, Sequence};
use crate::model::call::End;
use crate::model::endpoint::Condition;
use crate::model::event::Event;
use crate::model::plan::OnCancel;
use crate::model::task::{Task, TaskState};
use crate::model::world::{NIL, World};
use crate::policy::Answer;
use crate::time::Time;

impl World<'_> {
    /// A caller gave up: tells the endpoint, if it wants to know.
    pub(super) fn cancel_task(&mut self, call: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.calls[call];
        let service = self.callers[row.cluster as usize].service;
        if self.services[service as usize].on_cancel == OnCancel::Continue {
            return;
        }
        // A request that a partition took on the way has no task.
        let task = self.task_of_call.get(call as usize).copied().unwrap_or(NIL);
        let Some(incoming) = (task != NIL).then(|| self.tasks[task].incoming()) else {
            return;
        };
        // A free row: the endpoint has answered, and the answer is on its way.
        if incoming.endpoint == NIL || incoming.call != call || incoming.generation != row.generation {
            return;
        }
        let Some(latency) = self.cancel_latency(&incoming) else {
            return;
        };
        let cluster = self.calls[call].cluster;
        let cancel = self.cancels.insert((task, incoming.id, cluster));
        agenda.at(now + latency, Event::CancelDelivered { cancel });
    }

    /// The event of a cancellation that reaches its endpoint.
    pub(super) fn cancel_delivered(&mut self, cancel: u32, now: Time, agenda: &mut Agenda<Event>) {
        let (task, id, caller) = self.cancels[cancel];
        self.cancels.release(cancel);
        let row = &self.tasks[task];
        if row.endpoint == NIL || row.id != id || row.join != NIL || self.is_cut(caller, row.endpoint, true) {
            return;
        }
        let stop = self.services_of(row.endpoint).on_cancel == OnCancel::Stop;
        let stay = self.stay(row.endpoint, row.arrived);
        match row.state {
            TaskState::Abandoned | TaskState::Overtaken => return,
            // The request is overtaken: it is dropped when it comes.
            TaskState::Connecting | TaskState::Travelling => {
                self.tasks[task].state = TaskState::Overtaken;
                return;
            }
            TaskState::Queued => self.leave_queue(task, now),
            _ if !stop => return,
            _ => {
                let endpoint = row.endpoint;
                self.stop_task(task, now, agenda);
                self.unload(endpoint, now);
            }
        }
        self.observe.attempt_left(
            &mut self.endpoints[stay.endpoint as usize].sums,
            stay,
            now,
            End::Answer(Answer::Cancelled),
        );
    }

    /// Stops a task, its branches and their calls, and gives its slots back.
    fn stop_task(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        let Task {
            state,
            waits_for,
            endpoint,
            ..
        } = self.tasks[task];
        self.tasks[task].wake = Sequence::NONE;
        match state {
            TaskState::Calling => {
                self.calls[waits_for].parent = NIL;
                self.abandon_call(waits_for, now, agenda);
            }
            TaskState::Joining => {
                let mut branch = self.joins[waits_for].first;
                while branch != NIL {
                    let sibling = self.tasks[branch].sibling;
                    self.stop_task(branch, now, agenda);
                    branch = sibling;
                }
                self.joins.release(waits_for);
            }
            TaskState::Working | TaskState::Held => self.stop_work(task, now, agenda),
            TaskState::Requeued => {
                self.stations[endpoint as usize].queued -= 1;
                self.tasks[task].state = TaskState::Abandoned;
                return;
            }
            _ => {}
        }
        self.release_slot(task, now, agenda);
        self.free_task(task);
    }

    /// Ends a call that nobody waits for any more.
    fn abandon_call(&mut self, call: u32, now: Time, agenda: &mut Agenda<Event>) {
        if self.calls[call].endpoint == NIL {
            self.complete(call, End::Answer(Answer::Cancelled), now, agenda);
        } else {
            self.finish_attempt(call, Answer::Cancelled, now, agenda);
        }
    }

    /// Everything at these endpoints (in ascending order) is lost; callers learn of it by a reset where the endpoint refuses, or
    /// never.
    pub(super) fn lose_everything(&mut self, endpoints: &[u32], now: Time, agenda: &mut Agenda<Event>) {
        for &endpoint in endpoints {
            self.count_busy(endpoint, now);
            self.lose_shared_work(endpoint, now);
            self.endpoints[endpoint as usize].incarnation += 1;
            self.lose_connections(endpoint, now);
            if self.stations[endpoint as usize].throttle != NIL {
                self.runs_on(endpoint, 0, now, agenda);
            }
            let row = &mut self.stations[endpoint as usize];
            row.busy = 0;
            row.queued = 0;
            row.head = NIL;
            row.tail = NIL;
            self.load[endpoint as usize] = 0;
        }
        // In an order that belongs to the attempts: where their rows lie must not matter.
        let mut there = self.tasks_at(endpoints, |state| !state.is_under_way());
        there.sort_unstable_by_key(|&task| {
            let row = &self.tasks[task];
            (row.endpoint, row.arrived, row.id.0)
        });
        for task in there {
            let tell = self.endpoints[self.tasks[task].endpoint as usize].condition != Condition::Hanging;
            self.lose(task, tell, now, agenda);
        }
    }

    /// The tasks at these endpoints (in ascending order) whose state is so.
    pub(super) fn tasks_at(&self, endpoints: &[u32], is_wanted: impl Fn(TaskState) -> bool) -> Vec<u32> {
        let wanted = |&task: &u32| {
            let row = &self.tasks[task];
            row.endpoint != NIL && is_wanted(row.state) && endpoints.binary_search(&row.endpoint).is_ok()
        };
        self.tasks.slots().filter(wanted).collect()
    }

    /// A task is lost with its endpoint.
    fn lose(&mut self, task: u32, tell: bool, now: Time, agenda: &mut Agenda<Event>) {
        let row = self.tasks[task];
        match row.state {
            TaskState::Calling => self.calls[row.waits_for].parent = NIL,
            TaskState::Joining => self.joins.release(row.waits_for),
            _ => {}
        }
        self.tasks[task].holds_slot = false;
        self.free_task(task);
        if row.join == NIL && row.state != TaskState::Abandoned {
            let stay = self.stay(row.endpoint, row.arrived);
            let end = End::Answer(Answer::Reset);
            self.observe
                .attempt_left(&mut self.endpoints[stay.endpoint as usize].sums, stay, now, end);
            if tell {
                self.reset(&row.incoming(), now, agenda);
            }
        }
    }
}
