//! IPVS `nq`: never queue: the first server without connections, else the shortest expected delay.

use crate::policy::EndpointIndex;
use crate::policy::balancer::common::{Scheduler, Servers, Service, least_overhead};
use crate::random::Rng;

pub use crate::policy::balancer::common::ServiceOptions as Options;

/// One node's choice.
pub type Balancer = Service<NeverQueue>;

/// It remembers nothing: the counts are the connections'.
#[derive(Clone, Copy, Debug, Default)]
pub struct NeverQueue;

impl Scheduler for NeverQueue {
    const ABOUT: &'static str = "Connections to the first idle endpoint, else as ipvs_sed";
    const SOURCE: &'static str = "torvalds/linux net/netfilter/ipvs/ip_vs_nq.c; kubernetes/kubernetes pkg/proxy/ipvs/proxier.go";
    const CHECKED: &'static str = "overheads computed from the kernel's formulas; sequences that they give";
    const DIFFERENCES: &'static str = "Connections are counted by caller, where the kernel counts those of all callers on a node; servers are in the order of the endpoint list, where the kernel's is that in which they came, the last one first";

    #[inline]
    fn schedule(&mut self, servers: &Servers<'_>, _: &mut Rng) -> Option<EndpointIndex> {
        let idle = servers
            .list
            .iter()
            .copied()
            .find(|endpoint| servers.active[endpoint.at()] == 0);
        let delay = |endpoint| servers.expected_delay(endpoint);
        idle.or_else(|| least_overhead(servers.list, delay, |endpoint| servers.weights[endpoint.at()]))
    }
}
