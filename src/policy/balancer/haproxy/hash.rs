//! HAProxy's `balance hash` and `balance url_param`: a key sticks to a server.

use crate::policy::balancer::haproxy::hash_type::Hasher;
use crate::policy::balancer::haproxy::hashing::{DIFFERENCES, Hashing};
use crate::policy::balancer::haproxy::options::{backend_options, hash_options};
use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

hash_options! {
    "What HAProxy lets a user write for `balance hash`, `hash-type` and the servers.";
}

/// One process's servers.
#[derive(Clone, Debug)]
pub struct Balancer {
    hashing: Hashing,
    hasher: Hasher,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "A key sticks to a server; without a key it is round robin";
    const SOURCE: &'static str = "haproxy/haproxy src/backend.c, src/lb_map.c, src/lb_chash.c";
    const CHECKED: &'static str = "recordings of HAProxy 2.6.12; vectors computed from HAProxy's source";
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
        let hasher = self.hasher;
        self.hashing.pick(endpoints, set, hints, now, || {
            hints.call.key.map(|key| hasher.text(key.as_bytes()))
        })
    }
}
