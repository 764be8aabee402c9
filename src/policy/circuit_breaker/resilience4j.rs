//! The circuit breaker of resilience4j (`CircuitBreakerConfig.java`, `CircuitBreakerStateMachine.java`, `FixedSizeSlidingWindowMetrics.java`,
//! `SlidingTimeWindowMetrics.java`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::candidates::Percent;
use crate::policy::circuit_breaker::window::{Counts, Window};
use crate::time::{Duration, Time};

/// resilience4j's breaker.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// It opens when so many of a hundred calls have failed, above 0.
    #[serde(alias = "failureRateThreshold")]
    #[schemars(extend("x-upstream" = "failureRateThreshold"))]
    pub failure_rate_threshold: Percent,
    /// It opens when so many of a hundred calls were slow, above 0.
    #[serde(alias = "slowCallRateThreshold")]
    #[schemars(extend("x-upstream" = "slowCallRateThreshold"))]
    pub slow_call_rate_threshold: Percent,
    /// A call that takes longer is slow.
    #[serde(alias = "slowCallDurationThreshold")]
    #[schemars(extend("x-upstream" = "slowCallDurationThreshold"))]
    pub slow_call_duration_threshold: Duration,
    /// What the window counts in.
    #[serde(alias = "slidingWindowType")]
    #[schemars(extend("x-upstream" = "slidingWindowType"))]
    pub sliding_window_type: WindowType,
    /// How long the window is, in calls or in seconds, at least 1.
    #[serde(alias = "slidingWindowSize")]
    #[schemars(extend("x-upstream" = "slidingWindowSize"))]
    pub sliding_window_size: u32,
    /// With fewer calls in the window nothing is decided, at least 1; in a window of calls at most its size.
    #[serde(alias = "minimumNumberOfCalls")]
    #[schemars(extend("x-upstream" = "minimumNumberOfCalls"))]
    pub minimum_number_of_calls: u32,
    /// How long it stays open before calls are tried.
    #[serde(alias = "waitDurationInOpenState")]
    #[schemars(extend("x-upstream" = "waitDurationInOpenState"))]
    pub wait_duration_in_open_state: Duration,
    /// So many calls are tried, and decide whether it closes, at least 1.
    #[serde(alias = "permittedNumberOfCallsInHalfOpenState")]
    #[schemars(extend("x-upstream" = "permittedNumberOfCallsInHalfOpenState"))]
    pub permitted_number_of_calls_in_half_open_state: u32,
    /// If calls are tried for longer without a decision it opens again; 0: for as long as it takes.
    #[serde(alias = "maxWaitDurationInHalfOpenState")]
    #[schemars(extend("x-upstream" = "maxWaitDurationInHalfOpenState"))]
    pub max_wait_duration_in_half_open_state: Duration,
}

/// What a window counts in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowType {
    /// In calls.
    #[default]
    #[serde(alias = "COUNT_BASED")]
    CountBased,
    /// In seconds.
    #[serde(alias = "TIME_BASED")]
    TimeBased,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            failure_rate_threshold: Percent::of(50.0),
            slow_call_rate_threshold: Percent::of(100.0),
            slow_call_duration_threshold: Duration::from_secs(60),
            sliding_window_type: WindowType::CountBased,
            sliding_window_size: 100,
            minimum_number_of_calls: 100,
            wait_duration_in_open_state: Duration::from_secs(60),
            permitted_number_of_calls_in_half_open_state: 10,
            max_wait_duration_in_half_open_state: Duration::ZERO,
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), String> {
        for (name, percent) in [
            ("failure_rate_threshold", self.failure_rate_threshold),
            ("slow_call_rate_threshold", self.slow_call_rate_threshold),
        ] {
            if percent.value() == 0.0 {
                return Err(format!("`{name}` must be above 0"));
            }
        }
        for (name, count) in [
            ("sliding_window_size", self.sliding_window_size),
            ("minimum_number_of_calls", self.minimum_number_of_calls),
            (
                "permitted_number_of_calls_in_half_open_state",
                self.permitted_number_of_calls_in_half_open_state,
            ),
        ] {
            if !(1..=1_000_000).contains(&count) {
                return Err(format!("`{name}` must be from 1 to 1000000, not {count}"));
            }
        }
        Ok(())
    }

    fn window(&self) -> Window {
        match self.sliding_window_type {
            WindowType::CountBased => Window::of_calls(self.sliding_window_size),
            WindowType::TimeBased => Window::of_time(self.sliding_window_size, Duration::from_secs(1)),
        }
    }

    fn minimum(&self) -> u32 {
        match self.sliding_window_type {
            WindowType::CountBased => self.minimum_number_of_calls.min(self.sliding_window_size),
            WindowType::TimeBased => self.minimum_number_of_calls,
        }
    }
}

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Time },
    HalfOpen { permits: u32, since: Time },
}

/// The breaker of one caller.
#[derive(Debug)]
pub(super) struct Breaker {
    options: Options,
    closed: Window,
    half_open: Window,
    state: State,
}

impl Breaker {
    pub fn new(options: &Options) -> Breaker {
        Breaker {
            closed: options.window(),
            half_open: Window::of_calls(options.permitted_number_of_calls_in_half_open_state),
            options: options.clone(),
            state: State::Closed,
        }
    }

    /// Whether a call may be made.
    pub fn admit(&mut self, now: Time) -> bool {
        let limit = self.options.max_wait_duration_in_half_open_state;
        if let State::HalfOpen { since, .. } = self.state
            && limit > Duration::ZERO
            && now >= since + limit
        {
            self.open(since + limit);
        }
        match &mut self.state {
            State::Closed => true,
            State::Open { until } if now < *until => false,
            State::Open { .. } => {
                self.half_open.clear();
                let permits = self.options.permitted_number_of_calls_in_half_open_state - 1;
                self.state = State::HalfOpen { permits, since: now };
                true
            }
            State::HalfOpen { permits: 0, .. } => false,
            State::HalfOpen { permits, .. } => {
                *permits -= 1;
                true
            }
        }
    }

    fn open(&mut self, now: Time) {
        self.state = State::Open {
            until: now + self.options.wait_duration_in_open_state,
        };
    }

    /// A call has ended; `None`: in a way that says nothing.
    pub fn record(&mut self, failed: Option<bool>, latency: Duration, now: Time) {
        let slow = latency > self.options.slow_call_duration_threshold;
        match (&mut self.state, failed) {
            (State::HalfOpen { permits, .. }, None) => *permits += 1,
            (_, None) => {}
            (State::Closed, Some(failed)) => {
                self.closed.record(failed, slow, now);
                if self.trips(self.options.minimum(), now, false) {
                    self.open(now);
                }
            }
            // Of calls that were made before it opened nobody hears any more.
            (State::Open { .. }, Some(_)) => {}
            (State::HalfOpen { .. }, Some(failed)) => {
                self.half_open.record(failed, slow, now);
                let count = self.options.permitted_number_of_calls_in_half_open_state;
                if self.trips(count, now, true) {
                    self.open(now);
                } else if self.half_open.counts(now).calls >= count {
                    self.closed.clear();
                    self.state = State::Closed;
                }
            }
        }
    }

    fn trips(&mut self, minimum: u32, now: Time, is_half_open: bool) -> bool {
        let window = if is_half_open { &mut self.half_open } else { &mut self.closed };
        let Counts { calls, failures, slow } = window.counts(now);
        let rate = |count: u32| f64::from(count) * 100.0 / f64::from(calls);
        calls >= minimum
            && (rate(failures) >= self.options.failure_rate_threshold.value()
                || rate(slow) >= self.options.slow_call_rate_threshold.value())
    }
}
