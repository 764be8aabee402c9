//! The endpoints of an upstream as a caller knows them.

/// An endpoint of one upstream, by its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointIndex(pub u32);

/// What health checks and discovery say of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Takes traffic.
    #[default]
    Healthy,
    /// Takes traffic when the healthy ones cannot take all.
    Degraded,
    /// Takes none, but in panic.
    Unhealthy,
}

/// What discovery says of one endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointInfo {
    /// `ip:port`: what hashing balancers hash by default.
    pub address: String,
    /// The host name, for `use_hostname_for_hashing`.
    pub hostname: Option<String>,
    /// Envoy's metadata `envoy.lb`/`hash_key`, which wins over name and address.
    pub hash_key: Option<String>,
    /// Relative weight, at least 1.
    pub weight: u32,
    /// Region of its locality.
    pub region: String,
    /// Zone of its locality.
    pub zone: String,
    /// Priority level; 0 is preferred.
    pub priority: u32,
    /// Its health when it is first seen.
    pub health: Health,
}
