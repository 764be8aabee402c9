//! Those who tell callers of endpoints: slow, or wrong about the addresses.
//!
//! Who has been told wrong addresses stays with them until told again, after its own discovery's delay.

use crate::engine::{Agenda, Sequence};
use crate::model::call::{CONNECT_FAILURE, RESET};
use crate::model::endpoint::{Condition, Incoming};
use crate::model::event::Event;
use crate::model::network::Hop;
use crate::model::plan::{Astray, CrashMode, FaultKind, WrongPlan};
use crate::model::trace::Trace;
use crate::model::world::World;
use crate::random::Rng;
use crate::time::{Duration, Time};

impl<T: Trace> World<'_, T> {
    /// How many times as long a control plane takes over what it does.
    pub(in crate::model) fn control_plane_factor(&self) -> f64 {
        self.slow_planes().map(|slow| slow.0).product()
    }

    /// The same span as a slow control plane takes for it.
    pub(in crate::model) fn stretched(&self, span: Duration) -> Duration {
        if self.faults.slow_planes.is_empty() {
            return span;
        }
        Duration::from_nanos_f64(span.0 as f64 * self.control_plane_factor())
    }

    /// What a slow control plane takes longer over each caller that it tells.
    pub(in crate::model) fn control_plane_adds(&self, rng: &mut Rng) -> Duration {
        let adds = self.slow_planes().filter_map(|slow| slow.1);
        adds.map(|add| Duration::from_nanos_f64(self.plan.distributions[add as usize].sample(&mut rng.draws())))
            .fold(Duration::ZERO, |sum, add| sum + add)
    }

    fn slow_planes(&self) -> impl Iterator<Item = (f64, Option<u32>)> {
        self.faults.slow_planes.iter().map(|&strand| {
            let fault = self.faults.strands[strand as usize].fault;
            match self.plan.faults[fault as usize].kind {
                FaultKind::SlowControlPlane { factor, add } => (factor, add),
                _ => unreachable!("the others are not in this list"),
            }
        })
    }

    /// Where a caller's requests go if it is told of endpoints now; `None`: where they should.
    pub(in crate::model) fn is_told_wrong(&self, caller: u32) -> Option<Astray> {
        let told = |&strand: &u32| {
            let fault = self.faults.strands[strand as usize].fault;
            let FaultKind::Wrong(plan) = &self.plan.faults[fault as usize].kind else {
                unreachable!("the others are not in this list");
            };
            let WrongPlan {
                from,
                to,
                callers,
                astray,
            } = plan;
            self.strikes_caller(fault, caller, from, to, *callers).then_some(*astray)
        };
        self.faults.wrong.iter().find_map(told)
    }

    /// Wrong addresses are told from now on, or no longer: whoever tells has something new to say.
    pub(super) fn wrong_switched(&mut self, plan: &WrongPlan, now: Time, agenda: &mut Agenda<Event>) {
        for service in 0..self.plan.services.len() as u32 {
            if plan.to.is_empty() || plan.to.contains(&service) {
                self.tell_of_service(service, now, agenda);
            }
        }
    }

    /// A request, or the first packet of a connection, goes to an address that is not the endpoint's.
    #[cold]
    #[inline(never)]
    pub(in crate::model) fn send_astray(&mut self, incoming: &Incoming, hop: Hop, now: Time, agenda: &mut Agenda<Event>) {
        let caller = self.calls[incoming.call].cluster;
        let status = match self.callers[caller as usize].astray {
            None => unreachable!("its requests go where they should"),
            Some(Astray::Nobody(CrashMode::Hang)) => return,
            Some(Astray::Nobody(CrashMode::Refuse)) => CONNECT_FAILURE,
            Some(Astray::Nobody(CrashMode::Reset)) => RESET,
            Some(Astray::Other(status)) => status,
        };
        let Some(latency) = self.hop_latency(incoming.id, caller, incoming.endpoint, hop) else {
            return;
        };
        if let Some(at) = self.response_arrives(incoming, now + latency) {
            let sequence: Sequence = agenda.reserve(1);
            self.respond(incoming, status, at, sequence, now, agenda);
        }
    }

    /// What a new connection of a caller finds at an endpoint's address.
    pub(in crate::model) fn condition_for(&self, caller: u32, endpoint: u32) -> Condition {
        match self.callers[caller as usize].astray {
            None => self.endpoints[endpoint as usize].condition,
            Some(Astray::Nobody(mode)) => Condition::Up.and(mode),
            Some(Astray::Other(_)) => Condition::Up,
        }
    }
}
