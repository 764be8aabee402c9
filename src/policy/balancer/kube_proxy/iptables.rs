//! kube-proxy in mode iptables: a chain of rules, each of which takes a connection with a probability that makes all endpoints equal.

use crate::policy::EndpointIndex;
use crate::policy::balancer::common::{Scheduler, Servers, Service};
use crate::random::Rng;

pub use crate::policy::balancer::common::ServiceOptions as Options;

/// One node's rules.
pub type Balancer = Service<Chain>;

/// The chain of a Service: one rule for each endpoint.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    // What 31 random bits must be below, for each rule but the last, which has no condition.
    bounds: Vec<u32>,
}

/// The probability of a rule that has so many after it, itself included, with the ten decimals that kube-proxy writes: in units of 1e-10
/// (`computeProbability` in `proxier.go`).
pub fn probability(left: u32) -> u64 {
    // The float's exact value is rounded, half to even, as Go's `%0.10f` does: a mantissa times a power of two.
    let bits = (1.0 / f64::from(left)).to_bits();
    let mantissa = u128::from(bits & ((1 << 52) - 1) | (1 << 52));
    let shift = 1075 - (bits >> 52);
    let scaled = mantissa * 10_000_000_000;
    let (down, rest) = (scaled >> shift, scaled & ((1 << shift) - 1));
    let half = 1_u128 << (shift - 1);
    let up = rest > half || rest == half && down % 2 == 1;
    (down + u128::from(up)) as u64
}

/// What iptables makes of it for the kernel's `statistic` match: a bound for 31 random bits (`extensions/libxt_statistic.c`).
fn bound(left: u32) -> u32 {
    (f64::from(1_u32 << 31) * (probability(left) as f64 / 1e10)).round() as u32
}

impl Scheduler for Chain {
    const ABOUT: &'static str = "Each connection to a random endpoint, by a chain of rules with rounded probabilities";
    const SOURCE: &'static str =
        "kubernetes/kubernetes pkg/proxy/iptables/proxier.go; torvalds/linux net/netfilter/xt_statistic.c";
    const CHECKED: &'static str = "probabilities computed from kube-proxy's source; shares of connections";
    const DIFFERENCES: &'static str = "With session affinity a real node remembers at most 100 addresses for each endpoint; terminating endpoints are not modelled, nor nodes; changes of the rules take no time";

    fn relist(&mut self, _: &[EndpointIndex], servers: &Servers<'_>) {
        self.bounds.clear();
        self.bounds.extend((2..=servers.list.len() as u32).rev().map(bound));
    }

    #[inline]
    fn schedule(&mut self, servers: &Servers<'_>, rng: &mut Rng) -> Option<EndpointIndex> {
        let taken = self.bounds.iter().position(|&bound| ((rng.next_u64() >> 33) as u32) < bound);
        let rule = taken.unwrap_or(self.bounds.len());
        servers.list.get(rule).copied()
    }
}
