//! Retries: which answers are worth another attempt, and after which pause.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::time::Duration;

/// Envoy's retry policy of a route.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// How often to try again after the first attempt.
    #[serde(default = "one")]
    pub num_retries: u32,
    /// Time for one attempt; none if absent.
    #[serde(default)]
    pub per_try_timeout: Option<Duration>,
}

fn one() -> u32 {
    1
}
