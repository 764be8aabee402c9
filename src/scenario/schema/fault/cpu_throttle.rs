//! Endpoints whose CPU time is limited.

use super::target::targeted;
use crate::scenario::decode::Field;
use crate::time::Duration;

targeted! {
    /// Endpoints with a limit on CPU time: one of `endpoint`, `service`, `zone`, `node` and `all`, and one of `quota` and `limit`.
    pub struct CpuThrottle by share {
        /// CPU time in each period, shared by all requests that an endpoint works on.
        quota: Option<Field<Duration>>,
        /// The same in cores, as in Kubernetes' `limits.cpu`: the quota is so many periods.
        #[schemars(extend("exclusiveMinimum" = 0))]
        limit: Option<Field<f64>>,
        /// The period; 100ms if absent, as in Linux and Kubernetes.
        period: Option<Field<Duration>>,
        /// A moment of the run at which a period begins; drawn for each endpoint if absent.
        phase: Option<Field<Duration>>,
    }
}
