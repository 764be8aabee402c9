//! Traefik's wrr: earliest deadline first, with deadlines a weight's inverse apart.
//!
//! Of equal deadlines the heap decides, so it is Go's `container/heap`, move for move.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Health};
use crate::random::Rng;
use crate::time::Time;

/// It has no options.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {}

impl Options {
    /// Nothing can be wrong.
    ///
    /// # Errors
    /// None.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// One process's servers.
#[derive(Clone, Debug, Default)]
pub struct Balancer {
    // By level.
    schedules: Vec<Option<Schedule>>,
    // By server: the level whose heap it belongs to.
    levels: Vec<Option<usize>>,
}

/// The servers of a level, those that are down included.
#[derive(Clone, Debug, Default)]
struct Schedule {
    heap: Vec<Entry>,
    // The deadline of the last server that was taken.
    current: f64,
    is_any_up: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    deadline: f64,
    server: EndpointIndex,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "Weighted round robin by earliest deadline";
    const SOURCE: &'static str = "traefik/traefik pkg/server/service/loadbalancer/wrr/wrr.go";
    const CHECKED: &'static str = "Its project's own tests; a sequence computed from its source";
    const DIFFERENCES: &'static str = "Servers begin in the order of the list, which Traefik shuffles";
    const RULES: Rules = Rules::Any;

    fn new(_: &Options, _: usize) -> Balancer {
        Balancer::default()
    }

    fn on_added(&mut self, server: EndpointIndex, _: Time) {
        if server.at() >= self.levels.len() {
            self.levels.resize(server.at() + 1, None);
        }
        debug_assert!(self.levels[server.at()].is_none(), "its predecessor has left its level");
    }

    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, _: Time) {
        if set.is_picked_from() {
            self.look(endpoints, set);
        }
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        _: Time,
        _: &mut Rng,
    ) -> Option<EndpointIndex> {
        if self.schedules.get(set.level()).is_none_or(Option::is_none) {
            self.look(endpoints, set);
        }
        let schedule = self.schedules[set.level()].as_mut().expect("it has just been made");
        if !schedule.is_any_up {
            return None;
        }
        loop {
            let server = schedule.next(endpoints.weights);
            if is_up(set, server) {
                return Some(server);
            }
        }
    }
}

fn is_up(set: CandidateSet<'_>, server: EndpointIndex) -> bool {
    !matches!(set.health(server), Health::Unhealthy | Health::Excluded)
}

impl Balancer {
    /// Looks at a level anew: servers that have gone are taken out, new ones begin a turn after the last one.
    fn look(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>) {
        if self.schedules.len() <= set.level() {
            self.schedules.resize_with(set.level() + 1, || None);
        }
        let schedule = self.schedules[set.level()].get_or_insert_with(Schedule::default);
        while let Some(place) = schedule.heap.iter().position(|entry| !set.contains(entry.server)) {
            let level = &mut self.levels[schedule.remove(place).server.at()];
            *level = level.filter(|&level| level != set.level());
        }
        for server in set.iter() {
            if self.levels[server.at()].replace(set.level()) != Some(set.level()) {
                let deadline = schedule.current + 1.0 / f64::from(endpoints.weights[server.at()]);
                schedule.push(Entry { deadline, server });
            }
        }
        schedule.is_any_up = set.iter().any(|server| is_up(set, server));
    }
}

impl Schedule {
    /// Takes the server with the earliest deadline, and puts it back with its next one.
    #[inline]
    fn next(&mut self, weights: &[u32]) -> EndpointIndex {
        let Entry { deadline, server } = self.remove(0);
        self.current = deadline;
        let deadline = deadline + 1.0 / f64::from(weights[server.at()]);
        self.push(Entry { deadline, server });
        server
    }

    fn push(&mut self, entry: Entry) {
        self.heap.push(entry);
        self.rise(self.heap.len() - 1);
    }

    fn remove(&mut self, place: usize) -> Entry {
        let last = self.heap.len() - 1;
        self.heap.swap(place, last);
        let entry = self.heap.pop().expect("there is one at the place");
        if place < last && !self.sink(place) {
            self.rise(place);
        }
        entry
    }

    fn is_less(&self, a: usize, b: usize) -> bool {
        self.heap[a].deadline < self.heap[b].deadline
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if !self.is_less(place, parent) {
                break;
            }
            self.heap.swap(parent, place);
            place = parent;
        }
    }

    /// Whether it moved at all.
    fn sink(&mut self, begin: usize) -> bool {
        let mut place = begin;
        loop {
            let mut child = 2 * place + 1;
            if child >= self.heap.len() {
                break;
            }
            if child + 1 < self.heap.len() && self.is_less(child + 1, child) {
                child += 1;
            }
            if !self.is_less(child, place) {
                break;
            }
            self.heap.swap(place, child);
            place = child;
        }
        place > begin
    }
}
