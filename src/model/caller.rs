//! The driver of the policies: joins a call to the `policy::Cluster` of its caller, which is made when it is first needed.

use std::sync::Arc;

use crate::engine::Agenda;
use crate::model::event::Event;
use crate::model::key::{self, TextRoom};
use crate::model::observe::Belief;
use crate::model::plan::{Astray, ConnectionPlan, Owner, STATIC};
use crate::model::pool::Limited;
use crate::model::trace::{Trace, What};
use crate::model::watch::Alarm;
use crate::model::world::{NIL, World};
use crate::policy::balancer::Wants;
use crate::policy::connection_pool::ConnectionPool;
use crate::policy::{
    Answer, CallInfo, CallerInfo, Cluster, EndpointIndex, MatchId, Outcome, Refusal, Ticket, Verdict, health_check,
};
use crate::random::Purpose;
use crate::time::Time;

/// One caller's view of one upstream.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Its policy state.
    pub cluster: Cluster,
    /// The numbers of what its calls demand, in the order of the plan.
    pub demands: Vec<MatchId>,
    /// Its connections, where they cost anything.
    pub connections: Option<Connections>,
    /// What its balancer wants to know.
    pub wants: Wants,
    /// A number of its own, which its address is made of.
    pub number: u32,
    /// Whom it has had to do with, a bit each, and how many these are.
    contacted: Vec<u64>,
    /// The number of it and its first endpoint among all such pairs.
    pub first_pair: u32,
    pub connected: u32,
    /// Whether its policy does things of itself.
    pub is_active: bool,
    /// What it believes of its endpoints, and since when; kept where it is active.
    pub belief: Belief,
    pub belief_since: Time,
    /// When its policy wants to be woken.
    pub alarm: Alarm,
    /// Probes sent so far.
    pub probes: u64,
    /// When it wants to check an endpoint.
    pub check_alarm: Alarm,
    /// Where its endpoints begin in [`Checks::series`]; `NIL`: it makes no health checks.
    pub first_series: u32,
    /// What its checks ask for.
    pub probe: health_check::Probe,
    /// Its cluster in the plan.
    pub plan: u32,
    /// The caller's zone.
    pub zone: u32,
    /// The first endpoint of the upstream in the plan's table.
    pub first_endpoint: u32,
    /// How many endpoints the upstream has.
    pub endpoint_count: u32,
    /// The upstream.
    pub service: u32,
    /// Which of the owner's callers it is.
    pub instance: u32,
    /// What is at the addresses that it was told last, if these are wrong.
    pub astray: Option<Astray>,
    /// Its place among those who learn of endpoints; `NIL`: it knows all of them from the start.
    pub learner: u32,
}

/// Who keeps the connections.
#[derive(Debug)]
pub(crate) enum Connections {
    /// The policy: it chooses for each of them.
    Pinned,
    /// The policy, which limits them, so that calls may have to wait.
    Limited(Limited),
    /// The model: it needs one to wherever the policy sends a call.
    Pool(ConnectionPool),
}

impl<T: Trace> World<'_, T> {
    /// The cluster of a caller for a site.
    #[inline]
    pub(super) fn cluster(&mut self, site: u32, caller: u32, now: Time) -> u32 {
        let slot = self.sites[site as usize].cluster_base + caller;
        match self.cluster_of[slot as usize] {
            NIL => self.make_cluster(self.plan.sites[site as usize].cluster, caller, slot, now),
            cluster => cluster,
        }
    }

    /// The same by the cluster's number in the plan.
    pub(super) fn cluster_of_plan(&mut self, cluster: u32, caller: u32, now: Time) -> u32 {
        let slot = self.cluster_base[cluster as usize] + caller;
        match self.cluster_of[slot as usize] {
            NIL => self.make_cluster(cluster, caller, slot, now),
            cluster => cluster,
        }
    }

    #[cold]
    fn make_cluster(&mut self, cluster_plan: u32, caller: u32, slot: u32, now: Time) -> u32 {
        let plan = &self.plan.clusters[cluster_plan as usize];
        let zone = match plan.owner {
            Owner::Client(client) => self.plan.clients[client as usize].caller_zones[caller as usize],
            Owner::Service(service) => {
                let first = self.plan.services[service as usize].first_endpoint;
                self.plan.endpoints[(first + caller) as usize].zone
            }
        };
        let service = &self.plan.services[plan.service as usize];
        let rng = self
            .streams
            .rng(Purpose::Policy, (u64::from(cluster_plan) << 32) | u64::from(caller));
        let connections = match plan.connections {
            ConnectionPlan::Warm => None,
            ConnectionPlan::Pooled(_) if plan.config.balancer.is_per_connection() => Some(Connections::Pinned),
            ConnectionPlan::Pooled(_) if plan.config.pool.is_some() => Some(Connections::Limited(Limited::default())),
            ConnectionPlan::Pooled(options) => {
                let rng = self.streams.rng(Purpose::Connection, u64::from(slot));
                Some(Connections::Pool(ConnectionPool::new(options, service.endpoint_count, rng)))
            }
        };
        let (region, sub_zone) = match plan.owner {
            Owner::Client(_) => (self.plan.network.zone_regions[zone as usize].clone(), String::new()),
            Owner::Service(service) => {
                let first = self.plan.services[service as usize].first_endpoint;
                let own = &self.plan.endpoints[(first + caller) as usize].info;
                (own.region.clone(), own.sub_zone.clone())
            }
        };
        let info = CallerInfo {
            instance: caller,
            region,
            sub_zone,
            zone: self.plan.network.zone_names[zone as usize].clone(),
            ..self.peers(cluster_plan)
        };
        let mut cluster = Cluster::new(Arc::clone(&self.upstreams[cluster_plan as usize]), &info, rng, now);
        let index = self.callers.len() as u32;
        self.callers.push(Caller {
            demands: self.plan.clusters[cluster_plan as usize]
                .demands
                .iter()
                .map(|demand| cluster.demand(demand))
                .collect(),
            cluster,
            connections,
            wants: plan.config.balancer.wants(),
            number: slot,
            first_pair: self.callers.last().map_or(0, |last| last.first_pair + last.endpoint_count),
            contacted: vec![0; service.endpoint_count.div_ceil(64) as usize],
            connected: 0,
            is_active: plan.config.is_active(),
            belief: Belief::default(),
            belief_since: now,
            alarm: Alarm::NONE,
            probes: 0,
            check_alarm: Alarm::NONE,
            first_series: NIL,
            probe: plan
                .config
                .health_check
                .as_ref()
                .map_or(health_check::Probe::Request, |options| options.probe()),
            plan: cluster_plan,
            zone,
            first_endpoint: service.first_endpoint,
            endpoint_count: service.endpoint_count,
            service: plan.service,
            instance: caller,
            astray: None,
            learner: NIL,
        });
        self.cluster_of[slot as usize] = index;
        self.prepare_checks(index);
        if plan.discovery != STATIC {
            self.begin_to_learn(index, cluster_plan, caller, now);
        }
        self.beliefs_changed(index, now);
        if plan.config.balancer.wants().idle_reports {
            self.listen_for_idle(index, now);
        }
        index
    }

    /// What all callers of a cluster's owner have in common.
    fn peers(&mut self, cluster_plan: u32) -> CallerInfo {
        let plan = &self.plan;
        let zones: Vec<u32> = match plan.clusters[cluster_plan as usize].owner {
            _ if self.peers[cluster_plan as usize].is_some() => Vec::new(),
            Owner::Client(client) => plan.clients[client as usize].caller_zones.clone(),
            Owner::Service(service) => {
                let service = &plan.services[service as usize];
                let endpoints = &plan.endpoints[service.first_endpoint as usize..][..service.endpoint_count as usize];
                endpoints.iter().map(|endpoint| endpoint.zone).collect()
            }
        };
        let counted = || {
            let names = plan.network.zone_names.iter().zip(0..);
            let count = |zone| zones.iter().filter(|&&other| other == zone).count() as u32;
            CallerInfo {
                instances: zones.len() as u32,
                local_hosts: names
                    .map(|(name, zone)| (name.clone(), count(zone)))
                    .filter(|zone| zone.1 > 0)
                    .collect(),
                ..CallerInfo::default()
            }
        };
        self.peers[cluster_plan as usize].get_or_insert_with(counted).clone()
    }

    /// A caller begins to keep a list of idle endpoints. The first one hears of all that are idle already.
    fn listen_for_idle(&mut self, listener: u32, now: Time) {
        let caller = &mut self.callers[listener as usize];
        let listeners = &mut self.services[caller.service as usize].idle_listeners;
        if listeners.is_empty() {
            for endpoint in 0..caller.endpoint_count {
                if self.load[(caller.first_endpoint + endpoint) as usize] == 0 {
                    caller.cluster.on_idle(EndpointIndex(endpoint), now);
                }
            }
        }
        listeners.push(listener);
    }

    /// Asks the policy for an endpoint.
    ///
    /// # Errors
    /// Why there is none.
    #[inline(always)]
    pub(super) fn pick(&mut self, call: u32, now: Time, agenda: &mut Agenda<Event>) -> Result<(), Refusal> {
        let row = &mut self.calls[call];
        let caller = &mut self.callers[row.cluster as usize];
        let key = row.key;
        let keys = self.plan.clients.get(key.client as usize).map(|client| &client.keys);
        let mut room = TextRoom::default();
        let server_load = if self.services[caller.service as usize].load_is_known {
            &self.load[caller.first_endpoint as usize..(caller.first_endpoint + caller.endpoint_count) as usize]
        } else {
            &[]
        };
        let mut info = CallInfo {
            hash: keys.and_then(|keys| keys.hash(key.number)),
            attempt: u32::from(row.attempts) - 1,
            tried: if row.attempts > 1 { &self.tried[call as usize] } else { &[] },
            server_load,
            priority: self.plan.sites[row.site as usize].priority,
            metadata_match: match caller.demands.as_slice() {
                [] => None,
                demands => demands.get(self.plan.sites[row.site as usize].demand as usize).copied(),
            },
            ..CallInfo::default()
        };
        if caller.wants.key {
            info.key = keys.and_then(|keys| keys.text(key.number, &mut room));
            info.source = Some(match keys {
                Some(_) => key::address_of_key(key),
                None => key::address_of_caller(caller.number),
            });
        }
        let look = match self.trace.tracer() {
            Some(tracer) if tracer.follows(call) => Some(caller.cluster.look(&info, now)),
            _ => None,
        };
        let picked = caller.cluster.pick(&info, now);
        if let (Some(look), Some(tracer)) = (look, self.trace.tracer()) {
            tracer.at_caller(call, now, What::Saw(Box::new(look)));
            let outcome = match picked {
                Ok(ticket) => What::Placed(caller.first_endpoint + ticket.endpoint.0),
                Err(refusal) => What::Refused(refusal),
            };
            tracer.at_caller(call, now, outcome);
        }
        match picked {
            Ok(ticket) => {
                row.endpoint = ticket.endpoint.0;
                let word = &mut caller.contacted[ticket.endpoint.at() / 64];
                let bit = ticket.endpoint.0 % 64;
                caller.connected += u32::from((*word >> bit) & 1 == 0);
                *word |= 1 << bit;
                if !self.observe.windows.is_empty() {
                    let pair = caller.first_pair as usize + ticket.endpoint.at();
                    self.observe.windows.contacted(pair, now);
                }
            }
            Err(_) => row.endpoint = NIL,
        }
        let cluster = row.cluster;
        if caller.wants.probes {
            self.send_probes(cluster, now, agenda);
        }
        self.attend(cluster, now, agenda);
        picked.map(|_| ())
    }

    /// Remembers where a call has been, for its next attempt.
    pub(super) fn remember_tried(&mut self, call: u32) {
        let row = &self.calls[call];
        if self.tried.len() <= call as usize {
            self.tried.resize_with(call as usize + 1, Vec::new);
        }
        let tried = &mut self.tried[call as usize];
        if row.attempts == 1 {
            tried.clear();
        }
        tried.push(EndpointIndex(row.endpoint));
    }

    /// Tells the policy how an attempt ended.
    #[inline(always)]
    pub(super) fn report(&mut self, call: u32, outcome: &Outcome, now: Time, agenda: &mut Agenda<Event>) -> Verdict {
        let row = &self.calls[call];
        let caller = &mut self.callers[row.cluster as usize];
        if let Some(Connections::Pool(pool)) = &mut caller.connections {
            pool.released(row.endpoint, row.endpoint, outcome.answer, now, |_| {});
        }
        let ticket = Ticket {
            endpoint: EndpointIndex(row.endpoint),
            priority: self.plan.sites[row.site as usize].priority,
        };
        let cluster = row.cluster;
        if caller.learner != NIL && matches!(outcome.answer, Answer::ConnectFailure | Answer::Reset) {
            self.connection_lost(cluster, now, agenda);
        }
        let caller = &mut self.callers[cluster as usize];
        let verdict = if let Some(Connections::Limited(_)) = caller.connections {
            self.report_pooled(call, ticket, outcome, now, agenda)
        } else {
            caller.cluster.on_finished(ticket, outcome, now)
        };
        self.attend(cluster, now, agenda);
        verdict
    }

    /// An endpoint has nothing left to do: it tells one of the callers that keep a list of idle endpoints, drawn at random.
    pub(super) fn report_idle(&mut self, endpoint: u32, now: Time) {
        let service = self.endpoints[endpoint as usize].service;
        let state = &mut self.services[service as usize];
        if state.idle_listeners.is_empty() {
            return;
        }
        let listener = state.idle_listeners[state.idle_rng.below(state.idle_listeners.len() as u64) as usize];
        let caller = &mut self.callers[listener as usize];
        caller.cluster.on_idle(EndpointIndex(endpoint - caller.first_endpoint), now);
    }

    /// An endpoint's end of all connections is gone: callers whose policy keeps them are told.
    pub(super) fn lose_connections(&mut self, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        let service = self.endpoints[endpoint as usize].service;
        for index in 0..self.callers.len() as u32 {
            let caller = &mut self.callers[index as usize];
            if caller.service != service {
                continue;
            }
            caller
                .cluster
                .on_connections_lost(EndpointIndex(endpoint - caller.first_endpoint), now);
            if let Some(Connections::Limited(_)) = caller.connections {
                self.attend_pool(index, now, agenda);
            }
        }
    }
}
