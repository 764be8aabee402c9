//! Numbers of options that Envoy's configuration wraps into messages of their own: both forms are read.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserializer, MapAccess, Visitor};

/// A number, or Envoy's message around it.
pub struct Number;

impl JsonSchema for Number {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Number".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({"anyOf": [{"type": "number"}, {"type": "object"}]})
    }
}

/// Reads `1.5` or `{default_value: 1.5, runtime_key: KEY}`.
pub fn runtime_double<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    deserializer.deserialize_any(Wrapped {
        value: "default_value",
        ignored: "runtime_key",
    })
}

/// Reads `10` or `{value: 10}`.
pub fn value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    deserializer.deserialize_any(Wrapped {
        value: "value",
        ignored: "value",
    })
}

/// Reads a number that Envoy's messages wrap.
struct Wrapped {
    value: &'static str,
    ignored: &'static str,
}

impl<'de> Visitor<'de> for Wrapped {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number, or `{{{}: NUMBER}}`", self.value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<f64, A::Error> {
        let mut number = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == self.value {
                number = Some(map.next_value::<f64>()?);
            } else if key == self.ignored {
                map.next_value::<de::IgnoredAny>()?;
            } else {
                return Err(de::Error::custom(format!("unknown field `{key}`, expected `{}`", self.value)));
            }
        }
        number.ok_or_else(|| de::Error::missing_field(self.value))
    }
}
