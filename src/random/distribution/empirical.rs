//! An empirical distribution: one of the given values by weight. Drawn by inversion over the sorted values.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Distribution;
use super::parameters::{cumulative, quantity};
use crate::random::Draws;
use crate::random::quantity::{Quantity, Unit};

/// One of the given values: by `values` and optionally `weights`, or from a `file`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Empirical")]
pub struct Options {
    /// The values.
    pub values: Option<Vec<Quantity>>,
    /// How likely each of them is, in proportion; equally likely by default.
    pub weights: Option<Vec<f64>>,
    /// A text file with one value a line, and optionally a comma and its weight. A number without a unit is in seconds, or in
    /// bytes where a size is meant. Lines that begin with `#` are left out.
    pub file: Option<String>,
}

/// Sorted values, and a table that says where to look for a share.
#[derive(Clone, Debug, PartialEq)]
pub struct Empirical {
    /// Value and the share of values up to and including it, ascending in both.
    values: Vec<(f64, f64)>,
    /// Entry `i` is the first value whose share exceeds `i / guide.len()`: Chen and Asau's guide table (AIIE Transactions 6, 1974).
    guide: Vec<u32>,
    mean: f64,
    variance: f64,
}

impl Options {
    pub(super) fn build<F>(&self, unit: Unit, read_file: &mut F) -> Result<Distribution, String>
    where
        F: FnMut(&str) -> Result<String, String>,
    {
        let (values, weights) = match (&self.values, &self.weights, &self.file) {
            (Some(values), weights, None) => {
                let resolved: Result<Vec<f64>, String> = values.iter().map(|&value| quantity("values", value, unit)).collect();
                let weights = weights.clone().unwrap_or_else(|| vec![1.0; values.len()]);
                (resolved?, weights)
            }
            (None, None, Some(path)) => {
                let text = read_file(path)?;
                parse(&text, unit).map_err(|problem| format!("`{path}`: {problem}"))?
            }
            _ => return Err("`empirical` takes either `values` (and `weights`) or `file`".to_string()),
        };
        if values.len() != weights.len() {
            return Err(format!("there are {} weights for {} values", weights.len(), values.len()));
        }
        if values.is_empty() {
            return Err("`empirical` needs at least one value".to_string());
        }
        Empirical::new(values, weights).map(|empirical| Distribution::Empirical(empirical.into()))
    }
}

/// Reads values and weights, one pair a line.
fn parse(text: &str, unit: Unit) -> Result<(Vec<f64>, Vec<f64>), String> {
    let (mut values, mut weights) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at_line = |problem: String| format!("line {number}: {problem}");
        let (value, weight) = line.split_once(',').unwrap_or((line, "1"));
        values.push(parse_value(value.trim(), unit).map_err(at_line)?);
        let weight: f64 = (weight.trim().parse()).map_err(|_| at_line(format!("not a weight: `{}`", weight.trim())))?;
        weights.push(weight);
    }
    Ok((values, weights))
}

fn parse_value(text: &str, unit: Unit) -> Result<f64, String> {
    match (text.parse::<f64>(), unit) {
        (Ok(seconds), Unit::Duration) => Quantity::plain(seconds)?.resolve(Unit::Size).map(|seconds| seconds * 1e9),
        _ => Quantity::parse(text)?.resolve(unit),
    }
}

impl Empirical {
    fn new(values: Vec<f64>, weights: Vec<f64>) -> Result<Empirical, String> {
        let mut pairs: Vec<(f64, f64)> = values.into_iter().zip(weights).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let weights: Vec<f64> = pairs.iter().map(|&(_, weight)| weight).collect();
        let shares = cumulative(&weights)?;
        let total: f64 = weights.iter().sum();
        let mean = pairs.iter().map(|(value, weight)| value * weight / total).sum();
        let squares = pairs
            .iter()
            .map(|(value, weight)| (value - mean) * (value - mean) * weight / total);
        let variance = squares.sum();
        let size = shares.len();
        let guide = (0..size).map(|i| shares.partition_point(|&share| share <= i as f64 / size as f64) as u32);
        Ok(Empirical {
            guide: guide.collect(),
            values: pairs.iter().zip(shares).map(|(&(value, _), share)| (value, share)).collect(),
            mean,
            variance,
        })
    }

    pub(super) fn sample(&self, draws: &mut Draws) -> f64 {
        let u = draws.unit();
        let from = self.guide[(u * self.guide.len() as f64) as usize] as usize;
        let found = self.values[from..].iter().find(|&&(_, share)| u < share);
        found.expect("the last share is 1").0
    }

    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    pub(super) fn variance(&self) -> f64 {
        self.variance
    }
}
