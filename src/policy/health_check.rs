//! Active health checks: a caller asks each endpoint now and then whether it is well.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::EndpointIndex;
use crate::policy::watch::Decisions;
use crate::random::Rng;
use crate::time::{Duration, Time};

/// When endpoints are asked, and what is made of their answers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {}

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What a check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The endpoint answered with this HTTP status, or took a connection where nothing more is asked for.
    Status(u16),
    /// There was no answer in time.
    Timeout,
    /// There was no connection, or it broke.
    NetworkFailure,
}

/// The checks of one caller and upstream.
#[derive(Debug)]
pub(crate) struct Checker {}

impl Checker {
    pub fn new(_: &Options, _: Time) -> Checker {
        Checker {}
    }

    /// The first checks come after this share of the interval.
    pub fn set_phase(&mut self, _: f64, _: Time) {}

    /// Whether the endpoint is out until it has been checked.
    pub fn on_added(&mut self, _: EndpointIndex, _: Time, _: &mut Rng) -> bool {
        false
    }

    pub fn on_removed(&mut self, _: EndpointIndex) {}

    /// A request was sent.
    pub fn on_traffic(&mut self, _: Time) {}

    /// When the next check is due.
    pub fn next_timer(&self) -> Time {
        Time::MAX
    }

    /// An endpoint that is to be checked now, and how long to wait for its answer.
    pub fn next_check(&mut self, _: Time) -> Option<(EndpointIndex, Duration)> {
        None
    }

    /// What was found; whether it was a success.
    pub fn on_checked(&mut self, _: EndpointIndex, _: Finding, _: Time, _: &mut Rng, _: &mut Decisions) -> bool {
        false
    }
}
