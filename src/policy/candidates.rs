//! Who may be picked: priority levels, health and the panic threshold turn a list of endpoints into numbered candidate sets.
//!
//! The arithmetic is Envoy's, in integers, because its rounding decides which level gets the odd per cent
//! (`source/extensions/load_balancing_policies/common/load_balancer_impl.cc`: `recalculatePerPriorityState`, `choosePriority`).
//! Localities are not here: they choose among the members of a set.

use crate::policy::{EndpointIndex, EndpointInfo, Health, PRIORITY_MAX};
use crate::random::Rng;

/// Envoy's `overprovisioning_factor` in per cent: a level is fully available while 100/140 of its endpoints are.
pub const OVERPROVISIONING_FACTOR: u32 = 140;

/// Envoy's `healthy_panic_threshold` in per cent.
pub const PANIC_THRESHOLD: u32 = 50;

/// How a family makes candidates of endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Envoy: levels share the traffic by their health; degraded endpoints and panic.
    Envoy,
    /// Envoy's hash policies: as above, but the request's hash chooses the level, and degraded endpoints are not used.
    EnvoyHash,
    /// Only ready endpoints, of the first level that has any; no panic. A balancer that has nobody in it is asked about the next.
    Ready,
    /// As [`Rules::Ready`], but endpoints are candidates whatever their health, which is the balancer's to weigh.
    Any,
}

/// Which endpoints of a level a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    All = 0,
    Healthy = 1,
    Degraded = 2,
}

const KINDS: usize = 3;

/// Endpoints a balancer may pick from. The number stays the same while members come and go, so a balancer can keep state by it.
#[derive(Clone, Copy, Debug)]
pub struct CandidateSet<'a> {
    number: u32,
    len: u32,
    equal_weights: bool,
    // Empty where member i is endpoint i.
    members: &'a [EndpointIndex],
    standing: &'a [Standing],
}

impl<'a> CandidateSet<'a> {
    /// The set's number: small, and the same for the same level and kind of health.
    #[inline]
    pub fn number(&self) -> usize {
        self.number as usize
    }

    /// Its level: 0 is preferred.
    #[inline]
    pub fn level(&self) -> usize {
        self.number() / KINDS
    }

    /// Whether it is the one set of its level that is picked from under [`Rules::Ready`] and [`Rules::Any`].
    #[inline]
    pub fn is_picked_from(&self) -> bool {
        self.number() % KINDS == Kind::Healthy as usize
    }

    /// The endpoints of the list, of all levels and in any health, by their index.
    pub fn listed(self) -> impl Iterator<Item = EndpointIndex> + 'a {
        let listed = |&(_, standing): &(usize, &Standing)| standing.level != RETIRED;
        let all = self.standing.iter().enumerate().filter(listed);
        all.map(|(index, _)| EndpointIndex(index as u32))
    }

    /// How many members.
    #[inline]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is nobody to pick.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Member `i`, in the order of the endpoint list.
    #[inline]
    pub fn get(&self, i: u32) -> EndpointIndex {
        debug_assert!(i < self.len);
        if self.is_prefix() {
            EndpointIndex(i)
        } else {
            self.members[i as usize]
        }
    }

    /// Whether member `i` is endpoint `i`, as it is where all endpoints are in the same standing.
    #[inline]
    pub fn is_prefix(&self) -> bool {
        self.members.is_empty()
    }

    /// All members, in the order of the endpoint list.
    pub fn iter(self) -> impl ExactSizeIterator<Item = EndpointIndex> + Clone + 'a {
        // The range ends at a u32, so its length fits.
        (0..self.len as usize).map(move |i| self.get(i as u32))
    }

    /// Whether `endpoint` is a member.
    pub fn contains(&self, endpoint: EndpointIndex) -> bool {
        let standing = self.standing[endpoint.at()];
        let kind = self.number() % KINDS;
        usize::from(standing.level) == self.number() / KINDS && (kind == Kind::All as usize || standing.kind == Some(kind as u8))
    }

    /// Whether it holds all endpoints of its level, whatever their health.
    pub(crate) fn is_whole_level(&self) -> bool {
        self.number() % KINDS == Kind::All as usize
    }

    /// The health of an endpoint of the list.
    #[inline]
    pub fn health(&self, endpoint: EndpointIndex) -> Health {
        self.standing[endpoint.at()].health
    }

    /// A member, each with the same probability.
    #[inline]
    pub fn random(&self, rng: &mut Rng) -> EndpointIndex {
        self.get(rng.below(u64::from(self.len)) as u32)
    }

    /// Whether all weights are the same.
    #[inline]
    pub fn has_equal_weights(&self) -> bool {
        self.equal_weights
    }
}

/// Where one endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    level: u8,
    // The kind of set beside `All` that it is in.
    kind: Option<u8>,
    health: Health,
}

/// The level of an endpoint that is no longer in the list.
const RETIRED: u8 = u8::MAX;

#[derive(Clone, Debug, Default, PartialEq)]
struct Members {
    list: Vec<EndpointIndex>,
    len: u32,
    equal_weights: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Level {
    counts: Counts,
    load: Load,
}

/// How many endpoints of a level are in which health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub total: u32,
    /// Those healthy.
    pub healthy: u32,
    /// Those degraded.
    pub degraded: u32,
    /// Those left out of the denominator.
    pub excluded: u32,
}

/// The share of traffic that a level gets, in per cent of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// For its healthy endpoints.
    pub healthy: u32,
    /// For its degraded ones.
    pub degraded: u32,
    /// Whether all its endpoints are used, whatever their health.
    pub panic: bool,
}

/// What a level could serve by its healthy and by its degraded endpoints, in per cent, at most 100 each.
pub fn availability(counts: Counts, overprovisioning_factor: u32) -> (u32, u32) {
    let eligible = counts.total.saturating_sub(counts.excluded);
    if eligible == 0 {
        return (0, 0);
    }
    let share = |n: u32| (u64::from(overprovisioning_factor) * u64::from(n) / u64::from(eligible)).min(100) as u32;
    (share(counts.healthy), share(counts.degraded))
}

/// Spreads the traffic over the levels by their availability (see [`availability`]), and says which ones panic.
pub fn distribute(counts: &[Counts], available: &[(u32, u32)], panic_threshold: u32) -> Vec<Load> {
    let mut loads = vec![Load::default(); counts.len()];
    if loads.is_empty() {
        return loads;
    }
    let norm = available
        .iter()
        .map(|&(healthy, degraded)| healthy + degraded)
        .sum::<u32>()
        .min(100);
    if norm > 0 {
        spread(&mut loads, available, norm);
    } else if panic_threshold == 0 {
        loads[0].healthy = 100;
        return loads;
    }
    for (load, counts) in loads.iter_mut().zip(counts) {
        load.panic = norm < 100 && in_panic(*counts, panic_threshold);
    }
    if loads.iter().all(|load| load.panic) {
        spread_by_size(&mut loads, counts);
    }
    loads
}

fn spread(loads: &mut [Load], available: &[(u32, u32)], norm: u32) {
    let mut left = 100;
    for (load, &(healthy, _)) in loads.iter_mut().zip(available) {
        load.healthy = left.min(healthy * 100 / norm);
        left -= load.healthy;
    }
    for (load, &(_, degraded)) in loads.iter_mut().zip(available) {
        load.degraded = left.min(degraded * 100 / norm);
        left -= load.degraded;
    }
    if let Some(first) = available.iter().position(|&(healthy, _)| healthy > 0) {
        loads[first].healthy += left;
    } else if let Some(first) = available.iter().position(|&(_, degraded)| degraded > 0) {
        loads[first].degraded += left;
    }
}

fn in_panic(counts: Counts, panic_threshold: u32) -> bool {
    let eligible = f64::from(counts.total.saturating_sub(counts.excluded));
    let percentage = |n: u32| {
        if eligible == 0.0 {
            0.0
        } else {
            100.0 * f64::from(n) / eligible
        }
    };
    percentage(counts.healthy) + percentage(counts.degraded) < f64::from(panic_threshold)
}

/// Total panic: health says nothing any more, so the levels share by size, excluded endpoints included.
fn spread_by_size(loads: &mut [Load], counts: &[Counts]) {
    let sum: u64 = counts.iter().map(|counts| u64::from(counts.total)).sum();
    if sum == 0 {
        loads[0].healthy = 100;
        return;
    }
    let mut left = 100;
    for (load, counts) in loads.iter_mut().zip(counts) {
        load.healthy = (100 * u64::from(counts.total) / sum) as u32;
        load.degraded = 0;
        left -= load.healthy;
    }
    let first = counts.iter().position(|counts| counts.total > 0).expect("the sum is not 0");
    loads[first].healthy += left;
}

/// The candidate sets of a list of endpoints.
#[derive(Clone, Debug)]
pub(crate) struct Candidates {
    rules: Rules,
    order: Vec<EndpointIndex>,
    standing: Vec<Standing>,
    levels: Vec<Level>,
    // By number: those of a level are neighbours.
    sets: Vec<Members>,
    // The set that gets all traffic, where there is one: the common case needs no draw.
    sole: Option<u32>,
}

impl Candidates {
    /// The sets of the endpoints in `order`; the columns are by [`EndpointIndex`].
    pub fn new(rules: Rules, order: Vec<EndpointIndex>, infos: &[EndpointInfo], weights: &[u32]) -> Candidates {
        let retired = Standing {
            level: RETIRED,
            kind: None,
            health: Health::Unhealthy,
        };
        let mut standing = vec![retired; infos.len()];
        let mut level_count = 0;
        for &endpoint in &order {
            let info = &infos[endpoint.at()];
            assert!(info.priority <= PRIORITY_MAX, "priorities end at {PRIORITY_MAX}");
            standing[endpoint.at()] = Standing {
                level: info.priority as u8,
                kind: kind_of(rules, info.health).map(|kind| kind as u8),
                health: info.health,
            };
            level_count = level_count.max(info.priority as usize + 1);
        }
        let mut candidates = Candidates {
            rules,
            order,
            standing,
            levels: vec![Level::default(); level_count],
            sets: vec![Members::default(); level_count * KINDS],
            sole: None,
        };
        for level in 0..level_count {
            candidates.fill_level(level, weights);
        }
        candidates.distribute();
        candidates
    }

    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// The endpoints of the list, in its order.
    pub fn order(&self) -> &[EndpointIndex] {
        &self.order
    }

    pub fn is_retired(&self, endpoint: EndpointIndex) -> bool {
        self.standing[endpoint.at()].level == RETIRED
    }

    pub fn health(&self, endpoint: EndpointIndex) -> Health {
        self.standing[endpoint.at()].health
    }

    pub fn level_count(&self) -> usize {
        self.levels.len()
    }

    /// How many sets there are; their numbers are below this.
    pub fn set_count(&self) -> usize {
        self.sets.len()
    }

    /// The level of an endpoint of the list.
    pub fn level_of(&self, endpoint: EndpointIndex) -> usize {
        usize::from(self.standing[endpoint.at()].level)
    }

    /// The sets of a level; empty ones where there is no such level.
    pub fn sets_of(&self, level: usize) -> impl Iterator<Item = CandidateSet<'_>> {
        (level * KINDS..(level + 1) * KINDS).map(|number| self.set(number as u32))
    }

    /// Changes the health of one endpoint of the list.
    pub fn set_health(&mut self, endpoint: EndpointIndex, health: Health, weights: &[u32]) {
        let standing = &mut self.standing[endpoint.at()];
        standing.health = health;
        standing.kind = kind_of(self.rules, health).map(|kind| kind as u8);
        let level = usize::from(standing.level);
        self.fill_level(level, weights);
        self.distribute();
    }

    fn fill_level(&mut self, number: usize, weights: &[u32]) {
        let mut counts = Counts::default();
        let sets = &mut self.sets[number * KINDS..(number + 1) * KINDS];
        sets.fill(Members::default());
        for &endpoint in &self.order {
            let standing = self.standing[endpoint.at()];
            if usize::from(standing.level) != number {
                continue;
            }
            counts.total += 1;
            match standing.health {
                Health::Healthy => counts.healthy += 1,
                Health::Degraded => counts.degraded += 1,
                Health::Unhealthy => {}
                Health::Excluded => counts.excluded += 1,
            }
            sets[Kind::All as usize].list.push(endpoint);
            if let Some(kind) = standing.kind {
                sets[usize::from(kind)].list.push(endpoint);
            }
        }
        for set in sets {
            set.finish(weights);
        }
        self.levels[number].counts = counts;
    }

    fn distribute(&mut self) {
        let loads = match self.rules {
            Rules::Envoy | Rules::EnvoyHash => {
                let counts: Vec<Counts> = self.levels.iter().map(|level| level.counts).collect();
                let available: Vec<_> = counts.iter().map(|&c| availability(c, OVERPROVISIONING_FACTOR)).collect();
                distribute(&counts, &available, PANIC_THRESHOLD)
            }
            Rules::Ready | Rules::Any => self.first_ready(),
        };
        for (level, load) in self.levels.iter_mut().zip(loads) {
            level.load = load;
        }
        self.sole = [(Kind::Healthy, 0), (Kind::Degraded, 1)].iter().find_map(|&(kind, which)| {
            let full = |level: &Level| [level.load.healthy, level.load.degraded][which] == 100;
            self.levels.iter().position(full).map(|level| self.number(level, kind))
        });
    }

    fn first_ready(&self) -> Vec<Load> {
        let mut loads = vec![Load::default(); self.levels.len()];
        let ready = |level: usize| self.sets[level * KINDS + Kind::Healthy as usize].len > 0;
        if let Some(first) = (0..loads.len()).find(|&level| ready(level)) {
            loads[first].healthy = 100;
        }
        loads
    }

    /// The number of the set that `draw` falls on: uniform 64 bits, or the request's hash. `None`: nobody may be picked.
    #[inline]
    pub fn choose(&self, draw: impl FnOnce() -> u64) -> Option<u32> {
        match self.sole {
            Some(number) => Some(number),
            None => self.choose_level((draw() % 100) as u32 + 1),
        }
    }

    fn choose_level(&self, share: u32) -> Option<u32> {
        let mut passed = 0;
        for kind in [Kind::Healthy, Kind::Degraded] {
            for (number, level) in self.levels.iter().enumerate() {
                passed += match kind {
                    Kind::Degraded => level.load.degraded,
                    _ => level.load.healthy,
                };
                if share <= passed {
                    return Some(self.number(number, kind));
                }
            }
        }
        None
    }

    fn number(&self, level: usize, kind: Kind) -> u32 {
        let kind = match (self.levels[level].load.panic, self.rules) {
            (true, _) => Kind::All,
            (false, Rules::EnvoyHash) => Kind::Healthy,
            (false, _) => kind,
        };
        (level * KINDS + kind as usize) as u32
    }

    /// Whom to ask when nobody of `set` may have a call: the next level of families that go on level by level.
    #[cold]
    pub fn level_after(&self, set: CandidateSet<'_>) -> Option<CandidateSet<'_>> {
        if !matches!(self.rules, Rules::Ready | Rules::Any) {
            return None;
        }
        let next = set.number() / KINDS + 1;
        (next..self.levels.len())
            .map(|level| self.set((level * KINDS) as u32 + Kind::Healthy as u32))
            .find(|set| !set.is_empty())
    }

    /// The set of this number; empty where there is none.
    #[inline]
    pub fn set(&self, number: u32) -> CandidateSet<'_> {
        let (len, equal_weights, members) = match self.sets.get(number as usize) {
            Some(set) => (set.len, set.equal_weights, set.list.as_slice()),
            None => (0, true, [].as_slice()),
        };
        CandidateSet {
            number,
            len,
            equal_weights,
            members,
            standing: &self.standing,
        }
    }
}

impl Members {
    fn finish(&mut self, weights: &[u32]) {
        self.len = self.list.len() as u32;
        self.equal_weights = self
            .list
            .windows(2)
            .all(|pair| weights[pair[0].at()] == weights[pair[1].at()]);
        if self.list.iter().enumerate().all(|(i, endpoint)| endpoint.at() == i) {
            self.list = Vec::new();
        }
    }
}

fn kind_of(rules: Rules, health: Health) -> Option<Kind> {
    match (health, rules) {
        (_, Rules::Any) | (Health::Healthy, _) | (Health::Degraded, Rules::Ready) => Some(Kind::Healthy),
        (Health::Degraded, _) => Some(Kind::Degraded),
        (Health::Unhealthy | Health::Excluded, _) => None,
    }
}
