//! The normal distribution truncated at 0: what is below is left out, not moved to 0. Drawn by inversion.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Distribution;
use super::parameters::{WithPercentiles, in_range, positive, quantity};
use crate::math;
use crate::random::Draws;
use crate::random::quantity::{Quantity, Unit};

/// Truncated at 0: by `mean` and `stddev` or `cv` (those before truncation), or by two percentiles such as `p50` and `p99` (those after).
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Normal")]
pub struct Options {
    /// The mean before truncation.
    pub mean: Option<Quantity>,
    /// The standard deviation before truncation.
    pub stddev: Option<Quantity>,
    /// The coefficient of variation before truncation: standard deviation over mean.
    pub cv: Option<f64>,
}

pub(super) fn build(config: &WithPercentiles<Options>, unit: Unit) -> Result<Distribution, String> {
    let Options { mean, stddev, cv } = config.options;
    let (mean, stddev) = match (mean, stddev, cv, config.resolve(unit)?.as_slice()) {
        (Some(mean), Some(stddev), None, []) => (quantity("mean", mean, unit)?, positive("stddev", stddev, unit)?),
        (Some(mean), None, Some(cv), []) => {
            let mean = positive("mean", mean, unit)?;
            (mean, mean * in_range("cv", cv, 1e-9, 1e6)?)
        }
        (None, None, None, &[low, high]) => fit(low, high)?,
        _ => {
            let message =
                "`normal` takes either `mean` and `stddev`, or `mean` and `cv`, or two percentiles such as `p50` and `p99`";
            return Err(message.to_string());
        }
    };
    Ok(Distribution::Normal {
        mean,
        stddev,
        below: math::normal_cdf(-mean / stddev),
    })
}

/// The mean and standard deviation whose truncation has these two quantiles.
fn fit((low, at_low): (f64, f64), (high, at_high): (f64, f64)) -> Result<(f64, f64), String> {
    // In units of the standard deviation the quantiles depend on the mean alone, and their ratio falls as it grows.
    let quantile = |mean: f64, share: f64| {
        let below = math::normal_cdf(-mean);
        mean + math::normal_quantile(below + share * (1.0 - below))
    };
    let excess = |mean: f64| quantile(mean, high) / quantile(mean, low) - at_high / at_low;
    if excess(0.0) < 0.0 {
        return Err("a `normal` with these percentiles would have its mean below 0; try `lognormal`".to_string());
    }
    let mean = math::bisect(0.0, 1e9, |mean| -excess(mean));
    let stddev = at_high / quantile(mean, high);
    Ok((mean * stddev, stddev))
}

#[inline]
pub(super) fn sample(mean: f64, stddev: f64, below: f64, draws: &mut Draws) -> f64 {
    // Short of 1, to which the sum may round and where the quantile is infinite.
    let p = (below + draws.unit() * (1.0 - below)).min(1.0 - f64::EPSILON / 2.0);
    let z = math::normal_quantile(p);
    // The last bits of the quantile may fall just below the bound.
    (mean + stddev * z).max(0.0)
}

/// The density over the mass above the bound, both in units of the standard deviation.
fn hazard(mean: f64, stddev: f64) -> f64 {
    let bound = mean / stddev;
    math::normal_pdf(bound) / math::normal_cdf(bound)
}

pub(super) fn mean(mean: f64, stddev: f64) -> f64 {
    mean + stddev * hazard(mean, stddev)
}

pub(super) fn variance(mean: f64, stddev: f64) -> f64 {
    let (bound, hazard) = (mean / stddev, hazard(mean, stddev));
    stddev * stddev * (1.0 - bound * hazard - hazard * hazard)
}
