//! gRPC's pick_first: the first endpoint that can be connected to gets every call, until its connection is lost.
//!
//! gRPC's default, and a leaf of its other balancers. Of the connections it sees what calls tell: one that could not be made moves
//! it on to the next address, one that broke sends it back to the first.

use core::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math;
use crate::policy::balancer::common::{Change, PerSet, Subchannels};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{Answer, EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::Time;

/// What a service config says of `pick_first`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Whether each caller tries the endpoints in a random order of its own, heavier ones sooner, rather than in that of the list.
    #[serde(alias = "shuffleAddressList")]
    #[schemars(extend("x-upstream" = "pick_first.shuffleAddressList"))]
    pub shuffle_address_list: bool,
}

impl Options {
    /// Nothing can be wrong.
    ///
    /// # Errors
    /// None.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// One caller's connection.
#[derive(Clone, Debug)]
pub struct Balancer {
    shuffle: bool,
    subchannels: Subchannels,
    passes: PerSet<Pass>,
}

/// Whom a set's calls go to.
#[derive(Clone, Debug, Default)]
struct Pass {
    is_known: bool,
    // In which order connections are tried.
    order: Vec<EndpointIndex>,
    // Whose connection is there, or is being made.
    chosen: Option<EndpointIndex>,
    // Room for the keys of a shuffle and for interleaving.
    keyed: Vec<(f64, EndpointIndex)>,
}

impl Pass {
    /// Takes over a new list. A connection to one of its endpoints is kept.
    fn relist(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, shuffle: bool, rng: &mut Rng) {
        self.is_known = true;
        self.keyed.clear();
        for (place, endpoint) in set.iter().enumerate() {
            // Exponential keys with the weights as rates come in an order in which each next one is drawn by weight (gRFC A113).
            let key = if shuffle {
                -math::ln(rng.unit()) / f64::from(endpoints.weights[endpoint.at()])
            } else {
                place as f64
            };
            self.keyed.push((key, endpoint));
        }
        self.keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.order.clear();
        interleave(&self.keyed, endpoints, &mut self.order);
        self.chosen = self.chosen.filter(|chosen| self.order.contains(chosen));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    Unknown,
}

fn family(address: &str) -> Family {
    match address.parse::<SocketAddr>() {
        Ok(address) if address.ip().to_canonical().is_ipv4() => Family::V4,
        Ok(_) => Family::V6,
        Err(_) => Family::Unknown,
    }
}

/// Takes from the families of addresses in turn, in the order in which they first occur (gRFC A61, RFC 8305 section 4).
fn interleave(keyed: &[(f64, EndpointIndex)], endpoints: &Endpoints<'_>, order: &mut Vec<EndpointIndex>) {
    let family_of = |endpoint: EndpointIndex| family(&endpoints.infos[endpoint.at()].address);
    let mut families: [Option<Family>; 3] = [None; 3];
    for &(_, endpoint) in keyed {
        let family = Some(family_of(endpoint));
        if !families.contains(&family) {
            let free = families.iter_mut().find(|seen| seen.is_none());
            *free.expect("there are three families") = family;
        }
    }
    let mut turns = families.map(|turn| keyed.iter().filter(move |(_, endpoint)| turn == Some(family_of(*endpoint))));
    while order.len() < keyed.len() {
        for turn in &mut turns {
            order.extend(turn.next().map(|&(_, endpoint)| endpoint));
        }
    }
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "All calls to the first endpoint that can be connected to, until the connection is lost";
    const SOURCE: &'static str = "grpc/grpc-go balancer/pickfirst/pickfirst.go; grpc/proposal A61, A62, A113";
    const CHECKED: &'static str = "sequences that its source gives; the shares of its shuffle";
    const DIFFERENCES: &'static str = "A call whose connection cannot be made fails, where a real one waits for the next address; no second address is tried while the first one is slow";
    const RULES: Rules = Rules::Ready;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            shuffle: options.shuffle_address_list,
            subchannels: Subchannels::new(),
            passes: PerSet::default(),
        }
    }

    fn start(&mut self, rng: &mut Rng) {
        self.subchannels.start(rng);
    }

    fn on_added(&mut self, endpoint: EndpointIndex, _: Time) {
        self.subchannels.on_added(endpoint);
        // What was chosen under this index was another endpoint.
        for pass in self.passes.iter_mut() {
            pass.chosen = pass.chosen.filter(|&chosen| chosen != endpoint);
        }
    }

    fn update(&mut self, _: &Endpoints<'_>, set: CandidateSet<'_>, _: Time) {
        self.passes.of(set.number()).is_known = false;
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        now: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        self.subchannels.poll(now);
        let pass = self.passes.of(set.number());
        if !pass.is_known {
            pass.relist(endpoints, set, self.shuffle, rng);
        }
        if pass.chosen.is_none() {
            let subchannels = &self.subchannels;
            pass.chosen = pass.order.iter().copied().find(|&endpoint| !subchannels.has_failed(endpoint));
        }
        pass.chosen
    }

    #[inline]
    fn on_started(&mut self, endpoint: EndpointIndex, _: Time) {
        self.subchannels.on_started(endpoint);
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        if self.subchannels.on_finished(endpoint, outcome.answer, now) == Change::Lost {
            for pass in self.passes.iter_mut() {
                pass.chosen = pass.chosen.filter(|&chosen| chosen != endpoint);
            }
        }
        if matches!(outcome.answer, Answer::Status(_)) {
            // With a connection the others are shut down, and their back-offs with them.
            self.subchannels.forget_failures();
        }
    }
}
