//! Client-side throttling as Google's SRE book describes it: a caller holds back what its upstream would refuse anyway.
//!
//! Source: Site Reliability Engineering (Beyer et al., 2016), chapter 21, "Client-Side Throttling".

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Number;
use crate::policy::balancer::Entry;
use crate::random::Rng;
use crate::time::{Duration, Time};

/// How far it goes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "AdaptiveThrottling")]
pub struct Options {
    /// So many requests are sent for each one that the upstream accepts: the smaller, the sooner it holds back.
    #[serde(alias = "K", alias = "multiplier")]
    pub k: Number,
    /// How far back it looks.
    pub window: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            k: Number(2.0),
            window: Duration::from_secs(120),
        }
    }
}

/// What it is, for whoever lists policies.
pub const ENTRY: Entry = Entry {
    name: "google/adaptive_throttling",
    family: "google",
    about: "A caller holds requests back once its upstream accepts fewer than 1 in k of them",
    source: "Site Reliability Engineering (2016), chapter 21",
    checked: "Probabilities from the book's formula; The rates that the formula settles at",
    differences: "Every answer but 429, 502, 503 and 504 counts as accepted",
    schema: <Options as JsonSchema>::json_schema,
};

/// The probability with which a request is held back.
pub fn rejection_probability(requests: f64, accepts: f64, k: f64) -> f64 {
    ((requests - k * accepts) / (requests + 1.0)).max(0.0)
}

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if self.k.0 < 1.0 {
            return Err("`k` must be at least 1".to_string());
        }
        if self.window < Duration::from_millis(100) {
            return Err("`window` must be at least 100ms".to_string());
        }
        Ok(())
    }
}

/// The window is kept in so many slices.
const SLICES: u64 = 120;

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u64,
    accepts: u64,
}

/// The history of one caller.
#[derive(Debug)]
pub(super) struct Throttle {
    slices: VecDeque<(u64, Counts)>,
    sum: Counts,
}

impl Throttle {
    pub fn new() -> Throttle {
        Throttle {
            slices: VecDeque::with_capacity(SLICES as usize + 1),
            sum: Counts::default(),
        }
    }

    /// Whether a request may leave. It counts either way.
    pub fn admits(&mut self, options: &Options, now: Time, rng: &mut Rng) -> bool {
        let probability = {
            self.present(options, now);
            rejection_probability(self.sum.requests as f64, self.sum.accepts as f64, options.k.0)
        };
        self.present(options, now).requests += 1;
        self.sum.requests += 1;
        rng.unit() >= probability
    }

    /// A request that left was accepted.
    pub fn accepted(&mut self, options: &Options, now: Time) {
        self.present(options, now).accepts += 1;
        self.sum.accepts += 1;
    }

    fn present(&mut self, options: &Options, now: Time) -> &mut Counts {
        let number = now.0 / (options.window.0 / SLICES).max(1);
        while let Some(&(oldest, counts)) = self.slices.front()
            && oldest + SLICES <= number
        {
            self.sum.requests -= counts.requests;
            self.sum.accepts -= counts.accepts;
            self.slices.pop_front();
        }
        if self.slices.back().is_none_or(|&(newest, _)| newest != number) {
            self.slices.push_back((number, Counts::default()));
        }
        &mut self.slices.back_mut().expect("it has just been made").1
    }
}
