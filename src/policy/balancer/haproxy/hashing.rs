//! What HAProxy's hash algorithms have in common once the key is hashed: a table or a ring, a bound on the load, and round robin for
//! requests without a key (`src/backend.c`, `src/lb_map.c`, `src/lb_chash.c`).

use crate::policy::balancer::Hints;
use crate::policy::balancer::common::{Kept, Tables};
use crate::policy::balancer::haproxy::map::Map;
use crate::policy::balancer::haproxy::options::{BackendOptions, HashOptions};
use crate::policy::balancer::haproxy::ring::{HashKey, Node, Ring, server_key};
use crate::policy::balancer::haproxy::servers::{Servers, Weights};
use crate::policy::candidates::CandidateSet;
use crate::policy::{EndpointIndex, Endpoints};
use crate::time::Time;

/// What cannot be seen by a caller but for its consequences, and what later versions do otherwise.
pub const DIFFERENCES: &str =
    "A request for a full server is sent at once, where HAProxy lets it wait for a place; weights above 256 count as 256";

/// One caller's servers, and how a hash leads to one.
#[derive(Clone, Debug)]
pub struct Hashing {
    servers: Servers,
    lookup: Lookup,
}

#[derive(Clone, Debug)]
enum Lookup {
    Map(MapLookup),
    Ring(RingLookup),
}

/// The server that an earlier attempt of the request went to last, which HAProxy avoids if it can.
#[inline]
pub fn avoided(hints: &Hints<'_>) -> Option<EndpointIndex> {
    hints.call.tried.last().copied()
}

impl Hashing {
    /// No server is known.
    pub fn new(backend: BackendOptions, hash: HashOptions, set_count: usize) -> Hashing {
        if hash.hash_type.consistent {
            return Hashing {
                servers: Servers::new(backend, Weights::Dynamic),
                lookup: Lookup::Ring(RingLookup::new(hash.balance_factor, hash.hash_key, set_count)),
            };
        }
        Hashing {
            servers: Servers::new(backend, Weights::Static),
            lookup: Lookup::Map(MapLookup::new(set_count)),
        }
    }

    /// A server comes into the configuration.
    pub fn on_added(&mut self, server: EndpointIndex) {
        self.servers.on_added(server);
        if let Lookup::Ring(ring) = &mut self.lookup {
            ring.on_added(server);
        }
    }

    /// As [`Balance::renew`](crate::policy::balancer::Balance::renew).
    pub fn renew(&mut self, sets: &[usize], set_count: usize) {
        match &mut self.lookup {
            Lookup::Map(map) => map.renew(sets, set_count),
            Lookup::Ring(ring) => ring.renew(sets, set_count),
        }
    }

    /// As [`Balance::share`](crate::policy::balancer::Balance::share).
    pub fn share(&mut self, prototype: &Hashing) {
        match (&mut self.lookup, &prototype.lookup) {
            (Lookup::Map(map), Lookup::Map(prototype)) => map.share(prototype),
            (Lookup::Ring(ring), Lookup::Ring(prototype)) => ring.share(prototype),
            _ => unreachable!("the options are the same"),
        }
    }

    /// Something about a set is no longer what it was.
    pub fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        if set.is_picked_from() {
            self.look(endpoints, set, now);
        }
    }

    fn look(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        let is_first = !self.servers.knows(set.level());
        self.servers.update(endpoints, set, now);
        if let Lookup::Ring(ring) = &mut self.lookup {
            ring.update(endpoints, set, &mut self.servers, is_first);
        }
    }

    /// Where the hash of the request's key sends it, or the next server if there is no hash. `key` is not asked while only one
    /// server is usable.
    #[inline]
    pub fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        now: Time,
        hash: impl FnOnce() -> Option<u32>,
    ) -> Option<EndpointIndex> {
        if !self.servers.knows(set.level()) {
            self.look(endpoints, set, now);
        }
        self.servers.catch_up(now);
        if let Lookup::Ring(ring) = &mut self.lookup {
            ring.follow(endpoints, set, &mut self.servers);
        }
        if self.servers.precedes(set.level()) || self.servers.usable(set.level()) == 0 {
            return None;
        }
        let sole = self.servers.sole_backup(set);
        let is_only = sole.is_some() || self.servers.usable(set.level()) == 1;
        let hash = if is_only { Some(0) } else { hash() };
        match &mut self.lookup {
            Lookup::Map(map) => match hash {
                Some(hash) => Some(map.find(&self.servers, set, hash)),
                None => map.next(endpoints, set, &self.servers, avoided(hints), now),
            },
            Lookup::Ring(_) if sole.is_some() => sole,
            Lookup::Ring(ring) => match hash {
                Some(hash) => ring.find(endpoints, set, &self.servers, hash, avoided(hints)),
                None => ring.next(endpoints, set, &self.servers, avoided(hints), now),
            },
        }
    }
}

/// A table for each level, and the cursor that all share.
#[derive(Clone, Debug)]
pub struct MapLookup {
    maps: Tables<Map>,
    cursor: usize,
}

impl MapLookup {
    /// No table yet.
    pub fn new(set_count: usize) -> MapLookup {
        MapLookup {
            maps: Tables::new(set_count),
            cursor: 0,
        }
    }

    /// As [`Balance::renew`](crate::policy::balancer::Balance::renew).
    pub fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.maps.renew(sets, set_count);
    }

    /// As [`Balance::share`](crate::policy::balancer::Balance::share).
    pub fn share(&mut self, prototype: &MapLookup) {
        self.maps.share(&prototype.maps);
    }

    /// Whose the place of a hash is.
    #[inline]
    pub fn find(&mut self, servers: &Servers, set: CandidateSet<'_>, hash: u32) -> EndpointIndex {
        let map = self.maps.get(set.number(), || Map::new(servers, set));
        map.get(hash as usize % map.len())
    }

    /// The server of the next place that is not full.
    #[inline]
    pub fn next(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        servers: &Servers,
        avoided: Option<EndpointIndex>,
        now: Time,
    ) -> Option<EndpointIndex> {
        let map = self.maps.get(set.number(), || Map::new(servers, set));
        if self.cursor >= map.len() {
            self.cursor = 0;
        }
        let mut second_best = None;
        for step in 0..map.len() {
            let place = (self.cursor + step) % map.len();
            let server = map.get(place);
            if !servers.has_room(server, endpoints.active[server.at()], now) {
                continue;
            }
            if Some(server) != avoided {
                self.cursor = place + 1;
                return Some(server);
            }
            second_best = Some((place, server));
        }
        let (place, server) = second_best?;
        self.cursor = place + 1;
        Some(server)
    }
}

/// A ring for each level.
#[derive(Clone, Debug)]
pub struct RingLookup {
    rings: Kept<Ring>,
    balance_factor: u32,
    hash_key: HashKey,
    // By server: the weights before its own when its level was first seen.
    cumulative: Vec<u32>,
    // By level: the sum of the effective weights, and the node that round robin took last.
    levels: Vec<Level>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Level {
    total: u32,
    last: Option<Node>,
}

impl RingLookup {
    /// No ring yet.
    pub fn new(balance_factor: u32, hash_key: HashKey, set_count: usize) -> RingLookup {
        RingLookup {
            rings: Kept::new(set_count),
            balance_factor,
            hash_key,
            cumulative: Vec::new(),
            levels: Vec::new(),
        }
    }

    /// A server comes into the configuration.
    pub fn on_added(&mut self, server: EndpointIndex) {
        if server.at() >= self.cumulative.len() {
            self.cumulative.resize(server.at() + 1, 0);
        }
        self.cumulative[server.at()] = 0;
    }

    /// As [`Balance::renew`](crate::policy::balancer::Balance::renew).
    pub fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.rings.renew(sets, set_count);
    }

    /// As [`Balance::share`](crate::policy::balancer::Balance::share).
    pub fn share(&mut self, prototype: &RingLookup) {
        self.rings.share(&prototype.rings);
    }

    /// A level was looked at anew.
    pub fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, servers: &mut Servers, is_first: bool) {
        if self.levels.len() <= set.level() {
            self.levels.resize(set.level() + 1, Level::default());
        }
        self.follow(endpoints, set, servers);
        if is_first {
            let mut sum = 0;
            for server in set.iter() {
                self.cumulative[server.at()] = if servers.eweight(server) > 0 { sum } else { 0 };
                sum += servers.eweight(server);
            }
        }
    }

    /// Follows what changed of the weights.
    #[inline]
    pub fn follow(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, servers: &mut Servers) {
        let changes = servers.take_changes();
        for change in &changes {
            let level = &mut self.levels[change.level];
            level.total = level.total + change.now - change.before;
            let is_gone = |last: Node| last.server == change.server && last.number >= change.now;
            if level.last.is_some_and(is_gone) {
                self.skip(endpoints, set, servers);
            }
        }
        servers.give_back(changes);
    }

    fn ring<'a>(rings: &'a mut Kept<Ring>, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, hash_key: HashKey) -> &'a Ring {
        rings.get(endpoints, set, || {
            let key = |server: EndpointIndex| server_key(hash_key, server, &endpoints.infos[server.at()].address);
            Ring::new(set, |server| Servers::full_weight(endpoints, server), key)
        })
    }

    /// The node that round robin took last has gone: the next one stands for it.
    #[cold]
    fn skip(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, servers: &Servers) {
        let ring = RingLookup::ring(&mut self.rings, endpoints, set, self.hash_key);
        let last = &mut self.levels[set.level()].last;
        let place = last.map(|node| ring.place_of(node, server_key_of(self.hash_key, endpoints, node.server)));
        let is_in_use = |node: Node| node.number < servers.eweight(node.server);
        let next = place.and_then(|place| ring.in_use_from(place, is_in_use));
        *last = next.map(|place| ring.node(place));
    }

    /// The server of the node that is nearest to a hash, or of the next one whose server is neither avoided nor over the bound.
    #[inline]
    pub fn find(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        servers: &Servers,
        hash: u32,
        avoided: Option<EndpointIndex>,
    ) -> Option<EndpointIndex> {
        let total = self.levels[set.level()].total;
        let ring = RingLookup::ring(&mut self.rings, endpoints, set, self.hash_key);
        let is_in_use = |node: Node| node.number < servers.eweight(node.server);
        let mut place = ring.nearest(hash, is_in_use)?;
        let (factor, cumulative) = (self.balance_factor, &self.cumulative);
        let is_wanted = |server: EndpointIndex| {
            Some(server) != avoided
                && (factor == 0 || {
                    let served = endpoints.active_total as u32;
                    let slots = slots(served, factor, total, servers.eweight(server), cumulative[server.at()]);
                    endpoints.active[server.at()] < slots
                })
        };
        // HAProxy gives up when it comes to the beginning of the ring a second time, and takes the last that it has seen.
        let mut laps = 0;
        loop {
            let server = ring.node(place).server;
            if is_wanted(server) {
                return Some(server);
            }
            let next = ring.in_use_from(ring.after(place), is_in_use)?;
            laps += u32::from(next <= place);
            if laps > 1 {
                return Some(server);
            }
            place = next;
        }
    }

    /// The server of the node after the last one, or of the first after it that is not full.
    #[inline]
    pub fn next(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        servers: &Servers,
        avoided: Option<EndpointIndex>,
        now: Time,
    ) -> Option<EndpointIndex> {
        let ring = RingLookup::ring(&mut self.rings, endpoints, set, self.hash_key);
        let last = &mut self.levels[set.level()].last;
        let is_in_use = |node: Node| node.number < servers.eweight(node.server);
        let place_of_last = last.map(|node| ring.place_of(node, server_key_of(self.hash_key, endpoints, node.server)));
        let begin = place_of_last.map_or(0, |place| ring.after(place));
        // Before it has taken any node HAProxy looks at one only.
        let first = ring.in_use_from(begin, is_in_use)?;
        let mut second_best = None;
        let mut place = first;
        loop {
            let node = ring.node(place);
            if servers.has_room(node.server, endpoints.active[node.server.at()], now) {
                if Some(node.server) != avoided {
                    *last = Some(node);
                    return Some(node.server);
                }
                second_best = Some(node);
            }
            place = ring.in_use_from(ring.after(place), is_in_use)?;
            if place == first || place_of_last.is_none() {
                break;
            }
        }
        *last = second_best;
        second_best.map(|node| node.server)
    }
}

fn server_key_of(hash_key: HashKey, endpoints: &Endpoints<'_>, server: EndpointIndex) -> u32 {
    server_key(hash_key, server, &endpoints.infos[server.at()].address)
}

/// How many requests a server may have while the bound holds, when `served` are served in all: its share of those and one more, times
/// `factor` per cent. `total` is the sum of the effective weights, `cumulative` that of the servers before. The remainder of the
/// division is shared out along the list of servers.
pub fn slots(served: u32, factor: u32, total: u32, eweight: u32, cumulative: u32) -> u32 {
    let all = served.wrapping_add(1).wrapping_mul(factor).wrapping_add(99) / 100;
    let remainder = all % total;
    let share = |weight: u32| weight.wrapping_mul(remainder) / total;
    let slots = eweight
        .wrapping_mul(all / total)
        .wrapping_add(share(cumulative.wrapping_add(eweight)))
        .wrapping_sub(share(cumulative));
    slots.max(1)
}
