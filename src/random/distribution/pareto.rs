//! The Pareto distribution: a power law above a least value, which is the exponential of an exponential. Drawn as such.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Distribution;
use super::parameters::{WithPercentiles, in_range, positive};
use crate::math;
use crate::random::quantity::{Quantity, Unit};
use crate::random::{Draws, ziggurat};

/// A power law above a least value: by `shape` and `scale`, by `mean` and `cv`, or by two percentiles such as `p50` and `p99`.
/// Its mean is infinite for a `shape` up to 1, its variance up to 2.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Pareto")]
pub struct Options {
    /// The exponent of the tail.
    pub shape: Option<f64>,
    /// The least value.
    pub scale: Option<Quantity>,
    /// The mean.
    pub mean: Option<Quantity>,
    /// The coefficient of variation: standard deviation over mean.
    pub cv: Option<f64>,
}

pub(super) fn build(config: &WithPercentiles<Options>, unit: Unit) -> Result<Distribution, String> {
    let Options { shape, scale, mean, cv } = config.options;
    let (shape, scale) = match (shape, scale, mean, cv, config.resolve(unit)?.as_slice()) {
        (Some(shape), Some(scale), None, None, []) => (shape, positive("scale", scale, unit)?),
        (None, None, Some(mean), Some(cv), []) => {
            let cv = in_range("cv", cv, 1e-3, 1e3)?;
            // cv^2 = 1 / (shape (shape - 2)).
            let shape = 1.0 + (1.0 + 1.0 / (cv * cv)).sqrt();
            (shape, positive("mean", mean, unit)? * (shape - 1.0) / shape)
        }
        (None, None, None, None, &[(low, at_low), (high, at_high)]) => {
            let shape = math::ln((1.0 - low) / (1.0 - high)) / math::ln(at_high / at_low);
            (shape, at_low * math::pow(1.0 - low, 1.0 / shape))
        }
        _ => {
            let message =
                "`pareto` takes either `shape` and `scale`, or `mean` and `cv`, or two percentiles such as `p50` and `p99`";
            return Err(message.to_string());
        }
    };
    let shape = in_range("shape", shape, 0.05, 1e6)?;
    Ok(Distribution::Pareto {
        power: 1.0 / shape,
        scale,
    })
}

pub(super) fn sample(power: f64, scale: f64, draws: &mut Draws) -> f64 {
    math::exp(ziggurat::exponential(draws) * power) * scale
}

pub(super) fn mean(power: f64, scale: f64) -> f64 {
    if power < 1.0 { scale / (1.0 - power) } else { f64::INFINITY }
}

pub(super) fn variance(power: f64, scale: f64) -> f64 {
    if power >= 0.5 {
        return f64::INFINITY;
    }
    let mean = mean(power, scale);
    mean * mean * power * power / (1.0 - 2.0 * power)
}
