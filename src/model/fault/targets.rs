//! Whom faults strike, and who among them has times of its own.

use std::collections::BTreeSet;

use crate::engine::Sequence;
use crate::model::fault::leak::Leak;
use crate::model::fault::throttle::Throttle;
use crate::model::fault::{State, Strand};
use crate::model::plan::{FaultKind, FaultPlan, RepeatPlan, TargetPlan, UnitPlan};
use crate::model::trace::Trace;
use crate::model::world::World;
use crate::random::{Purpose, Rng};

impl TargetPlan {
    /// Whether it can be one of these endpoints, which are all of `service`.
    pub(in crate::model) fn can_strike(&self, service: u32, endpoints: &std::ops::Range<u32>) -> bool {
        match self {
            TargetPlan::Endpoints(targets) => targets.iter().any(|target| endpoints.contains(target)),
            TargetPlan::Some { service: other, .. } => *other == service,
            TargetPlan::Several(targets) => targets.iter().any(|target| target.can_strike(service, endpoints)),
        }
    }
}

impl<T: Trace> World<'_, T> {
    /// Makes the strands of a fault.
    pub(super) fn make_strands(&mut self, fault: u32) {
        let plan = &self.plan.faults[fault as usize];
        let mut rng = self.streams.rng(Purpose::Fault, u64::from(fault));
        let mut targets = Vec::new();
        self.draw_targets(&plan.target, &mut rng, &mut targets);
        targets.sort_unstable();
        targets.dedup();
        if !plan.strikes_endpoints() {
            return self.add_strand(fault, Vec::new(), (u64::MAX, u64::MAX), true);
        }
        let by = match plan.repeat {
            RepeatPlan::Random { by, .. } => by,
            RepeatPlan::Once | RepeatPlan::Every { .. } => UnitPlan::All,
        };
        let unit_of = |endpoint: u32| match by {
            UnitPlan::Endpoint => u64::from(endpoint),
            UnitPlan::Zone => u64::from(self.plan.endpoints[endpoint as usize].zone),
            UnitPlan::All => u64::MAX,
        };
        // Strands in the order of their units; each with the endpoints of its unit, or one for each of these.
        let mut units: Vec<(u64, Vec<u32>)> = Vec::new();
        for &endpoint in &targets {
            let unit = unit_of(endpoint);
            match units.iter_mut().find(|(other, _)| *other == unit && by != UnitPlan::Endpoint) {
                Some((_, members)) => members.push(endpoint),
                None => units.push((unit, vec![endpoint])),
            }
        }
        for (unit, members) in units {
            if plan.is_by_endpoint() {
                for (at, endpoint) in members.into_iter().enumerate() {
                    self.add_strand(fault, vec![endpoint], (unit, u64::from(endpoint)), at == 0);
                }
            } else {
                self.add_strand(fault, members, (unit, u64::MAX), true);
            }
        }
    }

    /// `unit`: who fails together; `own`: who does what it does by itself.
    fn add_strand(&mut self, fault: u32, targets: Vec<u32>, (unit, own): (u64, u64), is_reported: bool) {
        let plan: &FaultPlan = &self.plan.faults[fault as usize];
        let key = self.streams.key(Purpose::FaultTime, u64::from(fault));
        let own = key.with(1).with(own);
        let state = match plan.kind {
            FaultKind::Throttle { quota, period, phase } => State::Throttle(Throttle::new(quota, period, phase, own)),
            FaultKind::Pause { .. } => State::Pause(false),
            FaultKind::Leak(_) => State::Leak(Leak::default()),
            _ => State::Nothing,
        };
        if let FaultKind::Spike { .. } = plan.kind {
            self.add_extras(fault);
        }
        self.faults.strands.push(Strand {
            fault,
            targets,
            active: false,
            round: 0,
            times: key.with(0).with(unit),
            own,
            is_reported,
            window: 0,
            tick: Sequence::NONE,
            state,
        });
    }

    fn draw_targets(&self, target: &TargetPlan, rng: &mut Rng, targets: &mut Vec<u32>) {
        match target {
            TargetPlan::Endpoints(endpoints) => targets.extend(endpoints),
            &TargetPlan::Some { service, count } => {
                // Different endpoints of the service (Floyd's selection).
                let plan = &self.plan.services[service as usize];
                let mut chosen = BTreeSet::new();
                for limit in plan.endpoint_count - count.min(plan.endpoint_count)..plan.endpoint_count {
                    let candidate = rng.below(u64::from(limit) + 1) as u32;
                    if !chosen.insert(plan.first_endpoint + candidate) {
                        chosen.insert(plan.first_endpoint + limit);
                    }
                }
                targets.extend(chosen);
            }
            TargetPlan::Several(parts) => parts.iter().for_each(|part| self.draw_targets(part, rng, targets)),
        }
    }
}
