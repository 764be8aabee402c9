//! nginx's `random two least_conn`: of two servers drawn by weight the one with fewer requests by weight.

use crate::policy::balancer::common::Kept;
use crate::policy::balancer::nginx::options::server_options;
use crate::policy::balancer::nginx::peers::{Peers, View};
use crate::policy::balancer::nginx::ranges::Ranges;
use crate::policy::balancer::nginx::walk::TRIES_MAX;
use crate::policy::balancer::{Balance, Hints};
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
    const ABOUT: &'static str = "Of two different servers drawn by weight the one with fewer requests by weight";
    const SOURCE: &'static str = "nginx/nginx src/http/modules/ngx_http_upstream_random_module.c";
    const CHECKED: &'static str = "shares of nginx 1.22.1; Recorded latencies of the real proxy";
    const RULES: Rules = Rules::Any;

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
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        let view = self.peers.view(endpoints, set, hints, now)?;
        if self.peers.is_single() {
            return self.peers.round_robin(&view);
        }
        let ranges = self.ranges.get(endpoints, set, || Ranges::new(endpoints, set));
        less_loaded_of_two(&mut self.peers, &view, || ranges.at(&view, rng.below(ranges.total())))
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        self.peers.on_finished(endpoint, outcome, now);
    }
}

/// Draws until two different servers may be picked, and takes the less loaded, of equal ones the second; after 20 draws in vain
/// round robin.
#[inline]
pub(super) fn less_loaded_of_two(
    peers: &mut Peers,
    view: &View<'_>,
    mut draw: impl FnMut() -> EndpointIndex,
) -> Option<EndpointIndex> {
    let mut first = None;
    let mut tries = 0;
    while tries <= TRIES_MAX {
        let drawn = draw();
        if first == Some(drawn) || !peers.is_eligible(view, drawn) {
            tries += 1;
            continue;
        }
        let Some(other) = first else {
            first = Some(drawn);
            continue;
        };
        let load = |endpoint, other| u64::from(view.conns(endpoint)) * u64::from(view.weight(other));
        let chosen = if load(drawn, other) > load(other, drawn) {
            other
        } else {
            drawn
        };
        peers.take(view, chosen);
        return Some(chosen);
    }
    peers.round_robin(view)
}
