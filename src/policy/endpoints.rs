//! The endpoints of an upstream as a caller knows them.

use crate::policy::Metadata;

/// An endpoint of one upstream, by its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointIndex(pub u32);

impl EndpointIndex {
    /// As an index into a column.
    #[inline]
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// What health checks and discovery say of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// Takes traffic.
    #[default]
    Healthy,
    /// Takes traffic when the healthy ones cannot take all.
    Degraded,
    /// Takes none, but in panic.
    Unhealthy,
    /// Unhealthy, and left out when the share of healthy endpoints is computed: Envoy's hosts that wait for their first health check.
    Excluded,
}

/// What discovery says of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
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
    /// Sub-zone of its locality.
    pub sub_zone: String,
    /// The weight of its locality within its priority level, for locality-weighted balancing; `None`: it has none. The same for all
    /// endpoints of a locality and level; where it is not, the first in the list counts.
    pub locality_weight: Option<u32>,
    /// What subsets are made of.
    pub metadata: Metadata,
    /// Priority level, at most [`PRIORITY_MAX`]; 0 is preferred.
    pub priority: u32,
    /// Its health when it is first seen.
    pub health: Health,
}

/// The last priority level that Envoy's `LocalityLbEndpoints.priority` admits.
pub const PRIORITY_MAX: u32 = 128;

/// What a balancer may look at, in columns by [`EndpointIndex`].
#[derive(Clone, Copy, Debug)]
pub struct Endpoints<'a> {
    /// What discovery says.
    pub infos: &'a [EndpointInfo],
    /// Weights, at least 1.
    pub weights: &'a [u32],
    /// Attempts of this caller that have not ended.
    pub active: &'a [u32],
    /// The sum of `active`.
    pub active_total: u64,
}
