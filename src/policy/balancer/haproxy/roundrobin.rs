//! HAProxy's roundrobin: by weight, as smooth as can be, and weights may change at any time (`src/lb_fwrr.c`).
//!
//! A group's time is cut into ranges as long as the sum of its weights. A server is in one of three trees: `current` by its next
//! position in this range; waiting to be placed in it, by weight; or waiting for the next range, by weight.

use crate::policy::balancer::haproxy::hashing::avoided;
use crate::policy::balancer::haproxy::options::backend_options;
use crate::policy::balancer::haproxy::servers::{Change, EWEIGHT_MAX, Servers, Weights};
use crate::policy::balancer::haproxy::tree::{Entry, Tree};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

backend_options! {
    "What HAProxy lets a user write for `balance roundrobin` and for the servers.";
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
    groups: Vec<Group>,
    // By server.
    positions: Vec<Position>,
    // Room for servers that are passed over.
    passed: Vec<EndpointIndex>,
}

/// Where a server is.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    next: u32,
    last: u32,
    // What the divisions have left over, of which each whole weight is a position.
    remainder: u32,
    place: Place,
}

/// Which tree a server is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Nowhere,
    Current,
    // One of the two trees by weight, which change their roles.
    Waiting(u8),
}

/// The servers of a level.
#[derive(Clone, Debug, Default)]
struct Group {
    current: Tree,
    waiting: [Tree; 2],
    // Which of the two is to be placed in this range; the other one is for the next.
    init: u8,
    position: u32,
    // The length of this range, and of the next.
    length: u32,
    next_length: u32,
    arrivals: u64,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "Smooth weighted round robin whose weights may change at any time";
    const SOURCE: &'static str = "haproxy/haproxy src/lb_fwrr.c";
    const CHECKED: &'static str = "recordings of HAProxy 2.6.12; Recorded latencies of the real proxy";
    const DIFFERENCES: &'static str =
        "Where all servers are full a request is refused, where HAProxy lets it wait; weights above 256 count as 256";
    const RULES: Rules = Rules::Any;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            servers: Servers::new(options.backend(), Weights::Dynamic),
            groups: Vec::new(),
            positions: Vec::new(),
            passed: Vec::new(),
        }
    }

    fn on_added(&mut self, server: EndpointIndex, _: Time) {
        self.servers.on_added(server);
        if server.at() >= self.positions.len() {
            self.positions.resize(server.at() + 1, Position::default());
        }
        self.positions[server.at()] = Position::default();
    }

    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        if !set.is_picked_from() {
            return;
        }
        let level = set.level();
        let is_first = !self.servers.knows(level);
        if self.groups.len() <= level {
            self.groups.resize_with(level + 1, Group::default);
        }
        self.servers.update(endpoints, set, now);
        if is_first {
            let changes = self.servers.take_changes();
            self.groups[level].fill(&mut self.positions, &changes);
            self.servers.give_back(changes);
        }
        self.follow();
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
        let level = set.level();
        if !self.servers.knows(level) {
            self.update(endpoints, set, now);
        }
        self.servers.catch_up(now);
        self.follow();
        if self.servers.precedes(level) || self.servers.usable(level) == 0 {
            return None;
        }
        let servers = &self.servers;
        let has_room = |server: EndpointIndex| servers.has_room(server, endpoints.active[server.at()], now);
        if let Some(sole) = servers.sole_backup(set) {
            return has_room(sole).then_some(sole);
        }
        let mut turn = Turn {
            group: &mut self.groups[level],
            positions: &mut self.positions,
            servers,
        };
        turn.take(&mut self.passed, avoided(hints), has_room)
    }
}

impl Balancer {
    /// Follows what changed of the weights.
    #[inline]
    fn follow(&mut self) {
        let changes = self.servers.take_changes();
        for &change in &changes {
            let mut turn = Turn {
                group: &mut self.groups[change.level],
                positions: &mut self.positions,
                servers: &self.servers,
            };
            match change {
                Change { before: 0, .. } => turn.add(change),
                Change { now: 0, .. } => turn.remove(change),
                _ => turn.reweigh(change),
            }
        }
        self.servers.give_back(changes);
    }
}

impl Group {
    /// The servers of the start wait for the first range.
    fn fill(&mut self, positions: &mut [Position], changes: &[Change]) {
        self.next_length = changes.iter().map(|change| change.now).sum();
        self.length = self.next_length;
        self.position = self.length;
        for change in changes {
            self.wait(positions, change.server, change.now, self.init);
        }
    }

    /// Lets a server wait in one of the two trees by weight, the heaviest first.
    fn wait(&mut self, positions: &mut [Position], server: EndpointIndex, eweight: u32, tree: u8) {
        let arrival = self.arrive();
        self.waiting[usize::from(tree)].insert(Entry {
            key: EWEIGHT_MAX - eweight,
            arrival,
            server,
        });
        positions[server.at()].place = Place::Waiting(tree);
    }

    fn arrive(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }

    /// Begins the next range.
    fn switch(&mut self) {
        self.init ^= 1;
        self.length = self.next_length;
        self.position = self.length;
    }
}

/// A group with what is known of its servers.
struct Turn<'a> {
    group: &'a mut Group,
    positions: &'a mut [Position],
    servers: &'a Servers,
}

impl Turn<'_> {
    /// A server comes up: its first position is such that it cannot get too much.
    fn add(&mut self, change: Change) {
        let group = &mut *self.group;
        group.next_length = group.next_length.wrapping_add(change.now);
        self.positions[change.server.at()].next = self.first_position(change.now);
        self.queue(change.server, change.now);
    }

    fn first_position(&self, eweight: u32) -> u32 {
        let Group {
            position,
            length,
            next_length,
            ..
        } = *self.group;
        let left = next_length.wrapping_add(length).wrapping_sub(position);
        position.wrapping_add(left / eweight)
    }

    fn remove(&mut self, change: Change) {
        self.group.next_length -= change.before;
        self.dequeue(change.server);
    }

    /// A server's weight changes: its next position moves, but never away.
    fn reweigh(&mut self, change: Change) {
        let Change { server, before, now, .. } = change;
        let group = &mut *self.group;
        group.next_length = group.next_length - before + now;
        let state = &mut self.positions[server.at()];
        if state.place == Place::Waiting(group.init) {
            let init = group.init;
            self.dequeue(server);
            self.group.wait(self.positions, server, now, init);
            return;
        }
        if state.place == Place::Waiting(group.init ^ 1) {
            state.next = state.next.wrapping_add(group.length);
        }
        let step = group.next_length / now;
        let planned = state.next;
        state.next = state.last.wrapping_add(step).min(planned);
        state.remainder = 0;
        if state.next < group.position.wrapping_add(2) {
            state.next = group.position.wrapping_add(step);
        }
        self.dequeue(server);
        self.queue(server, now);
    }

    fn dequeue(&mut self, server: EndpointIndex) {
        let state = &mut self.positions[server.at()];
        match std::mem::take(&mut state.place) {
            Place::Nowhere => {}
            Place::Current => drop(self.group.current.remove(server)),
            Place::Waiting(tree) => drop(self.group.waiting[usize::from(tree)].remove(server)),
        }
    }

    /// Puts a server where its next position is: in this range or in the next.
    fn queue(&mut self, server: EndpointIndex, eweight: u32) {
        let group = &mut *self.group;
        let state = &mut self.positions[server.at()];
        if state.next >= 2 * group.length || state.next >= group.length + group.next_length {
            state.next = state.next.wrapping_sub(group.length);
            let next = group.init ^ 1;
            group.wait(self.positions, server, eweight, next);
            return;
        }
        let arrival = group.arrive();
        let fraction = EWEIGHT_MAX.wrapping_add(state.remainder).wrapping_sub(eweight) / 16;
        group.current.insert(Entry {
            key: state.next.wrapping_mul(256).wrapping_add(fraction),
            arrival,
            server,
        });
        state.place = Place::Current;
    }

    /// The server whose turn it is: the first of this range if its position has come, else the heaviest that waits to be placed.
    fn first(&mut self) -> Option<EndpointIndex> {
        let first = self.group.current.first().map(|entry| entry.server);
        if let Some(server) = first
            && self.positions[server.at()].next <= self.group.position
        {
            return first;
        }
        let Some(waiting) = self.group.waiting[usize::from(self.group.init)].first() else {
            return first;
        };
        let state = &mut self.positions[waiting.server.at()];
        state.next = 0;
        state.remainder = 0;
        Some(waiting.server)
    }

    /// Moves a server on by as many positions as lie between two of its turns.
    fn advance(&mut self, server: EndpointIndex) {
        let eweight = self.servers.eweight(server);
        let state = &mut self.positions[server.at()];
        if state.next == 0 {
            state.next = self.group.position;
        }
        state.last = state.next;
        state.next = state.next.wrapping_add(self.group.next_length / eweight);
        state.remainder += self.group.next_length % eweight;
        if state.remainder >= eweight {
            state.remainder -= eweight;
            state.next = state.next.wrapping_add(1);
        }
    }

    /// The next server that is not full, and not the one to avoid if there is another.
    fn take(
        &mut self,
        passed: &mut Vec<EndpointIndex>,
        avoided: Option<EndpointIndex>,
        has_room: impl Fn(EndpointIndex) -> bool,
    ) -> Option<EndpointIndex> {
        let mut switched = false;
        let mut second_best = None;
        let chosen = loop {
            if self.group.length == 0 {
                self.group.length = self.group.next_length;
                self.group.position = self.group.length;
            }
            let Some(server) = self.first() else {
                if switched {
                    break second_best;
                }
                switched = true;
                self.group.switch();
                continue;
            };
            self.advance(server);
            self.dequeue(server);
            self.group.position += 1;
            if has_room(server) {
                if Some(server) != avoided || second_best.is_some() {
                    break Some(server);
                }
                second_best = Some(server);
            }
            passed.push(server);
        };
        if let Some(server) = chosen {
            self.queue(server, self.servers.eweight(server));
        }
        // Those passed over take their places again, the last one first; once the range has changed these are lost.
        while let Some(server) = passed.pop() {
            if Some(server) == chosen {
                continue;
            }
            let eweight = self.servers.eweight(server);
            if switched {
                let init = self.group.init;
                self.group.wait(self.positions, server, eweight, init);
            } else {
                self.queue(server, eweight);
            }
        }
        chosen
    }
}
