//! nginx's default: smooth weighted round robin, in which a server that fails loses weight, and is blocked for a while.

use crate::policy::balancer::nginx::options::server_options;
use crate::policy::balancer::nginx::peers::Peers;
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
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "Smooth weighted round robin; servers that fail lose weight and are blocked for a while";
    const SOURCE: &'static str = "nginx/nginx src/http/ngx_http_upstream_round_robin.c";
    const CHECKED: &'static str =
        "recordings of nginx 1.22.1; a recorded failover of nginx 1.22.1; vectors computed from nginx's source";
    const RULES: Rules = Rules::Any;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            peers: Peers::new(options.server()),
        }
    }

    fn on_added(&mut self, endpoint: EndpointIndex, _: Time) {
        self.peers.on_added(endpoint);
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
        self.peers.round_robin(&view)
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        self.peers.on_finished(endpoint, outcome, now);
    }
}
