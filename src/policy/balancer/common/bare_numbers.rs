//! Durations that a proxy lets its users write without a unit, each in the unit that it has there.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

use crate::time::Duration;

/// A duration with its unit, or a bare number.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

fn read<'de, D: Deserializer<'de>>(deserializer: D, unit: Duration) -> Result<Duration, D::Error> {
    let written = Written::deserialize(deserializer).map_err(|_| D::Error::custom("not a duration such as `5s` or `250ms`"))?;
    let bare = match &written {
        Written::Number(number) => Some(*number),
        Written::Text(text) => text.trim().parse().ok(),
    };
    match (bare, &written) {
        (Some(number), _) => Ok(Duration(number.saturating_mul(unit.0))),
        (None, Written::Text(text)) => Duration::parse(text).map_err(D::Error::custom),
        (None, Written::Number(_)) => unreachable!("a number is bare"),
    }
}

/// A bare number means seconds.
///
/// # Errors
/// It is no duration.
pub fn in_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    read(deserializer, Duration::from_secs(1))
}

/// A bare number means milliseconds.
///
/// # Errors
/// It is no duration.
pub fn in_milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    read(deserializer, Duration::from_millis(1))
}

/// The schema of either.
pub fn schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [generator.subschema_for::<Duration>(), {"type": "integer", "minimum": 0}]})
}
