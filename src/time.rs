//! Simulated time: integer nanoseconds, so that equality, order and sums are exact.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Deserializer};

/// An instant: nanoseconds since the start of the simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// A span of time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub u64);

impl Time {
    /// The start of the simulation.
    pub const ZERO: Time = Time(0);
    /// Later than everything that happens.
    pub const MAX: Time = Time(u64::MAX);

    /// Seconds since the start, for reports.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The time since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Duration = Duration(0);
    /// Longer than any run.
    pub const MAX: Duration = Duration(u64::MAX);

    /// `micros` microseconds.
    pub const fn from_micros(micros: u64) -> Duration {
        Duration(micros * 1_000)
    }

    /// `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Duration {
        Duration(millis * 1_000_000)
    }

    /// `secs` seconds.
    pub const fn from_secs(secs: u64) -> Duration {
        Duration(secs * 1_000_000_000)
    }

    /// The nearest whole number of nanoseconds; negative and NaN become zero, too large becomes 292 years.
    pub fn from_nanos_f64(nanos: f64) -> Duration {
        // A cast from float saturates and sends NaN to zero; the one to a signed number is the cheaper.
        Duration(((nanos + 0.5) as i64).max(0) as u64)
    }

    /// The nearest whole number of nanoseconds to `seconds`.
    pub fn from_secs_f64(seconds: f64) -> Duration {
        Duration::from_nanos_f64(seconds * 1e9)
    }

    /// Seconds, for reports.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Reads `250us`, `5ms`, `1m30s`, `2h`, `0`. Units: `ns`, `us` (or `µs`), `ms`, `s`, `m`, `h`, `d`.
    ///
    /// # Errors
    /// Says what is wrong with `text`, as a lowercase fragment.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let text = text.trim();
        if text.starts_with('-') {
            return Err(format!("a duration cannot be negative: `{text}`"));
        }
        if text == "0" {
            return Ok(Duration::ZERO);
        }
        let mut rest = text;
        let mut total = 0.0_f64;
        let mut parts = 0;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
            let (number, tail) = rest.split_at(digits);
            let unit_length = tail.len() - tail.trim_start_matches(|c: char| c.is_alphabetic()).len();
            let (unit, tail) = tail.split_at(unit_length);
            let nanos = match unit {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" | "min" => 60e9,
                "h" => 3600e9,
                "d" => 86400e9,
                "" if !number.is_empty() => {
                    return Err(format!(
                        "a duration needs a unit: `{text}` could be `{number}ms` or `{number}s`"
                    ));
                }
                _ => return Err(format!("not a duration: `{text}`")),
            };
            let number: f64 = number.parse().map_err(|_| format!("not a duration: `{text}`"))?;
            total += number * nanos;
            rest = tail.trim_start();
            parts += 1;
        }
        if parts == 0 {
            return Err("not a duration: the text is empty".to_string());
        }
        // A tenth of the range of u64 (58 years) leaves room for sums.
        if total > u64::MAX as f64 / 10.0 {
            return Err(format!("`{text}` is longer than the 58 years that a run may last"));
        }
        Ok(Duration::from_nanos_f64(total))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, span: Duration) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Add for Duration {
    type Output = Duration;
    fn add(self, other: Duration) -> Duration {
        Duration(self.0.saturating_add(other.0))
    }
}

impl Sub for Duration {
    type Output = Duration;
    fn sub(self, other: Duration) -> Duration {
        Duration(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Duration {
    /// The shortest text that [`Duration::parse`] reads back: `1m30s`, `250us`, `1.5ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0;
        let (unit, size) = match nanos {
            0 => return f.write_str("0s"),
            1..1_000 => ("ns", 1),
            1_000..1_000_000 => ("us", 1_000),
            1_000_000..1_000_000_000 => ("ms", 1_000_000),
            1_000_000_000..60_000_000_000 => ("s", 1_000_000_000),
            _ => {
                let (minutes, rest) = (nanos / 60_000_000_000, nanos % 60_000_000_000);
                let (hours, minutes) = (minutes / 60, minutes % 60);
                if hours > 0 {
                    write!(f, "{hours}h")?;
                }
                if minutes > 0 {
                    write!(f, "{minutes}m")?;
                }
                if rest > 0 {
                    write!(f, "{}", Duration(rest))?;
                }
                return Ok(());
            }
        };
        write!(f, "{}{unit}", nanos as f64 / size as f64)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Duration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as `250us`, `5ms` or `1m30s`")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Duration, E> {
                Duration::parse(text).map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Duration, E> {
                Duration::parse(&number.to_string()).map_err(E::custom)
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Duration, E> {
                Duration::parse(&number.to_string()).map_err(E::custom)
            }
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Duration, E> {
                Duration::parse(&number.to_string()).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl serde::Serialize for Duration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A duration such as `250us`, `5ms` or `1m30s`; `0` needs no unit.",
            "anyOf": [
                {"type": "string", "pattern": r"^\s*([0-9.]+\s*(ns|us|µs|ms|s|m|min|h|d)\s*)+$|^0$"},
                {"type": "integer", "const": 0}
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_what_display_writes() {
        for (text, nanos) in [
            ("0", 0),
            ("250us", 250_000),
            ("5ms", 5_000_000),
            ("1.5ms", 1_500_000),
            ("1m30s", 90_000_000_000),
            ("2h", 7_200_000_000_000),
            ("1h1m1.5s", 3_661_500_000_000),
            ("7ns", 7),
        ] {
            let duration = Duration::parse(text).expect(text);
            assert_eq!(duration, Duration(nanos), "{text}");
            assert_eq!(Duration::parse(&duration.to_string()), Ok(duration), "{duration}");
        }
    }

    #[test]
    fn parse_refuses_what_is_not_a_duration() {
        for text in [
            "",
            "5",
            "-1ms",
            "ms",
            "5 parsecs",
            "1..2s",
            "NaN",
            "1e999s",
            "99999999999999h",
        ] {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
    }
}
