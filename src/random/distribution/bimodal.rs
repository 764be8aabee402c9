//! Two values: the fast one, and a share of slow ones. Drawn by inversion.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Distribution;
use super::parameters::quantity;
use crate::random::Draws;
use crate::random::quantity::{Quantity, Share, Unit};

/// Two values: `fast`, and `slow` for this share of draws.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Bimodal")]
pub struct Options {
    /// The share of slow ones.
    pub share: Share,
    /// What most draws are.
    pub fast: Quantity,
    /// What the share is.
    pub slow: Quantity,
}

impl Options {
    pub(super) fn build(&self, unit: Unit) -> Result<Distribution, String> {
        let fast = quantity("fast", self.fast, unit)?;
        let slow = quantity("slow", self.slow, unit)?;
        if fast > slow {
            return Err("`fast` must not be more than `slow`".to_string());
        }
        let share = self.share.value();
        Ok(Distribution::Bimodal { share, fast, slow })
    }
}

#[inline]
pub(super) fn sample(share: f64, fast: f64, slow: f64, draws: &mut Draws) -> f64 {
    if draws.unit() < 1.0 - share { fast } else { slow }
}
