//! Arrival processes: when a client intends to send.
//!
//! One file holds one process (or two near relatives): its `Options` and its running state. A new one takes a file, a `mod`
//! line, a line in [`ArrivalConfig`] and [`Arrival`], and an arm of each `match` below.

pub mod closed;
mod constant;
mod diurnal;
mod mmpp;
mod poisson;
mod ramp;
mod renewal;
mod replay;
mod steps;

use schemars::JsonSchema;
use serde::Deserialize;

pub use constant::Constant;
pub use diurnal::Diurnal;
pub use mmpp::Mmpp;
pub use poisson::Poisson;
pub use ramp::Ramp;
pub use renewal::Renewal;
pub use replay::Replay;
pub use steps::Steps;

use crate::random::{Rng, ziggurat};
use crate::time::{Duration, Time};

/// The registry: every arrival process by the name that a scenario gives it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Arrivals")]
pub enum ArrivalConfig {
    /// Memoryless gaps.
    Poisson(poisson::Options),
    /// Evenly spaced.
    Constant(constant::Options),
    /// Independent gaps of any distribution.
    Renewal(renewal::Options),
    /// Gaps that are the sum of several exponentials.
    Erlang(renewal::ErlangOptions),
    /// Poisson arrivals of several requests at once.
    Batch(poisson::BatchOptions),
    /// Poisson arrivals whose rate changes at random: bursts.
    Mmpp(mmpp::Options),
    /// Poisson arrivals whose rate changes at given times.
    Steps(Vec<steps::StepOptions>),
    /// Poisson arrivals whose rate changes in a straight line.
    Ramp(ramp::Options),
    /// Poisson arrivals whose rate swings like a sine.
    Diurnal(diurnal::Options),
    /// The times of a file.
    Replay(replay::Options),
    /// Users who wait for the answer before they send again.
    Closed(closed::Options),
}

/// An arrival process, running: it remembers where it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrival {
    /// Memoryless gaps; one request or a batch.
    Poisson(Poisson),
    /// Evenly spaced.
    Constant(Constant),
    /// Independent gaps.
    Renewal(Renewal),
    /// Rates by random state.
    Mmpp(Mmpp),
    /// Rates by time.
    Steps(Steps),
    /// A rate along a line.
    Ramp(Ramp),
    /// A rate along a sine.
    Diurnal(Diurnal),
    /// Recorded times.
    Replay(Replay),
}

impl ArrivalConfig {
    /// Makes the running process. `read_file` gives the text of a file that the scenario names.
    ///
    /// # Errors
    /// Says what is wrong and what would be right, as a lowercase fragment.
    ///
    /// # Panics
    /// If it is [`ArrivalConfig::Closed`], which has users instead of arrivals: the caller matches it before.
    pub fn build<F>(&self, read_file: &mut F) -> Result<Arrival, String>
    where
        F: FnMut(&str) -> Result<String, String>,
    {
        match self {
            ArrivalConfig::Poisson(options) => options.build().map(Arrival::Poisson),
            ArrivalConfig::Constant(options) => options.build().map(Arrival::Constant),
            ArrivalConfig::Renewal(options) => options.build(read_file).map(Arrival::Renewal),
            ArrivalConfig::Erlang(options) => options.build().map(Arrival::Renewal),
            ArrivalConfig::Batch(options) => options.build().map(Arrival::Poisson),
            ArrivalConfig::Mmpp(options) => options.build().map(Arrival::Mmpp),
            ArrivalConfig::Steps(steps) => steps::build(steps).map(Arrival::Steps),
            ArrivalConfig::Ramp(options) => options.build().map(Arrival::Ramp),
            ArrivalConfig::Diurnal(options) => options.build().map(Arrival::Diurnal),
            ArrivalConfig::Replay(options) => options.build(read_file).map(Arrival::Replay),
            ArrivalConfig::Closed(_) => panic!("a closed loop has users, not arrivals"),
        }
    }

    /// Checks all that can be checked without reading a file.
    ///
    /// # Errors
    /// As [`ArrivalConfig::build`].
    pub fn check(&self) -> Result<(), String> {
        match self {
            ArrivalConfig::Closed(options) => options.check(),
            // What its file holds is checked when it is read.
            ArrivalConfig::Replay(_) => Ok(()),
            // Any well-formed text stands for the file of a distribution.
            _ => self.build(&mut |_| Ok("1".to_string())).map(|_| ()),
        }
    }
}

impl Arrival {
    /// The next instant after that of the last call (`now`; at first the start), and how many requests are sent then;
    /// `None`: no more.
    #[inline]
    pub fn next(&mut self, now: Time, rng: &mut Rng) -> Option<(Time, u32)> {
        match self {
            Arrival::Poisson(poisson) => poisson.next(now, rng),
            Arrival::Constant(constant) => constant.next(),
            Arrival::Renewal(renewal) => renewal.next(now, rng),
            Arrival::Mmpp(mmpp) => mmpp.next(now, rng),
            Arrival::Steps(steps) => steps.next(now, rng),
            Arrival::Ramp(ramp) => ramp.next(now, rng),
            Arrival::Diurnal(diurnal) => diurnal.next(now, rng),
            Arrival::Replay(replay) => replay.next(),
        }
    }

    /// Expected requests per second from the start to `until`, which must be later; for estimates.
    pub fn mean_rate(&self, until: Time) -> f64 {
        match self {
            Arrival::Poisson(poisson) => poisson.mean_rate(),
            Arrival::Constant(constant) => constant.mean_rate(),
            Arrival::Renewal(renewal) => renewal.mean_rate(),
            Arrival::Mmpp(mmpp) => mmpp.mean_rate(),
            Arrival::Steps(steps) => steps.mean_rate(until),
            Arrival::Ramp(ramp) => ramp.mean_rate(until),
            Arrival::Diurnal(diurnal) => diurnal.mean_rate(until),
            Arrival::Replay(replay) => replay.mean_rate(until),
        }
    }
}

/// A unit exponential.
#[inline]
fn exponential(rng: &mut Rng) -> f64 {
    ziggurat::exponential(rng)
}

/// `nanos` after `now`, to the nearest nanosecond.
#[inline]
fn later(now: Time, nanos: f64) -> Time {
    now + Duration::from_nanos_f64(nanos)
}

#[cfg(test)]
mod tests;
