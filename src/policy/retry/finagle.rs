//! Finagle's requeues and retries by its retry budget (`finagle-core/src/main/scala/com/twitter/finagle/service/{RetryBudget,Retries,RequeueFilter}.scala`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::retry::{Condition, Conditions, Denial, Terms, Tokens};
use crate::policy::{Answer, Outcome};
use crate::time::{Duration, Time};

/// Finagle's retries of a client.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Which answers are worth another attempt, in Envoy's words. What Finagle tries again of itself are requests that were never
    /// written, which is `connect-failure`.
    pub retry_on: Conditions,
    /// For how long a request counts in the budget: from 1s to 60s.
    pub ttl: Duration,
    /// So many retries a second are there in any case.
    #[serde(alias = "minRetriesPerSec")]
    #[schemars(extend("x-upstream" = "minRetriesPerSec"))]
    pub min_retries_per_sec: u32,
    /// Retries for each request: from 0 to 1000.
    #[serde(alias = "percentCanRetry")]
    #[schemars(extend("x-upstream" = "percentCanRetry"))]
    pub percent_can_retry: f64,
    /// A request may have this share of what is in the budget, from 0 to 1.
    #[serde(alias = "maxRetriesPerReq")]
    #[schemars(extend("x-upstream" = "maxRetriesPerReq"))]
    pub max_retries_per_req: f64,
    /// The pause before each retry.
    pub backoff: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            retry_on: Conditions::of(&[Condition::ConnectFailure]),
            ttl: Duration::from_secs(10),
            min_retries_per_sec: 10,
            percent_can_retry: 0.2,
            max_retries_per_req: 0.2,
            backoff: Duration::ZERO,
        }
    }
}

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if !(Duration::from_secs(1)..=Duration::from_secs(60)).contains(&self.ttl) {
            return Err(format!("`ttl` must be from 1s to 60s, not {}", self.ttl));
        }
        if !(0.0..=1000.0).contains(&self.percent_can_retry) {
            return Err(format!(
                "`percent_can_retry` must be from 0 to 1000, not {}",
                self.percent_can_retry
            ));
        }
        if !(0.0..=1.0).contains(&self.max_retries_per_req) {
            return Err(format!(
                "`max_retries_per_req` must be from 0 to 1, not {}",
                self.max_retries_per_req
            ));
        }
        Ok(())
    }

    pub(super) fn tokens(&self) -> Tokens {
        Tokens::new(Terms::finagle(self.ttl, self.min_retries_per_sec, self.percent_can_retry))
    }

    /// The pause before another attempt.
    pub(super) fn ask(&self, tokens: &mut Tokens, outcome: &Outcome, now: Time) -> Result<Duration, Denial> {
        if !self.retry_on.hold(outcome.answer, &[]) {
            if matches!(outcome.answer, Answer::Status(..500)) {
                tokens.deposit(now);
            }
            return Err(Denial::NotRetriable);
        }
        let share = self.max_retries_per_req * tokens.balance(now) as f64;
        // What this call has taken was there when it began.
        let limit = (share + self.max_retries_per_req * f64::from(outcome.attempts - 1)).ceil();
        if f64::from(outcome.attempts) > limit {
            return Err(if limit > 0.0 { Denial::LimitExceeded } else { Denial::Budget });
        }
        if tokens.withdraw(now) {
            Ok(self.backoff)
        } else {
            Err(Denial::Budget)
        }
    }
}
