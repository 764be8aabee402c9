//! IPVS `rr`: one server after the other.

use crate::policy::EndpointIndex;
use crate::policy::balancer::common::{Scheduler, Servers, Service};
use crate::random::Rng;

pub use crate::policy::balancer::common::ServiceOptions as Options;

/// One node's rotation.
pub type Balancer = Service<RoundRobin>;

/// Which server got the last connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin {
    // The place after it.
    next: usize,
}

impl Scheduler for RoundRobin {
    const ABOUT: &'static str = "Connections to one endpoint after the other; kube-proxy's default in mode ipvs";
    const SOURCE: &'static str = "torvalds/linux net/netfilter/ipvs/ip_vs_rr.c; kubernetes/kubernetes pkg/proxy/ipvs/proxier.go";
    const CHECKED: &'static str = "sequences that the kernel's source gives";
    const DIFFERENCES: &'static str = "Servers are in the order of the endpoint list, where the kernel's is that in which they came, the last one first; a real rotation is that of a node and not of a caller";

    /// The rotation goes on after the last server, or after the one before it if that is gone.
    fn relist(&mut self, last: &[EndpointIndex], servers: &Servers<'_>) {
        let before = last.iter().take(self.next).rev();
        let kept = before
            .copied()
            .find_map(|endpoint| servers.list.iter().position(|&other| other == endpoint));
        self.next = kept.map_or(0, |place| place + 1);
    }

    #[inline]
    fn schedule(&mut self, servers: &Servers<'_>, _: &mut Rng) -> Option<EndpointIndex> {
        if self.next >= servers.list.len() {
            self.next = 0;
        }
        let endpoint = servers.list[self.next];
        self.next += 1;
        Some(endpoint)
    }
}
