//! An endpoint: a station with slots, a queue and a discipline.
//!
//! Where nothing can disturb what is already settled (first in, first out; no call within its operations; no fault, no
//! cancellation, no policy that looks at the servers) a visit is computed on arrival: its end is known, and only the answer is an
//! event. Otherwise each step is an event. Both give the same result to the nanosecond, also among equal times: the numbers that
//! order them are reserved on arrival either way (`tests/elision.rs` compares the two).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::engine::{Agenda, Sequence};
use crate::model::call::End;
use crate::model::event::Event;
use crate::model::observe::{EndpointSums, Stay};
use crate::model::plan::{Discipline, EndpointPlan, OnCancel, Probability, Threading, UNLIMITED};
use crate::model::task::{Task, TaskState};
use crate::model::world::{NIL, ServiceState, World};
use crate::policy::Answer;
use crate::random::{Key, Purpose};
use crate::time::{Duration, Time};

/// An attempt as its endpoint sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming {
    pub id: Key,
    pub call: u32,
    pub generation: u32,
    pub endpoint: u32,
    pub site: u32,
}

/// Whether an endpoint can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Up,
    Refusing,
    Hanging,
}

/// What every visit reads and writes of an endpoint: two neighbouring cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(align(128))]
pub(crate) struct Endpoint {
    /// Time that a nanosecond of work takes.
    pub slowdown: f64,
    pub service: u32,
    pub zone: u32,
    /// Lives so far: connections of an earlier one are gone.
    pub incarnation: u32,
    pub condition: Condition,
    /// Whether it ever fails at once.
    fails: bool,
    /// With one slot and visits computed on arrival: when the slot becomes free, and the number of that moment.
    free: u128,
    pub sums: EndpointSums,
}

/// What changes at an endpoint whose visits go event by event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Station {
    /// Slots in use.
    busy: u32,
    /// Tasks in the queue.
    queued: u32,
    head: u32,
    tail: u32,
    /// Since when `busy` has its value.
    busy_since: Time,
    /// Extra time for each piece of work: a distribution of the plan, or `NIL`.
    pub slow_add: u32,
}

impl Default for Station {
    fn default() -> Station {
        Station {
            busy: 0,
            queued: 0,
            head: NIL,
            tail: NIL,
            busy_since: Time::ZERO,
            slow_add: NIL,
        }
    }
}

/// The settled future of the endpoints whose visits are computed on arrival, beyond what [`Endpoint::free`] says.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    /// Of each endpoint with several slots: when each busy one becomes free, and the number of that moment.
    several: Vec<BinaryHeap<Reverse<u128>>>,
    /// Of each endpoint with a limited queue: when each waiting visit will start.
    starts: Vec<VecDeque<u128>>,
}

impl Lanes {
    /// Room for as many endpoints as each kind of lane is needed for: all of the plan's, or none.
    pub fn new(endpoints: usize, services: &[ServiceState]) -> Lanes {
        let settled = || {
            services
                .iter()
                .filter(|service| service.settles_visits && service.concurrency != UNLIMITED)
        };
        let room = |needed: bool| if needed { endpoints } else { 0 };
        Lanes {
            several: vec![BinaryHeap::new(); room(settled().any(|service| service.concurrency > 1))],
            starts: vec![VecDeque::new(); room(settled().any(|service| service.queue_limit != UNLIMITED))],
        }
    }

    /// When a slot for a visit that arrives at `current` was or becomes free, if none is free now. Takes the slot: the caller
    /// puts it back with its new end.
    #[inline]
    fn first_free(&mut self, endpoint: u32, concurrency: u32, current: u128) -> Option<u128> {
        let busy = &mut self.several[endpoint as usize];
        while busy.peek().is_some_and(|first| first.0 < current) {
            busy.pop();
        }
        if busy.len() < concurrency as usize {
            None
        } else {
            busy.pop().map(|first| first.0)
        }
    }

    /// Lets a visit wait until `start`; false if so many wait already.
    fn wait(&mut self, endpoint: u32, queue_limit: u32, current: u128, start: u128) -> bool {
        let starts = &mut self.starts[endpoint as usize];
        while starts.front().is_some_and(|&first| first < current) {
            starts.pop_front();
        }
        if starts.len() >= queue_limit as usize {
            return false;
        }
        starts.push_back(start);
        true
    }
}

/// A moment between two events: time, then sequence.
#[inline]
fn moment(time: Time, sequence: Sequence) -> u128 {
    (u128::from(time.0) << 64) | u128::from(sequence.0)
}

impl Endpoint {
    pub fn new(plan: &EndpointPlan) -> Endpoint {
        Endpoint {
            slowdown: 1.0 / plan.speed,
            service: plan.service,
            zone: plan.zone,
            incarnation: 0,
            condition: Condition::Up,
            fails: plan.fail != Probability::NEVER,
            free: 0,
            sums: EndpointSums::default(),
        }
    }
}

/// What becomes of a visit to an endpoint without a queue that can change.
#[derive(Clone, Copy, Debug)]
struct Visit {
    start: Time,
    end: Time,
    status: u16,
}

impl World<'_> {
    /// The event of a request (or of the first packet of a connection) that reaches its endpoint.
    pub(super) fn request_delivered(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.tasks[task];
        let incoming = row.incoming();
        match (self.endpoints[incoming.endpoint as usize].condition, row.state) {
            (_, TaskState::Overtaken) | (Condition::Hanging, _) => self.free_task(task),
            (Condition::Up, TaskState::Connecting) => self.connected(task, now, agenda),
            (Condition::Up, _) if self.services_of(incoming.endpoint).settles_visits => {
                self.free_task(task);
                self.visit(&incoming, now, agenda);
            }
            (Condition::Up, _) => self.admit(task, now, agenda),
            (Condition::Refusing, _) => {
                self.free_task(task);
                self.refuse(&incoming, now, agenda);
            }
        }
    }

    /// A request over a network that takes no time.
    #[inline]
    pub(super) fn deliver(&mut self, incoming: &Incoming, reserved: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        if self.services_of(incoming.endpoint).settles_visits {
            self.visit(incoming, now, agenda);
        } else {
            let task = self.tasks.insert(Task {
                wake: reserved,
                ..Task::travelling(incoming)
            });
            self.remember_task(incoming.call, task);
            self.request_delivered(task, now, agenda);
        }
    }

    /// Whether the endpoint answers at once with an error instead of serving.
    #[inline]
    fn fails_at_once(&self, incoming: &Incoming) -> Option<u16> {
        if !self.endpoints[incoming.endpoint as usize].fails {
            return None;
        }
        let plan = &self.plan.endpoints[incoming.endpoint as usize];
        let coin = incoming
            .id
            .with(((Purpose::Coin as u64) << 32) | u64::from(NIL))
            .draws()
            .next_u64();
        plan.fail.happens(coin).then_some(plan.fail_status)
    }

    // ---- Visits computed on arrival. ----

    /// Settles a visit to an endpoint that serves first in, first out.
    #[inline]
    fn visit(&mut self, incoming: &Incoming, now: Time, agenda: &mut Agenda<Event>) {
        let ServiceState {
            concurrency,
            queue_limit,
            ..
        } = *self.services_of(incoming.endpoint);
        let stay = self.stay(incoming.endpoint, now);
        self.observe
            .attempt_arrived(&mut self.endpoints[stay.endpoint as usize].sums, stay);
        if let Some(status) = self.fails_at_once(incoming) {
            return self.turn_away(incoming, stay, status, now, agenda);
        }
        debug_assert!(concurrency != UNLIMITED, "such a visit is settled when it is sent");
        let current = moment(now, self.current);
        let mut start = now;
        let at = incoming.endpoint as usize;
        let free = if concurrency == 1 {
            Some(self.endpoints[at].free).filter(|&free| free > current)
        } else {
            self.lanes.first_free(incoming.endpoint, concurrency, current)
        };
        if let Some(free) = free {
            if queue_limit != UNLIMITED && !self.lanes.wait(incoming.endpoint, queue_limit, current, free) {
                if concurrency > 1 {
                    self.lanes.several[at].push(Reverse(free));
                }
                return self.turn_away(incoming, stay, 503, now, agenda);
            }
            start = Time((free >> 64) as u64);
        }
        let (work, status) = self.whole_work(incoming);
        let end = start + work;
        let sequence = agenda.reserve(2);
        if concurrency == 1 {
            self.endpoints[at].free = moment(end, sequence);
        } else {
            self.lanes.several[at].push(Reverse(moment(end, sequence)));
        }
        self.settle(incoming, stay, Visit { start, end, status }, sequence.next(), now, agenda);
    }

    /// Settles a visit that arrives at `arrived` at an endpoint that serves everybody at once.
    #[inline]
    pub(super) fn visit_unlimited(&mut self, incoming: &Incoming, now: Time, arrived: Time, agenda: &mut Agenda<Event>) {
        let sequence = agenda.reserve(3);
        if !self.within_horizon(arrived) {
            return;
        }
        let stay = self.stay(incoming.endpoint, arrived);
        self.observe
            .attempt_arrived(&mut self.endpoints[stay.endpoint as usize].sums, stay);
        let (work, status) = match self.fails_at_once(incoming) {
            Some(status) => {
                self.observe.attempt_left(
                    &mut self.endpoints[stay.endpoint as usize].sums,
                    stay,
                    arrived,
                    End::Answer(Answer::Status(status)),
                );
                let answered = self
                    .response_arrives(incoming, arrived)
                    .expect("the attempt has just been sent");
                let sequence = sequence.next().next();
                return self.respond(incoming, status, answered, sequence, now, agenda);
            }
            None => self.whole_work(incoming),
        };
        let visit = Visit {
            start: arrived,
            end: arrived + work,
            status,
        };
        self.settle(incoming, stay, visit, sequence.next().next(), now, agenda);
    }

    /// The time that an operation without calls takes at this endpoint, and its status.
    #[inline]
    fn whole_work(&self, incoming: &Incoming) -> (Duration, u16) {
        let start = self.sites[incoming.site as usize].start;
        let segment = self.segment(incoming.id, start, start, NIL);
        let slowdown = self.endpoints[incoming.endpoint as usize].slowdown;
        (
            Duration::from_nanos_f64(segment.work * slowdown),
            if segment.status == 0 { 200 } else { segment.status },
        )
    }

    /// Measures a settled visit and schedules its answer.
    #[inline]
    fn settle(
        &mut self,
        incoming: &Incoming,
        stay: Stay,
        visit: Visit,
        sequence: Sequence,
        now: Time,
        agenda: &mut Agenda<Event>,
    ) {
        if self.within_horizon(visit.end) {
            self.observe.visited(
                &mut self.endpoints[stay.endpoint as usize].sums,
                stay,
                visit.start,
                visit.end,
                visit.status,
            );
        } else {
            self.settle_beyond_horizon(stay, visit);
        }
        let Some(at) = self.response_arrives(incoming, visit.end) else {
            return;
        };
        let row = &mut self.calls[incoming.call];
        row.status = visit.status;
        row.wake = sequence;
        debug_assert!(at >= now);
        agenda.at_reserved(at, sequence, Event::ResponseDelivered { call: incoming.call });
    }

    /// A visit that the end of the run cuts off.
    #[cold]
    fn settle_beyond_horizon(&mut self, stay: Stay, visit: Visit) {
        if self.within_horizon(visit.start) {
            self.observe
                .service_started(&mut self.endpoints[stay.endpoint as usize].sums, stay, visit.start);
        }
        self.observe
            .busy(&mut self.endpoints[stay.endpoint as usize].sums, 1, visit.start, visit.end);
        self.observe.attempt_left(
            &mut self.endpoints[stay.endpoint as usize].sums,
            stay,
            self.horizon,
            End::Answer(Answer::Cancelled),
        );
    }

    /// Answers an attempt that is not served.
    fn turn_away(&mut self, incoming: &Incoming, stay: Stay, status: u16, now: Time, agenda: &mut Agenda<Event>) {
        self.observe.attempt_left(
            &mut self.endpoints[stay.endpoint as usize].sums,
            stay,
            now,
            End::Answer(Answer::Status(status)),
        );
        self.send_status(incoming, status, now, agenda);
    }

    #[inline]
    pub(super) fn stay(&self, endpoint: u32, arrived: Time) -> Stay {
        self.observe
            .stay(self.endpoints[endpoint as usize].service, endpoint, arrived)
    }

    // ---- Visits event by event. ----

    /// Gives an arriving task a slot, a place in the queue, or a refusal.
    fn admit(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        let incoming = self.tasks[task].incoming();
        let plan = &self.plan.services[self.endpoints[incoming.endpoint as usize].service as usize];
        let stay = self.stay(incoming.endpoint, now);
        self.observe
            .attempt_arrived(&mut self.endpoints[stay.endpoint as usize].sums, stay);
        let row = &mut self.tasks[task];
        row.arrived = now;
        row.pc = self.sites[incoming.site as usize].start;
        let reserved = self.tasks[task].wake;
        if let Some(status) = self.fails_at_once(&incoming) {
            self.free_task(task);
            if reserved == Sequence::NONE {
                return self.turn_away(&incoming, stay, status, now, agenda);
            }
            self.observe.attempt_left(
                &mut self.endpoints[stay.endpoint as usize].sums,
                stay,
                now,
                End::Answer(Answer::Status(status)),
            );
            let Some(at) = self.response_arrives(&incoming, now) else {
                return;
            };
            return self.respond(&incoming, status, at, reserved.next(), now, agenda);
        }
        let endpoint = &self.stations[incoming.endpoint as usize];
        if endpoint.busy >= plan.concurrency && endpoint.queued >= plan.queue_limit {
            self.free_task(task);
            return self.turn_away(&incoming, stay, 503, now, agenda);
        }
        // The numbers of the end of its work and of its answer, as for a visit that is computed on arrival.
        if self.services_of(incoming.endpoint).could_settle_visits && reserved == Sequence::NONE {
            self.tasks[task].wake = agenda.reserve(2);
        }
        self.load[incoming.endpoint as usize] += 1;
        if self.stations[incoming.endpoint as usize].busy < plan.concurrency {
            self.take_slot(task, now);
            self.start_service(task, now, agenda);
        } else {
            self.enqueue(task, TaskState::Queued);
            if plan.queue_timeout != Duration::MAX {
                self.tasks[task].wake = agenda.at(now + plan.queue_timeout, Event::QueueTimeout { task });
            }
        }
    }

    /// A task's first service begins.
    fn start_service(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        let Task { endpoint, arrived, .. } = self.tasks[task];
        let stay = self.stay(endpoint, arrived);
        self.observe
            .service_started(&mut self.endpoints[stay.endpoint as usize].sums, stay, now);
        self.advance(task, now, agenda);
    }

    fn take_slot(&mut self, task: u32, now: Time) {
        let endpoint = self.tasks[task].endpoint;
        self.tasks[task].holds_slot = true;
        self.count_busy(endpoint, now);
        self.stations[endpoint as usize].busy += 1;
    }

    /// Takes a slot for a task that goes on; false if it has to queue for one.
    pub(super) fn resume_slot(&mut self, task: u32, now: Time) -> bool {
        let Task {
            endpoint,
            holds_slot,
            join,
            ..
        } = self.tasks[task];
        let plan = self.services_of(endpoint);
        // Under `sync` the branches of a request work on its slot.
        if holds_slot || (plan.threading == Threading::Sync && join != NIL) {
            return true;
        }
        if self.stations[endpoint as usize].busy < plan.concurrency {
            self.take_slot(task, now);
            return true;
        }
        self.enqueue(task, TaskState::Requeued);
        false
    }

    /// Gives a task's slot back, if it holds one, and serves the next in the queue.
    pub(super) fn release_slot(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        if !self.tasks[task].holds_slot {
            return;
        }
        let endpoint = self.tasks[task].endpoint;
        self.tasks[task].holds_slot = false;
        self.count_busy(endpoint, now);
        self.stations[endpoint as usize].busy -= 1;
        self.serve_next(endpoint, now, agenda);
    }

    fn serve_next(&mut self, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        loop {
            let row = &mut self.stations[endpoint as usize];
            let task = row.head;
            if task == NIL {
                return;
            }
            row.head = self.tasks[task].next;
            if row.head == NIL {
                row.tail = NIL;
            }
            let state = self.tasks[task].state;
            if state == TaskState::Abandoned {
                self.free_task(task);
                continue;
            }
            self.stations[endpoint as usize].queued -= 1;
            self.take_slot(task, now);
            if state == TaskState::Queued {
                self.start_service(task, now, agenda);
            } else {
                self.advance(task, now, agenda);
            }
            return;
        }
    }

    fn enqueue(&mut self, task: u32, state: TaskState) {
        let endpoint = self.tasks[task].endpoint;
        let lifo = self.services_of(endpoint).discipline == Discipline::Lifo;
        let row = &mut self.stations[endpoint as usize];
        row.queued += 1;
        let old_head = row.head;
        let old_tail = row.tail;
        if old_head == NIL {
            row.head = task;
            row.tail = task;
            self.tasks[task].next = NIL;
        } else if lifo {
            row.head = task;
            self.tasks[task].next = old_head;
        } else {
            row.tail = task;
            self.tasks[old_tail].next = task;
            self.tasks[task].next = NIL;
        }
        self.tasks[task].state = state;
    }

    /// Integrates the busy slots up to now.
    fn count_busy(&mut self, endpoint: u32, now: Time) {
        let shared = self.services_of(endpoint).discipline == Discipline::ProcessorSharing;
        let row = &mut self.stations[endpoint as usize];
        // Under processor sharing the cores are what is busy.
        if !shared {
            self.observe
                .busy(&mut self.endpoints[endpoint as usize].sums, row.busy, row.busy_since, now);
        }
        row.busy_since = now;
    }

    /// The event of a task that has waited too long.
    pub(super) fn queue_timeout(&mut self, task: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.tasks[task];
        if row.state != TaskState::Queued || row.wake != sequence {
            return;
        }
        let incoming = row.incoming();
        let stay = self.stay(row.endpoint, row.arrived);
        self.leave_queue(task, now);
        self.turn_away(&incoming, stay, 503, now, agenda);
    }

    /// Takes a queued task out; its row is freed when the queue comes to it.
    fn leave_queue(&mut self, task: u32, now: Time) {
        let endpoint = self.tasks[task].endpoint;
        self.tasks[task].state = TaskState::Abandoned;
        self.tasks[task].wake = Sequence::NONE;
        self.stations[endpoint as usize].queued -= 1;
        self.unload(endpoint, now);
    }

    /// One request less at an endpoint.
    pub(super) fn unload(&mut self, endpoint: u32, now: Time) {
        let load = &mut self.load[endpoint as usize];
        *load -= 1;
        if *load == 0 {
            self.report_idle(endpoint, now);
        }
    }

    // ---- Cancellation. ----

    /// A caller gave up: tells the endpoint, if it wants to know.
    pub(super) fn cancel_task(&mut self, call: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.calls[call];
        let service = self.callers[row.cluster as usize].service;
        if self.services[service as usize].on_cancel == OnCancel::Continue {
            return;
        }
        let task = self.task_of_call[call as usize];
        let Some(incoming) = (task != NIL).then(|| self.tasks[task].incoming()) else {
            return;
        };
        // A free row: the endpoint has answered, and the answer is on its way.
        if incoming.endpoint == NIL || incoming.call != call || incoming.generation != row.generation {
            return;
        }
        let latency = self.cancel_latency(&incoming);
        let cancel = self.cancels.insert((task, incoming.id));
        agenda.at(now + latency, Event::CancelDelivered { cancel });
    }

    /// The event of a cancellation that reaches its endpoint.
    pub(super) fn cancel_delivered(&mut self, cancel: u32, now: Time, agenda: &mut Agenda<Event>) {
        let (task, id) = self.cancels[cancel];
        self.cancels.release(cancel);
        let row = &self.tasks[task];
        if row.endpoint == NIL || row.id != id || row.join != NIL {
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
            TaskState::Working => self.stop_work(task, now, agenda),
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

    // ---- Crashes. ----

    /// Everything at an endpoint is lost; callers learn of it by a reset, or never.
    pub(super) fn lose_everything(&mut self, endpoint: u32, tell: bool, now: Time, agenda: &mut Agenda<Event>) {
        self.count_busy(endpoint, now);
        self.lose_shared_work(endpoint, now);
        self.endpoints[endpoint as usize].incarnation += 1;
        let row = &mut self.stations[endpoint as usize];
        row.busy = 0;
        row.queued = 0;
        row.head = NIL;
        row.tail = NIL;
        self.load[endpoint as usize] = 0;
        let here = |task: &u32| self.tasks[*task].endpoint == endpoint && !self.tasks[*task].state.is_under_way();
        let mut here: Vec<u32> = self.tasks.slots().filter(here).collect();
        // In an order that belongs to the attempts: where their rows lie must not matter.
        here.sort_unstable_by_key(|&task| (self.tasks[task].arrived, self.tasks[task].id.0));
        for task in here {
            self.lose(task, tell, now, agenda);
        }
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

    /// Counts what is still at an endpoint. To be called once, after the last event.
    pub(super) fn count_left_over(&mut self) {
        let horizon = self.horizon;
        for endpoint in 0..self.endpoints.len() as u32 {
            if !self.services_of(endpoint).settles_visits {
                self.count_busy(endpoint, horizon);
                self.count_shared_work(endpoint, horizon);
            }
        }
        for task in self.tasks.slots() {
            let row = self.tasks[task];
            let gone = row.state.is_under_way() || row.state == TaskState::Abandoned;
            if row.endpoint != NIL && !gone && row.join == NIL {
                let stay = self.stay(row.endpoint, row.arrived);
                let end = End::Answer(Answer::Cancelled);
                self.observe
                    .attempt_left(&mut self.endpoints[stay.endpoint as usize].sums, stay, horizon, end);
            }
        }
    }
}
