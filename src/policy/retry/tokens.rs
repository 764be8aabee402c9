//! Retry budgets of tokens that run out: what was paid in lately, in slots of time, beside a reserve that is always there.
//!
//! tower's (`tower/src/retry/budget/tps_budget.rs`), which Linkerd uses, and Finagle's (`RetryBudget.scala` over `TokenBucket.newLeakyBucket`
//! and `WindowedAdder.scala`). Both roll their slots lazily: a slot begins when somebody looks after the last one has ended.

use crate::time::{Duration, Time};

/// What a budget is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// What a request pays in.
    pub deposit: i64,
    /// What a retry takes.
    pub withdraw: i64,
    /// What is always there.
    pub reserve: i64,
    /// How long a slot is.
    pub slot: Duration,
    /// Past slots that count.
    pub past: usize,
    /// Whether a slot that has begun counts as passed when several are made up for.
    rounds_up: bool,
}

impl Terms {
    /// tower's, by its options.
    pub fn tower(ttl: Duration, min_per_sec: u32, retry_percent: f64) -> Terms {
        let (deposit, withdraw) = match retry_percent {
            0.0 => (0, 1),
            percent if percent <= 1.0 => (1, (1.0 / percent) as i64),
            percent => (1000, (1000.0 / percent) as i64),
        };
        Terms {
            deposit,
            withdraw,
            reserve: i64::from(min_per_sec) * (ttl.0 / SECOND) as i64 * withdraw,
            slot: Duration(ttl.0 / 10),
            past: 10,
            rounds_up: true,
        }
    }

    /// Finagle's, by its options.
    pub fn finagle(ttl: Duration, min_retries_per_sec: u32, percent_can_retry: f64) -> Terms {
        // Without a share only the reserve is there, at a token for each retry.
        let (deposit, withdraw) = match percent_can_retry {
            0.0 => (0, 1),
            percent => (1000, (1000.0 / percent) as i64),
        };
        Terms {
            deposit,
            withdraw,
            reserve: i64::from(min_retries_per_sec) * (ttl.0 / SECOND) as i64 * withdraw,
            slot: Duration(ttl.0 / 10),
            past: 9,
            rounds_up: false,
        }
    }
}

const SECOND: u64 = 1_000_000_000;

/// A budget.
#[derive(Debug)]
pub struct Tokens {
    terms: Terms,
    past: Vec<i64>,
    // The oldest past slot.
    at: usize,
    present: i64,
    since: Time,
}

impl Tokens {
    /// An empty one beside its reserve.
    pub fn new(terms: Terms) -> Tokens {
        Tokens {
            past: vec![0; terms.past],
            at: 0,
            present: 0,
            since: Time::ZERO,
            terms,
        }
    }

    fn roll(&mut self, now: Time) {
        let passed = now.since(self.since).0;
        let slot = self.terms.slot.0.max(1);
        if passed < slot {
            return;
        }
        let skipped = if self.terms.rounds_up {
            passed.div_ceil(slot)
        } else {
            passed / slot
        } - 1;
        self.past[self.at] = std::mem::take(&mut self.present);
        self.at = (self.at + 1) % self.past.len();
        for _ in 0..skipped.min(self.past.len() as u64) {
            self.past[self.at] = 0;
            self.at = (self.at + 1) % self.past.len();
        }
        self.since = now;
    }

    /// What is there now.
    pub fn count(&mut self, now: Time) -> i64 {
        self.roll(now);
        self.present + self.past.iter().sum::<i64>() + self.terms.reserve
    }

    /// Retries that could be paid for now.
    pub fn balance(&mut self, now: Time) -> i64 {
        self.count(now) / self.terms.withdraw
    }

    /// A request pays.
    pub fn deposit(&mut self, now: Time) {
        self.roll(now);
        self.present += self.terms.deposit;
    }

    /// Pays for a retry, if there is enough.
    pub fn withdraw(&mut self, now: Time) -> bool {
        let enough = self.count(now) >= self.terms.withdraw;
        if enough {
            self.present -= self.terms.withdraw;
        }
        enough
    }
}
