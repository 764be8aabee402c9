//! A balancer within another one, as gRPC's policies have them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::policy::balancer::config::{Defaults, FromMap, Name, checked, registered};
use crate::policy::balancer::{Config, grpc};

/// A balancer of family grpc, with its options.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildPolicy(pub Box<Config>);

impl Default for ChildPolicy {
    fn default() -> ChildPolicy {
        ChildPolicy(Box::new(Config::GrpcRoundRobin(grpc::round_robin::Options::default())))
    }
}

impl ChildPolicy {
    /// Whether it is one of `allowed`, names of family grpc.
    ///
    /// # Errors
    /// A sentence that says which are.
    pub fn check(&self, allowed: &[&str]) -> Result<(), String> {
        let name = self.0.name().trim_start_matches(FAMILY);
        match allowed.contains(&name) {
            true => Ok(()),
            false => Err(format!("`child_policy` must be one of {}, not {name}", allowed.join(", "))),
        }
    }
}

/// What the names begin with, and may leave out here.
const FAMILY: &str = "grpc/";

fn full_name<E: Error>(text: &str) -> Result<Name, E> {
    match text.contains('/') {
        true => registered(text),
        false => registered(&format!("{FAMILY}{text}")),
    }
}

impl<'de> Deserialize<'de> for ChildPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ChildPolicy, D::Error> {
        struct ChildVisitor;
        impl<'de> Visitor<'de> for ChildVisitor {
            type Value = ChildPolicy;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a balancer of family grpc: its name, such as `round_robin`, or a map from it to its options")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<ChildPolicy, E> {
                let config = checked(full_name(text)?, Defaults::new())?;
                Ok(ChildPolicy(Box::new(config)))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ChildPolicy, A::Error> {
                let name: String = map.next_key()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let config = checked(full_name(&name)?, FromMap::new(&mut map))?;
                match map.next_key::<String>()? {
                    None => Ok(ChildPolicy(Box::new(config))),
                    Some(_) => Err(A::Error::invalid_length(2, &self)),
                }
            }
            // gRPC's own form is a list of which the first that is known counts.
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ChildPolicy, A::Error> {
                let first = list.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(first)
            }
        }
        deserializer.deserialize_any(ChildVisitor)
    }
}

impl Serialize for ChildPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name().trim_start_matches(FAMILY))
    }
}

impl JsonSchema for ChildPolicy {
    fn schema_name() -> Cow<'static, str> {
        "ChildPolicy".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "object", "array"], "minProperties": 1, "maxProperties": 1, "minItems": 1})
    }
}
