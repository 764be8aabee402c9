//! An endpoint: a station with slots, a queue and a discipline, whose visits go event by event. Where a visit can be computed
//! on arrival, `visit.rs` does; what ends before its time is in `abandon.rs`.

use crate::engine::{Agenda, Sequence};
use crate::model::call::End;
use crate::model::event::Event;
use crate::model::observe::{EndpointSums, Stay};
use crate::model::plan::{Discipline, EndpointPlan, NO_EDGE, Probability, Threading};
use crate::model::task::{Task, TaskState};
use crate::model::trace::{Trace, What, Why};
use crate::model::world::{NIL, World};
use crate::policy::Answer;
use crate::random::{Key, Purpose};
use crate::time::{Duration, Time};

/// An attempt as its endpoint sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming {
    pub id: Key,
    /// When it was sent.
    pub sent: Time,
    pub call: u32,
    pub generation: u32,
    pub endpoint: u32,
    pub site: u32,
}

/// Whether an endpoint can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Up,
    /// It refuses connections.
    Refusing,
    /// It accepts connections and resets them when a request comes.
    Resetting,
    /// It answers nothing.
    Hanging,
}

/// In place of a status: there is no answer at all.
pub(crate) const SILENCE: u16 = 0;

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
    /// Whether it ever fails at once, or never answers.
    pub(super) fails: bool,
    /// With one slot and visits computed on arrival: when the slot becomes free, and the number of that moment.
    pub(super) free: u128,
    pub sums: EndpointSums,
}

/// What changes at an endpoint whose visits go event by event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Station {
    /// Slots in use.
    pub(super) busy: u32,
    /// Tasks in the queue.
    pub(super) queued: u32,
    pub(super) head: u32,
    pub(super) tail: u32,
    /// Since when `busy` has its value.
    busy_since: Time,
    /// Whether faults alter the work here.
    pub is_altered: bool,
    /// Reasons to stand still, and since when it does; [`Time::MAX`]: it does not.
    pub stops: u32,
    pub stopped: Time,
    /// The faults that throttle it and that eat its memory; `NIL`: none.
    pub throttle: u32,
    pub leak: u32,
}

impl Default for Station {
    fn default() -> Station {
        Station {
            busy: 0,
            queued: 0,
            head: NIL,
            tail: NIL,
            busy_since: Time::ZERO,
            is_altered: false,
            stops: 0,
            stopped: Time::MAX,
            throttle: NIL,
            leak: NIL,
        }
    }
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

impl<T: Trace> World<'_, T> {
    /// The event of a request (or of the first packet of a connection) that reaches its endpoint.
    pub(super) fn request_delivered(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.tasks[task];
        let incoming = row.incoming();
        let (state, sender) = (row.state, row.waits_for);
        if sender != NIL && self.is_cut(sender, incoming.endpoint, true) {
            self.note_attempt(incoming.generation, now, || What::Lost);
            return self.free_task(task);
        }
        match self.endpoints[incoming.endpoint as usize].condition {
            Condition::Up => {}
            Condition::Refusing => self.note_attempt(incoming.generation, now, || What::FoundRefusing),
            Condition::Resetting => self.note_attempt(incoming.generation, now, || What::FoundResetting),
            Condition::Hanging => self.note_attempt(incoming.generation, now, || What::FoundHanging),
        }
        match (self.endpoints[incoming.endpoint as usize].condition, state) {
            (_, TaskState::Overtaken) | (Condition::Hanging, _) => self.free_task(task),
            (Condition::Up | Condition::Resetting, TaskState::Connecting) => self.connected(task, now, agenda),
            (Condition::Up, _) if self.services_of(incoming.endpoint).settles_visits => {
                self.free_task(task);
                self.visit(&incoming, now, agenda);
            }
            (Condition::Up, _) => self.admit(task, now, agenda),
            (Condition::Refusing, _) => {
                self.free_task(task);
                self.refuse(&incoming, now, agenda);
            }
            (Condition::Resetting, _) => {
                self.free_task(task);
                self.reset(&incoming, now, agenda);
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

    /// Whether the endpoint answers at once with an error instead of serving; [`SILENCE`]: it never answers.
    #[inline]
    pub(super) fn fails_at_once(&self, incoming: &Incoming) -> Option<u16> {
        if !self.endpoints[incoming.endpoint as usize].fails {
            return None;
        }
        let plan = &self.plan.endpoints[incoming.endpoint as usize];
        let coin = incoming
            .id
            .with(((Purpose::Coin as u64) << 32) | u64::from(NIL))
            .draws()
            .next_u64();
        match plan.fail.happens(coin) {
            true => Some(plan.fail_status),
            false => self.fault_answers(incoming),
        }
    }

    /// Answers an attempt that is not served.
    pub(super) fn turn_away(&mut self, incoming: &Incoming, stay: Stay, status: u16, now: Time, agenda: &mut Agenda<Event>) {
        if stay.counts {
            self.meter_turned_away(incoming.endpoint, now);
        }
        self.observe.attempt_left(
            &mut self.endpoints[stay.endpoint as usize].sums,
            stay,
            now,
            End::Answer(Answer::Status(status)),
        );
        self.send_status(incoming, status, now, agenda);
    }

    #[inline]
    pub(super) fn stay(&self, site: u32, endpoint: u32, sent: Time, arrived: Time) -> Stay {
        let service = self.endpoints[endpoint as usize].service;
        self.observe.stay(service, endpoint, (sent, arrived), !self.is_check(site))
    }

    /// Gives an arriving task a slot, a place in the queue, or a refusal.
    fn admit(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        let incoming = self.tasks[task].incoming();
        let plan = &self.plan.services[self.endpoints[incoming.endpoint as usize].service as usize];
        let stay = self.stay(incoming.site, incoming.endpoint, incoming.sent, now);
        self.observe
            .attempt_arrived(&mut self.endpoints[stay.endpoint as usize].sums, stay);
        let row = &mut self.tasks[task];
        row.arrived = now;
        row.pc = self.sites[incoming.site as usize].start;
        let reserved = self.tasks[task].wake;
        let Station { busy, queued, .. } = self.stations[incoming.endpoint as usize];
        self.note_attempt(incoming.generation, now, || What::Arrived(Some((busy, queued))));
        if !plan.shield.is_empty()
            && let Err(status) = self.pass_shield(&incoming, now)
        {
            self.free_task(task);
            self.note_attempt(incoming.generation, now, || What::TurnedAway(status, Why::Shield));
            return self.turn_away(&incoming, stay, status, now, agenda);
        }
        if let Some(status) = self.fails_at_once(&incoming) {
            self.note_attempt(incoming.generation, now, || What::TurnedAway(status, Why::Fails));
            self.leave_shield(&incoming, now, Some(status), now);
            self.free_task(task);
            if status == SILENCE {
                let end = End::Answer(Answer::Cancelled);
                let sums = &mut self.endpoints[stay.endpoint as usize].sums;
                return self.observe.attempt_left(sums, stay, now, end);
            }
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
        if self.carries_baggage
            && let Some(status) = self.turns_away(task, now)
        {
            self.leave_shield(&incoming, now, Some(status), now);
            self.free_task(task);
            self.note_attempt(incoming.generation, now, || What::TurnedAway(status, Why::Deadline));
            return self.turn_away(&incoming, stay, status, now, agenda);
        }
        let endpoint = &self.stations[incoming.endpoint as usize];
        if endpoint.busy >= plan.concurrency && endpoint.queued >= plan.queue_limit {
            self.leave_shield(&incoming, now, Some(503), now);
            self.free_task(task);
            self.note_attempt(incoming.generation, now, || What::TurnedAway(503, Why::Full));
            return self.turn_away(&incoming, stay, 503, now, agenda);
        }
        // The numbers of the end of its work and of its answer, as for a visit that is computed on arrival.
        if self.services_of(incoming.endpoint).could_settle_visits && reserved == Sequence::NONE {
            self.tasks[task].wake = agenda.reserve(2);
        }
        if stay.counts {
            self.load[incoming.endpoint as usize] += 1;
            self.meter_arrived(task, now);
        }
        if self.stations[incoming.endpoint as usize].busy < plan.concurrency {
            if plan.codel.is_some() {
                self.is_dropped(task, now);
            }
            self.take_slot(task, now);
            self.start_service(task, now, agenda);
        } else {
            self.enqueue(task, TaskState::Queued);
            if plan.queue_timeout != Duration::MAX {
                self.tasks[task].wake = agenda.at(now + plan.queue_timeout, Event::QueueTimeout { task });
            }
        }
        if self.stations[incoming.endpoint as usize].is_altered {
            self.warm_up(incoming.endpoint);
        }
        // Last, since it may take the endpoint with all that is there.
        if self.stations[incoming.endpoint as usize].leak != NIL {
            self.leak_more(incoming.endpoint, now, agenda);
        }
    }

    /// Asks the proxy beside an endpoint; health checks pass it.
    fn pass_shield(&mut self, incoming: &Incoming, now: Time) -> Result<(), u16> {
        if self.is_check(incoming.site) {
            return Ok(());
        }
        let options = &self.plan.services[self.endpoints[incoming.endpoint as usize].service as usize].shield;
        match &mut self.shields[incoming.endpoint as usize] {
            Some(shield) => shield.admit(options, now),
            None => Ok(()),
        }
    }

    /// Tells the proxy beside an endpoint, if there is one, how a request that it let through has ended; `None`: without an answer.
    #[inline]
    pub(super) fn leave_shield(&mut self, incoming: &Incoming, arrived: Time, status: Option<u16>, now: Time) {
        if let Some(Some(shield)) = self.shields.get_mut(incoming.endpoint as usize)
            && self.sites[incoming.site as usize].edge != NO_EDGE
        {
            let options = &self.plan.services[self.endpoints[incoming.endpoint as usize].service as usize].shield;
            shield.on_left(options, arrived, status, now);
        }
    }

    /// A task's first service begins.
    pub(super) fn start_service(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        let Task {
            endpoint,
            sent,
            arrived,
            site,
            ..
        } = self.tasks[task];
        let stay = self.stay(site, endpoint, sent, arrived);
        self.note_task(task, now, || What::Started);
        self.observe
            .service_started(&mut self.endpoints[stay.endpoint as usize].sums, stay, now);
        if stay.counts {
            self.meter_started(task, now);
        }
        self.advance(task, now, agenda);
    }

    pub(super) fn take_slot(&mut self, task: u32, now: Time) {
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
        self.note_task(task, now, || What::Requeued);
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

    /// Integrates the busy slots up to now.
    pub(super) fn count_busy(&mut self, endpoint: u32, now: Time) {
        let shared = self.services_of(endpoint).discipline == Discipline::ProcessorSharing;
        let row = &mut self.stations[endpoint as usize];
        let (busy, since) = (row.busy, std::mem::replace(&mut row.busy_since, now));
        // Under processor sharing the cores are what is busy.
        if !shared {
            self.observe
                .busy(&mut self.endpoints[endpoint as usize].sums, (endpoint, busy), since, now);
            self.meter_busy(endpoint, busy, since, now);
        }
    }

    /// One request less at an endpoint, sent from `site`.
    pub(super) fn unload(&mut self, site: u32, endpoint: u32, now: Time) {
        // Checks were not counted: an endpoint that is only checked is idle.
        if self.is_check(site) {
            return;
        }
        let load = &mut self.load[endpoint as usize];
        *load -= 1;
        if *load == 0 {
            self.report_idle(endpoint, now);
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
                self.count_work(task);
                let stay = self.stay(row.site, row.endpoint, row.sent, row.arrived);
                let end = End::Answer(Answer::Cancelled);
                self.observe
                    .attempt_left(&mut self.endpoints[stay.endpoint as usize].sums, stay, horizon, end);
            }
        }
    }
}
