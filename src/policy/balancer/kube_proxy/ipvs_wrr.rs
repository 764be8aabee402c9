//! IPVS `wrr`: rounds over the servers, from those of the largest weight down to all.

use crate::policy::EndpointIndex;
use crate::policy::balancer::common::{Scheduler, Servers, Service};
use crate::random::Rng;

pub use crate::policy::balancer::common::ServiceOptions as Options;

/// One node's rounds.
pub type Balancer = Service<WeightedRoundRobin>;

/// How far the rounds are.
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightedRoundRobin {
    // The place after the last server; 0: a round begins.
    next: usize,
    // The weight that a server must have in this round.
    current: i64,
    largest: i64,
    step: i64,
}

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Scheduler for WeightedRoundRobin {
    const ABOUT: &'static str =
        "Connections in rounds, in which heavier endpoints take part more often; all weigh the same in kube-proxy";
    const SOURCE: &'static str = "torvalds/linux net/netfilter/ipvs/ip_vs_wrr.c; kubernetes/kubernetes pkg/proxy/ipvs/proxier.go";
    const CHECKED: &'static str = "sequences that the kernel's source gives";
    const DIFFERENCES: &'static str = "Servers are in the order of the endpoint list, where the kernel's is that in which they came, the last one first; a real rotation is that of a node and not of a caller";

    fn relist(&mut self, _: &[EndpointIndex], servers: &Servers<'_>) {
        let weights = || servers.list.iter().map(|endpoint| servers.weights[endpoint.at()]);
        let step = i64::from(weights().fold(0, greatest_common_divisor)).max(1);
        self.next = 0;
        self.step = step;
        // So that the last round asks for a weight of 1, whatever the step.
        self.largest = i64::from(weights().max().unwrap_or(0)) - (step - 1);
        if self.current > self.largest || self.current == 0 {
            self.current = self.largest;
        } else if step > 1 {
            self.current = self.current / step * step + 1;
        }
    }

    #[inline]
    fn schedule(&mut self, servers: &Servers<'_>, _: &mut Rng) -> Option<EndpointIndex> {
        loop {
            let left = &servers.list[self.next.min(servers.list.len())..];
            let heavy = |endpoint: &EndpointIndex| i64::from(servers.weights[endpoint.at()]) >= self.current;
            if let Some(skipped) = left.iter().position(heavy) {
                self.next += skipped + 1;
                return Some(left[skipped]);
            }
            self.next = 0;
            self.current -= self.step;
            if self.current <= 0 {
                self.current = self.largest;
            }
        }
    }
}
