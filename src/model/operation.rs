//! An operation's steps: a small program that each task runs.
//!
//! Between two points where others come in (a call, branches, the end) the steps only add up work, and nobody can see the
//! moments between; so such a stretch, a *segment*, is one piece of work.

use crate::engine::{Agenda, Sequence};
use crate::model::call::End;
use crate::model::endpoint::Incoming;
use crate::model::event::Event;
use crate::model::key::RequestKey;
use crate::model::plan::{Discipline, Instr, OnError, Threading};
use crate::model::task::{Join, Task, TaskState};
use crate::model::trace::{Trace, What};
use crate::model::world::{NIL, World};
use crate::policy::Answer;
use crate::random::{Key, Purpose};
use crate::time::{Duration, Time};

/// The status of an operation one of whose steps has failed.
const STEP_FAILED: u16 = 500;

/// A stretch of steps without calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Nanoseconds of work.
    pub work: f64,
    /// The instruction it stops at.
    pub pc: u32,
    /// The status that a `fail` step ends the operation with; 0: none.
    pub status: u16,
}

#[inline]
fn step_key(id: Key, purpose: Purpose, step: u32) -> Key {
    id.with(((purpose as u64) << 32) | u64::from(step))
}

impl<T: Trace> World<'_, T> {
    /// Runs the instructions from `pc` of the operation that starts at `start`, up to the next one that is not pure. `adds` are
    /// distributions that each piece of work takes besides.
    #[inline]
    pub(super) fn segment(&self, id: Key, start: u32, mut pc: u32, adds: &[u32]) -> Segment {
        let mut work = 0.0;
        loop {
            let step = pc - start;
            match self.plan.program[pc as usize] {
                Instr::Work { distribution } => {
                    let mut draws = step_key(id, Purpose::Work, step).draws();
                    work += self.plan.distributions[distribution as usize].sample(&mut draws);
                    for &add in adds {
                        work += self.plan.distributions[add as usize].sample(&mut draws);
                    }
                    pc += 1;
                }
                Instr::Maybe { probability, to } => {
                    let coin = step_key(id, Purpose::Coin, step).draws().next_u64();
                    pc = if probability.happens(coin) { pc + 1 } else { to };
                }
                Instr::Choose { first, count } => {
                    let coin = step_key(id, Purpose::Coin, step).draws().next_u64();
                    let arms = &self.plan.arms[first as usize..(first + count) as usize];
                    let arm = arms
                        .iter()
                        .find(|arm| arm.up_to.happens(coin))
                        .expect("the last arm takes the rest");
                    pc = arm.start;
                }
                Instr::Jump { to } => pc = to,
                Instr::Fail { probability, status } => {
                    let coin = step_key(id, Purpose::Coin, step).draws().next_u64();
                    if probability.happens(coin) {
                        return Segment { work, pc, status };
                    }
                    pc += 1;
                }
                Instr::Call { .. } | Instr::Parallel { .. } | Instr::End => return Segment { work, pc, status: 0 },
            }
        }
    }

    fn operation_start(&self, site: u32) -> u32 {
        self.sites[site as usize].start
    }

    /// Goes on with a task: works, or does what comes after the work. A task that has to queue for a slot stops here.
    pub(super) fn advance(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        let Task {
            id, endpoint, site, pc, ..
        } = self.tasks[task];
        let segment = match self.stations[endpoint as usize].is_altered {
            false => self.segment(id, self.operation_start(site), pc, &[]),
            true => self.altered_segment(task, now),
        };
        let stopped = self.stations[endpoint as usize].stopped;
        // A visit that could have been computed on arrival has an event for its end even if that is now.
        if segment.work <= 0.0 && stopped == Time::MAX && !self.services_of(endpoint).could_settle_visits {
            self.tasks[task].pc = segment.pc;
            self.tasks[task].status = segment.status;
            return self.after_work(task, now, agenda);
        }
        if !self.resume_slot(task, now) {
            return;
        }
        let row = &mut self.tasks[task];
        row.pc = segment.pc;
        row.status = segment.status;
        row.state = TaskState::Working;
        self.note_task(task, now, || What::Works(task));
        if self.services_of(endpoint).discipline == Discipline::ProcessorSharing {
            let row = &mut self.tasks[task];
            row.worked = row.worked + Duration::from_nanos_f64(segment.work * self.endpoints[endpoint as usize].slowdown);
            return self.share_work(task, segment.work, now, agenda);
        }
        let work = Duration::from_nanos_f64(segment.work * self.endpoints[endpoint as usize].slowdown);
        let could_settle = self.services_of(endpoint).could_settle_visits;
        let row = &mut self.tasks[task];
        if stopped != Time::MAX {
            row.state = TaskState::Held;
            row.work_end = stopped + work;
            row.worked = row.worked + work;
            row.wake = agenda.reserve(1);
            return self.will_run(endpoint);
        }
        row.work_end = now + work;
        row.worked = row.worked + work;
        if could_settle {
            agenda.at_reserved(now + work, row.wake, Event::WorkDone { task });
        } else {
            row.wake = agenda.at(now + work, Event::WorkDone { task });
        }
        if self.stations[endpoint as usize].throttle != NIL {
            self.runs(endpoint, now, agenda);
        }
    }

    /// The event of work that is done: ignored if it was stopped or stretched meanwhile.
    #[inline]
    pub(super) fn work_done(&mut self, task: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        if self.tasks[task].wake == sequence && self.tasks[task].state == TaskState::Working {
            let endpoint = self.tasks[task].endpoint;
            if self.stations[endpoint as usize].throttle != NIL {
                self.runs_no_more(endpoint, now, agenda);
            }
            self.after_work(task, now, agenda);
        }
    }

    /// Does what a segment stopped at.
    pub(super) fn after_work(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        let Task {
            id,
            endpoint,
            site,
            pc,
            status,
            state,
            ..
        } = self.tasks[task];
        if state == TaskState::Working {
            self.note_task(task, now, || What::Worked(task));
        }
        if status != 0 {
            return self.finish_task(task, now, agenda);
        }
        match self.plan.program[pc as usize] {
            Instr::End => {
                self.tasks[task].status = 200;
                self.finish_task(task, now, agenda);
            }
            Instr::Call { site: called, .. } => {
                self.pause(task, now, agenda);
                let step = u64::from(pc - self.operation_start(site));
                let first = self.plan.services[self.endpoints[endpoint as usize].service as usize].first_endpoint;
                let key = self.request_key(task);
                let id = id.with(((Purpose::Request as u64) << 32) | step);
                let call = self.open_call(called, endpoint - first, (id, key), task, now, agenda);
                self.tasks[task].state = TaskState::Calling;
                self.tasks[task].waits_for = call;
                self.start_attempt(call, now, agenda);
            }
            Instr::Parallel { first, count, .. } => {
                self.pause(task, now, agenda);
                self.branch_out(task, first, count, now, agenda);
            }
            other => unreachable!("a segment does not stop at {other:?}"),
        }
    }

    /// The key of the request that a task serves. A task nobody waits for calls on without one.
    fn request_key(&self, task: u32) -> RequestKey {
        let row = &self.tasks[task];
        let call = &self.calls[row.call];
        if call.generation == row.generation {
            call.key
        } else {
            RequestKey::NONE
        }
    }

    /// Under `async` a task that waits for others leaves its slot.
    fn pause(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        if self.services_of(self.tasks[task].endpoint).threading == Threading::Async {
            // Set first: serving the next in the queue must not meet this task as one that works.
            self.tasks[task].state = TaskState::Joining;
            self.release_slot(task, now, agenda);
        }
    }

    fn branch_out(&mut self, task: u32, first: u32, count: u32, now: Time, agenda: &mut Agenda<Event>) {
        let join = self.joins.insert(Join {
            task,
            remaining: count,
            first: NIL,
            status: 0,
        });
        let mut sibling = NIL;
        for branch in (first..first + count).rev() {
            let row = Task {
                pc: self.plan.branches[branch as usize],
                join,
                sibling,
                wake: Sequence::NONE,
                waits_for: NIL,
                holds_slot: false,
                status: 0,
                worked: Duration::ZERO,
                state: TaskState::Requeued,
                ..self.tasks[task]
            };
            sibling = self.tasks.insert(row);
        }
        self.joins[join].first = sibling;
        self.tasks[task].state = TaskState::Joining;
        self.tasks[task].waits_for = join;
        for _ in 0..count {
            let branch = sibling;
            sibling = self.tasks[branch].sibling;
            self.advance(branch, now, agenda);
        }
    }

    /// A task has come to its end, with its status.
    fn finish_task(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        let Task {
            join,
            status,
            endpoint,
            site,
            arrived,
            wake,
            ..
        } = self.tasks[task];
        if join != NIL {
            self.tasks[task].state = TaskState::Ended;
            self.release_slot(task, now, agenda);
            return self.branch_ended(join, status, now, agenda);
        }
        let incoming: Incoming = self.tasks[task].incoming();
        self.note_attempt(incoming.generation, now, || What::Left(status));
        self.count_work(task);
        let stay = self.stay(site, endpoint, incoming.sent, arrived);
        self.observe.attempt_left(
            &mut self.endpoints[stay.endpoint as usize].sums,
            stay,
            now,
            End::Answer(Answer::Status(status)),
        );
        self.leave_shield(&incoming, arrived, Some(status), now);
        self.release_slot(task, now, agenda);
        self.unload(site, endpoint, now);
        if self.services_of(endpoint).meter_base != NIL && stay.counts {
            self.meter_served(task, now);
        }
        self.free_task(task);
        let Some(at) = self.response_arrives(&incoming, now) else {
            return;
        };
        let settled = self.services_of(endpoint).could_settle_visits;
        let sequence = if settled { wake.next() } else { agenda.reserve(1) };
        self.respond(&incoming, status, at, sequence, now, agenda);
    }

    fn branch_ended(&mut self, join: u32, status: u16, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.joins[join];
        row.remaining -= 1;
        if status >= 400 && row.status == 0 {
            row.status = status;
        }
        if row.remaining > 0 {
            return;
        }
        let Join { task, first, status, .. } = *row;
        let mut branch = first;
        while branch != NIL {
            let sibling = self.tasks[branch].sibling;
            let worked = self.tasks[branch].worked;
            self.tasks[task].worked = self.tasks[task].worked + worked;
            self.free_task(branch);
            branch = sibling;
        }
        self.joins.release(join);
        self.go_on(task, status, now, agenda);
    }

    /// A call that a task waited for has ended.
    pub(super) fn resume(&mut self, task: u32, success: bool, now: Time, agenda: &mut Agenda<Event>) {
        debug_assert!(self.tasks[task].state == TaskState::Calling);
        self.go_on(task, if success { 0 } else { STEP_FAILED }, now, agenda);
    }

    /// The step at which a task waited is over; `failed` is the status it failed with, or 0.
    fn go_on(&mut self, task: u32, failed: u16, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.tasks[task];
        row.waits_for = NIL;
        let on_error = match self.plan.program[row.pc as usize] {
            Instr::Call { on_error, .. } | Instr::Parallel { on_error, .. } => on_error,
            other => unreachable!("nobody waits at {other:?}"),
        };
        if failed != 0 && on_error == OnError::Fail {
            row.status = failed;
            let endpoint = row.endpoint;
            if self.stations[endpoint as usize].stopped != Time::MAX {
                return self.hold(task, agenda);
            }
            return self.finish_task(task, now, agenda);
        }
        row.pc += 1;
        self.advance(task, now, agenda);
    }

    /// Stops what a task works on.
    pub(super) fn stop_work(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        let endpoint = self.tasks[task].endpoint;
        if self.services_of(endpoint).discipline == Discipline::ProcessorSharing {
            self.stop_shared_work(task, now, agenda);
        }
        if self.stations[endpoint as usize].throttle != NIL {
            self.runs_no_more(endpoint, now, agenda);
        }
    }

    /// Work in progress at each endpoint (in ascending order) takes its ratio times as long from now on.
    pub(super) fn stretch_work(&mut self, ratios: &[(u32, f64)], now: Time, agenda: &mut Agenda<Event>) {
        let endpoints: Vec<u32> = ratios.iter().map(|&(endpoint, _)| endpoint).collect();
        let mut working = self.tasks_at(&endpoints, |state| matches!(state, TaskState::Working | TaskState::Held));
        // In the order of their old events: where the rows lie must not matter.
        working.sort_unstable_by_key(|&task| (self.tasks[task].work_end, self.tasks[task].wake));
        for task in working {
            let row = &mut self.tasks[task];
            let at = endpoints
                .binary_search(&row.endpoint)
                .expect("only tasks at these endpoints were taken");
            // What stands still goes on from where it stopped.
            let stopped = self.stations[row.endpoint as usize].stopped;
            let from = now.min(stopped);
            let old = row.work_end.since(from);
            let left = Duration::from_nanos_f64(old.0 as f64 * ratios[at].1);
            row.work_end = from + left;
            row.worked = Duration(row.worked.0 - old.0 + left.0);
            if stopped == Time::MAX {
                row.wake = agenda.at(row.work_end, Event::WorkDone { task });
            }
        }
    }
}
