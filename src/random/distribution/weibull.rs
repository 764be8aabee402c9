//! The Weibull distribution: a power of an exponential. Drawn as such.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Distribution;
use super::parameters::{WithPercentiles, in_range, positive};
use crate::math;
use crate::random::quantity::{Quantity, Unit};
use crate::random::{Draws, ziggurat};

/// The least and largest shape: coefficients of variation from some thousands to 0.001.
const SHAPE_RANGE: (f64, f64) = (0.05, 1000.0);

/// By `shape` and `scale`, by `mean` and `cv`, or by two percentiles such as `p50` and `p99`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Weibull")]
pub struct Options {
    /// The shape: 1 is the exponential, less has a heavier tail.
    pub shape: Option<f64>,
    /// The scale: about 63% of the values are below it.
    pub scale: Option<Quantity>,
    /// The mean.
    pub mean: Option<Quantity>,
    /// The coefficient of variation: standard deviation over mean.
    pub cv: Option<f64>,
}

pub(super) fn build(config: &WithPercentiles<Options>, unit: Unit) -> Result<Distribution, String> {
    let Options { shape, scale, mean, cv } = config.options;
    let (low, high) = SHAPE_RANGE;
    let (shape, scale) = match (shape, scale, mean, cv, config.resolve(unit)?.as_slice()) {
        (Some(shape), Some(scale), None, None, []) => (in_range("shape", shape, low, high)?, positive("scale", scale, unit)?),
        (None, None, Some(mean), Some(cv), []) => {
            let cv = in_range("cv", cv, 0.002, 100.0)?;
            // The coefficient of variation falls as the shape grows.
            let shape = math::exp(math::bisect(math::ln(low), math::ln(high), |log| {
                libm::log1p(cv * cv) - log_moment_ratio(math::exp(log))
            }));
            (shape, positive("mean", mean, unit)? / libm::tgamma(1.0 + 1.0 / shape))
        }
        (None, None, None, None, &[(p_low, at_low), (p_high, at_high)]) => {
            let (e_low, e_high) = (-libm::log1p(-p_low), -libm::log1p(-p_high));
            let shape = math::ln(e_high / e_low) / math::ln(at_high / at_low);
            let shape = in_range("shape", shape, low, high).map_err(|_| "no `weibull` has these percentiles; try `lognormal`")?;
            (shape, at_low / math::pow(e_low, 1.0 / shape))
        }
        _ => {
            let message =
                "`weibull` takes either `shape` and `scale`, or `mean` and `cv`, or two percentiles such as `p50` and `p99`";
            return Err(message.to_string());
        }
    };
    Ok(Distribution::Weibull {
        power: 1.0 / shape,
        scale,
    })
}

/// The logarithm of the second moment over the square of the mean.
fn log_moment_ratio(shape: f64) -> f64 {
    libm::lgamma(1.0 + 2.0 / shape) - 2.0 * libm::lgamma(1.0 + 1.0 / shape)
}

pub(super) fn sample(power: f64, scale: f64, draws: &mut Draws) -> f64 {
    math::exp(math::ln(ziggurat::exponential(draws)) * power) * scale
}

pub(super) fn mean(power: f64, scale: f64) -> f64 {
    libm::tgamma(1.0 + power) * scale
}

pub(super) fn variance(power: f64, scale: f64) -> f64 {
    let mean = mean(power, scale);
    mean * mean * libm::expm1(log_moment_ratio(1.0 / power))
}
