//! Zone-aware routing: a caller sends its calls to its own zone as far as that zone has room for them.
//!
//! Room is the share of the healthy endpoints that a zone has, less the share of the callers that are in it, in integers as Envoy
//! computes them (`source/extensions/load_balancing_policies/common/load_balancer_impl.cc`: `calculateLocalityPercentages`,
//! `regenerateLocalityRoutingStructures`, `tryChooseLocalLocalityHosts`). Zones are known by their names; the health of the other
//! callers is not known, so all of them count.

use crate::policy::CallerInfo;
use crate::policy::candidates::options::{ForceLocalZone, ZoneAwareLbConfig};

/// One hundred per cent, in the unit of shares here.
const WHOLE: u64 = 10_000;

/// The share of one zone, in ten-thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneShare {
    /// Of the callers.
    pub local: u64,
    /// Of the healthy endpoints.
    pub upstream: u64,
}

/// The shares of the zones, of which `upstream` holds the names and how much is healthy there; `local` counts the callers by zone.
pub fn zone_shares<'a>(local: &[(String, u32)], upstream: impl Iterator<Item = (&'a str, u64)> + Clone) -> Vec<ZoneShare> {
    let local_total: u64 = local.iter().map(|&(_, count)| u64::from(count)).sum();
    let upstream_total: u64 = upstream.clone().map(|(_, healthy)| healthy).sum();
    let share = |part: u64, total: u64| (WHOLE * part).checked_div(total).unwrap_or(0);
    let of = |(zone, healthy): (&str, u64)| {
        if healthy == 0 {
            return ZoneShare::default();
        }
        let peers = local
            .iter()
            .find(|(name, _)| name == zone)
            .map_or(0, |&(_, count)| u64::from(count));
        ZoneShare {
            local: share(peers, local_total),
            upstream: share(healthy, upstream_total),
        }
    };
    upstream.map(of).collect()
}

/// Which zone a call goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Always to the first, the caller's own.
    Direct,
    /// To the first with some probability, else to where there is room left.
    Residual {
        /// The probability of the first, in ten-thousandths.
        local_percent_to_route: u64,
        /// The room of the zones up to and including each.
        residual_capacity: Vec<u64>,
    },
}

impl Routing {
    /// How to share among zones with these shares. `own_is_first`: the first one is the caller's own. `forced`: it is to get all.
    pub fn new(shares: &[ZoneShare], own_is_first: bool, forced: bool) -> Routing {
        let own = shares.first().copied().unwrap_or_default();
        if own_is_first && (forced || (own.upstream > 0 && own.upstream >= own.local)) {
            return Routing::Direct;
        }
        let mut sum = 0;
        let room = |(i, share): (usize, &ZoneShare)| {
            // What the own zone can take it has already got.
            if !(i == 0 && own_is_first) {
                sum += share.upstream.saturating_sub(share.local);
            }
            sum
        };
        Routing::Residual {
            residual_capacity: shares.iter().enumerate().map(room).collect(),
            local_percent_to_route: match own_is_first {
                true => (own.upstream * WHOLE).checked_div(own.local).unwrap_or(0),
                false => 0,
            },
        }
    }

    /// The place of a zone; `draw` gives 64 uniform bits each time.
    pub fn choose(&self, mut draw: impl FnMut() -> u64) -> usize {
        let Routing::Residual {
            local_percent_to_route,
            residual_capacity,
        } = self
        else {
            return 0;
        };
        if draw() % WHOLE < *local_percent_to_route {
            return 0;
        }
        match residual_capacity.last() {
            // Rounding can leave no room anywhere.
            None | Some(0) => (draw() % residual_capacity.len().max(1) as u64) as usize,
            Some(room) => {
                let threshold = draw() % room;
                residual_capacity.partition_point(|&up_to| up_to <= threshold)
            }
        }
    }
}

/// What zone-aware routing does with a level whose zones, the caller's own first if it is among them, hold so much.
pub(crate) fn route<'a>(
    config: &ZoneAwareLbConfig,
    caller: &CallerInfo,
    zones: impl ExactSizeIterator<Item = Zone<'a>> + Clone,
    healthy_total: u64,
) -> Option<Routing> {
    let peers = |zone: &str| caller.local_hosts.iter().any(|(name, count)| name == zone && *count > 0);
    let peer_zones = caller.local_hosts.iter().filter(|(_, count)| *count > 0).count();
    let too_few_zones = zones.len() < 2 || (peer_zones < 2 && config.force_local_zone.is_none());
    if too_few_zones || !peers(&caller.zone) || healthy_total < config.min_cluster_size {
        return None;
    }
    let first = zones.clone().next().expect("there are at least two");
    let own_is_first = first.name == caller.zone;
    let enough = |force: &ForceLocalZone| first.healthy >= force.min_size;
    let forced = config.force_local_zone.as_ref().is_some_and(enough);
    let shares = zone_shares(&caller.local_hosts, zones.map(|zone| (zone.name, zone.share)));
    Some(Routing::new(&shares, own_is_first, forced))
}

/// What a zone of the upstream has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zone<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its healthy endpoints.
    pub healthy: u32,
    /// What its share goes by: the same, or the sum of their weights.
    pub share: u64,
}
