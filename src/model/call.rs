//! The life of a call: its attempts, its timeouts, its end.
//!
//! A call belongs to its caller; the task that an attempt makes at an endpoint is a row of its own, which may outlive it.

use crate::engine::{Agenda, Sequence};
use crate::model::event::Event;
use crate::model::key::RequestKey;
use crate::model::plan::NO_EDGE;
use crate::model::result::Failures;
use crate::model::timers::Timer;
use crate::model::trace::{Trace, What};
use crate::model::world::{NIL, World};
use crate::policy::{Answer, Cluster, Outcome, Refusal, Verdict};
use crate::random::Key;
use crate::time::{Duration, Time};

/// A call in flight: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Call {
    /// All its draws follow from this.
    pub id: Key,
    /// The request's key.
    pub key: RequestKey,
    /// When it was opened (for a client's request: when the client intended to send it).
    pub start: Time,
    /// When the present attempt was sent.
    pub sent: Time,
    /// The number of the event that may act on it: the answer or the retry; [`Sequence::NONE`]: none is on its way.
    pub wake: Sequence,
    /// Counts attempts and uses of this row, so that a task can tell whether anybody waits for it.
    pub generation: u32,
    /// The caller's cluster.
    pub cluster: u32,
    /// Where the present attempt went, within its service.
    pub endpoint: u32,
    /// Where it is made from; `NIL`: the row is free.
    pub site: u32,
    /// The waiting task; for a client's request the closed-loop user, or `NIL`.
    pub parent: u32,
    /// Attempts so far.
    pub attempts: u16,
    /// The status that is on its way, or one of [`CONNECT_FAILURE`], [`RESET`]; before the first attempt 0 or [`DELAYED`].
    pub status: u16,
}

const _: () = assert!(size_of::<Call>() == 64);

/// In [`Call::status`]: there was no connection.
pub(crate) const CONNECT_FAILURE: u16 = 1;
/// In [`Call::status`]: the connection broke.
pub(crate) const RESET: u16 = 2;
/// In [`Call::status`]: a fault has held the call up before its first attempt.
pub(crate) const DELAYED: u16 = 3;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By an answer, or what stands for one.
    Answer(Answer),
    /// The caller's policy did not let it go anywhere.
    Refused(Refusal),
}

impl End {
    /// Whether it succeeded: an answer with a status below 400.
    #[inline]
    pub fn is_success(self) -> bool {
        matches!(self, End::Answer(Answer::Status(status)) if status < 400)
    }

    /// Who ended a failure: an index in [`crate::model::result::ANSWERERS`].
    pub fn answerer(self) -> usize {
        match self {
            End::Answer(Answer::Status(_)) => 0,
            End::Refused(Refusal::Overflow) => 1,
            End::Refused(Refusal::NoEndpoint) => 2,
            End::Refused(Refusal::CircuitOpen) => 3,
            End::Refused(Refusal::Throttled) => 4,
            End::Answer(Answer::Timeout | Answer::PerTryTimeout) => 5,
            End::Answer(Answer::Reset) => 6,
            End::Answer(Answer::ConnectFailure) => 7,
            End::Answer(Answer::Cancelled) => 8,
        }
    }

    /// Counts a failure under its cause.
    pub fn count(self, failures: &mut Failures) {
        match self {
            End::Answer(Answer::Status(status)) => failures.add_status(status),
            End::Answer(Answer::ConnectFailure) => failures.connect_failure += 1,
            End::Answer(Answer::Reset) => failures.reset += 1,
            End::Answer(Answer::PerTryTimeout) => failures.per_try_timeout += 1,
            End::Answer(Answer::Timeout) => failures.timeout += 1,
            End::Answer(Answer::Cancelled) => failures.unfinished += 1,
            End::Refused(Refusal::NoEndpoint) => failures.no_endpoint += 1,
            End::Refused(Refusal::Overflow) => failures.overflow += 1,
            End::Refused(Refusal::CircuitOpen) => failures.circuit_open += 1,
            End::Refused(Refusal::Throttled) => failures.throttled += 1,
        }
    }
}

/// What follows an attempt, for a tracer.
pub(super) fn decided(verdict: Verdict, cluster: &Cluster) -> What {
    match verdict {
        Verdict::Retry { after } => What::Retries(after),
        Verdict::Done => What::Stands(cluster.denial()),
    }
}

impl<T: Trace> World<'_, T> {
    /// Opens a call and sends its first attempt. `caller` counts within the site's owner.
    #[inline(always)]
    pub(super) fn open_call(
        &mut self,
        site: u32,
        caller: u32,
        (id, key): (Key, RequestKey),
        parent: u32,
        now: Time,
        agenda: &mut Agenda<Event>,
    ) -> u32 {
        let cluster = self.cluster(site, caller, now);
        let call = self.calls.insert(Call {
            id,
            key,
            start: now,
            sent: now,
            wake: Sequence::NONE,
            generation: self.next_generation,
            cluster,
            endpoint: NIL,
            site,
            parent,
            attempts: 0,
            status: 0,
        });
        self.next_generation = self.next_generation.wrapping_add(1);
        self.note_drained(self.sends_end, now);
        self.opened += 1;
        let state = &self.sites[site as usize];
        if state.client == NIL {
            self.observe.call_opened(state.edge, now);
        }
        self.timers.start(state.timeout_list, call, now, agenda);
        self.pack(call, parent, now, agenda);
        if let Some(tracer) = self.trace.tracer() {
            let client = self.sites[site as usize].client;
            let maker = (client == NIL).then(|| self.tasks[parent].generation);
            tracer.opened(call, &self.calls[call], client, maker, &self.callers[cluster as usize]);
        }
        call
    }

    /// Sends the next attempt of a call.
    pub(super) fn start_attempt(&mut self, call: u32, now: Time, agenda: &mut Agenda<Event>) {
        if self.is_too_late(call, now) {
            return self.complete(call, End::Answer(Answer::Timeout), now, agenda);
        }
        if self.is_injected(call, now, agenda) {
            return;
        }
        let row = &mut self.calls[call];
        row.attempts += 1;
        row.sent = now;
        row.wake = Sequence::NONE;
        row.generation = self.next_generation;
        self.next_generation = self.next_generation.wrapping_add(1);
        let site = row.site;
        if let Some(tracer) = self.trace.tracer() {
            tracer.attempted(call, &self.calls[call]);
        }
        let row = &self.calls[call];
        let state = &self.sites[site as usize];
        if state.client == NIL {
            self.observe.attempt_started(state.edge, row.start);
        }
        if let Err(refusal) = self.pick(call, now, agenda) {
            return self.complete(call, End::Refused(refusal), now, agenda);
        }
        if self.observe.incidents.any_open() {
            self.sent_in_incident(call, now);
        }
        self.timers.start(self.sites[site as usize].attempt_list, call, now, agenda);
        if self.sites[site as usize].hedges.is_some() {
            self.open_group(call, now, agenda);
        }
        self.send_request(call, now, agenda);
    }

    /// The event of an answer: ignored if nobody waits for it any more.
    #[inline]
    pub(super) fn response_delivered(&mut self, call: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.calls[call];
        if row.wake != sequence {
            return;
        }
        if self.faults.network_is_troubled() && self.is_cut(row.cluster, self.endpoint_of(row), false) {
            return;
        }
        let answer = match row.status {
            CONNECT_FAILURE => Answer::ConnectFailure,
            RESET => Answer::Reset,
            status => Answer::Status(status),
        };
        self.finish_attempt(call, answer, now, agenda);
    }

    /// Where the present attempt of a call went, in the plan's table.
    #[inline]
    pub(super) fn endpoint_of(&self, call: &Call) -> u32 {
        self.callers[call.cluster as usize].first_endpoint + call.endpoint
    }

    /// A timer of a call has run out.
    pub(super) fn timer_expired(&mut self, call: u32, timer: Timer, now: Time, agenda: &mut Agenda<Event>) {
        if self.sites[self.calls[call].site as usize].hedges.is_some() {
            return self.hedged_timer_expired(call, timer, now, agenda);
        }
        match timer {
            Timer::Attempt => self.finish_attempt(call, Answer::PerTryTimeout, now, agenda),
            // Between two attempts there is no attempt to end.
            Timer::Call if self.calls[call].endpoint == NIL => self.drop_retry(call, Answer::Timeout, now, agenda),
            Timer::Call => self.finish_attempt(call, Answer::Timeout, now, agenda),
        }
    }

    /// Ends a call in the pause before a retry.
    pub(super) fn drop_retry(&mut self, call: u32, answer: Answer, now: Time, agenda: &mut Agenda<Event>) {
        let Call { cluster, site, .. } = self.calls[call];
        let priority = self.plan.sites[site as usize].priority;
        self.callers[cluster as usize].cluster.on_retry_dropped(priority);
        self.complete(call, End::Answer(answer), now, agenda);
    }

    /// When an answer to a call from `site` asks to come again.
    #[inline]
    pub(super) fn retry_after(&self, site: u32, answer: Answer) -> Option<Duration> {
        match answer {
            Answer::Status(status) if status >= 400 => self.pushed_back(site, status),
            _ => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn pushed_back(&self, site: u32, status: u16) -> Option<Duration> {
        let operation = self.plan.sites[site as usize].operation;
        let service = self.plan.operations[operation as usize].service;
        let times = &self.plan.services[service as usize].retry_after;
        times.iter().find(|entry| entry.0 == status).map(|entry| entry.1)
    }

    /// Ends the present attempt, tells the policy, and retries or ends the call.
    pub(super) fn finish_attempt(&mut self, call: u32, answer: Answer, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.calls[call];
        let site = row.site;
        if self.sites[site as usize].edge == NO_EDGE {
            return self.check_ended(call, answer, now, agenda);
        }
        if self.sites[site as usize].hedges.is_some() {
            return self.finish_hedged(call, answer, now, agenda);
        }
        let latency = now.since(row.sent);
        self.note_call(call, now, || What::Answered(answer, latency));
        let row = &self.calls[call];
        let outcome = Outcome {
            answer,
            latency,
            attempts: u32::from(row.attempts),
            load: self.load_report(call, answer),
            retry_after: self.retry_after(site, answer),
        };
        if !matches!(answer, Answer::Status(_) | Answer::ConnectFailure | Answer::Reset) {
            self.count_waste_of(call);
            self.cancel_task(call, now, agenda);
        }
        let verdict = self.report(call, &outcome, now, agenda);
        if let Some(tracer) = self.trace.tracer() {
            let cluster = self.calls[call].cluster;
            tracer.at_caller(call, now, decided(verdict, &self.callers[cluster as usize].cluster));
        }
        if matches!(verdict, Verdict::Retry { .. }) {
            self.remember_tried(call);
        }
        let row = &mut self.calls[call];
        row.endpoint = NIL;
        row.wake = Sequence::NONE;
        self.timers.stop(self.sites[site as usize].attempt_list, call);
        match verdict {
            Verdict::Done => self.complete(call, End::Answer(answer), now, agenda),
            Verdict::Retry { after } => {
                // The task of the attempt that has ended must not take this call for one that still waits.
                let row = &mut self.calls[call];
                row.generation = self.next_generation;
                self.next_generation = self.next_generation.wrapping_add(1);
                self.calls[call].wake = agenda.at(now + after, Event::RetryDue { call });
            }
        }
    }

    /// The event of a retry.
    pub(super) fn retry_due(&mut self, call: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        if self.calls[call].wake == sequence {
            self.start_attempt(call, now, agenda);
        }
    }

    /// Ends a call: measures it, frees its row, and goes on with whoever waits for it.
    pub(super) fn complete(&mut self, call: u32, end: End, now: Time, agenda: &mut Agenda<Event>) {
        let Call {
            site,
            start,
            parent,
            attempts,
            ..
        } = self.calls[call];
        self.timers.stop(self.sites[site as usize].timeout_list, call);
        self.unpack(call);
        let row = &mut self.calls[call];
        row.site = NIL;
        row.wake = Sequence::NONE;
        row.generation = self.next_generation;
        self.next_generation = self.next_generation.wrapping_add(1);
        self.calls.release(call);
        self.completed += 1;
        self.note_drained(now, now);
        if let Some(tracer) = self.trace.tracer() {
            tracer.completed(call, end, now);
        }
        let state = &self.sites[site as usize];
        if state.client != NIL {
            let client = state.client;
            return self.request_completed(client, parent, (start, attempts), end, now, agenda);
        }
        self.observe.call_completed(state.edge, start, now, end);
        if parent != NIL {
            self.resume(parent, end.is_success(), now, agenda);
        }
    }

    /// Whether a moment is still within the run.
    #[inline]
    pub(super) fn within_horizon(&self, time: Time) -> bool {
        time <= self.horizon
    }

    /// Counts what never ended. To be called once, after the last event.
    pub(super) fn count_unfinished(&mut self) {
        for call in self.calls.slots() {
            let Call {
                site, start, attempts, ..
            } = self.calls[call];
            if site == NIL || self.is_check(site) || self.is_further_attempt(call) {
                continue;
            }
            let end = End::Answer(Answer::Cancelled);
            let state = &self.sites[site as usize];
            if state.client == NIL {
                self.observe.call_completed(state.edge, start, self.horizon, end);
            } else {
                self.observe
                    .request_completed(state.client, start, self.horizon, end, attempts);
            }
        }
    }
}
