//! Health checks as traffic: a check is a call of its own, to an endpoint that nobody picks.
//!
//! It crosses the network, waits in the queue and takes a slot as requests do, and faults strike it as they strike them; but it is
//! nobody's request, so nothing of it is counted among requests. It has a connection of its own, which is there.
//!
//! Each check costs a call, its way there and back, and its share of the wake-up of its caller: two to four events.

use crate::engine::{Agenda, Sequence};
use crate::model::call::Call;
use crate::model::event::Event;
use crate::model::key::RequestKey;
use crate::model::plan::{Instr, NO_DEMAND, NO_EDGE, NO_SIZE, OperationPlan, Plan, SitePlan};
use crate::model::trace::Trace;
use crate::model::world::{NIL, World};
use crate::policy::health_check::{Finding, Probe};
use crate::policy::{Answer, EndpointIndex};
use crate::random::{Distribution, Purpose};
use crate::time::{Duration, Time};

impl Plan {
    /// Adds what the health checks of its clusters need: an operation each and a site, behind all others. To be called once, when the
    /// plan is complete.
    pub fn add_checks(&mut self) {
        for cluster in 0..self.clusters.len() {
            let plan = &self.clusters[cluster];
            let Some(options) = &plan.config.health_check else { continue };
            let (service, work, timeout) = (plan.service, options.work(), options.timeout());
            let start = self.program.len() as u32;
            // Even no work is a piece of work, which a fault may add to.
            self.distributions.push(Distribution::Constant(work.0 as f64));
            self.program.push(Instr::Work {
                distribution: self.distributions.len() as u32 - 1,
            });
            self.program.push(Instr::End);
            self.operations.push(OperationPlan { service, start });
            self.sites.push(SitePlan {
                operation: self.operations.len() as u32 - 1,
                edge: NO_EDGE,
                cluster: cluster as u32,
                demand: NO_DEMAND,
                timeout: Duration::MAX,
                per_try_timeout: timeout,
                deadline_propagation: false,
                criticality: None,
                request_size: NO_SIZE,
                response_size: NO_SIZE,
            });
        }
    }

    /// The site of the checks of each cluster; `NIL`: it makes none.
    pub(super) fn check_sites(&self) -> Vec<u32> {
        let mut sites = vec![NIL; self.clusters.len()];
        for (number, site) in (0..).zip(&self.sites) {
            if site.edge == NO_EDGE {
                sites[site.cluster as usize] = number;
            }
        }
        sites
    }
}

impl<T: Trace> World<'_, T> {
    /// Whether a site is that of health checks.
    #[inline]
    pub(super) fn is_check(&self, site: u32) -> bool {
        self.sites[site as usize].edge == NO_EDGE
    }

    /// Asks the endpoints that a caller's policy wants to have asked whether they are well.
    pub(super) fn send_checks(&mut self, caller: u32, now: Time, agenda: &mut Agenda<Event>) {
        while let Some((endpoint, _)) = self.callers[caller as usize].cluster.next_check(now) {
            let row = &mut self.callers[caller as usize];
            let site = self.check_sites[row.plan as usize];
            let id = self.streams.key(Purpose::Check, u64::from(row.number)).with(row.checks);
            row.checks += 1;
            let call = self.calls.insert(Call {
                id,
                key: RequestKey::NONE,
                start: now,
                sent: now,
                wake: Sequence::NONE,
                generation: self.next_generation,
                cluster: caller,
                endpoint: endpoint.0,
                site,
                parent: NIL,
                attempts: 1,
                status: 0,
            });
            self.next_generation = self.next_generation.wrapping_add(1);
            self.checks_in_flight += 1;
            self.pack(call, NIL, now, agenda);
            self.timers.start(self.sites[site as usize].attempt_list, call, now, agenda);
            let probe = self.callers[caller as usize].probe;
            self.send_check(call, probe == Probe::Connection, now, agenda);
        }
    }

    /// A check has ended: tells the policy.
    pub(super) fn check_ended(&mut self, call: u32, answer: Answer, now: Time, agenda: &mut Agenda<Event>) {
        if answer == Answer::PerTryTimeout {
            self.cancel_task(call, now, agenda);
        }
        let row = &mut self.calls[call];
        let (caller, endpoint, site) = (row.cluster, EndpointIndex(row.endpoint), row.site);
        row.site = NIL;
        row.wake = Sequence::NONE;
        row.generation = self.next_generation;
        self.next_generation = self.next_generation.wrapping_add(1);
        self.timers.stop(self.sites[site as usize].attempt_list, call);
        self.calls.release(call);
        self.checks_in_flight -= 1;
        let finding = match answer {
            Answer::Status(status) => Finding::Status(status),
            Answer::PerTryTimeout | Answer::Timeout => Finding::Timeout,
            Answer::ConnectFailure | Answer::Reset | Answer::Cancelled => Finding::NetworkFailure,
        };
        self.callers[caller as usize].cluster.on_checked(endpoint, finding, now);
        self.attend(caller, now, agenda);
    }

    /// Whether nothing but checks is under way.
    pub(super) fn only_checks_are_left(&self) -> bool {
        self.calls.len() == self.checks_in_flight
    }
}
