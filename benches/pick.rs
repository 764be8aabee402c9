//! Nanoseconds for one pick and its end, by balancer and number of endpoints, with as many calls in flight as endpoints.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use meshsim::policy::balancer::NAMES;
use meshsim::policy::{Answer, CallInfo, CallerInfo, Cluster, ClusterConfig, EndpointInfo, Outcome, Ticket, Upstream};
use meshsim::random::Rng;
use meshsim::replay::setup;
use meshsim::time::{Duration, Time};

/// One caller, its clock, and what it has in flight.
struct Caller {
    cluster: Cluster,
    keys: Rng,
    now: Time,
    in_flight: VecDeque<Ticket>,
}

impl Caller {
    fn new(name: &str, endpoints: u32, weight: impl Fn(u32) -> u32) -> Caller {
        let balancer = setup::balancer(name, &[]).expect("it is registered");
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
            now: Time::ZERO,
            in_flight: VecDeque::new(),
        };
        for _ in 0..endpoints {
            let ticket = caller.pick();
            caller.in_flight.push_back(ticket);
        }
        caller
    }

    fn pick(&mut self) -> Ticket {
        self.now += Duration::from_micros(10);
        let call = CallInfo {
            hash: Some(self.keys.next_u64()),
            ..CallInfo::default()
        };
        self.cluster.pick(&call, self.now).expect("there is an endpoint")
    }

    fn pick_and_done(&mut self) {
        let ticket = self.pick();
        self.in_flight.push_back(ticket);
        let oldest = self.in_flight.pop_front().expect("it has just got one");
        let outcome = Outcome {
            answer: Answer::Status(200),
            latency: Duration::from_millis(1),
            attempts: 1,
            load: None,
        };
        black_box(self.cluster.on_finished(oldest, &outcome, self.now));
        if self.cluster.active(oldest.endpoint) == 0 {
            self.cluster.on_idle(oldest.endpoint, self.now);
        }
    }
}

fn picks(criterion: &mut Criterion) {
    for name in NAMES {
        let mut group = criterion.benchmark_group(*name);
        for endpoints in [10, 100, 1_000, 10_000] {
            group.bench_function(BenchmarkId::from_parameter(endpoints), |bencher| {
                let mut caller = Caller::new(name, endpoints, |_| 1);
                bencher.iter(|| caller.pick_and_done());
            });
        }
        group.finish();
    }
}

fn weighted_picks(criterion: &mut Criterion) {
    for name in ["envoy/round_robin", "envoy/least_request"] {
        let mut group = criterion.benchmark_group(format!("{name}, weighted"));
        for endpoints in [10, 100, 1_000, 10_000] {
            group.bench_function(BenchmarkId::from_parameter(endpoints), |bencher| {
                let mut caller = Caller::new(name, endpoints, |i| 1 + i % 5);
                bencher.iter(|| caller.pick_and_done());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, picks, weighted_picks);
criterion_main!(benches);
