//! Who may be picked: subsets, priority levels, health, localities and the panic threshold turn a list of endpoints into numbered
//! candidate sets, and say which one a call takes.
//!
//! The order is Envoy's (`source/extensions/load_balancing_policies/common/load_balancer_impl.cc`: `hostSourceToUse`): the subset,
//! the level, panic, then the locality: by weight, or by zone. Other families have levels only.

mod level;
mod load;
mod locality;
mod options;
mod set;
pub(crate) mod subset;
pub mod zone_aware;

pub use load::{Counts, Load, availability, distribute};
pub use locality::effective_locality_weight;
pub use options::{
    CommonLbConfig, FallbackPolicy, ForceLocalZone, LbSubsetConfig, LocalityBasis, LocalityMode, LocalityWeightedLbConfig,
    MetadataFallbackPolicy, Options, OverprovisioningFactor, Parts, Percent, SelectorFallbackPolicy, SubsetSelector,
    ZoneAwareLbConfig,
};
pub use set::{CandidateSet, Locality};

use std::collections::BTreeMap;
use std::sync::Arc;

use level::Level;
pub(crate) use locality::LocalitySchedules;
use locality::LocalityState;
use set::Members;
use subset::Subsets;

use crate::policy::listing::{Kind, Listing, SetKey};
use crate::policy::{CallerInfo, EndpointIndex, Health};
use crate::random::Rng;

/// How a family makes candidates of endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Envoy: levels share the traffic by their health; degraded endpoints, panic, localities.
    Envoy,
    /// Envoy's hash policies: as above, but the request's hash chooses the level, degraded endpoints are not used, and localities are
    /// the balancer's to weigh.
    EnvoyHash,
    /// Only ready endpoints, of the first level that has any; no panic. A balancer that has nobody in it is asked about the next.
    Ready,
    /// As [`Rules::Ready`], but endpoints are candidates whatever their health, which is the balancer's to weigh.
    Any,
}

impl Rules {
    /// Whether they are Envoy's.
    pub(crate) fn are_envoys(self) -> bool {
        matches!(self, Rules::Envoy | Rules::EnvoyHash)
    }
}

/// What candidates follow from, beside the list of endpoints and their health.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub rules: Rules,
    pub options: &'a Options,
    pub subsets: Option<&'a Subsets>,
    pub caller: &'a CallerInfo,
}

impl<'a> Context<'a> {
    /// The options of zone-aware routing, if it takes place where its conditions are met.
    pub fn zone_aware(self) -> Option<&'a ZoneAwareLbConfig> {
        match &self.options.locality {
            _ if self.rules != Rules::Envoy => None,
            LocalityMode::ZoneAware(config) => Some(config),
            LocalityMode::WhereKnown => Some(&ZoneAwareLbConfig::DEFAULT),
            LocalityMode::Ignored | LocalityMode::Weighted => None,
        }
    }
}

/// Where a call goes once its level is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// Nobody may have it.
    Nobody,
    /// To this set.
    Set(u32),
    /// To one of the localities of this set, by their weights.
    Weighted(u32),
    /// To one of the localities of this set, by zone.
    Zones(u32),
}

/// A group of endpoints that are balanced by themselves: its levels.
#[derive(Clone, Debug, Default)]
struct GroupState {
    levels: Vec<Level>,
    // The route that all calls take, where there is one: the common case needs no draw.
    sole: Option<Route>,
}

/// The candidate sets of a listing whose endpoints are in a certain health.
#[derive(Clone, Debug)]
pub(crate) struct Candidates {
    rules: Rules,
    listing: Arc<Listing>,
    health: Arc<[Health]>,
    // By number.
    sets: Vec<Members>,
    groups: Vec<GroupState>,
    // The share of calls that zones are considered for, in per cent.
    routing_enabled: u64,
}

impl Candidates {
    /// The sets of all endpoints of `listing`; `health` is by [`EndpointIndex`].
    pub fn new(listing: Arc<Listing>, health: Arc<[Health]>, context: Context<'_>) -> Candidates {
        let mut candidates = Candidates {
            rules: context.rules,
            sets: vec![Members::default(); listing.sets().len()],
            groups: vec![GroupState::default(); listing.groups.len()],
            routing_enabled: context
                .zone_aware()
                .map_or(0, |zone_aware| u64::from(zone_aware.routing_enabled.rounded())),
            listing,
            health,
        };
        for group in 0..candidates.groups.len() as u32 {
            for level in 0..candidates.listing.level_count() {
                let level = candidates.fill(group, level as u8, context);
                candidates.groups[group as usize].levels.push(level);
            }
            candidates.distribute(group as usize, context);
        }
        candidates
    }

    /// Those of `count` healthy endpoints with nothing special.
    #[cfg(test)]
    pub fn of_equals(rules: Rules, count: usize) -> Candidates {
        let shape = crate::policy::listing::Shape {
            rules,
            by_locality: false,
            subsets: None,
        };
        let address = |i: usize| crate::policy::EndpointInfo {
            address: i.to_string(),
            ..crate::policy::EndpointInfo::default()
        };
        let infos: Vec<_> = (0..count).map(address).collect();
        let listing = Listing::default().successor(&shape, &infos, |_| false);
        let context = Context {
            rules,
            options: &Options::default(),
            subsets: None,
            caller: &CallerInfo::default(),
        };
        Candidates::new(Arc::new(listing), vec![Health::Healthy; count].into(), context)
    }

    /// The same with `health`, in which only that of one endpoint is another.
    pub fn with_health(&self, endpoint: EndpointIndex, health: Arc<[Health]>, context: Context<'_>) -> Candidates {
        let mut candidates = self.clone();
        candidates.health = health;
        let level = self.listing.level_of(endpoint);
        for (group, held) in (0..).zip(&self.listing.groups) {
            if held.holds(endpoint) {
                candidates.groups[group as usize].levels[level] = candidates.fill(group, level as u8, context);
                candidates.distribute(group as usize, context);
            }
        }
        candidates
    }

    /// Whether any level of the first group, that of everybody, gets calls while it panics.
    pub fn is_in_panic(&self) -> bool {
        self.groups
            .first()
            .is_some_and(|group| group.levels.iter().any(Level::is_in_panic))
    }

    pub fn rules(&self) -> Rules {
        self.rules
    }

    pub fn listing(&self) -> &Arc<Listing> {
        &self.listing
    }

    /// The health of the endpoints, by [`EndpointIndex`]; it says nothing of those that are no longer in the list.
    pub fn health(&self) -> &[Health] {
        &self.health
    }

    /// Counts the endpoints of a level, and fills its sets.
    fn fill(&mut self, group: u32, number: u8, context: Context<'_>) -> Level {
        let listing = Arc::clone(&self.listing);
        let mut level = Level::new(&listing, group, number, context);
        let mut lists: BTreeMap<(Option<u32>, Kind), Vec<EndpointIndex>> = BTreeMap::new();
        for &endpoint in &listing.groups[group as usize].members {
            if listing.level_of(endpoint) != usize::from(number) {
                continue;
            }
            let health = self.health[endpoint.at()];
            let locality = listing.locality_of(endpoint);
            let kind = kind_of(self.rules, health);
            level.add(locality, health, listing.weights[endpoint.at()], kind);
            lists.entry((None, Kind::All)).or_default().push(endpoint);
            if let Some(kind) = kind {
                lists.entry((None, kind)).or_default().push(endpoint);
                lists.entry((Some(locality), kind)).or_default().push(endpoint);
            }
        }
        for (key, set) in listing.sets_of(group, number) {
            let list = lists.remove(&(key.locality, key.kind)).unwrap_or_default();
            self.sets[set as usize] = Members::new(list, &listing.weights);
        }
        level
    }

    /// Spreads the calls of a group over its levels.
    fn distribute(&mut self, number: usize, context: Context<'_>) {
        let listing = &self.listing;
        let group = &mut self.groups[number];
        if listing.groups[number].single {
            // It is used whatever its health.
            let place = listing.groups[number]
                .members
                .first()
                .map(|&endpoint| listing.level_of(endpoint) as u8);
            let set = place.and_then(|level| listing.set(SetKey::whole(number as u32, level, Kind::All)));
            group.sole = Some(set.map_or(Route::Nobody, Route::Set));
            return;
        }
        let loads = level::loads(&group.levels, context);
        for ((level, load), place) in group.levels.iter_mut().zip(loads).zip(0..) {
            level.route(load, number as u32, place, listing, context);
        }
        group.sole = level::sole(&group.levels);
    }

    /// The number of the set of `group` that a call takes: its level by the request's hash, or by chance. `None`: nobody may be picked.
    #[inline]
    pub fn choose(&self, group: u32, hash: Option<u64>, schedules: &mut LocalitySchedules, rng: &mut Rng) -> Option<u32> {
        let group = &self.groups[group as usize];
        let route = match group.sole {
            Some(route) => route,
            None => {
                let draw = hash.unwrap_or_else(|| rng.next_u64());
                level::route_at(&group.levels, (draw % 100) as u32 + 1)
            }
        };
        match route {
            Route::Set(number) => Some(number),
            Route::Nobody => None,
            Route::Weighted(set) => self.by_weight(set, schedules, rng),
            Route::Zones(set) => Some(self.by_zone(set, rng)),
        }
    }

    fn level_of_set(&self, set: u32) -> (SetKey, &Level) {
        let key = self.listing.sets()[set as usize];
        (key, &self.groups[key.group as usize].levels[usize::from(key.level)])
    }

    /// The localities that divide a set by their weights.
    fn weighted_localities(&self, key: SetKey) -> Option<&[LocalityState]> {
        let level = &self.groups[key.group as usize].levels[usize::from(key.level)];
        level.is_weighted.then_some(&level.localities)
    }

    /// The set of the locality whose turn it is.
    fn by_weight(&self, set: u32, schedules: &mut LocalitySchedules, rng: &mut Rng) -> Option<u32> {
        let (key, level) = self.level_of_set(set);
        let place = schedules.pick(set, rng, level.localities.len(), |place| {
            level.localities[place].effective(key.kind)
        });
        level.localities[place].set(key.kind)
    }

    /// The set of the locality that zone-aware routing sends a call to.
    fn by_zone(&self, set: u32, rng: &mut Rng) -> u32 {
        let (key, level) = self.level_of_set(set);
        if rng.next_u64() % 100 >= self.routing_enabled {
            return set;
        }
        let routing = level.routing.as_ref().expect("the route says so");
        let place = routing.choose(|| rng.next_u64());
        level.localities[place]
            .set(key.kind)
            .expect("localities of Envoy's have sets")
    }

    /// Whom to ask when nobody of `set` may have a call: the next level of families that go on level by level.
    #[cold]
    pub fn level_after(&self, set: CandidateSet<'_>) -> Option<CandidateSet<'_>> {
        if self.rules.are_envoys() {
            return None;
        }
        let next = usize::from(set.key().level) + 1;
        (next..self.listing.level_count())
            .filter_map(|level| self.listing.set(SetKey::whole(0, level as u8, Kind::Healthy)))
            .map(|number| self.set(number))
            .find(|set| !set.is_empty())
    }

    /// The sets of a level.
    pub fn sets_of(&self, level: usize) -> impl Iterator<Item = CandidateSet<'_>> {
        let sets = self.listing.sets().iter().zip(0..);
        sets.filter(move |(key, _)| usize::from(key.level) == level)
            .map(|(_, number)| self.set(number))
    }

    /// The set of this number.
    #[inline]
    pub fn set(&self, number: u32) -> CandidateSet<'_> {
        CandidateSet::new(self, number, &self.sets[number as usize])
    }
}

fn kind_of(rules: Rules, health: Health) -> Option<Kind> {
    match (health, rules) {
        (_, Rules::Any) | (Health::Healthy, _) | (Health::Degraded, Rules::Ready) => Some(Kind::Healthy),
        (Health::Degraded, _) => Some(Kind::Degraded),
        (Health::Unhealthy | Health::Excluded, _) => None,
    }
}
