//! How results are judged: `statistics:`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::random::Share;
use crate::scenario::decode::Field;

/// How results are judged.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct Statistics {
    /// How intervals are made; `student_t` if absent.
    pub interval: Option<Field<IntervalKind>>,
    /// A difference up to this share of a figure is none that matters: `2%`. Of availability it is a share of the failures.
    pub indifference: Option<Field<Share>>,
    /// The most replications that `precision` and `select` may ask for; 200 if absent, and at least `replications`.
    pub max_replications: Option<Field<u32>>,
    /// The metric by which the best variant is to be found, such as `p99` or `availability`: replications are added until it is found, but
    /// for differences within `indifference`, which is needed then.
    pub select: Option<Field<String>>,
}

/// How intervals are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntervalKind {
    /// By Student's t over replications.
    #[default]
    StudentT,
    /// By bootstrap-t: replications are resampled. For skewed figures of few replications.
    Bootstrap,
}
