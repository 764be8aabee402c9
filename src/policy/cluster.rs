//! One caller's view of one upstream: the only door for drivers.

mod limits;
mod look;
mod placing;
mod watching;

pub use look::{Choice, Look, Seen};

use std::sync::Arc;

use crate::policy::balancer::{Balancer, Hints};
use crate::policy::candidates::{LocalityLbSetting, LocalitySchedules, Rules};
use crate::policy::connection_pool::Connection;
use crate::policy::endpoints::Endpoints;
use crate::policy::hedging::Hedger;
use crate::policy::overload::Guard;
use crate::policy::pinned::Pinned;
use crate::policy::timeline::Moment;
use crate::policy::upstream::{Upstream, View};
use crate::policy::watch::Watch;
use crate::policy::{
    CallInfo, CallerInfo, EndpointIndex, EndpointInfo, Health, LoadReport, MatchId, MetadataMatch, Outcome, Refusal, Ticket,
    Verdict,
};
use crate::random::Rng;
use crate::time::Time;

/// One caller's view of one upstream, and what it knows besides.
#[derive(Debug)]
pub struct Cluster {
    view: Arc<View>,
    // Up to where it has looked for views that others have too.
    place: Arc<Moment<View>>,
    active: Vec<u32>,
    active_total: u64,
    // Those of them that are of priority HIGH.
    active_high: u64,
    balancer: Balancer,
    schedules: LocalitySchedules,
    // The first is that of calls that say nothing; empty where there are no subsets.
    demands: Vec<Demand>,
    // Where the balancer chooses for each connection.
    pinned: Option<Box<Pinned>>,
    // Where anything watches the endpoints.
    watch: Option<Box<Watch>>,
    // Where the caller holds calls back.
    guard: Option<Box<Guard>>,
    // Where it matters which locality an endpoint is in.
    localities: Option<Box<Localities>>,
    // Where anything holds attempts back.
    gate: Option<Box<limits::Gate>>,
    // Where requests wait for connections.
    pool: Option<Box<limits::Pooled>>,
    // Where several attempts are made at a time.
    hedger: Option<Box<Hedger>>,
    // Where there are retries.
    retrier: Option<Box<limits::Retries>>,
    // Nothing but the balancer has a say when an attempt is placed, and when one ends: the usual case, kept short.
    picks_plainly: bool,
    ends_plainly: bool,
    rng: Rng,
}

/// What discovery says, and who hears it in his own way.
#[derive(Debug)]
struct Localities {
    caller: CallerInfo,
    answer: Vec<EndpointInfo>,
}

/// What calls demand of an endpoint's metadata.
#[derive(Debug)]
struct Demand {
    demand: MetadataMatch,
    // The groups that are offered to it, one after the other.
    groups: Vec<u32>,
}

/// The groups that are offered where there are no subsets.
const EVERYBODY: &[u32] = &[0];

impl Cluster {
    /// The view of a caller that knows all endpoints of `upstream`; `now` is when it learnt of them.
    pub fn new(upstream: Arc<Upstream>, caller: &CallerInfo, mut rng: Rng, now: Time) -> Cluster {
        let (view, place) = upstream.view_of(caller);
        let mut balancer = view.prototype().clone();
        balancer.on_caller(caller);
        balancer.start(&mut rng);
        for &endpoint in view.endpoints() {
            balancer.on_added(endpoint, now);
        }
        let config = view.config();
        let pinned = config.balancer.is_per_connection().then(|| {
            let rng = Rng::new(rng.next_u64());
            Box::new(Pinned::new(config.connections, view.listing().infos.len(), rng))
        });
        let watch = Watch::new(view.config(), &mut rng, now);
        let guard = Guard::new(&view.config().guard, &mut rng, now);
        let gate = limits::Gate::new(view.config());
        let hedger = view.config().hedging.as_ref().map(|options| Box::new(Hedger::new(options)));
        let pool = limits::Pooled::new(view.config(), view.listing().infos.len(), &mut rng);
        let retrier = limits::Retries::new(view.config());
        let mut cluster = Cluster {
            active: vec![0; view.listing().infos.len()],
            view,
            place,
            active_total: 0,
            active_high: 0,
            balancer,
            schedules: LocalitySchedules::default(),
            demands: Vec::new(),
            pinned,
            watch,
            guard,
            localities: None,
            gate,
            pool,
            hedger,
            retrier,
            picks_plainly: false,
            ends_plainly: false,
            rng,
        };
        cluster.watch_new_endpoints(|_| true, now);
        cluster.prefer_localities(caller, now);
        let unspoken = cluster.view.config().candidates.metadata_match.clone();
        if cluster.view.offered(&unspoken).is_some() {
            cluster.demand(&unspoken);
        }
        let is_watched = cluster.watch.is_some() || cluster.pool.is_some() || cluster.pinned.is_some();
        let is_held_back = cluster.guard.is_some() || cluster.gate.is_some();
        cluster.picks_plainly = !is_watched && !is_held_back && cluster.demands.is_empty();
        cluster.ends_plainly = !is_watched && !is_held_back && cluster.retrier.is_none();
        cluster
    }

    /// Has the caller hear of the endpoints as Istio's `localityLbSetting` tells it, where there is one that takes effect.
    fn prefer_localities(&mut self, caller: &CallerInfo, now: Time) {
        let config = self.view.config();
        let has_detection = config.outlier_detection.is_some();
        let is_effective = |setting: &LocalityLbSetting| setting.is_effective(has_detection);
        if !config.locality_lb_setting.as_ref().is_some_and(is_effective) {
            return;
        }
        let answer = match self.localities.take() {
            Some(localities) => localities.answer,
            None => {
                let listed = self.view.endpoints().iter();
                listed.map(|&endpoint| self.view.info(endpoint).clone()).collect()
            }
        };
        self.localities = Some(Box::new(Localities {
            caller: caller.clone(),
            answer: Vec::new(),
        }));
        self.on_resolved(&answer, now);
    }

    /// The upstream as this caller knows it.
    pub fn upstream(&self) -> &View {
        &self.view
    }

    /// Attempts of this caller at `endpoint` that have not ended.
    #[inline]
    pub fn active(&self, endpoint: EndpointIndex) -> u32 {
        self.active[endpoint.at()]
    }

    /// What this caller believes of the health of `endpoint`.
    pub fn health(&self, endpoint: EndpointIndex) -> Health {
        self.view.health(endpoint)
    }

    /// What discovery has told this caller of the health of `endpoint`, whatever the caller itself has found out since.
    pub fn discovered_health(&self, endpoint: EndpointIndex) -> Health {
        let watch = self.watch.as_ref();
        watch.map_or_else(|| self.health(endpoint), |watch| watch.discovered(endpoint))
    }

    /// Whether this caller sends calls to endpoints whatever their health, because too few are well; where endpoints fall into subsets,
    /// whether it would without a subset.
    pub fn is_in_panic(&self) -> bool {
        self.view.candidates().is_in_panic()
    }

    /// The number of a demand, for [`CallInfo::metadata_match`]; the same for an equal one, and 0 where there are no subsets.
    pub fn demand(&mut self, demand: &MetadataMatch) -> MatchId {
        let Some(groups) = self.view.offered(demand) else {
            return MatchId(0);
        };
        let known = self.demands.iter().position(|known| known.demand == *demand);
        self.picks_plainly = false;
        let number = known.unwrap_or_else(|| {
            self.demands.push(Demand {
                demand: demand.clone(),
                groups,
            });
            self.demands.len() - 1
        });
        MatchId(number as u32)
    }

    /// Places an attempt.
    ///
    /// # Errors
    /// A [`Refusal`] says why there is no endpoint.
    #[inline(always)]
    pub fn pick(&mut self, call: &CallInfo<'_>, now: Time) -> Result<Ticket, Refusal> {
        self.pick_again(call, 0, now)
    }

    /// As [`Cluster::pick`], after `reselection` endpoints have been rejected for the same attempt, as Envoy's retry host
    /// predicates do. A plain retry rejects none: a hash policy sends it where the first attempt went.
    ///
    /// # Errors
    /// A [`Refusal`] says why there is no endpoint.
    #[inline(always)]
    pub fn pick_again(&mut self, call: &CallInfo<'_>, reselection: u32, now: Time) -> Result<Ticket, Refusal> {
        if !self.picks_plainly {
            return self.pick_with_care(call, reselection, now);
        }
        let Some(endpoint) = self.pick_in(EVERYBODY[0], call, reselection, now) else {
            self.on_no_endpoint(call, now);
            return Err(Refusal::NoEndpoint);
        };
        self.active[endpoint.at()] += 1;
        self.active_total += 1;
        self.active_high += call.priority as u64;
        self.balancer.on_started(endpoint, now);
        Ok(Ticket {
            endpoint,
            priority: call.priority,
        })
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
        if let Some(pool) = &mut self.pool {
            pool.lose(endpoint, now);
        }
    }

    /// An endpoint of a group.
    #[inline(always)]
    fn pick_in(&mut self, group: u32, call: &CallInfo<'_>, reselection: u32, now: Time) -> Option<EndpointIndex> {
        // Where a hash is wanted and there is none, a random one makes the policy a random one.
        let rng = &mut self.rng;
        let is_hashed = self.view.candidates().rules() == Rules::EnvoyHash;
        let hash = is_hashed.then(|| call.hash.unwrap_or_else(|| rng.next_u64()));
        if call.attempt > 0 && self.retrier.is_some() {
            return self.pick_for_retry(group, call, hash, reselection, now);
        }
        let number = self.view.candidates().choose(group, hash, &mut self.schedules, rng)?;
        self.pick_of(number, call, hash, reselection, now)
    }

    /// An endpoint of a set.
    #[inline(always)]
    fn pick_of(
        &mut self,
        number: u32,
        call: &CallInfo<'_>,
        hash: Option<u64>,
        reselection: u32,
        now: Time,
    ) -> Option<EndpointIndex> {
        let candidates = self.view.candidates();
        let rng = &mut self.rng;
        let mut set = candidates.set(number);
        let endpoints = Endpoints {
            infos: &self.view.listing().infos,
            weights: &self.view.listing().weights,
            active: self.pinned.as_ref().map_or(&self.active, |pinned| pinned.counts()),
            active_total: self.active_total,
        };
        let hints = Hints {
            hash: hash.unwrap_or(0),
            reselection,
            call,
        };
        loop {
            if !set.is_empty()
                && let Some(endpoint) = self.balancer.pick(&endpoints, set, &hints, now, rng)
            {
                return Some(endpoint);
            }
            set = candidates.level_after(set)?;
        }
    }

    /// Tells how an attempt ended, and asks what is to become of its call.
    #[inline(always)]
    pub fn on_finished(&mut self, ticket: Ticket, outcome: &Outcome, now: Time) -> Verdict {
        if !self.ends_plainly {
            return self.finish_with_care(ticket, outcome, now);
        }
        let active = &mut self.active[ticket.endpoint.at()];
        debug_assert!(*active > 0, "a ticket is given back once");
        *active -= 1;
        self.active_total -= 1;
        self.active_high -= ticket.priority as u64;
        self.balancer.on_finished(ticket.endpoint, outcome, now);
        Verdict::Done
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
    pub fn on_caller(&mut self, caller: &CallerInfo, now: Time) {
        self.balancer.on_caller(caller);
        let next = self.view.seen_by(caller, &mut self.place);
        self.come_to(next);
        self.prefer_localities(caller, now);
    }

    /// From now on `answer` is the whole list, its health included. Endpoints that stay keep their index and their state.
    pub fn on_resolved(&mut self, answer: &[EndpointInfo], now: Time) {
        let setting = self.view.config().locality_lb_setting.as_ref();
        if let (Some(localities), Some(setting)) = (&mut self.localities, setting) {
            let told = setting.apply(&localities.caller, answer);
            localities.answer.clear();
            localities.answer.extend_from_slice(answer);
            return self.resolve(&told, now);
        }
        self.resolve(answer, now);
    }

    fn resolve(&mut self, answer: &[EndpointInfo], now: Time) {
        let active = &self.active;
        let next = self
            .view
            .resolved(answer, |endpoint| active[endpoint.at()] > 0, &mut self.place);
        let last = self.come_to(next);
        self.active.resize(self.view.listing().infos.len(), 0);
        if let Some(pool) = &mut self.pool {
            pool.reserve(self.view.listing().infos.len());
        }
        if let Some(pinned) = &mut self.pinned {
            // Who leaves the list is being shut down, and closes its connections.
            let balancer = &mut self.balancer;
            for &endpoint in last.endpoints() {
                if self.view.listing().is_retired(endpoint) {
                    pinned.lose(endpoint, |endpoint| balancer.on_closed(endpoint, now));
                }
            }
            pinned.reserve(self.view.listing().infos.len());
        }
        for &endpoint in self.view.endpoints() {
            // What is still known of one that comes back while attempts at it are under way stays known.
            if last.listing().is_retired(endpoint) && self.active[endpoint.at()] == 0 {
                self.balancer.on_added(endpoint, now);
            }
        }
        for level in last.changed_levels(&self.view) {
            self.update_sets(level, now);
        }
        if let Some(watch) = &mut self.watch {
            for &endpoint in last.endpoints() {
                if self.view.listing().is_retired(endpoint) {
                    watch.on_removed(endpoint);
                }
            }
            for &endpoint in self.view.endpoints() {
                if !last.listing().is_retired(endpoint) {
                    watch.on_discovered(endpoint, self.view.health(endpoint));
                }
            }
            self.watch_new_endpoints(|endpoint| last.listing().is_retired(endpoint), now);
        }
    }

    /// Takes another view; gives the last one.
    fn come_to(&mut self, next: Arc<View>) -> Arc<View> {
        if !Arc::ptr_eq(&self.view, &next) {
            self.balancer.share(next.prototype());
            if let Some(retries) = &mut self.retrier {
                retries.forget_loads();
            }
            for demand in &mut self.demands {
                demand.groups = next.offered(&demand.demand).unwrap_or_default();
            }
        }
        std::mem::replace(&mut self.view, next)
    }

    /// Tells the balancer that the sets of `level` are new.
    fn update_sets(&mut self, level: usize, now: Time) {
        let endpoints = Endpoints {
            infos: &self.view.listing().infos,
            weights: &self.view.listing().weights,
            active: &self.active,
            active_total: self.active_total,
        };
        for set in self.view.candidates().sets_of(level) {
            self.schedules.forget(set.number());
            self.balancer.update(&endpoints, set, now);
        }
    }
}
