//! The gamma distribution, drawn by Marsaglia and Tsang's method (ACM TOMS 26, 2000).
//!
//! Rejection takes a varying number of draws; as each variate has a key of its own, that shifts nobody else's.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Distribution;
use super::parameters::{WithPercentiles, in_range, positive};
use crate::math;
use crate::random::quantity::{Quantity, Unit};
use crate::random::{Draws, ziggurat};

/// The least and largest shape that is fitted: coefficients of variation from 0.01 to 10.
const SHAPE_RANGE: (f64, f64) = (0.01, 1e4);

/// By `shape` and `scale`, by `mean` and `cv`, or by two percentiles such as `p50` and `p99`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Gamma")]
pub struct Options {
    /// The shape: 1 is the exponential, more is more regular.
    pub shape: Option<f64>,
    /// The scale: the mean over the shape.
    pub scale: Option<Quantity>,
    /// The mean.
    pub mean: Option<Quantity>,
    /// The coefficient of variation: standard deviation over mean.
    pub cv: Option<f64>,
}

pub(super) fn build(config: &WithPercentiles<Options>, unit: Unit) -> Result<Distribution, String> {
    let Options { shape, scale, mean, cv } = config.options;
    let (shape, scale) = match (shape, scale, mean, cv, config.resolve(unit)?.as_slice()) {
        (Some(shape), Some(scale), None, None, []) => (in_range("shape", shape, 1e-3, 1e9)?, positive("scale", scale, unit)?),
        (None, None, Some(mean), Some(cv), []) => {
            let cv = in_range("cv", cv, 1e-4, 30.0)?;
            (1.0 / (cv * cv), positive("mean", mean, unit)? * cv * cv)
        }
        (None, None, None, None, &[low, high]) => fit(low, high)?,
        _ => {
            let message =
                "`gamma` takes either `shape` and `scale`, or `mean` and `cv`, or two percentiles such as `p50` and `p99`";
            return Err(message.to_string());
        }
    };
    Ok(Distribution::Gamma { shape, scale })
}

/// The shape and scale with these two quantiles: for each shape the scale follows from the lower one.
fn fit((low, at_low): (f64, f64), (high, at_high): (f64, f64)) -> Result<(f64, f64), String> {
    let ratio = at_high / at_low;
    // How far the upper quantile of a shape exceeds the lower one falls as the shape grows.
    let excess = |shape: f64| math::gamma_quantile(shape, high) / math::gamma_quantile(shape, low) - ratio;
    if !(excess(SHAPE_RANGE.0) >= 0.0 && excess(SHAPE_RANGE.1) <= 0.0) {
        return Err(format!(
            "no gamma distribution has percentiles a factor of {ratio:.4} apart like these; try `lognormal`"
        ));
    }
    let shape = math::exp(math::bisect(math::ln(SHAPE_RANGE.0), math::ln(SHAPE_RANGE.1), |log_shape| {
        -excess(math::exp(log_shape))
    }));
    Ok((shape, at_low / math::gamma_quantile(shape, low)))
}

pub(super) fn sample(shape: f64, scale: f64, draws: &mut Draws) -> f64 {
    if shape < 1.0 {
        // A gamma of shape + 1, times the power of a uniform.
        let boost = math::pow(draws.unit(), 1.0 / shape);
        return standard(shape + 1.0, draws) * boost * scale;
    }
    standard(shape, draws) * scale
}

/// Marsaglia and Tsang's method for scale 1 and a shape of at least 1.
fn standard(shape: f64, draws: &mut Draws) -> f64 {
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = ziggurat::normal(draws);
        let v = 1.0 + c * x;
        if v <= 0.0 {
            continue;
        }
        let v = v * v * v;
        let u = draws.unit();
        if u < 1.0 - 0.0331 * (x * x) * (x * x) || math::ln(u) < 0.5 * x * x + d * (1.0 - v + math::ln(v)) {
            return d * v;
        }
    }
}
