//! Visits computed on arrival.
//!
//! Where nothing can disturb what is already settled (first in, first out; no call within its operations; no fault, no
//! cancellation, no policy that looks at the servers) the end of a visit is known when it begins, and only the answer is an event.
//! Both ways give the same result to the nanosecond, also among equal times: the numbers that order them are reserved on arrival
//! either way (`tests/swarm.rs` compares the two).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::engine::{Agenda, Sequence};
use crate::model::call::End;
use crate::model::check::Step;
use crate::model::endpoint::Incoming;
use crate::model::event::Event;
use crate::model::observe::Stay;
use crate::model::plan::UNLIMITED;
use crate::model::trace::{Trace, What, Why};
use crate::model::world::{NIL, ServiceState, World};
use crate::policy::Answer;
use crate::time::{Duration, Time};

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
        match self.is_any_free(endpoint, concurrency, current) {
            true => None,
            false => self.several[endpoint as usize].pop().map(|first| first.0),
        }
    }

    /// Whether a visit that arrives at `current` finds a slot free.
    fn is_any_free(&mut self, endpoint: u32, concurrency: u32, current: u128) -> bool {
        let busy = &mut self.several[endpoint as usize];
        while busy.peek().is_some_and(|first| first.0 < current) {
            busy.pop();
        }
        busy.len() < concurrency as usize
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
pub(super) fn moment(time: Time, sequence: Sequence) -> u128 {
    (u128::from(time.0) << 64) | u128::from(sequence.0)
}

/// What becomes of a visit to an endpoint without a queue that can change.
#[derive(Clone, Copy, Debug)]
struct Visit {
    start: Time,
    end: Time,
    status: u16,
}

impl<T: Trace> World<'_, T> {
    /// Whether what arrives at an endpoint with limited slots is served at once.
    pub(super) fn has_free_slot(&mut self, endpoint: u32, now: Time) -> bool {
        let service = self.services_of(endpoint);
        let (concurrency, current) = (service.concurrency, moment(now, self.current));
        if !service.settles_visits {
            let station = &self.stations[endpoint as usize];
            return station.busy < concurrency && station.queued == 0;
        }
        match concurrency {
            1 => self.endpoints[endpoint as usize].free <= current,
            _ => self.lanes.is_any_free(endpoint, concurrency, current),
        }
    }

    /// Settles a visit to an endpoint that serves first in, first out.
    #[inline]
    pub(super) fn visit(&mut self, incoming: &Incoming, now: Time, agenda: &mut Agenda<Event>) {
        let ServiceState {
            concurrency,
            queue_limit,
            ..
        } = *self.services_of(incoming.endpoint);
        let stay = self.stay(incoming.site, incoming.endpoint, incoming.sent, now);
        self.observe
            .attempt_arrived(&mut self.endpoints[stay.endpoint as usize].sums, stay);
        self.note_attempt(incoming.generation, now, || What::Arrived(None));
        if let Some(status) = self.fails_at_once(incoming) {
            self.note_attempt(incoming.generation, now, || What::TurnedAway(status, Why::Fails));
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
                self.note_attempt(incoming.generation, now, || What::TurnedAway(503, Why::Full));
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
    pub(super) fn visit_unlimited(
        &mut self,
        incoming: &Incoming,
        (now, arrived, at_once): (Time, Time, bool),
        agenda: &mut Agenda<Event>,
    ) {
        let sequence = agenda.reserve(3);
        if !self.within_horizon(arrived) {
            return;
        }
        let stay = self.stay(incoming.site, incoming.endpoint, incoming.sent, arrived);
        self.observe
            .attempt_arrived(&mut self.endpoints[stay.endpoint as usize].sums, stay);
        self.note_attempt(incoming.generation, arrived, || What::Arrived(None));
        let (work, status) = match self.fails_at_once(incoming) {
            Some(status) => {
                self.note_attempt(incoming.generation, arrived, || What::TurnedAway(status, Why::Fails));
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
                if at_once {
                    return self.respond(incoming, status, answered, sequence, now, agenda);
                }
                // Even a hop that took no time this once puts other events of this instant before the answer.
                return self.answer_at(answered, incoming.call, status, sequence, agenda);
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
    pub(super) fn whole_work(&self, incoming: &Incoming) -> (Duration, u16) {
        let start = self.sites[incoming.site as usize].start;
        let segment = self.segment(incoming.id, start, start, &[]);
        let slowdown = self.endpoints[incoming.endpoint as usize].slowdown;
        (
            Duration::from_nanos_f64(segment.work * slowdown),
            if segment.status == 0 { 200 } else { segment.status },
        )
    }

    /// Measures a settled visit and schedules its answer.
    #[inline(always)]
    fn settle(
        &mut self,
        incoming: &Incoming,
        stay: Stay,
        visit: Visit,
        sequence: Sequence,
        now: Time,
        agenda: &mut Agenda<Event>,
    ) {
        let work = visit.end.since(visit.start);
        // Whole work is one piece of the one task.
        self.note_attempt(incoming.generation, visit.start, || What::Started);
        self.note_attempt(incoming.generation, visit.start, || What::Works(NIL));
        self.note_attempt(incoming.generation, visit.end, || What::Worked(NIL));
        self.note_attempt(incoming.generation, visit.end, || What::Left(visit.status));
        if stay.counts {
            self.observe.worked(stay.service, incoming.sent, work);
        }
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
            if stay.counts {
                self.observe.wasted(stay.service, incoming.sent, work);
            }
            return;
        };
        debug_assert!(at >= now);
        self.answer_at(at, incoming.call, visit.status, sequence, agenda);
    }

    /// An answer reaches its caller at `at`, under a reserved number.
    #[inline]
    fn answer_at(&mut self, at: Time, call: u32, status: u16, sequence: Sequence, agenda: &mut Agenda<Event>) {
        let sequence = self.number_of(call, Step::Answer, sequence);
        let row = &mut self.calls[call];
        row.status = status;
        row.wake = sequence;
        agenda.at_reserved(at, sequence, Event::ResponseDelivered { call });
    }

    /// A visit that the end of the run cuts off.
    #[cold]
    fn settle_beyond_horizon(&mut self, stay: Stay, visit: Visit) {
        if self.within_horizon(visit.start) {
            self.observe
                .service_started(&mut self.endpoints[stay.endpoint as usize].sums, stay, visit.start);
        }
        self.observe.busy(
            &mut self.endpoints[stay.endpoint as usize].sums,
            (stay.endpoint, 1),
            visit.start,
            visit.end,
        );
        self.observe.attempt_left(
            &mut self.endpoints[stay.endpoint as usize].sums,
            stay,
            self.horizon,
            End::Answer(Answer::Cancelled),
        );
    }
}
