//! What policies do of themselves, beside the calls that they place: their timers, their health checks, their decisions about endpoints.

use crate::engine::{Agenda, Sequence};
use crate::model::event::Event;
use crate::model::observe::Belief;
use crate::model::plan::Owner;
use crate::model::trace::Trace;
use crate::model::world::World;
use crate::policy::{Decision, Health};
use crate::random::Purpose;
use crate::time::Time;

/// The next moment at which a caller's policy wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    /// When; [`Time::MAX`]: never.
    pub at: Time,
    /// The number of its event: others are out of date.
    pub sequence: Sequence,
}

impl Alarm {
    /// None is set.
    pub const NONE: Alarm = Alarm {
        at: Time::MAX,
        sequence: Sequence::NONE,
    };
}

impl<T: Trace> World<'_, T> {
    /// Callers whose policies do things of themselves exist from the start.
    pub(super) fn start_watching(&mut self, agenda: &mut Agenda<Event>) {
        for cluster in 0..self.plan.clusters.len() as u32 {
            let plan = &self.plan.clusters[cluster as usize];
            if !plan.config.is_active() {
                continue;
            }
            let callers = match plan.owner {
                Owner::Client(client) => self.plan.clients[client as usize].caller_zones.len() as u32,
                Owner::Service(service) => self.plan.services[service as usize].endpoint_count,
            };
            for caller in 0..callers {
                let caller = self.cluster_of_plan(cluster, caller, Time::ZERO);
                // Proxies were not started at the same moment.
                let number = u64::from(self.callers[caller as usize].number);
                let share = self.streams.key(Purpose::Phase, number).draws().unit();
                let cluster = &mut self.callers[caller as usize].cluster;
                cluster.set_phase(share, Time::ZERO);
                cluster.expect_connections();
                self.park_checks(caller, agenda);
                self.attend(caller, Time::ZERO, agenda);
            }
        }
    }

    /// To be called when anything was told to a caller's policy: does what it wants to have done, and hears what it has decided.
    #[inline]
    pub(super) fn attend(&mut self, caller: u32, now: Time, agenda: &mut Agenda<Event>) {
        if self.callers[caller as usize].is_active {
            self.attend_active(caller, now, agenda);
        }
    }

    fn attend_active(&mut self, caller: u32, now: Time, agenda: &mut Agenda<Event>) {
        let mut any = false;
        while let Some(notice) = self.callers[caller as usize].cluster.next_notice() {
            any = true;
            if let Some(tracer) = self.trace.tracer() {
                tracer.noticed(&self.callers[caller as usize], &notice, now);
            }
            self.observe.noticed(self.callers[caller as usize].service, &notice, now);
            if self.observe.incidents.any_open() {
                self.noticed_in_incident(caller, &notice, now);
            }
            if matches!(notice.decision, Decision::Out { .. }) {
                self.unpark_check(caller, notice.endpoint.0, now, agenda);
            }
        }
        if any {
            self.beliefs_changed(caller, now);
        }
        self.arm_checks(caller, now, agenda);
        let row = &mut self.callers[caller as usize];
        let at = row.cluster.next_timer_but_checks();
        if at == row.alarm.at {
            return;
        }
        row.alarm.at = at;
        if at != Time::MAX {
            row.alarm.sequence = agenda.at(at.max(now), Event::PolicyTimer { caller });
        }
    }

    /// To be called when a caller may take other endpoints to be well than before, by its own watchers or by what it was told.
    pub(super) fn beliefs_changed(&mut self, caller: u32, now: Time) {
        let row = &mut self.callers[caller as usize];
        if !row.is_active {
            return;
        }
        let endpoints = row.cluster.upstream().endpoints();
        let out = endpoints
            .iter()
            .filter(|&&endpoint| row.cluster.health(endpoint) == Health::Unhealthy);
        let belief = Belief {
            out: out.count() as u32,
            known: endpoints.len() as u32,
            panic: row.cluster.is_in_panic(),
        };
        if belief != row.belief {
            let (old, since) = (row.belief, row.belief_since);
            (row.belief, row.belief_since) = (belief, now);
            self.observe.believed(row.service, old, since, now);
        }
    }

    /// Measures what callers believed up to the end. To be called once, after the last event.
    pub(super) fn count_beliefs(&mut self) {
        let end = Time::ZERO + self.plan.duration;
        for row in self.callers.iter().filter(|row| row.is_active) {
            self.observe.believed(row.service, row.belief, row.belief_since, end);
        }
    }

    /// The event of a policy's timer.
    pub(super) fn policy_timer(&mut self, caller: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.callers[caller as usize];
        if row.alarm.sequence != sequence || row.alarm.at > now {
            return;
        }
        // After the last request nothing is left that could be decided.
        if now > self.sends_end && self.only_checks_are_left() {
            return;
        }
        let row = &mut self.callers[caller as usize];
        row.cluster.on_timer(now);
        row.alarm = Alarm::NONE;
        self.attend(caller, now, agenda);
    }
}
