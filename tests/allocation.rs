//! A run allocates nothing once warm: tables have grown to their high-water mark, and nothing grows with the number of requests. And
//! callers that believe the same of an upstream have it once. Only who changes its mind about an endpoint may allocate. And a merge of
//! shards holds one point at a time.
//!
//! Two runs that differ only in length make the same number of allocations, but for a table or two that a rare crowd makes
//! double once more. Each begins with a burst, so that the high-water mark comes early; both have as many buckets of time.

use core::net::{IpAddr, Ipv4Addr};
use std::collections::VecDeque;
use std::sync::Arc;

use meshsim::experiment::{Cell, Experiment};
use meshsim::model::{Elision, RunOptions, run};
use meshsim::policy::balancer::{Config, NAMES};
use meshsim::policy::{
    Answer, CallInfo, CallerInfo, Cluster, ClusterConfig, EndpointIndex, EndpointInfo, Health, LoadReport, Outcome, Ticket,
    Upstream,
};
use meshsim::random::Rng;
use meshsim::replay::setup;
use meshsim::report::Extent;
use meshsim::scenario::{self, Grid, Overrides, Source};
use meshsim::sweep::{self, Cut, Input, Sweep};
use meshsim::time::{Duration, Time};

/// Everything that a request may meet: a network, nested and parallel calls, a queue that overflows, timeouts, retries, a fault.
const SCENARIO: &str = "
apiVersion: meshsim/v1
duration: 60s
topology:
  zones: [a, b]
  network:
    same_zone: {lognormal: {p50: 250us, p99: 1ms}}
    cross_zone: {lognormal: {p50: 800us, p99: 3ms}}
  services:
    front:
      replicas: 4
      concurrency: 8
      queue: {limit: 16}
      operations:
        page:
          - work: {exponential: {mean: 1ms}}
          - parallel: [{call: back/get, repeat: 3}, {work: 2ms}]
          - {call: back/get, probability: 50%, on_error: ignore}
    back:
      replicas: 6
      concurrency: 4
      queue: {limit: 8}
      operations:
        get: [{work: {gamma: {mean: 2ms, cv: 1.5}}}, {fail: 1%}]
clients:
  web:
    call: front/page
    arrivals: {steps: [{at: 0, rate: 6000/s}, {at: 2s, rate: 300/s}]}
    key: {zipf: {keys: 1000, s: 1}}
    callers: 2
mesh:
  balancer: BALANCER
  timeout: 100ms
  retry: {num_retries: 2, retry_on: [5xx, reset, connect-failure], per_try_timeout: 20ms}
faults:
  - {at: 500ms, for: 1s, crash: {service: back, share: 50%, mode: hang}}
  - {at: 3s, for: 5s, slow: {zone: a, factor: 2}}
";

/// Allocations of a view of ten endpoints at most.
const OF_A_VIEW: u64 = 30;

/// What callers and proxies do besides balancing, as much of it as goes together.
const MESHES: [(&str, &str); 3] = [
    (
        "limits, budgets and detection",
        "
  discovery: {dns: {ttl: 5s}}
  outlier_detection: {consecutive_5xx: 5, interval: 1s, base_ejection_time: 2s, max_ejection_percent: 50}
  health_check: {interval: 1s, timeout: 200ms, interval_jitter: 100ms, work: 100us}
  circuit_breaker: {max_connections: 40, max_pending_requests: 20, max_requests: 60, retry_budget: {budget_percent: 20%, min_retry_concurrency: 3}}
  connection_pool: {protocol: http1, idle_timeout: 5s}
  admission_control: {sampling_window: 5s}",
    ),
    (
        "hedging and accrual",
        "
  retry: null
  discovery: {dns: {client: grpc, min_resolution_interval: 5s}}
  failure_accrual: finagle/hybrid
  health_check: {haproxy/check: {inter: 1s, timeout: 200ms}}
  hedging: {max_attempts: 2, hedging_delay: 5ms}",
    ),
    (
        "the breaker of a library",
        "
  discovery: {poll: {interval: 5s}}
  failure_accrual: linkerd/consecutive
  health_check: {interval: 1s, timeout: 200ms, tcp_health_check: {}}
  hedge_policy: {hedge_on_per_try_timeout: true}
  circuit_breaker: {library/circuit_breaker: {resilience4j: {sliding_window_size: 100, wait_duration_in_open_state: 1s}}}
  local_rate_limit: {token_bucket: {max_tokens: 1000, tokens_per_fill: 1000, fill_interval: 1s}}",
    ),
];

/// Allocations of one run of `seconds`.
fn allocations(balancer: &str, seconds: u64, elision: Elision) -> u64 {
    allocations_of(&SCENARIO.replace("BALANCER", balancer), balancer, seconds, elision).0
}

/// Allocations of one run of `seconds`, and how often a caller has taken an endpoint out of its candidates.
fn allocations_of(text: &str, balancer: &str, seconds: u64, elision: Elision) -> (u64, u64) {
    let source = Source::from_text("allocation.yaml", text.to_string());
    let overrides = Overrides {
        duration: Some(Duration::from_secs(seconds)),
        ..Overrides::default()
    };
    let (scenario, diagnostics) = scenario::load(&source, &overrides);
    let scenario = scenario.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    let options = RunOptions {
        seed: 1,
        replication: 0,
        warmup: Duration::ZERO,
        elision,
        pilot: false,
    };
    let (mut requests, mut ejections) = (0, 0);
    let counted = allocation_counter::measure(|| {
        let result = run(&scenario.variants[0].plan, options);
        requests = result.clients[0].requests;
        ejections = result.services.iter().map(|service| service.ejections).sum();
    });
    assert!(requests > seconds * 280, "{balancer}: {requests} requests in {seconds} s");
    (counted.count_total, ejections)
}

#[test]
fn a_longer_run_allocates_no_more() {
    let balancers = [
        "envoy/round_robin",
        "envoy/random",
        "envoy/least_request",
        "envoy/ring_hash",
        "envoy/maglev",
        "linkerd/peak_ewma",
    ];
    let runs = balancers
        .map(|balancer| (balancer, Elision::On))
        .into_iter()
        .chain([("envoy/random", Elision::Off)]);
    for (balancer, elision) in runs {
        // Both have 300 buckets: of 1 s, and of 2 s.
        let (short, long) = (allocations(balancer, 300, elision), allocations(balancer, 600, elision));
        assert!(
            long <= short + 2,
            "{balancer}, {elision:?}: {short} allocations in 300 s, {long} in 600 s"
        );
    }
}

#[test]
fn a_longer_run_with_all_that_a_mesh_does_allocates_no_more() {
    for (name, mesh) in MESHES {
        let text = SCENARIO
            .replace("balancer: BALANCER", &format!("balancer: envoy/least_request{mesh}"))
            .replace("concurrency: 4\n", "concurrency: 4\n      adaptive_concurrency: {}\n");
        let text = match mesh.contains("retry: null") {
            true => text.replacen(
                "  retry: {num_retries: 2, retry_on: [5xx, reset, connect-failure], per_try_timeout: 20ms}\n",
                "",
                1,
            ),
            false => text,
        };
        for elision in [Elision::On, Elision::Off] {
            let allocations = |seconds| allocations_of(&text, name, seconds, elision);
            let ((short, few), (long, many)) = (allocations(300), allocations(600));
            // Who takes an endpoint out, and later in again, makes a view that it may share with other callers.
            let of_views = 2 * OF_A_VIEW * many.saturating_sub(few);
            assert!(
                long <= short + of_views + 4,
                "{name}, {elision:?}: {short} allocations and {few} ejections in 300 s, {long} and {many} in 600 s"
            );
        }
    }
}

const CALLERS: u32 = 1_000;

fn endpoint(i: u32) -> EndpointInfo {
    EndpointInfo {
        address: format!("10.0.{}.{}:8080", i / 256, i % 256),
        hostname: Some(format!("catalog-{i}")),
        zone: "a".to_string(),
        weight: 1,
        ..EndpointInfo::default()
    }
}

/// Bytes that all callers of an upstream of 1,000 endpoints have: at the start, when each has learnt that an endpoint is down, when each
/// has learnt of two more, in one order or the other, and when each has resolved another list.
fn bytes_of_callers(balancer: &str) -> [i64; 4] {
    let balancer: Config = serde_json::from_str(balancer).expect("it is registered");
    let (mut clusters, mut bytes) = (Vec::new(), [0; 4]);
    let mut phase = |number: usize, clusters: &mut Vec<Cluster>, change: &dyn Fn(&mut Vec<Cluster>)| {
        let counted = allocation_counter::measure(|| {
            change(clusters);
            for (cluster, hash) in clusters.iter_mut().zip(0..) {
                let call = CallInfo {
                    hash: Some(hash << 50),
                    ..CallInfo::default()
                };
                cluster.pick(&call, Time::ZERO).expect("there are endpoints");
            }
        });
        bytes[number] = counted.bytes_current + if number > 0 { bytes[number - 1] } else { 0 };
    };
    let down = |cluster: &mut Cluster, endpoint| cluster.on_health(EndpointIndex(endpoint), Health::Unhealthy, Time::ZERO);
    phase(0, &mut clusters, &|clusters| {
        let upstream = Arc::new(Upstream::new(balancer.clone().into(), (0..1_000).map(endpoint).collect()));
        let new = |i| Cluster::new(Arc::clone(&upstream), &CallerInfo::default(), Rng::new(i), Time::ZERO);
        clusters.extend((0..u64::from(CALLERS)).map(new));
    });
    phase(1, &mut clusters, &|clusters| {
        clusters.iter_mut().for_each(|cluster| down(cluster, 7))
    });
    phase(2, &mut clusters, &|clusters| {
        for (cluster, i) in clusters.iter_mut().zip(0..) {
            let order = if i % 2 == 0 { [8, 9] } else { [9, 8] };
            order.into_iter().for_each(|endpoint| down(cluster, endpoint));
        }
    });
    phase(3, &mut clusters, &|clusters| {
        // One is gone and one is new.
        let answer: Vec<EndpointInfo> = (1..1_001).map(endpoint).collect();
        clusters
            .iter_mut()
            .for_each(|cluster| cluster.on_resolved(&answer, Time::ZERO));
    });
    bytes
}

#[test]
fn callers_share_what_they_believe() {
    // One ring of 65,536 points is 0.8 MB: a thousand of them would be 800 MB.
    for balancer in [
        r#""envoy/ring_hash""#,
        r#"{"envoy/ring_hash": {"minimum_ring_size": 65536}}"#,
        r#""envoy/maglev""#,
        r#""envoy/round_robin""#,
    ] {
        let bytes = bytes_of_callers(balancer);
        println!("{balancer}: {bytes:?} bytes");
        assert!(bytes.iter().all(|&bytes| bytes < 30_000_000), "{balancer}: {bytes:?}");
    }
}

/// One caller of 100 endpoints with 50 calls in flight.
struct Caller {
    cluster: Cluster,
    now: Time,
    keys: Rng,
    in_flight: VecDeque<Ticket>,
}

impl Caller {
    fn new(name: &str) -> Caller {
        let balancer = setup::balancer(name, &[]).expect("it is registered");
        let endpoint = |i: u32| EndpointInfo {
            address: format!("10.0.0.{i}:8080"),
            weight: 1 + i % 3,
            ..EndpointInfo::default()
        };
        let endpoints = (0..100).map(endpoint).collect();
        let upstream = Arc::new(Upstream::new(ClusterConfig::from(balancer), endpoints));
        Caller {
            cluster: Cluster::new(upstream, &CallerInfo::default(), Rng::new(1), Time::ZERO),
            now: Time::ZERO,
            keys: Rng::new(2),
            in_flight: VecDeque::with_capacity(100),
        }
    }

    fn calls(&mut self, count: u32) {
        let report = LoadReport {
            rps_fractional: 100.0,
            cpu_utilization: 0.5,
            in_flight: 3,
            service_time: Duration::from_millis(3),
            latency: Duration::from_millis(9),
            ..LoadReport::default()
        };
        for i in 0..count {
            // A second passes now and then, so that what is done once a second is done.
            self.now += Duration::from_millis(if i % 1000 == 0 { 1500 } else { 1 });
            let hash = self.keys.next_u64();
            let call = CallInfo {
                hash: Some(hash),
                key: Some(["red", "green", "blue"][hash as usize % 3]),
                source: Some(IpAddr::V4(Ipv4Addr::from_bits(hash as u32 % 1000))),
                ..CallInfo::default()
            };
            self.in_flight.extend(self.cluster.pick(&call, self.now));
            while let Some(endpoint) = self.cluster.next_probe() {
                self.cluster.on_probed(endpoint, &report, self.now);
            }
            if self.in_flight.len() > 50
                && let Some(oldest) = self.in_flight.pop_front()
            {
                let outcome = Outcome {
                    answer: Answer::Status(200),
                    latency: Duration::from_millis(5 + u64::from(oldest.endpoint.0 % 7)),
                    attempts: 1,
                    load: Some(report),
                    retry_after: None,
                };
                self.cluster.on_finished(oldest, &outcome, self.now);
                if self.cluster.active(oldest.endpoint) == 0 {
                    self.cluster.on_idle(oldest.endpoint, self.now);
                }
            }
        }
    }
}

#[test]
fn a_pick_and_its_end_allocate_nothing() {
    let mut wrong = Vec::new();
    for name in NAMES {
        let mut caller = Caller::new(name);
        // Long enough for the tables that a rare crowd makes grow.
        caller.calls(60_000);
        let counted = allocation_counter::measure(|| caller.calls(30_000));
        if counted.count_total > 0 {
            wrong.push(format!("{name}: {} allocations", counted.count_total));
        }
    }
    assert!(wrong.is_empty(), "in 30,000 picks: {wrong:?}");
}

/// Two variants and some seconds, so that a run's result has some thousand bytes.
const SWEEP: &str = "
apiVersion: meshsim/v1
name: many
duration: 20s
warmup: 1s
topology:
  services:
    s: {replicas: 4, concurrency: 1, operations: {get: [{work: {exponential: {mean: 10ms}}}]}}
clients:
  web: {call: s/get, arrivals: {poisson: {rate: 200/s}}}
variants:
  random: {mesh: {balancer: envoy/random}}
  least_request: {mesh: {balancer: envoy/least_request}}
";

/// What a merge of made shards takes.
#[derive(Debug)]
struct Merged {
    /// The most bytes on the heap at a time.
    heap: u64,
    /// Bytes of the shards.
    shards: u64,
}

/// Merges a sweep of `points` points, of `replications` replications each, that was cut into `shards`. All have the results of the same two runs.
fn merge(points: u32, replications: u32, shards: u32) -> Merged {
    let source = Source::from_text("many.yaml", SWEEP.to_string());
    let overrides = Overrides {
        replications: Some(replications),
        ..Overrides::default()
    };
    let axes = [format!("seed=1..{points}")];
    let (grid, mut diagnostics) = Grid::open(&source, &overrides, &axes);
    let input = Input::new(&source, &overrides, &axes);
    let sweep = grid.and_then(|grid| Sweep::plan(grid, input, Cut::Shards(shards), &mut diagnostics));
    let mut sweep = sweep.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    let scenario = sweep.grid.load_again(0).expect("it has been loaded").scenario;
    let experiment = Experiment::of(&scenario);
    let warmups = experiment.warmup(1, &|_| ());
    let results = [0, 1].map(|variant| experiment.run_cell(Cell { variant, replication: 0 }, &warmups));

    let folder = tempfile::tempdir().expect("a folder");
    let write = |shard| sweep::run::write(&sweep.plan, shard, folder.path(), &warmups, |_, cell| &results[cell.variant]);
    let bytes = (0..shards).map(|shard| write(shard).expect("it can be written")).sum();
    let output = folder.path().join("results");
    let counted = allocation_counter::measure(|| {
        let whole = sweep::merge::check(&sweep.plan, folder.path()).expect("they are whole");
        let merged = sweep::merge::merge(&whole, &output, Extent::Data, 1, |_| ()).expect("they can be merged");
        assert_eq!(merged.points.len(), points as usize);
    });
    Merged {
        heap: counted.bytes_max,
        shards: bytes,
    }
}

/// In numbers: a merge takes some megabytes for the point at hand, whatever there is on disk. What grows is the index: some kilobytes for a
/// point, some bytes for a shard; and for each run of the point at hand the figures that intervals are made of.
#[test]
fn a_merge_holds_one_point_at_a_time() {
    let few = merge(4, 20, 4);
    let cut = merge(4, 20, 160);
    let many = merge(36, 20, 36);
    let long = merge(4, 200, 4);
    println!("{few:?} {cut:?} {many:?} {long:?}");
    let beyond = |merged: &Merged| merged.heap.saturating_sub(few.heap);
    assert!(beyond(&cut) <= 156 * 100, "{} bytes for 156 shards", beyond(&cut));
    assert!(beyond(&many) <= 32 * 6_000, "{} bytes for 32 points", beyond(&many));
    assert!(beyond(&long) <= 360 * 4_000, "{} bytes for 360 runs", beyond(&long));
    // The shards themselves are never in memory: these are 9 and 10 times as many runs.
    assert!(many.shards > 8 * few.shards && long.shards > 9 * few.shards);
    assert!(many.heap < many.shards / 8 && few.heap < 4_000_000, "{few:?} {many:?}");
}
