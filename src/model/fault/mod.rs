//! Faults: when they begin and end, and what all that are active together make of an endpoint.
//!
//! A fault has one *strand*, or one for each endpoint (or zone) where these have times or state of their own. Times are drawn by a key of
//! the fault and the strand, so every variant has the same faults. What a kind does is in a file of its own.

mod answers;
mod cold_start;
mod control;
mod inject;
mod leak;
pub(super) mod link;
mod pause;
mod standstill;
mod targets;
mod throttle;
mod traffic;

use crate::engine::{Agenda, Sequence};
use crate::model::endpoint::Condition;
use crate::model::event::Event;
use crate::model::plan::{CrashMode, FaultKind, FaultPlan, Outage, Plan, Probability, RepeatPlan};
use crate::model::table::Table;
use crate::model::trace::Trace;
use crate::model::world::World;
use crate::random::Key;
use crate::time::{Duration, Time};

use cold_start::ColdStart;
use inject::Deadline;
use leak::Leak;
use throttle::Throttle;
use traffic::Extra;

/// A fault, or one endpoint's (or zone's) part of it.
#[derive(Debug)]
struct Strand {
    /// The fault in the plan.
    fault: u32,
    /// The endpoints struck, in ascending order.
    targets: Vec<u32>,
    active: bool,
    /// How often it has begun.
    round: u64,
    /// The draws of its times; strands that fail together have the same.
    times: Key,
    /// The draws of what it does.
    own: Key,
    /// Whether its times are reported; of strands with the same times one is.
    is_reported: bool,
    /// Its latest window in the result.
    window: usize,
    /// The number of the event of its own that counts.
    tick: Sequence,
    state: State,
}

/// What changes at a strand while it is active.
#[derive(Debug)]
enum State {
    Nothing,
    Throttle(Throttle),
    /// Whether its endpoints stand still now.
    Pause(bool),
    Leak(Leak),
}

/// All there is of faults in one run.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    strands: Vec<Strand>,
    /// The active strands at each endpoint, in ascending order; empty where no fault strikes endpoints.
    at_endpoint: Vec<Vec<u32>>,
    /// The distributions that active faults add to each piece of work, by endpoint.
    adds: Vec<Vec<u32>>,
    /// Which endpoints have come back cold.
    cold: Vec<ColdStart>,
    /// Active strands that are about the network.
    links: Vec<u32>,
    /// Active strands that are about callers' proxies.
    injects: Vec<u32>,
    /// Active strands that give requests one key.
    hot_keys: Vec<u32>,
    /// Active strands that slow the control plane down.
    slow_planes: Vec<u32>,
    /// Active strands that tell wrong addresses.
    wrong: Vec<u32>,
    /// Requests on top of what clients send.
    extras: Vec<Extra>,
    deadlines: Table<Deadline>,
    /// Active outages by kind.
    outages: [u32; Outage::COUNT],
    /// When which fault was active.
    pub windows: Vec<(u32, Time, Time)>,
}

impl Faults {
    /// Room for the faults of a plan.
    pub fn new(plan: &Plan) -> Faults {
        let strikes_endpoints = plan.faults.iter().any(FaultPlan::strikes_endpoints);
        let endpoints = if strikes_endpoints { plan.endpoints.len() } else { 0 };
        Faults {
            at_endpoint: vec![Vec::new(); endpoints],
            adds: vec![Vec::new(); endpoints],
            cold: vec![ColdStart::default(); endpoints],
            ..Faults::default()
        }
    }

    /// The active strands at an endpoint.
    #[inline]
    pub(in crate::model) fn at(&self, endpoint: u32) -> &[u32] {
        self.at_endpoint.get(endpoint as usize).map_or(&[], Vec::as_slice)
    }
}

impl FaultPlan {
    /// Whether it strikes endpoints, in contrast to the network, callers or clients.
    pub(super) fn strikes_endpoints(&self) -> bool {
        match self.kind {
            FaultKind::Crash { .. }
            | FaultKind::SlowFactor(_)
            | FaultKind::SlowAdd(_)
            | FaultKind::Throttle { .. }
            | FaultKind::Pause { .. }
            | FaultKind::Errors { .. }
            | FaultKind::Hang { .. }
            | FaultKind::Leak(_) => true,
            FaultKind::Link(_)
            | FaultKind::Outage(_)
            | FaultKind::SlowControlPlane { .. }
            | FaultKind::Wrong(_)
            | FaultKind::Inject(_)
            | FaultKind::Spike { .. }
            | FaultKind::HotKey { .. } => false,
        }
    }

    /// Whether each endpoint has a state of its own.
    fn is_by_endpoint(&self) -> bool {
        matches!(
            self.kind,
            FaultKind::Throttle { .. } | FaultKind::Leak(_) | FaultKind::Pause { again: Some(_) }
        )
    }
}

impl<T: Trace> World<'_, T> {
    /// Draws the targets of the faults and schedules their begin.
    pub(super) fn start_faults(&mut self, agenda: &mut Agenda<Event>) {
        for index in 0..self.plan.faults.len() as u32 {
            self.make_strands(index);
        }
        for strand in 0..self.faults.strands.len() as u32 {
            let plan = &self.plan.faults[self.faults.strands[strand as usize].fault as usize];
            let at = match plan.repeat {
                RepeatPlan::Once | RepeatPlan::Every { .. } => plan.at,
                RepeatPlan::Random { mttf, .. } => plan.at + self.draw_time(strand, mttf, 0),
            };
            self.begin_at(strand, at, agenda);
        }
    }

    /// Schedules the begin of a strand, if it is within the run and before the fault's last moment.
    fn begin_at(&mut self, strand: u32, at: Time, agenda: &mut Agenda<Event>) {
        let plan = &self.plan.faults[self.faults.strands[strand as usize].fault as usize];
        if at < (Time::ZERO + self.plan.duration).min(plan.until()) {
            agenda.at(at, Event::FaultBegins { fault: strand });
        }
    }

    /// A span of a strand's present round, by a distribution; `which` tells the spans of a round apart.
    fn draw_time(&self, strand: u32, distribution: u32, which: u64) -> Duration {
        let row = &self.faults.strands[strand as usize];
        let mut draws = row.times.with(3 * row.round + which).draws();
        Duration::from_nanos_f64(self.plan.distributions[distribution as usize].sample(&mut draws))
    }

    /// The event of a fault that begins.
    pub(super) fn fault_begins(&mut self, strand: u32, now: Time, agenda: &mut Agenda<Event>) {
        let fault = self.faults.strands[strand as usize].fault;
        let plan = &self.plan.faults[fault as usize];
        let lasts = match plan.repeat {
            RepeatPlan::Random { mttr, .. } => self.draw_time(strand, mttr, 1),
            RepeatPlan::Once | RepeatPlan::Every { .. } => plan.lasts,
        };
        let ends = (now + lasts).min(plan.until());
        if ends != Time::MAX {
            agenda.at(ends, Event::FaultEnds { fault: strand });
        }
        if let RepeatPlan::Every { gap, .. } = plan.repeat {
            let gap = self.draw_time(strand, gap, 2).max(lasts).max(Duration(1));
            self.begin_at(strand, now + gap, agenda);
        }
        let row = &mut self.faults.strands[strand as usize];
        row.active = true;
        row.round += 1;
        if row.is_reported {
            row.window = self.faults.windows.len();
            self.faults.windows.push((fault, now, Time::ZERO + self.plan.duration));
            let targets = self.struck_with(strand);
            self.incident_begins((fault, strand), targets, now);
        }
        self.switch(strand, true, now, agenda);
    }

    /// The event of a fault that ends.
    pub(super) fn fault_ends(&mut self, strand: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.faults.strands[strand as usize];
        row.active = false;
        row.tick = Sequence::NONE;
        let plan = &self.plan.faults[row.fault as usize];
        if row.is_reported {
            let window = &mut self.faults.windows[row.window];
            window.2 = window.2.min(now);
            let fault = row.fault;
            self.incident_ends((fault, strand), now);
        }
        self.switch(strand, false, now, agenda);
        if let RepeatPlan::Random { mttf, .. } = plan.repeat {
            let gap = self.draw_time(strand, mttf, 0).max(Duration(1));
            self.begin_at(strand, now + gap, agenda);
        }
    }

    /// The endpoints that a strand strikes, and those of the same fault that have the same times, in ascending order.
    fn struck_with(&self, strand: u32) -> Vec<u32> {
        let row = &self.faults.strands[strand as usize];
        let alike = |other: &&Strand| other.fault == row.fault && other.times == row.times;
        let alike = self.faults.strands.iter().filter(alike);
        let mut targets: Vec<u32> = alike.flat_map(|other| other.targets.iter().copied()).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    /// The event that a strand set itself: ignored if it has set another since.
    pub(super) fn fault_tick(&mut self, strand: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.faults.strands[strand as usize];
        if row.tick != sequence {
            return;
        }
        match row.state {
            State::Nothing => unreachable!("only strands with a state have events of their own"),
            State::Throttle(_) => self.throttle_tick(strand, now, agenda),
            State::Pause(_) => self.pause_tick(strand, now, agenda),
            State::Leak(_) => self.leak_tick(strand, now, agenda),
        }
    }

    /// Schedules a strand's own event, in place of the one before.
    fn set_tick(&mut self, strand: u32, at: Time, agenda: &mut Agenda<Event>) {
        self.faults.strands[strand as usize].tick = agenda.at(at, Event::FaultTick { fault: strand });
    }

    /// A strand has become active, or is so no longer.
    fn switch(&mut self, strand: u32, on: bool, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.faults.strands[strand as usize];
        let plan = &self.plan.faults[row.fault as usize];
        if plan.strikes_endpoints() {
            let targets = row.targets.clone();
            for &endpoint in &targets {
                enlist(&mut self.faults.at_endpoint[endpoint as usize], strand, on);
            }
            match plan.kind {
                FaultKind::Throttle { .. } => self.throttle_switched(strand, on, now, agenda),
                FaultKind::Pause { again } => self.pause_switched(strand, again, on, now, agenda),
                FaultKind::Leak(_) => self.leak_switched(strand, on, now, agenda),
                _ => {}
            }
            self.apply(&targets, now, agenda);
            if let (FaultKind::Crash { cold_start: Some(_), .. }, false) = (&plan.kind, on) {
                self.come_back_cold(strand, &targets, now);
            }
            return;
        }
        match &plan.kind {
            FaultKind::Link(_) => {
                let cut_off = self.learners_cut_off();
                enlist(&mut self.faults.links, strand, on);
                self.reach_registries(&cut_off, now, agenda);
                self.unpark_troubled_checks(now, agenda);
                self.hear_endpoints();
            }
            FaultKind::SlowControlPlane { .. } => {
                enlist(&mut self.faults.slow_planes, strand, on);
                self.debounce_anew();
            }
            FaultKind::Wrong(wrong) => {
                enlist(&mut self.faults.wrong, strand, on);
                self.wrong_switched(wrong, now, agenda);
            }
            FaultKind::Inject(_) => enlist(&mut self.faults.injects, strand, on),
            FaultKind::HotKey { .. } => enlist(&mut self.faults.hot_keys, strand, on),
            FaultKind::Spike { .. } => self.spike_switched(strand, on, now, agenda),
            &FaultKind::Outage(kind) => {
                let was_out = self.is_out(kind);
                let count = &mut self.faults.outages[kind as usize];
                *count = if on { *count + 1 } else { *count - 1 };
                if self.is_out(kind) != was_out {
                    self.outage_changed(kind, now, agenda);
                }
            }
            _ => unreachable!("the others strike endpoints"),
        }
    }

    /// Whether what tells callers of endpoints is down.
    pub(super) fn is_out(&self, kind: Outage) -> bool {
        self.faults.outages[kind as usize] > 0
    }

    /// Gives endpoints (in ascending order) the condition that all active faults and their own coming and going make.
    pub(super) fn apply(&mut self, targets: &[u32], now: Time, agenda: &mut Agenda<Event>) {
        let (mut lost, mut turned, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for &endpoint in targets {
            self.unpark_checks_of(endpoint, now, agenda);
            self.set_node_lost(endpoint, self.is_node_lost(endpoint));
            let (condition, slowdown) = self.condition(endpoint);
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

    /// Whether the machine that an endpoint is on is down.
    fn is_node_lost(&self, endpoint: u32) -> bool {
        self.faults.at(endpoint).iter().any(|&strand| {
            let fault = self.faults.strands[strand as usize].fault;
            matches!(self.plan.faults[fault as usize].kind, FaultKind::Crash { is_node: true, .. })
        })
    }

    /// What the active faults together make of an endpoint: refusing wins over resetting, which wins over hanging; factors multiply,
    /// additions add up.
    fn condition(&mut self, endpoint: u32) -> (Condition, f64) {
        let plan = &self.plan.endpoints[endpoint as usize];
        let mut slowdown = 1.0 / plan.speed;
        let mut fails = plan.fail != Probability::NEVER;
        let mut condition = self.own_condition(endpoint);
        // Where no fault strikes endpoints, they only come and go.
        let Some(adds) = self.faults.adds.get_mut(endpoint as usize) else {
            return (condition, slowdown);
        };
        adds.clear();
        for &strand in &self.faults.at_endpoint[endpoint as usize] {
            let strand = &self.faults.strands[strand as usize];
            match self.plan.faults[strand.fault as usize].kind {
                FaultKind::Crash { mode, .. } => condition = condition.and(mode),
                FaultKind::SlowFactor(factor) => slowdown *= factor,
                FaultKind::SlowAdd(distribution) => adds.push(distribution),
                FaultKind::Errors { .. } | FaultKind::Hang { .. } => fails = true,
                FaultKind::Leak(_) if matches!(strand.state, State::Leak(ref leak) if leak.is_killed) => {
                    condition = condition.and(CrashMode::Refuse);
                }
                _ => {}
            }
        }
        let is_altered = !adds.is_empty() || self.faults.cold[endpoint as usize].is_cold();
        self.stations[endpoint as usize].is_altered = is_altered;
        self.endpoints[endpoint as usize].fails = fails;
        (condition, slowdown)
    }
}

impl FaultPlan {
    /// Nothing is left of it from here on.
    fn until(&self) -> Time {
        match self.repeat {
            RepeatPlan::Once => Time::MAX,
            RepeatPlan::Every { until, .. } | RepeatPlan::Random { until, .. } => until,
        }
    }
}

impl Condition {
    /// What a crash makes of it.
    fn and(self, mode: CrashMode) -> Condition {
        match (self, mode) {
            (Condition::Refusing, _) | (_, CrashMode::Refuse) => Condition::Refusing,
            (Condition::Resetting, _) | (_, CrashMode::Reset) => Condition::Resetting,
            (Condition::Up | Condition::Hanging, CrashMode::Hang) => Condition::Hanging,
        }
    }
}

/// Puts a strand into a list of active ones, or takes it out.
fn enlist(list: &mut Vec<u32>, strand: u32, on: bool) {
    match (list.binary_search(&strand), on) {
        (Err(at), true) => list.insert(at, strand),
        (Ok(at), false) => drop(list.remove(at)),
        _ => {}
    }
}
