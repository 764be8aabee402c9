//! The hyperexponential distribution: one of several exponentials by weight. More variable than an exponential.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::parameters::{cumulative, in_range, positive};
use super::{Distribution, exponential};
use crate::random::Draws;
use crate::random::quantity::{Quantity, Unit};

/// One of several exponentials: by `weights` and `means`, or by `mean` and `cv` of at least 1 (two branches with balanced means).
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Hyperexponential")]
pub struct Options {
    /// How likely each branch is, in proportion.
    pub weights: Option<Vec<f64>>,
    /// The mean of each branch.
    pub means: Option<Vec<Quantity>>,
    /// The mean of all.
    pub mean: Option<Quantity>,
    /// The coefficient of variation: standard deviation over mean, at least 1.
    pub cv: Option<f64>,
}

/// One exponential among several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Branch {
    /// The share of this one and those before it.
    pub up_to: f64,
    /// Its own share.
    pub share: f64,
    /// Its mean.
    pub mean: f64,
}

impl Options {
    pub(super) fn build(&self, unit: Unit) -> Result<Distribution, String> {
        let (weights, means) = match (&self.weights, &self.means, self.mean, self.cv) {
            (Some(weights), Some(means), None, None) => {
                if weights.len() != means.len() {
                    return Err(format!("there are {} weights for {} means", weights.len(), means.len()));
                }
                let means: Result<Vec<f64>, String> = means.iter().map(|&mean| positive("means", mean, unit)).collect();
                (weights.clone(), means?)
            }
            (None, None, Some(mean), Some(cv)) => balanced(positive("mean", mean, unit)?, in_range("cv", cv, 1.0, 1e6)?),
            _ => return Err("`hyperexponential` takes either `weights` and `means`, or `mean` and `cv`".to_string()),
        };
        let total: f64 = weights.iter().sum();
        let branches: Vec<Branch> = (cumulative(&weights)?.into_iter().zip(weights).zip(means))
            .map(|((up_to, weight), mean)| Branch {
                up_to,
                share: weight / total,
                mean,
            })
            .collect();
        Ok(Distribution::Hyperexponential(branches.into()))
    }
}

/// Two branches that contribute equally to the mean: Whitt, "Approximating a point process by a renewal process" (1982), section 3.
fn balanced(mean: f64, cv: f64) -> (Vec<f64>, Vec<f64>) {
    let squared = cv * cv;
    let likely = 0.5 * (1.0 + ((squared - 1.0) / (squared + 1.0)).sqrt());
    // 1 - likely, without the cancellation when cv is large.
    let rare = 0.5 / (squared + 1.0) / likely;
    (vec![likely, rare], vec![mean / (2.0 * likely), mean / (2.0 * rare)])
}

pub(super) fn sample(branches: &Arc<[Branch]>, draws: &mut Draws) -> f64 {
    let u = draws.unit();
    let branch = branches
        .iter()
        .find(|branch| u < branch.up_to)
        .expect("the last branch goes up to 1");
    exponential::sample(branch.mean, draws)
}

pub(super) fn mean(branches: &[Branch]) -> f64 {
    branches.iter().map(|branch| branch.share * branch.mean).sum()
}

pub(super) fn variance(branches: &[Branch]) -> f64 {
    let mean = mean(branches);
    branches
        .iter()
        .map(|branch| 2.0 * branch.share * branch.mean * branch.mean)
        .sum::<f64>()
        - mean * mean
}
