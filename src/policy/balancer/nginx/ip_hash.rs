//! nginx's ip_hash: a client's network sticks to a server.

use core::net::IpAddr;

use crate::policy::balancer::common::Kept;
use crate::policy::balancer::nginx::options::server_options;
use crate::policy::balancer::nginx::peers::Peers;
use crate::policy::balancer::nginx::ranges::Ranges;
use crate::policy::balancer::nginx::walk::walk;
use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::Time;

server_options! {
    "What nginx lets a user write for each `server`.";
}

/// One worker's servers.
#[derive(Clone, Debug)]
pub struct Balancer {
    peers: Peers,
    ranges: Kept<Ranges>,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "A client's /24 network, or IPv6 address, sticks to a server";
    const SOURCE: &'static str = "nginx/nginx src/http/modules/ngx_http_upstream_ip_hash_module.c";
    const CHECKED: &'static str = "recordings of nginx 1.22.1; vectors computed from nginx's source";
    const RULES: Rules = Rules::Any;
    const WANTS: Wants = Wants {
        key: true,
        ..Wants::NOTHING
    };

    fn new(options: &Options, set_count: usize) -> Balancer {
        Balancer {
            peers: Peers::new(options.server()),
            ranges: Kept::new(set_count),
        }
    }

    fn on_added(&mut self, endpoint: EndpointIndex, _: Time) {
        self.peers.on_added(endpoint);
    }

    fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.ranges.renew(sets, set_count);
    }

    fn share(&mut self, prototype: &Balancer) {
        self.ranges.share(&prototype.ranges);
    }

    fn update(&mut self, _: &Endpoints<'_>, _: CandidateSet<'_>, _: Time) {
        self.peers.on_changed();
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        now: Time,
        _: &mut Rng,
    ) -> Option<EndpointIndex> {
        let view = self.peers.view(endpoints, set, hints, now)?;
        if self.peers.is_single() {
            return self.peers.round_robin(&view);
        }
        let ranges = self.ranges.get(endpoints, set, || Ranges::new(endpoints, set));
        let (bytes, length) = hashed_bytes(hints.call.source);
        let mut hash = START;
        walk(&mut self.peers, &view, || {
            hash = next_hash(hash, &bytes[..length]);
            ranges.at(&view, u64::from(hash) % ranges.total())
        })
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        self.peers.on_finished(endpoint, outcome, now);
    }
}

/// What a client's hash begins with.
const START: u32 = 89;

/// What nginx hashes of a client: the network of an IPv4 address, all of an IPv6 address, zeros where there is neither.
fn hashed_bytes(source: Option<IpAddr>) -> ([u8; 16], usize) {
    match source {
        Some(IpAddr::V6(address)) => (address.octets(), 16),
        Some(IpAddr::V4(address)) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            (bytes, 3)
        }
        None => ([0; 16], 3),
    }
}

/// The next hash of a client; each goes on from the one before.
fn next_hash(hash: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(hash, |hash, &byte| (hash * 113 + u32::from(byte)) % 6271)
}
