//! Poisson arrivals whose rate swings like a sine: day and night. Drawn by thinning.

use std::f64::consts::TAU;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{exponential, later};
use crate::random::Rng;
use crate::random::quantity::{Rate, Share};
use crate::time::{Duration, Time};

/// Poisson arrivals whose rate swings around a mean: it begins at the mean and rises.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Diurnal")]
pub struct Options {
    /// Requests per second on average over a period.
    pub mean: Rate,
    /// How far the rate swings from the mean: a rate such as `300/s`, or a share of the mean such as `60%`.
    pub amplitude: Amplitude,
    /// The length of a day.
    pub period: Duration,
}

/// How far the rate swings from the mean.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema)]
#[schemars(untagged)]
pub enum Amplitude {
    /// A share of the mean.
    Share(Share),
    /// A rate.
    Rate(Rate),
}

impl<'de> Deserialize<'de> for Amplitude {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Amplitude, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl serde::de::Visitor<'_> for Visitor {
    type Value = Amplitude;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a rate such as `300/s`, or a share such as `60%`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Amplitude, E> {
        let parsed = if text.contains('/') {
            Rate::parse(text).map(Amplitude::Rate)
        } else {
            Share::parse(text).map(Amplitude::Share)
        };
        parsed.map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Amplitude, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Amplitude, E> {
        match Share::new(number) {
            Ok(share) => Ok(Amplitude::Share(share)),
            Err(_) => Err(E::custom(format!(
                "an amplitude needs a unit: `{number}` could be `{number}/s` or `{number}%`"
            ))),
        }
    }
}

/// Poisson arrivals with a sinusoidal rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Diurnal {
    /// The gap at the highest rate, in nanoseconds.
    least_gap: f64,
    /// The mean over the highest rate.
    middle: f64,
    /// The amplitude over the highest rate.
    swing: f64,
    /// In nanoseconds.
    period: f64,
}

impl Options {
    pub(super) fn build(&self) -> Result<Diurnal, String> {
        let mean = self.mean.positive()?.per_second();
        let amplitude = match self.amplitude {
            Amplitude::Share(share) => share.value() * mean,
            Amplitude::Rate(rate) => rate.per_second(),
        };
        if amplitude > mean {
            return Err(format!(
                "`amplitude` must not be more than `mean`, `{}`: the rate would fall below 0",
                self.mean
            ));
        }
        if self.period == Duration::ZERO {
            return Err("`period` must be more than 0".to_string());
        }
        let highest = mean + amplitude;
        Ok(Diurnal {
            least_gap: 1e9 / highest,
            middle: mean / highest,
            swing: amplitude / highest,
            period: self.period.0 as f64,
        })
    }
}

impl Diurnal {
    /// Lewis and Shedler's thinning (Naval Research Logistics 26, 1979): candidates at the highest rate are kept in proportion.
    pub(super) fn next(&self, now: Time, rng: &mut Rng) -> Option<(Time, u32)> {
        let mut now = now;
        loop {
            now = later(now, exponential(rng) * self.least_gap);
            let phase = now.0 as f64 / self.period;
            if rng.unit() < self.middle + self.swing * libm::sin(TAU * (phase - phase.floor())) {
                return Some((now, 1));
            }
        }
    }

    pub(super) fn mean_rate(&self, until: Time) -> f64 {
        // The integral of the sine, over the time.
        let angle = TAU * until.0 as f64 / self.period;
        (self.middle + self.swing * (1.0 - libm::cos(angle)) / angle) * 1e9 / self.least_gap
    }
}
