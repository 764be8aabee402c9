//! Cold starts: an endpoint that comes back is slow at first, until time has passed or its caches are warm.

use crate::model::operation::Segment;
use crate::model::plan::{ColdStartPlan, FaultKind};
use crate::model::trace::Trace;
use crate::model::world::World;
use crate::time::{Duration, Time};

/// How cold an endpoint is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ColdStart {
    plan: Option<ColdStartPlan>,
    since: Time,
    requests: u32,
}

impl ColdStart {
    /// Whether it has ever been so, since whoever looks at [`ColdStart::factor`] needs no more.
    pub fn is_cold(&self) -> bool {
        self.plan.is_some()
    }

    /// Whether it is so no more.
    fn is_warm(&self, now: Time) -> bool {
        self.factor(now) <= 1.0
    }

    /// How many times as long work takes that begins now.
    fn factor(&self, now: Time) -> f64 {
        let Some(plan) = self.plan else { return 1.0 };
        let by_time = match plan.lasts {
            Duration::ZERO => 0.0,
            lasts => now.since(self.since).0 as f64 / lasts.0 as f64,
        };
        let by_requests = match plan.requests {
            0 => 0.0,
            requests => f64::from(self.requests) / f64::from(requests),
        };
        1.0 + (plan.factor - 1.0) * (1.0 - by_time.max(by_requests)).max(0.0)
    }
}

impl<T: Trace> World<'_, T> {
    /// Whether a request without any work at an endpoint that is up takes no time, and changes nothing there but a slot and the queue for it.
    pub(in crate::model) fn is_indifferent(&self, endpoint: u32, now: Time) -> bool {
        let is_speed = |&strand: &u32| {
            let fault = self.faults.strands[strand as usize].fault;
            matches!(self.plan.faults[fault as usize].kind, FaultKind::SlowFactor(_))
        };
        let cold = self.faults.cold.get(endpoint as usize);
        !self.endpoints[endpoint as usize].fails
            && self.faults.at(endpoint).iter().all(is_speed)
            && cold.is_none_or(|cold| cold.plan.is_none_or(|plan| plan.factor >= 1.0 && cold.is_warm(now)))
    }

    /// Endpoints of a strand have come back.
    pub(super) fn come_back_cold(&mut self, strand: u32, endpoints: &[u32], now: Time) {
        let fault = self.faults.strands[strand as usize].fault;
        let plan = match self.plan.faults[fault as usize].kind {
            FaultKind::Crash { cold_start, .. } => cold_start,
            FaultKind::Leak(leak) => leak.cold_start,
            _ => None,
        };
        for &endpoint in endpoints {
            self.faults.cold[endpoint as usize] = ColdStart {
                plan,
                since: now,
                requests: 0,
            };
            self.stations[endpoint as usize].is_altered |= plan.is_some();
        }
    }

    /// A stretch of steps at an endpoint whose work faults have altered.
    #[cold]
    pub(in crate::model) fn altered_segment(&self, task: u32, now: Time) -> Segment {
        let row = &self.tasks[task];
        let start = self.sites[row.site as usize].start;
        let mut segment = self.segment(row.id, start, row.pc, &self.faults.adds[row.endpoint as usize]);
        segment.work *= self.faults.cold[row.endpoint as usize].factor(now);
        segment
    }

    /// A request has been accepted at an endpoint whose work faults have altered.
    #[cold]
    pub(in crate::model) fn warm_up(&mut self, endpoint: u32) {
        let cold = &mut self.faults.cold[endpoint as usize];
        cold.requests = cold.requests.saturating_add(1);
    }
}
