//! C3's limit on the rate at which one client sends to one server.
//!
//! Suresh et al. (NSDI 2015), section 3.2, with the constants of their Cassandra (`RateController.java` in
//! `org.apache.cassandra.c3`). Rates are in requests per interval. The rate of answers is a moving average that starts so high that
//! the send rate rises at once; that of the authors' code begins with an outlier, since its clock begins in 1970, which is not here.

use crate::time::{Duration, Time};

/// The constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CubicLimits {
    /// What rates are for, longer than 0; the paper's delta.
    pub interval: Duration,
    /// How many requests may be sent at once.
    pub max_tokens: f64,
    /// What a rate is multiplied by when it is too high.
    pub beta: f64,
    /// The growth, in requests per interval and cubed millisecond.
    pub gamma: f64,
    /// The most that a rate rises at once.
    pub s_max: f64,
    /// How long after a rise a rate does not fall.
    pub hysteresis: Duration,
}

/// Requests per interval that a client begins with.
const FIRST_RATE: f64 = 1.0;

/// What a client takes a server to answer at first, in answers per interval.
const FIRST_ANSWER_RATE: f64 = 100.0;

/// The weight of one interval in the average of answers.
const ANSWER_WEIGHT: f64 = 0.05;

/// A rate does not fall below this.
const LEAST_RATE: f64 = 0.1;

/// One server's limit.
#[derive(Clone, Copy, Debug)]
pub struct CubicRate {
    rate: f64,
    // The token bucket when it was last taken from.
    tokens: f64,
    taken: Time,
    // The rate of answers, the interval it was last counted in, and the answers since.
    answer_rate: f64,
    interval: u64,
    answers: u32,
    // The rate before it last fell, and when it did; `None`: never.
    rate_max: f64,
    fell: Option<Time>,
    rose: Option<Time>,
}

impl CubicRate {
    /// That of a server of which nothing is known.
    pub fn new(limits: &CubicLimits, now: Time) -> CubicRate {
        CubicRate {
            rate: FIRST_RATE,
            tokens: limits.max_tokens,
            taken: now,
            answer_rate: FIRST_ANSWER_RATE,
            interval: now.0 / limits.interval.0,
            answers: 0,
            rate_max: 0.0,
            fell: None,
            rose: None,
        }
    }

    /// The send rate, in requests per interval.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    fn tokens(&self, limits: &CubicLimits, now: Time) -> f64 {
        let intervals = now.since(self.taken).0 as f64 / limits.interval.0 as f64;
        limits.max_tokens.min(self.tokens + self.rate * intervals)
    }

    /// Whether a request may be sent.
    #[inline]
    pub fn has_token(&self, limits: &CubicLimits, now: Time) -> bool {
        self.tokens(limits, now) >= 1.0
    }

    /// A request is sent that [`CubicRate::has_token`] allowed.
    pub fn take(&mut self, limits: &CubicLimits, now: Time) {
        self.tokens = self.tokens(limits, now) - 1.0;
        self.taken = now;
    }

    /// A request was answered: the rate rises or falls.
    pub fn on_answer(&mut self, limits: &CubicLimits, now: Time) {
        let interval = now.0 / limits.interval.0;
        if interval > self.interval {
            let passed = (interval - self.interval) as f64;
            let new = (ANSWER_WEIGHT * passed).min(1.0);
            self.answer_rate = new * f64::from(self.answers) / passed + (1.0 - new) * self.answer_rate;
            self.interval = interval;
            self.answers = 0;
        }
        self.answers += 1;
        let rose_lately = self.rose.is_some_and(|rose| now.since(rose) <= limits.hysteresis);
        if self.rate > self.answer_rate && !rose_lately {
            self.rate_max = self.rate;
            self.rate = (self.rate * limits.beta).max(LEAST_RATE);
            self.fell = Some(now);
        } else if self.rate < self.answer_rate {
            self.rose = Some(now);
            let most = self.rate + limits.s_max;
            self.rate = self.fell.map_or(most, |fell| most.min(self.cubic(limits, now.since(fell))));
        }
    }

    /// The rate that CUBIC's curve has so long after a fall.
    fn cubic(&self, limits: &CubicLimits, since: Duration) -> f64 {
        let saddle = libm::cbrt(self.rate_max * limits.beta / limits.gamma);
        let t = millis(since) - saddle;
        (limits.gamma * t * t * t + self.rate_max).max(LEAST_RATE)
    }
}

fn millis(duration: Duration) -> f64 {
    duration.0 as f64 / 1e6
}
