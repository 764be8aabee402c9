//! Subsets: groups of endpoints by their metadata, and which groups a call is offered, one after the other.
//!
//! As Envoy's subset load balancer does it (`source/extensions/load_balancing_policies/subset/subset_lb.cc`), with its quirk that
//! a selector's own fallback is not heard of when its keys begin those of a selector before it.

use crate::policy::candidates::options::{
    FallbackPolicy, LbSubsetConfig, MetadataFallbackPolicy, SelectorFallbackPolicy, SubsetSelector,
};
use crate::policy::metadata::{Metadata, MetadataMatch, Value};

/// What a group is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum GroupKey {
    /// All endpoints.
    Everybody,
    /// Those of `default_subset`.
    Default,
    /// Those with these values.
    Subset(Metadata),
}

/// The options, with the selectors in the order in which they are tried, their keys sorted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subsets {
    config: LbSubsetConfig,
}

impl Subsets {
    pub fn new(config: &LbSubsetConfig) -> Subsets {
        let mut config = config.clone();
        for selector in &mut config.subset_selectors {
            selector.keys.sort_unstable();
            selector.keys.dedup();
        }
        if config.allow_redundant_keys {
            config
                .subset_selectors
                .sort_by_key(|selector| std::cmp::Reverse(selector.keys.len()));
        }
        Subsets { config }
    }

    /// Whether localities have weights in a group.
    pub fn locality_weight_aware(&self) -> bool {
        self.config.locality_weight_aware
    }

    /// The weight of a locality of which a group has `count` of `total` endpoints.
    pub fn scaled(&self, weight: u32, count: u32, total: u32) -> u32 {
        match self.config.scale_locality_weight && total > 0 {
            // In single precision, as Envoy does.
            true => ((u64::from(weight) * u64::from(count)) as f32 / total as f32).round() as u32,
            false => weight,
        }
    }

    /// The groups there are besides those that endpoints make.
    pub fn fixed_groups(&self) -> Vec<GroupKey> {
        let of_selector = |selector: &SubsetSelector| selector.fallback_policy == SelectorFallbackPolicy::DefaultSubset;
        let has_default =
            self.config.fallback_policy == FallbackPolicy::DefaultSubset || self.config.subset_selectors.iter().any(of_selector);
        let default = has_default.then_some(GroupKey::Default);
        [GroupKey::Everybody].into_iter().chain(default).collect()
    }

    /// Whether an endpoint with this metadata is one of `default_subset`.
    pub fn is_default(&self, metadata: &Metadata) -> bool {
        let has = |(key, wanted): (&str, &Value)| match metadata.get(key) {
            Some(Value::List(texts)) if self.config.list_as_any => texts.iter().any(|text| *wanted == Value::Text(text.clone())),
            value => value == Some(wanted),
        };
        self.config.default_subset.iter().all(has)
    }

    /// The subsets of an endpoint with this metadata; the flag says that a subset has but one endpoint.
    pub fn of(&self, metadata: &Metadata) -> Vec<(GroupKey, bool)> {
        let selectors = self.config.subset_selectors.iter();
        selectors
            .flat_map(|selector| {
                let single = selector.single_host_per_subset;
                let subsets = self.combinations(metadata, &selector.keys).into_iter();
                subsets.map(move |values| (GroupKey::Subset(values.into_iter().collect()), single))
            })
            .collect()
    }

    /// Every choice of a value for each key; none if a key has no value.
    fn combinations(&self, metadata: &Metadata, keys: &[String]) -> Vec<Vec<(String, Value)>> {
        let mut all = vec![Vec::new()];
        for key in keys {
            let values = match metadata.get(key) {
                None => Vec::new(),
                Some(Value::List(texts)) if self.config.list_as_any => texts.iter().cloned().map(Value::Text).collect(),
                Some(value) => vec![value.clone()],
            };
            let with = |entries: &Vec<(String, Value)>, value: &Value| {
                let entry = (key.clone(), value.clone());
                entries.iter().cloned().chain([entry]).collect::<Vec<_>>()
            };
            all = all
                .iter()
                .flat_map(|entries| values.iter().map(move |value| with(entries, value)))
                .collect();
        }
        all
    }

    /// The groups that a call with this demand is offered, one after the other; `find` gives the number of a group that has
    /// endpoints.
    pub fn offered(&self, demand: &MetadataMatch, find: impl Fn(&GroupKey) -> Option<u32>) -> Vec<u32> {
        let mut groups = match &demand.fallback_list {
            None => self.offered_once(&demand.criteria, &find),
            Some(list) if self.config.metadata_fallback_policy == MetadataFallbackPolicy::FallbackList && !list.is_empty() => {
                list.iter()
                    .flat_map(|instead| self.offered_once(&demand.criteria.merged(instead), &find))
                    .collect()
            }
            Some(_) if self.config.metadata_fallback_policy == MetadataFallbackPolicy::FallbackList => {
                self.offered_once(&demand.criteria, &find)
            }
            // A demand like any other, which no endpoint meets.
            Some(_) => {
                let unmet = [("fallback_list".to_string(), Value::List(Vec::new()))];
                self.offered_once(&demand.criteria.merged(&unmet.into_iter().collect()), &find)
            }
        };
        groups.dedup();
        groups
    }

    fn offered_once(&self, criteria: &Metadata, find: &impl Fn(&GroupKey) -> Option<u32>) -> Vec<u32> {
        let mut criteria = criteria.clone();
        loop {
            if let Some(selector) = self.redundant(&criteria) {
                criteria = criteria.only(&selector.keys);
            }
            let subset = GroupKey::Subset(criteria.clone());
            if let Some(group) = find(&subset).filter(|_| !criteria.is_empty()) {
                return vec![group];
            }
            let selector = self.selector_of(&criteria);
            match selector.map_or(SelectorFallbackPolicy::NotDefined, |selector| selector.fallback_policy) {
                SelectorFallbackPolicy::NotDefined => break,
                SelectorFallbackPolicy::NoFallback => return Vec::new(),
                SelectorFallbackPolicy::AnyEndpoint => return find(&GroupKey::Everybody).into_iter().collect(),
                SelectorFallbackPolicy::DefaultSubset => return find(&GroupKey::Default).into_iter().collect(),
                // Fewer keys each time, so this ends.
                SelectorFallbackPolicy::KeysSubset => {
                    criteria = criteria.only(&selector.expect("it says so").fallback_keys_subset);
                }
            }
        }
        let fallback = match self.config.fallback_policy {
            FallbackPolicy::NoFallback => return Vec::new(),
            FallbackPolicy::AnyEndpoint => GroupKey::Everybody,
            FallbackPolicy::DefaultSubset => GroupKey::Default,
        };
        let any = self.config.panic_mode_any.then_some(GroupKey::Everybody);
        [fallback].into_iter().chain(any).filter_map(|key| find(&key)).collect()
    }

    /// The selector that decides which of too many keys count.
    fn redundant(&self, criteria: &Metadata) -> Option<&SubsetSelector> {
        let mut selectors = self.config.subset_selectors.iter();
        selectors.find(|selector| self.config.allow_redundant_keys && selector.keys.iter().all(|key| criteria.get(key).is_some()))
    }

    /// The selector with exactly these keys whose fallback is heard of.
    fn selector_of(&self, criteria: &Metadata) -> Option<&SubsetSelector> {
        let selectors = &self.config.subset_selectors;
        let is_it = |selector: &SubsetSelector| {
            selector
                .keys
                .iter()
                .map(String::as_str)
                .eq(criteria.iter().map(|entry| entry.0))
        };
        let at = selectors.iter().position(is_it)?;
        let begun_before = selectors[..at]
            .iter()
            .any(|before| before.keys.starts_with(&selectors[at].keys));
        (!begun_before).then(|| &selectors[at])
    }
}
