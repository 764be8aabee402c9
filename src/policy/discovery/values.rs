//! Values of options that have more than one way of being written.

use serde::Deserializer;

use crate::random::DistributionConfig;
use crate::time::Duration;

/// A duration, or a number of seconds as Kubernetes and Eureka write it.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Visitor;
    impl serde::de::Visitor<'_> for Visitor {
        type Value = Duration;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a duration such as `10s`, or a number of seconds")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Duration, E> {
            Duration::parse(text).map_err(E::custom)
        }
        fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Duration, E> {
            let nanos = seconds.checked_mul(1_000_000_000);
            nanos
                .map(Duration)
                .ok_or_else(|| E::custom(format!("{seconds} seconds are too many")))
        }
        fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Duration, E> {
            match u64::try_from(seconds) {
                Ok(seconds) => self.visit_u64(seconds),
                Err(_) => Err(E::custom("a duration cannot be negative")),
            }
        }
        fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<Duration, E> {
            match seconds {
                0.0..=1e9 => Ok(Duration::from_secs_f64(seconds)),
                _ => Err(E::custom("a duration must be from 0 to 1000000000 seconds")),
            }
        }
    }
    deserializer.deserialize_any(Visitor)
}

/// A distribution as it would be written: for defaults.
pub(super) fn distribution(json: &str) -> DistributionConfig {
    serde_json::from_str(json).expect("a default is well formed")
}
