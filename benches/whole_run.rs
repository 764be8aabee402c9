//! Whole runs, against the yardstick: a loop written by hand for nothing but this case, with the standard library's heap.
//!
//! 100 servers with one slot each, first in first out; Poisson arrivals at load 0.8; exponential service of 10 ms; the server
//! with fewer requests of two drawn at random; each latency recorded. The ratio of the first two rows of a group is what the
//! generality of the simulator costs; the others show what a network, timeouts and retries, and many endpoints add.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use meshsim::measure::Histogram;
use meshsim::model::{Elision, Plan, RunOptions, run};
use meshsim::random::Rng;
use meshsim::scenario::{Overrides, Source, load};
use meshsim::time::Duration;

const REQUESTS: u64 = 200_000;
const MEAN_NANOS: f64 = 10e6;
const LOAD: f64 = 0.8;
const ARRIVAL: u32 = u32::MAX;

#[expect(clippy::disallowed_methods, reason = "the yardstick is what anyone would write")]
fn exponential(rng: &mut Rng, mean: f64) -> u64 {
    (-rng.unit().ln() * mean) as u64
}

/// The loop written by hand; returns the mean latency in nanoseconds.
fn yardstick(servers: usize) -> f64 {
    let mut rng = Rng::new(7);
    let gap = MEAN_NANOS / (LOAD * servers as f64);
    let mut queues: Vec<VecDeque<u64>> = vec![VecDeque::new(); servers];
    let mut latencies: Histogram = Histogram::new();
    let mut heap: BinaryHeap<Reverse<(u64, u64, u32)>> = BinaryHeap::new();
    let (mut sequence, mut sent) = (0, 0);
    heap.push(Reverse((exponential(&mut rng, gap), sequence, ARRIVAL)));
    while let Some(Reverse((now, _, event))) = heap.pop() {
        let mut schedule = |at: u64, event: u32| {
            sequence += 1;
            heap.push(Reverse((at, sequence, event)));
        };
        if event == ARRIVAL {
            let (a, b) = (rng.below(servers as u64) as usize, rng.below(servers as u64) as usize);
            let server = if queues[b].len() < queues[a].len() { b } else { a };
            queues[server].push_back(now);
            if queues[server].len() == 1 {
                schedule(now + exponential(&mut rng, MEAN_NANOS), server as u32);
            }
            sent += 1;
            if sent < REQUESTS {
                schedule(now + exponential(&mut rng, gap), ARRIVAL);
            }
        } else {
            let queue = &mut queues[event as usize];
            latencies.record(now - queue.pop_front().expect("a server that works has a request"));
            if !queue.is_empty() {
                schedule(now + exponential(&mut rng, MEAN_NANOS), event);
            }
        }
    }
    latencies.mean().expect("requests were sent")
}

fn plan(servers: usize, network: &str, mesh: &str) -> Plan {
    let rate = servers as f64 * LOAD / (MEAN_NANOS / 1e9);
    let seconds = REQUESTS as f64 / rate;
    let text = format!(
        "apiVersion: meshsim/v1\nname: bench\nduration: {seconds}s\nreplications: 1\ntopology:\n  {network}\n  services:\n    \
         s: {{replicas: {servers}, concurrency: 1, operations: {{op: [{{work: {{exponential: {{mean: 10ms}}}}}}]}}}}\n\
         clients:\n  c: {{call: s/op, arrivals: {{poisson: {{rate: {rate}/s}}}}}}\nmesh: {{balancer: envoy/least_request{mesh}}}\n"
    );
    let (scenario, diagnostics) = load(&Source::from_text("bench.yaml", &text), &Overrides::default());
    let scenario = scenario.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    Plan::clone(&scenario.variants[0].plan)
}

fn simulate(plan: &Plan) -> f64 {
    let options = RunOptions {
        seed: 1,
        replication: 0,
        warmup: Duration::ZERO,
        elision: Elision::On,
        pilot: false,
    };
    run(plan, options).clients[0].latency.mean().expect("requests were sent")
}

const NETWORK: &str = "network: {same_zone: {lognormal: {p50: 250us, p99: 1ms}}}";
const PATIENCE: &str = ", timeout: 2s, retry: {num_retries: 2, retry_on: [5xx, connect-failure], per_try_timeout: 500ms}";

fn whole_run(c: &mut Criterion) {
    let mut group = c.benchmark_group("whole_run");
    group.throughput(Throughput::Elements(REQUESTS)).sample_size(10);
    group.bench_function("yardstick/100", |b| b.iter(|| black_box(yardstick(100))));
    for (name, network, mesh) in [("plain", "", ""), ("network_timeout_retry", NETWORK, PATIENCE)] {
        for servers in [100, 1_000, 10_000, 100_000] {
            let plan = plan(servers, network, mesh);
            group.bench_with_input(BenchmarkId::new(name, servers), &plan, |b, plan| {
                b.iter(|| black_box(simulate(plan)))
            });
        }
    }
    group.finish();
}

criterion_group!(benches, whole_run);
criterion_main!(benches);
