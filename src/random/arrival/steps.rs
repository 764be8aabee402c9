//! Poisson arrivals whose rate changes at given times.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{exponential, later};
use crate::random::Rng;
use crate::random::quantity::Rate;
use crate::time::{Duration, Time};

/// One step: Poisson arrivals at this rate until the next step.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RateStep")]
pub struct StepOptions {
    /// From when on.
    pub at: Duration,
    /// Requests per second; 0 is a pause.
    pub rate: Rate,
}

/// Poisson arrivals by step. Nothing is sent before the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    steps: Arc<[Step]>,
    /// The step that holds; the first begins at 0.
    current: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    per_nano: f64,
    ends: Time,
}

pub(super) fn build(steps: &[StepOptions]) -> Result<Steps, String> {
    if steps.iter().all(|step| step.rate == Rate::ZERO) {
        return Err("at least one of `steps` must have a `rate` of more than 0: otherwise nothing is ever sent".to_string());
    }
    for pair in steps.windows(2) {
        if pair[0].at >= pair[1].at {
            return Err(format!(
                "`steps` must be in the order of time: `{}` comes after `{}`",
                pair[1].at, pair[0].at
            ));
        }
    }
    let silence = Step {
        per_nano: 0.0,
        ends: Time::ZERO + steps[0].at,
    };
    let ends = steps[1..].iter().map(|step| Time::ZERO + step.at).chain([Time::MAX]);
    let built = steps.iter().zip(ends).map(|(step, ends)| Step {
        per_nano: step.rate.per_second() / 1e9,
        ends,
    });
    Ok(Steps {
        steps: [silence].into_iter().chain(built).collect(),
        current: 0,
    })
}

impl Steps {
    pub(super) fn next(&mut self, now: Time, rng: &mut Rng) -> Option<(Time, u32)> {
        let mut now = now;
        // One draw an arrival, spent over the steps in expected arrivals: where two variants differ in one step, the others agree.
        let mut rest = exponential(rng);
        loop {
            let step = self.steps[self.current];
            let left = step.ends.since(now).0 as f64 * step.per_nano;
            if rest < left {
                return Some((later(now, rest / step.per_nano), 1));
            }
            if self.current + 1 == self.steps.len() {
                return None;
            }
            rest -= left;
            now = now.max(step.ends);
            self.current += 1;
        }
    }

    pub(super) fn mean_rate(&self, until: Time) -> f64 {
        let (mut arrivals, mut begins) = (0.0, Time::ZERO);
        for step in self.steps.iter() {
            let ends = step.ends.min(until);
            arrivals += ends.since(begins).0 as f64 * step.per_nano;
            begins = ends;
        }
        arrivals / until.as_secs_f64()
    }
}
