//! Envoy's admission control: turns requests away with a probability that grows as fewer of the recent ones succeed.
//!
//! Source: envoyproxy/envoy `source/extensions/filters/http/admission_control/{admission_control,thread_local_controller}.cc`, API
//! `admission_control.proto`.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Number, Part};
use crate::math::pow;
use crate::policy::balancer::Entry;
use crate::policy::health_check::Statuses;
use crate::random::Rng;
use crate::time::{Duration, Time};

/// What is looked at, and how hard it bites.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "AdmissionControl")]
pub struct Options {
    /// Whether it is on.
    pub enabled: bool,
    /// How far back it looks, in whole seconds.
    pub sampling_window: Duration,
    /// At 1 the probability grows in proportion to the missing successes; above that it grows faster.
    pub aggression: Number,
    /// Above this share of successes nothing is turned away.
    pub sr_threshold: Part,
    /// Below so many requests per second nothing is turned away.
    pub rps_threshold: Number,
    /// The probability is never larger.
    pub max_rejection_probability: Part,
    /// Which answers are successes.
    pub success_criteria: SuccessCriteria,
}

/// Which answers are successes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SuccessCriteria {
    /// Of HTTP.
    pub http_criteria: HttpCriteria,
    /// Of gRPC, whose statuses are the HTTP statuses that google/rpc/code.proto gives them; without an effect of its own.
    pub grpc_criteria: GrpcCriteria,
}

/// Of HTTP.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpCriteria {
    /// Statuses, as numbers and ranges; 100 to 499 if empty.
    pub http_success_status: Statuses,
}

/// Of gRPC.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcCriteria {
    /// Codes.
    pub grpc_success_status: Vec<u32>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            enabled: true,
            sampling_window: Duration::from_secs(30),
            aggression: Number(1.0),
            sr_threshold: Part(0.95),
            rps_threshold: Number(0.0),
            max_rejection_probability: Part(0.8),
            success_criteria: SuccessCriteria::default(),
        }
    }
}

/// What it is, for whoever lists policies.
pub const ENTRY: Entry = Entry {
    name: "envoy/admission_control",
    family: "envoy",
    about: "Turns requests away with a probability that grows as fewer of the recent ones succeed",
    source: "envoyproxy/envoy source/extensions/filters/http/admission_control",
    checked: "Probabilities from the upstream formula; What the formula lets through of a service that fails",
    differences: "A call whose time runs out between two attempts is not recorded; gRPC answers are judged by their HTTP status",
    schema: <Options as JsonSchema>::json_schema,
};

/// The probability with which a request is turned away after `total` requests of which `successes` succeeded.
pub fn rejection_probability(total: f64, successes: f64, sr_threshold: f64, aggression: f64, most: f64) -> f64 {
    let missing = (total - successes / sr_threshold) / (total + 1.0);
    if missing <= 0.0 {
        return 0.0;
    }
    let probability = if aggression > 1.0 {
        pow(missing, 1.0 / aggression)
    } else {
        missing
    };
    probability.min(most)
}

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if self.sampling_window < SLICE {
            return Err("`sampling_window` must be at least 1s".to_string());
        }
        if self.sr_threshold.0 < 0.01 {
            return Err("`sr_threshold` must be at least 1%".to_string());
        }
        self.success_criteria.http_criteria.http_success_status.check()
    }

    /// Whether an answer with this status is a success.
    pub fn is_success(&self, status: u16) -> bool {
        let successes = &self.success_criteria.http_criteria.http_success_status;
        if successes.is_empty() {
            (100..500).contains(&status)
        } else {
            successes.holds(status)
        }
    }
}

/// The history is kept by slices of this length.
const SLICE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    total: u64,
    successes: u64,
}

/// The history of one caller or endpoint.
#[derive(Debug)]
pub(super) struct Controller {
    slices: VecDeque<(Time, Counts)>,
    sum: Counts,
}

impl Controller {
    pub fn new(options: &Options) -> Controller {
        // Envoy's slices begin with requests, so there are at most as many as seconds and one.
        let most = (options.sampling_window.0 / SLICE.0 + 2).min(4096) as usize;
        Controller {
            slices: VecDeque::with_capacity(most),
            sum: Counts::default(),
        }
    }

    /// Whether a request may pass.
    pub fn admits(&mut self, options: &Options, now: Time, rng: &mut Rng) -> bool {
        if !options.enabled {
            return true;
        }
        self.bring_up(options, now);
        // A draw whatever the probability, so that one more failure shifts no other draw.
        let draw = rng.below(10_000);
        if self.average_rps(now) < options.rps_threshold.0 {
            return true;
        }
        let probability = rejection_probability(
            self.sum.total as f64,
            self.sum.successes as f64,
            options.sr_threshold.0,
            options.aggression.0,
            options.max_rejection_probability.0,
        );
        10_000.0 * probability <= draw as f64
    }

    /// A request that passed has ended.
    pub fn record(&mut self, options: &Options, success: bool, now: Time) {
        self.bring_up(options, now);
        let Some((_, counts)) = self.slices.back_mut() else { return };
        counts.total += 1;
        counts.successes += u64::from(success);
        self.sum.total += 1;
        self.sum.successes += u64::from(success);
    }

    fn average_rps(&self, now: Time) -> f64 {
        match self.slices.front() {
            Some(&(oldest, _)) if self.sum.total > 0 => {
                // Envoy counts whole seconds, at least one.
                let seconds = (now.since(oldest).0 / SLICE.0).max(1);
                (self.sum.total / seconds) as f64
            }
            _ => 0.0,
        }
    }

    fn bring_up(&mut self, options: &Options, now: Time) {
        while let Some(&(oldest, counts)) = self.slices.front()
            && now.since(oldest) >= options.sampling_window
        {
            self.sum.total -= counts.total;
            self.sum.successes -= counts.successes;
            self.slices.pop_front();
        }
        if self.slices.back().is_none_or(|&(newest, _)| now.since(newest) >= SLICE) {
            self.slices.push_back((now, Counts::default()));
        }
    }
}
