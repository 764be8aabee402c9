//! Outlier detection: endpoints that fail more than they should are taken out for a while, by what their answers say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::watch::Decisions;
use crate::policy::{EndpointIndex, Outcome};
use crate::random::Rng;
use crate::time::Time;

/// Whose outlier detection, and how it is set.
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

/// The detector of one caller and upstream.
#[derive(Debug)]
pub(crate) struct Detector {}

impl Detector {
    pub fn new(_: &Config, _: Time) -> Detector {
        Detector {}
    }

    /// The first sweep comes after this share of the interval.
    pub fn set_phase(&mut self, _: f64, _: Time) {}

    pub fn on_added(&mut self, _: EndpointIndex) {}

    pub fn on_removed(&mut self, _: EndpointIndex) {}

    /// An attempt has ended.
    pub fn on_finished(&mut self, _: EndpointIndex, _: &Outcome, _: Time, _: &mut Rng, _: &mut Decisions) {}

    /// An active health check says that an endpoint is well.
    pub fn on_check_passed(&mut self, _: EndpointIndex, _: Time, _: &mut Decisions) {}

    /// When the next sweep is due.
    pub fn next_timer(&self) -> Time {
        Time::MAX
    }

    /// A sweep.
    pub fn on_timer(&mut self, _: Time, _: &mut Rng, _: &mut Decisions) {}
}
