//! Distributions of durations and sizes.

use crate::random::Draws;

/// A distribution as a scenario writes it.
#[derive(Clone, Debug)]
pub struct DistributionConfig;

/// A distribution ready to be drawn from.
#[derive(Clone, Debug)]
pub enum Distribution {
    /// Always the same.
    Constant(f64),
    /// Exponential.
    Exponential {
        /// The mean.
        mean: f64,
    },
}

impl Distribution {
    /// Draws a value, in nanoseconds (or bytes), never negative.
    #[inline]
    pub fn sample(&self, draws: &mut Draws) -> f64 {
        match *self {
            Distribution::Constant(value) => value,
            Distribution::Exponential { mean } => -crate::math::ln(draws.unit()) * mean,
        }
    }
}
