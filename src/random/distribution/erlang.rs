//! The Erlang distribution: the sum of `shape` exponentials. Drawn as such while they are few, else as a gamma.

use schemars::JsonSchema;
use serde::Deserialize;

use super::parameters::{in_range, positive};
use super::{Distribution, gamma};
use crate::math;
use crate::random::Draws;
use crate::random::quantity::{Quantity, Unit};

/// The most stages that are drawn one by one. Their product stays far above the least number: 2^-54 each.
const STAGES_MAX: u32 = 12;

/// The sum of `shape` exponentials: by `shape` and `mean`, or by `mean` and `cv`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Erlang")]
pub struct Options {
    /// How many exponentials.
    pub shape: Option<u32>,
    /// The mean of the sum.
    pub mean: Option<Quantity>,
    /// The coefficient of variation: one over the root of a whole number.
    pub cv: Option<f64>,
}

impl Options {
    pub(super) fn build(&self, unit: Unit) -> Result<Distribution, String> {
        let (Some(mean), shape, cv) = (self.mean, self.shape, self.cv) else {
            return Err("`erlang` takes `mean`, and either `shape` or `cv`".to_string());
        };
        let shape = match (shape, cv) {
            (Some(shape @ 1..), None) => shape,
            (Some(0), None) => return Err("`shape` must be at least 1".to_string()),
            (None, Some(cv)) => stages(in_range("cv", cv, 1e-4, 1.0)?)?,
            _ => return Err("`erlang` takes `mean`, and either `shape` or `cv`".to_string()),
        };
        let scale = positive("mean", mean, unit)? / f64::from(shape);
        Ok(Distribution::Erlang { shape, scale })
    }
}

fn stages(cv: f64) -> Result<u32, String> {
    let shape = 1.0 / (cv * cv);
    let whole = shape.round();
    // Three digits of cv tell neighbouring shapes apart up to about 20.
    if (shape - whole).abs() > 0.02 * whole {
        return Err(format!(
            "no `erlang` has a `cv` of {cv}: it is one over the root of a whole number; use `gamma`"
        ));
    }
    Ok(whole as u32)
}

pub(super) fn sample(shape: u32, scale: f64, draws: &mut Draws) -> f64 {
    if shape > STAGES_MAX {
        return gamma::sample(f64::from(shape), scale, draws);
    }
    let product: f64 = (0..shape).map(|_| draws.unit()).product();
    -math::ln(product) * scale
}
