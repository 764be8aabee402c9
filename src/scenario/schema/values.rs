//! Values that take several forms: limits, bandwidths, the warm-up, inherited settings.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, Visitor};

use crate::time::Duration;

/// A number, or no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many.
    Number(u32),
    /// Any number.
    Unlimited,
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Limit, D::Error> {
        struct LimitVisitor;
        impl Visitor<'_> for LimitVisitor {
            type Value = Limit;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or `unlimited`")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Limit, E> {
                // The largest number is the plan's word for no limit.
                match u32::try_from(number) {
                    Ok(number) if number < u32::MAX => Ok(Limit::Number(number)),
                    _ => Err(E::custom(format!("`{number}` is too large; write `unlimited` for no limit"))),
                }
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Limit, E> {
                match text {
                    "unlimited" => Ok(Limit::Unlimited),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(LimitVisitor)
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A whole number, or `unlimited`.",
            "anyOf": [{"type": "integer", "minimum": 0, "maximum": u32::MAX - 1}, {"const": "unlimited"}]
        })
    }
}

/// What is left out of the measures at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warmup {
    /// So much.
    Fixed(Duration),
    /// What MSER-5 finds.
    Auto,
}

impl<'de> Deserialize<'de> for Warmup {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Warmup, D::Error> {
        struct WarmupVisitor;
        impl Visitor<'_> for WarmupVisitor {
            type Value = Warmup;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as `30s`, or `auto`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Warmup, E> {
                match text {
                    "auto" => Ok(Warmup::Auto),
                    _ => Duration::parse(text).map(Warmup::Fixed).map_err(E::custom),
                }
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Warmup, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Warmup, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Warmup, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(WarmupVisitor)
    }
}

impl JsonSchema for Warmup {
    fn schema_name() -> Cow<'static, str> {
        "Warmup".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [generator.subschema_for::<Duration>(), {"const": "auto"}]})
    }
}

/// Bits per second: `1Gbps`, `100Mbps`, `64kbps`, `9600bps`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bandwidth {
    /// Bits per second; more than 0 and at most 10^18.
    pub bits_per_second: f64,
}

impl Bandwidth {
    fn parse(text: &str) -> Result<Bandwidth, String> {
        let wrong = || format!("not a bandwidth: `{text}`; write it as `1Gbps`, `100Mbps` or `64kbps`");
        let trimmed = text.trim();
        let digits = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match &trimmed[digits.len()..] {
            "bps" => 1.0,
            "kbps" | "Kbps" => 1e3,
            "Mbps" => 1e6,
            "Gbps" => 1e9,
            "Tbps" => 1e12,
            _ => return Err(wrong()),
        };
        let number: f64 = digits.trim().parse().map_err(|_| wrong())?;
        let bits_per_second = number * factor;
        if bits_per_second > 0.0 && bits_per_second <= 1e18 {
            return Ok(Bandwidth { bits_per_second });
        }
        Err(format!(
            "a bandwidth must be more than 0 and at most `1000000Tbps`, not `{trimmed}`"
        ))
    }
}

impl<'de> Deserialize<'de> for Bandwidth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bandwidth, D::Error> {
        struct BandwidthVisitor;
        impl Visitor<'_> for BandwidthVisitor {
            type Value = Bandwidth;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a bandwidth such as `1Gbps`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Bandwidth, E> {
                Bandwidth::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(BandwidthVisitor)
    }
}

impl JsonSchema for Bandwidth {
    fn schema_name() -> Cow<'static, str> {
        "Bandwidth".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Bits per second, such as `1Gbps` or `100Mbps`.",
            "type": "string",
            "pattern": r"^\s*[0-9.]+([eE][+-]?[0-9]+)?\s*[kKMGT]?bps\s*$"
        })
    }
}

/// A setting that an inner level may set, or switch off by `null`, or leave to the level around it.
#[derive(Clone, Debug, Default)]
pub enum Inherited<T> {
    /// As the level around it.
    #[default]
    Unset,
    /// Switched off.
    Off,
    /// So.
    Set(T),
}

impl<T> Inherited<T> {
    /// What holds here, given what holds around.
    pub fn or<'a>(&'a self, outer: Option<&'a T>) -> Option<&'a T> {
        match self {
            Inherited::Unset => outer,
            Inherited::Off => None,
            Inherited::Set(value) => Some(value),
        }
    }

    /// The value set here.
    pub fn set(&self) -> Option<&T> {
        self.or(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Inherited<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Inherited<T>, D::Error> {
        let value = Option::<T>::deserialize(deserializer)?;
        Ok(value.map_or(Inherited::Off, Inherited::Set))
    }
}

impl<T: JsonSchema> JsonSchema for Inherited<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Inherited{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Option<T>>()
    }
}

/// A part of a scenario that is merged into it. It has no type of its own: what it makes of the scenario must have one.
#[derive(Clone, Debug)]
pub struct Patch;

impl<'de> Deserialize<'de> for Patch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Patch, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Patch)
    }
}

impl JsonSchema for Patch {
    fn schema_name() -> Cow<'static, str> {
        "Patch".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mesh = generator.subschema_for::<super::mesh::Mesh>();
        let faults = generator.subschema_for::<Vec<super::fault::Fault>>();
        json_schema!({
            "description": "A part of a scenario that is merged into it: maps are merged, other values replaced, `null` removes a key.",
            "type": ["object", "null"],
            "properties": {
                "duration": generator.subschema_for::<Duration>(),
                "warmup": generator.subschema_for::<Warmup>(),
                "drain": generator.subschema_for::<Duration>(),
                "topology": {"type": "object"},
                "clients": {"type": "object"},
                "mesh": mesh,
                "faults": faults
            }
        })
    }
}

/// The values that a sweep gives to one path. Like a [`Patch`] they have no type of their own.
#[derive(Clone, Debug)]
pub struct GridValues;

impl<'de> Deserialize<'de> for GridValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<GridValues, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| GridValues)
    }
}

impl JsonSchema for GridValues {
    fn schema_name() -> Cow<'static, str> {
        "GridValues".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The values of one path: a list of them, or a range such as `1..5`, `10ms..50ms step 10ms`, `100/s..400/s step 100/s`.",
            "oneOf": [
                {"type": "array", "minItems": 1},
                {"type": "string", "pattern": "\\.\\."}
            ]
        })
    }
}
