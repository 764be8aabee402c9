//! HAProxy's first: everything to the first server until it is full, then to the next.

use crate::policy::balancer::common::Kept;
use crate::policy::balancer::haproxy::hashing::avoided;
use crate::policy::balancer::haproxy::options::backend_options;
use crate::policy::balancer::haproxy::servers::{Servers, Weights};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

backend_options! {
    "What HAProxy lets a user write for `balance first` and for the servers.";
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
    // By level: all servers in the order of their numbers.
    orders: Kept<Box<[EndpointIndex]>>,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "The first server that is not full; wants `maxconn`";
    const SOURCE: &'static str = "haproxy/haproxy src/lb_fas.c";
    const CHECKED: &'static str = "recordings of HAProxy 2.6.12";
    const DIFFERENCES: &'static str =
        "Where all servers are full a request is refused, where HAProxy lets it wait; weights above 256 count as 256";
    const RULES: Rules = Rules::Any;

    fn new(options: &Options, set_count: usize) -> Balancer {
        Balancer {
            servers: Servers::new(options.backend(), Weights::Dynamic),
            orders: Kept::new(set_count),
        }
    }

    fn on_added(&mut self, server: EndpointIndex, _: Time) {
        self.servers.on_added(server);
    }

    fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.orders.renew(sets, set_count);
    }

    fn share(&mut self, prototype: &Balancer) {
        self.orders.share(&prototype.orders);
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
        if self.servers.precedes(set.level()) {
            return None;
        }
        let servers = &self.servers;
        let has_room = |server: EndpointIndex| servers.has_room(server, endpoints.active[server.at()], now);
        if let Some(sole) = servers.sole_backup(set) {
            return has_room(sole).then_some(sole);
        }
        let order = self.orders.get(endpoints, set, || {
            let mut order: Vec<EndpointIndex> = set.iter().collect();
            order.sort();
            order.into()
        });
        let avoided = avoided(hints);
        let mut free = order
            .iter()
            .copied()
            .filter(|&server| servers.eweight(server) > 0 && has_room(server));
        let first = free.next()?;
        if Some(first) == avoided {
            return Some(free.next().unwrap_or(first));
        }
        Some(first)
    }
}
