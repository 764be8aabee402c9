//! What Envoy's limits are about: requests of a priority, single endpoints (`api/envoy/config/cluster/v3/circuit_breaker.proto`).

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::policy::retry::RetryBudget;

/// The priority of requests, which Envoy's limits count apart. It changes nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoutingPriority {
    /// That of requests of which nothing is said.
    #[default]
    #[serde(alias = "DEFAULT")]
    Default,
    /// That of others, which are not to suffer from these.
    #[serde(alias = "HIGH")]
    High,
}

/// All priorities, in the order of [`RoutingPriority::at`].
pub const PRIORITIES: [RoutingPriority; 2] = [RoutingPriority::Default, RoutingPriority::High];

impl RoutingPriority {
    /// Its place in a list with an entry for each.
    #[inline]
    pub fn at(self) -> usize {
        self as usize
    }

    /// Envoy's word for it.
    pub fn word(self) -> &'static str {
        match self {
            RoutingPriority::Default => "DEFAULT",
            RoutingPriority::High => "HIGH",
        }
    }
}

/// One entry of Envoy's list.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// `DEFAULT` or `HIGH`; `DEFAULT` if absent.
    pub priority: RoutingPriority,
    /// See above.
    pub max_connections: Option<u32>,
    /// See above.
    pub max_pending_requests: Option<u32>,
    /// See above.
    pub max_requests: Option<u32>,
    /// See above.
    pub max_retries: Option<u32>,
    /// See above.
    pub retry_budget: Option<RetryBudget>,
    /// See above.
    pub max_connection_pools: Option<u32>,
}

/// Limits of a single endpoint.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PerHost {
    /// `DEFAULT` or `HIGH`; `DEFAULT` if absent.
    pub priority: RoutingPriority,
    /// Connections to one endpoint; without limit if absent.
    pub max_connections: Option<u32>,
}

/// Reads limits of single endpoints: those of one priority, or a list.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PerHost>, D::Error> {
    struct OneOrMany;
    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<PerHost>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map with `max_connections`, or a list of such")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<PerHost>, A::Error> {
            PerHost::deserialize(MapAccessDeserializer::new(map)).map(|host| vec![host])
        }
        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<PerHost>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list))
        }
        fn visit_unit<E>(self) -> Result<Vec<PerHost>, E> {
            Ok(Vec::new())
        }
    }
    deserializer.deserialize_any(OneOrMany)
}

/// The form of that.
pub(super) fn one_or_many_schema(generator: &mut SchemaGenerator) -> Schema {
    let host = generator.subschema_for::<PerHost>();
    schemars::json_schema!({
        "anyOf": [host, {"type": "array", "items": host}]
    })
}

/// Envoy's defaults.
pub(super) const DEFAULT: Limits = Limits {
    connections: 1024,
    pending: 1024,
    requests: 1024,
    ..Limits::NONE
};
pub(super) const DEFAULT_RETRIES: u32 = 3;

/// The limits that follow from the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections.
    pub connections: u32,
    /// Requests that wait for one.
    pub pending: u32,
    /// Requests under way.
    pub requests: u32,
    /// Endpoints that there are connections to.
    pub pools: u32,
    /// Connections to one endpoint.
    pub connections_per_host: u32,
}

impl Limits {
    /// None.
    pub const NONE: Limits = Limits {
        connections: u32::MAX,
        pending: u32::MAX,
        requests: u32::MAX,
        pools: u32::MAX,
        connections_per_host: u32::MAX,
    };
}
