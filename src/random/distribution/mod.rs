//! Distributions of durations and sizes: what a scenario writes, and the compiled sampler.
//!
//! One file holds one distribution: its `Options` and how it is drawn. A parameter changes what is made of a key's random
//! numbers but not the numbers, so that a variant with a larger mean draws larger values. A new distribution takes a file, a
//! `mod` line, a line in [`Named`] and [`Distribution`], and an arm of each `match` below.

mod bimodal;
mod empirical;
mod erlang;
mod exponential;
mod gamma;
mod hyperexponential;
mod lognormal;
mod mixture;
mod normal;
mod parameters;
mod pareto;
mod uniform;
mod weibull;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess};

pub use empirical::Empirical;
pub use hyperexponential::Branch;
pub use mixture::Part;
pub use parameters::{Percentile, WithPercentiles};

use crate::random::Draws;
use crate::random::quantity::{Quantity, Unit};
use crate::time::Duration;

/// A distribution ready to be drawn from, in nanoseconds or bytes. [`DistributionConfig::build`] makes it and has checked its numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Constant(f64),
    /// Exponential.
    Exponential {
        /// The mean.
        mean: f64,
    },
    /// Lognormal.
    Lognormal {
        /// The mean of the logarithm.
        mu: f64,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// Gamma.
    Gamma {
        /// The shape.
        shape: f64,
        /// The scale.
        scale: f64,
    },
    /// Erlang.
    Erlang {
        /// How many exponentials.
        shape: u32,
        /// The mean of each.
        scale: f64,
    },
    /// Weibull.
    Weibull {
        /// One over the shape.
        power: f64,
        /// The scale.
        scale: f64,
    },
    /// Pareto.
    Pareto {
        /// One over the shape.
        power: f64,
        /// The least value.
        scale: f64,
    },
    /// Uniform.
    Uniform {
        /// The lower bound.
        min: f64,
        /// The upper bound.
        max: f64,
    },
    /// Normal, truncated at 0.
    Normal {
        /// The mean before truncation.
        mean: f64,
        /// The standard deviation before truncation.
        stddev: f64,
        /// The share that truncation leaves out.
        below: f64,
    },
    /// Two values.
    Bimodal {
        /// The share of slow ones.
        share: f64,
        /// What most are.
        fast: f64,
        /// What the share is.
        slow: f64,
    },
    /// One of several exponentials.
    Hyperexponential(Arc<[Branch]>),
    /// One of several distributions.
    Mixture(Arc<[Part]>),
    /// One of many values.
    Empirical(Arc<Empirical>),
}

const _: () = assert!(size_of::<Distribution>() <= 32);

impl Distribution {
    /// Draws a value: never negative, never NaN, infinite only where a tail exceeds all numbers.
    #[inline]
    pub fn sample(&self, draws: &mut Draws) -> f64 {
        match *self {
            Distribution::Constant(value) => value,
            Distribution::Exponential { mean } => exponential::sample(mean, draws),
            Distribution::Lognormal { mu, sigma } => lognormal::sample(mu, sigma, draws),
            Distribution::Gamma { shape, scale } => gamma::sample(shape, scale, draws),
            Distribution::Erlang { shape, scale } => erlang::sample(shape, scale, draws),
            Distribution::Weibull { power, scale } => weibull::sample(power, scale, draws),
            Distribution::Pareto { power, scale } => pareto::sample(power, scale, draws),
            Distribution::Uniform { min, max } => uniform::sample(min, max, draws),
            Distribution::Normal { mean, stddev, below } => normal::sample(mean, stddev, below, draws),
            Distribution::Bimodal { share, fast, slow } => bimodal::sample(share, fast, slow, draws),
            Distribution::Hyperexponential(ref branches) => hyperexponential::sample(branches, draws),
            Distribution::Mixture(ref parts) => mixture::sample(parts, draws),
            Distribution::Empirical(ref empirical) => empirical.sample(draws),
        }
    }

    /// The mean; infinite for a Pareto of shape up to 1.
    pub fn mean(&self) -> f64 {
        match *self {
            Distribution::Constant(value) => value,
            Distribution::Exponential { mean } => mean,
            Distribution::Lognormal { mu, sigma } => lognormal::mean(mu, sigma),
            Distribution::Gamma { shape, scale } => shape * scale,
            Distribution::Erlang { shape, scale } => f64::from(shape) * scale,
            Distribution::Weibull { power, scale } => weibull::mean(power, scale),
            Distribution::Pareto { power, scale } => pareto::mean(power, scale),
            Distribution::Uniform { min, max } => (min + max) / 2.0,
            Distribution::Normal { mean, stddev, .. } => normal::mean(mean, stddev),
            Distribution::Bimodal { share, fast, slow } => fast + share * (slow - fast),
            Distribution::Hyperexponential(ref branches) => hyperexponential::mean(branches),
            Distribution::Mixture(ref parts) => mixture::mean(parts),
            Distribution::Empirical(ref empirical) => empirical.mean(),
        }
    }

    /// The variance; infinite for a Pareto of shape up to 2.
    pub fn variance(&self) -> f64 {
        match *self {
            Distribution::Constant(_) => 0.0,
            Distribution::Exponential { mean } => mean * mean,
            Distribution::Lognormal { mu, sigma } => lognormal::variance(mu, sigma),
            Distribution::Gamma { shape, scale } => shape * scale * scale,
            Distribution::Erlang { shape, scale } => f64::from(shape) * scale * scale,
            Distribution::Weibull { power, scale } => weibull::variance(power, scale),
            Distribution::Pareto { power, scale } => pareto::variance(power, scale),
            Distribution::Uniform { min, max } => (max - min) * (max - min) / 12.0,
            Distribution::Normal { mean, stddev, .. } => normal::variance(mean, stddev),
            Distribution::Bimodal { share, fast, slow } => share * (1.0 - share) * (slow - fast) * (slow - fast),
            Distribution::Hyperexponential(ref branches) => hyperexponential::variance(branches),
            Distribution::Mixture(ref parts) => mixture::variance(parts),
            Distribution::Empirical(ref empirical) => empirical.variance(),
        }
    }

    /// The coefficient of variation: standard deviation over mean; 0 for the constant 0.
    pub fn cv(&self) -> f64 {
        if self.mean() > 0.0 {
            self.variance().sqrt() / self.mean()
        } else {
            0.0
        }
    }
}

/// A distribution as a scenario writes it: a bare value is constant; else a map with one key, the distribution's name.
#[derive(Clone, Debug, PartialEq)]
pub enum DistributionConfig {
    /// A bare value.
    Constant(Quantity),
    /// A map with one key.
    Named(Box<Named>),
}

/// The registry: every distribution by the name that a scenario gives it.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// Always the same: `constant: 5ms`, or just `5ms`.
    Constant(Quantity),
    /// Memoryless.
    Exponential(WithPercentiles<exponential::Options>),
    /// The logarithm is normal: the usual fit for service times.
    Lognormal(WithPercentiles<lognormal::Options>),
    /// Gamma.
    Gamma(WithPercentiles<gamma::Options>),
    /// The sum of several exponentials.
    Erlang(erlang::Options),
    /// A power of an exponential.
    Weibull(WithPercentiles<weibull::Options>),
    /// A power law above a least value.
    Pareto(WithPercentiles<pareto::Options>),
    /// Equally likely between two bounds.
    Uniform(WithPercentiles<uniform::Options>),
    /// Normal, truncated at 0.
    Normal(WithPercentiles<normal::Options>),
    /// Two values.
    Bimodal(bimodal::Options),
    /// One of several exponentials.
    Hyperexponential(hyperexponential::Options),
    /// One of several distributions by weight.
    Mixture(Vec<mixture::PartOptions>),
    /// One of the given values.
    Empirical(empirical::Options),
}

impl DistributionConfig {
    /// Always `duration`.
    pub fn constant(duration: Duration) -> DistributionConfig {
        DistributionConfig::Constant(Quantity::duration(duration))
    }

    /// Makes the sampler, in nanoseconds or bytes. `read_file` gives the text of a file that the scenario names.
    ///
    /// # Errors
    /// Says what is wrong and what would be right, as a lowercase fragment.
    pub fn build<F>(&self, unit: Unit, read_file: &mut F) -> Result<Distribution, String>
    where
        F: FnMut(&str) -> Result<String, String>,
    {
        let named = match self {
            DistributionConfig::Constant(value) => return value.resolve(unit).map(Distribution::Constant),
            DistributionConfig::Named(named) => named.as_ref(),
        };
        match named {
            Named::Constant(value) => value.resolve(unit).map(Distribution::Constant),
            Named::Exponential(config) => exponential::build(config, unit),
            Named::Lognormal(config) => lognormal::build(config, unit),
            Named::Gamma(config) => gamma::build(config, unit),
            Named::Erlang(options) => options.build(unit),
            Named::Weibull(config) => weibull::build(config, unit),
            Named::Pareto(config) => pareto::build(config, unit),
            Named::Uniform(config) => uniform::build(config, unit),
            Named::Normal(config) => normal::build(config, unit),
            Named::Bimodal(options) => options.build(unit),
            Named::Hyperexponential(options) => options.build(unit),
            Named::Mixture(parts) => mixture::build(parts, unit, read_file),
            Named::Empirical(options) => options.build(unit, read_file),
        }
    }

    /// Checks all that can be checked without reading a file.
    ///
    /// # Errors
    /// As [`DistributionConfig::build`].
    pub fn check(&self, unit: Unit) -> Result<(), String> {
        // Any well-formed text stands for a file.
        self.build(unit, &mut |_| Ok("0".to_string())).map(|_| ())
    }
}

impl<'de> Deserialize<'de> for DistributionConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DistributionConfig, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = DistributionConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as `5ms`, a size such as `10KiB`, or a distribution such as `exponential: {mean: 5ms}`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<DistributionConfig, E> {
        Quantity::parse(text).map(DistributionConfig::Constant).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<DistributionConfig, E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<DistributionConfig, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<DistributionConfig, E> {
        Quantity::plain(number).map(DistributionConfig::Constant).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DistributionConfig, A::Error> {
        let named = Named::deserialize(MapAccessDeserializer::new(&mut map))?;
        if let Some(second) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            let message = format!("a distribution has one key, its name; `{second}` is a second one");
            return Err(de::Error::custom(message));
        }
        Ok(DistributionConfig::Named(Box::new(named)))
    }
}

impl JsonSchema for DistributionConfig {
    fn schema_name() -> Cow<'static, str> {
        "Distribution".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let bare = generator.subschema_for::<Quantity>();
        let named = generator.subschema_for::<Named>();
        json_schema!({
            "description": "A duration (or size): a bare value is constant; else a map with one key, the name of a distribution.",
            "anyOf": [bare, named]
        })
    }
}

#[cfg(test)]
mod tests;
