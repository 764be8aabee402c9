//! Envoy's pause before a retry (`source/common/common/backoff_strategy.cc`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random::Rng;
use crate::time::Duration;

/// Envoy's exponential back-off with full jitter: before retry k a uniform share of an interval that doubles up to a maximum.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BackOff {
    /// The interval before the first retry. Pauses are whole milliseconds, as in Envoy; below 1 ms, which Envoy raises to 1 ms,
    /// they are whole nanoseconds.
    pub base_interval: Duration,
    /// Where the interval ends to grow; 10 times the base if absent.
    pub max_interval: Option<Duration>,
}

impl Default for BackOff {
    fn default() -> BackOff {
        BackOff {
            base_interval: Duration::from_millis(25),
            max_interval: None,
        }
    }
}

impl BackOff {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.base_interval == Duration::ZERO {
            return Err("`base_interval` must be longer than 0".to_string());
        }
        match self.max_interval {
            Some(max) if max < self.base_interval => Err(format!(
                "`max_interval` {max} is shorter than `base_interval` {}",
                self.base_interval
            )),
            _ => Ok(()),
        }
    }

    /// What pauses are multiples of.
    fn grain(&self) -> u64 {
        const MILLISECOND: u64 = 1_000_000;
        if self.base_interval.0 < MILLISECOND { 1 } else { MILLISECOND }
    }

    /// The pause before retry `k`, counted from 1, is shorter than this.
    pub fn bound(&self, k: u32) -> Duration {
        let grain = self.grain();
        let max = self.max_interval.map_or(self.base_interval.0.saturating_mul(10), |max| max.0) / grain;
        let mut bound = self.base_interval.0 / grain;
        for _ in 1..k {
            if bound >= max {
                break;
            }
            bound = if bound < max / 2 { bound * 2 } else { max };
        }
        Duration(bound * grain)
    }

    /// The pause after an answer that says when to come again, `interval` from now: up to half as long more
    /// (`JitteredLowerBoundBackOffStrategy`).
    pub fn draw_after(interval: Duration, rng: &mut Rng) -> Duration {
        const MILLISECOND: u64 = 1_000_000;
        let interval = (interval.0 / MILLISECOND).max(1);
        Duration((interval + rng.below((interval >> 1).max(1))) * MILLISECOND)
    }

    /// The pause before retry `k`, counted from 1.
    pub fn draw(&self, k: u32, rng: &mut Rng) -> Duration {
        let grain = self.grain();
        Duration(rng.below(self.bound(k).0 / grain) * grain)
    }
}
