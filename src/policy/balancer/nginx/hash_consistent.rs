//! nginx's `hash … consistent`: keys stick to servers on a ketama ring, and few move when servers come or go.

use crate::policy::balancer::common::Kept;
use crate::policy::balancer::nginx::options::server_options;
use crate::policy::balancer::nginx::peers::{Peers, View};
use crate::policy::balancer::nginx::points::Points;
use crate::policy::balancer::nginx::walk::TRIES_MAX;
use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::Time;

server_options! {
    "What nginx lets a user write for each `server`, and what stands for its name.";
    /// Whether endpoints are hashed by their host names rather than by their addresses, as nginx does where host names are written in
    /// its configuration. Endpoints with the same name are then one server, and take turns.
    #[schemars(extend("x-upstream" = "server NAME"))]
    use_hostname_for_hashing: bool = false,
}

/// One worker's servers.
#[derive(Clone, Debug)]
pub struct Balancer {
    peers: Peers,
    ring: Ring,
}

/// The points, and how to look for a server on them.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    points: Kept<Points>,
    use_hostname: bool,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "A key sticks to a server on a ketama ring; without a key it is round robin";
    const SOURCE: &'static str = "nginx/nginx src/http/modules/ngx_http_upstream_hash_module.c";
    const CHECKED: &'static str = "recordings of nginx 1.22.1; vectors computed from nginx's source";
    const RULES: Rules = Rules::Any;
    const WANTS: Wants = Wants {
        key: true,
        ..Wants::NOTHING
    };

    fn new(options: &Options, set_count: usize) -> Balancer {
        Balancer {
            peers: Peers::new(options.server()),
            ring: Ring::new(options.use_hostname_for_hashing, set_count),
        }
    }

    fn on_added(&mut self, endpoint: EndpointIndex, _: Time) {
        self.peers.on_added(endpoint);
    }

    fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.ring.renew(sets, set_count);
    }

    fn share(&mut self, prototype: &Balancer) {
        self.ring.share(&prototype.ring);
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
        self.ring.pick(&mut self.peers, &view, hints.call.key)
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        self.peers.on_finished(endpoint, outcome, now);
    }
}

impl Ring {
    /// No points yet.
    pub fn new(use_hostname: bool, set_count: usize) -> Ring {
        Ring {
            points: Kept::new(set_count),
            use_hostname,
        }
    }

    /// As [`Balance::renew`].
    pub fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.points.renew(sets, set_count);
    }

    /// As [`Balance::share`].
    pub fn share(&mut self, prototype: &Ring) {
        self.points.share(&prototype.points);
    }

    /// Where the key sends a request: to the server that owns its point, or one of the next 20.
    pub fn pick(&mut self, peers: &mut Peers, view: &View<'_>, key: Option<&str>) -> Option<EndpointIndex> {
        let key = key.filter(|key| !key.is_empty() && !peers.is_single());
        let Some(key) = key else {
            return peers.round_robin(view);
        };
        let use_hostname = self.use_hostname;
        let build = || Points::new(view.endpoints, view.set, use_hostname);
        let points = self.points.get(view.endpoints, view.set, build);
        let first = points.find(key.as_bytes());
        // An earlier attempt found no server on the points that it passed, but the one it went to, which this one may pass again.
        for point in first..=first + TRIES_MAX as usize {
            let members = points.members(point).map(|place| view.set.get(place));
            if let Some(chosen) = peers.round_robin_among(view, members, |_, _| true) {
                peers.take(view, chosen);
                return Some(chosen);
            }
        }
        peers.round_robin(view)
    }
}
