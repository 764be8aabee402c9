//! What a scenario writes for numbers with a unit: rates, shares, and quantities that are durations or sizes.
//!
//! Parsing only; what a number means is said where it is used.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};

use crate::time::Duration;

/// The most that a rate may be: one per nanosecond, the resolution of time.
const RATE_MAX: f64 = 1e9;

/// The largest size: an exabyte leaves room for sums.
const SIZE_MAX: f64 = 1e18;

/// Units of time that a rate may be given in, in seconds.
const RATE_UNITS: [(&str, f64); 7] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86400.0),
];

/// Units of sizes, in bytes.
const SIZE_UNITS: [(&str, f64); 9] = [
    ("B", 1.0),
    ("kB", 1e3),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
];

/// A rate per second: not negative, at most one per nanosecond. Written `500/s`, `30/m`, `1/h`; a plain number is per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    /// Nothing at all.
    pub const ZERO: Rate = Rate(0.0);

    /// The rate of `per_second`.
    ///
    /// # Errors
    /// If it is negative, not a number, or more than one per nanosecond.
    pub fn new(per_second: f64) -> Result<Rate, String> {
        if per_second.is_nan() {
            return Err("a rate must be a number".to_string());
        }
        if per_second < 0.0 {
            return Err(format!("a rate cannot be negative: `{per_second}/s`"));
        }
        if per_second > RATE_MAX {
            return Err(format!(
                "a rate of `{per_second:?}/s` is more than one per nanosecond, the resolution of time"
            ));
        }
        Ok(Rate(per_second))
    }

    /// How many per second.
    pub fn per_second(self) -> f64 {
        self.0
    }

    /// The same, if it is more than nothing.
    ///
    /// # Errors
    /// If it is zero.
    pub fn positive(self) -> Result<Rate, String> {
        if self.0 > 0.0 {
            Ok(self)
        } else {
            Err("a rate must be more than 0: with `0/s` nothing is ever sent".to_string())
        }
    }

    /// The mean gap in nanoseconds; infinite for a rate of zero.
    pub fn gap_nanos(self) -> f64 {
        1e9 / self.0
    }

    /// Reads `500/s`, `30/m`, `1/h`, `500`.
    ///
    /// # Errors
    /// Says what is wrong with `text`, as a lowercase fragment.
    pub fn parse(text: &str) -> Result<Rate, String> {
        let wrong = || format!("not a rate: `{text}`; write it as `500/s`, `30/m` or `1/h`");
        let (number, unit) = text.trim().split_once('/').unwrap_or((text.trim(), "s"));
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        let seconds = unit_factor(&RATE_UNITS, unit.trim()).ok_or_else(wrong)?;
        Rate::new(number / seconds)
    }
}

impl fmt::Display for Rate {
    /// The text that [`Rate::parse`] reads back: per second, or per minute or hour where that is a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, seconds) in [("s", 1.0), ("m", 60.0), ("h", 3600.0)] {
            let number = self.0 * seconds;
            if number.fract() == 0.0 && number / seconds == self.0 {
                return write!(f, "{number}/{unit}");
            }
        }
        write!(f, "{}/s", self.0)
    }
}

/// A part of a whole, from 0 to 1. Written `1%` or `0.01`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// Nothing.
    pub const ZERO: Share = Share(0.0);
    /// The whole.
    pub const ONE: Share = Share(1.0);

    /// The share `value`.
    ///
    /// # Errors
    /// If it is not within 0 and 1.
    pub fn new(value: f64) -> Result<Share, String> {
        if (0.0..=1.0).contains(&value) {
            return Ok(Share(value));
        }
        if value > 1.0 && value <= 100.0 {
            return Err(format!(
                "a share is at most 1: `{value}` could be `{value}%` or `{}`",
                value / 100.0
            ));
        }
        Err(format!("a share must be from 0% to 100%, not `{}%`", value * 100.0))
    }

    /// As a number from 0 to 1.
    pub fn value(self) -> f64 {
        self.0
    }

    /// Reads `1%` and `0.01`.
    ///
    /// # Errors
    /// Says what is wrong with `text`, as a lowercase fragment.
    pub fn parse(text: &str) -> Result<Share, String> {
        let wrong = || format!("not a share: `{text}`; write it as `1%` or `0.01`");
        let text = text.trim();
        let Some(percent) = text.strip_suffix('%') else {
            return Share::new(text.parse().map_err(|_| wrong())?);
        };
        let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
        if (0.0..=100.0).contains(&percent) {
            return Ok(Share(percent / 100.0));
        }
        Err(format!("a share must be from 0% to 100%, not `{text}`"))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Percent, unless that needs more digits: 0.07 * 100 is 7.000000000000001.
        let percent = (self.0 * 1e12).round() / 1e10;
        if percent / 100.0 == self.0 {
            write!(f, "{percent}%")
        } else {
            write!(f, "{}", self.0)
        }
    }
}

/// What a distribution is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Time, in nanoseconds.
    Duration,
    /// Payload, in bytes.
    Size,
}

/// A duration (`5ms`) or a size (`10KiB`, `1MB`, plain bytes), never negative. Which one is meant is checked by [`Quantity::resolve`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity {
    value: f64,
    written: Written,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Written {
    Duration,
    Size,
    Plain,
}

impl Quantity {
    /// A duration.
    pub fn duration(duration: Duration) -> Quantity {
        Quantity {
            value: duration.0 as f64,
            written: Written::Duration,
        }
    }

    /// A number without a unit: bytes where sizes are expected; where durations are, only 0 is allowed.
    ///
    /// # Errors
    /// If it is negative or larger than any size.
    pub fn plain(value: f64) -> Result<Quantity, String> {
        Quantity::checked(value, Written::Plain, value)
    }

    fn checked(value: f64, written: Written, text: impl fmt::Display) -> Result<Quantity, String> {
        if value < 0.0 {
            return Err(format!("a duration or size cannot be negative: `{text}`"));
        }
        if value <= SIZE_MAX {
            return Ok(Quantity { value, written });
        }
        Err(format!("not a duration or size: `{text}`"))
    }

    /// Reads `5ms`, `1m30s`, `10KiB`, `1.5MB`, `512`.
    ///
    /// # Errors
    /// Says what is wrong with `text`, as a lowercase fragment.
    pub fn parse(text: &str) -> Result<Quantity, String> {
        let trimmed = text.trim();
        if let Ok(number) = trimmed.parse::<f64>() {
            return Quantity::checked(number, Written::Plain, text);
        }
        let digits = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &trimmed[digits.len()..];
        match (unit_factor(&SIZE_UNITS, unit), digits.trim().parse::<f64>()) {
            (Some(bytes), Ok(number)) => Quantity::checked(number * bytes, Written::Size, text),
            _ => Duration::parse(trimmed).map(Quantity::duration),
        }
    }

    /// The number in nanoseconds or bytes.
    ///
    /// # Errors
    /// If it was written in the other unit, or without one where durations are expected.
    pub fn resolve(self, unit: Unit) -> Result<f64, String> {
        match (unit, self.written) {
            (Unit::Duration, Written::Duration) | (Unit::Size, Written::Size | Written::Plain) => Ok(self.value),
            (_, Written::Plain | Written::Duration) if self.value == 0.0 => Ok(0.0),
            (Unit::Duration, Written::Plain) => Err(format!(
                "a duration needs a unit: `{0}` could be `{0}ms` or `{0}s`",
                self.value
            )),
            (Unit::Duration, Written::Size) => Err(format!("expected a duration such as `5ms`, not the size `{self}`")),
            (Unit::Size, Written::Duration) => Err(format!("expected a size such as `10KiB`, not the duration `{self}`")),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.written {
            Written::Duration => Duration::from_nanos_f64(self.value).fmt(f),
            Written::Size => write!(f, "{}B", self.value),
            Written::Plain => self.value.fmt(f),
        }
    }
}

fn unit_factor(units: &[(&str, f64)], name: &str) -> Option<f64> {
    units.iter().find(|(unit, _)| *unit == name).map(|&(_, factor)| factor)
}

/// Deserializes from text by `parse` and from a number by `new`.
macro_rules! deserialize_number_or_text {
    ($type:ident, $new:path, $expecting:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        $type::parse(text).map_err(E::custom)
                    }
                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$type, E> {
                        $new(number as f64).map_err(E::custom)
                    }
                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                        $new(number as f64).map_err(E::custom)
                    }
                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$type, E> {
                        $new(number).map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }
    };
}

deserialize_number_or_text!(Rate, Rate::new, "a rate such as `500/s` or `30/m`");
deserialize_number_or_text!(Share, Share::new, "a share such as `1%` or `0.01`");
deserialize_number_or_text!(
    Quantity,
    Quantity::plain,
    "a duration such as `5ms`, or a size such as `10KiB`"
);

impl serde::Serialize for Rate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl serde::Serialize for Share {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl serde::Serialize for Quantity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A rate such as `500/s`, `30/m` or `1/h`; a plain number is per second.",
            "anyOf": [
                {"type": "string", "pattern": r"^\s*[0-9.]+([eE][+-]?[0-9]+)?\s*(/\s*(ns|us|ms|s|m|h|d)\s*)?$"},
                {"type": "number", "minimum": 0, "maximum": RATE_MAX}
            ]
        })
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A part of a whole such as `1%` or `0.01`.",
            "anyOf": [
                {"type": "string", "pattern": r"^\s*[0-9.]+([eE][+-]?[0-9]+)?\s*%?\s*$"},
                {"type": "number", "minimum": 0, "maximum": 1}
            ]
        })
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration such as `5ms`; where payloads are meant, a size such as `10KiB`, `1MB` or a number of bytes.",
            "anyOf": [
                {"type": "string", "pattern": r"^\s*([0-9.]+\s*(ns|us|µs|ms|s|m|min|h|d)\s*)+$|^\s*[0-9.]+\s*([kKMG]B|[KMGT]iB|B)?\s*$"},
                {"type": "number", "minimum": 0}
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_what_they_write() {
        for (text, per_second) in [
            ("500/s", 500.0),
            ("30/m", 0.5),
            ("1/h", 1.0 / 3600.0),
            ("2/ms", 2000.0),
            ("0", 0.0),
            ("1.5", 1.5),
        ] {
            let rate = Rate::parse(text).expect(text);
            assert_eq!(rate.per_second(), per_second, "{text}");
            assert_eq!(Rate::parse(&rate.to_string()), Ok(rate), "{rate}");
        }
        assert_eq!(Rate(0.5).to_string(), "30/m");
    }

    #[test]
    fn rates_refuse_what_is_none() {
        for text in [
            "",
            "/s",
            "5/",
            "5/fortnight",
            "-1/s",
            "NaN",
            "inf",
            "1e308",
            "1e308/s",
            "2/ns",
            "five/s",
        ] {
            let message = Rate::parse(text).expect_err(text);
            assert!(message.contains("rate"), "{message}");
        }
        assert!(Rate::ZERO.positive().is_err());
    }

    #[test]
    fn shares_are_percent_or_fractions() {
        for (text, value) in [
            ("1%", 0.01),
            ("0.01", 0.01),
            ("100%", 1.0),
            ("0", 0.0),
            ("7 %", 0.07),
            ("99.95%", 0.9995),
        ] {
            let share = Share::parse(text).expect(text);
            assert_eq!(share.value(), value, "{text}");
            assert_eq!(Share::parse(&share.to_string()), Ok(share), "{share}");
        }
        for text in ["", "%", "101%", "-1%", "1.2", "NaN", "inf%", "1e308", "half"] {
            assert!(Share::parse(text).is_err(), "{text}");
        }
        assert!(Share::parse("40").expect_err("40").contains("`40%`"));
    }

    #[test]
    fn quantities_are_durations_or_sizes() {
        let read = |text: &str, unit| Quantity::parse(text).and_then(|quantity| quantity.resolve(unit));
        assert_eq!(read("5ms", Unit::Duration), Ok(5e6));
        assert_eq!(read("1m30s", Unit::Duration), Ok(90e9));
        assert_eq!(read("10KiB", Unit::Size), Ok(10240.0));
        assert_eq!(read("1.5 MB", Unit::Size), Ok(1.5e6));
        assert_eq!(read("512", Unit::Size), Ok(512.0));
        assert_eq!(read("0", Unit::Duration), Ok(0.0));
        for (text, unit) in [
            ("5", Unit::Duration),
            ("5ms", Unit::Size),
            ("1KiB", Unit::Duration),
            ("-5ms", Unit::Duration),
            ("-1", Unit::Size),
            ("1e308", Unit::Size),
            ("NaN", Unit::Size),
            ("inf", Unit::Size),
            ("KiB", Unit::Size),
            ("", Unit::Size),
        ] {
            assert!(read(text, unit).is_err(), "{text}");
        }
    }
}
