//! Poisson arrivals whose rate changes linearly and then stays.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{exponential, later};
use crate::random::Rng;
use crate::random::quantity::Rate;
use crate::time::{Duration, Time};

/// Poisson arrivals whose rate goes from one to another in a straight line, and stays there.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Ramp")]
pub struct Options {
    /// Requests per second at the start.
    pub from: Rate,
    /// Requests per second at the end and after it.
    pub to: Rate,
    /// How long the change takes.
    pub over: Duration,
}

/// Poisson arrivals along a ramp.
#[derive(Clone, Debug, PartialEq)]
pub struct Ramp {
    /// Per nanosecond.
    from: f64,
    to: f64,
    over: f64,
}

impl Options {
    pub(super) fn build(&self) -> Result<Ramp, String> {
        if self.from == Rate::ZERO && self.to == Rate::ZERO {
            return Err("`from` or `to` must be more than 0: otherwise nothing is ever sent".to_string());
        }
        if self.over == Duration::ZERO {
            return Err("`over` must be more than 0; for a sudden change use `steps`".to_string());
        }
        Ok(Ramp {
            from: self.from.per_second() / 1e9,
            to: self.to.per_second() / 1e9,
            over: self.over.0 as f64,
        })
    }
}

impl Ramp {
    /// Inverts the integral of the rate.
    pub(super) fn next(&self, now: Time, rng: &mut Rng) -> Option<(Time, u32)> {
        let arrivals = exponential(rng);
        let at = now.0 as f64;
        let left_on_ramp = (self.over - at).max(0.0);
        let rate = if left_on_ramp > 0.0 { self.rate(at) } else { self.to };
        let on_ramp = left_on_ramp * 0.5 * (rate + self.to);
        if arrivals < on_ramp {
            // rate x + slope x^2 / 2 = arrivals, in the form that does not cancel.
            let slope = (self.to - self.from) / self.over;
            let root = (rate * rate + 2.0 * slope * arrivals).max(0.0).sqrt();
            return Some((later(now, 2.0 * arrivals / (rate + root)), 1));
        }
        (self.to > 0.0).then(|| (later(now, left_on_ramp + (arrivals - on_ramp) / self.to), 1))
    }

    /// Per nanosecond, on the ramp.
    fn rate(&self, at: f64) -> f64 {
        self.from + (self.to - self.from) * (at / self.over)
    }

    pub(super) fn mean_rate(&self, until: Time) -> f64 {
        let until = until.0 as f64;
        let on_ramp = until.min(self.over);
        let arrivals = on_ramp * 0.5 * (self.from + self.rate(on_ramp)) + (until - on_ramp) * self.to;
        arrivals / until * 1e9
    }
}
