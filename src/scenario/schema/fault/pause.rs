//! Endpoints that stand still.

use super::target::targeted;
use crate::random::DistributionConfig;
use crate::scenario::decode::Field;

targeted! {
    /// Endpoints that stand still: one of `endpoint`, `service`, `zone`, `node` and `all`. Without `every` it is one pause, as long as the fault.
    pub struct Pause by share {
        /// How long each pause lasts.
        duration: Option<Field<DistributionConfig>>,
        /// From the begin of one pause to that of the next; each endpoint pauses at times of its own.
        every: Option<Field<DistributionConfig>>,
    }
}
