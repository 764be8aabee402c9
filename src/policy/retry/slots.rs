//! How many retries of one caller may be under way at a time: Envoy's `max_retries` and `retry_budget`
//! (`source/common/upstream/resource_manager_impl.h`).
//!
//! A retry holds a slot from when it is granted, through its pause, until what becomes of its attempt is decided.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::candidates::Percent;
use crate::policy::circuit_breaker::{PRIORITIES, RoutingPriority, Window};
use crate::time::{Duration, Time};

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
    /// Requests that have ended within this time count too, in tenths of it; 0s: only those under way. (New in Envoy in
    /// May 2026; the Gateway API and Istio call it `interval` and `budgetInterval`.)
    #[serde(alias = "budgetInterval")]
    #[schemars(extend("x-upstream" = "budget_interval"))]
    pub budget_interval: Duration,
}

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget {
            budget_percent: Percent::of(20.0),
            min_retry_concurrency: 3,
            budget_interval: Duration::ZERO,
        }
    }
}

impl RetryBudget {
    /// What remembers the requests that have ended lately, if these count.
    fn window(&self) -> Option<Window> {
        let tenth = Duration((self.budget_interval.0 / 10).max(1));
        (self.budget_interval > Duration::ZERO).then(|| Window::of_time(10, tenth))
    }

    /// The limit while so many requests count.
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

/// What a caller has under way of a priority.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// The priority.
    pub priority: RoutingPriority,
    /// Its requests, with those that wait for a connection.
    pub requests: u64,
}

/// The slots of a caller's retries, of each priority by itself.
#[derive(Debug)]
pub(crate) struct Slots {
    limits: [Limit; 2],
    held: [u64; 2],
    // Requests that have ended lately, where they count.
    ended: [Option<Window>; 2],
}

impl Slots {
    pub fn new(limit: impl Fn(RoutingPriority) -> Limit) -> Slots {
        let limits = PRIORITIES.map(limit);
        let window = |limit: &Limit| match limit {
            Limit::Budget(budget) => budget.window(),
            Limit::Unlimited | Limit::Fixed(_) => None,
        };
        Slots {
            ended: limits.each_ref().map(window),
            limits,
            held: [0; 2],
        }
    }

    /// Retries that hold a slot.
    pub fn held(&self) -> u64 {
        self.held.iter().sum()
    }

    /// Takes a slot, if there is one while so much is under way.
    #[inline]
    pub fn take(&mut self, standing: Standing, now: Time) -> bool {
        let ended = match &mut self.ended[standing.priority.at()] {
            None => 0,
            Some(window) => u64::from(window.counts(now).calls),
        };
        let held = &mut self.held[standing.priority.at()];
        let limit = match &self.limits[standing.priority.at()] {
            Limit::Unlimited => u64::MAX,
            Limit::Fixed(limit) => u64::from(*limit),
            Limit::Budget(budget) => budget.limit(standing.requests + ended),
        };
        let free = *held < limit;
        *held += u64::from(free);
        free
    }

    /// A request has ended.
    #[inline]
    pub fn on_ended(&mut self, priority: RoutingPriority, now: Time) {
        if let Some(window) = &mut self.ended[priority.at()] {
            window.record(false, false, now);
        }
    }

    /// Gives a slot back.
    #[inline]
    pub fn give_back(&mut self, priority: RoutingPriority) {
        let held = &mut self.held[priority.at()];
        *held = held.saturating_sub(1);
    }
}
