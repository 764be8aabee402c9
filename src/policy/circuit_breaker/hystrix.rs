//! The circuit breaker of Hystrix (`HystrixCircuitBreaker.java`, `HystrixCommandProperties.java`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::candidates::Percent;
use crate::policy::circuit_breaker::window::Window;
use crate::time::{Duration, Time};

/// Hystrix's breaker.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// With fewer calls in the window it does not open.
    #[serde(alias = "requestVolumeThreshold")]
    #[schemars(extend("x-upstream" = "circuitBreaker.requestVolumeThreshold"))]
    pub request_volume_threshold: u32,
    /// It opens when so many of a hundred calls have failed.
    #[serde(alias = "errorThresholdPercentage")]
    #[schemars(extend("x-upstream" = "circuitBreaker.errorThresholdPercentage"))]
    pub error_threshold_percentage: Percent,
    /// How long it stays open before one call is tried.
    #[serde(alias = "sleepWindow")]
    #[schemars(extend("x-upstream" = "circuitBreaker.sleepWindowInMilliseconds"))]
    pub sleep_window: Duration,
    /// How long calls count, in whole intervals.
    #[schemars(extend("x-upstream" = "metrics.rollingStats.timeInMilliseconds"))]
    pub rolling_window: Duration,
    /// How often what it goes by is counted anew.
    #[schemars(extend("x-upstream" = "metrics.healthSnapshot.intervalInMilliseconds"))]
    pub health_snapshot_interval: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            request_volume_threshold: 20,
            error_threshold_percentage: Percent::of(50.0),
            sleep_window: Duration::from_secs(5),
            rolling_window: Duration::from_secs(10),
            health_snapshot_interval: Duration::from_millis(500),
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.health_snapshot_interval == Duration::ZERO {
            return Err("`health_snapshot_interval` must be longer than 0".to_string());
        }
        if !(1..=100_000).contains(&(self.rolling_window.0 / self.health_snapshot_interval.0)) {
            return Err("`rolling_window` must be from 1 to 100000 times `health_snapshot_interval`".to_string());
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { at: Time },
    HalfOpen,
}

/// The breaker of one caller.
#[derive(Debug)]
pub(super) struct Breaker {
    options: Options,
    window: Window,
    state: State,
    // The snapshot after the last one that was taken account of.
    next_snapshot: Time,
}

impl Breaker {
    pub fn new(options: &Options) -> Breaker {
        let interval = options.health_snapshot_interval;
        let count = (options.rolling_window.0 / interval.0) as u32;
        Breaker {
            // A snapshot is of intervals that have ended.
            window: Window::of_time(count + 1, interval),
            options: options.clone(),
            state: State::Closed,
            next_snapshot: Time::ZERO + options.health_snapshot_interval,
        }
    }

    /// Looks at the last snapshot that is due. The rates of earlier ones were the same: nothing was recorded since.
    fn look(&mut self, now: Time) {
        if now < self.next_snapshot {
            return;
        }
        let interval = self.options.health_snapshot_interval;
        let last = Time((now.0 / interval.0) * interval.0);
        let first = self.next_snapshot;
        self.next_snapshot = last + interval;
        if self.state != State::Closed {
            return;
        }
        // As time passes calls only leave the window, by whole buckets: each snapshot may see other ones.
        let mut at = first;
        while at <= last {
            let counts = self.window.counts(at);
            if counts.calls == 0 {
                return;
            }
            let rate = f64::from(counts.failures) * 100.0 / f64::from(counts.calls);
            if counts.calls >= self.options.request_volume_threshold && rate >= self.options.error_threshold_percentage.value() {
                self.state = State::Open { at };
                return;
            }
            at += interval;
        }
    }

    /// Whether a call may be made.
    pub fn admit(&mut self, now: Time) -> bool {
        self.look(now);
        match self.state {
            State::Closed => true,
            State::Open { at } if now > at + self.options.sleep_window => {
                self.state = State::HalfOpen;
                true
            }
            State::Open { .. } | State::HalfOpen => false,
        }
    }

    /// A call has ended; `None`: in a way that says nothing.
    pub fn record(&mut self, failed: Option<bool>, _: Duration, now: Time) {
        self.look(now);
        match (self.state, failed) {
            // The call that was tried was given up: the next one is tried after another pause.
            (State::HalfOpen, None | Some(true)) => self.state = State::Open { at: now },
            (State::HalfOpen, Some(false)) => {
                self.state = State::Closed;
                self.window.clear();
            }
            (_, None) => {}
            (_, Some(failed)) => self.window.record(failed, false, now),
        }
    }
}
