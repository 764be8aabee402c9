//! IPVS `sed`: the shortest expected delay: open connections, this one included, for the weight.

use crate::policy::EndpointIndex;
use crate::policy::balancer::common::{Scheduler, Servers, Service, least_overhead};
use crate::random::Rng;

pub use crate::policy::balancer::common::ServiceOptions as Options;

/// One node's choice.
pub type Balancer = Service<ShortestExpectedDelay>;

/// It remembers nothing: the counts are the connections'.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShortestExpectedDelay;

impl Scheduler for ShortestExpectedDelay {
    const ABOUT: &'static str =
        "Connections to the endpoint that will have the fewest open for its weight with this one; the first of equals";
    const SOURCE: &'static str = "torvalds/linux net/netfilter/ipvs/ip_vs_sed.c; kubernetes/kubernetes pkg/proxy/ipvs/proxier.go";
    const CHECKED: &'static str = "overheads computed from the kernel's formulas; sequences that they give";
    const DIFFERENCES: &'static str = "Connections are counted by caller, where the kernel counts those of all callers on a node; servers are in the order of the endpoint list, where the kernel's is that in which they came, the last one first";

    #[inline]
    fn schedule(&mut self, servers: &Servers<'_>, _: &mut Rng) -> Option<EndpointIndex> {
        least_overhead(
            servers.list,
            |endpoint| servers.expected_delay(endpoint),
            |endpoint| servers.weights[endpoint.at()],
        )
    }
}
