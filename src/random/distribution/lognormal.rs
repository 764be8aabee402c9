//! The lognormal distribution: the logarithm is normal. The usual fit for service times. Drawn by the ziggurat.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Distribution;
use super::parameters::{WithPercentiles, in_range, positive};
use crate::math;
use crate::random::quantity::{Quantity, Unit};
use crate::random::{Draws, ziggurat};

/// The logarithm is normal: by `mu` and `sigma`, by `mean` and `cv`, or by two percentiles such as `p50` and `p99`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Lognormal")]
pub struct Options {
    /// The mean of the logarithm of the value in seconds (or bytes): -5.3 is a median of 5 ms.
    pub mu: Option<f64>,
    /// The standard deviation of the logarithm.
    pub sigma: Option<f64>,
    /// The mean.
    pub mean: Option<Quantity>,
    /// The coefficient of variation: standard deviation over mean.
    pub cv: Option<f64>,
}

pub(super) fn build(config: &WithPercentiles<Options>, unit: Unit) -> Result<Distribution, String> {
    let Options { mu, sigma, mean, cv } = config.options;
    let (mu, sigma) = match (mu, sigma, mean, cv, config.resolve(unit)?.as_slice()) {
        (Some(mu), Some(sigma), None, None, []) => {
            let seconds = if unit == Unit::Duration { math::ln(1e9) } else { 0.0 };
            (in_range("mu", mu, -50.0, 50.0)? + seconds, sigma)
        }
        (None, None, Some(mean), Some(cv), []) => {
            let cv = in_range("cv", cv, 0.0, 1e6)?;
            let variance = libm::log1p(cv * cv);
            (math::ln(positive("mean", mean, unit)?) - variance / 2.0, variance.sqrt())
        }
        (None, None, None, None, &[(low, at_low), (high, at_high)]) => {
            let (z_low, z_high) = (math::normal_quantile(low), math::normal_quantile(high));
            let sigma = math::ln(at_high / at_low) / (z_high - z_low);
            (math::ln(at_low) - sigma * z_low, sigma)
        }
        _ => {
            let message =
                "`lognormal` takes either `mu` and `sigma`, or `mean` and `cv`, or two percentiles such as `p50` and `p99`";
            return Err(message.to_string());
        }
    };
    // Wider than that, and the moments are no numbers any more.
    let sigma = in_range("sigma", sigma, 0.0, 25.0)?;
    Ok(Distribution::Lognormal { mu, sigma })
}

#[inline]
pub(super) fn sample(mu: f64, sigma: f64, draws: &mut Draws) -> f64 {
    math::exp(mu + sigma * ziggurat::normal(draws))
}

pub(super) fn mean(mu: f64, sigma: f64) -> f64 {
    math::exp(mu + sigma * sigma / 2.0)
}

pub(super) fn variance(mu: f64, sigma: f64) -> f64 {
    libm::expm1(sigma * sigma) * math::exp(2.0 * mu + sigma * sigma)
}
