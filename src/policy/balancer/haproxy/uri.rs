//! HAProxy's `balance uri`: a resource sticks to a server.

use crate::policy::balancer::haproxy::hash_type::Hasher;
use crate::policy::balancer::haproxy::hashing::{DIFFERENCES, Hashing};
use crate::policy::balancer::haproxy::options::{backend_options, hash_options};
use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

hash_options! {
    "What HAProxy lets a user write for `balance uri`, `hash-type` and the servers.";
    /// Only so many bytes from the beginning count; 0: all.
    #[schemars(extend("x-upstream" = "balance uri len"))]
    len: u32 = 0,
    /// Only so many directories count, from the top: what is before slash `depth` + 1; 0: all.
    #[schemars(extend("x-upstream" = "balance uri depth"))]
    depth: u32 = 0,
    /// Whether what follows the question mark counts too.
    #[schemars(extend("x-upstream" = "balance uri whole"))]
    whole: bool = false,
    /// Whether scheme and host are left out where a request has them.
    #[schemars(extend("x-upstream" = "balance uri path-only"))]
    path_only: bool = false,
}

/// One process's servers.
#[derive(Clone, Debug)]
pub struct Balancer {
    hashing: Hashing,
    hasher: Hasher,
    hashed: Hashed,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "The path of a request, or more or less of it, sticks to a server";
    const SOURCE: &'static str = "haproxy/haproxy src/backend.c, src/lb_map.c, src/lb_chash.c";
    const CHECKED: &'static str = "recordings of HAProxy 2.6.12";
    const DIFFERENCES: &'static str = DIFFERENCES;
    const RULES: Rules = Rules::Any;
    const WANTS: Wants = Wants {
        key: true,
        ..Wants::NOTHING
    };

    fn new(options: &Options, set_count: usize) -> Balancer {
        let hash = options.hash();
        Balancer {
            hashing: Hashing::new(options.backend(), hash, set_count),
            hasher: hash.hasher,
            hashed: Hashed {
                len: if options.len == 0 { usize::MAX } else { options.len as usize },
                last_slash: if options.depth == 0 { 0 } else { options.depth as usize + 1 },
                whole: options.whole,
                path_only: options.path_only,
            },
        }
    }

    fn on_added(&mut self, server: EndpointIndex, _: Time) {
        self.hashing.on_added(server);
    }

    fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.hashing.renew(sets, set_count);
    }

    fn share(&mut self, prototype: &Balancer) {
        self.hashing.share(&prototype.hashing);
    }

    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        self.hashing.update(endpoints, set, now);
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
        let Balancer { hashing, hasher, hashed } = self;
        hashing.pick(endpoints, set, hints, now, || {
            hints.call.key.map(|uri| hasher.text(hashed.of(uri)))
        })
    }
}

/// What counts of a request's URI.
#[derive(Clone, Copy, Debug)]
struct Hashed {
    len: usize,
    // The slash that ends it, counted from 1; 0: none does.
    last_slash: usize,
    whole: bool,
    path_only: bool,
}

impl Hashed {
    fn of(self, uri: &str) -> &[u8] {
        let uri = if self.path_only { path(uri) } else { uri }.as_bytes();
        let mut slashes = 0;
        let is_end = |&byte: &u8| {
            slashes += usize::from(byte == b'/');
            byte == b'/' && slashes == self.last_slash || byte == b'?' && !self.whole
        };
        let uri = &uri[..uri.len().min(self.len)];
        let end = uri.iter().position(is_end).unwrap_or(uri.len());
        &uri[..end]
    }
}

/// A URI from its path on; empty where it has none.
fn path(uri: &str) -> &str {
    if uri.starts_with('/') {
        return uri;
    }
    match uri.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?']).map_or("", |begin| &rest[begin..]),
        None => "",
    }
}
