//! Probes: a policy asks an endpoint for its load, beside the calls that it places (Prequal).
//!
//! A probe crosses the network as a call does and is answered at once, as the real ones are by a light handler; it costs the endpoint
//! nothing. Nobody answers for an endpoint that is down.

use crate::engine::Agenda;
use crate::model::endpoint::Condition;
use crate::model::event::Event;
use crate::model::network::Hop;
use crate::model::trace::Trace;
use crate::model::world::World;
use crate::policy::{EndpointIndex, LoadReport};
use crate::random::Purpose;
use crate::time::Time;

/// A probe on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    /// Who asks: a row of [`World::callers`].
    caller: u32,
    /// Who is asked, in the plan's table.
    endpoint: u32,
    /// Which one it is of its caller's.
    number: u64,
    /// What was answered.
    report: LoadReport,
}

impl<T: Trace> World<'_, T> {
    /// Sends what a caller's policy wants to have asked.
    pub(super) fn send_probes(&mut self, caller: u32, now: Time, agenda: &mut Agenda<Event>) {
        loop {
            let row = &mut self.callers[caller as usize];
            let Some(endpoint) = row.cluster.next_probe() else { return };
            let probe = Probe {
                caller,
                endpoint: row.first_endpoint + endpoint.0,
                number: row.probes,
                report: LoadReport::default(),
            };
            row.probes += 1;
            if let Some(latency) = self.probe_latency(&probe, Hop::Request) {
                let probe = self.probes.insert(probe);
                agenda.at(now + latency, Event::ProbeDelivered { probe });
            }
        }
    }

    fn probe_latency(&self, probe: &Probe, hop: Hop) -> Option<crate::time::Duration> {
        let caller = &self.callers[probe.caller as usize];
        let id = self.streams.key(Purpose::Probe, u64::from(caller.number)).with(probe.number);
        self.hop_latency(id, probe.caller, probe.endpoint, hop)
    }

    /// The event of a probe that reaches its endpoint.
    pub(super) fn probe_delivered(&mut self, probe: u32, now: Time, agenda: &mut Agenda<Event>) {
        let Probe { caller, endpoint, .. } = self.probes[probe];
        if self.condition_for(caller, endpoint) != Condition::Up || self.is_cut(caller, endpoint, true) {
            return self.probes.release(probe);
        }
        let report = self.report_of(endpoint, now);
        let row = &mut self.probes[probe];
        row.report = report;
        let row = *row;
        match self.probe_latency(&row, Hop::Response) {
            Some(latency) => drop(agenda.at(now + latency, Event::ProbeAnswered { probe })),
            None => self.probes.release(probe),
        }
    }

    /// The event of an answer that reaches its caller.
    pub(super) fn probe_answered(&mut self, probe: u32, now: Time) {
        let Probe {
            caller,
            endpoint,
            report,
            ..
        } = self.probes[probe];
        self.probes.release(probe);
        if self.is_cut(caller, endpoint, false) {
            return;
        }
        let caller = &mut self.callers[caller as usize];
        let endpoint = EndpointIndex(endpoint - caller.first_endpoint);
        caller.cluster.on_probed(endpoint, &report, now);
    }
}
