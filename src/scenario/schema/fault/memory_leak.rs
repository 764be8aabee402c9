//! Endpoints that lose memory until they are killed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::crash::ColdStart;
use super::target::targeted;
use crate::random::Quantity;
use crate::scenario::decode::Field;
use crate::time::Duration;

targeted! {
    /// Endpoints that lose memory: one of `endpoint`, `service`, `zone`, `node` and `all`, and `per_request`, `per_second` or both. At `limit`
    /// the process is killed: what is in flight is reset and connections are refused until it has started again.
    pub struct MemoryLeak by share {
        /// How much each request leaves behind.
        per_request: Option<Field<Quantity>>,
        /// How much is lost in each second.
        per_second: Option<Field<Quantity>>,
        /// How much there is.
        limit: Option<Field<Quantity>>,
        /// How long the process takes to start; 1s if absent.
        restart: Option<Field<Duration>>,
        /// How long the kubelet waits before it starts the process again; as Kubernetes does if absent.
        back_off: Option<Field<BackOff>>,
        /// How slow the process is after a start; not at all if absent.
        cold_start: Option<Field<ColdStart>>,
    }
}

/// The wait before a process is started again: none after the first end, then `base_interval`, and twice as long each further time.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct BackOff {
    /// The wait after the second end; 10s if absent.
    pub base_interval: Option<Field<Duration>>,
    /// The longest wait; 5m if absent.
    pub max_interval: Option<Field<Duration>>,
    /// After so long a life the wait is forgotten; 10m if absent.
    pub reset: Option<Field<Duration>>,
}
