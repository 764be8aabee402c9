//! A closed loop: users who wait for an answer, think, and send again. The model runs it; here is only what a scenario writes.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::random::DistributionConfig;
use crate::random::quantity::Unit;

/// Users who wait for each answer, think, and send again. Each thinks before the first request too.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Closed")]
pub struct Options {
    /// How many users.
    pub users: u32,
    /// The time from an answer to the next request.
    pub think: DistributionConfig,
}

impl Options {
    /// Checks all that can be checked without reading a file.
    ///
    /// # Errors
    /// Says what is wrong, as a lowercase fragment.
    pub fn check(&self) -> Result<(), String> {
        if self.users == 0 {
            return Err("`users` must be at least 1".to_string());
        }
        self.think
            .check(Unit::Duration)
            .map_err(|problem| format!("`think`: {problem}"))
    }
}
