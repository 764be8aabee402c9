//! Endpoints that work slower.

use super::target::targeted;
use crate::random::DistributionConfig;
use crate::scenario::decode::Field;

targeted! {
    /// Endpoints that work slower: one of `endpoint`, `service`, `zone`, `node` and `all`, and one of `factor` and `add`.
    pub struct Slow by share {
        /// Work takes this many times as long.
        #[schemars(extend("exclusiveMinimum" = 0))]
        factor: Option<Field<f64>>,
        /// Each piece of work takes this much longer.
        add: Option<Field<DistributionConfig>>,
    }
}
