//! One caller's view of one upstream: the only door for drivers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::balancer::{Balancer, Hints};
use crate::policy::candidates::{Candidates, Rules};
use crate::policy::connection_pool::Connection;
use crate::policy::endpoints::Endpoints;
use crate::policy::pinned::Pinned;
use crate::policy::{
    CallInfo, CallerInfo, ClusterConfig, EndpointIndex, EndpointInfo, Health, LoadReport, Outcome, Refusal, Ticket, Verdict,
};
use crate::random::Rng;
use crate::time::Time;

/// What every caller of an upstream shares: configuration, addresses and what follows from them alone.
#[derive(Debug)]
pub struct Upstream {
    config: ClusterConfig,
    infos: Vec<EndpointInfo>,
    weights: Vec<u32>,
    candidates: Candidates,
    // What a new caller's balancer is a copy of; tables that all copies can use are behind an `Arc` in it.
    prototype: Balancer,
}

impl Upstream {
    /// An upstream with these endpoints.
    ///
    /// # Panics
    /// If a priority is above [`PRIORITY_MAX`](crate::policy::PRIORITY_MAX).
    pub fn new(config: ClusterConfig, endpoints: Vec<EndpointInfo>) -> Upstream {
        let order = (0..endpoints.len() as u32).map(EndpointIndex).collect();
        Upstream::with_order(config, endpoints, order)
    }

    fn with_order(config: ClusterConfig, infos: Vec<EndpointInfo>, order: Vec<EndpointIndex>) -> Upstream {
        let weights: Vec<u32> = infos.iter().map(|info| info.weight.max(1)).collect();
        let candidates = Candidates::new(config.balancer.rules(), order, &infos, &weights);
        let prototype = Balancer::new(&config.balancer, candidates.set_count());
        Upstream {
            config,
            infos,
            weights,
            candidates,
            prototype,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// What discovery says of an endpoint.
    pub fn info(&self, endpoint: EndpointIndex) -> &EndpointInfo {
        &self.infos[endpoint.at()]
    }

    /// The endpoints in the order of the list.
    pub fn endpoints(&self) -> &[EndpointIndex] {
        self.candidates.order()
    }

    /// The upstream with `answer` as its new whole list. An endpoint that was in the list keeps its index; a new one takes an
    /// index of which `is_free` says that nobody refers to it any more, or the next one.
    fn successor(&self, answer: &[EndpointInfo], is_free: impl Fn(EndpointIndex) -> bool) -> Upstream {
        let known: BTreeMap<&str, EndpointIndex> = self
            .endpoints()
            .iter()
            .map(|&endpoint| (self.info(endpoint).address.as_str(), endpoint))
            .collect();
        let mut infos = self.infos.clone();
        let mut free = (0..infos.len() as u32)
            .map(EndpointIndex)
            .filter(|&endpoint| self.candidates.is_retired(endpoint) && is_free(endpoint));
        let mut order = Vec::with_capacity(answer.len());
        for info in answer {
            let endpoint = known.get(info.address.as_str()).copied().or_else(|| free.next());
            let endpoint = endpoint.unwrap_or(EndpointIndex(infos.len() as u32));
            if endpoint.at() == infos.len() {
                infos.push(info.clone());
            } else {
                infos[endpoint.at()].clone_from(info);
            }
            order.push(endpoint);
        }
        Upstream::with_order(self.config.clone(), infos, order)
    }
}

/// One caller's view of one upstream.
#[derive(Debug)]
pub struct Cluster {
    upstream: Arc<Upstream>,
    // Set once this caller believes something else of the endpoints' health than all others at their start.
    own_candidates: Option<Box<Candidates>>,
    active: Vec<u32>,
    active_total: u64,
    balancer: Balancer,
    // Where the balancer chooses for each connection.
    pinned: Option<Box<Pinned>>,
    rng: Rng,
}

impl Cluster {
    /// The view of a caller that knows all endpoints of `upstream`; `now` is when it learnt of them.
    pub fn new(upstream: Arc<Upstream>, caller: &CallerInfo, mut rng: Rng, now: Time) -> Cluster {
        let mut balancer = upstream.prototype.clone();
        balancer.on_caller(caller);
        balancer.start(&mut rng);
        for &endpoint in upstream.endpoints() {
            balancer.on_added(endpoint, now);
        }
        let config = upstream.config();
        let pinned = config.balancer.is_per_connection().then(|| {
            let rng = Rng::new(rng.next_u64());
            Box::new(Pinned::new(config.connections, upstream.infos.len(), rng))
        });
        Cluster {
            active: vec![0; upstream.infos.len()],
            upstream,
            own_candidates: None,
            active_total: 0,
            balancer,
            pinned,
            rng,
        }
    }

    /// The upstream as this caller knows it.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Attempts of this caller at `endpoint` that have not ended.
    #[inline]
    pub fn active(&self, endpoint: EndpointIndex) -> u32 {
        self.active[endpoint.at()]
    }

    /// What this caller believes of the health of `endpoint`.
    pub fn health(&self, endpoint: EndpointIndex) -> Health {
        self.candidates().health(endpoint)
    }

    fn candidates(&self) -> &Candidates {
        self.own_candidates.as_deref().unwrap_or(&self.upstream.candidates)
    }

    /// Places an attempt.
    ///
    /// # Errors
    /// A [`Refusal`] says why there is no endpoint.
    #[inline]
    pub fn pick(&mut self, call: &CallInfo<'_>, now: Time) -> Result<Ticket, Refusal> {
        self.pick_again(call, 0, now)
    }

    /// As [`Cluster::pick`], after `reselection` endpoints have been rejected for the same attempt, as Envoy's retry host
    /// predicates do. A plain retry rejects none: a hash policy sends it where the first attempt went.
    ///
    /// # Errors
    /// A [`Refusal`] says why there is no endpoint.
    #[inline]
    pub fn pick_again(&mut self, call: &CallInfo<'_>, reselection: u32, now: Time) -> Result<Ticket, Refusal> {
        if let Some(pinned) = &mut self.pinned {
            let balancer = &mut self.balancer;
            if let Some(endpoint) = pinned.acquire(now, |endpoint| balancer.on_closed(endpoint, now)) {
                self.active[endpoint.at()] += 1;
                self.active_total += 1;
                return Ok(Ticket { endpoint });
            }
        }
        let candidates = self.own_candidates.as_deref().unwrap_or(&self.upstream.candidates);
        let rng = &mut self.rng;
        // Where a hash is wanted and there is none, a random one makes the policy a random one.
        let (hash, number) = if candidates.rules() == Rules::EnvoyHash {
            let hash = call.hash.unwrap_or_else(|| rng.next_u64());
            (hash, candidates.choose(|| hash))
        } else {
            (0, candidates.choose(|| rng.next_u64()))
        };
        let mut set = candidates.set(number.ok_or(Refusal::NoEndpoint)?);
        let endpoints = Endpoints {
            infos: &self.upstream.infos,
            weights: &self.upstream.weights,
            active: self.pinned.as_ref().map_or(&self.active, |pinned| pinned.counts()),
            active_total: self.active_total,
        };
        let hints = Hints { hash, reselection, call };
        let endpoint = loop {
            if !set.is_empty()
                && let Some(endpoint) = self.balancer.pick(&endpoints, set, &hints, now, rng)
            {
                break endpoint;
            }
            set = candidates.level_after(set).ok_or(Refusal::NoEndpoint)?;
        };
        self.active[endpoint.at()] += 1;
        self.active_total += 1;
        self.balancer.on_started(endpoint, now);
        if let Some(pinned) = &mut self.pinned {
            pinned.open(endpoint, now);
        }
        Ok(Ticket { endpoint })
    }

    /// What connection the last attempt got, where the balancer chooses for each connection; `None`: it chooses for each attempt, and
    /// connections are the driver's.
    #[inline]
    pub fn connection(&self) -> Option<Connection> {
        self.pinned.as_ref().map(|pinned| pinned.last())
    }

    /// The new connection that the last attempt got will be open at `at`; attempts that come before wait for it.
    pub fn on_opening(&mut self, at: Time) {
        if let Some(pinned) = &mut self.pinned {
            pinned.opening(at);
        }
    }

    /// The connections to an endpoint broke, or were closed from its side: attempts on them are told by themselves.
    pub fn on_connections_lost(&mut self, endpoint: EndpointIndex, now: Time) {
        if let Some(pinned) = &mut self.pinned {
            let balancer = &mut self.balancer;
            pinned.lose(endpoint, |endpoint| balancer.on_closed(endpoint, now));
        }
    }

    /// Tells how an attempt ended, and asks what is to become of its call.
    #[inline]
    pub fn on_finished(&mut self, ticket: Ticket, outcome: &Outcome, now: Time) -> Verdict {
        let active = &mut self.active[ticket.endpoint.at()];
        debug_assert!(*active > 0, "a ticket is given back once");
        *active -= 1;
        self.active_total -= 1;
        self.balancer.on_finished(ticket.endpoint, outcome, now);
        if let Some(pinned) = &mut self.pinned {
            let balancer = &mut self.balancer;
            pinned.released(ticket.endpoint, outcome.answer, now, |endpoint| {
                balancer.on_closed(endpoint, now);
            });
        }
        match &self.upstream.config.retry {
            None => Verdict::Done,
            Some(retry) => retry.verdict(outcome, &mut self.rng),
        }
    }

    /// An endpoint of the upstream says that it is idle (for balancers with idle queues): when it has served its last request, and
    /// once when it comes up.
    #[inline]
    pub fn on_idle(&mut self, endpoint: EndpointIndex, now: Time) {
        self.balancer.on_idle(endpoint, now);
    }

    /// An endpoint to be asked for its load now, for balancers that probe; to be called after each pick until there is none.
    #[inline]
    pub fn next_probe(&mut self) -> Option<EndpointIndex> {
        self.balancer.next_probe()
    }

    /// What an endpoint said when it was asked.
    pub fn on_probed(&mut self, endpoint: EndpointIndex, report: &LoadReport, now: Time) {
        self.balancer.on_probed(endpoint, report, now);
    }

    /// From now on this is what is known of the caller.
    pub fn on_caller(&mut self, caller: &CallerInfo) {
        self.balancer.on_caller(caller);
    }

    /// From now on this caller believes `health` of an endpoint of the list.
    pub fn on_health(&mut self, endpoint: EndpointIndex, health: Health, now: Time) {
        if self.health(endpoint) == health {
            return;
        }
        let own = self
            .own_candidates
            .get_or_insert_with(|| Box::new(self.upstream.candidates.clone()));
        own.set_health(endpoint, health, &self.upstream.weights);
        let level = own.level_of(endpoint);
        self.update_sets(level, now);
    }

    /// From now on `answer` is the whole list, its health included. Endpoints that stay keep their index and their state.
    pub fn on_resolved(&mut self, answer: &[EndpointInfo], now: Time) {
        let active = &self.active;
        let next = Arc::new(self.upstream.successor(answer, |endpoint| active[endpoint.at()] == 0));
        self.active.resize(next.infos.len(), 0);
        if let Some(pinned) = &mut self.pinned {
            // Who leaves the list is being shut down, and closes its connections.
            let balancer = &mut self.balancer;
            for &endpoint in self.upstream.endpoints() {
                if next.candidates.is_retired(endpoint) {
                    pinned.lose(endpoint, |endpoint| balancer.on_closed(endpoint, now));
                }
            }
            pinned.reserve(next.infos.len());
        }
        let before = match self.own_candidates.take() {
            Some(own) => *own,
            None => self.upstream.candidates.clone(),
        };
        let last = std::mem::replace(&mut self.upstream, next);
        let added = |endpoint: EndpointIndex| endpoint.at() >= last.infos.len() || before.is_retired(endpoint);
        for &endpoint in self.upstream.candidates.order() {
            if added(endpoint) {
                self.balancer.on_added(endpoint, now);
            }
        }
        let levels = before.level_count().max(self.upstream.candidates.level_count());
        for level in 0..levels {
            if !same_level(level, &before, &last, &self.upstream) {
                self.update_sets(level, now);
            }
        }
    }

    /// Tells the balancer that the sets of `level` are new.
    fn update_sets(&mut self, level: usize, now: Time) {
        let candidates = self.own_candidates.as_deref().unwrap_or(&self.upstream.candidates);
        let endpoints = Endpoints {
            infos: &self.upstream.infos,
            weights: &self.upstream.weights,
            active: &self.active,
            active_total: self.active_total,
        };
        for set in candidates.sets_of(level) {
            self.balancer.update(&endpoints, set, now);
        }
    }
}

/// Whether a level has the same endpoints, in the same health and order, with the same weights and keys.
fn same_level(level: usize, before: &Candidates, last: &Upstream, next: &Upstream) -> bool {
    before.sets_of(level).zip(next.candidates.sets_of(level)).all(|(was, is)| {
        was.iter().eq(is.iter())
            && is.iter().all(|endpoint| {
                let (was, is) = (last.info(endpoint), next.info(endpoint));
                (was.weight, &was.hostname, &was.hash_key) == (is.weight, &is.hostname, &is.hash_key)
            })
    })
}
