//! HAProxy's leastconn: the fewest requests by weight; among idle servers weights do not count.
//!
//! Servers stand in a tree that is put right when a request begins or ends, so that equally loaded ones take turns.

use crate::policy::balancer::haproxy::hashing::avoided;
use crate::policy::balancer::haproxy::options::backend_options;
use crate::policy::balancer::haproxy::servers::{EWEIGHT_MAX, Servers, Weights};
use crate::policy::balancer::haproxy::tree::{Entry, Tree};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::Time;

backend_options! {
    "What HAProxy lets a user write for `balance leastconn` and for the servers.";
}

impl Options {
    /// Whether the options are what HAProxy admits.
    ///
    /// # Errors
    /// None.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// One process's servers.
#[derive(Clone, Debug)]
pub struct Balancer {
    servers: Servers,
    // By level.
    trees: Vec<Tree>,
    // By server: requests at it.
    inflight: Vec<u32>,
    arrivals: u64,
    // Room for servers that are passed over.
    passed: Vec<Entry>,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "The fewest requests by weight, in turn; idle servers first, whatever their weight";
    const SOURCE: &'static str = "haproxy/haproxy src/lb_fwlc.c";
    const CHECKED: &'static str =
        "recordings of HAProxy 2.6.12; vectors computed from HAProxy's source; Recorded latencies of the real proxy";
    const DIFFERENCES: &'static str = "Where all servers are full a request is refused, where HAProxy lets it wait; servers with equal keys take turns as in HAProxy 2.6, which later versions draw among if there are several; weights above 256 count as 256";
    const RULES: Rules = Rules::Any;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            servers: Servers::new(options.backend(), Weights::Dynamic),
            trees: Vec::new(),
            inflight: Vec::new(),
            arrivals: 0,
            passed: Vec::new(),
        }
    }

    fn on_added(&mut self, server: EndpointIndex, _: Time) {
        self.servers.on_added(server);
        if server.at() >= self.inflight.len() {
            self.inflight.resize(server.at() + 1, 0);
        }
        self.inflight[server.at()] = 0;
    }

    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        if set.is_picked_from() {
            if self.trees.len() <= set.level() {
                self.trees.resize_with(set.level() + 1, Tree::default);
            }
            self.servers.update(endpoints, set, now);
            self.follow();
        }
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        now: Time,
        _: &mut Rng,
    ) -> Option<EndpointIndex> {
        if !self.servers.knows(set.level()) {
            self.update(endpoints, set, now);
        }
        self.servers.catch_up(now);
        self.follow();
        if self.servers.precedes(set.level()) {
            return None;
        }
        if let Some(sole) = self.servers.sole_backup(set) {
            let active = endpoints.active[sole.at()];
            return self.servers.has_room(sole, active, now).then_some(sole);
        }
        self.first(set.level(), avoided(hints), now)
    }

    #[inline]
    fn on_started(&mut self, server: EndpointIndex, _: Time) {
        self.inflight[server.at()] += 1;
        self.reposition(server);
    }

    #[inline]
    fn on_finished(&mut self, server: EndpointIndex, _: &Outcome, _: Time) {
        self.inflight[server.at()] -= 1;
        self.reposition(server);
    }
}

/// What a tree is sorted by: requests and one more by effective weight, but 0 for an idle server.
pub fn key(inflight: u32, eweight: u32) -> u32 {
    if inflight == 0 {
        return 0;
    }
    (inflight + 1).wrapping_mul(EWEIGHT_MAX) / eweight
}

impl Balancer {
    /// Follows what changed of the weights.
    #[inline]
    fn follow(&mut self) {
        let changes = self.servers.take_changes();
        for change in &changes {
            self.trees[change.level].remove(change.server);
            if change.now > 0 {
                self.insert(change.level, change.server, change.now);
            }
        }
        self.servers.give_back(changes);
    }

    fn insert(&mut self, level: usize, server: EndpointIndex, eweight: u32) {
        self.arrivals += 1;
        self.trees[level].insert(Entry {
            key: key(self.inflight[server.at()], eweight),
            arrival: self.arrivals,
            server,
        });
    }

    /// Puts a server where its requests belong, after those with as many, if that is elsewhere.
    fn reposition(&mut self, server: EndpointIndex) {
        let eweight = self.servers.eweight(server);
        if eweight == 0 {
            return;
        }
        let level = self.servers.level(server);
        if self.trees[level].key(server) != Some(key(self.inflight[server.at()], eweight)) {
            self.trees[level].remove(server);
            self.insert(level, server, eweight);
        }
    }

    /// The first server that is not full, and not the one to avoid if there is another.
    fn first(&mut self, level: usize, avoided: Option<EndpointIndex>, now: Time) -> Option<EndpointIndex> {
        let mut chosen = None;
        while let Some(entry) = self.trees[level].first() {
            let server = entry.server;
            if self.servers.has_room(server, self.inflight[server.at()], now) {
                chosen = Some(server);
                if Some(server) != avoided {
                    break;
                }
            }
            self.trees[level].remove(server);
            self.passed.push(entry);
        }
        for entry in self.passed.drain(..) {
            self.trees[level].insert(entry);
        }
        chosen
    }
}
