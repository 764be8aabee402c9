//! Poisson arrivals, one by one or in batches of a fixed size: memoryless gaps.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{exponential, later};
use crate::random::Rng;
use crate::random::quantity::Rate;
use crate::time::Time;

/// Memoryless gaps: what many independent users send.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Poisson")]
pub struct Options {
    /// Requests per second.
    pub rate: Rate,
}

/// Batches of requests at one instant, with memoryless gaps between the batches.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Batch")]
pub struct BatchOptions {
    /// Batches per second.
    pub rate: Rate,
    /// Requests in a batch.
    pub size: u32,
}

/// Poisson arrivals.
#[derive(Clone, Debug, PartialEq)]
pub struct Poisson {
    /// Mean gap in nanoseconds.
    gap: f64,
    size: u32,
}

impl Options {
    pub(super) fn build(&self) -> Result<Poisson, String> {
        let gap = self.rate.positive()?.gap_nanos();
        Ok(Poisson { gap, size: 1 })
    }
}

impl BatchOptions {
    pub(super) fn build(&self) -> Result<Poisson, String> {
        if self.size == 0 {
            return Err("`size` must be at least 1".to_string());
        }
        let gap = self.rate.positive()?.gap_nanos();
        Ok(Poisson { gap, size: self.size })
    }
}

impl Poisson {
    #[inline]
    pub(super) fn next(&self, now: Time, rng: &mut Rng) -> Option<(Time, u32)> {
        Some((later(now, exponential(rng) * self.gap), self.size))
    }

    /// How many requests come at once.
    pub fn size(&self) -> u32 {
        self.size
    }

    pub(super) fn mean_rate(&self) -> f64 {
        f64::from(self.size) * 1e9 / self.gap
    }
}
