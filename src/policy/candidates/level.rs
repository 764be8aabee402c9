//! One priority level of one group: what it has, and where the calls go that come to it.

use crate::policy::Health;
use crate::policy::candidates::load::{Counts, Load, availability, distribute};
use crate::policy::candidates::locality::LocalityState;
use crate::policy::candidates::subset::Subsets;
use crate::policy::candidates::zone_aware::{self, Routing, Zone};
use crate::policy::candidates::{Context, LocalityBasis, LocalityMode, Route, Rules};
use crate::policy::listing::{Kind, LevelLocality, Listing, SetKey};

/// One level.
#[derive(Clone, Debug)]
pub(super) struct Level {
    counts: Counts,
    // The same by weight.
    weights: Counts,
    // Those whom families that want ready endpoints may pick.
    ready: u32,
    load: Load,
    // Where the calls go that its healthy and its degraded endpoints get.
    routes: [Route; 2],
    /// The caller's own first, the others by name.
    pub localities: Vec<LocalityState>,
    // The places in `localities`, by locality.
    ranks: Vec<u32>,
    /// Whether the localities have weights.
    pub is_weighted: bool,
    /// How calls are shared among zones.
    pub routing: Option<Routing>,
}

impl Level {
    /// A level of which nothing is counted yet.
    pub fn new(listing: &Listing, group: u32, number: u8, context: Context<'_>) -> Level {
        let state = |&locality: &LevelLocality| LocalityState {
            listed: locality,
            weight: 0,
            counts: Counts::default(),
            healthy_weight: 0,
            sets: [Kind::Healthy, Kind::Degraded].map(|kind| {
                listing.set(SetKey {
                    locality: Some(locality.locality),
                    ..SetKey::whole(group, number, kind)
                })
            }),
            effective: [0.0; 2],
        };
        let listed = listing.localities(usize::from(number));
        let mut localities: Vec<LocalityState> = listed.iter().map(state).collect();
        let is_own = |locality: &LocalityState| listing.zone(locality.listed.locality) == context.caller.zone;
        if let Some(own) = localities.iter().position(is_own) {
            localities[..=own].rotate_right(1);
        }
        let mut ranks = Vec::new();
        for (locality, rank) in localities.iter().zip(0..) {
            ranks.resize(ranks.len().max(locality.listed.locality as usize + 1), 0);
            ranks[locality.listed.locality as usize] = rank;
        }
        Level {
            counts: Counts::default(),
            weights: Counts::default(),
            ready: 0,
            load: Load::default(),
            routes: [Route::Nobody; 2],
            localities,
            ranks,
            is_weighted: is_weighted(listed, context),
            routing: None,
        }
    }

    /// Counts an endpoint, which is in the sets of `kind`.
    pub fn add(&mut self, locality: u32, health: Health, weight: u32, kind: Option<Kind>) {
        self.counts.add(health, 1);
        self.weights.add(health, weight);
        self.ready += u32::from(kind == Some(Kind::Healthy));
        self.localities[self.ranks[locality as usize] as usize].add(health, weight);
    }

    /// Decides where the calls go that come here, `load` being the level's share.
    pub fn route(&mut self, load: Load, group: u32, number: u8, listing: &Listing, context: Context<'_>) {
        self.load = load;
        self.localities.iter_mut().for_each(|locality| locality.weigh(context));
        self.routing = None;
        if let Some(config) = context.zone_aware().filter(|_| number == 0) {
            let zones = self.localities.iter().map(|locality| Zone {
                name: listing.zone(locality.listed.locality),
                healthy: locality.counts.healthy,
                share: match config.locality_basis {
                    LocalityBasis::HealthyHostsNum => u64::from(locality.counts.healthy),
                    LocalityBasis::HealthyHostsWeight => locality.healthy_weight,
                },
            });
            self.routing = zone_aware::route(config, context.caller, zones, u64::from(self.counts.healthy));
        }
        let set = |kind| {
            let number = listing.set(SetKey::whole(group, number, kind));
            number.expect("every level has a set of this kind")
        };
        let fails = context.zone_aware().is_some_and(|config| config.fail_traffic_on_panic);
        self.routes = [Kind::Healthy, Kind::Degraded].map(|kind| match (load.panic, context.rules) {
            (true, Rules::Envoy) if fails => Route::Nobody,
            (true, _) => Route::Set(set(Kind::All)),
            (false, Rules::EnvoyHash) => Route::Set(set(Kind::Healthy)),
            (false, Rules::Envoy) if self.has_turns(kind) => Route::Weighted(set(kind)),
            (false, Rules::Envoy) if self.routing.is_some() => Route::Zones(set(kind)),
            (false, _) => Route::Set(set(kind)),
        });
    }

    /// Whether it gets calls, and they go to all its endpoints whatever their health.
    pub fn is_in_panic(&self) -> bool {
        self.load.panic && self.load.healthy + self.load.degraded > 0
    }

    /// Whether localities take turns at its endpoints of that kind.
    fn has_turns(&self, kind: Kind) -> bool {
        self.is_weighted && self.localities.iter().any(|locality| locality.effective(kind) > 0.0)
    }
}

/// Whether these localities have weights.
fn is_weighted(localities: &[LevelLocality], context: Context<'_>) -> bool {
    let is_aware = context.subsets.is_none_or(Subsets::locality_weight_aware);
    let has_weights = match context.options.locality {
        LocalityMode::Weighted => true,
        LocalityMode::WhereKnown => localities.iter().any(|locality| locality.weight.is_some()),
        LocalityMode::Ignored | LocalityMode::ZoneAware(_) => false,
    };
    context.rules.are_envoys() && is_aware && has_weights
}

/// The shares of the levels of a group.
pub(super) fn loads(levels: &[Level], context: Context<'_>) -> Vec<Load> {
    if !context.rules.are_envoys() {
        return first_ready(levels);
    }
    let counts: Vec<Counts> = levels.iter().map(|level| level.counts).collect();
    let available = levels.iter().map(|level| {
        let counts = match context.options.weighted_priority_health {
            true => level.weights,
            false => level.counts,
        };
        availability(counts, context.options.overprovisioning_factor)
    });
    distribute(
        &counts,
        &available.collect::<Vec<_>>(),
        context.options.healthy_panic_threshold,
    )
}

/// Everything to the first level that has anybody.
fn first_ready(levels: &[Level]) -> Vec<Load> {
    let mut loads = vec![Load::default(); levels.len()];
    if let Some(first) = levels.iter().position(|level| level.ready > 0) {
        loads[first].healthy = 100;
    }
    loads
}

/// The route that all calls take, where there is one.
pub(super) fn sole(levels: &[Level]) -> Option<Route> {
    if levels.iter().all(|level| level.load.healthy == 0 && level.load.degraded == 0) {
        return Some(Route::Nobody);
    }
    let healthy = levels
        .iter()
        .find(|level| level.load.healthy == 100)
        .map(|level| level.routes[0]);
    let degraded = || {
        levels
            .iter()
            .find(|level| level.load.degraded == 100)
            .map(|level| level.routes[1])
    };
    healthy.or_else(degraded)
}

/// The route of the calls whose draw from 1 to 100 is `draw`.
pub(super) fn route_at(levels: &[Level], draw: u32) -> Route {
    let healthy = levels.iter().map(|level| (level.load.healthy, level.routes[0]));
    let degraded = levels.iter().map(|level| (level.load.degraded, level.routes[1]));
    let mut passed = 0;
    for (share, route) in healthy.chain(degraded) {
        passed += share;
        if draw <= passed {
            return route;
        }
    }
    Route::Nobody
}
