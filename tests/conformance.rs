//! What every registered balancer must do, whatever its algorithm: one script of life, played on each.
//!
//! Where balancers lawfully differ, [`character`] says how and why, one line each; what it does not mention is held to the rule.

use core::net::{IpAddr, Ipv4Addr};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use meshsim::policy::balancer::{Config, NAMES};
use meshsim::policy::candidates::Rules;
use meshsim::policy::{
    Answer, CallInfo, CallerInfo, Cluster, ClusterConfig, EndpointIndex, EndpointInfo, Health, LoadReport, Outcome, Refusal,
    Ticket, Upstream,
};
use meshsim::random::Rng;
use meshsim::replay::setup;
use meshsim::time::{Duration, Time};

/// In what a balancer differs from the others.
struct Character {
    name: &'static str,
    /// How far a caller's calls are spread.
    spread: Spread,
    /// How far from its share of 2,000 each of ten equal endpoints may be.
    uneven: usize,
    /// Whether another seed gives other picks.
    random: bool,
    /// Whether an endpoint's weight is its share of the calls, when calls come one at a time.
    weights: bool,
    /// What it knows of the load.
    signal: Signal,
}

/// How far a caller's calls are spread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spread {
    /// Over all endpoints.
    All,
    /// Over a part of them.
    Part,
    /// One endpoint gets all while it can.
    One,
}

/// What a balancer knows of the load.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Signal {
    /// The least loaded of all.
    Least,
    /// The less loaded of two or a few, or a schedule that knows the load.
    Some,
    /// Nothing.
    None,
}

const ALL: Character = Character {
    name: "",
    // 20,000 picks of 10: a uniformly random choice has mean 2000 and standard deviation 42.4, so 250 is nearly 6 of them.
    uneven: 250,
    spread: Spread::All,
    random: true,
    weights: false,
    signal: Signal::None,
};

/// Those that differ. A random choice by a hash is as uneven as its table: a ring of 1024 points by about sqrt(10/1024), 10 %, of which
/// four times are allowed; one of 160 points an endpoint by 8 %; one of 16 by 25 %.
#[rustfmt::skip]
const CHARACTERS: &[Character] = &[
    Character { name: "envoy/round_robin", weights: true, ..ALL },
    Character { name: "envoy/least_request", weights: true, signal: Signal::Some, ..ALL },
    Character { name: "envoy/client_side_weighted_round_robin", ..ALL },
    Character { name: "envoy/ring_hash", uneven: 800, weights: true, ..ALL },
    Character { name: "envoy/maglev", weights: true, ..ALL },
    Character { name: "grpc/pick_first", spread: Spread::One, random: false, ..ALL },
    Character { name: "grpc/ring_hash", uneven: 800, ..ALL },
    Character { name: "grpc/least_request", signal: Signal::Some, ..ALL },
    Character { name: "linkerd/peak_ewma", signal: Signal::Some, ..ALL },
    Character { name: "linkerd/penalty_peak_ewma", signal: Signal::Some, ..ALL },
    Character { name: "tower/peak_ewma", signal: Signal::Some, ..ALL },
    Character { name: "tower/pending_requests", signal: Signal::Some, ..ALL },
    Character { name: "finagle/p2c_least_loaded", signal: Signal::Some, ..ALL },
    Character { name: "finagle/p2c_peak_ewma", signal: Signal::Some, ..ALL },
    Character { name: "finagle/heap_least_loaded", signal: Signal::Least, ..ALL },
    Character { name: "finagle/aperture", spread: Spread::Part, ..ALL },
    // With ten endpoints its twelve logical ones are all of them.
    Character { name: "finagle/deterministic_aperture", signal: Signal::Some, ..ALL },
    // Each call has a connection of its own here.
    Character { name: "kube_proxy/ipvs_rr", random: false, ..ALL },
    Character { name: "kube_proxy/ipvs_wrr", random: false, weights: true, ..ALL },
    Character { name: "kube_proxy/ipvs_lc", random: false, signal: Signal::Least, ..ALL },
    Character { name: "kube_proxy/ipvs_wlc", random: false, weights: true, signal: Signal::Least, ..ALL },
    // Its 256 places do not divide by every sum of weights.
    Character { name: "kube_proxy/ipvs_sh", uneven: 450, random: false, weights: true, ..ALL },
    // Of equal ones the first is taken, and closed connections do not count.
    Character { name: "kube_proxy/ipvs_sed", spread: Spread::Part, random: false, ..ALL },
    Character { name: "kube_proxy/ipvs_nq", spread: Spread::Part, random: false, ..ALL },
    Character { name: "nginx/round_robin", random: false, weights: true, ..ALL },
    Character { name: "nginx/least_conn", random: false, weights: true, signal: Signal::Least, ..ALL },
    Character { name: "nginx/least_time", random: false, signal: Signal::Least, ..ALL },
    // Its hash of three bytes takes 6271 values.
    Character { name: "nginx/ip_hash", uneven: 400, weights: true, ..ALL },
    Character { name: "nginx/hash", weights: true, ..ALL },
    Character { name: "nginx/hash_consistent", uneven: 700, weights: true, ..ALL },
    Character { name: "nginx/random", weights: true, ..ALL },
    Character { name: "nginx/random_two_least_conn", signal: Signal::Some, ..ALL },
    Character { name: "haproxy/roundrobin", random: false, weights: true, ..ALL },
    Character { name: "haproxy/static_rr", random: false, weights: true, ..ALL },
    Character { name: "haproxy/leastconn", random: false, signal: Signal::Least, ..ALL },
    Character { name: "haproxy/first", spread: Spread::One, random: false, ..ALL },
    Character { name: "haproxy/random", uneven: 1600, signal: Signal::Some, ..ALL },
    Character { name: "haproxy/source", weights: true, ..ALL },
    Character { name: "haproxy/uri", weights: true, ..ALL },
    Character { name: "haproxy/hdr", weights: true, ..ALL },
    // Its hash spreads little of the last characters over its high bits, which scores are made of.
    Character { name: "traefik/hrw", uneven: 400, ..ALL },
    Character { name: "traefik/wrr", random: false, weights: true, ..ALL },
    Character { name: "traefik/p2c", signal: Signal::Some, ..ALL },
    Character { name: "traefik/least_time", random: false, signal: Signal::Least, ..ALL },
    Character { name: "research/jsq", signal: Signal::Least, ..ALL },
    Character { name: "research/jiq", signal: Signal::Some, ..ALL },
    Character { name: "research/least_response_time", signal: Signal::Least, ..ALL },
    Character { name: "research/c3", uneven: 1500, signal: Signal::Some, ..ALL },
    Character { name: "research/choice_of_two", signal: Signal::Some, ..ALL },
    // It takes turns until it has measured for 30 s.
    Character { name: "research/weighted_response_time", random: false, ..ALL },
    Character { name: "research/rendezvous", weights: true, ..ALL },
    Character { name: "research/bounded_load", uneven: 800, ..ALL },
];

/// Balancers that may not ask a new endpoint, or one that they know, for long; each with the reason.
const HESITANT: [(&str, &str); 2] = [
    (
        "research/c3",
        "what an endpoint said last counts until it is asked again, and it need not be",
    ),
    ("research/choice_of_two", "the traffic of a new endpoint grows over 90 s"),
];

fn character(name: &str) -> &'static Character {
    CHARACTERS.iter().find(|character| character.name == name).unwrap_or(&ALL)
}

/// All balancers that spread calls over all endpoints.
fn spreading() -> impl Iterator<Item = &'static str> {
    NAMES.iter().copied().filter(|name| character(name).spread == Spread::All)
}

fn balancer(name: &str) -> Config {
    setup::balancer(name, &[]).expect("it is registered")
}

/// Whether unhealthy endpoints are candidates when nobody is healthy, as Envoy's and Finagle's rules have it.
fn panics(name: &str) -> bool {
    matches!(balancer(name).rules(), Rules::Envoy | Rules::EnvoyHash) || name.starts_with("finagle/")
}

fn endpoint(i: u32) -> EndpointInfo {
    EndpointInfo {
        address: format!("10.0.0.{i}:8080"),
        weight: 1,
        ..EndpointInfo::default()
    }
}

fn endpoints(n: u32) -> Vec<EndpointInfo> {
    (0..n).map(endpoint).collect()
}

fn upstream(name: &str, endpoints: Vec<EndpointInfo>) -> Arc<Upstream> {
    Arc::new(Upstream::new(ClusterConfig::from(balancer(name)), endpoints))
}

/// One caller with a clock and keys that never repeat.
struct Caller {
    cluster: Cluster,
    now: Time,
    keys: Rng,
}

impl Caller {
    fn new(name: &str, endpoints: Vec<EndpointInfo>, seed: u64) -> Caller {
        Caller::of(&upstream(name, endpoints), seed)
    }

    fn of(upstream: &Arc<Upstream>, seed: u64) -> Caller {
        let mut caller = Caller {
            cluster: Cluster::new(Arc::clone(upstream), &CallerInfo::default(), Rng::new(seed), Time::ZERO),
            now: Time::ZERO,
            keys: Rng::new(seed + 1000),
        };
        caller.report_idle();
        caller
    }

    /// Endpoints that have never served report themselves idle when they come up.
    fn report_idle(&mut self) {
        for endpoint in self.cluster.upstream().endpoints().to_vec() {
            if self.cluster.active(endpoint) == 0 {
                self.cluster.on_idle(endpoint, self.now);
            }
        }
    }

    fn resolve(&mut self, endpoints: &[EndpointInfo]) {
        self.cluster.on_resolved(endpoints, self.now);
        self.report_idle();
    }

    fn set_health(&mut self, i: u32, health: Health) {
        self.cluster.on_health(EndpointIndex(i), health, self.now);
    }

    fn pick(&mut self) -> Result<Ticket, Refusal> {
        self.now += Duration::from_millis(1);
        let hash = self.keys.next_u64();
        let key = format!("{hash:x}");
        let call = CallInfo {
            hash: Some(hash),
            key: Some(&key),
            source: Some(IpAddr::V4(Ipv4Addr::from_bits(hash as u32))),
            ..CallInfo::default()
        };
        let picked = self.cluster.pick(&call, self.now);
        while let Some(endpoint) = self.cluster.next_probe() {
            let report = self.report(endpoint);
            self.cluster.on_probed(endpoint, &report, self.now);
        }
        picked
    }

    /// What an endpoint says of itself: this caller is all it serves.
    fn report(&self, endpoint: EndpointIndex) -> LoadReport {
        let in_flight = self.cluster.active(endpoint);
        LoadReport {
            rps_fractional: 100.0,
            cpu_utilization: 0.5,
            in_flight,
            service_time: Duration::from_millis(3),
            latency: Duration::from_millis(3 * u64::from(in_flight + 1)),
            ..LoadReport::default()
        }
    }

    fn done(&mut self, ticket: Ticket) {
        let outcome = Outcome {
            answer: Answer::Status(200),
            latency: Duration::from_millis(3),
            attempts: 1,
            load: Some(self.report(ticket.endpoint)),
            retry_after: None,
        };
        self.cluster.on_finished(ticket, &outcome, self.now);
        if self.cluster.active(ticket.endpoint) == 0 {
            self.cluster.on_idle(ticket.endpoint, self.now);
        }
    }

    /// Has one call in flight, at `endpoint` if it is ever picked.
    fn occupy(&mut self, endpoint: EndpointIndex) -> Option<Ticket> {
        for _ in 0..10_000 {
            let ticket = self.pick().expect("there is an endpoint");
            if ticket.endpoint == endpoint {
                return Some(ticket);
            }
            self.done(ticket);
        }
        None
    }

    /// Addresses of `n` calls, of which `parallel` are in flight at a time and the oldest ends first.
    fn addresses(&mut self, n: usize, parallel: usize) -> Vec<String> {
        let mut open = VecDeque::new();
        let mut addresses = Vec::with_capacity(n);
        for _ in 0..n {
            let ticket = self.pick().expect("there is an endpoint");
            addresses.push(self.cluster.upstream().info(ticket.endpoint).address.clone());
            open.push_back(ticket);
            if open.len() > parallel {
                self.done(open.pop_front().expect("it is not empty"));
            }
        }
        open.into_iter().for_each(|ticket| self.done(ticket));
        addresses
    }

    fn counts(&mut self, n: usize, parallel: usize, of: u32) -> Vec<usize> {
        let addresses = self.addresses(n, parallel);
        (0..of)
            .map(|i| addresses.iter().filter(|address| **address == endpoint(i).address).count())
            .collect()
    }
}

#[test]
fn characters_are_of_balancers_that_exist() {
    let names: BTreeSet<&str> = CHARACTERS.iter().map(|character| character.name).collect();
    assert_eq!(names.len(), CHARACTERS.len());
    for name in names {
        assert!(NAMES.contains(&name), "{name}");
    }
}

#[test]
fn an_empty_set_is_refused() {
    for name in NAMES {
        let mut caller = Caller::new(name, Vec::new(), 1);
        assert_eq!(caller.pick(), Err(Refusal::NoEndpoint), "{name}");
    }
}

#[test]
fn one_endpoint_gets_everything() {
    for name in NAMES {
        let counts = Caller::new(name, endpoints(1), 1).counts(100, 5, 1);
        assert_eq!(counts, [100], "{name}");
    }
}

#[test]
fn equal_endpoints_get_about_the_same() {
    for name in spreading() {
        // Calls of each are in flight, and whatever the weight is, if all have the same.
        for weight in [1, 7] {
            let equal = (0..10).map(|i| EndpointInfo { weight, ..endpoint(i) }).collect();
            let counts = Caller::new(name, equal, 7).counts(20_000, 5, 10);
            assert!(
                counts.iter().all(|count| count.abs_diff(2000) <= character(name).uneven),
                "{name}: {counts:?}"
            );
        }
    }
}

#[test]
fn weights_are_respected_where_that_is_promised() {
    for name in spreading().filter(|name| character(name).weights) {
        let weighted = (0..4).map(|i| EndpointInfo {
            weight: i + 1,
            ..endpoint(i)
        });
        let counts = Caller::new(name, weighted.collect(), 7).counts(20_000, 0, 4);
        for (i, count) in counts.iter().enumerate() {
            let share = *count as f64 / 20_000.0;
            let expected = (i + 1) as f64 / 10.0;
            // Rings as above: the lightest of four has some 100 points, so 10 % of its share is one deviation.
            let tolerance = if character(name).uneven > 250 { 0.4 * expected } else { 0.015 };
            assert!(
                (share - expected).abs() < tolerance,
                "{name}: endpoint {i} has {share} of the calls"
            );
        }
    }
}

#[test]
fn nobody_starves() {
    for name in spreading() {
        for n in [2, 3, 50] {
            let counts = Caller::new(name, endpoints(n), 3).counts(200 * n as usize, 1, n);
            assert!(counts.iter().all(|count| *count > 0), "{name} of {n}: {counts:?}");
        }
    }
}

#[test]
fn removed_endpoints_get_nothing_and_added_ones_their_share() {
    for name in NAMES {
        let hesitates = HESITANT.iter().any(|(hesitant, _)| hesitant == name);
        let spreads = character(name).spread == Spread::All && !hesitates;
        let mut caller = Caller::new(name, endpoints(6), 11);
        let in_flight = caller.occupy(EndpointIndex(0));
        assert!(in_flight.is_some() || !spreads, "{name}");
        caller.addresses(100, 3);
        let left: Vec<EndpointInfo> = (1..6).map(endpoint).collect();
        caller.resolve(&left);
        let counts = caller.counts(5000, 3, 6);
        assert_eq!(counts[0], 0, "{name}");
        assert!(!spreads || counts[1..].iter().all(|count| *count > 400), "{name}: {counts:?}");
        // The answer of an endpoint that is gone is still taken.
        in_flight.into_iter().for_each(|ticket| caller.done(ticket));
        caller.resolve(&endpoints(8));
        let counts = caller.counts(8000, 3, 8);
        assert!(!spreads || counts.iter().all(|count| *count > 400), "{name}: {counts:?}");
        caller.resolve(&[]);
        assert_eq!(caller.pick(), Err(Refusal::NoEndpoint), "{name}");
    }
}

#[test]
fn sticky_ones_stay_until_they_must_go() {
    for name in NAMES.iter().copied().filter(|name| character(name).spread == Spread::One) {
        let mut caller = Caller::new(name, endpoints(3), 5);
        assert_eq!(caller.counts(100, 3, 3), [100, 0, 0], "{name}");
        caller.set_health(0, Health::Unhealthy);
        assert_eq!(caller.counts(100, 3, 3), [0, 100, 0], "{name}");
        caller.resolve(&[endpoint(2)]);
        assert_eq!(caller.counts(100, 3, 3), [0, 0, 100], "{name}");
    }
}

#[test]
fn unhealthy_endpoints_get_nothing_while_most_are_healthy() {
    for name in NAMES {
        let mut caller = Caller::new(name, endpoints(10), 5);
        caller.addresses(100, 3);
        caller.set_health(3, Health::Unhealthy);
        let counts = caller.counts(5000, 3, 10);
        assert_eq!(counts[3], 0, "{name}: {counts:?}");
        caller.set_health(3, Health::Healthy);
        let counts = caller.counts(5000, 3, 10);
        assert!(character(name).spread != Spread::All || counts[3] > 200, "{name}: {counts:?}");
    }
}

#[test]
fn when_all_are_unhealthy_some_panic_and_others_wait() {
    for name in NAMES {
        let mut caller = Caller::new(name, endpoints(4), 5);
        (0..4).for_each(|i| caller.set_health(i, Health::Unhealthy));
        if !panics(name) {
            assert_eq!(caller.pick(), Err(Refusal::NoEndpoint), "{name}");
            continue;
        }
        let counts = caller.counts(4000, 3, 4);
        let spreads = character(name).spread == Spread::All;
        assert!(!spreads || counts.iter().all(|count| *count > 400), "{name}: {counts:?}");
    }
}

#[test]
fn priorities_share_as_balancing_says() {
    // 2 of 4 healthy at 140 %: 70 % stay, 30 % go to the next level. All others use the spare endpoints of a level only when nobody
    // before them is ready.
    for name in NAMES {
        let levels = (0..8).map(|i| EndpointInfo {
            priority: i / 4,
            ..endpoint(i)
        });
        let mut caller = Caller::new(name, levels.collect(), 9);
        assert_eq!(caller.counts(2000, 3, 8)[4..].iter().sum::<usize>(), 0, "{name}");
        (0..2).for_each(|i| caller.set_health(i, Health::Unhealthy));
        let counts = caller.counts(20_000, 3, 8);
        let spilled = counts[4..].iter().sum::<usize>() as f64 / 20_000.0;
        let expected = match balancer(name).rules() {
            Rules::Ready | Rules::Any => 0.0,
            Rules::Envoy | Rules::EnvoyHash => 0.3,
        };
        // Five standard deviations of a share of 20,000.
        assert!((spilled - expected).abs() < 0.017, "{name}: {spilled}");
        // Finagle's two choices take a dead node when they have drawn nobody else often enough.
        let allowed = if name.starts_with("finagle/") { 300 } else { 0 };
        assert!(counts[..2].iter().all(|count| *count <= allowed), "{name}: {counts:?}");
    }
}

#[test]
fn same_seed_same_picks_and_another_seed_others() {
    for name in NAMES {
        // More calls at a time than endpoints, so that there is not always an idle one.
        let picks = |seed| {
            let mut caller = Caller::new(name, endpoints(20), seed);
            // The same keys whatever the seed.
            caller.keys = Rng::new(1);
            caller.addresses(500, 30)
        };
        assert!(picks(1) == picks(1), "{name}");
        let uses_keys = ["hash", "hrw", "maglev", "source", "uri", "hdr", "rendezvous", "bounded_load"];
        let by_key = uses_keys.iter().any(|word| name.contains(word));
        assert!(by_key || !character(name).random || picks(1) != picks(2), "{name}");
    }
}

#[test]
fn callers_share_an_upstream_and_nothing_else() {
    // What one caller does or believes is not seen by another of the same upstream.
    for name in NAMES {
        let upstream = upstream(name, endpoints(5));
        let caller = || Caller::of(&upstream, 4);
        let alone = caller().addresses(300, 3);
        let (mut one, mut other) = (caller(), caller());
        one.addresses(77, 2);
        one.set_health(0, Health::Unhealthy);
        one.addresses(77, 2);
        assert!(other.addresses(300, 3) == alone, "{name}");
    }
}

/// The rate of finding a shorter queue, by hand: 2 endpoints, one busy.
#[test]
fn two_choices_miss_as_often_as_theory_says() {
    // With one request in flight at a time on endpoint 0: who draws with replacement takes it when both draws hit it, 1/4; two
    // distinct choices and a full scan never do; a random pick does half of the time. 10,000 trials: five deviations are 2.5 %.
    for (name, expected) in [
        ("envoy/least_request", 0.25),
        ("grpc/least_request", 0.25),
        ("envoy/random", 0.5),
        ("nginx/random", 0.5),
        ("linkerd/peak_ewma", 0.0),
        ("finagle/p2c_least_loaded", 0.0),
        ("nginx/random_two_least_conn", 0.0),
        ("traefik/p2c", 0.0),
        ("nginx/least_conn", 0.0),
        ("haproxy/leastconn", 0.0),
        ("research/jsq", 0.0),
    ] {
        let mut caller = Caller::new(name, endpoints(2), 21);
        let busy = caller.occupy(EndpointIndex(0)).expect("it is picked now and then");
        let missed = caller.counts(10_000, 0, 2)[0] as f64 / 10_000.0;
        assert!((missed - expected).abs() <= 0.025, "{name}: {missed}");
        caller.done(busy);
    }
}

#[test]
fn queues_are_ordered_as_theory_orders_what_is_known_of_them() {
    // n servers of rate 1, arrivals at rate 0.9 n, both exponential: a uniformised chain, in which each step is an arrival with
    // probability 0.9 / 1.9 and else a chance to serve for one server. Joining the shortest queue is best (Winston 1977), a uniformly
    // random choice gives each server the queue of M/M/1, rho / (1 - rho) = 9; whoever knows anything of the load is in between.
    for n in [2, 4, 100] {
        let mean = |name| mean_queue(name, n, 300_000);
        let (jsq, random) = (mean("research/jsq"), mean("envoy/random"));
        assert!(n < 100 || (random - 9.0).abs() < 2.0, "{n} servers: {random}");
        for name in spreading() {
            let found = mean(name);
            let (low, high) = match character(name).signal {
                Signal::Least => (0.95 * jsq, 1.15 * jsq),
                Signal::Some => (0.95 * jsq, 0.9 * random),
                // Taking turns is better than chance, and a hash may be less even than it.
                Signal::None => (jsq, f64::INFINITY),
            };
            assert!(
                (low..=high).contains(&found),
                "{name} of {n} servers: {found}, not from {low} to {high}"
            );
        }
    }
}

fn mean_queue(name: &str, n: u32, steps: u32) -> f64 {
    let mut caller = Caller::new(name, endpoints(n), 31);
    let mut rng = Rng::new(32);
    let (mut area, mut total) = (0.0, 0_u32);
    for _ in 0..steps {
        if rng.unit() < 0.9 / 1.9 {
            total += u32::from(caller.pick().is_ok());
        } else {
            let endpoint = EndpointIndex(rng.below(u64::from(n)) as u32);
            if caller.cluster.active(endpoint) > 0 {
                caller.done(Ticket::from(endpoint));
                total -= 1;
            }
        }
        area += f64::from(total);
    }
    area / f64::from(steps) / f64::from(n)
}
