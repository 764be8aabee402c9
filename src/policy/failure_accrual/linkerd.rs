//! Linkerd's breakers: failures in a row, or also a success rate within a window; a shut endpoint is tried with one request after a
//! pause that doubles.
//!
//! `linkerd/app/outbound/src/http/breaker/{consecutive_failures,unified,success_rate}.rs` and `linkerd/exp-backoff/src/lib.rs`.
//! Retry-After hints are not obeyed: answers here have no headers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::{Answer, Reason};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// The breaker that counts failures in a row: the annotations `balancer.linkerd.io/failure-accrual-consecutive-*`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LinkerdConsecutive")]
pub struct Consecutive {
    /// So many failures in a row shut an endpoint: 5xx, or no answer. 0 switches the breaker off.
    #[serde(alias = "max-failures")]
    pub max_failures: u32,
    /// How long it is shut the first time; twice as long each time that the request which tries it fails.
    #[serde(alias = "min-penalty")]
    pub min_penalty: Duration,
    /// The longest time shut.
    #[serde(alias = "max-penalty")]
    pub max_penalty: Duration,
    /// Each time is made longer by a random share of itself up to this.
    #[serde(alias = "jitter-ratio")]
    pub jitter_ratio: f64,
}

/// The breaker that looks at failures in a row and at the success rate.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LinkerdUnified")]
pub struct Unified {
    /// So many failures in a row shut an endpoint: 5xx, or no answer. 0 leaves it to the success rate.
    #[serde(
        alias = "max-failures",
        alias = "max_consecutive_failures",
        alias = "max-consecutive-failures"
    )]
    pub max_failures: u32,
    /// A success rate below this shuts an endpoint; 429 counts as a failure here. 0 leaves it to failures in a row.
    pub threshold: f64,
    /// The time over which the success rate is taken, in ten parts.
    pub window: Duration,
    /// With fewer answers than this in the window its success rate says nothing.
    #[serde(alias = "min-requests")]
    pub min_requests: u32,
    /// How long it is shut the first time; twice as long each time that the request which tries it fails.
    #[serde(alias = "min-penalty")]
    pub min_penalty: Duration,
    /// The longest time shut.
    #[serde(alias = "max-penalty")]
    pub max_penalty: Duration,
    /// Each time is made longer by a random share of itself up to this.
    #[serde(alias = "jitter-ratio")]
    pub jitter_ratio: f64,
}

impl Default for Consecutive {
    fn default() -> Consecutive {
        Consecutive {
            max_failures: 7,
            min_penalty: Duration::from_secs(1),
            max_penalty: Duration::from_secs(60),
            jitter_ratio: 0.5,
        }
    }
}

impl Default for Unified {
    fn default() -> Unified {
        let Consecutive {
            max_failures,
            min_penalty,
            max_penalty,
            jitter_ratio,
        } = Consecutive::default();
        Unified {
            max_failures,
            threshold: 0.8,
            window: Duration::from_secs(10),
            min_requests: 5,
            min_penalty,
            max_penalty,
            jitter_ratio,
        }
    }
}

impl Consecutive {
    /// Whether Linkerd would take them.
    ///
    /// # Errors
    /// A sentence about the option that it would not take.
    pub fn check(&self) -> Result<(), String> {
        self.back_off().check()
    }

    fn back_off(&self) -> ExponentialBackOff {
        ExponentialBackOff {
            min: self.min_penalty,
            max: self.max_penalty,
            jitter: self.jitter_ratio,
        }
    }
}

impl Unified {
    /// Whether Linkerd would take them.
    ///
    /// # Errors
    /// A sentence about the option that it would not take.
    pub fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.threshold) {
            return Err(format!("`threshold` must be from 0 to 1, not {}", self.threshold));
        }
        if self.window < WINDOW_MIN {
            return Err(format!("`window` must be at least {WINDOW_MIN}, not {}", self.window));
        }
        self.back_off().check()
    }

    fn back_off(&self) -> ExponentialBackOff {
        ExponentialBackOff {
            min: self.min_penalty,
            max: self.max_penalty,
            jitter: self.jitter_ratio,
        }
    }
}

/// Pauses that double, with jitter on top.
#[derive(Clone, Copy, Debug)]
pub struct ExponentialBackOff {
    /// The first.
    pub min: Duration,
    /// The longest, jitter included.
    pub max: Duration,
    /// The most jitter, as a share of the pause.
    pub jitter: f64,
}

impl ExponentialBackOff {
    fn check(&self) -> Result<(), String> {
        if self.min == Duration::ZERO {
            return Err("`min_penalty` must be longer than 0".to_string());
        }
        if self.max < self.min {
            return Err(format!(
                "`max_penalty` {} is shorter than `min_penalty` {}",
                self.max, self.min
            ));
        }
        match self.jitter {
            0.0..=100.0 => Ok(()),
            jitter => Err(format!("`jitter_ratio` must be from 0 to 100, not {jitter}")),
        }
    }

    /// The pause after `failures` others, without jitter.
    pub fn base(&self, failures: u32) -> Duration {
        let doubled = u64::from(failures < 64) << failures.min(63);
        match doubled {
            0 => self.max,
            _ => Duration(self.min.0.saturating_mul(doubled)).min(self.max),
        }
    }

    /// The pause after `failures` others.
    fn draw(&self, failures: u32, rng: &mut Rng) -> Duration {
        let base = self.base(failures);
        if self.jitter == 0.0 {
            return base;
        }
        let jitter = Duration::from_nanos_f64(base.0 as f64 * self.jitter * rng.unit());
        base + Duration(jitter.0.min(self.max.0 - base.0))
    }
}

/// The least window: a millisecond for each part.
const WINDOW_MIN: Duration = Duration::from_millis(10);
const PARTS: usize = 10;

/// How either breaker is set.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    max_failures: u32,
    rate: Option<RateRule>,
    back_off: ExponentialBackOff,
}

#[derive(Clone, Copy, Debug)]
struct RateRule {
    threshold: f64,
    part: Duration,
    min_requests: u32,
}

impl From<&Consecutive> for Rules {
    fn from(options: &Consecutive) -> Rules {
        Rules {
            max_failures: options.max_failures,
            rate: None,
            back_off: options.back_off(),
        }
    }
}

impl From<&Unified> for Rules {
    fn from(options: &Unified) -> Rules {
        let rate = RateRule {
            threshold: options.threshold,
            part: Duration(options.window.0 / PARTS as u64),
            min_requests: options.min_requests,
        };
        Rules {
            max_failures: options.max_failures,
            rate: (options.threshold > 0.0).then_some(rate),
            back_off: options.back_off(),
        }
    }
}

/// What is known of an endpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    consecutive: u32,
    window: Window,
    // Times shut since it last was well.
    penalties: u32,
}

impl Record {
    pub fn new(now: Time) -> Record {
        Record {
            window: Window {
                since: now,
                ..Window::default()
            },
            ..Record::default()
        }
    }

    /// Whether an answer shuts the endpoint, and why.
    pub fn trips(&mut self, rules: &Rules, answer: Answer, now: Time) -> Option<Reason> {
        let is_failure = is_failure(answer);
        self.consecutive = if is_failure { self.consecutive + 1 } else { 0 };
        if let Some(rule) = rules.rate {
            self.window.count(!is_failure && !is_rate_limit(answer), rule.part, now);
        }
        if rules.max_failures > 0 && self.consecutive >= rules.max_failures {
            return Some(Reason::ConsecutiveFailures);
        }
        let rule = rules.rate?;
        self.window.is_below(rule).then_some(Reason::SuccessRate)
    }

    /// Whether the answer to the request that tries the endpoint shows that it is well.
    pub fn is_well(&self, rules: &Rules, answer: Answer) -> bool {
        !(is_failure(answer) || rules.rate.is_some() && is_rate_limit(answer))
    }

    /// How long the endpoint is shut now.
    pub fn penalty(&mut self, rules: &Rules, rng: &mut Rng) -> Duration {
        let penalty = rules.back_off.draw(self.penalties, rng);
        self.penalties = self.penalties.saturating_add(1);
        penalty
    }
}

/// Whether it is one of Linkerd's failures: a server error or none at all.
fn is_failure(answer: Answer) -> bool {
    !matches!(answer, Answer::Status(0..500))
}

/// Whether it is 429, which gRPC's RESOURCE_EXHAUSTED is written as too.
fn is_rate_limit(answer: Answer) -> bool {
    answer == Answer::Status(429)
}

/// Answers in ten parts of a window of time.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    // Successes and all, by part.
    parts: [(u32, u32); PARTS],
    current: usize,
    // When the current part began.
    since: Time,
}

impl Window {
    fn count(&mut self, is_success: bool, part: Duration, now: Time) {
        self.roll(part, now);
        let (successes, total) = &mut self.parts[self.current];
        *total = total.saturating_add(1);
        *successes = successes.saturating_add(u32::from(is_success));
    }

    /// Empties the parts whose time has passed.
    fn roll(&mut self, part: Duration, now: Time) {
        let steps = now.since(self.since).0 / part.0;
        for step in 1..=steps.min(PARTS as u64) {
            self.parts[(self.current + step as usize) % PARTS] = (0, 0);
        }
        self.current = (self.current + (steps % PARTS as u64) as usize) % PARTS;
        self.since += Duration(steps * part.0);
    }

    fn is_below(&self, rule: RateRule) -> bool {
        let successes: u64 = self.parts.iter().map(|part| u64::from(part.0)).sum();
        let total: u64 = self.parts.iter().map(|part| u64::from(part.1)).sum();
        total > 0 && total >= u64::from(rule.min_requests) && (successes as f64 / total as f64) < rule.threshold
    }
}
