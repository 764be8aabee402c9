//! What tells callers of endpoints, and can be down. These faults have no options but when they come.

use schemars::JsonSchema;
use serde::Deserialize;

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
