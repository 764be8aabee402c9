//! Renewal arrivals: independent gaps of any distribution, the Erlang among them by a name of its own.

use schemars::JsonSchema;
use serde::Deserialize;

use super::later;
use crate::random::quantity::{Rate, Unit};
use crate::random::{Distribution, DistributionConfig, Rng};
use crate::time::Time;

/// Independent gaps of one distribution.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Renewal")]
pub struct Options {
    /// The time between two arrivals.
    pub gap: DistributionConfig,
}

/// Gaps that are the sum of `shape` exponentials: between `poisson` (1) and `constant` (many).
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ErlangArrivals")]
pub struct ErlangOptions {
    /// How many exponentials make up a gap.
    pub shape: u32,
    /// Requests per second.
    pub rate: Rate,
}

/// Renewal arrivals.
#[derive(Clone, Debug, PartialEq)]
pub struct Renewal {
    gap: Distribution,
}

impl Options {
    pub(super) fn build<F>(&self, read_file: &mut F) -> Result<Renewal, String>
    where
        F: FnMut(&str) -> Result<String, String>,
    {
        let gap = self
            .gap
            .build(Unit::Duration, read_file)
            .map_err(|problem| format!("`gap`: {problem}"))?;
        // The least mean is one nanosecond, the resolution of time; it also keeps a gap of always 0 out.
        if gap.mean() < 1.0 {
            return Err("the mean `gap` must be at least 1ns".to_string());
        }
        Ok(Renewal { gap })
    }
}

impl ErlangOptions {
    pub(super) fn build(&self) -> Result<Renewal, String> {
        if self.shape == 0 {
            return Err("`shape` must be at least 1".to_string());
        }
        let scale = self.rate.positive()?.gap_nanos() / f64::from(self.shape);
        let gap = Distribution::Erlang {
            shape: self.shape,
            scale,
        };
        Ok(Renewal { gap })
    }
}

impl Renewal {
    pub(super) fn next(&self, now: Time, rng: &mut Rng) -> Option<(Time, u32)> {
        Some((later(now, self.gap.sample(&mut rng.draws())), 1))
    }

    /// The distribution of the gaps, in nanoseconds.
    pub fn gap(&self) -> &Distribution {
        &self.gap
    }

    pub(super) fn mean_rate(&self) -> f64 {
        1e9 / self.gap.mean()
    }
}
