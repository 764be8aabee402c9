//! An endpoint's queue: who waits, who is served next, and who has waited too long.
//!
//! Under `adaptive_lifo` the queue is first in, first out until it is longer than a limit, as HHVM's is (Maurer, "Fail at Scale", ACM Queue 13 (8), 2015):
//! in overload the youngest are those who can still be served in time.

use crate::engine::{Agenda, Sequence};
use crate::model::event::Event;
use crate::model::plan::Discipline;
use crate::model::task::{Task, TaskState};
use crate::model::trace::{Trace, What, Why};
use crate::model::world::{NIL, World};
use crate::time::Time;

impl<T: Trace> World<'_, T> {
    /// Serves the next in the queue, if there is a free slot.
    pub(super) fn serve_next(&mut self, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        loop {
            let row = &self.stations[endpoint as usize];
            // Who was turned away may have come back at once and taken the slot.
            if row.head == NIL || row.busy >= self.services_of(endpoint).concurrency {
                return;
            }
            let task = match self.services_of(endpoint).discipline {
                Discipline::AdaptiveLifo(limit) if row.queued > limit => self.pop_back(endpoint),
                _ => self.pop_front(endpoint),
            };
            let state = self.tasks[task].state;
            if state == TaskState::Abandoned {
                self.free_task(task);
                continue;
            }
            self.stations[endpoint as usize].queued -= 1;
            if state == TaskState::Queued
                && let Some(status) = self.drops(task, now)
            {
                self.dismiss(task, status, now, agenda);
                continue;
            }
            self.take_slot(task, now);
            if state == TaskState::Queued {
                self.start_service(task, now, agenda);
            } else {
                self.advance(task, now, agenda);
            }
            return;
        }
    }

    fn pop_front(&mut self, endpoint: u32) -> u32 {
        let row = &mut self.stations[endpoint as usize];
        let task = row.head;
        row.head = self.tasks[task].next;
        match row.head {
            NIL => row.tail = NIL,
            head => self.tasks[head].previous = NIL,
        }
        task
    }

    fn pop_back(&mut self, endpoint: u32) -> u32 {
        let row = &mut self.stations[endpoint as usize];
        let task = row.tail;
        row.tail = self.tasks[task].previous;
        match row.tail {
            NIL => row.head = NIL,
            tail => self.tasks[tail].next = NIL,
        }
        task
    }

    /// Puts a task into the queue.
    pub(super) fn enqueue(&mut self, task: u32, state: TaskState) {
        let endpoint = self.tasks[task].endpoint;
        let lifo = self.services_of(endpoint).discipline == Discipline::Lifo;
        let row = &mut self.stations[endpoint as usize];
        row.queued += 1;
        let (head, tail) = (row.head, row.tail);
        let (previous, next) = if lifo { (NIL, head) } else { (tail, NIL) };
        match previous {
            NIL => row.head = task,
            previous => self.tasks[previous].next = task,
        }
        match next {
            NIL => row.tail = task,
            next => self.tasks[next].previous = task,
        }
        let task = &mut self.tasks[task];
        task.previous = previous;
        task.next = next;
        task.state = state;
    }

    /// Whether an arriving task is answered at once for what it carries: the status of the answer.
    pub(super) fn turns_away(&self, task: u32, now: Time) -> Option<u16> {
        let Task {
            endpoint,
            deadline,
            criticality,
            ..
        } = self.tasks[task];
        if deadline <= now {
            return Some(DEADLINE_EXCEEDED);
        }
        let service = self.endpoints[endpoint as usize].service;
        let limits = self.plan.services[service as usize].shed?;
        (self.load[endpoint as usize] >= limits[criticality as usize]).then_some(503)
    }

    /// Whether a task whose turn has come is turned away instead: the status of the answer.
    fn drops(&mut self, task: u32, now: Time) -> Option<u16> {
        if self.tasks[task].deadline <= now {
            return Some(DEADLINE_EXCEEDED);
        }
        self.is_dropped(task, now).then_some(503)
    }

    /// Tells the queue's controlled delay, if it has one, that a task's turn has come; whether it is to be turned away.
    pub(super) fn is_dropped(&mut self, task: u32, now: Time) -> bool {
        let Task { endpoint, arrived, .. } = self.tasks[task];
        let service = self.endpoints[endpoint as usize].service;
        match &self.plan.services[service as usize].codel {
            None => false,
            Some(options) => self.codels[endpoint as usize].drops(options, now.since(arrived), now),
        }
    }

    /// Answers a task that is in no queue any more.
    fn dismiss(&mut self, task: u32, status: u16, now: Time, agenda: &mut Agenda<Event>) {
        let incoming = self.tasks[task].incoming();
        let stay = self.stay(incoming.site, incoming.endpoint, incoming.sent, self.tasks[task].arrived);
        self.free_task(task);
        let why = if status == 503 { Why::Dropped } else { Why::Deadline };
        self.note_attempt(incoming.generation, now, || What::TurnedAway(status, why));
        self.unload(incoming.site, incoming.endpoint, now);
        self.leave_shield(&incoming, stay.arrived, Some(status), now);
        self.turn_away(&incoming, stay, status, now, agenda);
    }

    /// The event of a task that has waited too long.
    pub(super) fn queue_timeout(&mut self, task: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.tasks[task];
        if row.state != TaskState::Queued || row.wake != sequence {
            return;
        }
        let incoming = row.incoming();
        let stay = self.stay(row.site, row.endpoint, row.sent, row.arrived);
        self.leave_queue(task, now);
        self.note_attempt(incoming.generation, now, || What::TurnedAway(503, Why::QueueTimeout));
        self.leave_shield(&incoming, stay.arrived, Some(503), now);
        self.turn_away(&incoming, stay, 503, now, agenda);
    }

    /// Takes a queued task out; its row is freed when the queue comes to it.
    pub(super) fn leave_queue(&mut self, task: u32, now: Time) {
        let endpoint = self.tasks[task].endpoint;
        self.tasks[task].state = TaskState::Abandoned;
        self.tasks[task].wake = Sequence::NONE;
        self.stations[endpoint as usize].queued -= 1;
        self.unload(self.tasks[task].site, endpoint, now);
    }
}

/// What a server answers to a request whose deadline has passed: gRPC's DEADLINE_EXCEEDED as an HTTP status.
const DEADLINE_EXCEEDED: u16 = 504;
