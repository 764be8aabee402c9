//! A ring of hashes, as libketama and Envoy build it: endpoints own points in proportion to their weights, a request goes to the
//! next point (`source/extensions/load_balancing_policies/ring_hash/ring_hash_lb.cc`).

use std::fmt::Write as _;

use crate::policy::balancer::common::hash::HashFunction;
use crate::policy::balancer::common::hash_policy::Lookup;
use crate::policy::balancer::common::weighted_hosts::WeightedHost;

/// The points in the order of their hashes, in two columns so that a search touches only the hashes.
#[derive(Clone, Debug)]
pub struct HashRing {
    hashes: Vec<u64>,
    hosts: Vec<u32>,
}

/// How large a ring is.
#[derive(Clone, Copy, Debug)]
pub struct RingSize {
    /// At least so many points, if `max` admits it.
    pub min: u64,
    /// At most so many.
    pub max: u64,
}

impl HashRing {
    /// The ring of `hosts`, whose places in the slice are what a lookup finds.
    pub fn new(hosts: &[WeightedHost<'_>], size: RingSize, function: HashFunction) -> HashRing {
        let least = hosts.iter().map(|host| host.weight).fold(1.0, f64::min);
        // The lightest endpoint gets a whole number of points, unless the ring would be too large.
        let scale = ((least * size.min as f64).ceil() / least).min(size.max as f64);
        let mut points: Vec<(u64, u32)> = Vec::with_capacity(scale.ceil() as usize);
        let mut text = String::new();
        // The sums run over all endpoints, so that fractions of points are not lost but go to a later one.
        let (mut made, mut wanted) = (0.0, 0.0);
        for (place, host) in hosts.iter().enumerate() {
            wanted += scale * host.weight;
            let mut point = 0;
            while made < wanted {
                text.clear();
                write!(text, "{}_{point}", host.key).expect("writing to a string does not fail");
                points.push((function.hash(text.as_bytes()), place as u32));
                point += 1;
                made += 1.0;
            }
        }
        points.sort_by_key(|&(hash, _)| hash);
        let (hashes, hosts) = points.into_iter().unzip();
        HashRing { hashes, hosts }
    }

    /// The points in the order of the ring: hash and place of the endpoint.
    pub fn points(&self) -> impl ExactSizeIterator<Item = (u64, u32)> + '_ {
        self.hashes.iter().copied().zip(self.hosts.iter().copied())
    }

    /// Places of endpoints by all points, once around the ring from the first one that is not before `hash`.
    pub fn walk(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let first = self.hashes.partition_point(|&point| point < hash);
        self.hosts[first..].iter().chain(&self.hosts[..first]).copied()
    }
}

impl Lookup for HashRing {
    fn find(&self, hash: u64, reselection: u32) -> Option<u32> {
        let next = self.hashes.partition_point(|&point| point < hash);
        let next = if next == self.hashes.len() { 0 } else { next };
        // A rejected pick moves on by points, not by endpoints, so it may come to the same one again, as in Envoy.
        let place = (next as u64 + u64::from(reselection)).checked_rem(self.hosts.len() as u64)?;
        Some(self.hosts[place as usize])
    }
}
