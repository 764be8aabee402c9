//! Learners that are told: by control planes that push, by streams and watches, by the rules of their nodes.

use std::collections::BTreeMap;

use crate::engine::Agenda;
use crate::model::discovery::learner::Way;
use crate::model::discovery::{Item, Outage, draw};
use crate::model::event::Event;
use crate::model::trace::Trace;
use crate::model::world::World;
use crate::policy::discovery::xds::{self, Debounce, PushQueue, Step};
use crate::policy::discovery::{Config, Stage, dns};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// Envoy's back-off before it connects to its control plane again.
const RECONNECT_BASE: Duration = Duration::from_millis(500);
const RECONNECT_MAX: Duration = Duration::from_secs(30);
/// How long a blocking query that failed waits at most before the next, as Consul's `watch` package does at first.
const QUERY_RETRY: Duration = Duration::from_secs(5);

/// A control plane.
#[derive(Debug)]
pub(super) struct Plane {
    // Its discovery of the plan.
    plan: u32,
    debounce: Debounce,
    queue: PushQueue,
    proxies: Vec<Vec<u32>>,
    // By owner and number.
    numbers: BTreeMap<(u8, u32, u32), u32>,
    // By service: whether anything has changed since the last push.
    changed: Vec<bool>,
    after: Duration,
    max: Duration,
    rng: Rng,
}

impl Plane {
    pub fn new(options: &xds::Options, plan: u32, services: usize, rng: Rng) -> Plane {
        Plane {
            plan,
            debounce: Debounce::new(options.debounce_after, options.debounce_max),
            queue: PushQueue::new(options.push_throttle),
            proxies: Vec::new(),
            numbers: BTreeMap::new(),
            changed: vec![false; services],
            after: options.debounce_after,
            max: options.debounce_max,
            rng,
        }
    }

    /// A proxy, by its owner and its number there, has `learner` as one of its upstreams.
    pub fn add_upstream(&mut self, key: (u8, u32, u32), learner: u32) {
        let next = self.proxies.len() as u32;
        let proxy = *self.numbers.entry(key).or_insert(next);
        if proxy == next {
            self.proxies.push(Vec::new());
        }
        self.proxies[proxy as usize].push(learner);
    }
}

impl<T: Trace> World<'_, T> {
    /// A control plane hears of a change of a service's endpoints.
    pub(super) fn plane_hears(&mut self, plane: u32, service: u32, now: Time, agenda: &mut Agenda<Event>) {
        if self.discovery.is_down(Outage::ControlPlane) {
            return;
        }
        let state = &mut self.discovery.planes[plane as usize];
        state.changed[service as usize] = true;
        let step = state.debounce.on_change(now);
        self.plane_goes_on(plane, step, agenda);
    }

    fn plane_goes_on(&mut self, plane: u32, step: Step, agenda: &mut Agenda<Event>) {
        if let Step::Again(at) = step {
            self.later(at, Item::Looks { plane }, agenda);
        }
    }

    /// The event of a control plane that looks whether to push.
    pub(super) fn looks(&mut self, plane: u32, now: Time, agenda: &mut Agenda<Event>) {
        if self.discovery.is_down(Outage::ControlPlane) {
            return;
        }
        let learners = &self.discovery.learners;
        let state = &mut self.discovery.planes[plane as usize];
        let step = state.debounce.on_timer(now);
        if step != Step::Push {
            return self.plane_goes_on(plane, step, agenda);
        }
        for (proxy, upstreams) in (0..).zip(&state.proxies) {
            let is_concerned = |&learner: &u32| state.changed[learners[learner as usize].service as usize];
            if upstreams.iter().any(is_concerned) {
                state.queue.add(proxy);
            }
        }
        state.changed.fill(false);
        let step = state.debounce.on_pushed(now);
        self.plane_goes_on(plane, step, agenda);
        self.push_on(plane, now, agenda);
    }

    /// Pushes to as many proxies as may be pushed to at a time; each gets what is true by now.
    fn push_on(&mut self, plane: u32, now: Time, agenda: &mut Agenda<Event>) {
        while let Some(proxy) = self.discovery.planes[plane as usize].queue.start_next() {
            for place in 0..self.discovery.planes[plane as usize].proxies[proxy as usize].len() {
                let learner = self.discovery.planes[plane as usize].proxies[proxy as usize][place];
                self.take_from_source(learner);
            }
            let state = &mut self.discovery.planes[plane as usize];
            let takes = draw(self.plan, state.plan, Stage::Push, &mut state.rng);
            let mut rng = state.rng.clone();
            let takes = self.stretched(takes) + self.control_plane_adds(&mut rng);
            self.discovery.planes[plane as usize].rng = rng;
            self.later(now + takes, Item::Pushed { plane, proxy }, agenda);
        }
    }

    /// The event of a push that is done.
    pub(super) fn pushed(&mut self, plane: u32, proxy: u32, now: Time, agenda: &mut Agenda<Event>) {
        if !self.discovery.is_down(Outage::ControlPlane) {
            for place in 0..self.discovery.planes[plane as usize].proxies[proxy as usize].len() {
                let learner = self.discovery.planes[plane as usize].proxies[proxy as usize][place];
                self.learn(learner, now, agenda);
            }
        }
        self.discovery.planes[plane as usize].queue.on_done(proxy);
        if !self.discovery.is_down(Outage::ControlPlane) {
            self.push_on(plane, now, agenda);
        }
    }

    /// The event of a proxy that is connected again: it is sent all there is.
    pub(super) fn reconnects(&mut self, plane: u32, proxy: u32, now: Time, agenda: &mut Agenda<Event>) {
        if !self.discovery.is_down(Outage::ControlPlane) {
            self.discovery.planes[plane as usize].queue.add(proxy);
            self.push_on(plane, now, agenda);
        }
    }

    /// Control planes wait for quiet as long as they do now.
    pub(in crate::model) fn debounce_anew(&mut self) {
        for plane in 0..self.discovery.planes.len() {
            let state = &self.discovery.planes[plane];
            let (after, max) = (self.stretched(state.after), self.stretched(state.max));
            self.discovery.planes[plane].debounce.set(after, max);
        }
    }

    /// Whoever tells callers of a service has something new to say.
    pub(in crate::model) fn tell_of_service(&mut self, service: u32, now: Time, agenda: &mut Agenda<Event>) {
        for plane in 0..self.discovery.planes.len() as u32 {
            self.plane_hears(plane, service, now, agenda);
        }
        for learner in 0..self.discovery.learners.len() as u32 {
            let row = &self.discovery.learners[learner as usize];
            if row.service == service && matches!(row.way, Way::Watch | Way::Node { .. }) {
                self.tell(learner, now, agenda);
            }
        }
    }

    /// A learner that a control plane tells hears of it later, if that is slow.
    fn slow_word(&mut self, learner: u32, takes: Duration) -> Duration {
        let takes = self.stretched(takes);
        takes + self.slow_adds(learner)
    }

    /// What a slow control plane takes longer over a learner.
    fn slow_adds(&mut self, learner: u32) -> Duration {
        let mut rng = self.discovery.learners[learner as usize].rng.clone();
        let adds = self.control_plane_adds(&mut rng);
        self.discovery.learners[learner as usize].rng = rng;
        adds
    }

    /// What a learner watches has changed.
    pub(super) fn tell(&mut self, learner: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.discovery.learners[learner as usize];
        let stage = match self.plan.discoveries[row.plan as usize].config {
            Config::Consul(_) if self.discovery.is_down(Outage::Registry) || self.is_cut_off(learner) => return,
            Config::Consul(_) => Stage::Watch,
            _ if self.discovery.is_down(Outage::ControlPlane) => return,
            Config::Kubernetes(_) => return self.node_hears(learner, now, agenda),
            _ => Stage::Push,
        };
        self.take_from_source(learner);
        let row = &mut self.discovery.learners[learner as usize];
        let mut delay = draw(self.plan, row.plan, stage, &mut row.rng);
        if stage == Stage::Push {
            delay = self.slow_word(learner, delay);
        }
        self.later(now + delay, Item::Answered { learner }, agenda);
    }

    /// A learner's node hears of a change.
    fn node_hears(&mut self, learner: u32, now: Time, agenda: &mut Agenda<Event>) {
        let adds = self.slow_adds(learner);
        let Way::Node { is_due, .. } = &mut self.discovery.learners[learner as usize].way else {
            return;
        };
        if adds == Duration::ZERO {
            return self.rules_change(learner, now, agenda);
        }
        if !std::mem::replace(is_due, true) {
            self.later(now + adds, Item::Syncs { learner }, agenda);
        }
    }

    /// The rules of a learner's node are to change: now, or when they may.
    fn rules_change(&mut self, learner: u32, now: Time, agenda: &mut Agenda<Event>) {
        let Way::Node { limit, is_due } = &mut self.discovery.learners[learner as usize].way else {
            return;
        };
        if *is_due {
            return;
        }
        if let Err(at) = limit.take(now) {
            *is_due = true;
            return self.later(at, Item::Syncs { learner }, agenda);
        }
        self.take_from_source(learner);
        let row = &mut self.discovery.learners[learner as usize];
        let takes = draw(self.plan, row.plan, Stage::Sync, &mut row.rng);
        self.later(now + takes, Item::Answered { learner }, agenda);
    }

    /// The event of a node that may write its rules again.
    pub(super) fn syncs(&mut self, learner: u32, now: Time, agenda: &mut Agenda<Event>) {
        if let Way::Node { is_due, .. } = &mut self.discovery.learners[learner as usize].way {
            *is_due = false;
        }
        if !self.discovery.is_down(Outage::ControlPlane) {
            self.rules_change(learner, now, agenda);
        }
    }

    /// Something goes down: what it was about to say is not said.
    pub(super) fn outage_begins(&mut self, outage: Outage) {
        if outage == Outage::ControlPlane {
            for plane in &mut self.discovery.planes {
                plane.queue.clear();
            }
        }
    }

    /// Something is back that went down at `began`: those whom it tells come for what they have missed.
    pub(super) fn outage_ends(&mut self, outage: Outage, began: Time, now: Time, agenda: &mut Agenda<Event>) {
        if matches!(outage, Outage::ControlPlane | Outage::Stale) {
            for plane in 0..self.discovery.planes.len() as u32 {
                self.plane_is_back(plane, began, now, agenda);
            }
        }
        for learner in 0..self.discovery.learners.len() as u32 {
            let row = &mut self.discovery.learners[learner as usize];
            let config = &self.plan.discoveries[row.plan as usize].config;
            match (outage, config) {
                (Outage::Registry | Outage::Stale, Config::Consul(_)) => self.query_again(learner, now, agenda),
                (Outage::ControlPlane | Outage::Stale, Config::Linkerd(_) | Config::Kubernetes(_)) => {
                    self.tell(learner, now, agenda);
                }
                _ => {}
            }
        }
    }

    /// A blocking query that has failed is made again.
    fn query_again(&mut self, learner: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.discovery.learners[learner as usize];
        let wait = Duration(row.rng.below(QUERY_RETRY.0));
        self.take_from_source(learner);
        self.later(now + wait, Item::Answered { learner }, agenda);
    }

    /// Learners that a partition keeps from being told by their registry.
    pub(in crate::model) fn learners_cut_off(&self) -> Vec<u32> {
        let is_told = |&learner: &u32| {
            let plan = self.discovery.learners[learner as usize].plan;
            matches!(self.plan.discoveries[plan as usize].config, Config::Consul(_)) && self.is_cut_off(learner)
        };
        (0..self.discovery.learners.len() as u32).filter(is_told).collect()
    }

    /// The partitions are others than before, when these were cut off: who is no longer comes for what it has missed.
    pub(in crate::model) fn reach_registries(&mut self, cut_off: &[u32], now: Time, agenda: &mut Agenda<Event>) {
        for &learner in cut_off {
            if !self.is_cut_off(learner) && !self.discovery.is_down(Outage::Registry) {
                self.query_again(learner, now, agenda);
            }
        }
    }

    /// Its proxies have tried to connect again and again, and succeed at the next try.
    fn plane_is_back(&mut self, plane: u32, began: Time, now: Time, agenda: &mut Agenda<Event>) {
        let state = &mut self.discovery.planes[plane as usize];
        state.debounce = Debounce::new(state.after, state.max);
        state.changed.fill(false);
        self.debounce_anew();
        for proxy in 0..self.discovery.planes[plane as usize].proxies.len() as u32 {
            let state = &mut self.discovery.planes[plane as usize];
            let (mut at, mut failures) = (began, 0);
            while at <= now {
                let wait = dns::back_off(RECONNECT_BASE, RECONNECT_MAX, failures, &mut state.rng);
                at += wait.max(Duration::from_millis(1));
                failures = failures.saturating_add(1);
            }
            self.later(at, Item::Reconnects { plane, proxy }, agenda);
        }
    }
}
