//! HAProxy's `balance hdr(NAME)`: the value of a header sticks to a server.

use crate::policy::balancer::haproxy::hash_type::Hasher;
use crate::policy::balancer::haproxy::hashing::{DIFFERENCES, Hashing};
use crate::policy::balancer::haproxy::options::{backend_options, hash_options};
use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

hash_options! {
    "What HAProxy lets a user write for `balance hdr`, `hash-type` and the servers.";
    /// Whether only the domain's name is hashed of a host's: `example` of `www.example.com`.
    #[schemars(extend("x-upstream" = "balance hdr(NAME) use_domain_only"))]
    use_domain_only: bool = false,
}

/// One process's servers.
#[derive(Clone, Debug)]
pub struct Balancer {
    hashing: Hashing,
    hasher: Hasher,
    use_domain_only: bool,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "The value of a header sticks to a server; without one it is round robin";
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
            use_domain_only: options.use_domain_only,
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
        let (hasher, use_domain_only) = (self.hasher, self.use_domain_only);
        self.hashing.pick(endpoints, set, hints, now, || {
            let value = first_value(hints.call.key?.as_bytes());
            let hashed = if use_domain_only { domain(value) } else { value };
            (!value.is_empty()).then(|| hasher.text(hashed))
        })
    }
}

/// The first of the values that commas separate outside of quotes, without blanks around it.
fn first_value(header: &[u8]) -> &[u8] {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let is_end = |&byte: &u8| {
        let was_escaped = std::mem::replace(&mut is_escaped, false);
        match byte {
            _ if was_escaped => {}
            b'\\' => is_escaped = is_quoted,
            b'"' => is_quoted = !is_quoted,
            b',' => return !is_quoted,
            _ => {}
        }
        false
    };
    let end = header.iter().position(is_end).unwrap_or(header.len());
    header[..end].trim_ascii()
}

/// What stands before the last dot, from the dot before that on. HAProxy does not look for the last dot at the beginning, nor for
/// the one before it right before it.
fn domain(host: &[u8]) -> &[u8] {
    let is_dot = |byte: &u8| *byte == b'.';
    match host.get(1..).and_then(|rest| rest.iter().rposition(is_dot)) {
        Some(before) => {
            let dot = host[..before].iter().rposition(is_dot);
            &host[dot.map_or(0, |dot| dot + 1)..before + 1]
        }
        None => host,
    }
}
