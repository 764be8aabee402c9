//! Evenly spaced arrivals, without drift: the i-th comes at i / rate, to the nearest nanosecond.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::random::quantity::Rate;
use crate::time::Time;

/// Evenly spaced: the first one after one gap.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ConstantRate")]
pub struct Options {
    /// Requests per second.
    pub rate: Rate,
}

/// Evenly spaced arrivals.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    per_second: f64,
    sent: u64,
}

impl Options {
    pub(super) fn build(&self) -> Result<Constant, String> {
        Ok(Constant {
            per_second: self.rate.positive()?.per_second(),
            sent: 0,
        })
    }
}

impl Constant {
    #[inline]
    pub(super) fn next(&mut self) -> Option<(Time, u32)> {
        self.sent += 1;
        // From the count, not by adding gaps, whose rounding would add up. The cast saturates.
        Some((Time((self.sent as f64 * 1e9 / self.per_second + 0.5) as u64), 1))
    }

    pub(super) fn mean_rate(&self) -> f64 {
        self.per_second
    }
}
