//! nginx's random: a server drawn by weight, or the less loaded of two.

use crate::policy::balancer::common::Kept;
use crate::policy::balancer::nginx::options::server_options;
use crate::policy::balancer::nginx::peers::Peers;
use crate::policy::balancer::nginx::random_two_least_conn::less_loaded_of_two;
use crate::policy::balancer::nginx::ranges::Ranges;
use crate::policy::balancer::nginx::walk::TRIES_MAX;
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::Time;

server_options! {
    "What nginx lets a user write for `random` and for each `server`.";
    /// Whether two servers are drawn and the one with fewer requests by weight is picked, as in `nginx/random_two_least_conn`.
    #[schemars(extend("x-upstream" = "random two [least_conn]"))]
    two: bool = false,
}

/// One worker's servers.
#[derive(Clone, Debug)]
pub struct Balancer {
    peers: Peers,
    ranges: Kept<Ranges>,
    two: bool,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "Random by weight, or the less loaded of two such draws";
    const SOURCE: &'static str = "nginx/nginx src/http/modules/ngx_http_upstream_random_module.c";
    const CHECKED: &'static str = "shares of nginx 1.22.1";
    const RULES: Rules = Rules::Any;

    fn new(options: &Options, set_count: usize) -> Balancer {
        Balancer {
            peers: Peers::new(options.server()),
            ranges: Kept::new(set_count),
            two: options.two,
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
        let mut draw = || ranges.at(&view, rng.below(ranges.total()));
        if self.two {
            return less_loaded_of_two(&mut self.peers, &view, draw);
        }
        for _ in 0..=TRIES_MAX {
            let drawn = draw();
            if self.peers.is_eligible(&view, drawn) {
                self.peers.take(&view, drawn);
                return Some(drawn);
            }
        }
        self.peers.round_robin(&view)
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        self.peers.on_finished(endpoint, outcome, now);
    }
}
