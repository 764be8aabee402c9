//! The ring of consistent hashes and of random draws: each server has as many nodes as its effective weight says, and a hash goes to
//! the node that is nearest to it, before or after (`src/lb_chash.c`).
//!
//! Nodes of servers that are down, or whose weight is not full, are passed over, so that all callers can share one ring.

use core::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh32::xxh32;

use crate::policy::balancer::haproxy::functions::avalanche;
use crate::policy::balancer::haproxy::servers::EWEIGHT_MAX;
use crate::policy::{CandidateSet, EndpointIndex};

/// What places a server on the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum HashKey {
    /// Its number, from 1.
    #[default]
    Id,
    /// Its address.
    Addr,
    /// Its address and port.
    #[serde(alias = "addr_port")]
    AddrPort,
}

/// The nodes in the order of their hashes.
#[derive(Clone, Debug)]
pub struct Ring {
    hashes: Vec<u32>,
    nodes: Vec<Node>,
}

/// A server's node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Whose it is.
    pub server: EndpointIndex,
    /// Which of its nodes, from 0: it is in use while the effective weight is above.
    pub number: u32,
}

impl Ring {
    /// The ring of all servers of `set`, with `nodes` of each.
    pub fn new(set: CandidateSet<'_>, nodes: impl Fn(EndpointIndex) -> u32, key: impl Fn(EndpointIndex) -> u32) -> Ring {
        let mut all: Vec<(u32, Node)> = Vec::new();
        for server in set.iter() {
            let key = key(server);
            let node = |number| (avalanche(key.wrapping_add(number)), Node { server, number });
            all.extend((0..nodes(server)).map(node));
        }
        all.sort_by_key(|&(hash, _)| hash);
        let (hashes, nodes) = all.into_iter().unzip();
        Ring { hashes, nodes }
    }

    /// The node at a place.
    #[inline]
    pub fn node(&self, place: usize) -> Node {
        self.nodes[place]
    }

    /// The place of a node, or of the next one if it is not there.
    pub fn place_of(&self, node: Node, key: u32) -> usize {
        let hash = avalanche(key.wrapping_add(node.number));
        let begin = self.hashes.partition_point(|&other| other < hash);
        let same = self.hashes[begin..].iter().take_while(|&&other| other == hash).count();
        let place = (begin..begin + same).find(|&place| self.nodes[place] == node);
        place.unwrap_or(begin + same) % self.nodes.len()
    }

    /// The place after `place`, round the ring.
    #[inline]
    pub fn after(&self, place: usize) -> usize {
        if place + 1 == self.nodes.len() { 0 } else { place + 1 }
    }

    #[inline]
    fn before(&self, place: usize) -> usize {
        if place == 0 { self.nodes.len() - 1 } else { place - 1 }
    }

    /// The first of the nodes in use from `place` on, round the ring.
    #[inline]
    pub fn in_use_from(&self, mut place: usize, is_in_use: impl Fn(Node) -> bool) -> Option<usize> {
        for _ in 0..self.nodes.len() {
            if is_in_use(self.nodes[place]) {
                return Some(place);
            }
            place = self.after(place);
        }
        None
    }

    /// The place of the node in use that is nearest to `hash`; of two equally near ones that before it.
    #[inline]
    pub fn nearest(&self, hash: u32, is_in_use: impl Fn(Node) -> bool) -> Option<usize> {
        let begin = self.hashes.partition_point(|&other| other < hash);
        let begin = if begin == self.nodes.len() { 0 } else { begin };
        let next = self.in_use_from(begin, &is_in_use)?;
        let mut previous = self.before(begin);
        while !is_in_use(self.nodes[previous]) {
            previous = self.before(previous);
        }
        let behind = hash.wrapping_sub(self.hashes[previous]);
        let ahead = self.hashes[next].wrapping_sub(hash);
        Some(if behind <= ahead { previous } else { next })
    }
}

/// What the nodes of a server are hashed of, each with its number added.
pub fn server_key(hash_key: HashKey, server: EndpointIndex, address: &str) -> u32 {
    let by_id = (server.0 + 1).wrapping_mul(EWEIGHT_MAX);
    match (hash_key, address.parse::<SocketAddr>()) {
        (HashKey::Addr, Ok(address)) => address_key(0, address.ip()),
        (HashKey::AddrPort, Ok(address)) => address_key(avalanche(u32::from(address.port())), address.ip()),
        _ => by_id,
    }
}

fn address_key(key: u32, address: IpAddr) -> u32 {
    match address {
        // The word as it stands in memory, in the order of the network, read on a little-endian machine.
        IpAddr::V4(address) => avalanche(key.wrapping_add(u32::from_le_bytes(address.octets()))),
        IpAddr::V6(address) => xxh32(&address.octets(), key),
    }
}
