//! Work that ends before its time: callers that give up, and endpoints that crash.

use crate::engine::{Agenda, Sequence};
use crate::model::call::{CONNECT_FAILURE, End, RESET};
use crate::model::endpoint::{Condition, Incoming};
use crate::model::event::Event;
use crate::model::plan::{Discipline, OnCancel};
use crate::model::task::{Task, TaskState};
use crate::model::trace::{Trace, What};
use crate::model::world::{NIL, World};
use crate::policy::Answer;
use crate::time::{Duration, Time};

impl<T: Trace> World<'_, T> {
    /// A caller gave up: tells the endpoint, if it wants to know.
    pub(super) fn cancel_task(&mut self, call: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.calls[call];
        let service = self.callers[row.cluster as usize].service;
        if self.services[service as usize].on_cancel == OnCancel::Continue {
            return;
        }
        // A call that still waits for a connection has none, nor has one whose request a partition took on the way.
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

    /// A caller gives up an attempt: if its answer is on its way (or settled, which is the same seen from here), the work for it is
    /// wasted. Where an endpoint works by events, the end of the task finds that nobody waits.
    #[inline]
    pub(super) fn count_waste_of(&mut self, call: u32) {
        let row = &self.calls[call];
        let caller = &self.callers[row.cluster as usize];
        if row.wake == Sequence::NONE || row.endpoint == NIL || !self.services[caller.service as usize].could_settle_visits {
            return;
        }
        if matches!(row.status, CONNECT_FAILURE | RESET) {
            return;
        }
        let incoming = Incoming {
            id: row.id.with(u64::from(row.attempts)),
            sent: row.sent,
            call,
            generation: row.generation,
            endpoint: caller.first_endpoint + row.endpoint,
            site: row.site,
        };
        if self.fails_at_once(&incoming).is_none() {
            let (work, _) = self.whole_work(&incoming);
            self.observe.wasted(caller.service, incoming.sent, work);
        }
    }

    /// An attempt's first task leaves its endpoint, or will never do so: counts the work done for it.
    pub(super) fn count_work(&mut self, task: u32) {
        let row = self.tasks[task];
        // Health checks are nobody's requests.
        if self.is_check(row.site) {
            return;
        }
        let work = if row.state == TaskState::Queued && self.services_of(row.endpoint).could_settle_visits {
            // Computed on arrival, it would be settled by now.
            self.whole_work(&row.incoming()).0
        } else {
            self.work_of(task, None)
        };
        let service = self.endpoints[row.endpoint as usize].service;
        self.observe.worked(service, row.sent, work);
        if self.calls[row.call].generation != row.generation {
            self.observe.wasted(service, row.sent, work);
        }
    }

    /// An attempt's first task is stopped or lost: counts the work done for it so far, all of it wasted.
    fn count_lost_work(&mut self, task: u32, now: Time) {
        let row = &self.tasks[task];
        if self.is_check(row.site) {
            return;
        }
        let (service, sent) = (self.endpoints[row.endpoint as usize].service, row.sent);
        let work = self.work_of(task, Some(now));
        self.observe.worked(service, sent, work);
        self.observe.wasted(service, sent, work);
    }

    /// The time that the work of a task and of its branches has taken; `until`: without what will only be done after that.
    fn work_of(&self, task: u32, until: Option<Time>) -> Duration {
        let row = &self.tasks[task];
        let left = match until {
            Some(now) if row.state == TaskState::Working => match self.services_of(row.endpoint).discipline {
                Discipline::ProcessorSharing => self.shared_work_left(task, now),
                Discipline::Fifo | Discipline::Lifo | Discipline::AdaptiveLifo(_) => row.work_end.since(now),
            },
            _ => Duration::ZERO,
        };
        let mut work = Duration(row.worked.0.saturating_sub(left.0));
        if row.state == TaskState::Joining && row.waits_for != NIL {
            let mut branch = self.joins[row.waits_for].first;
            while branch != NIL {
                work = work + self.work_of(branch, until);
                branch = self.tasks[branch].sibling;
            }
        }
        work
    }

    /// The event of a cancellation that reaches its endpoint.
    pub(super) fn cancel_delivered(&mut self, cancel: u32, now: Time, agenda: &mut Agenda<Event>) {
        let (task, id, caller) = self.cancels[cancel];
        self.cancels.release(cancel);
        let row = &self.tasks[task];
        if row.endpoint == NIL || row.id != id || row.join != NIL || self.is_cut(caller, row.endpoint, true) {
            return;
        }
        let incoming = row.incoming();
        let stop = self.services_of(row.endpoint).on_cancel == OnCancel::Stop;
        let stay = self.stay(row.site, row.endpoint, row.sent, row.arrived);
        match row.state {
            TaskState::Abandoned | TaskState::Overtaken => return,
            // The request is overtaken: it is dropped when it comes.
            TaskState::Connecting | TaskState::Travelling => {
                self.tasks[task].state = TaskState::Overtaken;
                return;
            }
            TaskState::Queued => {
                self.note_attempt(incoming.generation, now, || What::DroppedFromQueue);
                self.leave_queue(task, now);
            }
            _ if !stop => return,
            _ => {
                let (site, endpoint) = (row.site, row.endpoint);
                self.note_attempt(incoming.generation, now, || What::Stopped);
                self.count_lost_work(task, now);
                self.stop_task(task, now, agenda);
                self.unload(site, endpoint, now);
            }
        }
        self.leave_shield(&incoming, stay.arrived, None, now);
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
        if self.sites[self.calls[call].site as usize].hedges.is_some() {
            self.abandon_hedged(call, Answer::Cancelled, now, agenda);
        } else if self.calls[call].endpoint == NIL {
            self.drop_retry(call, Answer::Cancelled, now, agenda);
        } else {
            self.finish_attempt(call, Answer::Cancelled, now, agenda);
        }
    }

    /// Everything at these endpoints (in ascending order) is lost; callers learn of it by a reset where the endpoint refuses, or
    /// never.
    pub(super) fn lose_everything(&mut self, endpoints: &[u32], now: Time, agenda: &mut Agenda<Event>) {
        let is_served = |state: TaskState| !state.is_under_way() && state != TaskState::Abandoned;
        for task in self.tasks_at(endpoints, is_served) {
            if self.tasks[task].join == NIL {
                self.count_lost_work(task, now);
            }
        }
        for &endpoint in endpoints {
            self.count_busy(endpoint, now);
            self.lose_shared_work(endpoint, now);
            self.endpoints[endpoint as usize].incarnation += 1;
            self.lose_connections(endpoint, now, agenda);
            if self.stations[endpoint as usize].throttle != NIL {
                self.runs_on(endpoint, 0, now, agenda);
            }
            let row = &mut self.stations[endpoint as usize];
            row.busy = 0;
            row.queued = 0;
            row.head = NIL;
            row.tail = NIL;
            self.load[endpoint as usize] = 0;
            if let Some(Some(shield)) = self.shields.get_mut(endpoint as usize) {
                let service = self.endpoints[endpoint as usize].service;
                shield.restart(&self.plan.services[service as usize].shield, now);
            }
        }
        // In an order that belongs to the attempts: where their rows lie must not matter.
        let mut there = self.tasks_at(endpoints, |state| !state.is_under_way());
        there.sort_unstable_by_key(|&task| {
            let row = &self.tasks[task];
            (row.endpoint, row.arrived, row.id.0)
        });
        // All are gone before anybody is told: over a network that takes no time a reset reaches callers that are lost with these.
        let rows: Vec<Task> = there.iter().map(|&task| self.tasks[task]).collect();
        for task in there {
            self.lose(task, now);
        }
        for row in rows {
            let is_hanging = self.endpoints[row.endpoint as usize].condition == Condition::Hanging;
            if row.join == NIL && row.state != TaskState::Abandoned && !is_hanging {
                self.reset(&row.incoming(), now, agenda);
            }
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
    fn lose(&mut self, task: u32, now: Time) {
        let row = self.tasks[task];
        match row.state {
            TaskState::Calling => self.calls[row.waits_for].parent = NIL,
            TaskState::Joining => self.joins.release(row.waits_for),
            _ => {}
        }
        self.tasks[task].holds_slot = false;
        self.free_task(task);
        if row.join == NIL && row.state != TaskState::Abandoned {
            self.note_attempt(row.generation, now, || What::Crashed);
            let stay = self.stay(row.site, row.endpoint, row.sent, row.arrived);
            let end = End::Answer(Answer::Reset);
            self.observe
                .attempt_left(&mut self.endpoints[stay.endpoint as usize].sums, stay, now, end);
        }
    }
}
