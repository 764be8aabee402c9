//! nginx's least_conn: the fewest requests by weight; several go by smooth weighted round robin.

use std::cmp::Ordering;

use crate::policy::balancer::nginx::options::server_options;
use crate::policy::balancer::nginx::peers::{Peers, View};
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
    const ABOUT: &'static str = "The fewest requests by weight; several by smooth weighted round robin";
    const SOURCE: &'static str = "nginx/nginx src/http/modules/ngx_http_upstream_least_conn_module.c";
    const CHECKED: &'static str = "recordings of nginx 1.22.1; Recorded latencies of the real proxy";
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
        if self.peers.is_single() {
            return self.peers.round_robin(&view);
        }
        let (least, is_tied) = least(&self.peers, &view)?;
        let chosen = if is_tied {
            let is_least = |_: &Peers, endpoint| compare(&view, endpoint, least).is_eq();
            self.peers.round_robin_among(&view, view.set.iter(), is_least)?
        } else {
            least
        };
        self.peers.take(&view, chosen);
        Some(chosen)
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        self.peers.on_finished(endpoint, outcome, now);
    }
}

/// Which of two servers has fewer requests by weight.
fn compare(view: &View<'_>, a: EndpointIndex, b: EndpointIndex) -> Ordering {
    let load = |endpoint, other| u64::from(view.conns(endpoint)) * u64::from(view.weight(other));
    load(a, b).cmp(&load(b, a))
}

/// The first of the least loaded among those that may be picked, and whether it has its like.
fn least(peers: &Peers, view: &View<'_>) -> Option<(EndpointIndex, bool)> {
    let mut eligible = view.set.iter().filter(|&endpoint| peers.is_eligible(view, endpoint));
    let first = eligible.next()?;
    Some(
        eligible.fold((first, false), |(best, is_tied), other| match compare(view, other, best) {
            Ordering::Less => (other, false),
            Ordering::Equal => (best, true),
            Ordering::Greater => (best, is_tied),
        }),
    )
}
