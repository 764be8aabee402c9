//! Whole numbers and switches in the forms that users of outlier detection write: plain, with a per cent sign, or in Envoy's message.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};

/// The schema of [`read`].
pub struct WholeNumber;

impl JsonSchema for WholeNumber {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WholeNumber".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": r"^\s*[0-9]+\s*%?\s*$"},
            {"type": "object", "properties": {"value": {"type": "integer", "minimum": 0}}, "additionalProperties": false},
        ]})
    }
}

/// Reads `10`, `10%` or `{value: 10}`.
///
/// # Errors
/// It is none of them.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    deserializer.deserialize_any(Number)
}

/// Reads `true` or `{value: true}`.
///
/// # Errors
/// It is neither.
pub fn read_bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    deserializer.deserialize_any(Switch)
}

struct Number;

impl<'de> Visitor<'de> for Number {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number such as `10`, `10%` or `{value: 10}`")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<u32, E> {
        value
            .try_into()
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<u32, E> {
        value
            .try_into()
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<u32, E> {
        // What is read is whole, so the cast is exact.
        match value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value) {
            true => Ok(value as u32),
            false => Err(E::invalid_value(de::Unexpected::Float(value), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u32, E> {
        let number = text.trim();
        let number = number.strip_suffix('%').map_or(number, str::trim_end);
        number.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<u32, A::Error> {
        value_of(map)
    }
}

struct Switch;

impl<'de> Visitor<'de> for Switch {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`true` or `false`")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
        Ok(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        value_of(map)
    }
}

/// What is in a message of Envoy's around one value; nothing means its zero.
fn value_of<'de, T: Default + de::Deserialize<'de>, A: MapAccess<'de>>(mut map: A) -> Result<T, A::Error> {
    let mut value = None;
    while let Some(key) = map.next_key::<String>()? {
        if key != "value" {
            return Err(de::Error::unknown_field(&key, &["value"]));
        }
        value = Some(map.next_value()?);
    }
    Ok(value.unwrap_or_default())
}
