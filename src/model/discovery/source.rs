//! Sources: who comes to know of a change of the truth, and when; with a registry's leases, its looks at them and its copies.

use crate::engine::Agenda;
use crate::model::discovery::{Item, Outage, draw};
use crate::model::event::Event;
use crate::model::trace::Trace;
use crate::model::world::World;
use crate::policy::discovery::eureka::{self, Server};
use crate::policy::discovery::kubernetes::Loss;
use crate::policy::discovery::{Source, Stage};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// What has happened to an endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause {
    /// It can serve: as a new one, or after it was lost.
    Comes(Option<Loss>),
    /// It was told to go.
    Leaves,
    /// It was lost.
    Lost(Loss),
}

/// One source, shared by all who learn from it.
#[derive(Debug)]
pub(super) struct SourceState {
    pub kind: Source,
    // A discovery of the plan that has its delays.
    plan: u32,
    /// Whom it lists, by endpoint of the plan.
    pub listed: Vec<bool>,
    /// Whom its copy for the clients lists.
    pub copy: Vec<bool>,
    /// Control planes that hear of its changes.
    pub planes: Vec<u32>,
    /// Learners that are told of its changes, by service.
    pub told: Vec<Vec<u32>>,
    server: Option<Server>,
    rng: Rng,
}

/// A registry counts renewals by the minute.
const MINUTE: Duration = Duration::from_secs(60);

impl SourceState {
    pub fn new(kind: Source, plan: u32, listed: Vec<bool>, services: usize, rng: Rng) -> SourceState {
        let server = match &kind {
            Source::Eureka(options) => Some(Server::new(options, listed.len())),
            _ => None,
        };
        SourceState {
            kind,
            plan,
            copy: listed.clone(),
            listed,
            planes: Vec::new(),
            told: vec![Vec::new(); services],
            server,
            rng,
        }
    }

    fn eureka(&self) -> Option<&eureka::Options> {
        match &self.kind {
            Source::Eureka(options) => Some(options),
            _ => None,
        }
    }
}

impl<T: Trace> World<'_, T> {
    /// A source notices, or will, what has happened to an endpoint.
    pub(super) fn react(&mut self, source: u32, endpoint: u32, cause: Cause, now: Time, agenda: &mut Agenda<Event>) {
        let truth = self.discovery.truths[endpoint as usize];
        let factor = self.control_plane_factor();
        let state = &mut self.discovery.sources[source as usize];
        let nodes = self.plan.endpoints.len() as u32;
        let known_at = match (&state.kind, cause) {
            (Source::Instant, _) | (Source::Planned, Cause::Comes(None) | Cause::Leaves) => now,
            (Source::Planned, _) => return,
            (Source::Kubernetes(options), _) => {
                let mut stage = |stage| draw(self.plan, state.plan, stage, &mut state.rng);
                let (status, watches) = (stage(Stage::Status), stage(Stage::Watch) + stage(Stage::Watch));
                let slowed = |span: Duration| match factor {
                    1.0 => span,
                    factor => Duration::from_nanos_f64(span.0 as f64 * factor),
                };
                let (status, to_slices) = (slowed(status), slowed(watches + options.endpoint_slice_delay));
                match cause {
                    Cause::Leaves => now + to_slices,
                    Cause::Lost(Loss::Node) => options.noticed_at(Loss::Node, now, truth.phases) + to_slices,
                    Cause::Lost(loss) => options.noticed_at(loss, now, truth.phases) + status + to_slices,
                    Cause::Comes(loss) => options.ready_at(loss, now, truth.phases) + status + to_slices,
                }
            }
            (Source::Consul(options), _) => match cause {
                Cause::Leaves => now,
                Cause::Lost(loss) => options.critical_at(loss, now, truth.phases.probe, nodes),
                Cause::Comes(loss) => options.passing_at(now, loss.is_none(), truth.phases.probe),
            },
            (Source::Eureka(options), _) => {
                let interval = options.lease_renewal_interval;
                return match cause {
                    Cause::Lost(_) => {}
                    Cause::Leaves => self.cancels(source, endpoint, now, agenda),
                    Cause::Comes(None | Some(Loss::Process)) => {
                        let stamp = truth.stamp;
                        self.later(now + interval, Item::Heartbeat { source, endpoint, stamp }, agenda);
                    }
                    // The process was there all the while, and keeps its rhythm.
                    Cause::Comes(Some(Loss::Hang | Loss::Node)) => {
                        let stamp = truth.stamp;
                        let offset = (interval.0 as f64 * truth.phases.probe) as u64;
                        let beats = now.0.saturating_sub(offset).div_ceil(interval.0);
                        let at = Time(offset + beats * interval.0).max(now);
                        self.later(at, Item::Heartbeat { source, endpoint, stamp }, agenda);
                    }
                };
            }
        };
        if known_at <= now {
            return self.list(source, endpoint, truth.ready, now, agenda);
        }
        let stamp = truth.stamp;
        self.later(known_at, Item::Listed { source, endpoint, stamp }, agenda);
    }

    /// A source lists an endpoint, or no longer.
    pub(super) fn list(&mut self, source: u32, endpoint: u32, is_listed: bool, now: Time, agenda: &mut Agenda<Event>) {
        let service = self.endpoints[endpoint as usize].service;
        let state = &mut self.discovery.sources[source as usize];
        if std::mem::replace(&mut state.listed[endpoint as usize], is_listed) == is_listed {
            return;
        }
        for place in 0..state.planes.len() {
            let plane = self.discovery.sources[source as usize].planes[place];
            self.plane_hears(plane, service, now, agenda);
        }
        for place in 0..self.discovery.sources[source as usize].told[service as usize].len() {
            let learner = self.discovery.sources[source as usize].told[service as usize][place];
            self.tell(learner, now, agenda);
        }
    }

    /// Registries begin in the middle of their work, with everybody registered.
    pub(super) fn start_registries(&mut self, agenda: &mut Agenda<Event>) {
        for source in 0..self.discovery.sources.len() as u32 {
            let state = &mut self.discovery.sources[source as usize];
            let Some(options) = state.eureka().cloned() else { continue };
            let mut first = |period: Duration| Time((period.0 as f64 * state.rng.unit()) as u64);
            let minute = first(MINUTE);
            let items = [
                (minute, Item::Minute { source }),
                (first(options.eviction_interval_timer), Item::Evicts { source }),
                (first(options.renewal_threshold_update_interval), Item::Threshold { source }),
                (first(options.response_cache_update_interval), Item::Copies { source }),
            ];
            for (at, item) in items {
                self.later(at, item, agenda);
            }
            self.register_everybody(source, &options, minute, agenda);
        }
    }

    fn register_everybody(&mut self, source: u32, options: &eureka::Options, minute: Time, agenda: &mut Agenda<Event>) {
        let interval = options.lease_renewal_interval;
        // Of the minute that runs now, this much was before the start.
        let before = MINUTE.0 - minute.0;
        let (mut last_minute, mut this_minute) = (0, 0);
        for endpoint in 0..self.endpoints.len() as u32 {
            let service = self.endpoints[endpoint as usize].service as usize;
            let truth = self.discovery.truths[endpoint as usize];
            if !truth.ready || !self.discovery.sources_of_service[service].contains(&source) {
                continue;
            }
            let next = Time((interval.0 as f64 * truth.phases.probe) as u64);
            let server = self.discovery.sources[source as usize].server.as_mut();
            let server = server.expect("this source has a server");
            server.register(endpoint, Time::ZERO);
            // The heartbeat before the start: what it left behind lies ahead of the start by the lease, less what has passed since.
            let passed = interval.0 - next.0;
            server.renew(endpoint, Time::ZERO);
            server.age(endpoint, Duration(passed));
            // How many lie in the whole minute before the present one, and in the part of the present one that has passed.
            let beats = |ago: u64| if ago < passed { 0 } else { (ago - passed) / interval.0 + 1 };
            this_minute += beats(before);
            last_minute += beats(before + MINUTE.0) - beats(before);
            let stamp = truth.stamp;
            self.later(next, Item::Heartbeat { source, endpoint, stamp }, agenda);
        }
        let server = self.discovery.sources[source as usize].server.as_mut();
        server
            .expect("this source has a server")
            .set_renewals(last_minute, this_minute);
    }

    /// The event of a heartbeat.
    pub(super) fn heartbeat(&mut self, source: u32, endpoint: u32, stamp: u32, now: Time, agenda: &mut Agenda<Event>) {
        let truth = self.discovery.truths[endpoint as usize];
        if truth.stamp != stamp || !truth.ready {
            return;
        }
        let is_heard = !self.discovery.is_down(Outage::Registry) && !truth.unheard;
        let state = &mut self.discovery.sources[source as usize];
        let interval = state.eureka().expect("this source has a server").lease_renewal_interval;
        let server = state.server.as_mut().expect("this source has a server");
        if is_heard && !server.renew(endpoint, now) {
            server.register(endpoint, now);
            self.list(source, endpoint, true, now, agenda);
        }
        self.again(now + interval, Item::Heartbeat { source, endpoint, stamp }, now, agenda);
    }

    /// An instance that goes tells its registry.
    fn cancels(&mut self, source: u32, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        if self.discovery.is_down(Outage::Registry) || self.discovery.truths[endpoint as usize].unheard {
            return;
        }
        let server = self.discovery.sources[source as usize].server.as_mut();
        server.expect("this source has a server").cancel(endpoint);
        self.list(source, endpoint, false, now, agenda);
    }

    /// The event of a registry that looks for leases that have ended.
    pub(super) fn evicts(&mut self, source: u32, now: Time, agenda: &mut Agenda<Event>) {
        let state = &mut self.discovery.sources[source as usize];
        let interval = state.eureka().expect("this source has a server").eviction_interval_timer;
        let (server, listed) = (state.server.as_mut().expect("this source has a server"), &mut state.listed);
        server.evict(Duration::ZERO, now, &mut state.rng, |endpoint| {
            listed[endpoint as usize] = false
        });
        self.again(now + interval, Item::Evicts { source }, now, agenda);
    }

    /// The event of the end of a registry's minute.
    pub(super) fn minute(&mut self, source: u32, now: Time, agenda: &mut Agenda<Event>) {
        if let Some(server) = &mut self.discovery.sources[source as usize].server {
            server.on_minute();
        }
        self.again(now + MINUTE, Item::Minute { source }, now, agenda);
    }

    /// The event of a registry that makes its threshold anew.
    pub(super) fn update_threshold(&mut self, source: u32, now: Time, agenda: &mut Agenda<Event>) {
        let state = &mut self.discovery.sources[source as usize];
        let interval = state
            .eureka()
            .expect("this source has a server")
            .renewal_threshold_update_interval;
        if let Some(server) = &mut state.server {
            server.on_threshold_update();
        }
        self.again(now + interval, Item::Threshold { source }, now, agenda);
    }

    /// The event of a registry that makes its copy anew.
    pub(super) fn copies(&mut self, source: u32, now: Time, agenda: &mut Agenda<Event>) {
        let state = &mut self.discovery.sources[source as usize];
        let interval = state
            .eureka()
            .expect("this source has a server")
            .response_cache_update_interval;
        state.copy.copy_from_slice(&state.listed);
        self.again(now + interval, Item::Copies { source }, now, agenda);
    }
}
