//! Finagle's failure accrual: failures in a row, or a moving average of success, mark an endpoint dead for a time that grows.
//!
//! `finagle-core/src/main/scala/com/twitter/finagle/liveness/FailureAccrualPolicy.scala`, `finagle/Backoff.scala` (`equalJittered`),
//! `finagle/util/Ema.scala` and util's `WindowedAdder`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math;
use crate::policy::{Answer, Reason};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// `consecutiveFailures`: so many failures in a row.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "FinagleConsecutiveFailures")]
pub struct ConsecutiveFailures {
    /// So many failures in a row mark an endpoint dead.
    #[serde(alias = "numFailures")]
    pub num_failures: u32,
    /// For how long.
    #[serde(alias = "markDeadFor")]
    pub mark_dead_for: EqualJittered,
}

/// `successRate`: a moving average over a number of requests.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "FinagleSuccessRate")]
pub struct SuccessRate {
    /// A failure marks an endpoint dead when the average is below this.
    #[serde(alias = "requiredSuccessRate", alias = "success_rate")]
    pub required_success_rate: f64,
    /// The requests over which it is taken, and that there must be first.
    #[serde(alias = "requests")]
    pub window: u32,
    /// For how long.
    #[serde(alias = "markDeadFor")]
    pub mark_dead_for: EqualJittered,
}

/// `successRateWithinDuration`: a moving average over a time.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "FinagleSuccessRateWithinDuration")]
pub struct SuccessRateWithinDuration {
    /// A failure marks an endpoint dead when the average is below this.
    #[serde(alias = "requiredSuccessRate", alias = "success_rate")]
    pub required_success_rate: f64,
    /// The time over which it is taken, and that must have passed first.
    pub window: Duration,
    /// With fewer requests than this in the window the average says nothing.
    #[serde(alias = "minimumRequestThreshold", alias = "min_requests")]
    pub minimum_request_threshold: u32,
    /// For how long.
    #[serde(alias = "markDeadFor")]
    pub mark_dead_for: EqualJittered,
}

/// The default policy: failures in a row, or a moving average over a time; where both speak, for the longer time.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "FinagleHybrid")]
pub struct Hybrid {
    /// So many failures in a row mark an endpoint dead.
    #[serde(alias = "numFailures")]
    pub num_failures: u32,
    /// A failure marks an endpoint dead when the average is below this.
    #[serde(alias = "requiredSuccessRate", alias = "success_rate")]
    pub required_success_rate: f64,
    /// The time over which the average is taken, and that must have passed first.
    pub window: Duration,
    /// With fewer requests than this in the window the average says nothing.
    #[serde(alias = "minimumRequestThreshold", alias = "min_requests")]
    pub minimum_request_threshold: u32,
    /// For how long.
    #[serde(alias = "markDeadFor")]
    pub mark_dead_for: EqualJittered,
}

/// Times that double, of which half is random: `Backoff.equalJittered`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EqualJittered {
    /// The first, without jitter.
    #[serde(alias = "min")]
    pub start: Duration,
    /// The longest.
    #[serde(alias = "max")]
    pub maximum: Duration,
}

impl Default for EqualJittered {
    fn default() -> EqualJittered {
        EqualJittered {
            start: Duration::from_secs(5),
            maximum: Duration::from_secs(300),
        }
    }
}

impl Default for ConsecutiveFailures {
    fn default() -> ConsecutiveFailures {
        ConsecutiveFailures {
            num_failures: 5,
            mark_dead_for: EqualJittered::default(),
        }
    }
}

impl Default for SuccessRate {
    fn default() -> SuccessRate {
        SuccessRate {
            required_success_rate: 0.8,
            window: 100,
            mark_dead_for: EqualJittered::default(),
        }
    }
}

impl Default for SuccessRateWithinDuration {
    fn default() -> SuccessRateWithinDuration {
        SuccessRateWithinDuration {
            required_success_rate: 0.8,
            window: Duration::from_secs(30),
            minimum_request_threshold: 5,
            mark_dead_for: EqualJittered::default(),
        }
    }
}

impl Default for Hybrid {
    fn default() -> Hybrid {
        let rate = SuccessRateWithinDuration::default();
        Hybrid {
            num_failures: 5,
            required_success_rate: rate.required_success_rate,
            window: rate.window,
            minimum_request_threshold: rate.minimum_request_threshold,
            mark_dead_for: rate.mark_dead_for,
        }
    }
}

/// What marks an endpoint dead, from whichever options.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    num_failures: Option<u32>,
    rate: Option<RateRule>,
    mark_dead_for: EqualJittered,
}

#[derive(Clone, Copy, Debug)]
struct RateRule {
    required: f64,
    // In the unit of the stamps: requests or milliseconds.
    window: u64,
    // With so many requests in the window of time; `None`: the window is one of requests.
    minimum: Option<u32>,
}

impl From<&ConsecutiveFailures> for Rules {
    fn from(options: &ConsecutiveFailures) -> Rules {
        Rules {
            num_failures: Some(options.num_failures),
            rate: None,
            mark_dead_for: options.mark_dead_for,
        }
    }
}

impl From<&SuccessRate> for Rules {
    fn from(options: &SuccessRate) -> Rules {
        Rules {
            num_failures: None,
            rate: Some(RateRule {
                required: options.required_success_rate,
                window: u64::from(options.window),
                minimum: None,
            }),
            mark_dead_for: options.mark_dead_for,
        }
    }
}

impl From<&SuccessRateWithinDuration> for Rules {
    fn from(options: &SuccessRateWithinDuration) -> Rules {
        Rules {
            num_failures: None,
            rate: Some(RateRule {
                required: options.required_success_rate,
                window: milliseconds(options.window),
                minimum: Some(options.minimum_request_threshold),
            }),
            mark_dead_for: options.mark_dead_for,
        }
    }
}

impl From<&Hybrid> for Rules {
    fn from(options: &Hybrid) -> Rules {
        Rules {
            num_failures: Some(options.num_failures),
            rate: Some(RateRule {
                required: options.required_success_rate,
                window: milliseconds(options.window),
                minimum: Some(options.minimum_request_threshold),
            }),
            mark_dead_for: options.mark_dead_for,
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    duration.0 / 1_000_000
}

impl Rules {
    /// Whether Finagle would take them.
    pub fn check(&self) -> Result<(), String> {
        if self.num_failures == Some(0) {
            return Err("`num_failures` must be at least 1".to_string());
        }
        if let Some(rate) = &self.rate {
            if !(0.0..=1.0).contains(&rate.required) {
                return Err(format!("`required_success_rate` must be from 0 to 1, not {}", rate.required));
            }
            if rate.window == 0 {
                return Err("`window` must be at least 1 request, or 1ms".to_string());
            }
        }
        let EqualJittered { start, maximum } = self.mark_dead_for;
        if start == Duration::ZERO {
            return Err("`start` of `mark_dead_for` must be longer than 0".to_string());
        }
        if maximum < start {
            return Err(format!(
                "`maximum` {maximum} of `mark_dead_for` is shorter than its `start` {start}"
            ));
        }
        Ok(())
    }
}

/// What is known of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Record {
    consecutive: u64,
    // Since when stamps of time are counted, and how many requests there were.
    since: Time,
    requests: u64,
    // The average of successes, and its last stamp.
    average: f64,
    stamp: Option<u64>,
    recent: WindowedCounter,
    // Of either policy: how often it has spoken since the endpoint last was well.
    attempts: [u32; 2],
}

impl Record {
    pub fn new(now: Time) -> Record {
        Record {
            consecutive: 0,
            since: now,
            requests: 0,
            average: 0.0,
            stamp: None,
            recent: WindowedCounter::new(now),
            attempts: [0; 2],
        }
    }

    /// A request succeeded.
    pub fn succeeded(&mut self, rules: &Rules, now: Time) {
        self.consecutive = 0;
        if let Some(rule) = rules.rate {
            self.average_in(rule, 1.0, now);
        }
    }

    /// A request failed: for how long the endpoint is dead, and why, if it is.
    pub fn failed(&mut self, rules: &Rules, now: Time, rng: &mut Rng) -> Option<(Duration, Reason)> {
        let mut by_rate = None;
        if let Some(rule) = rules.rate {
            let stamp = self.average_in(rule, 0.0, now);
            let is_enough = rule.minimum.is_none_or(|minimum| self.recent.total >= u64::from(minimum));
            if stamp >= rule.window && self.average < rule.required && is_enough {
                by_rate = Some((self.dead_for(0, rules, rng), Reason::SuccessRate));
            }
        }
        self.consecutive += 1;
        let is_row = rules.num_failures.is_some_and(|most| self.consecutive >= u64::from(most));
        let by_row = is_row.then(|| (self.dead_for(1, rules, rng), Reason::ConsecutiveFailures));
        match (by_rate, by_row) {
            (Some(rate), Some(row)) => Some(if row.0 > rate.0 { row } else { rate }),
            (rate, row) => rate.or(row),
        }
    }

    /// The request that tried the endpoint succeeded: what was before is forgotten.
    pub fn revived(&mut self, now: Time) {
        let recent = self.recent;
        *self = Record {
            recent,
            ..Record::new(now)
        };
    }

    /// Takes a result into the average, and gives its stamp.
    fn average_in(&mut self, rule: RateRule, result: f64, now: Time) -> u64 {
        self.requests += 1;
        let stamp = match rule.minimum {
            Some(_) => {
                self.recent.count(rule.window, now);
                milliseconds(now.since(self.since))
            }
            None => self.requests,
        };
        self.average = match self.stamp {
            None => result,
            Some(last) => {
                let weight = math::exp(-((stamp - last) as f64) / rule.window as f64);
                result * (1.0 - weight) + self.average * weight
            }
        };
        self.stamp = Some(stamp);
        stamp
    }

    /// The next time of a policy: the first is the start, then half of each is fixed and doubles.
    fn dead_for(&mut self, policy: usize, rules: &Rules, rng: &mut Rng) -> Duration {
        let attempt = self.attempts[policy];
        self.attempts[policy] = attempt.saturating_add(1);
        let EqualJittered { start, maximum } = rules.mark_dead_for;
        if attempt == 0 {
            return start;
        }
        let half = match attempt {
            1..=63 => start.0.saturating_mul(1 << (attempt - 1)),
            _ => u64::MAX,
        };
        match half < maximum.0 {
            true => Duration((half + rng.below(half)).min(maximum.0)),
            false => maximum,
        }
    }
}

/// The slices that util's windowed adder has.
const SLICES: usize = 5;

/// Requests within about a window of time: those of the current slice and of the four before.
#[derive(Clone, Copy, Debug)]
struct WindowedCounter {
    slices: [u32; SLICES - 1],
    next: usize,
    current: u32,
    since: Time,
    total: u64,
}

impl WindowedCounter {
    fn new(now: Time) -> WindowedCounter {
        WindowedCounter {
            slices: [0; SLICES - 1],
            next: 0,
            current: 0,
            since: now,
            total: 0,
        }
    }

    /// Counts a request; the window is in milliseconds.
    fn count(&mut self, window: u64, now: Time) {
        let slice = (window / SLICES as u64).max(1);
        let passed = milliseconds(now.since(self.since)) / slice;
        if passed > 0 {
            self.push(self.current);
            for _ in 1..passed.min(SLICES as u64) {
                self.push(0);
            }
            self.current = 0;
            self.since = now;
        }
        self.current += 1;
        self.total = u64::from(self.current) + self.slices.iter().map(|&count| u64::from(count)).sum::<u64>();
    }

    fn push(&mut self, count: u32) {
        self.slices[self.next] = count;
        self.next = (self.next + 1) % self.slices.len();
    }
}

/// What a result is to Finagle: whether it succeeded; `None`: it says nothing.
pub(super) fn is_success(answer: Answer) -> Option<bool> {
    match answer {
        Answer::Status(status) => Some(status < 500),
        Answer::Cancelled => None,
        _ => Some(false),
    }
}
