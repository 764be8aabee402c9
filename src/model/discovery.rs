//! What becomes of endpoints, and how callers learn of it.
//!
//! The truth about each endpoint is here, with what happens when it changes. A *source* (`source.rs`) notices it, after its own fashion; a
//! *learner* (`learner.rs`, `asking.rs`), which is a caller, comes to believe what its source lists, by asking for it or by being told
//! (`telling.rs`). What they decide is decided in `policy::discovery`.

mod asking;
mod learner;
mod source;
mod telling;

use std::collections::BTreeMap;

use crate::engine::Agenda;
use crate::model::endpoint::Condition;
use crate::model::event::Event;
use crate::model::plan::{Membership, Outage, Plan, STATIC};
use crate::model::table::Table;
use crate::model::trace::Trace;
use crate::model::world::World;
use crate::policy::discovery::kubernetes::{Loss, Phases};
use crate::policy::discovery::{Config, Stage};
use crate::random::{Purpose, Rng, Streams};
use crate::time::{Duration, Time};

use asking::Cached;
use learner::Learner;
use source::{Cause, SourceState};
use telling::Plane;

/// Whether an endpoint is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Not yet.
    Absent,
    /// Yes.
    Member,
    /// It has been told to go, and serves on for a while.
    Terminating,
    /// Not any more.
    Gone,
}

/// The truth about an endpoint.
#[derive(Clone, Copy, Debug)]
struct Truth {
    life: Life,
    /// Whether callers ought to know of it.
    ready: bool,
    /// Since when `ready` has its value.
    since: Time,
    /// Counts the changes: what follows from an earlier one is out of date.
    stamp: u32,
    /// How it was lost last, until it is back.
    loss: Option<Loss>,
    /// Its node is lost with it.
    node_lost: bool,
    /// What it tells its registry does not arrive there.
    unheard: bool,
    phases: Phases,
}

impl Truth {
    /// Whether it serves although it was told to go.
    fn is_serving_its_last(&self) -> bool {
        self.life == Life::Terminating && self.loss.is_none()
    }
}

/// Something that is going to happen.
#[derive(Clone, Copy, Debug)]
enum Item {
    /// An endpoint begins to serve.
    Joins { endpoint: u32 },
    /// It is told to go.
    Leaves { endpoint: u32 },
    /// It has gone.
    Ends { endpoint: u32 },
    /// A source lists it as it is, unless that has changed again.
    Listed { source: u32, endpoint: u32, stamp: u32 },
    /// An instance's heartbeat.
    Heartbeat { source: u32, endpoint: u32, stamp: u32 },
    /// A registry looks for leases that have ended.
    Evicts { source: u32 },
    /// A registry's minute of counting is over.
    Minute { source: u32 },
    /// It makes its threshold anew.
    Threshold { source: u32 },
    /// It makes its copy for the clients anew.
    Copies { source: u32 },
    /// A learner asks.
    Asks { learner: u32 },
    /// It is answered, or told.
    Answered { learner: u32 },
    /// Ribbon takes the list of its client.
    Takes { learner: u32 },
    /// A node may write its rules again.
    Syncs { learner: u32 },
    /// A control plane looks whether to push.
    Looks { plane: u32 },
    /// A push to a proxy is done.
    Pushed { plane: u32, proxy: u32 },
    /// A proxy is connected to its control plane again.
    Reconnects { plane: u32, proxy: u32 },
}

/// All of discovery.
#[derive(Debug)]
pub(crate) struct Discovery {
    // By endpoint; empty where nobody learns and nobody comes or goes.
    truths: Vec<Truth>,
    sources: Vec<SourceState>,
    // By discovery of the plan.
    source_of: Vec<u32>,
    // By service: the sources that somebody learns of it from.
    sources_of_service: Vec<Vec<u32>>,
    planes: Vec<Plane>,
    // By discovery of the plan; `u32::MAX`: it has none.
    plane_of: Vec<u32>,
    learners: Vec<Learner>,
    caches: Vec<Cached>,
    // The cache of callers in one zone, by discovery, service and zone.
    node_caches: BTreeMap<(u32, u32, u32), u32>,
    items: Table<Item>,
    // Since when, while they last.
    outages: [Option<Time>; Outage::COUNT],
}

impl Discovery {
    /// Discovery as the run begins: everybody knows who is there.
    pub fn new(plan: &Plan, streams: &Streams) -> Discovery {
        let somebody_learns = plan.clusters.iter().any(|cluster| cluster.discovery != STATIC);
        let somebody_moves = plan
            .endpoints
            .iter()
            .any(|endpoint| endpoint.membership != Membership::ALWAYS);
        let mut discovery = Discovery {
            truths: Vec::new(),
            sources: Vec::new(),
            source_of: Vec::new(),
            sources_of_service: vec![Vec::new(); plan.services.len()],
            planes: Vec::new(),
            plane_of: Vec::new(),
            learners: Vec::new(),
            caches: Vec::new(),
            node_caches: BTreeMap::new(),
            items: Table::default(),
            outages: [None; Outage::COUNT],
        };
        if !somebody_learns && !somebody_moves {
            return discovery;
        }
        let monitor = streams.key(Purpose::Discovery, 0).unit();
        discovery.truths = (1..)
            .zip(&plan.endpoints)
            .map(|(number, endpoint)| truth(streams, number, endpoint.membership, monitor))
            .collect();
        for (number, planned) in (0..).zip(&plan.discoveries) {
            let kind = planned.config.source().expect("what is static is not in the plan");
            let known = discovery.sources.iter().position(|source| source.kind == kind);
            let source = known.unwrap_or_else(|| {
                let place = discovery.sources.len();
                let listed = discovery.truths.iter().map(|truth| truth.ready).collect();
                let rng = streams.rng(Purpose::Discovery, (1 << 40) | place as u64);
                discovery
                    .sources
                    .push(SourceState::new(kind, number, listed, plan.services.len(), rng));
                place
            });
            discovery.source_of.push(source as u32);
            let plane = match &planned.config {
                Config::Xds(options) => {
                    discovery.sources[source].planes.push(discovery.planes.len() as u32);
                    let rng = streams.rng(Purpose::Discovery, (1 << 41) | u64::from(number));
                    discovery.planes.push(Plane::new(options, number, plan.services.len(), rng));
                    discovery.planes.len() as u32 - 1
                }
                _ => u32::MAX,
            };
            discovery.plane_of.push(plane);
        }
        for cluster in plan.clusters.iter().filter(|cluster| cluster.discovery != STATIC) {
            let source = discovery.source_of[cluster.discovery as usize];
            let sources = &mut discovery.sources_of_service[cluster.service as usize];
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        discovery
    }

    fn is_down(&self, outage: Outage) -> bool {
        self.outages[outage as usize].is_some()
    }
}

fn truth(streams: &Streams, number: u64, membership: Membership, monitor: f64) -> Truth {
    let mut draws = streams.key(Purpose::Discovery, number).draws();
    let is_there = membership.joins == Time::ZERO;
    Truth {
        life: if is_there { Life::Member } else { Life::Absent },
        ready: is_there,
        since: Time::ZERO,
        stamp: 0,
        loss: None,
        node_lost: false,
        unheard: false,
        phases: Phases {
            probe: draws.unit(),
            relist: draws.unit(),
            lease: draws.unit(),
            monitor,
        },
    }
}

/// A delay of a pipeline.
fn draw(plan: &Plan, discovery: u32, stage: Stage, rng: &mut Rng) -> Duration {
    let delays = &plan.discoveries[discovery as usize].delays;
    Duration::from_nanos_f64(delays[stage as usize].sample(&mut rng.draws()))
}

impl<T: Trace> World<'_, T> {
    /// Schedules who comes and goes, and makes the callers that learn of it. To be called once, at the start.
    pub(super) fn start_discovery(&mut self, agenda: &mut Agenda<Event>) {
        if self.discovery.truths.is_empty() {
            return;
        }
        for (endpoint, plan) in (0..).zip(&self.plan.endpoints) {
            let Membership { joins, leaves, .. } = plan.membership;
            if joins > Time::ZERO {
                self.endpoints[endpoint as usize].condition = Condition::Refusing;
                self.later(joins, Item::Joins { endpoint }, agenda);
            }
            if leaves < Time::MAX {
                self.later(leaves, Item::Leaves { endpoint }, agenda);
            }
        }
        self.start_registries(agenda);
        for cluster in 0..self.plan.clusters.len() as u32 {
            if self.plan.clusters[cluster as usize].discovery != STATIC {
                for caller in 0..self.callers_of_plan(cluster) {
                    let caller = self.cluster_of_plan(cluster, caller, Time::ZERO);
                    self.start_learning(caller, agenda);
                }
            }
        }
    }

    fn later(&mut self, at: Time, item: Item, agenda: &mut Agenda<Event>) {
        let item = self.discovery.items.insert(item);
        agenda.at(at, Event::Discovery { item });
    }

    /// The same again after a period, while there is anybody left who could notice.
    fn again(&mut self, at: Time, item: Item, now: Time, agenda: &mut Agenda<Event>) {
        if now <= Time::ZERO + self.plan.duration || !self.only_checks_are_left() {
            self.later(at, item, agenda);
        }
    }

    /// The event of something in discovery.
    pub(super) fn discover(&mut self, item: u32, now: Time, agenda: &mut Agenda<Event>) {
        let happens = self.discovery.items[item];
        self.discovery.items.release(item);
        match happens {
            Item::Joins { endpoint } => {
                self.discovery.truths[endpoint as usize].life = Life::Member;
                self.apply(&[endpoint], now, agenda);
            }
            Item::Leaves { endpoint } => self.leaves(endpoint, now, agenda),
            Item::Ends { endpoint } => {
                self.discovery.truths[endpoint as usize].life = Life::Gone;
                self.apply(&[endpoint], now, agenda);
            }
            Item::Listed { source, endpoint, stamp } => {
                let truth = self.discovery.truths[endpoint as usize];
                if truth.stamp == stamp {
                    self.list(source, endpoint, truth.ready, now, agenda);
                }
            }
            Item::Heartbeat { source, endpoint, stamp } => self.heartbeat(source, endpoint, stamp, now, agenda),
            Item::Evicts { source } => self.evicts(source, now, agenda),
            Item::Minute { source } => self.minute(source, now, agenda),
            Item::Threshold { source } => self.update_threshold(source, now, agenda),
            Item::Copies { source } => self.copies(source, now, agenda),
            Item::Asks { learner } => self.asks(learner, now, agenda),
            Item::Answered { learner } => self.answered(learner, now, agenda),
            Item::Takes { learner } => self.takes(learner, now, agenda),
            Item::Syncs { learner } => self.syncs(learner, now, agenda),
            Item::Looks { plane } => self.looks(plane, now, agenda),
            Item::Pushed { plane, proxy } => self.pushed(plane, proxy, now, agenda),
            Item::Reconnects { plane, proxy } => self.reconnects(plane, proxy, now, agenda),
        }
    }

    /// What an endpoint is like that no fault has struck.
    pub(super) fn own_condition(&self, endpoint: u32) -> Condition {
        match self.discovery.truths.get(endpoint as usize).map(|truth| truth.life) {
            Some(Life::Absent | Life::Gone) => Condition::Refusing,
            Some(Life::Member | Life::Terminating) | None => Condition::Up,
        }
    }

    /// What tells callers of endpoints went down or came up again; [`World::is_out`] says which.
    pub(super) fn outage_changed(&mut self, kind: Outage, now: Time, agenda: &mut Agenda<Event>) {
        self.set_discovery_outage(kind, self.is_out(kind), now, agenda);
    }

    pub(super) fn truth_changed(&mut self, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        let condition = self.endpoints[endpoint as usize].condition;
        let Some(truth) = self.discovery.truths.get_mut(endpoint as usize) else {
            return;
        };
        let ready = condition == Condition::Up && truth.life == Life::Member && !truth.node_lost;
        if ready == truth.ready {
            return;
        }
        truth.ready = ready;
        truth.since = now;
        truth.stamp += 1;
        let cause = match (ready, condition) {
            (true, _) => Cause::Comes(truth.loss.take()),
            (false, _) if truth.node_lost => Cause::Lost(Loss::Node),
            (false, Condition::Refusing) => Cause::Lost(Loss::Process),
            (false, _) => Cause::Lost(Loss::Hang),
        };
        if let Cause::Lost(loss) = cause {
            truth.loss = Some(loss);
        }
        self.sources_react(endpoint, cause, now, agenda);
    }

    /// An endpoint is told to go.
    fn leaves(&mut self, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        let truth = &mut self.discovery.truths[endpoint as usize];
        truth.life = Life::Terminating;
        truth.stamp += 1;
        if std::mem::replace(&mut truth.ready, false) {
            truth.since = now;
        }
        self.sources_react(endpoint, Cause::Leaves, now, agenda);
        let ends = now + self.plan.endpoints[endpoint as usize].membership.drain;
        self.later(ends, Item::Ends { endpoint }, agenda);
    }

    fn sources_react(&mut self, endpoint: u32, cause: Cause, now: Time, agenda: &mut Agenda<Event>) {
        let service = self.endpoints[endpoint as usize].service as usize;
        for place in 0..self.discovery.sources_of_service[service].len() {
            let source = self.discovery.sources_of_service[service][place];
            self.react(source, endpoint, cause, now, agenda);
        }
        // Its end of the connections is closed; where it only hangs nobody is told.
        if matches!(cause, Cause::Leaves | Cause::Lost(Loss::Process)) {
            self.connections_closed(service as u32, now, agenda);
        }
    }
}

/// What faults do to discovery.
impl<T: Trace> World<'_, T> {
    /// Something that tells callers of endpoints goes down, or is back.
    pub(super) fn set_discovery_outage(&mut self, outage: Outage, is_on: bool, now: Time, agenda: &mut Agenda<Event>) {
        let since = &mut self.discovery.outages[outage as usize];
        if since.is_some() == is_on {
            return;
        }
        match (since.take(), outage) {
            (None, _) => {
                *since = Some(now);
                self.outage_begins(outage);
            }
            (Some(began), _) => self.outage_ends(outage, began, now, agenda),
        }
    }

    /// The node of an endpoint is lost, or back. To be called before the endpoint's condition changes with it.
    pub(super) fn set_node_lost(&mut self, endpoint: u32, is_lost: bool) {
        if let Some(truth) = self.discovery.truths.get_mut(endpoint as usize) {
            truth.node_lost = is_lost;
        }
    }

    /// What an endpoint tells its registry does not arrive there, or does again.
    pub(super) fn set_unheard(&mut self, endpoint: u32, is_unheard: bool) {
        if let Some(truth) = self.discovery.truths.get_mut(endpoint as usize) {
            truth.unheard = is_unheard;
        }
    }
}

#[cfg(test)]
mod tests;
