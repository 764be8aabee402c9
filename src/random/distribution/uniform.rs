//! The uniform distribution between two bounds. Drawn by inversion.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Distribution;
use super::parameters::{WithPercentiles, in_range, positive, quantity};
use crate::random::Draws;
use crate::random::quantity::{Quantity, Unit};

/// Equally likely between two bounds: by `min` and `max`, by `mean` and `cv`, or by two percentiles such as `p10` and `p90`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Uniform")]
pub struct Options {
    /// The lower bound.
    pub min: Option<Quantity>,
    /// The upper bound.
    pub max: Option<Quantity>,
    /// The mean.
    pub mean: Option<Quantity>,
    /// The coefficient of variation: standard deviation over mean, at most 0.577.
    pub cv: Option<f64>,
}

pub(super) fn build(config: &WithPercentiles<Options>, unit: Unit) -> Result<Distribution, String> {
    let Options { min, max, mean, cv } = config.options;
    let (min, max) = match (min, max, mean, cv, config.resolve(unit)?.as_slice()) {
        (Some(min), Some(max), None, None, []) => (quantity("min", min, unit)?, quantity("max", max, unit)?),
        (None, None, Some(mean), Some(cv), []) => {
            let mean = positive("mean", mean, unit)?;
            // The standard deviation is the width over the root of 12; beyond this cv the lower bound would be negative.
            let half = mean * in_range("cv", cv, 0.0, 0.577_350_269_189_625_8)? * 3.0_f64.sqrt();
            ((mean - half).max(0.0), mean + half)
        }
        (None, None, None, None, &[(low, at_low), (high, at_high)]) => {
            let width = (at_high - at_low) / (high - low);
            (at_low - low * width, at_high + (1.0 - high) * width)
        }
        _ => {
            let message =
                "`uniform` takes either `min` and `max`, or `mean` and `cv`, or two percentiles such as `p10` and `p90`";
            return Err(message.to_string());
        }
    };
    // A billionth is left to rounding: percentiles in proportion mean a lower bound of exactly 0.
    if min < -1e-9 * max {
        return Err("a `uniform` with these percentiles would begin below 0; try `lognormal`".to_string());
    }
    if min >= max {
        return Err("`min` must be less than `max`; for a constant write the value alone".to_string());
    }
    Ok(Distribution::Uniform { min: min.max(0.0), max })
}

#[inline]
pub(super) fn sample(min: f64, max: f64, draws: &mut Draws) -> f64 {
    min + (max - min) * draws.unit()
}
