//! Finagle's nack admission filter: a caller holds requests back while its upstream refuses more than half of them.
//!
//! Source: twitter/finagle `finagle-core/.../filter/NackAdmissionFilter.scala`, `.../util/Ema.scala`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Number, Part};
use crate::math::exp;
use crate::policy::balancer::Entry;
use crate::random::Rng;
use crate::time::{Duration, Time};

/// When it holds back.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "NackAdmissionFilter")]
pub struct Options {
    /// Over how long the share of accepted requests is averaged, with exponentially falling weights.
    pub window: Duration,
    /// The share of refusals that is tolerated.
    #[serde(alias = "nackRateThreshold")]
    pub nack_rate_threshold: Part,
    /// No request is held back with a larger probability, so that recovery is noticed.
    #[serde(alias = "maxDropProbability")]
    pub max_drop_probability: Part,
    /// Below so many requests per second nothing is held back.
    pub rps_threshold: Number,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            window: Duration::from_secs(120),
            nack_rate_threshold: Part(0.5),
            max_drop_probability: Part(0.75),
            rps_threshold: Number(5.0),
        }
    }
}

/// What it is, for whoever lists policies.
pub const ENTRY: Entry = Entry {
    name: "finagle/nack_admission_filter",
    family: "finagle",
    about: "A caller holds requests back while its upstream refuses more than half of them",
    source: "twitter/finagle finagle-core filter/NackAdmissionFilter.scala",
    checked: "Probabilities from the upstream formula; The share that the filter lets through",
    differences: "A nack is an answer with 503; asked once for each call, as if above the retries",
    schema: <Options as JsonSchema>::json_schema,
};

/// The probability with which a request is held back.
pub fn drop_probability(accepted: f64, nack_rate_threshold: f64, most: f64) -> f64 {
    let tolerated = 1.0 - nack_rate_threshold;
    if accepted < tolerated {
        (1.0 - accepted / tolerated).min(most)
    } else {
        0.0
    }
}

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if self.window == Duration::ZERO {
            return Err("`window` must be longer than 0".to_string());
        }
        if self.nack_rate_threshold.0 <= 0.0 || self.nack_rate_threshold.0 >= 1.0 {
            return Err("`nack_rate_threshold` must be above 0% and below 100%".to_string());
        }
        Ok(())
    }
}

/// Requests are counted over one second, in slices.
const SLICES: u64 = 10;
const SLICE: u64 = 100_000_000;

/// What one caller knows.
#[derive(Debug)]
pub(super) struct Filter {
    accepted: f64,
    since: Time,
    counts: [u32; SLICES as usize],
    slice: u64,
}

impl Filter {
    pub fn new(now: Time) -> Filter {
        Filter {
            accepted: 1.0,
            since: now,
            counts: [0; SLICES as usize],
            slice: now.0 / SLICE,
        }
    }

    /// Whether a request may leave.
    pub fn admits(&mut self, options: &Options, now: Time, rng: &mut Rng) -> bool {
        let present = now.0 / SLICE;
        if present >= self.slice + SLICES {
            self.counts = [0; SLICES as usize];
        } else {
            for slice in self.slice + 1..=present {
                self.counts[(slice % SLICES) as usize] = 0;
            }
        }
        self.slice = present;
        self.counts[(present % SLICES) as usize] += 1;
        let rate: u32 = self.counts.iter().sum();
        let draw = rng.unit();
        let probability = drop_probability(self.accepted, options.nack_rate_threshold.0, options.max_drop_probability.0);
        f64::from(rate) < options.rps_threshold.0 || draw >= probability
    }

    /// A request that left has ended.
    pub fn record(&mut self, options: &Options, is_nack: bool, now: Time) {
        let weight = exp(-(now.since(self.since).0 as f64) / options.window.0 as f64);
        self.since = now;
        let value = if is_nack { 0.0 } else { 1.0 };
        self.accepted = value * (1.0 - weight) + self.accepted * weight;
    }
}
