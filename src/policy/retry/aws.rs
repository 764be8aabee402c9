//! The standard retry mode of AWS's SDKs: a bucket of tokens that retries take and successes give (the published SDK specification).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::retry::{Condition, Conditions, Denial};
use crate::policy::{Answer, Outcome};
use crate::random::Rng;
use crate::time::Duration;

/// The standard mode.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Attempts of a call, the first included, at least 1.
    #[schemars(extend("x-upstream" = "max_attempts"))]
    pub max_attempts: u32,
    /// Tokens that are there at the start and at most.
    pub retry_quota: u32,
    /// What a retry takes.
    pub retry_cost: u32,
    /// What a retry after a timeout takes.
    pub timeout_retry_cost: u32,
    /// What a call that succeeds at once gives; one that succeeds after retries gives back what its last retry took.
    pub no_retry_increment: u32,
    /// Which statuses are worth another attempt; no answer always is.
    pub retriable_status_codes: Vec<u16>,
    /// The pause before retry k is a random share of this times 2^(k-1).
    pub base: Duration,
    /// Where pauses end to grow.
    pub max_backoff: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            max_attempts: 3,
            retry_quota: 500,
            retry_cost: 5,
            timeout_retry_cost: 10,
            no_retry_increment: 1,
            retriable_status_codes: vec![429, 500, 502, 503, 504],
            base: Duration::from_secs(1),
            max_backoff: Duration::from_secs(20),
        }
    }
}

/// The tokens of one caller and upstream.
#[derive(Debug)]
pub(crate) struct Quota {
    tokens: u32,
}

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if self.max_attempts == 0 {
            return Err("`max_attempts` must be at least 1".to_string());
        }
        if let Some(status) = self
            .retriable_status_codes
            .iter()
            .find(|status| !(100..600).contains(*status))
        {
            return Err(format!("`retriable_status_codes` holds {status}, which is no HTTP status"));
        }
        Ok(())
    }

    pub(super) fn quota(&self) -> Quota {
        Quota {
            tokens: self.retry_quota,
        }
    }

    /// The pause before retry `k`, counted from 1, is shorter than this.
    pub fn bound(&self, k: u32) -> Duration {
        let factor = 1_u64.checked_shl(k - 1).unwrap_or(u64::MAX);
        Duration(self.base.0.saturating_mul(factor).min(self.max_backoff.0))
    }

    /// The pause before another attempt.
    pub(super) fn ask(&self, quota: &mut Quota, outcome: &Outcome, rng: &mut Rng) -> Result<Duration, Denial> {
        let every_answer = Conditions::of(&[Condition::Reset, Condition::ConnectFailure, Condition::RetriableStatusCodes]);
        if !every_answer.hold(outcome.answer, &self.retriable_status_codes) {
            if matches!(outcome.answer, Answer::Status(..400)) {
                let given = if outcome.attempts > 1 {
                    self.retry_cost
                } else {
                    self.no_retry_increment
                };
                quota.tokens = quota.tokens.saturating_add(given).min(self.retry_quota);
            }
            return Err(Denial::NotRetriable);
        }
        if outcome.attempts >= self.max_attempts {
            return Err(Denial::LimitExceeded);
        }
        let cost = match outcome.answer {
            Answer::PerTryTimeout => self.timeout_retry_cost,
            _ => self.retry_cost,
        };
        match quota.tokens.checked_sub(cost) {
            None => Err(Denial::Budget),
            Some(rest) => {
                quota.tokens = rest;
                Ok(Duration::from_nanos_f64(self.bound(outcome.attempts).0 as f64 * rng.unit()))
            }
        }
    }
}
