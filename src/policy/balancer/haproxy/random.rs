//! HAProxy's random: the least loaded of a few servers drawn by weight on a ring.

use crate::policy::balancer::haproxy::hashing::{RingLookup, avoided};
use crate::policy::balancer::haproxy::options::backend_options;
use crate::policy::balancer::haproxy::ring::HashKey;
use crate::policy::balancer::haproxy::servers::{Servers, Weights};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

backend_options! {
    "What HAProxy lets a user write for `balance random` and for the servers.";
    /// How many servers are drawn, at least 1.
    #[schemars(extend("x-upstream" = "balance random(DRAWS)"))]
    draws: u32 = 2,
}

impl Options {
    /// Whether the options are what HAProxy admits.
    ///
    /// # Errors
    /// A sentence about the option that is not.
    pub fn check(&self) -> Result<(), String> {
        match self.draws {
            0 => Err("`draws` must be at least 1".to_string()),
            _ => Ok(()),
        }
    }
}

/// One process's servers.
#[derive(Clone, Debug)]
pub struct Balancer {
    servers: Servers,
    ring: RingLookup,
    draws: u32,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "The fewest requests by weight of a few random servers, drawn about by weight";
    const SOURCE: &'static str = "haproxy/haproxy src/backend.c, src/lb_chash.c";
    const CHECKED: &'static str = "shares of HAProxy 2.6.12; Recorded latencies of the real proxy";
    const DIFFERENCES: &'static str = "Where the drawn server is full a request is refused, where HAProxy lets it wait; of equally loaded servers the last drawn is taken, as in HAProxy 2.6: later versions take the one with fewer requests lately";
    const RULES: Rules = Rules::Any;

    fn new(options: &Options, set_count: usize) -> Balancer {
        Balancer {
            servers: Servers::new(options.backend(), Weights::Dynamic),
            ring: RingLookup::new(0, HashKey::Id, set_count),
            draws: options.draws,
        }
    }

    fn on_added(&mut self, server: EndpointIndex, _: Time) {
        self.servers.on_added(server);
        self.ring.on_added(server);
    }

    fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.ring.renew(sets, set_count);
    }

    fn share(&mut self, prototype: &Balancer) {
        self.ring.share(&prototype.ring);
    }

    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        if set.is_picked_from() {
            let is_first = !self.servers.knows(set.level());
            self.servers.update(endpoints, set, now);
            self.ring.update(endpoints, set, &mut self.servers, is_first);
        }
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        now: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        if !self.servers.knows(set.level()) {
            self.update(endpoints, set, now);
        }
        self.servers.catch_up(now);
        self.ring.follow(endpoints, set, &mut self.servers);
        if self.servers.precedes(set.level()) || self.servers.usable(set.level()) == 0 {
            return None;
        }
        let chosen = match self.servers.sole_backup(set) {
            Some(sole) => sole,
            None => self.draw(endpoints, set, avoided(hints), rng)?,
        };
        let active = endpoints.active[chosen.at()];
        self.servers.has_room(chosen, active, now).then_some(chosen)
    }
}

impl Balancer {
    fn draw(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        avoided: Option<EndpointIndex>,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        let mut best: Option<EndpointIndex> = None;
        for _ in 0..self.draws {
            let hash = rng.below(1 << 32) as u32;
            let drawn = self.ring.find(endpoints, set, &self.servers, hash, avoided)?;
            let servers = &self.servers;
            let load =
                |server: EndpointIndex, other| u64::from(endpoints.active[server.at()]) * u64::from(servers.eweight(other));
            best = Some(match best {
                Some(best) if load(drawn, best) > load(best, drawn) => best,
                _ => drawn,
            });
        }
        best
    }
}
