//! A Markov-modulated Poisson process: Poisson arrivals whose rate changes between states, for bursts.
//!
//! States follow each other in a circle; with two states that is the general case. The process starts in its steady state.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{exponential, later};
use crate::random::Rng;
use crate::random::quantity::Rate;
use crate::time::{Duration, Time};

/// Poisson arrivals whose rate goes round a circle of states, each kept for an exponential time.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Mmpp")]
pub struct Options {
    /// Requests per second in each state; 0 is silence.
    pub rates: Vec<Rate>,
    /// The mean time in each state: one for all, or a list with one for each.
    pub mean_stay: Stays,
}

/// The most changes of state from one request to the next, on average.
const CHANGES_MAX: f64 = 1e6;

/// One duration for all states, or a list with one for each.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(untagged)]
pub enum Stays {
    /// The same in all states.
    All(Duration),
    /// One for each state.
    Each(Vec<Duration>),
}

impl<'de> Deserialize<'de> for Stays {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Stays, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> serde::de::Visitor<'de> for Visitor {
    type Value = Stays;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a duration such as `5s`, or a list with one for each state")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Stays, E> {
        Duration::parse(text).map(Stays::All).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Stays, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Stays, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Stays, A::Error> {
        let mut stays = Vec::new();
        while let Some(stay) = list.next_element()? {
            stays.push(stay);
        }
        Ok(Stays::Each(stays))
    }
}

/// Poisson arrivals by state.
#[derive(Clone, Debug, PartialEq)]
pub struct Mmpp {
    states: Arc<[State]>,
    current: usize,
    /// When the current state ends; `None` before the first draw.
    ends: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct State {
    per_nano: f64,
    mean_stay: f64,
}

impl Options {
    pub(super) fn build(&self) -> Result<Mmpp, String> {
        if self.rates.is_empty() {
            return Err("`rates` needs at least one rate".to_string());
        }
        if self.rates.iter().all(|rate| *rate == Rate::ZERO) {
            return Err("at least one of `rates` must be more than 0: otherwise nothing is ever sent".to_string());
        }
        let stays = match &self.mean_stay {
            Stays::All(stay) => vec![*stay; self.rates.len()],
            Stays::Each(stays) if stays.len() == self.rates.len() => stays.clone(),
            Stays::Each(stays) => {
                return Err(format!(
                    "there are {} rates for {} times in `mean_stay`",
                    self.rates.len(),
                    stays.len()
                ));
            }
        };
        if stays.contains(&Duration::ZERO) {
            return Err("`mean_stay` must be more than 0".to_string());
        }
        let changes = 1e9 / stays.iter().map(|stay| stay.0 as f64).sum::<f64>() * stays.len() as f64;
        let states = self.rates.iter().zip(stays).map(|(rate, stay)| State {
            per_nano: rate.per_second() / 1e9,
            mean_stay: stay.0 as f64,
        });
        let mmpp = Mmpp {
            states: states.collect(),
            current: 0,
            ends: None,
        };
        // Each change is a draw: a run must not spend its time in changes between two requests.
        if changes > CHANGES_MAX * mmpp.mean_rate() {
            return Err(
                "`mean_stay` is too short for these `rates`: the state would change a million times between two requests"
                    .to_string(),
            );
        }
        Ok(mmpp)
    }
}

impl Mmpp {
    pub(super) fn next(&mut self, now: Time, rng: &mut Rng) -> Option<(Time, u32)> {
        let mut ends = self.ends.unwrap_or_else(|| self.start(now, rng));
        let mut now = now;
        // What is still to be lived through of a unit exponential, in expected arrivals.
        let mut rest = exponential(rng);
        loop {
            let state = self.states[self.current];
            let left = ends.since(now).0 as f64 * state.per_nano;
            if rest < left || ends == Time::MAX {
                self.ends = Some(ends);
                return Some((later(now, rest / state.per_nano), 1));
            }
            rest -= left;
            now = ends;
            self.current = (self.current + 1) % self.states.len();
            ends = later(now, exponential(rng) * self.states[self.current].mean_stay);
        }
    }

    /// Draws the first state by its share of time; what is left of it is exponential again.
    fn start(&mut self, now: Time, rng: &mut Rng) -> Time {
        let total: f64 = self.states.iter().map(|state| state.mean_stay).sum();
        let mut at = rng.unit() * total;
        for (index, state) in self.states.iter().enumerate() {
            self.current = index;
            if at < state.mean_stay {
                break;
            }
            at -= state.mean_stay;
        }
        later(now, exponential(rng) * self.states[self.current].mean_stay)
    }

    pub(super) fn mean_rate(&self) -> f64 {
        let time: f64 = self.states.iter().map(|state| state.mean_stay).sum();
        let arrivals: f64 = self.states.iter().map(|state| state.mean_stay * state.per_nano).sum();
        arrivals / time * 1e9
    }
}
