//! A mixture: one of several distributions by weight.

use schemars::JsonSchema;
use serde::Deserialize;

use super::parameters::cumulative;
use super::{Distribution, DistributionConfig};
use crate::random::Draws;
use crate::random::quantity::Unit;

/// One part of a mixture.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MixturePart")]
pub struct PartOptions {
    /// How likely it is, in proportion.
    pub weight: f64,
    /// What is drawn then.
    pub of: DistributionConfig,
}

/// One distribution among several.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The share of this one and those before it.
    pub up_to: f64,
    /// Its own share.
    pub share: f64,
    /// What is drawn.
    pub of: Distribution,
}

pub(super) fn build<F>(parts: &[PartOptions], unit: Unit, read_file: &mut F) -> Result<Distribution, String>
where
    F: FnMut(&str) -> Result<String, String>,
{
    if parts.is_empty() {
        return Err("a `mixture` needs at least one part such as `{weight: 1, of: 5ms}`".to_string());
    }
    let weights: Vec<f64> = parts.iter().map(|part| part.weight).collect();
    let total: f64 = weights.iter().sum();
    let mut built = Vec::new();
    for (part, up_to) in parts.iter().zip(cumulative(&weights)?) {
        built.push(Part {
            up_to,
            share: part.weight / total,
            of: part.of.build(unit, read_file)?,
        });
    }
    Ok(Distribution::Mixture(built.into()))
}

pub(super) fn sample(parts: &[Part], draws: &mut Draws) -> f64 {
    let u = draws.unit();
    let part = parts.iter().find(|part| u < part.up_to).expect("the last part goes up to 1");
    part.of.sample(draws)
}

pub(super) fn mean(parts: &[Part]) -> f64 {
    parts.iter().map(|part| part.share * part.of.mean()).sum()
}

pub(super) fn variance(parts: &[Part]) -> f64 {
    let mean = mean(parts);
    // The mean of the variances plus the variance of the means.
    let spread = |part: &Part| part.of.variance() + (part.of.mean() - mean) * (part.of.mean() - mean);
    parts.iter().map(|part| part.share * spread(part)).sum()
}
