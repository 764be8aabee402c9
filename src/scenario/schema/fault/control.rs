//! What tells callers of endpoints, and can be down, slow or wrong.

use schemars::JsonSchema;
use serde::Deserialize;

use super::crash::CrashMode;
use super::network::Party;
use super::target::Names;
use crate::random::{DistributionConfig, Share};
use crate::scenario::decode::Field;

/// Names are not resolved: callers go on with what they know as long as their discovery allows.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct DnsDown {}

/// The service registry neither hears nor answers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct RegistryDown {}

/// The control plane pushes nothing: proxies go on with what they know.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct ControlPlaneDown {}

/// Whoever tells callers of endpoints tells them what was true when the fault began.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct StaleEndpoints {}

/// The control plane takes longer: `factor`, `add` or both.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct ControlPlaneSlow {
    /// What it does takes this many times as long: how long Istio gathers changes and pushes to a proxy, the updates of Linkerd's streams,
    /// and a change's way through Kubernetes (a pod's status, two watches, the endpoint slices).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub factor: Option<Field<f64>>,
    /// Each caller (with kube-proxy each node) is told so much later besides.
    pub add: Option<Field<DistributionConfig>>,
}

/// Callers are told addresses that are not those of the service. They go by them when they are told, which takes as long as their `discovery`
/// does, and until they are told the right ones after the fault. Who has `static` discovery is told nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct WrongEndpoints {
    /// Which callers; all if absent.
    pub from: Option<Field<Party>>,
    /// Of this service, or of several; of all if absent.
    pub to: Option<Field<Names>>,
    /// The share of the callers, drawn by the seed; all if absent.
    pub share: Option<Field<Share>>,
    /// Nobody is there: connections are refused (`refuse`), requests reset (`reset`), or nothing answers (`hang`, if absent).
    pub mode: Option<Field<CrashMode>>,
    /// Another service is there, which answers with this HTTP status, in place of `mode`.
    #[schemars(extend("minimum" = 100, "maximum" = 599))]
    pub status: Option<Field<u16>>,
}
