//! Reading a balancer from a document: its name, or a map from the name to its options.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, Visitor};

use crate::policy::balancer::{ALIASES, Config, ENTRIES, NAMES};

/// Where the options of a balancer come from once its name is known.
pub(super) trait ReadOptions {
    type Error;
    fn read<T: Default + DeserializeOwned>(self) -> Result<T, Self::Error>;
}

/// Nothing is written about them.
pub(super) struct Defaults<E>(PhantomData<E>);

impl<E> Defaults<E> {
    pub(super) fn new() -> Defaults<E> {
        Defaults(PhantomData)
    }
}

impl<E> ReadOptions for Defaults<E> {
    type Error = E;
    fn read<T: Default + DeserializeOwned>(self) -> Result<T, E> {
        Ok(T::default())
    }
}

/// They are the value of the map entry whose key has just been read.
pub(super) struct FromMap<'a, 'de, A>(&'a mut A, PhantomData<&'de ()>);

impl<'a, 'de, A: MapAccess<'de>> FromMap<'a, 'de, A> {
    pub(super) fn new(map: &'a mut A) -> FromMap<'a, 'de, A> {
        FromMap(map, PhantomData)
    }
}

impl<'de, A: MapAccess<'de>> ReadOptions for FromMap<'_, 'de, A> {
    type Error = A::Error;
    fn read<T: Default + DeserializeOwned>(self) -> Result<T, A::Error> {
        // An empty value, as in `envoy/random:`, means the defaults.
        Ok(self.0.next_value::<Option<T>>()?.unwrap_or_default())
    }
}

/// A registered name. A type of its own, so that an unknown one is an error of the key and not of the whole map.
pub(super) struct Name(&'static str);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a balancer, such as `envoy/least_request`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
                registered(text)
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// The registered name that `text` is, or is another name of.
pub fn known_name(text: &str) -> Option<&'static str> {
    let plain = text.replace('-', "_");
    let plain = ALIASES
        .iter()
        .find(|(alias, _)| *alias == plain)
        .map_or(plain.as_str(), |(_, name)| name);
    NAMES.iter().find(|name| **name == plain).copied()
}

pub(super) fn registered<E: Error>(text: &str) -> Result<Name, E> {
    known_name(text).map(Name).ok_or_else(|| E::unknown_variant(text, NAMES))
}

pub(super) fn checked<E: Error>(name: Name, read: impl ReadOptions<Error = E>) -> Result<Config, E> {
    let config = Config::read(name.0, read).expect("the name is in the registry")?;
    config.check().map_err(E::custom)?;
    Ok(config)
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Config, D::Error> {
        struct ConfigVisitor;
        impl<'de> Visitor<'de> for ConfigVisitor {
            type Value = Config;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a balancer: its name, such as `envoy/least_request`, or with options `{envoy/least_request: {choice_count: 3}}`",
                )
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Config, E> {
                checked(registered(text)?, Defaults::new())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
                let name: Name = map.next_key()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let config = checked(name, FromMap::new(&mut map))?;
                match map.next_key::<Name>()? {
                    None => Ok(config),
                    Some(second) => Err(A::Error::custom(format!(
                        "one balancer is wanted, here are two: `{}` and `{}`",
                        config.name(),
                        second.0
                    ))),
                }
            }
        }
        deserializer.deserialize_any(ConfigVisitor)
    }
}

impl JsonSchema for Config {
    fn schema_name() -> Cow<'static, str> {
        "Balancer".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut options = serde_json::Map::new();
        for entry in ENTRIES {
            let mut schema = (entry.schema)(generator);
            schema.insert("description".to_string(), entry.description().into());
            options.insert(entry.name.to_string(), schema.into());
        }
        json_schema!({
            "description": "Which endpoint of the candidates gets a call: a balancer's name, or a map from it to its options.",
            "anyOf": [
                {"type": "string", "enum": NAMES},
                {
                    "type": "object",
                    "properties": options,
                    "additionalProperties": false,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(document: Value, expected: Result<&str, &str>) {
        let found = Config::deserialize(document.clone()).map_err(|error| error.to_string());
        match (&found, expected) {
            (Ok(config), Ok(name)) => assert_eq!(config.name(), name, "{document}"),
            (Err(message), Err(part)) => assert!(message.contains(part), "{document} gives {message}"),
            _ => panic!("{document} gives {found:?}"),
        }
    }

    #[test]
    fn names_and_maps_are_read() {
        check(json!("envoy/maglev"), Ok("envoy/maglev"));
        check(json!({"envoy/maglev": null}), Ok("envoy/maglev"));
        check(json!({"envoy/maglev": {"table_size": 251}}), Ok("envoy/maglev"));
        check(
            json!({"envoy/least_request": {"selection_method": "N_CHOICES"}}),
            Ok("envoy/least_request"),
        );
        check(json!({"linkerd/peak_ewma": {"decay": "5s"}}), Ok("linkerd/peak_ewma"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        check(
            json!("envoy/maglew"),
            Err("unknown variant `envoy/maglew`, expected one of `envoy/round_robin`"),
        );
        check(json!({"maglev": {}}), Err("unknown variant `maglev`"));
        check(
            json!({"envoy/maglev": {"table_size": 252}}),
            Err("`table_size` must be a prime number"),
        );
        check(json!({"envoy/maglev": {"table": 251}}), Err("unknown field `table`"));
        check(json!({"envoy/maglev": {}, "envoy/random": {}}), Err("one balancer is wanted"));
        check(json!({}), Err("invalid length 0"));
        check(json!(3), Err("a balancer: its name"));
    }

    /// What `meshsim policies`, the JSON Schema and the options themselves say must be the same.
    #[test]
    fn every_option_has_a_text_and_its_default_can_be_written() {
        for entry in ENTRIES {
            let schema = Value::from(entry.options_schema());
            let mut written = serde_json::Map::new();
            for (name, option) in schema["properties"].as_object().into_iter().flatten() {
                assert!(option["description"].is_string(), "{}: {name}", entry.name);
                written.insert(name.clone(), option["default"].clone());
            }
            let read = Config::deserialize(json!({entry.name: written})).expect("defaults are right");
            let default = Config::deserialize(json!(entry.name)).expect("it is registered");
            assert_eq!(read, default, "{}", entry.name);
        }
    }

    #[test]
    fn schema_names_every_balancer() {
        let schema = Value::from(Config::json_schema(&mut SchemaGenerator::default()));
        for name in NAMES {
            assert!(
                schema["anyOf"][0]["enum"]
                    .as_array()
                    .is_some_and(|names| names.contains(&json!(name)))
            );
            assert_eq!(
                schema["anyOf"][1]["properties"][name]["additionalProperties"],
                json!(false),
                "{name}"
            );
        }
    }
}
