//! Memory leaks: memory grows by requests and by time, until the kernel kills the process (OOM). It is started again at once, and after
//! further kills with a back-off that doubles, as the kubelet does (pkg/kubelet/kubelet.go).

use crate::engine::{Agenda, Sequence};
use crate::model::event::Event;
use crate::model::fault::State;
use crate::model::plan::{FaultKind, LeakPlan};
use crate::model::trace::Trace;
use crate::model::world::{NIL, World};
use crate::time::{Duration, Time};

/// The memory of one endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Leak {
    /// Bytes lost by requests.
    bytes: f64,
    /// When the process was started.
    since: Time,
    /// How often it was killed, as far as the back-off remembers.
    kills: u32,
    pub is_killed: bool,
}

impl<T: Trace> World<'_, T> {
    fn leak(&mut self, strand: u32) -> (LeakPlan, &mut Leak) {
        let row = &mut self.faults.strands[strand as usize];
        match (&self.plan.faults[row.fault as usize].kind, &mut row.state) {
            (FaultKind::Leak(plan), State::Leak(leak)) => (*plan, leak),
            _ => unreachable!("a leak has another state"),
        }
    }

    pub(super) fn leak_switched(&mut self, strand: u32, on: bool, now: Time, agenda: &mut Agenda<Event>) {
        let endpoint = self.faults.strands[strand as usize].targets[0];
        *self.leak(strand).1 = Leak {
            since: now,
            ..Leak::default()
        };
        let leaks = &mut self.stations[endpoint as usize].leak;
        if on {
            *leaks = strand;
            self.arm_leak(strand, now, agenda);
        } else if *leaks == strand {
            *leaks = NIL;
        }
    }

    /// Sets the event of the moment at which time alone brings the memory to its limit.
    fn arm_leak(&mut self, strand: u32, now: Time, agenda: &mut Agenda<Event>) {
        let (plan, leak) = self.leak(strand);
        if plan.per_second > 0.0 {
            let seconds = (plan.limit - leak.bytes).max(0.0) / plan.per_second;
            let at = (leak.since + Duration::from_nanos_f64((seconds * 1e9).ceil())).max(now);
            self.set_tick(strand, at, agenda);
        }
    }

    /// A leaking endpoint has accepted a request.
    #[cold]
    pub(in crate::model) fn leak_more(&mut self, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        let strand = self.stations[endpoint as usize].leak;
        let (plan, leak) = self.leak(strand);
        if plan.per_request == 0.0 {
            return;
        }
        leak.bytes += plan.per_request;
        if leak.bytes + plan.per_second * now.since(leak.since).as_secs_f64() >= plan.limit {
            self.kill(strand, now, agenda);
        } else {
            self.arm_leak(strand, now, agenda);
        }
    }

    /// The memory is full, or the process has been started again.
    pub(super) fn leak_tick(&mut self, strand: u32, now: Time, agenda: &mut Agenda<Event>) {
        let (_, leak) = self.leak(strand);
        if !leak.is_killed {
            return self.kill(strand, now, agenda);
        }
        leak.is_killed = false;
        leak.bytes = 0.0;
        leak.since = now;
        self.faults.strands[strand as usize].tick = Sequence::NONE;
        let targets = self.faults.strands[strand as usize].targets.clone();
        self.apply(&targets, now, agenda);
        self.come_back_cold(strand, &targets, now);
        self.arm_leak(strand, now, agenda);
    }

    fn kill(&mut self, strand: u32, now: Time, agenda: &mut Agenda<Event>) {
        let (plan, leak) = self.leak(strand);
        if now.since(leak.since) >= plan.back_off_reset {
            leak.kills = 0;
        }
        let wait = match leak.kills {
            0 => Duration::ZERO,
            kills => {
                let doubled = plan.back_off.0.saturating_mul(1 << (kills - 1).min(40));
                Duration(doubled).min(plan.back_off_max)
            }
        };
        leak.kills += 1;
        leak.is_killed = true;
        self.set_tick(strand, now + wait + plan.restart, agenda);
        let targets = self.faults.strands[strand as usize].targets.clone();
        self.apply(&targets, now, agenda);
    }
}
