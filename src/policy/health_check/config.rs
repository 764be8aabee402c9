//! Reading health checks from a document: Envoy's options as they are, or a family's under its name.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::envoy::HealthCheck;
use super::haproxy::Check;
use super::{Probe, haproxy};
use crate::time::Duration;

/// Whose checks, and how they are set.
#[derive(Clone, Debug, PartialEq)]
pub enum Options {
    /// Envoy's: the options themselves, or under `envoy/health_check`.
    Envoy(Box<HealthCheck>),
    /// HAProxy's, under `haproxy/check`.
    Haproxy(haproxy::Check),
}

const ENVOY: &str = "envoy/health_check";
const HAPROXY: &str = "haproxy/check";

/// The keys of a map that says how endpoints are checked; a test holds them against the options.
const FIELDS: &[&str] = &[
    "interval",
    "timeout",
    "unhealthy_threshold",
    "healthy_threshold",
    "initial_jitter",
    "interval_jitter",
    "interval_jitter_percent",
    "no_traffic_interval",
    "no_traffic_healthy_interval",
    "unhealthy_interval",
    "unhealthy_edge_interval",
    "healthy_edge_interval",
    "ignore_new_hosts_until_first_hc",
    "expected_statuses",
    "retriable_statuses",
    "http_health_check",
    "tcp_health_check",
    "grpc_health_check",
    "reuse_connection",
    "work",
    ENVOY,
    HAPROXY,
];

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Options::Envoy(options) => options.check(),
            Options::Haproxy(options) => options.check(),
        }
    }

    /// What a check asks for.
    pub fn probe(&self) -> Probe {
        match self {
            Options::Envoy(options) => options.probe(),
            Options::Haproxy(Check { httpchk: true, .. }) => Probe::Request,
            Options::Haproxy(_) => Probe::Connection,
        }
    }

    /// How much work answering a check is for the endpoint.
    pub fn work(&self) -> Duration {
        match self {
            Options::Envoy(options) => options.work,
            Options::Haproxy(_) => Duration::ZERO,
        }
    }

    /// How long a check waits for its answer.
    pub fn timeout(&self) -> Duration {
        match self {
            Options::Envoy(options) => options.timeout,
            Options::Haproxy(options) => options.timeout.unwrap_or(options.inter),
        }
    }

    /// The time from one check to the next, at an endpoint that is well.
    pub fn interval(&self) -> Duration {
        match self {
            Options::Envoy(options) => options.interval,
            Options::Haproxy(options) => options.inter,
        }
    }

    /// How much later than the first the `number`th of so many endpoints is first checked: HAProxy spreads them, Envoy asks all at once.
    pub(super) fn spread(&self, number: u32, of: u32) -> Duration {
        match self {
            Options::Envoy(_) => Duration::ZERO,
            Options::Haproxy(options) => {
                Duration((u128::from(options.inter.0) * u128::from(number % of.max(1)) / u128::from(of.max(1))) as u64)
            }
        }
    }

    pub(super) fn is_expected(&self, status: u16) -> bool {
        match self {
            Options::Envoy(options) => options.is_expected(status),
            Options::Haproxy(_) => (200..400).contains(&status),
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options::Envoy(Box::default())
    }
}

impl Serialize for Options {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Options::Envoy(options) => options.serialize(serializer),
            Options::Haproxy(options) => serializer.collect_map([(HAPROXY, options)]),
        }
    }
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Options, D::Error> {
        struct OptionsVisitor;
        impl<'de> Visitor<'de> for OptionsVisitor {
            type Value = Options;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("health checks such as `{interval: 5s, timeout: 1s, unhealthy_threshold: 2, healthy_threshold: 2}`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Options, A::Error> {
                let Some(first) = map.next_key::<String>()? else {
                    return Ok(Options::default());
                };
                let options = match first.as_str() {
                    ENVOY => Options::Envoy(map.next_value::<Option<Box<HealthCheck>>>()?.unwrap_or_default()),
                    HAPROXY => Options::Haproxy(map.next_value::<Option<Check>>()?.unwrap_or_default()),
                    _ => {
                        let map = Prefixed { first: Some(first), map };
                        return HealthCheck::deserialize(MapAccessDeserializer::new(map))
                            .map(|options| Options::Envoy(Box::new(options)));
                    }
                };
                match map.next_key::<String>()? {
                    None => Ok(options),
                    Some(other) => Err(de::Error::custom(format!(
                        "`{first}` stands alone, and here is `{other}` too"
                    ))),
                }
            }
        }
        deserializer.deserialize_struct("HealthCheck", FIELDS, OptionsVisitor)
    }
}

/// A map whose first key has been read.
struct Prefixed<A> {
    first: Option<String>,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Prefixed<A> {
    type Error = A::Error;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(key) => {
                let key: StrDeserializer<'_, A::Error> = key.as_str().into_deserializer();
                seed.deserialize(key).map(Some)
            }
            None => self.map.next_key_seed(seed),
        }
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

impl JsonSchema for Options {
    fn schema_name() -> Cow<'static, str> {
        "HealthCheck".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let envoy = generator.subschema_for::<HealthCheck>();
        let haproxy = generator.subschema_for::<Check>();
        let named = |name: &str, schema: &Schema| json_schema!({"type": "object", "properties": {name: schema}, "additionalProperties": false});
        json_schema!({
            "description": "How endpoints are asked whether they are well: Envoy's options, or `haproxy/check` with its own.",
            "anyOf": [envoy, named(ENVOY, &envoy), named(HAPROXY, &haproxy)],
        })
    }
}

/// HTTP statuses: a list of numbers and of Envoy's half-open ranges `{start: 200, end: 300}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn holds(&self, status: u16) -> bool {
        self.0.iter().any(|&(start, end)| (start..end).contains(&status))
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        match self.0.iter().find(|(start, end)| start >= end || *start < 100 || *end > 600) {
            Some((start, end)) => Err(format!(
                "a range of statuses goes from `start` up to but without `end`, within 100 and 600; not from {start} to {end}"
            )),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Range {
    start: u16,
    end: u16,
}

struct OneOrRange((u16, u16));

impl<'de> Deserialize<'de> for OneOrRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrRange, D::Error> {
        struct StatusVisitor;
        impl<'de> Visitor<'de> for StatusVisitor {
            type Value = OneOrRange;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an HTTP status, or a range such as `{start: 200, end: 300}`")
            }
            fn visit_u64<E: de::Error>(self, status: u64) -> Result<OneOrRange, E> {
                match u16::try_from(status) {
                    Ok(status @ 100..600) => Ok(OneOrRange((status, status + 1))),
                    _ => Err(E::custom(format!("an HTTP status is from 100 to 599, not {status}"))),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneOrRange, A::Error> {
                Range::deserialize(MapAccessDeserializer::new(map)).map(|range| OneOrRange((range.start, range.end)))
            }
        }
        deserializer.deserialize_any(StatusVisitor)
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Statuses, D::Error> {
        struct ListVisitor;
        impl<'de> Visitor<'de> for ListVisitor {
            type Value = Statuses;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of HTTP statuses and ranges of them")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Statuses, A::Error> {
                let mut statuses = Vec::new();
                while let Some(OneOrRange(range)) = items.next_element()? {
                    statuses.push(range);
                }
                Ok(Statuses(statuses))
            }
        }
        deserializer.deserialize_seq(ListVisitor)
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|&(start, end)| Range { start, end }))
    }
}

impl JsonSchema for Statuses {
    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let status = json_schema!({"type": "integer", "minimum": 100, "maximum": 600});
        json_schema!({
            "type": "array",
            "items": {"anyOf": [
                status,
                {
                    "type": "object",
                    "properties": {"start": status, "end": status},
                    "required": ["start", "end"],
                    "additionalProperties": false
                }
            ]}
        })
    }
}

/// A number, or Envoy's wrapper of one: `{value: 2}`.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wrapped {
        value: u32,
    }
    struct CountVisitor;
    impl<'de> Visitor<'de> for CountVisitor {
        type Value = u32;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<u32, E> {
            u32::try_from(number).map_err(|_| E::custom(format!("{number} is too large")))
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<u32, A::Error> {
            Wrapped::deserialize(MapAccessDeserializer::new(map)).map(|wrapped| wrapped.value)
        }
    }
    deserializer.deserialize_any(CountVisitor)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn all_of_envoys_options_are_keys() {
        let schema = Value::from(SchemaGenerator::default().into_root_schema_for::<HealthCheck>());
        let options: BTreeSet<&str> = schema["properties"]
            .as_object()
            .expect("it has options")
            .keys()
            .map(String::as_str)
            .collect();
        let keys = FIELDS.iter().copied().filter(|key| !key.contains('/')).collect();
        assert_eq!(options, keys);
    }

    #[test]
    fn each_form_is_read() {
        let read = |document: Value| Options::deserialize(document).map_err(|error| error.to_string());
        let interval = |options: Result<Options, String>| options.expect("it is right").interval();
        assert_eq!(interval(read(json!({"interval": "3s"}))), Duration::from_secs(3));
        assert_eq!(
            interval(read(json!({"envoy/health_check": {"interval": "3s"}}))),
            Duration::from_secs(3)
        );
        assert_eq!(
            interval(read(json!({"haproxy/check": {"inter": "3s"}}))),
            Duration::from_secs(3)
        );
        assert_eq!(interval(read(json!({"haproxy/check": null}))), Duration::from_secs(2));
        let Ok(Options::Envoy(options)) =
            read(json!({"healthy_threshold": {"value": 7}, "expected_statuses": [204, {"start": 200, "end": 202}]}))
        else {
            panic!("it is right");
        };
        assert_eq!(options.healthy_threshold, 7);
        assert!(options.is_expected(201) && options.is_expected(204) && !options.is_expected(202));
        for (wrong, part) in [
            (json!({"haproxy/check": {}, "interval": "3s"}), "stands alone"),
            (json!({"intervall": "3s"}), "unknown field `intervall`"),
            (json!({"expected_statuses": [99]}), "from 100 to 599"),
        ] {
            let message = read(wrong.clone()).expect_err("it is wrong");
            assert!(message.contains(part), "{wrong} gives {message}");
        }
    }
}
