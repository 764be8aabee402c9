//! What callers' proxies do to calls where their configuration says so, by mistake or for a test: hold them up, answer them at once, or cut
//! them short. As in Envoy's fault filter, which stands before the router, this happens once in a call, not in each attempt.

use crate::engine::Agenda;
use crate::model::call::{DELAYED, End};
use crate::model::event::Event;
use crate::model::plan::{FaultKind, PartyPlan, Probability};
use crate::model::timers::Timer;
use crate::model::trace::{Trace, What};
use crate::model::world::{NIL, World};
use crate::policy::Answer;
use crate::random::{Key, Purpose};
use crate::time::{Duration, Time};

/// A timeout of a call that is not its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    call: u32,
    id: Key,
}

impl<T: Trace> World<'_, T> {
    /// Whether active faults hold up or end a call that is about to try for the first time.
    #[inline]
    pub(in crate::model) fn is_injected(&mut self, call: u32, now: Time, agenda: &mut Agenda<Event>) -> bool {
        !self.faults.injects.is_empty() && self.calls[call].attempts == 0 && self.inject(call, now, agenda)
    }

    #[cold]
    fn inject(&mut self, call: u32, now: Time, agenda: &mut Agenda<Event>) -> bool {
        let id = self.calls[call].id;
        let is_delayed = std::mem::replace(&mut self.calls[call].status, 0) == DELAYED;
        let (mut delay, mut abort, mut timeout) = (Duration::ZERO, None, Duration::MAX);
        for &strand in &self.faults.injects {
            let fault = self.faults.strands[strand as usize].fault;
            let FaultKind::Inject(plan) = &self.plan.faults[fault as usize].kind else {
                unreachable!("the others are not in this list");
            };
            if !self.strikes_caller(fault, self.calls[call].cluster, &plan.from, &plan.to, plan.callers) {
                continue;
            }
            let key = id.with(((Purpose::Fault as u64) << 32) | u64::from(fault));
            let happens = |share: Probability, which: u64| share.happens(key.with(which).draws().next_u64());
            if let Some((_, distribution)) = plan.delay.filter(|delay| happens(delay.0, 0)) {
                let nanos = self.plan.distributions[distribution as usize].sample(&mut key.with(1).draws());
                delay = delay + Duration::from_nanos_f64(nanos);
            }
            let aborts = plan.abort.filter(|abort| happens(abort.0, 2));
            abort = abort.or(aborts.map(|abort| abort.1));
            timeout = timeout.min(plan.timeout);
        }
        if !is_delayed && timeout != Duration::MAX {
            let deadline = self.faults.deadlines.insert(Deadline { call, id });
            agenda.at(now + timeout, Event::DeadlinePasses { deadline });
        }
        if !is_delayed && delay > Duration::ZERO {
            let row = &mut self.calls[call];
            row.status = DELAYED;
            self.note_call(call, now, || What::HeldUp(delay));
            let row = &mut self.calls[call];
            row.wake = agenda.at(now + delay, Event::RetryDue { call });
            return true;
        }
        if let Some(status) = abort {
            self.note_call(call, now, || What::Injected(status));
            self.complete(call, End::Answer(Answer::Status(status)), now, agenda);
            return true;
        }
        false
    }

    /// Whether a fault is about a caller. Which share of the callers it has is drawn once, the same in every variant.
    pub(super) fn strikes_caller(&self, fault: u32, caller: u32, from: &PartyPlan, to: &[u32], share: Probability) -> bool {
        let row = &self.callers[caller as usize];
        if !(to.is_empty() || to.contains(&row.service)) || !self.is_of(from, caller) {
            return false;
        }
        let key = self.streams.key(Purpose::Fault, u64::from(fault)).with(u64::from(row.number));
        share.happens(key.draws().next_u64())
    }

    /// The event of a timeout that a fault has set.
    pub(in crate::model) fn deadline_passes(&mut self, deadline: u32, now: Time, agenda: &mut Agenda<Event>) {
        let Deadline { call, id } = self.faults.deadlines[deadline];
        self.faults.deadlines.release(deadline);
        let row = &self.calls[call];
        if row.site != NIL && row.id == id {
            self.timer_expired(call, Timer::Call, now, agenda);
        }
    }
}
