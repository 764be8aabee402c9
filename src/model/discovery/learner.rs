//! Callers that learn of endpoints: what each believes, and what happens when it believes something else.

use crate::engine::Agenda;
use crate::model::caller::Connections;
use crate::model::discovery::{Item, Outage};
use crate::model::event::Event;
use crate::model::plan::Owner;
use crate::model::trace::Trace;
use crate::model::world::{NIL, World};
use crate::policy::discovery::Config;
use crate::policy::discovery::dns::{self, GrpcResolver, Refresher};
use crate::policy::discovery::kubernetes::SyncLimit;
use crate::policy::{EndpointIndex, EndpointInfo};
use crate::random::{Purpose, Rng};
use crate::time::Time;

/// A caller that learns of the endpoints of an upstream.
#[derive(Debug)]
pub(super) struct Learner {
    /// Its place among the callers.
    pub caller: u32,
    /// Its discovery of the plan.
    pub plan: u32,
    pub source: u32,
    pub service: u32,
    /// The upstream's first endpoint.
    pub first: u32,
    /// Whom it takes to be there.
    pub believed: Vec<bool>,
    /// Whom the answer lists that it is about to have.
    pub pending: Vec<bool>,
    /// Whom its client knows, where a balancer takes the client's list now and then.
    pub client: Vec<bool>,
    /// Its cache of answers; `NIL`: none.
    pub cache: u32,
    /// Questions in a row that nobody has answered.
    pub unanswered: u32,
    pub way: Way,
    pub rng: Rng,
}

/// How it learns.
#[derive(Debug)]
pub(super) enum Way {
    /// It asks a name server again and again.
    Refresher(Refresher),
    /// It asks when a connection is lost.
    Grpc(GrpcResolver),
    /// It asked at its start.
    Once,
    /// It asks a registry again and again.
    Poll,
    /// It is told by a control plane.
    Proxy,
    /// It is told of each change.
    Watch,
    /// Its node writes rules; whether one more time is settled.
    Node { limit: SyncLimit, is_due: bool },
}

impl<T: Trace> World<'_, T> {
    /// How many callers a cluster of the plan has.
    pub(super) fn callers_of_plan(&self, cluster: u32) -> u32 {
        match self.plan.clusters[cluster as usize].owner {
            Owner::Client(client) => self.plan.clients[client as usize].caller_zones.len() as u32,
            Owner::Service(service) => self.plan.services[service as usize].endpoint_count,
        }
    }

    /// A caller that has just been made knows whom its source lists. `number`: which of its owner's callers it is.
    pub(in crate::model) fn begin_to_learn(&mut self, caller: u32, cluster: u32, number: u32, now: Time) {
        let cluster = &self.plan.clusters[cluster as usize];
        let row = &self.callers[caller as usize];
        let (first, count) = (row.first_endpoint, row.endpoint_count as usize);
        let config = &self.plan.discoveries[cluster.discovery as usize].config;
        let rng = self.streams.rng(Purpose::Discovery, (1 << 42) | u64::from(row.number));
        let source = self.discovery.source_of[cluster.discovery as usize];
        let place = self.discovery.learners.len() as u32;
        let way = match config {
            Config::Static => unreachable!("what is static is not in the plan"),
            Config::Dns(options) => match options.client {
                dns::Client::Envoy | dns::Client::Jvm | dns::Client::Haproxy => Way::Refresher(Refresher::default()),
                dns::Client::Grpc => Way::Grpc(GrpcResolver::resolved(options, now)),
                dns::Client::Nginx => Way::Once,
            },
            Config::Poll(_) | Config::Eureka(_) => Way::Poll,
            Config::Consul(_) | Config::Linkerd(_) => Way::Watch,
            Config::Kubernetes(options) => Way::Node {
                limit: SyncLimit::new(options.kube_proxy.min_sync_period),
                is_due: false,
            },
            Config::Xds(_) => {
                let plane = self.discovery.plane_of[cluster.discovery as usize];
                let key = match cluster.owner {
                    Owner::Client(client) => (0, client, number),
                    Owner::Service(service) => (1, service, number),
                };
                self.discovery.planes[plane as usize].add_upstream(key, place);
                Way::Proxy
            }
        };
        if matches!(way, Way::Watch | Way::Node { .. }) {
            self.discovery.sources[source as usize].told[cluster.service as usize].push(place);
        }
        let listed = self.discovery.sources[source as usize].listed[first as usize..][..count].to_vec();
        self.callers[caller as usize].learner = place;
        self.discovery.learners.push(Learner {
            caller,
            plan: cluster.discovery,
            source,
            service: cluster.service,
            first,
            believed: vec![true; count],
            client: if matches!(config, Config::Eureka(_)) {
                listed.clone()
            } else {
                Vec::new()
            },
            pending: listed,
            cache: NIL,
            unanswered: 0,
            way,
            rng,
        });
        self.make_cache(place);
        self.believe_pending(place, now);
    }

    /// A learner takes the answer that it has.
    pub(super) fn learn(&mut self, learner: u32, now: Time, agenda: &mut Agenda<Event>) {
        if self.discovery.is_down(Outage::Stale) {
            return;
        }
        let row = &self.discovery.learners[learner as usize];
        let astray = self.is_told_wrong(row.caller);
        let goes_elsewhere = self.callers[row.caller as usize].astray != astray;
        if row.pending == row.believed && !goes_elsewhere {
            return;
        }
        let truths = &self.discovery.truths[row.first as usize..];
        let changes = row.pending.iter().zip(&row.believed).zip(truths);
        for ((&pending, &believed), truth) in changes {
            if pending != believed && pending == truth.ready {
                self.observe.learnt(row.service, truth.since, now);
            }
        }
        let caller = row.caller;
        if goes_elsewhere {
            self.forget_addresses(learner, now, agenda);
            self.callers[caller as usize].astray = astray;
        }
        self.believe_pending(learner, now);
        self.unpark_unlisted_checks(caller, now, agenda);
        self.attend(caller, now, agenda);
    }

    /// The addresses that a learner knows are no longer those of its endpoints: others take their places, of which nothing is known.
    fn forget_addresses(&mut self, learner: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.discovery.learners[learner as usize];
        row.believed.fill(false);
        let (caller, count) = (row.caller, row.believed.len() as u32);
        let cluster = &mut self.callers[caller as usize].cluster;
        cluster.on_resolved(&[], now);
        for endpoint in 0..count {
            cluster.on_connections_lost(EndpointIndex(endpoint), now);
        }
        if let Some(Connections::Limited(_)) = self.callers[caller as usize].connections {
            self.attend_pool(caller, now, agenda);
        }
    }

    fn believe_pending(&mut self, learner: u32, now: Time) {
        let row = &mut self.discovery.learners[learner as usize];
        if row.pending == row.believed {
            return;
        }
        row.believed.copy_from_slice(&row.pending);
        let plan = &self.plan.endpoints[row.first as usize..];
        let listed = plan.iter().zip(&row.believed).filter(|(_, is_listed)| **is_listed);
        let answer: Vec<EndpointInfo> = listed.map(|(endpoint, _)| endpoint.info.clone()).collect();
        let caller = row.caller;
        self.callers[caller as usize].cluster.on_resolved(&answer, now);
        self.beliefs_changed(caller, now);
    }

    /// A learner's next answer is what its source lists now.
    pub(super) fn take_from_source(&mut self, learner: u32) {
        let row = &mut self.discovery.learners[learner as usize];
        let source = &self.discovery.sources[row.source as usize];
        let count = row.pending.len();
        row.pending.copy_from_slice(&source.listed[row.first as usize..][..count]);
        // kube-proxy falls back to pods that go, while they serve, where there are no others.
        if matches!(row.way, Way::Node { .. }) && !row.pending.contains(&true) {
            for (place, pending) in (row.first..).zip(&mut row.pending) {
                *pending = self.discovery.truths[place as usize].is_serving_its_last();
            }
        }
    }

    /// The event of an answer, or of word from whoever tells.
    pub(super) fn answered(&mut self, learner: u32, now: Time, agenda: &mut Agenda<Event>) {
        // A partition takes what would arrive while it lasts.
        if self.is_cut_off(learner) {
            return;
        }
        self.learn(learner, now, agenda);
        self.after_answer(learner, now, agenda);
    }

    /// The event of Ribbon, which takes its client's list.
    pub(super) fn takes(&mut self, learner: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.discovery.learners[learner as usize];
        row.pending.copy_from_slice(&row.client);
        let Config::Eureka(options) = &self.plan.discoveries[row.plan as usize].config else {
            return;
        };
        let at = now + options.server_list_refresh_interval;
        self.learn(learner, now, agenda);
        self.again(at, Item::Takes { learner }, now, agenda);
    }
}
