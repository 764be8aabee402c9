//! The exponential distribution: memoryless, coefficient of variation 1. Drawn by the ziggurat.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Distribution;
use super::parameters::{WithPercentiles, positive};
use crate::random::quantity::{Quantity, Unit};
use crate::random::{Draws, ziggurat};

/// Memoryless: by `mean`, or by one percentile such as `p99`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Exponential")]
pub struct Options {
    /// The mean.
    pub mean: Option<Quantity>,
}

pub(super) fn build(config: &WithPercentiles<Options>, unit: Unit) -> Result<Distribution, String> {
    let mean = match (config.options.mean, config.resolve(unit)?.as_slice()) {
        (Some(mean), []) => positive("mean", mean, unit)?,
        (None, &[(share, value)]) => -value / libm::log1p(-share),
        _ => return Err("`exponential` takes either `mean` or one percentile such as `p99`".to_string()),
    };
    Ok(Distribution::Exponential { mean })
}

#[inline]
pub(super) fn sample(mean: f64, draws: &mut Draws) -> f64 {
    ziggurat::exponential(draws) * mean
}
