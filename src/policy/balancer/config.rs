//! Reading a balancer from a document: its name, or a map from the name to its options.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, Visitor};

use crate::policy::balancer::{Config, ENTRIES, NAMES};

/// Where the options of a balancer come from once its name is known.
pub(super) trait ReadOptions {
    type Error;
    fn read<T: Default + DeserializeOwned>(self) -> Result<T, Self::Error>;
}

/// Nothing is written about them.
struct Defaults<E>(PhantomData<E>);

impl<E> ReadOptions for Defaults<E> {
    type Error = E;
    fn read<T: Default + DeserializeOwned>(self) -> Result<T, E> {
        Ok(T::default())
    }
}

/// They are the value of the map entry whose key has just been read.
struct FromMap<'a, 'de, A>(&'a mut A, PhantomData<&'de ()>);

impl<'de, A: MapAccess<'de>> ReadOptions for FromMap<'_, 'de, A> {
    type Error = A::Error;
    fn read<T: Default + DeserializeOwned>(self) -> Result<T, A::Error> {
        // An empty value, as in `envoy/random:`, means the defaults.
        Ok(self.0.next_value::<Option<T>>()?.unwrap_or_default())
    }
}

/// A registered name. A type of its own, so that an unknown one is an error of the key and not of the whole map.
struct Name(&'static str);

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

fn registered<E: Error>(text: &str) -> Result<Name, E> {
    let name = NAMES.iter().find(|name| **name == text);
    name.map(|name| Name(name)).ok_or_else(|| E::unknown_variant(text, NAMES))
}

fn checked<E: Error>(name: Name, read: impl ReadOptions<Error = E>) -> Result<Config, E> {
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
                checked(registered(text)?, Defaults(PhantomData))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
                let name: Name = map.next_key()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let config = checked(name, FromMap(&mut map, PhantomData))?;
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
            schema.insert("description".to_string(), entry.about.into());
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
