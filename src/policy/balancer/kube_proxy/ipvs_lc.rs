//! IPVS `lc`: the fewest connections, where an open one counts as 256 that were closed of late.

use crate::policy::EndpointIndex;
use crate::policy::balancer::common::{Scheduler, Servers, Service, least_overhead};
use crate::random::Rng;

pub use crate::policy::balancer::common::ServiceOptions as Options;

/// One node's choice.
pub type Balancer = Service<LeastConnection>;

/// It remembers nothing: the counts are the connections'.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastConnection;

impl Scheduler for LeastConnection {
    const ABOUT: &'static str = "Connections to the endpoint that has the fewest open, then the fewest closed of late";
    const SOURCE: &'static str = "torvalds/linux net/netfilter/ipvs/ip_vs_lc.c; kubernetes/kubernetes pkg/proxy/ipvs/proxier.go";
    const CHECKED: &'static str = "overheads computed from the kernel's formulas; sequences that they give";
    const DIFFERENCES: &'static str = "Connections are counted by caller, where the kernel counts those of all callers on a node; servers are in the order of the endpoint list, where the kernel's is that in which they came, the last one first";
    const COUNTS_INACTIVE: bool = true;

    #[inline]
    fn schedule(&mut self, servers: &Servers<'_>, _: &mut Rng) -> Option<EndpointIndex> {
        least_overhead(servers.list, |endpoint| servers.connection_overhead(endpoint), |_| 1)
    }
}
