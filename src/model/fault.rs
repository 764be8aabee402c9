//! Faults: what begins and ends at an endpoint, and what that does to the work there.

use crate::engine::Agenda;
use crate::model::endpoint::Condition;
use crate::model::event::Event;
use crate::model::plan::{FaultKind, TargetPlan};
use crate::model::world::{NIL, World};
use crate::random::Purpose;
use crate::time::{Duration, Time};

impl World<'_> {
    /// Draws the targets of the faults and schedules their begin.
    pub(super) fn start_faults(&mut self, agenda: &mut Agenda<Event>) {
        for (index, fault) in self.plan.faults.iter().enumerate() {
            let targets = match &fault.target {
                TargetPlan::Endpoints(endpoints) => endpoints.clone(),
                TargetPlan::Some { service, count } => self.draw_targets(index as u32, *service, *count),
            };
            self.fault_targets.push(targets);
            self.fault_active.push(false);
            agenda.at(fault.at, Event::FaultBegins { fault: index as u32 });
        }
    }

    /// `count` different endpoints of a service, in order (Floyd's selection).
    fn draw_targets(&self, fault: u32, service: u32, count: u32) -> Vec<u32> {
        let plan = &self.plan.services[service as usize];
        let mut rng = self.streams.rng(Purpose::Fault, u64::from(fault));
        let mut chosen = std::collections::BTreeSet::new();
        for limit in plan.endpoint_count - count.min(plan.endpoint_count)..plan.endpoint_count {
            let candidate = rng.below(u64::from(limit) + 1) as u32;
            if !chosen.insert(plan.first_endpoint + candidate) {
                chosen.insert(plan.first_endpoint + limit);
            }
        }
        chosen.into_iter().collect()
    }

    /// The event of a fault that begins.
    pub(super) fn fault_begins(&mut self, fault: u32, now: Time, agenda: &mut Agenda<Event>) {
        let plan = &self.plan.faults[fault as usize];
        self.fault_active[fault as usize] = true;
        if plan.lasts != Duration::MAX {
            agenda.at(now + plan.lasts, Event::FaultEnds { fault });
        }
        self.apply(fault, now, agenda);
    }

    /// The event of a fault that ends.
    pub(super) fn fault_ends(&mut self, fault: u32, now: Time, agenda: &mut Agenda<Event>) {
        self.fault_active[fault as usize] = false;
        self.apply(fault, now, agenda);
    }

    /// Gives each target of a fault the condition that all active faults together make.
    fn apply(&mut self, fault: u32, now: Time, agenda: &mut Agenda<Event>) {
        let targets = self.fault_targets[fault as usize].clone();
        self.apply_to(&targets, now, agenda);
    }

    /// Gives endpoints (in ascending order) the condition that all active faults and their own coming and going make.
    pub(super) fn apply_to(&mut self, targets: &[u32], now: Time, agenda: &mut Agenda<Event>) {
        let (mut lost, mut turned, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for &endpoint in targets {
            let (condition, slowdown, slow_add) = self.condition(endpoint);
            self.stations[endpoint as usize].slow_add = slow_add;
            let row = &mut self.endpoints[endpoint as usize];
            if row.condition == Condition::Up && condition != Condition::Up {
                lost.push(endpoint);
            }
            if (row.condition == Condition::Up) != (condition == Condition::Up) {
                turned.push(endpoint);
            }
            row.condition = condition;
            if row.slowdown != slowdown {
                changed.push((endpoint, slowdown));
            }
        }
        self.lose_everything(&lost, now, agenda);
        for endpoint in turned {
            self.truth_changed(endpoint, now, agenda);
        }
        self.set_slowdowns(&changed, now, agenda);
    }

    /// What the active faults together make of an endpoint: refusing wins over hanging, factors multiply, the last addition counts.
    fn condition(&self, endpoint: u32) -> (Condition, f64, u32) {
        let mut condition = self.own_condition(endpoint);
        let mut slowdown = 1.0 / self.plan.endpoints[endpoint as usize].speed;
        let mut slow_add = NIL;
        for (index, fault) in self.plan.faults.iter().enumerate() {
            if !self.fault_active[index] || self.fault_targets[index].binary_search(&endpoint).is_err() {
                continue;
            }
            match fault.kind {
                FaultKind::CrashRefuse => condition = Condition::Refusing,
                FaultKind::CrashHang if condition == Condition::Up => condition = Condition::Hanging,
                FaultKind::CrashHang => {}
                FaultKind::SlowFactor(factor) => slowdown *= factor,
                FaultKind::SlowAdd(distribution) => slow_add = distribution,
            }
        }
        (condition, slowdown, slow_add)
    }
}
