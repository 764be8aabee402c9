//! IPVS `sh`: a table of 256 places by the source address.

use core::net::IpAddr;

use crate::policy::EndpointIndex;
use crate::policy::balancer::common::{Scheduler, Servers, Service};
use crate::random::Rng;

pub use crate::policy::balancer::common::ServiceOptions as Options;

/// One node's table.
pub type Balancer = Service<SourceHash>;

/// The kernel's `CONFIG_IP_VS_SH_TAB_BITS` are 8.
const PLACES: usize = 256;

/// The servers of the places.
#[derive(Clone, Debug, Default)]
pub struct SourceHash {
    table: Vec<EndpointIndex>,
}

/// The place of an address. Since only the lowest byte of the product counts, only the address's lowest byte does.
pub fn place(source: IpAddr) -> usize {
    let folded = match source {
        IpAddr::V4(address) => u32::from(address),
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            [96, 64, 32, 0]
                .map(|shift| (bits >> shift) as u32)
                .into_iter()
                .fold(0, |folded, word| folded ^ word)
        }
    };
    folded.wrapping_mul(2_654_435_761) as usize % PLACES
}

impl Scheduler for SourceHash {
    const ABOUT: &'static str = "Connections by the last byte of their source address";
    const SOURCE: &'static str = "torvalds/linux net/netfilter/ipvs/ip_vs_sh.c; kubernetes/kubernetes pkg/proxy/ipvs/proxier.go";
    const CHECKED: &'static str = "places computed from the kernel's source";
    const DIFFERENCES: &'static str = "Servers are in the order of the endpoint list, where the kernel's is that in which they came, the last one first; a connection whose source nobody knows goes to a random place";

    /// Deals the places out by weight, in turn; with more servers than places the last ones get none, as in the kernel.
    fn relist(&mut self, _: &[EndpointIndex], servers: &Servers<'_>) {
        self.table.clear();
        let turn = |&endpoint: &EndpointIndex| std::iter::repeat_n(endpoint, servers.weights[endpoint.at()] as usize);
        self.table.extend(servers.list.iter().flat_map(turn).cycle().take(PLACES));
    }

    #[inline]
    fn schedule(&mut self, servers: &Servers<'_>, rng: &mut Rng) -> Option<EndpointIndex> {
        let place = servers.source.map_or_else(|| rng.below(PLACES as u64) as usize, place);
        self.table.get(place).copied()
    }
}
