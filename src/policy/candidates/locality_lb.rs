//! Istio's `localityLbSetting`: which priority the endpoints of a locality have for a proxy in another, or how its calls are shared out.
//!
//! After `pilot/pkg/networking/core/loadbalancer/loadbalancer.go` and `pilot/pkg/networking/util/util.go` (`LbPriority`, `LocalityMatch`) of
//! istio/istio. It changes what discovery says of the endpoints before a caller hears it, each caller by its own locality.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::policy::{CallerInfo, EndpointInfo, PRIORITY_MAX};

/// What a user may write.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LocalityLbSetting {
    /// Whether it counts; it does if absent. Without `distribute` it takes effect only beside `outlier_detection`.
    #[schemars(extend("x-upstream" = "LocalityLoadBalancerSetting.enabled"))]
    pub enabled: bool,
    /// Where the calls of a region go when it fails; any other region if absent.
    #[schemars(extend("x-upstream" = "LocalityLoadBalancerSetting.failover"))]
    pub failover: Vec<Failover>,
    /// Labels (`topology.kubernetes.io/region`, `topology.kubernetes.io/zone`, `topology.istio.io/subzone`, keys of the endpoints' `metadata`)
    /// or `label=value`: the more of the first of them an endpoint has in common with the caller, the sooner it is used.
    #[serde(alias = "failoverPriority")]
    #[schemars(extend("x-upstream" = "LocalityLoadBalancerSetting.failover_priority"))]
    pub failover_priority: Vec<String>,
    /// How the calls of a locality are shared out; then there is no failover.
    #[schemars(extend("x-upstream" = "LocalityLoadBalancerSetting.distribute"))]
    pub distribute: Vec<Distribute>,
}

/// Where the calls of a region go when it fails.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failover {
    /// The region of the caller.
    pub from: String,
    /// The region that is used before all others.
    pub to: String,
}

/// How the calls of a locality are shared out.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distribute {
    /// The callers' locality: `region/zone/sub-zone`, with `*` for any; without regions the zone alone will do.
    pub from: String,
    /// Per cent by locality, 100 in all. Localities that are not there get nothing.
    pub to: BTreeMap<String, u32>,
}

impl Default for LocalityLbSetting {
    fn default() -> LocalityLbSetting {
        LocalityLbSetting {
            enabled: true,
            failover: Vec::new(),
            failover_priority: Vec::new(),
            distribute: Vec::new(),
        }
    }
}

/// Region, zone, sub-zone.
type Locality<'a> = [&'a str; 3];

fn of_endpoint(info: &EndpointInfo) -> Locality<'_> {
    [&info.region, &info.zone, &info.sub_zone]
}

fn of_caller(caller: &CallerInfo) -> Locality<'_> {
    [&caller.region, &caller.zone, &caller.sub_zone]
}

/// Whether a locality is one of those that a pattern stands for.
fn is_match(locality: Locality<'_>, pattern: &str) -> bool {
    let mut parts = pattern.splitn(3, '/');
    let mut part = || parts.next().unwrap_or_default();
    let (mut region, mut zone, sub_zone) = (part(), part(), part());
    // Where there are no regions, a name on its own is a zone's.
    if locality[0].is_empty() && zone.is_empty() && region != "*" {
        (region, zone) = ("*", region);
    }
    let is_region = region == "*" || region == locality[0];
    let fits = |pattern: &str, name: &str| pattern == "*" || pattern.is_empty() || pattern == name;
    is_region && fits(zone, locality[1]) && fits(sub_zone, locality[2])
}

/// How far away a locality is: 0 the same, 1 another sub-zone, 2 another zone, 3 another region.
fn distance(a: Locality<'_>, b: Locality<'_>) -> u32 {
    let common = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    3 - common as u32
}

/// The weights of localities that share `percent` of the calls in proportion to their own weights, rounded up.
pub fn distribute_weights(percent: u32, weights: &[u32]) -> Vec<u32> {
    let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    let share = |&weight: &u32| (u64::from(weight) * u64::from(percent)).div_ceil(total.max(1)) as u32;
    weights.iter().map(share).collect()
}

impl LocalityLbSetting {
    /// Whether the options make sense, as Istio sees it.
    ///
    /// # Errors
    /// A sentence about the first that does not.
    pub fn check(&self) -> Result<(), String> {
        let has_failover = !self.failover.is_empty() || !self.failover_priority.is_empty();
        if has_failover && !self.distribute.is_empty() {
            return Err("`distribute` excludes `failover` and `failover_priority`".to_string());
        }
        for rule in &self.distribute {
            if let Some((to, _)) = rule.to.iter().find(|(_, percent)| !(1..=100).contains(*percent)) {
                return Err(format!("the share of `{to}` in `distribute` must be from 1 to 100 per cent"));
            }
            let sum: u32 = rule.to.values().sum();
            if sum != 100 {
                return Err(format!(
                    "the shares of `distribute` from `{}` must be 100 in all, not {sum}",
                    rule.from
                ));
            }
        }
        match self.failover.iter().find(|rule| rule.from == rule.to) {
            Some(rule) => Err(format!("`failover` from `{0}` to `{0}` leads nowhere", rule.from)),
            None => Ok(()),
        }
    }

    /// Whether it changes anything where there is outlier detection, or none.
    pub fn is_effective(&self, has_outlier_detection: bool) -> bool {
        self.enabled && (has_outlier_detection || !self.distribute.is_empty())
    }

    /// What a caller is told of the endpoints.
    pub fn apply(&self, caller: &CallerInfo, answer: &[EndpointInfo]) -> Vec<EndpointInfo> {
        if !self.distribute.is_empty() {
            return self.apply_shares(caller, answer);
        }
        let mut answer = answer.to_vec();
        if !self.failover_priority.is_empty() {
            let labels = self.failover_priority.iter().map(|label| Label::new(label, caller));
            let labels: Vec<Label<'_>> = labels.collect();
            for info in &mut answer {
                let matched = labels.iter().take_while(|label| label.is_of(info)).count();
                info.priority = (labels.len() - matched) as u32;
            }
            close_gaps(&mut answer);
        }
        if self.failover_priority.is_empty() || !self.failover.is_empty() {
            for info in &mut answer {
                // At most five kinds of distance, within each priority that there was before.
                info.priority = info.priority * 5 + self.distance(caller, info);
            }
            close_gaps(&mut answer);
        }
        answer
    }

    fn distance(&self, caller: &CallerInfo, info: &EndpointInfo) -> u32 {
        let distance = distance(of_caller(caller), of_endpoint(info));
        let rule = self.failover.iter().find(|rule| rule.from == caller.region);
        match rule {
            Some(rule) if distance == 3 && rule.to != info.region => 4,
            _ => distance,
        }
    }

    fn apply_shares(&self, caller: &CallerInfo, answer: &[EndpointInfo]) -> Vec<EndpointInfo> {
        let rule = self.distribute.iter().find(|rule| is_match(of_caller(caller), &rule.from));
        let Some(rule) = rule else {
            return answer.to_vec();
        };
        // The weight of a locality is that of its endpoints together.
        let mut weights: BTreeMap<Locality<'_>, u32> = BTreeMap::new();
        for info in answer {
            *weights.entry(of_endpoint(info)).or_default() += info.weight.max(1);
        }
        let mut shares: BTreeMap<Locality<'_>, u32> = BTreeMap::new();
        for (pattern, &percent) in &rule.to {
            let is_free = |locality: &Locality<'_>| !shares.contains_key(locality) && is_match(*locality, pattern);
            let (localities, own): (Vec<Locality<'_>>, Vec<u32>) =
                weights.iter().filter(|(locality, _)| is_free(locality)).unzip();
            shares.extend(localities.into_iter().zip(distribute_weights(percent, &own)));
        }
        let told = answer.iter().filter_map(|info| {
            let &share = shares.get(&of_endpoint(info))?;
            Some(EndpointInfo {
                locality_weight: Some(share),
                ..info.clone()
            })
        });
        told.collect()
    }
}

/// A label that endpoints may have in common with a caller.
struct Label<'a> {
    name: &'a str,
    value: &'a str,
}

impl<'a> Label<'a> {
    fn new(text: &'a str, caller: &'a CallerInfo) -> Label<'a> {
        if let Some((name, value)) = text.split_once('=') {
            return Label { name, value };
        }
        let value = place_of(text).map_or("", |place| of_caller(caller)[place]);
        Label { name: text, value }
    }

    fn is_of(&self, info: &EndpointInfo) -> bool {
        let own = match place_of(self.name) {
            Some(place) => of_endpoint(info)[place],
            None => info.metadata.text(self.name).unwrap_or_default(),
        };
        own == self.value
    }
}

/// Which part of a locality a label is.
fn place_of(label: &str) -> Option<usize> {
    match label {
        "topology.kubernetes.io/region" | "region" => Some(0),
        "topology.kubernetes.io/zone" | "zone" => Some(1),
        "topology.istio.io/subzone" | "subzone" => Some(2),
        _ => None,
    }
}

/// Numbers the priorities that there are from 0 on, in their order.
fn close_gaps(answer: &mut [EndpointInfo]) {
    let mut places: BTreeMap<u32, u32> = answer.iter().map(|info| (info.priority, 0)).collect();
    for (place, number) in (0..).zip(places.values_mut()) {
        *number = place;
    }
    for info in answer {
        info.priority = places[&info.priority].min(PRIORITY_MAX);
    }
}
