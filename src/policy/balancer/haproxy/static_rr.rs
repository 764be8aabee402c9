//! HAProxy's static-rr: a table by weight, place after place.

use crate::policy::balancer::haproxy::hashing::{MapLookup, avoided};
use crate::policy::balancer::haproxy::options::backend_options;
use crate::policy::balancer::haproxy::servers::{Servers, Weights};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

backend_options! {
    "What HAProxy lets a user write for `balance static-rr` and for the servers.";
}

impl Options {
    /// Whether the options are what HAProxy admits.
    ///
    /// # Errors
    /// None.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// One process's servers.
#[derive(Clone, Debug)]
pub struct Balancer {
    servers: Servers,
    map: MapLookup,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "By weight in a fixed order; weights do not change while it runs";
    const SOURCE: &'static str = "haproxy/haproxy src/lb_map.c";
    const CHECKED: &'static str = "recordings of HAProxy 2.6.12; vectors computed from HAProxy's source";
    const DIFFERENCES: &'static str =
        "Where all servers are full a request is refused, where HAProxy lets it wait; weights above 256 count as 256";
    const RULES: Rules = Rules::Any;

    fn new(options: &Options, set_count: usize) -> Balancer {
        Balancer {
            servers: Servers::new(options.backend(), Weights::Static),
            map: MapLookup::new(set_count),
        }
    }

    fn on_added(&mut self, server: EndpointIndex, _: Time) {
        self.servers.on_added(server);
    }

    fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.map.renew(sets, set_count);
    }

    fn share(&mut self, prototype: &Balancer) {
        self.map.share(&prototype.map);
    }

    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        if set.is_picked_from() {
            self.servers.update(endpoints, set, now);
        }
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
        if !self.servers.knows(set.level()) {
            self.servers.update(endpoints, set, now);
        }
        self.servers.catch_up(now);
        if self.servers.precedes(set.level()) || self.servers.usable(set.level()) == 0 {
            return None;
        }
        self.map.next(endpoints, set, &self.servers, avoided(hints), now)
    }
}
