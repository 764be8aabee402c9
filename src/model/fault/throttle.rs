//! CPU throttling as Linux's CFS bandwidth control does it: an endpoint has a quota of core time in each period, shared by all that run there.
//! When it is used up everything stands still until the next period begins; what is left over is not carried on.
//!
//! Periods lie on a grid that begins at a random moment for each endpoint (kernel/sched/fair.c, `init_cfs_bandwidth`). While nothing runs
//! no event is needed, and only the moment at which the quota will be used up has one.

use crate::engine::{Agenda, Sequence};
use crate::model::event::Event;
use crate::model::fault::State;
use crate::model::plan::{Discipline, FaultKind};
use crate::model::task::TaskState;
use crate::model::trace::Trace;
use crate::model::world::{NIL, World};
use crate::random::Key;
use crate::time::{Duration, Time};

/// What one endpoint has used up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Throttle {
    quota: u64,
    period: u64,
    phase: u64,
    /// Core nanoseconds used in the present period, up to `since`.
    used: u64,
    since: Time,
    /// Cores in use.
    running: u64,
    /// Whether the quota of this period is used up.
    is_stalled: bool,
    /// Whether the endpoint stands still, for this reason or another.
    is_still: bool,
    /// Whether all that ends at the moment of exhaustion has had its turn.
    is_certain: bool,
}

impl Throttle {
    pub fn new(quota: Duration, period: Duration, phase: Duration, key: Key) -> Throttle {
        let phase = match phase {
            Duration::MAX => (key.unit() * period.0 as f64) as u64,
            phase => phase.0,
        };
        Throttle {
            quota: quota.0,
            period: period.0,
            phase: phase % period.0,
            used: 0,
            since: Time::ZERO,
            running: 0,
            is_stalled: false,
            is_still: false,
            is_certain: false,
        }
    }

    /// When the present period began.
    fn began(&self, now: Time) -> u64 {
        let into = (now.0 + self.period - self.phase) % self.period;
        now.0.saturating_sub(into)
    }

    /// Counts what has been used up to now.
    fn settle(&mut self, now: Time) {
        let began = self.began(now);
        let mut from = self.since.0;
        if began > from || (began == now.0 && began >= from) {
            self.used = 0;
            from = began;
        }
        if !self.is_still {
            self.used += self.running * (now.0 - from);
        }
        self.since = now;
    }

    /// When the quota will be used up, if all stays as it is.
    fn exhausted_at(&self, now: Time) -> Option<Time> {
        if self.running == 0 || self.is_still {
            return None;
        }
        let end = self.began(now) + self.period;
        let at = now.0 + self.quota.saturating_sub(self.used).div_ceil(self.running);
        if at < end {
            return Some(Time(at));
        }
        let in_next = self.quota.div_ceil(self.running);
        (in_next < self.period).then_some(Time(end + in_next))
    }
}

impl<T: Trace> World<'_, T> {
    fn throttle(&mut self, strand: u32) -> &mut Throttle {
        match &mut self.faults.strands[strand as usize].state {
            State::Throttle(throttle) => throttle,
            other => unreachable!("a throttle has another state: {other:?}"),
        }
    }

    /// The first active throttle of an endpoint rules.
    pub(super) fn throttle_switched(&mut self, strand: u32, on: bool, now: Time, agenda: &mut Agenda<Event>) {
        let endpoint = self.faults.strands[strand as usize].targets[0];
        let ruling = self.stations[endpoint as usize].throttle;
        if on && ruling == NIL {
            return self.rule(strand, endpoint, now, agenda);
        }
        if !on && ruling == strand {
            let was_stalled = std::mem::replace(&mut self.throttle(strand).is_stalled, false);
            self.stations[endpoint as usize].throttle = NIL;
            if was_stalled {
                self.go_on_again(endpoint, now, agenda);
            }
            let is_throttle = |&&other: &&u32| {
                let fault = self.faults.strands[other as usize].fault;
                matches!(self.plan.faults[fault as usize].kind, FaultKind::Throttle { .. })
            };
            if let Some(&next) = self.faults.at(endpoint).iter().find(is_throttle) {
                self.rule(next, endpoint, now, agenda);
            }
        }
    }

    fn rule(&mut self, strand: u32, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        self.stations[endpoint as usize].throttle = strand;
        let running = if self.services_of(endpoint).discipline == Discipline::ProcessorSharing {
            self.cores_in_use(endpoint)
        } else {
            self.tasks_at(&[endpoint], |state| matches!(state, TaskState::Working | TaskState::Held))
                .len() as u64
        };
        let is_still = self.stations[endpoint as usize].stops > 0;
        let throttle = self.throttle(strand);
        throttle.used = 0;
        throttle.since = now;
        throttle.running = running;
        throttle.is_still = is_still;
        self.arm_throttle(strand, now, agenda);
    }

    fn arm_throttle(&mut self, strand: u32, now: Time, agenda: &mut Agenda<Event>) {
        let throttle = self.throttle(strand);
        if throttle.is_stalled {
            return;
        }
        throttle.is_certain = false;
        match throttle.exhausted_at(now) {
            Some(at) => self.set_tick(strand, at, agenda),
            None => self.faults.strands[strand as usize].tick = Sequence::NONE,
        }
    }

    /// The quota is used up, or a new period begins after that.
    pub(super) fn throttle_tick(&mut self, strand: u32, now: Time, agenda: &mut Agenda<Event>) {
        let endpoint = self.faults.strands[strand as usize].targets[0];
        let throttle = self.throttle(strand);
        throttle.settle(now);
        if throttle.is_stalled {
            throttle.is_stalled = false;
            throttle.used = 0;
            self.go_on_again(endpoint, now, agenda);
            return self.arm_throttle(strand, now, agenda);
        }
        if !throttle.is_certain {
            // Work that ends at this very moment needs no more.
            throttle.is_certain = true;
            return self.set_tick(strand, now, agenda);
        }
        if throttle.used < throttle.quota {
            return self.arm_throttle(strand, now, agenda);
        }
        throttle.is_stalled = true;
        let next = Time(throttle.began(now) + throttle.period);
        self.stop_still(endpoint, now, agenda);
        self.set_tick(strand, next, agenda);
    }

    /// A throttled endpoint stands still, or goes on.
    pub(super) fn stillness_changed(&mut self, endpoint: u32, is_still: bool, now: Time, agenda: &mut Agenda<Event>) {
        let strand = self.stations[endpoint as usize].throttle;
        if strand != NIL {
            let throttle = self.throttle(strand);
            throttle.settle(now);
            throttle.is_still = is_still;
            self.arm_throttle(strand, now, agenda);
        }
    }

    /// The number of cores in use at an endpoint has changed.
    fn cores_changed(&mut self, endpoint: u32, change: impl FnOnce(u64) -> u64, now: Time, agenda: &mut Agenda<Event>) {
        let strand = self.stations[endpoint as usize].throttle;
        let throttle = self.throttle(strand);
        throttle.settle(now);
        let running = change(throttle.running);
        if running != throttle.running {
            throttle.running = running;
            self.arm_throttle(strand, now, agenda);
        }
    }

    /// A task will run when its endpoint goes on.
    pub(in crate::model) fn will_run(&mut self, endpoint: u32) {
        let strand = self.stations[endpoint as usize].throttle;
        if strand != NIL && self.services_of(endpoint).discipline != Discipline::ProcessorSharing {
            // Nothing is used up meanwhile.
            self.throttle(strand).running += 1;
        }
    }

    /// A task at a throttled endpoint begins to run.
    #[cold]
    pub(in crate::model) fn runs(&mut self, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        self.cores_changed(endpoint, |running| running + 1, now, agenda);
    }

    /// A task at a throttled endpoint runs no more.
    #[cold]
    pub(in crate::model) fn runs_no_more(&mut self, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        if self.services_of(endpoint).discipline != Discipline::ProcessorSharing {
            self.cores_changed(endpoint, |running| running.saturating_sub(1), now, agenda);
        }
    }

    /// So many cores of a throttled endpoint are in use.
    #[cold]
    pub(in crate::model) fn runs_on(&mut self, endpoint: u32, cores: u64, now: Time, agenda: &mut Agenda<Event>) {
        self.cores_changed(endpoint, |_| cores, now, agenda);
    }
}
