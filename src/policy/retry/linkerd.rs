//! Linkerd's retries: so many for a request, by annotations of a route, or by a budget, as a service profile has it.
//!
//! `linkerd/app/outbound/src/http/retry.rs`, `linkerd/http/retry/`, `linkerd/exp-backoff/src/lib.rs`; a profile's budget is tower's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::Outcome;
use crate::policy::retry::{Condition, Conditions, Denial, Terms, Tokens};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// Linkerd's retry policy of a route.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Which answers are worth another attempt, as in `retry.linkerd.io/http` and `/grpc`: words such as `5xx` and `gateway-error`.
    #[serde(alias = "grpc")]
    #[schemars(extend("x-upstream" = "retry.linkerd.io/http"))]
    pub http: Conditions,
    /// Further statuses that are.
    pub status_codes: Vec<u16>,
    /// Retries of one request; 1 if absent, and without limit under a budget.
    #[schemars(extend("x-upstream" = "retry.linkerd.io/limit"))]
    pub limit: Option<u32>,
    /// Time for one attempt; none if absent.
    #[schemars(extend("x-upstream" = "retry.linkerd.io/timeout"))]
    pub timeout: Option<Duration>,
    /// A service profile's budget for all retries of a caller, which are made without a pause; none if absent.
    #[serde(alias = "retry_budget", alias = "retryBudget")]
    #[schemars(extend("x-upstream" = "retryBudget"))]
    pub budget: Option<Budget>,
    /// The pause before the first retry; each further one is twice as long. A pause is lengthened by up to its whole at random.
    pub min_backoff: Duration,
    /// Where pauses end to grow.
    pub max_backoff: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            http: Conditions::of(&[Condition::FiveXx]),
            status_codes: Vec::new(),
            limit: None,
            timeout: None,
            budget: None,
            min_backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(250),
        }
    }
}

/// A service profile's retry budget.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Retries for each request that was not retried: from 0 to 1000.
    #[serde(alias = "retryRatio")]
    #[schemars(extend("x-upstream" = "retryRatio"))]
    pub retry_ratio: f64,
    /// So many retries a second are there in any case.
    #[serde(alias = "minRetriesPerSecond")]
    #[schemars(extend("x-upstream" = "minRetriesPerSecond"))]
    pub min_retries_per_second: u32,
    /// For how long a request counts: from 1s to 60s.
    pub ttl: Duration,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            retry_ratio: 0.2,
            min_retries_per_second: 10,
            ttl: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if self.min_backoff == Duration::ZERO || self.max_backoff < self.min_backoff {
            return Err("`min_backoff` must be longer than 0 and at most `max_backoff`".to_string());
        }
        if self.timeout == Some(Duration::ZERO) {
            return Err("`timeout` must be longer than 0; leave it out for none".to_string());
        }
        let Some(budget) = &self.budget else { return Ok(()) };
        if !(0.0..=1000.0).contains(&budget.retry_ratio) {
            return Err(format!("`retry_ratio` must be from 0 to 1000, not {}", budget.retry_ratio));
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(60)).contains(&budget.ttl) {
            return Err(format!("`ttl` must be from 1s to 60s, not {}", budget.ttl));
        }
        Ok(())
    }

    pub(super) fn tokens(&self) -> Option<Tokens> {
        let budget = self.budget.as_ref()?;
        Some(Tokens::new(Terms::tower(
            budget.ttl,
            budget.min_retries_per_second,
            budget.retry_ratio,
        )))
    }

    /// The shortest pause before retry `k`, counted from 1.
    pub fn base(&self, k: u32) -> Duration {
        let factor = 1_u64.checked_shl(k - 1).unwrap_or(u64::MAX);
        Duration(self.min_backoff.0.saturating_mul(factor).min(self.max_backoff.0))
    }

    /// The pause before another attempt.
    pub(super) fn ask(
        &self,
        tokens: &mut Option<Tokens>,
        outcome: &Outcome,
        now: Time,
        rng: &mut Rng,
    ) -> Result<Duration, Denial> {
        let is_listed = matches!(outcome.answer, crate::policy::Answer::Status(status) if self.status_codes.contains(&status));
        if !is_listed && !self.http.hold(outcome.answer, &[]) {
            if let Some(tokens) = tokens {
                tokens.deposit(now);
            }
            return Err(Denial::NotRetriable);
        }
        let limit = self.limit.unwrap_or(if self.budget.is_some() { u32::MAX } else { 1 });
        if outcome.attempts > limit {
            return Err(Denial::LimitExceeded);
        }
        if let Some(tokens) = tokens {
            return if tokens.withdraw(now) {
                Ok(Duration::ZERO)
            } else {
                Err(Denial::Budget)
            };
        }
        let base = self.base(outcome.attempts);
        let more = Duration::from_nanos_f64(base.0 as f64 * rng.unit());
        Ok(Duration(base.0 + more.0.min(self.max_backoff.0 - base.0)))
    }
}
