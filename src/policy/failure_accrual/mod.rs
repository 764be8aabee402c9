//! Failure accrual: a breaker for each endpoint, which opens on failures and is tried with single requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::watch::Decisions;
use crate::policy::{EndpointIndex, Outcome};
use crate::random::Rng;
use crate::time::Time;

/// Whose failure accrual, and how it is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// The breakers of one caller and upstream.
#[derive(Debug)]
pub(crate) struct Accrual {}

impl Accrual {
    pub fn new(_: &Config) -> Accrual {
        Accrual {}
    }

    pub fn on_added(&mut self, _: EndpointIndex) {}

    pub fn on_removed(&mut self, _: EndpointIndex) {}

    /// An attempt was placed.
    pub fn on_started(&mut self, _: EndpointIndex, _: Time, _: &mut Decisions) {}

    /// An attempt has ended.
    pub fn on_finished(&mut self, _: EndpointIndex, _: &Outcome, _: Time, _: &mut Rng, _: &mut Decisions) {}

    /// When the next endpoint may be tried.
    pub fn next_timer(&self) -> Time {
        Time::MAX
    }

    /// Endpoints whose time has come may be tried.
    pub fn on_timer(&mut self, _: Time, _: &mut Decisions) {}
}
