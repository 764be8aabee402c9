//! Client-side throttling: a caller whose requests are rejected holds some of them back itself ("Site Reliability Engineering", Google 2016,
//! chapter 21, "Client-Side Throttling").

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::Answer;
use crate::random::Rng;
use crate::time::{Duration, Time};

/// How a caller holds requests back.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Requests are held back when there are more than this many for each accepted one, at least 1.
    #[serde(alias = "K")]
    #[schemars(extend("x-upstream" = "K"))]
    pub k: f64,
    /// For how long requests and answers count, at least 120ns.
    pub window: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            k: 2.0,
            window: Duration::from_secs(120),
        }
    }
}

/// The parts of a window.
const BUCKETS: u64 = 120;

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if !(1.0..=1e6).contains(&self.k) {
            return Err(format!("`k` must be at least 1, not {}", self.k));
        }
        if self.window.0 < BUCKETS {
            return Err("`window` must be longer than 0".to_string());
        }
        Ok(())
    }

    /// The share of requests that are held back after so many requests and accepted ones.
    pub fn rejection(&self, requests: u64, accepts: u64) -> f64 {
        ((requests as f64 - self.k * accepts as f64) / (requests as f64 + 1.0)).max(0.0)
    }
}

/// The throttle of one caller and upstream.
#[derive(Debug)]
pub(crate) struct Throttle {
    options: Options,
    // Requests and accepted ones by parts of the window.
    ring: Vec<(u64, u64)>,
    sum: (u64, u64),
    epoch: u64,
    rng: Rng,
}

impl Throttle {
    pub fn new(options: &Options, rng: &mut Rng) -> Throttle {
        Throttle {
            options: options.clone(),
            ring: vec![(0, 0); BUCKETS as usize],
            sum: (0, 0),
            epoch: 0,
            rng: Rng::new(rng.next_u64()),
        }
    }

    fn bucket(&mut self, now: Time) -> &mut (u64, u64) {
        let epoch = now.since(Time::ZERO).0 / (self.options.window.0 / BUCKETS);
        let first = (self.epoch + 1).max((epoch + 1).saturating_sub(BUCKETS));
        for passed in first..=epoch {
            let bucket = std::mem::take(&mut self.ring[(passed % BUCKETS) as usize]);
            self.sum.0 -= bucket.0;
            self.sum.1 -= bucket.1;
        }
        self.epoch = epoch;
        &mut self.ring[(epoch % BUCKETS) as usize]
    }

    /// Whether a request may be sent. What is held back counts as a request too.
    pub fn admit(&mut self, now: Time) -> bool {
        self.bucket(now);
        let share = self.options.rejection(self.sum.0, self.sum.1);
        let held_back = share > 0.0 && self.rng.unit() < share;
        self.bucket(now).0 += 1;
        self.sum.0 += 1;
        !held_back
    }

    /// A request was answered: it is accepted unless the answer is 429, a 5xx or none.
    pub fn on_finished(&mut self, answer: Answer, now: Time) {
        let accepted = match answer {
            Answer::Status(429) => false,
            Answer::Status(status) => status < 500,
            _ => false,
        };
        if accepted {
            self.bucket(now).1 += 1;
            self.sum.1 += 1;
        }
    }
}
