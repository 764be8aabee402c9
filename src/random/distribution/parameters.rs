//! What the distributions' options have in common: percentiles as keys, and checks of numbers.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess};
use serde::{Deserialize, de::value::MapAccessDeserializer};

use crate::random::quantity::{Quantity, Unit};

/// A percentile that a distribution is to have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentile {
    /// Within (0, 1): 0.99 for `p99`.
    pub share: f64,
    /// The value below which this share lies.
    pub value: Quantity,
}

/// A distribution's options, and beside them any percentiles as keys: `p50`, `p99`, `p99.9`.
#[derive(Clone, Debug, PartialEq)]
pub struct WithPercentiles<T> {
    /// The named parameters.
    pub options: T,
    /// The percentiles, in the order of the file.
    pub percentiles: Vec<Percentile>,
}

impl<T> WithPercentiles<T> {
    /// The percentiles as (share, value) in ascending order.
    ///
    /// # Errors
    /// If a value is in the wrong unit or zero, or a higher percentile is not a larger value.
    pub(super) fn resolve(&self, unit: Unit) -> Result<Vec<(f64, f64)>, String> {
        let mut resolved = Vec::new();
        for percentile in &self.percentiles {
            resolved.push((percentile.share, positive(&key(percentile.share), percentile.value, unit)?));
        }
        resolved.sort_by(|a, b| a.0.total_cmp(&b.0));
        for pair in resolved.windows(2) {
            let [(low, at_low), (high, at_high)] = [pair[0], pair[1]];
            if at_low == at_high {
                return Err(format!(
                    "`{}` and `{}` are equal; for a constant write the value alone",
                    key(low),
                    key(high)
                ));
            }
            if at_low > at_high {
                return Err(format!("`{}` must be less than `{}`", key(low), key(high)));
            }
        }
        Ok(resolved)
    }
}

fn key(share: f64) -> String {
    // Rounded, as 0.999 * 100 has a tail of binary digits.
    format!("p{}", (share * 1e10).round() / 1e8)
}

/// The share that a key such as `p99.9` names.
fn percentile(key: &str) -> Option<f64> {
    let digits = key.strip_prefix('p')?;
    if digits.starts_with('.') || digits.ends_with('.') || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    // Read as a decimal fraction, so that `p99.9` is exactly the number 0.999.
    let percent: f64 = digits.parse().ok()?;
    let share: f64 = format!("{digits}e-2").parse().ok()?;
    (percent > 0.0 && percent < 100.0).then_some(share)
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for WithPercentiles<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Visitor(std::marker::PhantomData))
    }
}

struct Visitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
    type Value = WithPercentiles<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of parameters, such as `{mean: 5ms}` or `{p50: 5ms, p99: 60ms}`")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WithPercentiles<T>, A::Error> {
        let mut percentiles = Vec::new();
        let rest = Rest {
            map,
            percentiles: &mut percentiles,
        };
        let options = T::deserialize(MapAccessDeserializer::new(rest))?;
        Ok(WithPercentiles { options, percentiles })
    }
}

/// A map without its percentiles, which are put aside as they come by.
struct Rest<'a, A> {
    map: A,
    percentiles: &'a mut Vec<Percentile>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Rest<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let mut seed = Some(seed);
        loop {
            match self.map.next_key_seed(KeySeed(&mut seed))? {
                None => return Ok(None),
                Some(Key::Parameter(key)) => return Ok(Some(key)),
                Some(Key::Percentile(share)) => {
                    let value = self.map.next_value()?;
                    if self.percentiles.iter().any(|other| other.share == share) {
                        return Err(de::Error::custom(format!("`{}` is given twice", key(share))));
                    }
                    self.percentiles.push(Percentile { share, value });
                }
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

enum Key<T> {
    Percentile(f64),
    Parameter(T),
}

/// Reads a key within the seed, so that an error about it has the key's place.
struct KeySeed<'a, K>(&'a mut Option<K>);

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for KeySeed<'_, K> {
    type Value = Key<K::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        if let Some(share) = percentile(&text) {
            return Ok(Key::Percentile(share));
        }
        let seed = self.0.take().expect("a parameter ends the search");
        seed.deserialize(text.into_deserializer()).map(Key::Parameter)
    }
}

impl<T: JsonSchema> JsonSchema for WithPercentiles<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        let value = generator.subschema_for::<Quantity>();
        let pattern = json_schema!({ r"^p[0-9]{1,2}(\.[0-9]+)?$": value });
        schema.insert("patternProperties".to_string(), pattern.to_value());
        schema
    }
}

/// The value of the parameter `name`, which must be more than zero.
pub(super) fn positive(name: &str, value: Quantity, unit: Unit) -> Result<f64, String> {
    let number = quantity(name, value, unit)?;
    if number > 0.0 {
        Ok(number)
    } else {
        Err(format!("`{name}` must be more than 0"))
    }
}

/// The value of the parameter `name`, which may be zero.
pub(super) fn quantity(name: &str, value: Quantity, unit: Unit) -> Result<f64, String> {
    value.resolve(unit).map_err(|problem| format!("`{name}`: {problem}"))
}

/// Checks that the number `name` lies within bounds that keep the arithmetic finite.
pub(super) fn in_range(name: &str, value: f64, low: f64, high: f64) -> Result<f64, String> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(format!("`{name}` must be from {low} to {high}, not `{value:?}`"))
    }
}

/// Weights as cumulative shares, the last of them exactly 1.
pub(super) fn cumulative(weights: &[f64]) -> Result<Vec<f64>, String> {
    if let Some(weight) = weights.iter().find(|weight| !(0.0..=1e15).contains(*weight)) {
        return Err(format!("a weight must be from 0 to 1e15, not `{weight:?}`"));
    }
    let total: f64 = weights.iter().sum();
    if total <= 0.0 {
        return Err("at least one weight must be more than 0".to_string());
    }
    let mut sum = 0.0;
    let mut shares: Vec<f64> = weights
        .iter()
        .map(|weight| {
            sum += weight;
            sum / total
        })
        .collect();
    // Rounding must not leave a draw just below 1 without an owner; trailing weights of 0 keep none.
    let last = weights
        .iter()
        .rposition(|&weight| weight > 0.0)
        .expect("the total is more than 0");
    for share in &mut shares[last..] {
        *share = 1.0;
    }
    Ok(shares)
}
