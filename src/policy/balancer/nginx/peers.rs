//! What nginx knows of each server, who may be picked, and smooth weighted round robin, to which all methods resort
//! (`src/http/ngx_http_upstream_round_robin.c`).

use crate::policy::balancer::Hints;
use crate::policy::balancer::nginx::options::ServerOptions;
use crate::policy::{CandidateSet, EndpointIndex, Endpoints, Health, Outcome};
use crate::time::Time;

/// What is known of one server.
#[derive(Clone, Copy, Debug)]
struct Peer {
    // How far it is ahead of its turn.
    current: i64,
    // In seconds of nginx's clock; before all time where it has never been.
    checked: i64,
    accessed: i64,
    fails: u32,
    // As of when it was last chosen.
    weight: u32,
    // By how much the effective weight is below the weight, after failures.
    deficit: u32,
}

/// Nothing is known yet, so the next request is a check.
const FRESH: Peer = Peer {
    current: 0,
    checked: i64::MIN / 2,
    accessed: i64::MIN / 2,
    fails: 0,
    weight: 0,
    deficit: 0,
};

/// What one caller knows of its servers.
#[derive(Clone, Debug)]
pub struct Peers {
    options: ServerOptions,
    peers: Vec<Peer>,
    // Servers that are not down, in all levels; `None`: to be counted.
    tries: Option<u32>,
    // Whether there is but one server, which nginx never blocks.
    single: bool,
}

/// What a pick is about.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The columns.
    pub endpoints: &'a Endpoints<'a>,
    /// The servers of this level, those down included.
    pub set: CandidateSet<'a>,
    /// Where earlier attempts of the request went.
    pub tried: &'a [EndpointIndex],
    /// Seconds of nginx's clock.
    pub seconds: i64,
}

impl View<'_> {
    /// The weight of a server.
    #[inline]
    pub fn weight(&self, endpoint: EndpointIndex) -> u32 {
        self.endpoints.weights[endpoint.at()]
    }

    /// Requests at a server.
    #[inline]
    pub fn conns(&self, endpoint: EndpointIndex) -> u32 {
        self.endpoints.active[endpoint.at()]
    }
}

/// nginx's clock, which counts whole seconds.
fn seconds(now: Time) -> i64 {
    (now.0 / 1_000_000_000) as i64
}

impl Peers {
    /// None is known.
    pub fn new(options: ServerOptions) -> Peers {
        Peers {
            options,
            peers: Vec::new(),
            tries: None,
            single: false,
        }
    }

    /// A server comes into the configuration.
    pub fn on_added(&mut self, endpoint: EndpointIndex) {
        if endpoint.at() >= self.peers.len() {
            self.peers.resize(endpoint.at() + 1, FRESH);
        }
        self.peers[endpoint.at()] = FRESH;
        self.on_changed();
    }

    /// Somebody came, went, or is down or up.
    pub fn on_changed(&mut self) {
        self.tries = None;
    }

    /// A pick among `set`. `None`: the request has come to the servers of a later level, from which nginx does not return.
    #[inline]
    pub fn view<'a>(
        &mut self,
        endpoints: &'a Endpoints<'a>,
        set: CandidateSet<'a>,
        hints: &Hints<'a>,
        now: Time,
    ) -> Option<View<'a>> {
        if self.tries.is_none() {
            self.count(set);
        }
        let tried = hints.call.tried;
        let is_behind = |endpoint: &EndpointIndex| endpoints.infos[endpoint.at()].priority as usize > set.level();
        if tried.iter().any(is_behind) {
            return None;
        }
        Some(View {
            endpoints,
            set,
            tried,
            seconds: seconds(now),
        })
    }

    #[cold]
    fn count(&mut self, set: CandidateSet<'_>) {
        self.single = set.listed().nth(1).is_none();
        self.tries = Some(set.listed().filter(|&endpoint| is_up(set, endpoint)).count() as u32);
    }

    /// Whether there is but one server.
    #[inline]
    pub fn is_single(&self) -> bool {
        self.single
    }

    /// Whether a server may get the request.
    #[inline]
    pub fn is_eligible(&self, view: &View<'_>, endpoint: EndpointIndex) -> bool {
        let peer = &self.peers[endpoint.at()];
        let ServerOptions {
            max_fails,
            fail_timeout,
            max_conns,
            ..
        } = self.options;
        is_up(view.set, endpoint)
            && (max_fails == 0 || peer.fails < max_fails || view.seconds - peer.checked > fail_timeout)
            && (max_conns == 0 || view.conns(endpoint) < max_conns)
            && !view.tried.contains(&endpoint)
    }

    /// Smooth weighted round robin among all that may be picked.
    #[inline]
    pub fn round_robin(&mut self, view: &View<'_>) -> Option<EndpointIndex> {
        if self.single {
            let only = view.set.get(0);
            let max_conns = self.options.max_conns;
            let is_free = max_conns == 0 || view.conns(only) < max_conns;
            return (is_up(view.set, only) && is_free).then_some(only);
        }
        let chosen = self.round_robin_among(view, view.set.iter(), |_, _| true)?;
        self.take(view, chosen);
        Some(chosen)
    }

    /// One step of smooth weighted round robin among those of `servers` that may be picked and are `wanted`: each moves ahead by
    /// its effective weight, and the foremost, the first of several, goes back by what all have moved.
    #[inline]
    pub fn round_robin_among(
        &mut self,
        view: &View<'_>,
        servers: impl Iterator<Item = EndpointIndex>,
        wanted: impl Fn(&Peers, EndpointIndex) -> bool,
    ) -> Option<EndpointIndex> {
        let mut best: Option<(i64, EndpointIndex)> = None;
        let mut total = 0;
        for endpoint in servers {
            if !wanted(self, endpoint) || !self.is_eligible(view, endpoint) {
                continue;
            }
            let peer = &mut self.peers[endpoint.at()];
            let effective = i64::from(view.weight(endpoint).saturating_sub(peer.deficit));
            peer.current += effective;
            total += effective;
            peer.deficit = peer.deficit.saturating_sub(1);
            if best.is_none_or(|(foremost, _)| peer.current > foremost) {
                best = Some((peer.current, endpoint));
            }
        }
        let (_, chosen) = best?;
        self.peers[chosen.at()].current -= total;
        Some(chosen)
    }

    /// Notes that a server was chosen: when its time is over, this request is the check.
    #[inline]
    pub fn take(&mut self, view: &View<'_>, endpoint: EndpointIndex) {
        let peer = &mut self.peers[endpoint.at()];
        peer.weight = view.weight(endpoint);
        if view.seconds - peer.checked > self.options.fail_timeout {
            peer.checked = view.seconds;
        }
    }

    /// When, in seconds of nginx's clock, a server failed last or was given a request to check it.
    pub fn checked(&self, endpoint: EndpointIndex) -> i64 {
        self.peers[endpoint.at()].checked
    }

    /// The shared options.
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// Whether a request that ends could go to another server.
    fn others_are_left(&self, outcome: &Outcome) -> bool {
        outcome.attempts < self.tries.unwrap_or(u32::MAX)
    }

    /// Whether nginx turns to another server after this end of an attempt.
    pub fn is_given_up(&self, outcome: &Outcome) -> bool {
        let next_upstream = self.options.proxy_next_upstream;
        let others_are_left = self.others_are_left(outcome);
        next_upstream.is_failure(outcome.answer, others_are_left) || next_upstream.passes_on(outcome.answer, others_are_left)
    }

    /// An attempt ended.
    #[inline]
    pub fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        if self.single {
            return;
        }
        let next_upstream = self.options.proxy_next_upstream;
        let others_are_left = self.others_are_left(outcome);
        let peer = &mut self.peers[endpoint.at()];
        if !next_upstream.is_failure(outcome.answer, others_are_left) {
            if peer.accessed < peer.checked {
                peer.fails = 0;
            }
            return;
        }
        peer.fails += 1;
        peer.accessed = seconds(now);
        peer.checked = peer.accessed;
        if let Some(loss) = peer.weight.checked_div(self.options.max_fails) {
            peer.deficit = (peer.deficit + loss).min(peer.weight);
        }
    }
}

/// Whether a server is not marked `down`.
#[inline]
pub fn is_up(set: CandidateSet<'_>, endpoint: EndpointIndex) -> bool {
    !matches!(set.health(endpoint), Health::Unhealthy | Health::Excluded)
}
