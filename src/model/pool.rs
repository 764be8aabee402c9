//! Connections that a caller's policy limits: they are set up when it says so, and calls wait for them in its queues.

use crate::engine::{Agenda, Sequence};
use crate::model::call::End;
use crate::model::caller::Connections;
use crate::model::endpoint::Condition;
use crate::model::event::Event;
use crate::model::network::Hop;
use crate::model::trace::{Trace, What};
use crate::model::world::{NIL, World};
use crate::policy::{self, Answer, Outcome, Place, Refusal, Ticket, Verdict, WaitIndex};
use crate::random::{Key, Purpose};
use crate::time::{Duration, Time};

/// What the model keeps of a caller's limited connections.
#[derive(Debug, Default)]
pub(crate) struct Limited {
    /// The calls that wait, by the number of their wait.
    calls: Vec<u32>,
    /// Connections that were begun so far.
    begun: u64,
    /// Whether an event for those that wait no longer is on its way.
    wakes: bool,
}

/// A connection that is being set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    caller: u32,
    opening: policy::Opening,
    /// Its draws follow from this.
    key: Key,
    /// Whether its endpoint has accepted it.
    accepted: bool,
    /// The number of the event that goes on with it; [`Sequence::NONE`]: none.
    wake: Sequence,
    /// The number of its timeout; [`Sequence::NONE`]: none.
    timeout: Sequence,
}

impl<T: Trace> World<'_, T> {
    fn limited(&mut self, caller: u32) -> &mut Limited {
        match &mut self.callers[caller as usize].connections {
            Some(Connections::Limited(limited)) => limited,
            _ => unreachable!("only callers with limits come here"),
        }
    }

    /// Whether a call's attempt, which has just been placed, has to wait for a connection.
    pub(super) fn wait_for_connection(&mut self, call: u32, now: Time, agenda: &mut Agenda<Event>) -> bool {
        let caller = self.calls[call].cluster;
        if self.wait_of_call.len() <= call as usize {
            self.wait_of_call.resize(call as usize + 1, NIL);
        }
        self.wait_of_call[call as usize] = NIL;
        let Place::Waiting(wait) = self.callers[caller as usize].cluster.last_place() else {
            return false;
        };
        self.wait_of_call[call as usize] = wait.0;
        let limited = self.limited(caller);
        if limited.calls.len() <= wait.0 as usize {
            limited.calls.resize(wait.0 as usize + 1, NIL);
        }
        limited.calls[wait.0 as usize] = call;
        self.note_call(call, now, || What::WaitsForConnection);
        self.attend_pool(caller, now, agenda);
        true
    }

    /// Tells the policy how an attempt ended that it counts among its connections.
    pub(super) fn report_pooled(
        &mut self,
        call: u32,
        ticket: Ticket,
        outcome: &Outcome,
        now: Time,
        agenda: &mut Agenda<Event>,
    ) -> Verdict {
        let caller = self.calls[call].cluster;
        let wait = std::mem::replace(&mut self.wait_of_call[call as usize], NIL);
        let cluster = &mut self.callers[caller as usize].cluster;
        let verdict = match wait {
            NIL => cluster.on_finished(ticket, outcome, now),
            wait => cluster.on_finished_waiting(ticket, WaitIndex(wait), outcome, now),
        };
        self.attend_pool(caller, now, agenda);
        verdict
    }

    /// Does what the policy wants to have done about connections.
    pub(super) fn attend_pool(&mut self, caller: u32, now: Time, agenda: &mut Agenda<Event>) {
        while let Some(opening) = self.callers[caller as usize].cluster.next_opening() {
            self.open_connection(caller, opening, now, agenda);
        }
        if self.callers[caller as usize].cluster.has_ready() && !std::mem::replace(&mut self.limited(caller).wakes, true) {
            agenda.at(now, Event::PoolReady { caller });
        }
    }

    fn open_connection(&mut self, caller: u32, opening: policy::Opening, now: Time, agenda: &mut Agenda<Event>) {
        let limited = self.limited(caller);
        let number = limited.begun;
        limited.begun += 1;
        let row = &self.callers[caller as usize];
        let key = self.streams.key(Purpose::Connection, u64::from(row.number)).with(number + 1);
        let endpoint = row.first_endpoint + opening.endpoint.0;
        // A packet that is lost for good is never answered.
        let latency = self.hop_latency(key, caller, endpoint, Hop::Syn);
        let timeout = self.connect_timeout(caller);
        let slot = self.openings.insert(Opening {
            caller,
            opening,
            key,
            accepted: false,
            wake: Sequence::NONE,
            timeout: Sequence::NONE,
        });
        if let Some(latency) = latency {
            self.openings[slot].wake = agenda.at(now + latency, Event::ConnectDelivered { opening: slot });
        }
        if timeout != Duration::MAX {
            self.openings[slot].timeout = agenda.at(now + timeout, Event::ConnectTimeout { opening: slot });
        }
    }

    /// The time that a connection may take.
    fn connect_timeout(&self, caller: u32) -> Duration {
        let config = self.callers[caller as usize].cluster.upstream().config();
        config.pool.map_or(Duration::MAX, |options| options.connect_timeout)
    }

    /// The event of a connection's first packet at its endpoint.
    pub(super) fn connect_delivered(&mut self, slot: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        let Opening {
            caller,
            opening,
            key,
            wake,
            ..
        } = self.openings[slot];
        if wake != sequence {
            return;
        }
        let row = &self.callers[caller as usize];
        let endpoint = (row.first_endpoint + opening.endpoint.0) as usize;
        let condition = self.condition_for(caller, endpoint as u32);
        if condition == Condition::Hanging {
            // Nobody answers; without a timeout nobody ever learns of it.
            self.openings[slot].wake = Sequence::NONE;
            return;
        }
        let Some(latency) = self.hop_latency(key, caller, endpoint as u32, Hop::SynAck) else {
            self.openings[slot].wake = Sequence::NONE;
            return;
        };
        self.openings[slot].accepted = condition == Condition::Up;
        self.openings[slot].wake = agenda.at(now + latency, Event::ConnectAnswered { opening: slot });
    }

    /// The event of a connection that is there, is refused, or takes too long.
    pub(super) fn connect_ended(&mut self, slot: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        let row = self.openings[slot];
        let connected = row.accepted && row.wake == sequence;
        if row.wake != sequence && row.timeout != sequence {
            return;
        }
        self.openings[slot].wake = Sequence::NONE;
        self.openings[slot].timeout = Sequence::NONE;
        self.openings.release(slot);
        let caller = row.caller;
        self.callers[caller as usize].cluster.on_opened(&row.opening, connected, now);
        while let Some(wait) = self.callers[caller as usize].cluster.next_failed() {
            let call = self.limited(caller).calls[wait.0 as usize];
            self.finish_attempt(call, Answer::ConnectFailure, now, agenda);
        }
        self.attend_pool(caller, now, agenda);
    }

    /// The event of calls that have waited.
    pub(super) fn pool_ready(&mut self, caller: u32, now: Time, agenda: &mut Agenda<Event>) {
        self.limited(caller).wakes = false;
        while let Some((wait, admitted)) = self.callers[caller as usize].cluster.next_ready() {
            let call = self.limited(caller).calls[wait.0 as usize];
            match admitted {
                Ok(()) => {
                    self.wait_of_call[call as usize] = NIL;
                    let (incoming, link) = self.outgoing(call);
                    self.transmit(&incoming, link, Duration::ZERO, now, agenda);
                }
                Err(refusal) => self.refuse_waiting(call, refusal, now, agenda),
            }
        }
    }

    /// A limit refuses a call that has waited for a connection.
    fn refuse_waiting(&mut self, call: u32, refusal: Refusal, now: Time, agenda: &mut Agenda<Event>) {
        self.note_call(call, now, || What::Refused(refusal));
        let row = &self.calls[call];
        let site = row.site;
        if self.sites[site as usize].hedges.is_some() {
            return self.refuse_hedged(call, refusal, now, agenda);
        }
        let outcome = Outcome {
            answer: Answer::Cancelled,
            latency: now.since(row.sent),
            attempts: u32::from(row.attempts),
            load: None,
            retry_after: None,
        };
        self.report(call, &outcome, now, agenda);
        let row = &mut self.calls[call];
        row.endpoint = NIL;
        row.wake = Sequence::NONE;
        self.timers.stop(self.sites[site as usize].attempt_list, call);
        self.complete(call, End::Refused(refusal), now, agenda);
    }
}
