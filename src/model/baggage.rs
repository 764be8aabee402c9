//! What a request carries along from call to call: its deadline and its criticality.
//!
//! Kept beside the tables of calls, and only where a plan asks for it.

use crate::engine::{Agenda, Sequence};
use crate::model::event::Event;
use crate::model::plan::Plan;
use crate::model::timers::Timer;
use crate::model::trace::Trace;
use crate::model::world::{NIL, World};
use crate::policy::overload::Criticality;
use crate::time::{Duration, Time};

/// What a call carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Baggage {
    /// Nobody waits for its answer any more from here on; [`Time::MAX`]: nobody said.
    pub deadline: Time,
    /// How important it is.
    pub criticality: Criticality,
    /// The number of the event of a deadline that comes before the call's own timeout.
    wake: Sequence,
}

impl Baggage {
    /// Nothing.
    pub const NONE: Baggage = Baggage {
        deadline: Time::MAX,
        criticality: Criticality::Critical,
        wake: Sequence::NONE,
    };
}

/// Whether anything in a plan looks at baggage.
pub(crate) fn is_carried(plan: &Plan) -> bool {
    plan.sites.iter().any(|site| site.deadline_propagation) || plan.services.iter().any(|service| service.shed.is_some())
}

impl<T: Trace> World<'_, T> {
    /// Packs what a new call carries. `parent`: the task that makes it, or `NIL`.
    pub(super) fn pack(&mut self, call: u32, parent: u32, now: Time, agenda: &mut Agenda<Event>) {
        if !self.carries_baggage {
            return;
        }
        let mut baggage = Baggage::NONE;
        let site = self.calls[call].site;
        // Health checks carry nothing, and are critical.
        if !self.is_check(site) {
            let state = &self.sites[site as usize];
            let plan = &self.plan.sites[site as usize];
            let is_nested = state.client == NIL && parent != NIL;
            let (inherited, criticality) = match is_nested {
                true => (self.tasks[parent].deadline, self.tasks[parent].criticality),
                false => (Time::MAX, Criticality::default()),
            };
            baggage.criticality = plan.criticality.unwrap_or(criticality);
            if plan.deadline_propagation {
                let own = match plan.timeout {
                    Duration::MAX => Time::MAX,
                    timeout => now + timeout,
                };
                baggage.deadline = inherited.min(own);
                if inherited < own && inherited > now {
                    baggage.wake = agenda.at(inherited, Event::InheritedDeadline { call });
                }
            }
        }
        if self.baggage.len() <= call as usize {
            self.baggage.resize(call as usize + 1, Baggage::NONE);
        }
        self.baggage[call as usize] = baggage;
    }

    /// Packs for a further attempt of a call what the call itself carries.
    pub(super) fn pack_like(&mut self, further: u32, call: u32) {
        if !self.carries_baggage {
            return;
        }
        if self.baggage.len() <= further as usize {
            self.baggage.resize(further as usize + 1, Baggage::NONE);
        }
        self.baggage[further as usize] = Baggage {
            wake: Baggage::NONE.wake,
            ..self.baggage[call as usize]
        };
    }

    /// Whether a call's deadline has passed before it could be sent.
    #[inline]
    pub(super) fn is_too_late(&self, call: u32, now: Time) -> bool {
        self.carries_baggage && self.baggage[call as usize].deadline <= now
    }

    /// A call has ended.
    #[inline]
    pub(super) fn unpack(&mut self, call: u32) {
        if self.carries_baggage {
            self.baggage[call as usize].wake = Sequence::NONE;
        }
    }

    /// The event of a deadline that was inherited.
    pub(super) fn inherited_deadline(&mut self, call: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        if self.baggage[call as usize].wake == sequence {
            self.baggage[call as usize].wake = Sequence::NONE;
            self.timer_expired(call, Timer::Call, now, agenda);
        }
    }
}
