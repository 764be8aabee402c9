//! How many retries of one caller may be under way at a time: Envoy's `max_retries` and `retry_budget`
//! (`source/common/upstream/resource_manager_impl.h`).
//!
//! A retry holds a slot from when it is granted, through its pause, until what becomes of its attempt is decided.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::candidates::Percent;

/// Retries in relation to what is under way.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryBudget {
    /// Retries may be so many of a hundred requests under way or waiting for a connection: `20%`, or 20 as Envoy writes it (so 0.2 is a
    /// fifth of a per cent).
    #[schemars(extend("x-upstream" = "budget_percent"))]
    pub budget_percent: Percent,
    /// So many retries may be under way in any case.
    #[schemars(extend("x-upstream" = "min_retry_concurrency"))]
    pub min_retry_concurrency: u32,
}

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget {
            budget_percent: Percent::of(20.0),
            min_retry_concurrency: 3,
        }
    }
}

impl RetryBudget {
    /// The limit while so many requests are under way or wait for a connection.
    pub fn limit(&self, requests: u64) -> u64 {
        let share = self.budget_percent.value() / 100.0 * requests as f64;
        (share as u64).max(u64::from(self.min_retry_concurrency))
    }
}

/// The limit of a caller's retries.
#[derive(Clone, Debug, PartialEq)]
pub enum Limit {
    /// None.
    Unlimited,
    /// So many.
    Fixed(u32),
    /// By what is under way.
    Budget(RetryBudget),
}

/// The slots of a caller's retries.
#[derive(Debug)]
pub(crate) struct Slots {
    limit: Limit,
    held: u64,
}

impl Slots {
    pub fn new(limit: Limit) -> Slots {
        Slots { limit, held: 0 }
    }

    /// Retries that hold a slot.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Takes a slot, if there is one while so many requests are under way.
    #[inline]
    pub fn take(&mut self, requests: u64) -> bool {
        let limit = match &self.limit {
            Limit::Unlimited => u64::MAX,
            Limit::Fixed(limit) => u64::from(*limit),
            Limit::Budget(budget) => budget.limit(requests),
        };
        let free = self.held < limit;
        self.held += u64::from(free);
        free
    }

    /// Gives a slot back.
    #[inline]
    pub fn give_back(&mut self) {
        self.held = self.held.saturating_sub(1);
    }
}
