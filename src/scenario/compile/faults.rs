//! Faults: whom they strike, and what a chart calls them.

use super::{Compiler, value};
use crate::model::plan::{FaultKind, FaultPlan, TargetPlan};
use crate::random::Unit;
use crate::scenario::FaultLabel;
use crate::scenario::schema::fault::{CrashMode, Fault, Slow, Target};
use crate::time::{Duration, Time};

impl Compiler<'_, '_> {
    pub(super) fn faults(&mut self) -> Vec<FaultLabel> {
        let document = self.document;
        let mut labels = Vec::new();
        for field in value(&document.faults).into_iter().flatten() {
            let fault = field.checked();
            let at = Time::ZERO + *fault.at.checked();
            let lasts = value(&fault.lasts).copied().unwrap_or(Duration::MAX);
            let (kind, what) = self.kind(fault);
            let (target, whom) = self.target(fault.target().expect("a fault has a target"));
            let end = Time::ZERO + self.plan.duration;
            labels.push(FaultLabel {
                at,
                until: (at + lasts).min(end),
                label: what.replace("{}", &whom),
            });
            self.plan.faults.push(FaultPlan { at, lasts, target, kind });
        }
        labels
    }

    /// What the fault does, and its label with `{}` for whom.
    fn kind(&mut self, fault: &Fault) -> (FaultKind, String) {
        if let Some(crash) = value(&fault.crash) {
            return match value(&crash.mode) {
                Some(CrashMode::Hang) => (FaultKind::CrashHang, "hang {}".to_string()),
                Some(CrashMode::Refuse) | None => (FaultKind::CrashRefuse, "crash {}".to_string()),
            };
        }
        let slow = value(&fault.slow).expect("a fault is a crash or slow");
        self.slow(slow)
    }

    fn slow(&mut self, slow: &Slow) -> (FaultKind, String) {
        if let Some(&factor) = value(&slow.factor) {
            return (FaultKind::SlowFactor(factor), format!("slow {{}} {factor} times"));
        }
        let add = slow.add.as_ref().expect("slow has a factor or an addition");
        let distribution = self.distribution(add, Unit::Duration);
        let mean = Duration::from_nanos_f64(distribution.mean());
        let distribution = self.add_distribution(distribution);
        (FaultKind::SlowAdd(distribution), format!("slow {{}} by {mean}"))
    }

    fn target(&mut self, target: Target<'_>) -> (TargetPlan, String) {
        if let Some(field) = target.endpoint {
            let path = field.checked();
            let (service, name) = path.split_once('/').expect("the path of an endpoint");
            let service = self.index.service(service).expect("the service exists");
            let endpoint = self.index.endpoint(service, name).expect("the endpoint exists");
            let first = self.plan.services[service].first_endpoint;
            return (TargetPlan::Endpoints(vec![first + endpoint]), path.clone());
        }
        if let Some(field) = target.zone {
            let name = field.checked();
            let zone = self.index.zones[name.as_str()];
            let endpoints = (0..).zip(&self.plan.endpoints).filter(|(_, endpoint)| endpoint.zone == zone);
            let struck: Vec<u32> = endpoints.map(|(number, _)| number).collect();
            if struck.is_empty() {
                self.diagnostics.nobody_struck(field.span, name);
            }
            return (TargetPlan::Endpoints(struck), format!("zone {name}"));
        }
        let name = target
            .service
            .expect("a target is an endpoint, a service or a zone")
            .checked();
        let service = self.index.service(name).expect("the service exists") as u32;
        let plan = &self.plan.services[service as usize];
        let (first, all) = (plan.first_endpoint, plan.endpoint_count);
        let share = target.share.map_or(1.0, |share| share.checked().value());
        // Halves go up; at least one is struck, or it would be no fault.
        let count = ((f64::from(all) * share + 0.5) as u32).clamp(1, all);
        if count == all {
            return (TargetPlan::Endpoints((first..first + all).collect()), name.clone());
        }
        (TargetPlan::Some { service, count }, format!("{count} of {all} of {name}"))
    }
}
