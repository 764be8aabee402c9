//! Which endpoints of a Kubernetes Service a node's traffic may go to, by the zones of both: what the EndpointSlice controller hints, and
//! what kube-proxy makes of it.
//!
//! `pkg/proxy/topology.go` and `staging/src/k8s.io/endpointslice/topologycache/{topologycache,utils}.go` of kubernetes/kubernetes.

use std::collections::BTreeMap;

/// The overload that a zone's endpoints may be exposed to at most.
const OVERLOAD_THRESHOLD: f64 = 0.2;

/// How many endpoints a zone is to have.
#[derive(Clone, Copy, Debug)]
struct Allocation {
    minimum: usize,
    desired: f64,
}

/// For each endpoint the zone that it is hinted for; `None`: there are no hints, since the endpoints cannot be divided so that no zone is
/// overloaded. `shares` are those of the zones' processors. Ties between zones go by name, where the controller's go by chance.
pub fn hints<'a>(zones: &[&'a str], shares: &BTreeMap<&'a str, f64>) -> Option<Vec<&'a str>> {
    let allocations = allocations(zones.len(), shares)?;
    if zones.iter().any(|zone| zone.is_empty()) {
        return None;
    }
    let mut allotted: BTreeMap<&str, usize> = BTreeMap::new();
    for zone in zones {
        *allotted.entry(zone).or_default() += 1;
    }
    let (mut giving, mut receiving) = exchanges(&allocations, &allotted);
    let mut hints = zones.to_vec();
    for hint in &mut hints {
        let Some(to_give) = giving.get_mut(hint) else { continue };
        let Some((&zone, to_receive)) = receiving.iter_mut().find(|zone| *zone.1 > 0) else {
            break;
        };
        if *to_give > 0 {
            *to_give -= 1;
            *to_receive -= 1;
            *hint = zone;
        }
    }
    Some(hints)
}

/// What each zone is to have of so many endpoints.
fn allocations<'a>(endpoints: usize, shares: &BTreeMap<&'a str, f64>) -> Option<BTreeMap<&'a str, Allocation>> {
    let total: f64 = shares.values().sum();
    if shares.len() < 2 || shares.len() > endpoints || total <= 0.0 {
        return None;
    }
    let allocation = |share: f64| {
        let desired = share / total * endpoints as f64;
        let minimum = (desired * (1.0 / (1.0 + OVERLOAD_THRESHOLD))).ceil();
        Allocation {
            minimum: minimum as usize,
            desired: desired.max(minimum),
        }
    };
    let allocations: BTreeMap<&str, Allocation> = shares.iter().map(|(zone, &share)| (*zone, allocation(share))).collect();
    let least: usize = allocations.values().map(|allocation| allocation.minimum).sum();
    (least <= endpoints).then_some(allocations)
}

type Counts<'a> = BTreeMap<&'a str, usize>;

/// How many endpoints each zone gives to others, and gets of them.
fn exchanges<'a>(allocations: &BTreeMap<&'a str, Allocation>, allotted: &Counts<'a>) -> (Counts<'a>, Counts<'a>) {
    let (mut spare, mut missing) = (BTreeMap::new(), BTreeMap::new());
    for (&zone, allocation) in allocations {
        let surplus = allotted.get(zone).copied().unwrap_or(0) as f64 - allocation.desired;
        if surplus > 0.0 {
            spare.insert(zone, surplus);
        } else if surplus < 0.0 {
            missing.insert(zone, -surplus);
        }
    }
    let (mut giving, mut receiving) = (Counts::new(), Counts::new());
    while let (Some((giver, to_give)), Some((receiver, to_receive))) = (most(&spare), most(&missing)) {
        if (to_give < 1.0 && to_receive < 1.0) || to_give < 0.5 || to_receive < 0.5 {
            break;
        }
        *giving.entry(giver).or_default() += 1;
        *receiving.entry(receiver).or_default() += 1;
        spare.insert(giver, to_give - 1.0);
        missing.insert(receiver, to_receive - 1.0);
    }
    (giving, receiving)
}

/// The zone with the most, if any has something.
fn most<'a>(zones: &BTreeMap<&'a str, f64>) -> Option<(&'a str, f64)> {
    let mut most = None;
    for (&zone, &amount) in zones {
        if amount > most.map_or(0.0, |(_, amount)| amount) {
            most = Some((zone, amount));
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Zones of endpoints as one letter each, and shares by zone; hints the same way.
    fn check(zones: &str, shares: &[(&'static str, f64)], expected: Option<&str>) {
        let letters: Vec<String> = zones.chars().map(|zone| zone.to_string()).collect();
        let zones: Vec<&str> = letters.iter().map(|zone| zone.trim()).collect();
        let shares = shares.iter().copied().collect();
        let found = hints(&zones, &shares).map(|hints| hints.concat());
        assert_eq!(found.as_deref(), expected, "{zones:?} {shares:?}");
    }

    #[test]
    fn endpoints_are_hinted_for_their_own_zones_unless_another_needs_them() {
        let equal = [("a", 1.0), ("b", 1.0), ("c", 1.0)];
        check("aabbcc", &equal, Some("aabbcc"));
        // topologycache.go: 9 endpoints make 3 for each of three equal zones, and at least ceil(3 / 1.2) = 3.
        check("aaaaabbbc", &equal, Some("ccaaabbbc"));
        check("aaaabbbcc", &equal, Some("caaabbbcc"));
        // Two thirds of the processors in a: 8 of 12, at least 7.
        check("aaaaaabbbbbb", &[("a", 2.0), ("b", 1.0)], Some("aaaaaaaabbbb"));
        // A zone without endpoints is given some.
        check("aaaaaabbbbbb", &equal, Some("ccaaaaccbbbb"));
    }

    #[test]
    fn there_are_no_hints_where_a_zone_would_be_overloaded() {
        // Of four endpoints each of three equal zones would need ceil(1.33 / 1.2) = 2.
        check("aabc", &[("a", 1.0), ("b", 1.0), ("c", 1.0)], None);
        check("ab", &[("a", 1.0), ("b", 1.0), ("c", 1.0)], None);
        check("aaaa", &[("a", 1.0)], None);
        check("aaab b", &[("a", 1.0), ("b", 1.0)], None);
    }
}
