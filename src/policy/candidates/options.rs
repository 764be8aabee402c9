//! What a user may write about who may be picked: Envoy's `common_lb_config` and what stands beside it in a cluster.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::policy::balancer::common::words_schema;
use crate::policy::{Metadata, MetadataMatch};

/// Who may be picked. The rules of other families than Envoy have none of these.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// A level of which fewer per cent can be picked is in panic: all its endpoints are used, whatever their health. 0: never.
    pub healthy_panic_threshold: u32,
    /// In per cent: a level or a locality is fully available while 100 / this of it is healthy.
    pub overprovisioning_factor: u32,
    /// Whether a level's availability goes by the weights of its endpoints rather than by their number.
    pub weighted_priority_health: bool,
    /// How localities take part.
    pub locality: LocalityMode,
    /// The subsets, where there are any.
    pub subsets: Option<LbSubsetConfig>,
    /// What calls demand of an endpoint's metadata that say nothing of it themselves.
    pub metadata_match: MetadataMatch,
}

impl Default for Options {
    /// Envoy's defaults for a cluster that configures nothing.
    fn default() -> Options {
        Options {
            healthy_panic_threshold: 50,
            overprovisioning_factor: 140,
            weighted_priority_health: false,
            locality: LocalityMode::Ignored,
            subsets: None,
            metadata_match: MetadataMatch::default(),
        }
    }
}

/// How localities take part in who is picked.
#[derive(Clone, Debug, PartialEq)]
pub enum LocalityMode {
    /// Not at all.
    Ignored,
    /// By their weights, where endpoints have any; else by zone with Envoy's defaults, where the zones of the caller's peers are known.
    WhereKnown,
    /// By their weights.
    Weighted,
    /// A caller prefers its own zone.
    ZoneAware(ZoneAwareLbConfig),
}

impl Options {
    /// What a `mesh` says, part by part; what is absent has Envoy's default.
    pub fn new(parts: Parts<'_>) -> Options {
        let defaults = Options::default();
        let common = parts.common_lb_config.cloned().unwrap_or_default();
        let threshold = parts.healthy_panic_threshold.or(common.healthy_panic_threshold);
        let factor = parts.overprovisioning_factor;
        let subsets = parts.lb_subset_config.filter(|subsets| !subsets.subset_selectors.is_empty());
        Options {
            healthy_panic_threshold: threshold.map_or(defaults.healthy_panic_threshold, Percent::rounded),
            overprovisioning_factor: factor.map_or(defaults.overprovisioning_factor, |factor| factor.0),
            weighted_priority_health: parts.weighted_priority_health.unwrap_or(defaults.weighted_priority_health),
            locality: match (common.locality_weighted_lb_config, common.zone_aware_lb_config) {
                (Some(_), _) => LocalityMode::Weighted,
                (None, Some(zone_aware)) => LocalityMode::ZoneAware(zone_aware),
                (None, None) => defaults.locality,
            },
            subsets: subsets.cloned(),
            metadata_match: defaults.metadata_match,
        }
    }
}

/// What a `mesh` says of who may be picked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts<'a> {
    /// `common_lb_config`.
    pub common_lb_config: Option<&'a CommonLbConfig>,
    /// `healthy_panic_threshold`, which wins over that in `common_lb_config`.
    pub healthy_panic_threshold: Option<Percent>,
    /// `overprovisioning_factor`.
    pub overprovisioning_factor: Option<OverprovisioningFactor>,
    /// `weighted_priority_health`.
    pub weighted_priority_health: Option<bool>,
    /// `lb_subset_config`.
    pub lb_subset_config: Option<&'a LbSubsetConfig>,
}

/// Envoy's `Cluster.CommonLbConfig`, with the newer options of `LocalityLbConfig`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CommonLbConfig {
    /// A priority level of which a smaller share can be picked uses all its endpoints, whatever their health; 50% if absent, 0: never.
    #[schemars(extend("x-upstream" = "CommonLbConfig.healthy_panic_threshold"))]
    pub healthy_panic_threshold: Option<Percent>,
    /// A caller prefers the endpoints of its own zone as far as these have room for it. Round robin, least request and random only.
    #[schemars(extend("x-upstream" = "CommonLbConfig.zone_aware_lb_config"))]
    pub zone_aware_lb_config: Option<ZoneAwareLbConfig>,
    /// Localities get shares in proportion to their `locality_weight` and to how much of them is healthy.
    #[schemars(extend("x-upstream" = "CommonLbConfig.locality_weighted_lb_config"))]
    pub locality_weighted_lb_config: Option<LocalityWeightedLbConfig>,
}

impl CommonLbConfig {
    /// Whether the options go together.
    ///
    /// # Errors
    /// A sentence about those that do not.
    pub fn check(&self) -> Result<(), String> {
        match (&self.zone_aware_lb_config, &self.locality_weighted_lb_config) {
            (Some(_), Some(_)) => Err("`zone_aware_lb_config` and `locality_weighted_lb_config` exclude each other".to_string()),
            _ => Ok(()),
        }
    }
}

/// In per cent, at least 100: a level or a locality counts as fully available while 100 / this of its endpoints are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(inline, extend("minimum" = 100))]
pub struct OverprovisioningFactor(u32);

impl<'de> Deserialize<'de> for OverprovisioningFactor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OverprovisioningFactor, D::Error> {
        match u32::deserialize(deserializer)? {
            factor @ 100.. => Ok(OverprovisioningFactor(factor)),
            factor => Err(de::Error::custom(format!(
                "an overprovisioning factor is in per cent and must be at least 100, not {factor}"
            ))),
        }
    }
}

/// It has no options.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalityWeightedLbConfig {}

/// Envoy's zone-aware routing.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ZoneAwareLbConfig {
    /// The share of calls that are considered at all; 100% if absent.
    #[schemars(extend("x-upstream" = "ZoneAwareLbConfig.routing_enabled"))]
    pub routing_enabled: Percent,
    /// With fewer healthy endpoints zones are ignored; 6 if absent.
    #[schemars(extend("x-upstream" = "ZoneAwareLbConfig.min_cluster_size"))]
    pub min_cluster_size: u64,
    /// Whether a level in panic refuses calls rather than using all its endpoints; not if absent.
    #[schemars(extend("x-upstream" = "ZoneAwareLbConfig.fail_traffic_on_panic"))]
    pub fail_traffic_on_panic: bool,
    /// The own zone gets everything while it has enough healthy endpoints, whatever the shares of the zones; off if absent.
    #[schemars(extend("x-upstream" = "LocalityLbConfig.ZoneAwareLbConfig.force_local_zone"))]
    pub force_local_zone: Option<ForceLocalZone>,
    /// What the shares of the zones go by; the number of healthy endpoints if absent.
    #[schemars(extend("x-upstream" = "LocalityLbConfig.ZoneAwareLbConfig.locality_basis"))]
    pub locality_basis: LocalityBasis,
}

impl ZoneAwareLbConfig {
    /// Envoy's defaults.
    pub const DEFAULT: ZoneAwareLbConfig = ZoneAwareLbConfig {
        routing_enabled: Percent(100.0),
        min_cluster_size: 6,
        fail_traffic_on_panic: false,
        force_local_zone: None,
        locality_basis: LocalityBasis::HealthyHostsNum,
    };
}

impl Default for ZoneAwareLbConfig {
    fn default() -> ZoneAwareLbConfig {
        ZoneAwareLbConfig::DEFAULT
    }
}

/// When the own zone gets everything.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ForceLocalZone {
    /// So many healthy endpoints are enough; 1 if absent.
    #[schemars(extend("x-upstream" = "ForceLocalZone.min_size"))]
    pub min_size: u32,
}

impl Default for ForceLocalZone {
    fn default() -> ForceLocalZone {
        ForceLocalZone { min_size: 1 }
    }
}

/// What the share of a zone goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalityBasis {
    /// How many healthy endpoints it has.
    #[serde(alias = "HEALTHY_HOSTS_NUM")]
    HealthyHostsNum,
    /// The sum of their weights.
    #[serde(alias = "HEALTHY_HOSTS_WEIGHT")]
    HealthyHostsWeight,
}

/// Envoy's subsets: endpoints by their metadata, and what a call does that fits none.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LbSubsetConfig {
    /// What a call does that fits no subset, or demands nothing; it fails if absent.
    #[schemars(extend("x-upstream" = "LbSubsetConfig.fallback_policy"))]
    pub fallback_policy: FallbackPolicy,
    /// The metadata of the endpoints that `default_subset` stands for.
    #[schemars(extend("x-upstream" = "LbSubsetConfig.default_subset"))]
    pub default_subset: Metadata,
    /// Which keys make subsets; without any there are none.
    #[schemars(extend("x-upstream" = "LbSubsetConfig.subset_selectors"))]
    pub subset_selectors: Vec<SubsetSelector>,
    /// Whether any endpoint serves when the fallback has none either.
    #[schemars(extend("x-upstream" = "LbSubsetConfig.panic_mode_any"))]
    pub panic_mode_any: bool,
    /// Whether the localities of a subset have weights; goes with `locality_weighted_lb_config`.
    #[schemars(extend("x-upstream" = "LbSubsetConfig.locality_weight_aware"))]
    pub locality_weight_aware: bool,
    /// Whether a locality's weight shrinks with the share of its endpoints that the subset has.
    #[schemars(extend("x-upstream" = "LbSubsetConfig.scale_locality_weight"))]
    pub scale_locality_weight: bool,
    /// Whether each text of an endpoint's list is a value of its own.
    #[schemars(extend("x-upstream" = "LbSubsetConfig.list_as_any"))]
    pub list_as_any: bool,
    /// Whether a call may demand other things one after the other, in its `fallback_list`.
    #[schemars(extend("x-upstream" = "LbSubsetConfig.metadata_fallback_policy"))]
    pub metadata_fallback_policy: MetadataFallbackPolicy,
    /// Whether a call may demand more keys than a subset has: the selector with the most keys counts.
    #[schemars(extend("x-upstream" = "LbSubsetConfig.allow_redundant_keys"))]
    pub allow_redundant_keys: bool,
}

/// Keys that make subsets: one for each combination of values that an endpoint has.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SubsetSelector {
    /// The keys.
    #[schemars(extend("x-upstream" = "LbSubsetSelector.keys"))]
    pub keys: Vec<String>,
    /// What a call does that demands these keys and fits no subset; that of the cluster if absent.
    #[schemars(extend("x-upstream" = "LbSubsetSelector.fallback_policy"))]
    pub fallback_policy: SelectorFallbackPolicy,
    /// The keys that `keys_subset` keeps.
    #[schemars(extend("x-upstream" = "LbSubsetSelector.fallback_keys_subset"))]
    pub fallback_keys_subset: Vec<String>,
    /// Whether only the first endpoint of each combination counts.
    #[schemars(extend("x-upstream" = "LbSubsetSelector.single_host_per_subset"))]
    pub single_host_per_subset: bool,
}

/// What a call does that fits no subset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackPolicy {
    /// It fails.
    #[default]
    #[serde(alias = "NO_FALLBACK")]
    NoFallback,
    /// It goes to any endpoint.
    #[serde(alias = "ANY_ENDPOINT")]
    AnyEndpoint,
    /// It goes to the default subset.
    #[serde(alias = "DEFAULT_SUBSET")]
    DefaultSubset,
}

/// What a call does that fits no subset of a selector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectorFallbackPolicy {
    /// As the cluster says.
    #[default]
    #[serde(alias = "NOT_DEFINED")]
    NotDefined,
    /// It fails.
    #[serde(alias = "NO_FALLBACK")]
    NoFallback,
    /// It goes to any endpoint.
    #[serde(alias = "ANY_ENDPOINT")]
    AnyEndpoint,
    /// It goes to the default subset.
    #[serde(alias = "DEFAULT_SUBSET")]
    DefaultSubset,
    /// It demands only the keys of `fallback_keys_subset`.
    #[serde(alias = "KEYS_SUBSET")]
    KeysSubset,
}

/// Whether a call's `fallback_list` is heeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataFallbackPolicy {
    /// No.
    #[default]
    #[serde(alias = "METADATA_NO_FALLBACK")]
    MetadataNoFallback,
    /// Yes: its entries are demanded one after the other.
    #[serde(alias = "FALLBACK_LIST")]
    FallbackList,
}

impl LbSubsetConfig {
    /// Whether the options make sense together, as Envoy sees it.
    ///
    /// # Errors
    /// A sentence about those that do not.
    pub fn check(&self) -> Result<(), String> {
        for selector in &self.subset_selectors {
            let is_key = |key: &String| selector.keys.contains(key);
            let kept = &selector.fallback_keys_subset;
            let wants_some = selector.fallback_policy == SelectorFallbackPolicy::KeysSubset;
            if selector.keys.is_empty() {
                return Err("a subset selector needs at least one of `keys`".to_string());
            }
            if wants_some == kept.is_empty() {
                return Err("`fallback_keys_subset` goes with `fallback_policy: keys_subset`, and only with it".to_string());
            }
            if let Some(other) = kept.iter().find(|key| !is_key(key)) {
                return Err(format!(
                    "`fallback_keys_subset` holds `{other}`, which is not among the selector's `keys`"
                ));
            }
            if wants_some && selector.keys.iter().all(|key| kept.contains(key)) {
                return Err("`fallback_keys_subset` must leave out at least one of the selector's `keys`".to_string());
            }
        }
        Ok(())
    }
}

/// A share of 100: `50%`, `50` or Envoy's `{value: 50}`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(f64);

impl Percent {
    /// As a part of 1.
    pub fn as_share(self) -> f64 {
        self.0 / 100.0
    }

    /// To whole per cent, as Envoy rounds.
    pub fn rounded(self) -> u32 {
        self.0.round() as u32
    }

    fn new(value: f64) -> Result<Percent, String> {
        match value {
            0.0..=100.0 => Ok(Percent(value)),
            _ => Err(format!("a share must be from 0% to 100%, not {value}%")),
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Percent, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename = "Percent")]
        struct Long {
            #[serde(default)]
            value: f64,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Percent;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share such as `50%`, `50` or `{value: 50}`")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Percent, E> {
                Percent::new(value).map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Percent, E> {
                self.visit_f64(value as f64)
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Percent, E> {
                self.visit_f64(value as f64)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Percent, E> {
                let number = text.trim().trim_end_matches('%').trim_end();
                match number.parse() {
                    Ok(value) => self.visit_f64(value),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Percent, A::Error> {
                let long = Long::deserialize(de::value::MapAccessDeserializer::new(map))?;
                self.visit_f64(long.value)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl serde::Serialize for Percent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}%", self.0))
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A share of 100: `50%`, `50` or `{value: 50}`.",
            "type": ["string", "number", "object"],
            "minimum": 0, "maximum": 100,
            "pattern": r"^\s*[0-9.]+\s*%?\s*$",
            "properties": {"value": {"type": "number", "minimum": 0, "maximum": 100}},
            "additionalProperties": false
        })
    }
}

/// The schema of an enum that takes one of Envoy's words.
macro_rules! words {
    ($($name:ident: $($word:literal),+;)*) => {
        $(impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                words_schema(&[$($word),+])
            }
        })*
    };
}

words! {
    LocalityBasis: "healthy_hosts_num", "healthy_hosts_weight";
    FallbackPolicy: "no_fallback", "any_endpoint", "default_subset";
    SelectorFallbackPolicy: "not_defined", "no_fallback", "any_endpoint", "default_subset", "keys_subset";
    MetadataFallbackPolicy: "metadata_no_fallback", "fallback_list";
}
