//! Where a retry goes: Envoy's `retry_host_predicate` and `retry_priority`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};

/// Which endpoints a retry rejects: `previous_hosts`, those where the call has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HostPredicate {
    /// Those where the call has been.
    PreviousHosts,
}

/// What Envoy calls it, in both of its ways.
const PREVIOUS_HOSTS: [&str; 3] = ["previous_hosts", "previoushosts", "previous-hosts"];

impl<'de> Deserialize<'de> for HostPredicate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HostPredicate, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = HostPredicate;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`previous_hosts`, or Envoy's map with `name` and `typed_config`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<HostPredicate, E> {
                let plain = text.to_lowercase();
                match PREVIOUS_HOSTS.iter().any(|name| plain.contains(name)) {
                    true => Ok(HostPredicate::PreviousHosts),
                    false => Err(E::unknown_variant(text, &["previous_hosts"])),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<HostPredicate, A::Error> {
                // The type says what it is; a name may be anything beside one.
                let (mut name, mut kind) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "name" => name = Some(map.next_value::<String>()?),
                        "typed_config" => kind = map.next_value::<BTreeMap<String, String>>()?.remove("@type"),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                match kind.or(name) {
                    Some(text) => self.visit_str(&text),
                    None => Err(de::Error::missing_field("name")),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for HostPredicate {
    fn schema_name() -> Cow<'static, str> {
        "RetryHostPredicate".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"const": "previous_hosts"}, {"type": "object"}]})
    }
}

/// Which priority levels a retry avoids.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPriority {
    /// Those where the call has been, as long as others are available.
    pub previous_priorities: Option<PreviousPriorities>,
}

/// When the levels where a call has been are left out.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PreviousPriorities {
    /// After each so many attempts, at least 1.
    pub update_frequency: u32,
}

impl Default for PreviousPriorities {
    fn default() -> PreviousPriorities {
        PreviousPriorities { update_frequency: 2 }
    }
}

/// An answer that says when to come again is obeyed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitedBackOff {
    /// Which headers say when; answers here say it without a header, so this is only read.
    pub reset_headers: Vec<ResetHeader>,
    /// A longer wait than this is not believed.
    pub max_interval: crate::time::Duration,
}

impl Default for RateLimitedBackOff {
    fn default() -> RateLimitedBackOff {
        RateLimitedBackOff {
            reset_headers: Vec::new(),
            max_interval: crate::time::Duration::from_secs(300),
        }
    }
}

/// A header that says when to come again.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResetHeader {
    /// Its name.
    pub name: String,
    /// `SECONDS` or `UNIX_TIMESTAMP`.
    pub format: String,
}
