//! What HAProxy knows of each server whatever the algorithm: whether it is usable, its effective weight, slow start
//! (`src/server.c`, `server_recalc_eweight`) and room for more requests.

use crate::policy::balancer::haproxy::options::BackendOptions;
use crate::policy::{CandidateSet, EndpointIndex, Endpoints, Health};
use crate::time::{Duration, Time};

/// Dynamic algorithms count weights in such parts, so that slow start has steps.
const SCALE: u32 = 16;

/// The largest weight that HAProxy admits; larger ones count as this.
const WEIGHT_MAX: u32 = 256;

/// The largest effective weight.
pub const EWEIGHT_MAX: u32 = WEIGHT_MAX * SCALE;

/// What is known of one server.
#[derive(Clone, Copy, Debug, Default)]
struct Server {
    // The level that it is usable in, if it is.
    level: u32,
    // Its weight as the configuration has it, in the algorithm's parts.
    full: u32,
    // What counts now; 0: it is not usable.
    eweight: u32,
    // When it came up, in seconds, while it starts slowly.
    warm_since: Option<u64>,
    next_step: Time,
}

/// A server's effective weight changed; 0 means that it is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub server: EndpointIndex,
    /// The level that it is in, or was in.
    pub level: usize,
    /// What it was.
    pub before: u32,
    /// What it is.
    pub now: u32,
}

/// How an algorithm counts weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// In sixteenths, and they may change at any time.
    Dynamic,
    /// Divided by what all have in common.
    Static,
}

/// The servers of one caller.
#[derive(Clone, Debug)]
pub struct Servers {
    options: BackendOptions,
    weights: Weights,
    states: Vec<Server>,
    // By level: usable servers; `None`: the level has not been seen.
    usable: Vec<Option<u32>>,
    warming: Vec<EndpointIndex>,
    changes: Vec<Change>,
}

impl Servers {
    /// None is known.
    pub fn new(options: BackendOptions, weights: Weights) -> Servers {
        Servers {
            options,
            weights,
            states: Vec::new(),
            usable: Vec::new(),
            warming: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// A server comes into the configuration.
    pub fn on_added(&mut self, server: EndpointIndex) {
        if server.at() >= self.states.len() {
            self.states.resize(server.at() + 1, Server::default());
        }
        debug_assert_eq!(self.states[server.at()].eweight, 0, "its predecessor has left its level");
        self.states[server.at()] = Server::default();
    }

    /// The effective weight that a server has at most in a dynamic algorithm.
    #[inline]
    pub fn full_weight(endpoints: &Endpoints<'_>, server: EndpointIndex) -> u32 {
        weight(endpoints, server) * SCALE
    }

    /// Whether a level has been seen.
    #[inline]
    pub fn knows(&self, level: usize) -> bool {
        matches!(self.usable.get(level), Some(Some(_)))
    }

    /// The effective weight of a server; 0: it is not usable.
    #[inline]
    pub fn eweight(&self, server: EndpointIndex) -> u32 {
        self.states[server.at()].eweight
    }

    /// The level that a usable server is in.
    #[inline]
    pub fn level(&self, server: EndpointIndex) -> usize {
        self.states[server.at()].level as usize
    }

    /// How many servers of a level are usable.
    #[inline]
    pub fn usable(&self, level: usize) -> u32 {
        self.usable.get(level).copied().flatten().unwrap_or(0)
    }

    /// Whether servers of an earlier level are usable. HAProxy turns to backup servers only when no other one is up.
    #[inline]
    pub fn precedes(&self, level: usize) -> bool {
        (0..level.min(self.usable.len())).any(|earlier| self.usable(earlier) > 0)
    }

    /// The server that gets everything, if the level is one of backup servers of which only the first is used.
    #[inline]
    pub fn sole_backup(&self, set: CandidateSet<'_>) -> Option<EndpointIndex> {
        if set.level() == 0 || self.options.allbackups {
            return None;
        }
        set.iter().find(|&server| self.eweight(server) > 0)
    }

    /// Whether a server with `active` requests is not full.
    #[inline]
    pub fn has_room(&self, server: EndpointIndex, active: u32, now: Time) -> bool {
        let maxconn = self.options.maxconn;
        maxconn == 0 || active < self.dynamic_maxconn(server, now)
    }

    fn dynamic_maxconn(&self, server: EndpointIndex, now: Time) -> u32 {
        let BackendOptions { maxconn, slowstart, .. } = self.options;
        let Some(since) = self.states[server.at()].warm_since else {
            return maxconn;
        };
        let elapsed = seconds(now) - since;
        if elapsed >= slowstart {
            return maxconn;
        }
        let percentage = 100 * elapsed / slowstart;
        ((u64::from(maxconn) * percentage / 100) as u32).max(1)
    }

    /// Looks at a level anew. What changed is in [`Servers::take_changes`] then.
    pub fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        let level = set.level();
        let is_first = !self.knows(level);
        if self.usable.len() <= level {
            self.usable.resize(level + 1, None);
        }
        self.usable[level].get_or_insert(0);
        for server in (0..self.states.len() as u32).map(EndpointIndex) {
            let state = self.states[server.at()];
            if state.eweight > 0 && state.level as usize == level && !set.contains(server) {
                self.change(server, 0);
            }
        }
        let divisor = match self.weights {
            Weights::Dynamic => 1,
            Weights::Static => set
                .listed()
                .fold(0, |divisor, server| gcd(divisor, weight(endpoints, server))),
        };
        for server in set.iter() {
            let full = match self.weights {
                Weights::Dynamic => Servers::full_weight(endpoints, server),
                Weights::Static => weight(endpoints, server) / divisor,
            };
            let is_up = !matches!(set.health(server), Health::Unhealthy | Health::Excluded);
            self.set(server, level, if is_up { full } else { 0 }, is_first, now);
        }
    }

    /// From now on `full` is the full weight of a server, or 0 if it is not usable.
    fn set(&mut self, server: EndpointIndex, level: usize, full: u32, is_first: bool, now: Time) {
        let state = &self.states[server.at()];
        let is_elsewhere = state.level as usize != level;
        if state.eweight > 0 && (full == 0 || is_elsewhere) {
            self.change(server, 0);
        }
        if full == 0 {
            return;
        }
        let state = &mut self.states[server.at()];
        if state.eweight > 0 && state.full == full {
            // It takes the steps of slow start in its own time.
            return;
        }
        state.level = level as u32;
        state.full = full;
        if state.eweight == 0 && self.options.slowstart > 0 && !is_first {
            state.warm_since = Some(seconds(now));
            state.next_step = now + STEP;
            self.warming.push(server);
        }
        let eweight = self.warmed(server, now);
        self.change(server, eweight);
    }

    /// What a server's weight should be now.
    fn warmed(&self, server: EndpointIndex, now: Time) -> u32 {
        let state = &self.states[server.at()];
        match state.warm_since {
            Some(since) if self.weights == Weights::Dynamic => {
                let slowstart = self.options.slowstart;
                let elapsed = seconds(now) - since;
                if elapsed >= slowstart {
                    return state.full;
                }
                let sixteenths = (u64::from(SCALE) * elapsed + slowstart) / slowstart;
                state.full / SCALE * sixteenths as u32
            }
            _ => state.full,
        }
    }

    fn change(&mut self, server: EndpointIndex, eweight: u32) {
        let state = &mut self.states[server.at()];
        let before = state.eweight;
        if before == eweight {
            return;
        }
        state.eweight = eweight;
        if eweight == 0 {
            state.warm_since = None;
            self.warming.retain(|&other| other != server);
        }
        let usable = self.usable[state.level as usize].as_mut().expect("the level is known");
        *usable = *usable + u32::from(before == 0) - u32::from(eweight == 0);
        self.changes.push(Change {
            server,
            level: state.level as usize,
            before,
            now: eweight,
        });
    }

    /// Takes the steps of slow start that are due. HAProxy takes one a second.
    #[inline]
    pub fn catch_up(&mut self, now: Time) {
        if !self.warming.is_empty() {
            self.take_steps(now);
        }
    }

    #[cold]
    fn take_steps(&mut self, now: Time) {
        loop {
            let next_step = |&server: &EndpointIndex| self.states[server.at()].next_step;
            let Some(&server) = self.warming.iter().min_by_key(|server| next_step(server)) else {
                return;
            };
            let step = next_step(&server);
            if step > now {
                return;
            }
            let eweight = self.warmed(server, step);
            let state = &mut self.states[server.at()];
            state.next_step = step + STEP;
            if state
                .warm_since
                .is_some_and(|since| seconds(step) - since >= self.options.slowstart)
            {
                state.warm_since = None;
                self.warming.retain(|&other| other != server);
            }
            self.change(server, eweight);
        }
    }

    /// What changed since this was last asked, in its order; to be given back with [`Servers::give_back`] for its room.
    #[inline]
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Takes back the room of the changes.
    #[inline]
    pub fn give_back(&mut self, mut changes: Vec<Change>) {
        changes.clear();
        self.changes = changes;
    }
}

/// The time between two steps of slow start.
const STEP: Duration = Duration::from_secs(1);

/// HAProxy's clock, which counts whole seconds.
fn seconds(now: Time) -> u64 {
    now.0 / 1_000_000_000
}

fn weight(endpoints: &Endpoints<'_>, server: EndpointIndex) -> u32 {
    endpoints.weights[server.at()].min(WEIGHT_MAX)
}

fn gcd(a: u32, b: u32) -> u32 {
    if a == 0 { b } else { gcd(b % a, a) }
}
