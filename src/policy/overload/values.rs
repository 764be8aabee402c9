//! Numbers in the forms that Envoy's documents give them: plain, in per cent, and in wrappers.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};

/// A share from 0 to 1, written as `95%`, `0.95`, or as Envoy writes per cent: `95`, `{value: 95}`, `{default_value: {value: 95}}`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part(pub(super) f64);

/// A number, plain or as Envoy's `{value: 2}` or `{default_value: 2}`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(pub(super) f64);

/// The one number in a wrapper, however deep.
fn unwrapped<'de, A: MapAccess<'de>, T: Deserialize<'de>>(mut map: A, expected: &str) -> Result<T, A::Error> {
    const KEYS: &[&str] = &["value", "default_value", "runtime_key"];
    let mut found = None;
    while let Some(key) = map.next_key::<String>()? {
        match key.as_str() {
            "value" | "default_value" => found = Some(map.next_value()?),
            // The name of a switch at run time, of which there are none here.
            "runtime_key" => drop(map.next_value::<String>()?),
            other => return Err(de::Error::unknown_field(other, KEYS)),
        }
    }
    found.ok_or_else(|| de::Error::invalid_length(0, &expected))
}

impl Part {
    fn new(value: f64) -> Result<Part, String> {
        match value {
            0.0..=1.0 => Ok(Part(value)),
            _ => Err("a share must be from 0% to 100%".to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Part, D::Error> {
        struct PartVisitor;
        /// In a wrapper a number is always in per cent.
        struct Percent(f64);
        impl<'de> Deserialize<'de> for Percent {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Percent, D::Error> {
                struct PercentVisitor;
                impl<'de> Visitor<'de> for PercentVisitor {
                    type Value = Percent;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("per cent, such as `95`")
                    }
                    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Percent, E> {
                        Ok(Percent(value))
                    }
                    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Percent, E> {
                        Ok(Percent(value as f64))
                    }
                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Percent, A::Error> {
                        unwrapped(map, "`{value: 95}`")
                    }
                }
                deserializer.deserialize_any(PercentVisitor)
            }
        }
        impl<'de> Visitor<'de> for PartVisitor {
            type Value = Part;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share such as `95%`, `0.95` or `{value: 95}`")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Part, E> {
                // No share in per cent is as small as that.
                Part::new(if value > 1.0 { value / 100.0 } else { value }).map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Part, E> {
                self.visit_f64(value as f64)
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Part, E> {
                self.visit_f64(value as f64)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Part, E> {
                let trimmed = text.trim();
                let (number, unit) = match trimmed.strip_suffix('%') {
                    Some(number) => (number.trim_end(), 100.0),
                    None => (trimmed, 1.0),
                };
                match number.parse::<f64>() {
                    Ok(value) => Part::new(value / unit).map_err(E::custom),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Part, A::Error> {
                let Percent(percent) = unwrapped(map, "`{value: 95}`")?;
                Part::new(percent / 100.0).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(PartVisitor)
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}%", self.0 * 100.0))
    }
}

impl JsonSchema for Part {
    fn schema_name() -> Cow<'static, str> {
        "Part".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"type": "string", "pattern": r"^\s*[0-9.]+\s*%?\s*$"},
            {"type": "number", "minimum": 0, "maximum": 100},
            {"type": "object"}
        ]})
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        struct NumberVisitor;
        impl<'de> Visitor<'de> for NumberVisitor {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or `{value: 2}`")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Number, E> {
                match value {
                    0.0..=1e12 => Ok(Number(value)),
                    _ => Err(E::custom(format!("must be from 0 to 1e12, not {value}"))),
                }
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                self.visit_f64(value as f64)
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                self.visit_f64(value as f64)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Number, A::Error> {
                unwrapped(map, "`{value: 2}`")
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

impl Number {
    /// As a whole number.
    pub(super) fn whole(self) -> u32 {
        self.0 as u32
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "number", "minimum": 0}, {"type": "object"}]})
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_share_has_many_forms() {
        for form in [
            json!(0.95),
            json!(95),
            json!("95%"),
            json!("0.95"),
            json!({"value": 95}),
            json!({"default_value": {"value": 95.0}, "runtime_key": "k"}),
        ] {
            assert_eq!(Part::deserialize(&form).expect("it is right"), Part(0.95), "{form}");
        }
        assert_eq!(Part::deserialize(json!({"value": 1})).expect("it is right"), Part(0.01));
        for wrong in [json!(101), json!("-1%"), json!({}), json!({"val": 3}), json!("x")] {
            assert!(Part::deserialize(&wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            Number::deserialize(json!({"default_value": 2})).expect("it is right"),
            Number(2.0)
        );
        assert!(Number::deserialize(json!(-1)).is_err());
    }
}
