//! Calls with several attempts at a time: each further one is a row of its own, which belongs to the call's group.
//!
//! The first attempt has the call's own row, with its overall timeout and whoever waits for it. The group ends with the first answer that
//! stands; the attempts that are still under way then are given up.

use crate::engine::{Agenda, Sequence};
use crate::model::call::{Call, End};
use crate::model::event::Event;
use crate::model::timers::Timer;
use crate::model::trace::{Trace, What};
use crate::model::world::{NIL, World};
use crate::policy::hedging::{Fate, Way};
use crate::policy::retry::Denial;
use crate::policy::{Answer, EndpointIndex, Outcome, Refusal, Verdict};
use crate::time::Time;

/// Attempts of a call at a time, at most.
const ATTEMPTS_MAX: usize = 16;

/// The attempts of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// The row of the call.
    primary: u32,
    /// Attempts so far.
    started: u16,
    /// Of those, under way: how many, and their rows.
    live: u16,
    members: [u32; ATTEMPTS_MAX],
    /// Those of them whose per-try timeout has passed.
    late: [bool; ATTEMPTS_MAX],
    /// The number of the event that makes the next attempt; [`Sequence::NONE`]: none.
    next: Sequence,
    /// Whether it holds a slot for a retry.
    holds_slot: bool,
}

impl<T: Trace> World<'_, T> {
    fn hedges(&self, call: u32) -> Option<Way> {
        self.sites[self.calls[call].site as usize].hedges
    }

    fn group(&self, call: u32) -> u32 {
        self.group_of_call.get(call as usize).copied().unwrap_or(NIL)
    }

    /// Whether a row is a further attempt of another's call.
    pub(super) fn is_further_attempt(&self, call: u32) -> bool {
        match self.group(call) {
            NIL => false,
            group => self.groups[group].primary != call,
        }
    }

    fn join_group(&mut self, call: u32, group: u32) {
        if self.group_of_call.len() <= call as usize {
            self.group_of_call.resize(call as usize + 1, NIL);
        }
        self.group_of_call[call as usize] = group;
    }

    /// A call's first attempt has been placed.
    pub(super) fn open_group(&mut self, call: u32, now: Time, agenda: &mut Agenda<Event>) {
        let mut members = [NIL; ATTEMPTS_MAX];
        members[0] = call;
        let group = self.groups.insert(Group {
            primary: call,
            started: 1,
            live: 1,
            members,
            late: [false; ATTEMPTS_MAX],
            next: Sequence::NONE,
            holds_slot: false,
        });
        self.join_group(call, group);
        self.remember_tried(call);
        self.await_next(group, now, agenda);
    }

    /// Arms the timer of the next attempt at a fixed distance.
    fn await_next(&mut self, group: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = self.groups[group];
        let Some(Way::Fixed { delay, attempts }) = self.hedges(row.primary) else {
            return;
        };
        self.groups[group].next = if u32::from(row.started) < attempts {
            agenda.at(now + delay, Event::HedgeDue { group })
        } else {
            Sequence::NONE
        };
    }

    /// The event of a further attempt.
    pub(super) fn hedge_due(&mut self, group: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.groups[group];
        if row.next != sequence {
            return;
        }
        row.next = Sequence::NONE;
        let cluster = self.calls[row.primary].cluster;
        let is_fixed = matches!(self.hedges(self.groups[group].primary), Some(Way::Fixed { .. }));
        if is_fixed && !self.callers[cluster as usize].cluster.may_hedge() {
            return;
        }
        self.start_further(group, now, agenda);
    }

    /// Makes a further attempt of a call.
    fn start_further(&mut self, group: u32, now: Time, agenda: &mut Agenda<Event>) {
        let Group { primary, started, .. } = self.groups[group];
        let site = self.calls[primary].site;
        let call = self.calls.insert(Call {
            sent: now,
            wake: Sequence::NONE,
            generation: self.next_generation,
            endpoint: NIL,
            parent: NIL,
            attempts: started + 1,
            status: 0,
            ..self.calls[primary]
        });
        self.next_generation = self.next_generation.wrapping_add(1);
        self.pack_like(call, primary);
        self.join_group(call, group);
        if let Some(tracer) = self.trace.tracer() {
            tracer.shares(call, primary);
            tracer.attempted(call, &self.calls[call]);
            tracer.at_caller(call, now, What::Hedges);
        }
        if self.tried.len() <= call as usize {
            self.tried.resize_with(call as usize + 1, Vec::new);
        }
        let mut tried = std::mem::take(&mut self.tried[call as usize]);
        tried.clone_from(&self.tried[primary as usize]);
        self.tried[call as usize] = tried;
        let state = &self.sites[site as usize];
        if state.client == NIL {
            self.observe.attempt_started(state.edge, self.calls[primary].start);
        }
        self.groups[group].started += 1;
        if let Err(refusal) = self.pick(call, now, agenda) {
            // The policy has taken the slot back.
            self.groups[group].holds_slot = false;
            self.release_further(call);
            if self.groups[group].live == 0 {
                self.end_group(group, End::Refused(refusal), Answer::Cancelled, now, agenda);
            }
            return;
        }
        let endpoint = EndpointIndex(self.calls[call].endpoint);
        self.tried[primary as usize].push(endpoint);
        let row = &mut self.groups[group];
        row.members[row.live as usize] = call;
        row.late[row.live as usize] = false;
        row.live += 1;
        self.await_next(group, now, agenda);
        self.timers.start(self.sites[site as usize].attempt_list, call, now, agenda);
        self.send_request(call, now, agenda);
    }

    /// The row of a further attempt is free.
    fn release_further(&mut self, call: u32) {
        if let Some(tracer) = self.trace.tracer() {
            tracer.forgets(call);
        }
        self.group_of_call[call as usize] = NIL;
        let row = &mut self.calls[call];
        row.site = NIL;
        row.wake = Sequence::NONE;
        self.calls.release(call);
    }

    /// A timer of a call that hedges has run out.
    pub(super) fn hedged_timer_expired(&mut self, call: u32, timer: Timer, now: Time, agenda: &mut Agenda<Event>) {
        let group = self.group(call);
        match (timer, self.hedges(call)) {
            (Timer::Call, _) => self.abandon_hedged(call, Answer::Timeout, now, agenda),
            (Timer::Attempt, Some(Way::OnPerTryTimeout)) => self.hedge_late(call, group, now, agenda),
            (Timer::Attempt, _) => self.finish_hedged(call, Answer::PerTryTimeout, now, agenda),
        }
    }

    /// An attempt takes too long: it goes on, and another may be made beside it.
    fn hedge_late(&mut self, call: u32, group: u32, now: Time, agenda: &mut Agenda<Event>) {
        let Group {
            started,
            holds_slot,
            next,
            ..
        } = self.groups[group];
        let Call { cluster, site, .. } = self.calls[call];
        let priority = self.plan.sites[site as usize].priority;
        let caller = &mut self.callers[cluster as usize].cluster;
        // One that waits for its moment is the next attempt already.
        if next != Sequence::NONE || started as usize >= ATTEMPTS_MAX {
            return;
        }
        match caller.hedge(u32::from(started), priority, holds_slot, now) {
            Verdict::Retry { after } => {
                let row = &mut self.groups[group];
                let place = row.members.iter().position(|&member| member == call);
                row.late[place.expect("it is under way")] = true;
                row.holds_slot = true;
                row.next = agenda.at(now + after, Event::HedgeDue { group });
            }
            // Without another one it just goes on.
            Verdict::Done => self.groups[group].holds_slot = false,
        }
    }

    /// Ends an attempt of a call that hedges; whether its per-try timeout had passed.
    fn end_member(&mut self, call: u32, answer: Answer, now: Time, agenda: &mut Agenda<Event>) -> bool {
        let group = self.group(call);
        let site = self.calls[call].site;
        let outcome = Outcome {
            answer,
            latency: now.since(self.calls[call].sent),
            // What becomes of the call is not decided by this attempt alone.
            attempts: 0,
            load: self.load_report(call, answer),
            retry_after: self.retry_after(site, answer),
        };
        self.note_call(call, now, || What::Answered(answer, outcome.latency));
        if !matches!(answer, Answer::Status(_) | Answer::ConnectFailure | Answer::Reset) {
            self.count_waste_of(call);
            self.cancel_task(call, now, agenda);
        }
        let row = &mut self.groups[group];
        let place = row
            .members
            .iter()
            .position(|&member| member == call)
            .expect("it is under way");
        let last = row.live as usize - 1;
        let late = row.late[place];
        row.members[place] = row.members[last];
        row.late[place] = row.late[last];
        row.members[last] = NIL;
        row.live -= 1;
        let is_primary = row.primary == call;
        self.report(call, &outcome, now, agenda);
        self.timers.stop(self.sites[site as usize].attempt_list, call);
        let row = &mut self.calls[call];
        row.endpoint = NIL;
        row.wake = Sequence::NONE;
        // The task of the attempt must not take this call for one that still waits.
        row.generation = self.next_generation;
        self.next_generation = self.next_generation.wrapping_add(1);
        if !is_primary {
            self.release_further(call);
        }
        late
    }

    /// An attempt of a call that hedges has ended.
    pub(super) fn finish_hedged(&mut self, call: u32, answer: Answer, now: Time, agenda: &mut Agenda<Event>) {
        let group = self.group(call);
        if matches!(answer, Answer::Timeout | Answer::Cancelled) {
            return self.end_group(group, End::Answer(answer), answer, now, agenda);
        }
        let way = self.hedges(call);
        let late = self.end_member(call, answer, now, agenda);
        let row = self.groups[group];
        let Call { cluster, site, .. } = self.calls[row.primary];
        let priority = self.plan.sites[site as usize].priority;
        let retry_after = self.retry_after(site, answer);
        let caller = &mut self.callers[cluster as usize].cluster;
        let waits = row.live > 0 || row.next != Sequence::NONE;
        let stands = match way {
            Some(Way::Fixed { attempts, .. }) => match caller.on_hedged_answer(answer) {
                Fate::Stands => true,
                Fate::Others { another } if another && u32::from(row.started) < attempts => {
                    self.start_further(group, now, agenda);
                    return;
                }
                Fate::Others { another } => row.live == 0 && (!another || row.next == Sequence::NONE),
            },
            // It was given up for late: a failure is dropped while others may do better.
            _ if late => !caller.is_retriable(answer) || !waits,
            _ => {
                let outcome = Outcome {
                    answer,
                    latency: now.since(self.calls[row.primary].start),
                    attempts: u32::from(row.started),
                    load: None,
                    retry_after,
                };
                if row.next != Sequence::NONE {
                    !caller.is_retriable(answer)
                } else if let Verdict::Retry { after } = caller.ask_retry(&outcome, priority, row.holds_slot, now) {
                    self.groups[group].holds_slot = true;
                    self.groups[group].next = agenda.at(now + after, Event::HedgeDue { group });
                    false
                } else {
                    self.groups[group].holds_slot = false;
                    caller.denial() == Some(Denial::NotRetriable) || !waits
                }
            }
        };
        if stands {
            self.end_group(group, End::Answer(answer), Answer::Cancelled, now, agenda);
        }
    }

    /// A limit refuses an attempt of a call that hedges after it has waited for a connection.
    pub(super) fn refuse_hedged(&mut self, call: u32, refusal: Refusal, now: Time, agenda: &mut Agenda<Event>) {
        let group = self.group(call);
        self.end_member(call, Answer::Cancelled, now, agenda);
        self.end_group(group, End::Refused(refusal), Answer::Cancelled, now, agenda);
    }

    /// Ends a call that hedges; its attempts that are under way end so.
    pub(super) fn end_group(&mut self, group: u32, end: End, others: Answer, now: Time, agenda: &mut Agenda<Event>) {
        while self.groups[group].live > 0 {
            let member = self.groups[group].members[0];
            self.end_member(member, others, now, agenda);
        }
        let Group {
            primary,
            started,
            holds_slot,
            ..
        } = self.groups[group];
        self.groups[group].next = Sequence::NONE;
        self.groups.release(group);
        self.group_of_call[primary as usize] = NIL;
        let Call { cluster, site, .. } = self.calls[primary];
        if holds_slot {
            let priority = self.plan.sites[site as usize].priority;
            self.callers[cluster as usize].cluster.on_retry_dropped(priority);
        }
        self.calls[primary].attempts = started;
        self.complete(primary, end, now, agenda);
    }

    /// Ends a call that hedges, which nobody waits for any more.
    pub(super) fn abandon_hedged(&mut self, call: u32, answer: Answer, now: Time, agenda: &mut Agenda<Event>) {
        match self.group(call) {
            // A fault holds it up, so that it has not tried yet.
            NIL => self.complete(call, End::Answer(answer), now, agenda),
            group => self.end_group(group, End::Answer(answer), answer, now, agenda),
        }
    }
}
