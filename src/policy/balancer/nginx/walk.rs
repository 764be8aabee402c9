//! How nginx's hash methods look for a server: candidate after candidate, and after 20 that cannot be picked round robin.

use crate::policy::EndpointIndex;
use crate::policy::balancer::nginx::peers::{Peers, View};

/// Candidates that may be found wanting before round robin takes over, in all attempts of a request together.
pub const TRIES_MAX: u32 = 20;

/// The first server that `next_candidate` comes to and that may be picked.
///
/// The real one keeps its place from attempt to attempt of a request. Here the way of the earlier attempts is gone again: it led
/// to the servers that were tried.
pub fn walk(peers: &mut Peers, view: &View<'_>, mut next_candidate: impl FnMut() -> EndpointIndex) -> Option<EndpointIndex> {
    let mut tries = 0;
    for &earlier in view.tried.iter().filter(|&&earlier| view.set.contains(earlier)) {
        while tries <= TRIES_MAX && next_candidate() != earlier {
            tries += 1;
        }
    }
    while tries <= TRIES_MAX {
        let candidate = next_candidate();
        if peers.is_eligible(view, candidate) {
            peers.take(view, candidate);
            return Some(candidate);
        }
        tries += 1;
    }
    peers.round_robin(view)
}
