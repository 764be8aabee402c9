//! Faults: when they come, whom they strike, what they do, and what a chart calls them.

mod kinds;
mod targets;
mod times;

use super::{Compiler, value};
use crate::model::plan::{FaultPlan, RepeatPlan, UnitPlan};
use crate::random::Unit;
use crate::scenario::FaultLabel;
use crate::scenario::schema::fault::{Correlated, Fault};
use crate::time::{Duration, Time};

pub(crate) use targets::nodes;
pub(crate) use times::times_of_faults;

/// Occurrences of one fault that charts show.
const LABELS_MAX: usize = 100;

impl Compiler<'_, '_> {
    pub(super) fn faults(&mut self) -> Vec<FaultLabel> {
        let document = self.document;
        let mut labels = Vec::new();
        let times = times_of_faults(document);
        for (field, times) in value(&document.faults).into_iter().flatten().zip(times) {
            let fault = field.checked();
            let (target, whom) = self.target(fault);
            let (kind, what) = self.kind(fault);
            let what = what.replace("{}", &whom);
            let label = value(&fault.name).cloned().unwrap_or_else(|| what.clone());
            let begin = times.begin.expect("a fault has a begin");
            let repeat = self.repeat(fault);
            let plan = FaultPlan {
                label,
                what,
                at: Time::ZERO + begin,
                lasts: times.lasts,
                repeat,
                target,
                kind,
            };
            self.label(&plan, &mut labels);
            self.plan.faults.push(plan);
        }
        labels
    }

    fn repeat(&mut self, fault: &Fault) -> RepeatPlan {
        let until = value(&fault.until).map_or(Time::MAX, |&until| Time::ZERO + until);
        if let Some(random) = value(&fault.random) {
            let mttf = self.distribution(&random.mttf, Unit::Duration);
            let mttr = self.distribution(&random.mttr, Unit::Duration);
            return RepeatPlan::Random {
                mttf: self.add_distribution(mttf),
                mttr: self.add_distribution(mttr),
                by: match value(&random.correlated) {
                    None | Some(Correlated::Endpoint) => UnitPlan::Endpoint,
                    Some(Correlated::Zone) => UnitPlan::Zone,
                    Some(Correlated::All) => UnitPlan::All,
                },
                until,
            };
        }
        match &fault.every {
            None => RepeatPlan::Once,
            Some(every) => {
                let gap = self.distribution(every, Unit::Duration);
                RepeatPlan::Every {
                    gap: self.add_distribution(gap),
                    until,
                }
            }
        }
    }

    /// Adds the occurrences that are known before the run: of random faults each replication has its own.
    fn label(&self, plan: &FaultPlan, labels: &mut Vec<FaultLabel>) {
        let end = Time::ZERO + self.plan.duration;
        let (gap, until) = match plan.repeat {
            RepeatPlan::Once => (Duration::MAX, end),
            RepeatPlan::Every { gap, until } => match self.plan.distributions[gap as usize] {
                crate::random::Distribution::Constant(nanos) => (Duration::from_nanos_f64(nanos).max(plan.lasts), until.min(end)),
                _ => return,
            },
            RepeatPlan::Random { .. } => return,
        };
        let mut at = plan.at;
        for _ in 0..LABELS_MAX {
            if at >= until {
                return;
            }
            labels.push(FaultLabel {
                at,
                until: (at + plan.lasts).min(until),
                label: plan.label.clone(),
            });
            at += gap;
        }
    }
}
