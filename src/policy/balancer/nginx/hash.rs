//! nginx's hash: a key sticks to a server as long as the servers stay the same.

use crate::policy::balancer::common::Crc32;
use crate::policy::balancer::common::Kept;
use crate::policy::balancer::nginx::hash_consistent::Ring;
use crate::policy::balancer::nginx::options::server_options;
use crate::policy::balancer::nginx::peers::{Peers, View};
use crate::policy::balancer::nginx::ranges::Ranges;
use crate::policy::balancer::nginx::walk::walk;
use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::Time;

server_options! {
    "What nginx lets a user write for `hash` and for each `server`.";
    /// Whether keys find servers on a ketama ring, as they do in `nginx/hash_consistent`.
    #[schemars(extend("x-upstream" = "hash KEY consistent"))]
    consistent: bool = false,
}

/// One worker's servers.
#[derive(Clone, Debug)]
pub struct Balancer {
    peers: Peers,
    ranges: Kept<Ranges>,
    ring: Option<Ring>,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "A key sticks to a server while the servers stay the same; without a key it is round robin";
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
            ranges: Kept::new(set_count),
            ring: options.consistent.then(|| Ring::new(false, set_count)),
        }
    }

    fn on_added(&mut self, endpoint: EndpointIndex, _: Time) {
        self.peers.on_added(endpoint);
    }

    fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.ranges.renew(sets, set_count);
        if let Some(ring) = &mut self.ring {
            ring.renew(sets, set_count);
        }
    }

    fn share(&mut self, prototype: &Balancer) {
        self.ranges.share(&prototype.ranges);
        if let (Some(ring), Some(prototype)) = (&mut self.ring, &prototype.ring) {
            ring.share(prototype);
        }
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
        match &mut self.ring {
            Some(ring) => ring.pick(&mut self.peers, &view, hints.call.key),
            None => self.pick_plainly(&view, hints.call.key),
        }
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        self.peers.on_finished(endpoint, outcome, now);
    }
}

impl Balancer {
    fn pick_plainly(&mut self, view: &View<'_>, key: Option<&str>) -> Option<EndpointIndex> {
        let key = key.filter(|key| !key.is_empty() && !self.peers.is_single());
        let Some(key) = key else {
            return self.peers.round_robin(view);
        };
        let ranges = self
            .ranges
            .get(view.endpoints, view.set, || Ranges::new(view.endpoints, view.set));
        let (mut hash, mut rehash) = (0_u32, 0);
        walk(&mut self.peers, view, || {
            hash += part(key.as_bytes(), rehash);
            rehash += 1;
            ranges.at(view, u64::from(hash) % ranges.total())
        })
    }
}

/// What candidate number `rehash` adds to the hash of a key, as Perl's Cache::Memcached does it: the number, unless it is 0, is
/// hashed before the key.
fn part(key: &[u8], rehash: u32) -> u32 {
    let mut digits = [0; 10];
    let mut begin = digits.len();
    let mut rest = rehash;
    while rest > 0 {
        begin -= 1;
        digits[begin] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    (Crc32::START.and(&digits[begin..]).and(key).finish() >> 16) & 0x7FFF
}
