//! Health checks as traffic: a check is a call of its own, to an endpoint that nobody picks.
//!
//! It crosses the network, waits in the queue and takes a slot as requests do, and faults strike it as they strike them; but it is
//! nobody's request, so nothing of it is counted among requests. It has a connection of its own, which is there.
//!
//! Each check costs a call, its way there and back, its timer and the wake-up of its caller: three to five events. Where a check is known to
//! pass and to change nothing by that, it is left out (`steady.rs`). So that this changes no order of equal times, the events of checks have
//! numbers of their own, made of what they are about.

use crate::engine::{Agenda, Sequence};
use crate::model::Elision;
use crate::model::call::Call;
use crate::model::event::Event;
use crate::model::key::RequestKey;
use crate::model::plan::{Instr, NO_DEMAND, NO_EDGE, NO_SIZE, OperationPlan, Plan, SitePlan};
use crate::model::steady::{Series, Way};
use crate::model::timers::Timer;
use crate::model::trace::Trace;
use crate::model::visit::moment;
use crate::model::watch::Alarm;
use crate::model::world::{NIL, World};
use crate::policy::health_check::{Finding, Probe};
use crate::policy::{Answer, EndpointIndex, RoutingPriority};
use crate::random::{Distribution, Key, Purpose};
use crate::time::{Duration, Time};

/// All there is of health checks in one run.
#[derive(Debug)]
pub(crate) struct Checks {
    /// Those of each caller and endpoint.
    pub series: Vec<Series>,
    /// How those of each cluster of the plan may be left out.
    pub ways: Vec<Way>,
    /// The site of those of each cluster of the plan; `NIL`: it makes none.
    sites: Vec<u32>,
    /// Calls that are checks.
    in_flight: usize,
    /// The latest moment of an event with a number of its own.
    pub latest: u128,
    /// The first moment after the last request was sent at which none was in flight; none was sent since.
    drained: u128,
}

impl Checks {
    pub fn new(plan: &Plan, elision: Elision) -> Checks {
        Checks {
            series: Vec::new(),
            ways: plan.clusters.iter().map(|cluster| Way::of(plan, cluster, elision)).collect(),
            sites: plan.check_sites(),
            in_flight: 0,
            latest: 0,
            drained: u128::MAX,
        }
    }
}

/// The moments in the life of a check, in the order in which they come if they fall together.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// It is sent.
    Sending,
    /// It reaches its endpoint.
    Arrival,
    /// Its time is up.
    Timeout,
    /// Its answer reaches the caller.
    Answer,
}

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
                priority: RoutingPriority::Default,
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
    fn check_sites(&self) -> Vec<u32> {
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

    /// A new caller gets room for its checks.
    pub(super) fn prepare_checks(&mut self, caller: u32) {
        let row = &mut self.callers[caller as usize];
        if self.checks.sites[row.plan as usize] != NIL {
            row.first_series = self.checks.series.len() as u32;
            let series = (0..row.endpoint_count).map(|endpoint| Series::new(caller, endpoint));
            self.checks.series.extend(series);
        }
    }

    /// The number of a step of a caller's `number`th check of an endpoint.
    pub(super) fn check_number(&self, caller: u32, endpoint: u32, number: u32, step: Step) -> Sequence {
        let series = u64::from(self.callers[caller as usize].first_series + endpoint);
        Sequence::own(series << 31 | (u64::from(number) & 0x1FFF_FFFF) << 2 | step as u64)
    }

    /// The number of an event of a call: its own for a check, else `other`.
    #[inline]
    pub(super) fn number_of(&self, call: u32, step: Step, other: Sequence) -> Sequence {
        let row = &self.calls[call];
        match self.is_check(row.site) {
            true => self.check_number(row.cluster, row.endpoint, row.key.number, step),
            false => other,
        }
    }

    /// How long a caller waits for the answer to a check.
    pub(super) fn check_timeout(&self, caller: u32) -> Duration {
        let site = self.checks.sites[self.callers[caller as usize].plan as usize];
        self.plan.sites[site as usize].per_try_timeout
    }

    /// The draws of a check.
    pub(super) fn check_id(&self, caller: u32, endpoint: u32, number: u32) -> Key {
        let row = &self.callers[caller as usize];
        let key = self.streams.key(Purpose::Check, u64::from(row.number));
        key.with(u64::from(endpoint)).with(u64::from(number))
    }

    /// Sets the event of a caller's next check.
    pub(super) fn arm_checks(&mut self, caller: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.callers[caller as usize];
        let Some((at, endpoint)) = row.cluster.first_check() else {
            return;
        };
        let number = self.checks.series[(row.first_series + endpoint.0) as usize].sent;
        let alarm = Alarm {
            at: at.max(now),
            sequence: self.check_number(caller, endpoint.0, number, Step::Sending),
        };
        if self.callers[caller as usize].check_alarm != alarm {
            self.callers[caller as usize].check_alarm = alarm;
            agenda.at_reserved(alarm.at, alarm.sequence, Event::CheckDue { caller });
        }
    }

    /// The event of a check that is due.
    pub(super) fn check_due(&mut self, caller: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.callers[caller as usize];
        // After the last request nothing is left that could be decided.
        if row.check_alarm != (Alarm { at: now, sequence }) || self.is_over(now, sequence) {
            return;
        }
        let row = &mut self.callers[caller as usize];
        row.check_alarm = Alarm::NONE;
        if let Some((endpoint, _)) = row.cluster.next_check(now) {
            self.send_check(caller, endpoint.0, now, agenda);
        }
        self.arm_checks(caller, now, agenda);
    }

    /// A caller asks an endpoint whether it is well.
    fn send_check(&mut self, caller: u32, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        let call = self.open_check(caller, endpoint, now, agenda);
        let probe = self.callers[caller as usize].probe;
        self.transmit_check(call, probe == Probe::Connection, now, agenda);
    }

    /// The row of a check that is (or was) sent at `sent`.
    pub(super) fn open_check(&mut self, caller: u32, endpoint: u32, sent: Time, agenda: &mut Agenda<Event>) -> u32 {
        let row = &self.callers[caller as usize];
        let (site, series) = (self.checks.sites[row.plan as usize], row.first_series + endpoint);
        let series = &mut self.checks.series[series as usize];
        let number = series.sent;
        series.sent = number.wrapping_add(1);
        series.in_flight += 1;
        let call = self.calls.insert(Call {
            id: self.check_id(caller, endpoint, number),
            key: RequestKey {
                number,
                ..RequestKey::NONE
            },
            start: sent,
            sent,
            wake: Sequence::NONE,
            generation: self.next_generation,
            cluster: caller,
            endpoint,
            site,
            parent: NIL,
            attempts: 1,
            status: 0,
        });
        self.next_generation = self.next_generation.wrapping_add(1);
        self.checks.in_flight += 1;
        self.pack(call, NIL, sent, agenda);
        let timeout = sent + self.check_timeout(caller);
        let sequence = self.check_number(caller, endpoint, number, Step::Timeout);
        self.timers.start_own(Timer::Attempt, call, (timeout, sequence), agenda);
        call
    }

    /// A check has ended: tells the policy.
    pub(super) fn check_ended(&mut self, call: u32, answer: Answer, now: Time, agenda: &mut Agenda<Event>) {
        if answer == Answer::PerTryTimeout {
            self.cancel_task(call, now, agenda);
        }
        let row = &mut self.calls[call];
        let (caller, endpoint) = (row.cluster, EndpointIndex(row.endpoint));
        row.site = NIL;
        row.wake = Sequence::NONE;
        row.generation = self.next_generation;
        self.next_generation = self.next_generation.wrapping_add(1);
        self.timers.stop_own(Timer::Attempt, call);
        self.calls.release(call);
        self.checks.in_flight -= 1;
        let row = &mut self.callers[caller as usize];
        self.checks.series[(row.first_series + endpoint.0) as usize].in_flight -= 1;
        let finding = match answer {
            Answer::Status(status) => Finding::Status(status),
            Answer::PerTryTimeout | Answer::Timeout => Finding::Timeout,
            Answer::ConnectFailure | Answer::Reset | Answer::Cancelled => Finding::NetworkFailure,
        };
        row.cluster.on_checked(endpoint, finding, now);
        self.park_check(caller, endpoint.0, now, agenda);
        self.attend(caller, now, agenda);
    }

    /// Whether nothing but checks is under way.
    pub(super) fn only_checks_are_left(&self) -> bool {
        self.calls.len() == self.checks.in_flight
    }

    /// A call has ended (`by` is now) or is about to be opened (`by` is the end of the sends): remembers the first moment after the last
    /// request at which there was none.
    #[inline]
    pub(super) fn note_drained(&mut self, by: Time, now: Time) {
        if now > self.sends_end && self.opened == self.completed {
            self.drained(by);
        }
    }

    #[cold]
    fn drained(&mut self, by: Time) {
        if self.checks.drained == u128::MAX {
            self.checks.drained = match by > self.sends_end {
                true => moment(by, self.current).max(self.checks.latest),
                false => moment(by, Sequence::NONE),
            };
        }
    }

    /// Whether a check that would be sent at a moment, which has come, is not sent: no request has been in flight at some moment since the
    /// last was sent.
    pub(super) fn is_over(&self, at: Time, sequence: Sequence) -> bool {
        let is_drained = self.opened == self.completed && self.checks.drained == u128::MAX;
        at > self.sends_end && (is_drained || self.checks.drained < moment(at, sequence))
    }
}
