//! What endpoints say of themselves beside their address, and what a route demands of it: Envoy's `envoy.lb` metadata.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess};

/// A value of the metadata. Numbers and truth values are their texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// One text.
    Text(String),
    /// Several: one value as a whole, or each of them with `list_as_any`.
    List(Vec<String>),
}

/// Keys with their values, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metadata {
    entries: Vec<(String, Value)>,
}

impl Metadata {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let at = self.entries.binary_search_by(|(other, _)| other.as_str().cmp(key)).ok()?;
        Some(&self.entries[at].1)
    }

    /// The text of a key; `None` if it has none, or a list.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The entries in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Only those entries whose keys are among `keys`.
    pub fn only(&self, keys: &[String]) -> Metadata {
        let entries = self.entries.iter().filter(|(key, _)| keys.contains(key));
        Metadata {
            entries: entries.cloned().collect(),
        }
    }

    /// These entries and those of `other`, which win.
    pub fn merged(&self, other: &Metadata) -> Metadata {
        let all = self.entries.iter().chain(&other.entries).cloned();
        all.collect::<BTreeMap<String, Value>>().into_iter().collect()
    }
}

impl FromIterator<(String, Value)> for Metadata {
    /// Of two entries with one key the later one counts.
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Metadata {
        let sorted: BTreeMap<String, Value> = entries.into_iter().collect();
        Metadata {
            entries: sorted.into_iter().collect(),
        }
    }
}

/// What a route demands of an endpoint's metadata: Envoy's `metadata_match`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataMatch {
    /// What it demands.
    pub criteria: Metadata,
    /// The values of the key `fallback_list`: what is demanded instead, one after the other, under `FALLBACK_LIST`.
    pub fallback_list: Option<Vec<Metadata>>,
}

/// The key of [`MetadataMatch::fallback_list`].
const FALLBACK_LIST: &str = "fallback_list";

struct ValueVisitor;

impl<'de> de::Visitor<'de> for ValueVisitor {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a list of texts")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_string()))
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Value>()? {
            match item {
                Value::Text(text) => list.push(text),
                Value::List(_) => return Err(de::Error::custom("a list of lists has no meaning in metadata")),
            }
        }
        Ok(Value::List(list))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Metadata, D::Error> {
        BTreeMap::<String, Value>::deserialize(deserializer).map(|entries| entries.into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for MetadataMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MetadataMatch, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = MetadataMatch;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from metadata keys to the values wanted, such as `{version: v2}`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MetadataMatch, A::Error> {
                let (mut entries, mut fallback_list) = (Vec::new(), None);
                while let Some(key) = map.next_key::<String>()? {
                    if key == FALLBACK_LIST {
                        fallback_list = Some(map.next_value()?);
                    } else {
                        entries.push((key, map.next_value()?));
                    }
                }
                Ok(MetadataMatch {
                    criteria: entries.into_iter().collect(),
                    fallback_list,
                })
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn values_schema() -> Schema {
    let scalar = ["string", "number", "boolean"];
    json_schema!({"type": ["string", "number", "boolean", "array"], "items": {"type": scalar}})
}

impl JsonSchema for Metadata {
    fn schema_name() -> Cow<'static, str> {
        "Metadata".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": values_schema()})
    }
}

impl JsonSchema for MetadataMatch {
    fn schema_name() -> Cow<'static, str> {
        "MetadataMatch".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let metadata = Metadata::json_schema(generator);
        json_schema!({
            "type": "object",
            "properties": {FALLBACK_LIST: {"type": "array", "items": metadata}},
            "additionalProperties": values_schema()
        })
    }
}
