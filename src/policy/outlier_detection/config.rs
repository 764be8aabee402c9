//! Reading outlier detection from a document: Envoy's options as they are, or a map from a name to the options of that one.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::{EnvoyOptions, GrpcOptions, HaproxyOptions};

/// The names of the kinds there are.
const NAMES: &[&str] = &["envoy/outlier_detection", "grpc/outlier_detection", "haproxy/observe"];

/// Whose outlier detection, and how it is set.
#[derive(Clone, Debug, PartialEq)]
pub enum Config {
    /// `envoy/outlier_detection`
    Envoy(Box<EnvoyOptions>),
    /// `grpc/outlier_detection`
    Grpc(Box<GrpcOptions>),
    /// `haproxy/observe`
    Haproxy(HaproxyOptions),
}

impl Default for Config {
    fn default() -> Config {
        Config::Envoy(Box::default())
    }
}

impl Config {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Config::Envoy(options) => options.check(),
            Config::Grpc(options) => options.check(),
            Config::Haproxy(options) => options.check(),
        }
    }

    /// The kind of that name, with its options from `map`, whose next value they are, or the default ones.
    fn of_name<'de, A: MapAccess<'de>>(name: &str, map: Option<&mut A>) -> Result<Config, A::Error> {
        fn options<'de, T: Default + Deserialize<'de>, A: MapAccess<'de>>(map: Option<&mut A>) -> Result<T, A::Error> {
            match map {
                // An empty value means the defaults.
                Some(map) => Ok(map.next_value::<Option<T>>()?.unwrap_or_default()),
                None => Ok(T::default()),
            }
        }
        match name {
            "grpc/outlier_detection" => options(map).map(|options| Config::Grpc(Box::new(options))),
            "haproxy/observe" => options(map).map(Config::Haproxy),
            _ => options(map).map(|options| Config::Envoy(Box::new(options))),
        }
    }
}

/// The name that a text is, if it is one.
fn known_name(text: &str) -> Option<&'static str> {
    let plain = text.replace('-', "_");
    NAMES.iter().find(|name| **name == plain).copied()
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Config, D::Error> {
        deserializer.deserialize_any(ConfigVisitor)
    }
}

struct ConfigVisitor;

impl<'de> Visitor<'de> for ConfigVisitor {
    type Value = Config;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Envoy's options, such as `{consecutive_5xx: 5}`, or a name such as `grpc/outlier_detection` with its own")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Config, E> {
        let name = known_name(text).ok_or_else(|| E::unknown_variant(text, NAMES))?;
        Config::of_name::<MapAccessless<E>>(name, None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
        let Some(Key(first)) = map.next_key()? else {
            return Ok(Config::default());
        };
        let Some(name) = known_name(&first) else {
            if first.contains('/') {
                return Err(A::Error::unknown_variant(&first, NAMES));
            }
            let begun = Begun { first: Some(first), map };
            let options = EnvoyOptions::deserialize(MapAccessDeserializer::new(begun))?;
            return Ok(Config::Envoy(Box::new(options)));
        };
        let config = Config::of_name(name, Some(&mut map))?;
        match map.next_key::<Key>()? {
            None => Ok(config),
            Some(Key(second)) => Err(A::Error::custom(format!("`{second}` belongs below `{name}`"))),
        }
    }
}

/// A key, as text.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        String::deserialize(deserializer).map(Key)
    }
}

/// A map whose first key has been read already.
struct Begun<A> {
    first: Option<String>,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Begun<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(first) => seed.deserialize(StringDeserializer::new(first)).map(Some),
            None => self.map.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// No map at all: what a bare name has.
type MapAccessless<E> = serde::de::value::MapDeserializer<'static, std::iter::Empty<(&'static str, &'static str)>, E>;

impl JsonSchema for Config {
    fn schema_name() -> Cow<'static, str> {
        "OutlierDetection".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let envoy = EnvoyOptions::json_schema(generator);
        let grpc = GrpcOptions::json_schema(generator);
        let haproxy = HaproxyOptions::json_schema(generator);
        json_schema!({
            "description": "Envoy's outlier detection with its options, or a map from a name to the options of that one.",
            "anyOf": [
                {"type": "string", "enum": NAMES},
                envoy.clone(),
                {
                    "type": "object",
                    "properties": {
                        "envoy/outlier_detection": envoy,
                        "grpc/outlier_detection": grpc,
                        "haproxy/observe": haproxy,
                    },
                    "additionalProperties": false,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ],
        })
    }
}
