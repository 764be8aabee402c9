//! kube-proxy in mode nftables: a verdict map and a random number.

use crate::policy::EndpointIndex;
use crate::policy::balancer::common::{Scheduler, Servers, Service};
use crate::random::Rng;

pub use crate::policy::balancer::common::ServiceOptions as Options;

/// One node's rules.
pub type Balancer = Service<VerdictMap>;

/// The verdict map of a Service: one entry for each endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerdictMap;

impl Scheduler for VerdictMap {
    const ABOUT: &'static str = "Each connection to a random endpoint";
    const SOURCE: &'static str = "kubernetes/kubernetes pkg/proxy/nftables/proxier.go; torvalds/linux net/netfilter/nft_numgen.c";
    const CHECKED: &'static str = "shares of connections";
    const DIFFERENCES: &'static str = "Terminating endpoints are not modelled, nor nodes; changes of the rules take no time";

    #[inline]
    fn schedule(&mut self, servers: &Servers<'_>, rng: &mut Rng) -> Option<EndpointIndex> {
        Some(servers.list[rng.below(servers.list.len() as u64) as usize])
    }
}
