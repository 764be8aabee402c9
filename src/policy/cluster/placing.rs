//! Placing an attempt, and its end, where more than the balancer has a say.

use super::{Cluster, EVERYBODY};
use crate::policy::{CallInfo, EndpointIndex, MatchId, Outcome, Refusal, Ticket, Verdict};
use crate::time::Time;

impl Cluster {
    /// As [`Cluster::pick_again`].
    #[inline(never)]
    pub(super) fn pick_with_care(&mut self, call: &CallInfo<'_>, reselection: u32, now: Time) -> Result<Ticket, Refusal> {
        if let Some(guard) = &mut self.guard {
            if call.attempt == 0 {
                guard.admit(now)?;
            }
            let picked = self.pick_admitted(call, reselection, now);
            if let (Err(_), Some(guard)) = (&picked, &mut self.guard) {
                guard.on_refused(now);
            }
            return picked;
        }
        self.pick_admitted(call, reselection, now)
    }

    /// Places an attempt of a call that the caller does not hold back.
    #[inline]
    fn pick_admitted(&mut self, call: &CallInfo<'_>, reselection: u32, now: Time) -> Result<Ticket, Refusal> {
        if self.gate.is_some() {
            self.pass_gate(call, now)?;
        }
        let picked = self.place(call, reselection, now);
        if picked.is_err() {
            self.on_no_endpoint(call, now);
        }
        picked
    }

    /// Places an attempt that nothing holds back.
    #[inline]
    fn place(&mut self, call: &CallInfo<'_>, reselection: u32, now: Time) -> Result<Ticket, Refusal> {
        let priority = call.priority;
        if let Some(endpoint) = self.acquire_pinned(now) {
            self.active_high += priority as u64;
            return Ok(Ticket { endpoint, priority });
        }
        let demand = call.metadata_match.map_or(0, |MatchId(number)| number as usize);
        let mut offered = 0;
        let endpoint = loop {
            let groups = self.demands.get(demand).map_or(EVERYBODY, |demand| &demand.groups);
            let &group = groups.get(offered).ok_or(Refusal::NoEndpoint)?;
            if let Some(endpoint) = self.pick_in(group, call, reselection, now) {
                break endpoint;
            }
            offered += 1;
        };
        if let Some(pool) = &mut self.pool {
            pool.request(endpoint, priority, now)?;
        }
        self.active[endpoint.at()] += 1;
        self.active_total += 1;
        self.active_high += priority as u64;
        self.balancer.on_started(endpoint, now);
        self.on_placed(endpoint, now);
        if let Some(pinned) = &mut self.pinned {
            pinned.open(endpoint, now);
        }
        Ok(Ticket { endpoint, priority })
    }

    /// Places an attempt on an open connection, where the balancer chooses for each connection and one can take it.
    #[inline]
    fn acquire_pinned(&mut self, now: Time) -> Option<EndpointIndex> {
        let (pinned, balancer) = (self.pinned.as_mut()?, &mut self.balancer);
        let endpoint = pinned.acquire(now, |endpoint| balancer.on_closed(endpoint, now))?;
        self.active[endpoint.at()] += 1;
        self.active_total += 1;
        self.on_placed(endpoint, now);
        Some(endpoint)
    }

    #[inline]
    fn on_placed(&mut self, endpoint: EndpointIndex, now: Time) {
        if let Some(watch) = &mut self.watch {
            watch.on_started(endpoint, now);
            self.obey_watch(now);
        }
    }

    /// As [`Cluster::on_finished`].
    #[inline(never)]
    pub(super) fn finish_with_care(&mut self, ticket: Ticket, outcome: &Outcome, now: Time) -> Verdict {
        if let Some(pool) = &mut self.pool {
            pool.released(ticket, outcome.answer, now);
        }
        self.finish(ticket, outcome, now)
    }

    #[inline]
    pub(super) fn finish(&mut self, ticket: Ticket, outcome: &Outcome, now: Time) -> Verdict {
        let standing = self.standing_at(ticket.priority, outcome);
        let active = &mut self.active[ticket.endpoint.at()];
        debug_assert!(*active > 0, "a ticket is given back once");
        *active -= 1;
        self.active_total -= 1;
        self.active_high -= ticket.priority as u64;
        self.balancer.on_finished(ticket.endpoint, outcome, now);
        if let Some(pinned) = &mut self.pinned {
            let balancer = &mut self.balancer;
            let closed = |endpoint| balancer.on_closed(endpoint, now);
            pinned.released(ticket.endpoint, outcome.answer, now, closed);
        }
        if let Some(watch) = &mut self.watch {
            // Who has left the list is nobody's concern any more.
            if !self.view.listing().is_retired(ticket.endpoint) {
                watch.on_finished(ticket.endpoint, outcome, now);
            }
            self.obey_watch(now);
        }
        if let Some(gate) = &mut self.gate {
            gate.on_finished(outcome, now);
        }
        let verdict = match self.retrier {
            None => Verdict::Done,
            Some(_) => self.judge(outcome, standing, now),
        };
        if let (Some(guard), Verdict::Done) = (&mut self.guard, verdict) {
            guard.on_finished(outcome, now);
        }
        verdict
    }
}
