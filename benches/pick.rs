//! Nanoseconds for one pick and its end, by balancer and number of endpoints, with as many calls in flight as endpoints.
//!
//! `UPDATE_DOCS=1 cargo bench --bench pick` writes the table of `docs/performance.md` anew, from what it has measured.

use core::net::{IpAddr, Ipv4Addr};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time;

use criterion::{BenchmarkId, Criterion, criterion_group};
use meshsim::policy::balancer::NAMES;
use meshsim::policy::{
    Answer, CallInfo, CallerInfo, Cluster, ClusterConfig, EndpointIndex, EndpointInfo, LoadReport, Outcome, Ticket, Upstream,
};
use meshsim::random::Rng;
use meshsim::replay::setup::{self, Setting};
use meshsim::time::{Duration, Time};

/// Numbers of endpoints.
const SIZES: [u32; 4] = [10, 100, 1_000, 10_000];

/// Further cases: the name in the table, the balancer, its options, and the weight of an endpoint.
type Case = (&'static str, &'static str, &'static str, fn(u32) -> u32);
const FURTHER: [Case; 7] = [
    ("envoy/round_robin, weighted", "envoy/round_robin", "", five_weights),
    ("envoy/least_request, weighted", "envoy/least_request", "", five_weights),
    (
        "envoy/least_request, full scan",
        "envoy/least_request",
        "selection_method=full_scan",
        one,
    ),
    ("envoy/ring_hash, bounded", "envoy/ring_hash", "hash_balance_factor=150", one),
    ("envoy/maglev, bounded", "envoy/maglev", "hash_balance_factor=150", one),
    ("haproxy/roundrobin, weighted", "haproxy/roundrobin", "", five_weights),
    ("research/jsq, two choices", "research/jsq", "choices=2", one),
];

fn one(_: u32) -> u32 {
    1
}

fn five_weights(i: u32) -> u32 {
    1 + i % 5
}

/// One caller, its clock, and what it has in flight.
struct Caller {
    cluster: Cluster,
    keys: Rng,
    key: String,
    now: Time,
    in_flight: VecDeque<Ticket>,
}

impl Caller {
    fn new(name: &str, option: &str, endpoints: u32, weight: impl Fn(u32) -> u32) -> Caller {
        let settings: Vec<Setting> = option.parse().into_iter().collect();
        let balancer = setup::balancer(name, &settings).expect("it is registered");
        let info = |i: u32| EndpointInfo {
            address: format!("10.0.{}.{}:8080", i / 256, i % 256),
            weight: weight(i),
            ..EndpointInfo::default()
        };
        let config = ClusterConfig::from(balancer);
        let upstream = Arc::new(Upstream::new(config, (0..endpoints).map(info).collect()));
        let mut caller = Caller {
            cluster: Cluster::new(upstream, &CallerInfo::default(), Rng::new(1), Time::ZERO),
            keys: Rng::new(2),
            key: String::new(),
            now: Time::ZERO,
            in_flight: VecDeque::new(),
        };
        for _ in 0..endpoints {
            caller.start();
        }
        // Everything is built, and old enough for slow starts, blackouts and weights.
        for _ in 0..2 * endpoints.max(1000) {
            caller.now += Duration::from_millis(20);
            caller.pick_and_done();
        }
        caller
    }

    /// Starts a call; a policy may refuse one where it has room for no more.
    fn start(&mut self) {
        self.now += Duration::from_micros(10);
        let hash = self.keys.next_u64();
        self.key.clear();
        write!(self.key, "key-{}", hash as u16).expect("writing to a string does not fail");
        let call = CallInfo {
            hash: Some(hash),
            key: Some(&self.key),
            source: Some(IpAddr::V4(Ipv4Addr::from_bits(hash as u32))),
            ..CallInfo::default()
        };
        let picked = self.cluster.pick(&call, self.now);
        while let Some(endpoint) = self.cluster.next_probe() {
            let report = self.report(endpoint);
            self.cluster.on_probed(endpoint, &report, self.now);
        }
        self.in_flight.extend(picked);
    }

    fn report(&self, endpoint: EndpointIndex) -> LoadReport {
        LoadReport {
            rps_fractional: 100.0,
            cpu_utilization: 0.3 + f64::from(endpoint.0 % 7) / 20.0,
            in_flight: self.cluster.active(endpoint),
            service_time: Duration::from_millis(1),
            latency: Duration::from_millis(1 + u64::from(endpoint.0 % 3)),
            ..LoadReport::default()
        }
    }

    fn pick_and_done(&mut self) {
        self.start();
        let Some(oldest) = self.in_flight.pop_front() else { return };
        let outcome = Outcome {
            answer: Answer::Status(200),
            latency: Duration::from_millis(1 + u64::from(oldest.endpoint.0 % 3)),
            attempts: 1,
            load: Some(self.report(oldest.endpoint)),
        };
        black_box(self.cluster.on_finished(oldest, &outcome, self.now));
        if self.cluster.active(oldest.endpoint) == 0 {
            self.cluster.on_idle(oldest.endpoint, self.now);
        }
    }
}

fn cases() -> impl Iterator<Item = Case> {
    let registered = NAMES.iter().map(|name| (*name, *name, "", one as fn(u32) -> u32));
    registered.chain(FURTHER)
}

fn picks(criterion: &mut Criterion) {
    for (label, name, option, weight) in cases() {
        let mut group = criterion.benchmark_group(label);
        group.warm_up_time(time::Duration::from_millis(100));
        group.measurement_time(time::Duration::from_millis(400));
        group.sample_size(20);
        for endpoints in SIZES {
            // Criterion calls the closure once for each sample, and only if the case is asked for.
            let mut made = None;
            group.bench_function(BenchmarkId::from_parameter(endpoints), |bencher| {
                let caller = made.get_or_insert_with(|| Caller::new(name, option, endpoints, weight));
                bencher.iter(|| caller.pick_and_done());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, picks);

fn main() {
    benches();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        write_table();
    }
    Criterion::default().configure_from_args().final_summary();
}

const BEGIN: &str = "<!-- The table that follows is written by benches/pick.rs. -->\n";

/// Writes the medians of the last measurement into the page.
fn write_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut table = format!("{BEGIN}\n| balancer |");
    SIZES.iter().for_each(|size| table += &format!(" {size} |"));
    table += "\n| --- |";
    SIZES.iter().for_each(|_| table += " ---: |");
    table += "\n";
    for (label, ..) in cases() {
        let (policy, how) = label.split_once(", ").unwrap_or((label, ""));
        let comma = if how.is_empty() { "" } else { ", " };
        table += &format!("| `{policy}`{comma}{how} |");
        for size in SIZES {
            let folder = root.join("target/criterion").join(label.replace('/', "_"));
            let path = folder.join(size.to_string()).join("new/estimates.json");
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let estimates: serde_json::Value = serde_json::from_str(&text).expect("criterion writes JSON");
            let median = estimates["median"]["point_estimate"].as_f64().expect("a number");
            table += &format!(" {median:.0} |");
        }
        table += "\n";
    }
    let path = root.join("docs/performance.md");
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let (head, _) = page.split_once(BEGIN).expect("the page has a place for the table");
    std::fs::write(&path, head.to_string() + &table).expect("the page can be written");
}
