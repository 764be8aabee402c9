//! Right scenarios and the plans they make, part by part.

use meshsim::model::plan::{
    ConnectionPlan, CrashMode, Discipline, FaultKind, Instr, KeyPlan, Load, NO_SIZE, OnCancel, OnError, Owner, Plan, Probability,
    Protocol, TargetPlan, Threading, UNLIMITED, Warmup,
};
use meshsim::policy::connection_pool;
use meshsim::random::Distribution;
use meshsim::scenario::{Overrides, Scenario, Variant};
use meshsim::time::{Duration, Time};

use super::{problems, valid, valid_with};

/// The example of the contract, without the keys that come later.
const EXAMPLE: &str = include_str!("example.yaml");

fn only(scenario: &Scenario) -> &Variant {
    assert_eq!(scenario.variants.len(), 1);
    &scenario.variants[0]
}

/// A scenario whose operation `s/get` has these steps (an inline list), beside `s/a` and `s/b` to call.
fn with_steps(steps: &str) -> String {
    format!(
        "apiVersion: meshsim/v1\nduration: 10s\ntopology:\n  services:\n    s:\n      replicas: 2\n      operations:\n        get: {steps}\n\
         \x20   t: {{replicas: 1, operations: {{a: [{{work: 1ms}}], b: [{{work: 2ms}}]}}}}\nclients:\n  c: {{call: s/get, arrivals: \
         {{poisson: {{rate: 10/s}}}}}}\n"
    )
}

fn plan_of_steps(steps: &str) -> Plan {
    let scenario = valid(&with_steps(steps));
    Plan::clone(&only(&scenario).plan)
}

fn millis(millis: u64) -> Distribution {
    Distribution::Constant(millis as f64 * 1e6)
}

#[test]
fn the_example_of_the_contract_compiles() {
    let scenario = valid(EXAMPLE);
    assert_eq!(scenario.name, "zone-outage");
    assert_eq!((scenario.seed, scenario.replications), (42, 10));
    assert_eq!(scenario.expect.len(), 3);
    assert_eq!(scenario.expect[1].text, "p99(least_request) < 250ms");
    let names: Vec<&str> = scenario.variants.iter().map(|variant| variant.name.as_str()).collect();
    assert_eq!(names, ["round_robin", "least_request", "peak_ewma"]);

    let variant = &scenario.variants[1];
    let plan = &variant.plan;
    assert_eq!(plan.duration, Duration::from_secs(300));
    assert_eq!(plan.warmup, Warmup::Fixed(Duration::from_secs(30)));
    assert_eq!(plan.drain, Duration::from_secs(60), "the default");
    assert_eq!(plan.interval, Duration::from_secs(1), "300 buckets");
    assert_eq!(variant.names.zones, ["a", "b", "c"]);
    assert_eq!(variant.names.services, ["frontend", "catalog", "ads"]);
    assert_eq!(variant.names.operations, ["home", "list", "get"]);
    assert_eq!(variant.names.clients, ["web"]);
    assert_eq!(
        variant.names.edges,
        ["web->frontend/home", "frontend->catalog/list", "frontend->ads/get"]
    );
    assert_eq!(variant.names.endpoints[..2], ["frontend-0", "frontend-1"]);
    assert_eq!(variant.names.endpoints[6..], ["c-0", "c-1", "ads-0", "ads-1", "ads-2"]);

    let zones: Vec<u32> = plan.endpoints.iter().map(|endpoint| endpoint.zone).collect();
    assert_eq!(zones, [0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 2]);
    let frontend = &plan.services[0];
    assert_eq!((frontend.first_endpoint, frontend.endpoint_count), (0, 6));
    assert_eq!((frontend.concurrency, frontend.queue_limit), (32, 256));
    assert_eq!(frontend.discipline, Discipline::Fifo);
    let catalog = &plan.services[1];
    assert_eq!((catalog.concurrency, catalog.queue_limit), (UNLIMITED, UNLIMITED));
    assert_eq!((catalog.first_endpoint, catalog.endpoint_count), (6, 2));
    assert_eq!((catalog.first_operation, catalog.operation_count), (1, 1));
    assert_eq!((plan.endpoints[6].info.weight, plan.endpoints[7].info.weight), (2, 1));
    assert_eq!(plan.endpoints[7].speed, 0.5);
    assert_eq!(plan.endpoints[7].info.address, "10.1.0.2:8080");
    assert_eq!(plan.endpoints[7].info.zone, "b");

    assert_eq!(plan.clients[0].caller_zones, [0, 1, 2, 0]);
    assert!(matches!(plan.clients[0].load, Load::Open(_)));
    let KeyPlan::Zipf { hashes, cumulative } = &plan.clients[0].keys else {
        panic!("{:?}", plan.clients[0].keys)
    };
    assert_eq!((hashes.len(), cumulative.len()), (10_000, 10_000));
    assert_eq!(cumulative[9_999], 1.0);
    // The hash itself is held against the specification's value below.
    assert_eq!(hashes[17], xxhash_rust::xxh64::xxh64(b"key-17", 0));

    let [crash, slow] = &plan.faults[..] else {
        panic!("{:?}", plan.faults)
    };
    assert_eq!((crash.at, crash.lasts), (Time(120_000_000_000), Duration::from_secs(60)));
    let refuse = FaultKind::Crash {
        mode: CrashMode::Refuse,
        cold_start: None,
    };
    assert_eq!(crash.kind, refuse);
    assert_eq!(crash.target, TargetPlan::Endpoints(vec![1, 4, 7, 9]));
    assert_eq!(slow.target, TargetPlan::Endpoints(vec![6]));
    assert_eq!(slow.kind, FaultKind::SlowFactor(10.0));
    let labels: Vec<&str> = variant.faults.iter().map(|fault| fault.label.as_str()).collect();
    assert_eq!(labels, ["crash zone b", "slow catalog/c-0 10 times"]);
    assert_eq!(variant.faults[0].until, Time(180_000_000_000));
}

#[test]
fn the_example_differs_between_its_variants_in_the_balancer_alone() {
    let scenario = valid(EXAMPLE);
    let balancers: Vec<String> = scenario
        .variants
        .iter()
        .map(|variant| variant.plan.clusters[0].config.balancer.name().to_string())
        .collect();
    assert_eq!(balancers, ["envoy/round_robin", "envoy/least_request", "linkerd/peak_ewma"]);
    let programs: Vec<_> = scenario.variants.iter().map(|variant| variant.plan.program.clone()).collect();
    assert!(programs.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn the_example_s_program_is_in_the_order_of_the_file() {
    let scenario = valid(EXAMPLE);
    let plan = &scenario.variants[0].plan;
    let probability = Probability::new(0.4);
    assert_eq!(
        plan.program,
        [
            Instr::Work { distribution: 0 },
            Instr::Parallel {
                first: 0,
                count: 2,
                on_error: OnError::Fail
            },
            Instr::Jump { to: 8 },
            Instr::Call {
                site: 1,
                on_error: OnError::Fail
            },
            Instr::End,
            Instr::Maybe { probability, to: 7 },
            Instr::Call {
                site: 2,
                on_error: OnError::Ignore
            },
            Instr::End,
            Instr::Work { distribution: 1 },
            Instr::End,
            Instr::Work { distribution: 2 },
            Instr::End,
            Instr::Work { distribution: 3 },
            Instr::End,
        ]
    );
    assert_eq!(plan.branches, [3, 5]);
    let starts: Vec<u32> = plan.operations.iter().map(|operation| operation.start).collect();
    assert_eq!(starts, [0, 10, 12]);
    assert_eq!(plan.distributions[1], millis(1));
    assert_eq!(
        plan.sites.iter().map(|site| (site.operation, site.edge)).collect::<Vec<_>>(),
        [(0, 0), (1, 1), (2, 2)]
    );
    assert_eq!(plan.sites[1].timeout, Duration::from_secs(2));
    assert_eq!(plan.sites[1].per_try_timeout, Duration::from_millis(500));
    assert_eq!(plan.sites[1].request_size, NO_SIZE);
    let owners: Vec<Owner> = plan.clusters.iter().map(|cluster| cluster.owner).collect();
    assert_eq!(owners, [Owner::Client(0), Owner::Service(0), Owner::Service(0)]);
}

#[test]
fn defaults_are_those_of_the_contract() {
    let scenario = valid(&with_steps("[]"));
    let variant = only(&scenario);
    let plan = &variant.plan;
    assert_eq!((scenario.seed, scenario.replications), (1, 10));
    assert_eq!((scenario.name.as_str(), variant.name.as_str()), ("test", "default"));
    assert_eq!(plan.warmup, Warmup::Fixed(Duration::ZERO));
    assert_eq!(variant.names.zones, [""], "one zone without a name");
    assert_eq!(plan.network.zones, 1);
    let link = &plan.network.links[0];
    assert_eq!((&link.latency, link.loss), (&Distribution::Constant(0.0), 0.0));
    assert_eq!(link.retransmission_timeout, Duration::from_millis(200));
    assert_eq!(link.bandwidth, f64::INFINITY);
    let service = &plan.services[0];
    assert_eq!((service.cores, service.queue_timeout), (1, Duration::MAX));
    assert_eq!((service.threading, service.on_cancel), (Threading::Async, OnCancel::Continue));
    let endpoint = &plan.endpoints[1];
    assert_eq!(
        (endpoint.speed, endpoint.fail, endpoint.info.weight),
        (1.0, Probability::NEVER, 1)
    );
    assert_eq!(endpoint.info.address, "10.0.0.2:8080");
    assert_eq!(plan.clients[0].caller_zones, [0]);
    assert!(matches!(plan.clients[0].keys, KeyPlan::None));
    let site = &plan.sites[0];
    assert_eq!((site.timeout, site.per_try_timeout), (Duration::MAX, Duration::MAX));
    let cluster = &plan.clusters[0];
    assert_eq!(cluster.config.balancer.name(), "envoy/round_robin");
    assert!(cluster.config.retry.is_none());
    assert_eq!(cluster.connections, ConnectionPlan::Warm);
    assert_eq!(plan.program[0], Instr::End);
}

#[test]
fn repeat_is_written_out_and_shares_its_distribution_and_site() {
    let plan = plan_of_steps("[{call: t/a, repeat: 3}, {repeat: 2, steps: [{work: 5ms}, {call: t/a, probability: 50%}]}]");
    let half = Probability::new(0.5);
    let call = |site| Instr::Call {
        site,
        on_error: OnError::Fail,
    };
    assert_eq!(
        plan.program[..10],
        [
            call(1),
            call(1),
            call(1),
            Instr::Work { distribution: 0 },
            Instr::Maybe {
                probability: half,
                to: 6
            },
            call(2),
            Instr::Work { distribution: 0 },
            Instr::Maybe {
                probability: half,
                to: 9
            },
            call(2),
            Instr::End,
        ]
    );
    assert_eq!(plan.sites.len(), 3, "one of the client, two of the program");
    assert_eq!(
        (plan.sites[1].edge, plan.sites[2].edge),
        (1, 1),
        "the same operation called by the same service"
    );
    assert_eq!(plan.clusters.len(), 2);
}

#[test]
fn a_repeated_branch_is_many_branches_and_nested_branches_stay_together() {
    let plan = plan_of_steps(
        "[{parallel: [{call: t/a, repeat: 3}, [{work: 1ms}, {call: t/b}], {steps: [{parallel: [{call: t/a}, {call: t/b}]}]}]}]",
    );
    let Instr::Parallel { first, count, .. } = plan.program[0] else {
        panic!("{:?}", plan.program[0])
    };
    assert_eq!((first, count), (0, 5));
    assert_eq!(plan.branches, [2, 4, 6, 8, 11, 13, 15]);
    let Instr::Parallel { first, count, .. } = plan.program[11] else {
        panic!("{:?}", plan.program[11])
    };
    assert_eq!((first, count), (5, 2));
    assert_eq!(plan.program[12], Instr::Jump { to: 17 });
    assert_eq!(plan.program[17], Instr::End, "the branch ends behind the steps within it");
    assert_eq!(plan.program[1], Instr::Jump { to: 18 });
    let ends = plan.program[..19].iter().filter(|instr| **instr == Instr::End).count();
    assert_eq!(ends, 8, "five branches, two within, and the operation");
}

#[test]
fn choose_goes_by_cumulative_weight_and_every_arm_jumps_behind_the_step() {
    let plan = plan_of_steps(
        "[{choose: [{weight: 1, steps: [{work: 1ms}]}, {weight: 3, steps: []}, {steps: [{call: t/a}]}]}, {fail: {probability: 5%, \
         status: 429}}, {fail: 0.5}]",
    );
    assert_eq!(plan.program[0], Instr::Choose { first: 0, count: 3 });
    assert_eq!(
        plan.program[1..8],
        [
            Instr::Work { distribution: 0 },
            Instr::Jump { to: 6 },
            Instr::Jump { to: 6 },
            Instr::Call {
                site: 1,
                on_error: OnError::Fail
            },
            Instr::Jump { to: 6 },
            Instr::Fail {
                probability: Probability::new(0.05),
                status: 429
            },
            Instr::Fail {
                probability: Probability::new(0.5),
                status: 503
            },
        ]
    );
    let arms: Vec<(Probability, u32)> = plan.arms.iter().map(|arm| (arm.up_to, arm.start)).collect();
    assert_eq!(
        arms,
        [
            (Probability::new(0.2), 1),
            (Probability::new(0.8), 3),
            (Probability::ALWAYS, 4)
        ]
    );
}

#[test]
fn on_error_goes_down_to_steps_that_say_nothing_else() {
    let plan = plan_of_steps(
        "[{on_error: ignore, steps: [{call: t/a}, {call: t/b, on_error: fail}, {parallel: [{call: t/a}]}]}, {call: t/a}]",
    );
    let errors: Vec<OnError> = plan
        .program
        .iter()
        .filter_map(|instr| match instr {
            Instr::Call { on_error, .. } | Instr::Parallel { on_error, .. } => Some(*on_error),
            _ => None,
        })
        .collect();
    use OnError::{Fail, Ignore};
    assert_eq!(errors, [Ignore, Fail, Ignore, Ignore, Fail]);
}

#[test]
fn probabilities_of_one_keep_their_instruction() {
    let always = plan_of_steps("[{work: 1ms, probability: 100%}]");
    let seldom = plan_of_steps("[{work: 1ms, probability: 1%}]");
    assert_eq!(always.program.len(), seldom.program.len());
    assert_eq!(
        always.program[0],
        Instr::Maybe {
            probability: Probability::ALWAYS,
            to: 2
        }
    );
}

const MESHES: &str = "
apiVersion: meshsim/v1
duration: 10s
mesh:
  balancer: envoy/random
  timeout: 1s
  retry: {num_retries: 3, retry_on: [5xx], per_try_timeout: 100ms}
  connection_pool: {}
topology:
  services:
    front:
      replicas: 1
      operations:
        home:
          - call: a/get
          - {call: a/get, mesh: {timeout: 5s}}
          - {call: a/get, mesh: {balancer: envoy/round_robin}}
          - {call: b/get, mesh: {retry: null}}
          - call: b/get
          - {mesh: {timeout: 7s}, steps: [{call: a/get}, {call: a/get, mesh: {timeout: 0}}]}
    a: {replicas: 1, operations: {get: [{work: 1ms}]}}
    b:
      replicas: 1
      operations: {get: [{work: 1ms}]}
      mesh: {balancer: linkerd/peak_ewma, timeout: null, connection_pool: {protocol: http1, idle_timeout: 9s}}
clients:
  plain: {call: front/home, arrivals: {poisson: {rate: 10/s}}}
  short: {call: front/home, arrivals: {poisson: {rate: 10/s}}, timeout: 300ms}
  long: {call: b/get, arrivals: {poisson: {rate: 10/s}}, timeout: 30s}
";

#[test]
fn meshes_are_inherited_key_by_key_and_equal_clusters_are_one() {
    let scenario = valid(MESHES);
    let plan = &only(&scenario).plan;
    let millis = |site: usize| plan.sites[site].timeout.0 / 1_000_000;
    assert_eq!(
        (millis(0), millis(1), millis(2)),
        (1000, 300, 30_000),
        "the client's own, where it is shorter"
    );
    assert_eq!([3, 4, 5].map(millis), [1000, 5000, 1000]);
    assert_eq!(plan.sites[6].timeout, Duration::MAX, "switched off for the service");
    assert_eq!(millis(8), 7000, "from the group around");
    assert_eq!(plan.sites[9].timeout, Duration::MAX, "0 is none, as in Envoy");

    // Of the front service: towards `a` random and round robin, towards `b` with and without retries.
    let of_front: Vec<(u32, &str, bool)> = plan
        .clusters
        .iter()
        .filter(|cluster| cluster.owner == Owner::Service(0))
        .map(|cluster| {
            (
                cluster.service,
                cluster.config.balancer.name(),
                cluster.config.retry.is_some(),
            )
        })
        .collect();
    assert_eq!(
        of_front,
        [
            (1, "envoy/random", true),
            (1, "envoy/round_robin", true),
            (2, "linkerd/peak_ewma", false),
            (2, "linkerd/peak_ewma", true),
        ]
    );
    let cluster = |site: usize| plan.sites[site].cluster;
    assert_eq!(cluster(3), cluster(4), "the timeout is the site's, not the cluster's");
    assert_eq!(plan.sites[6].per_try_timeout, Duration::MAX);
    assert_eq!(plan.sites[7].per_try_timeout, Duration::from_millis(100));
    let connections = |site: usize| plan.clusters[cluster(site) as usize].connections;
    assert_eq!(connections(3), ConnectionPlan::Pooled(connection_pool::Options::default()));
    assert_eq!(
        connections(7),
        ConnectionPlan::Pooled(connection_pool::Options {
            protocol: Protocol::Http1,
            idle_timeout: Duration::from_secs(9),
            ..connection_pool::Options::default()
        })
    );
    assert_eq!(plan.edges.len(), 5, "three clients', and the front's to a and to b");
}

#[test]
fn edges_have_different_names_even_if_a_client_is_called_like_a_service() {
    let text = with_steps("[{call: t/a}]").replace("  c: {call: s/get", "  s: {call: t/a");
    assert_eq!(only(&valid(&text)).names.edges, ["s->t/a", "service s->t/a"]);
}

#[test]
fn links_override_the_relations_between_zones() {
    let scenario = valid(
        "
apiVersion: meshsim/v1
duration: 10s
topology:
  zones: [a, b, c]
  network:
    same_zone: 1ms
    cross_zone: 2ms
    loss: 1%
    retransmission_timeout: 50ms
    bandwidth: 8Mbps
    links:
      - {from: a, to: b, latency: 10ms, loss: 5%}
      - {from: a, to: c, latency: 20ms, one_way: true, bandwidth: 1kbps}
      - {from: c, to: c, latency: 0}
  services: {s: {replicas: 4, operations: {get: []}}}
clients: {c: {call: s/get, arrivals: {constant: {rate: 10/s}}, zone: b, callers: 2}}
",
    );
    let plan = &only(&scenario).plan;
    let latency: Vec<f64> = (plan.network.links.iter())
        .map(|link| match link.latency {
            Distribution::Constant(nanos) => nanos / 1e6,
            ref other => panic!("{other:?}"),
        })
        .collect();
    // From each zone of a row to that of a column.
    assert_eq!(latency, [1.0, 10.0, 20.0, 10.0, 1.0, 2.0, 2.0, 2.0, 0.0]);
    let loss: Vec<f64> = plan.network.links.iter().map(|link| link.loss).collect();
    assert_eq!(loss, [0.01, 0.05, 0.01, 0.05, 0.01, 0.01, 0.01, 0.01, 0.01]);
    assert_eq!(plan.network.links[0].bandwidth, 1e6, "8 Mbit/s are a megabyte a second");
    assert_eq!(plan.network.links[2].bandwidth, 125.0);
    assert_eq!(plan.network.links[6].bandwidth, 1e6);
    assert_eq!(plan.network.links[8].retransmission_timeout, Duration::from_millis(50));
    assert_eq!(plan.clients[0].caller_zones, [1, 1]);
    let zones: Vec<u32> = plan.endpoints.iter().map(|endpoint| endpoint.zone).collect();
    assert_eq!(zones, [0, 1, 2, 0]);
}

#[test]
fn services_and_clients_take_every_form() {
    let scenario = valid(
        "
apiVersion: meshsim/v1
duration: 100s
warmup: auto
drain: 0
topology:
  services:
    s:
      endpoints:
        - {}
        - {name: x, weight: 7, speed: 2, address: '1.2.3.4:80', fail: 5%}
        - {fail: {probability: 10%, status: 500}}
      concurrency: unlimited
      queue: {limit: 0, discipline: ps, timeout: 2s}
      cores: 4
      threading: sync
      on_cancel: drop_queued
      operations:
        get: [{call: t/get, request_size: 1KiB, response_size: {exponential: {mean: 1MB}}}]
    t: {replicas: 1, queue: {discipline: lifo, limit: unlimited}, on_cancel: stop, operations: {get: []}}
clients:
  users: {call: s/get, arrivals: {closed: {users: 7, think: 2s}}, key: {fixed: abc}}
  keys: {call: s/get, arrivals: {ramp: {from: 1/s, to: 9/s, over: 1m}}, key: {uniform: {keys: 3}}, request_size: 100}
",
    );
    let variant = only(&scenario);
    let plan = &variant.plan;
    assert_eq!((plan.warmup, plan.drain), (Warmup::Auto, Duration::ZERO));
    assert_eq!(variant.names.endpoints, ["s-0", "x", "s-2", "t-0"]);
    let s = &plan.services[0];
    assert_eq!((s.concurrency, s.queue_limit, s.cores), (UNLIMITED, 0, 4));
    assert_eq!(
        (s.discipline, s.threading, s.on_cancel),
        (Discipline::ProcessorSharing, Threading::Sync, OnCancel::DropQueued)
    );
    assert_eq!(s.queue_timeout, Duration::from_secs(2));
    assert_eq!(
        (plan.services[1].discipline, plan.services[1].on_cancel),
        (Discipline::Lifo, OnCancel::Stop)
    );
    let x = &plan.endpoints[1];
    assert_eq!((x.info.weight, x.speed, x.info.address.as_str()), (7, 2.0, "1.2.3.4:80"));
    assert_eq!((x.fail, x.fail_status), (Probability::new(0.05), 503));
    assert_eq!(
        (plan.endpoints[2].fail, plan.endpoints[2].fail_status),
        (Probability::new(0.1), 500)
    );
    let Load::Closed { users, think } = plan.clients[0].load else {
        panic!("{:?}", plan.clients[0].load)
    };
    assert_eq!((users, &plan.distributions[think as usize]), (7, &millis(2000)));
    let KeyPlan::Fixed { hash, ref text } = plan.clients[0].keys else {
        panic!("{:?}", plan.clients[0].keys)
    };
    // XXH64 of `abc` with seed 0: github.com/Cyan4973/xxHash, tests of the specification's implementations.
    assert_eq!((hash, &**text), (0x44BC_2CF5_AD77_0999, "abc"));
    assert!(matches!(&plan.clients[1].keys, KeyPlan::Uniform { hashes } if hashes.len() == 3));
    let size = |index: u32| plan.distributions[index as usize].clone();
    assert_eq!(size(plan.sites[1].request_size), Distribution::Constant(100.0));
    assert_eq!(plan.sites[0].request_size, NO_SIZE);
    assert_eq!(size(plan.sites[2].request_size), Distribution::Constant(1024.0));
    assert_eq!(size(plan.sites[2].response_size), Distribution::Exponential { mean: 1e6 });
}

#[test]
fn faults_take_shares_and_services() {
    let faults = "faults:
  - {at: 1s, crash: {service: s, share: 25%, mode: hang}}
  - {at: 2s, crash: {service: s, share: 1%}}
  - {at: 3s, for: 100s, slow: {service: s, share: 99%, add: 5ms}}
  - {at: 4s, slow: {service: s, factor: 0.5}}
  - {at: 4s, crash: {endpoint: s/s-1}}
";
    let text = with_steps("[]").replace("replicas: 2", "replicas: 6") + faults;
    let scenario = valid(&text);
    let variant = only(&scenario);
    let plan = &variant.plan;
    // A quarter of six is one and a half, which goes up; one per cent is at least one.
    let counts: Vec<&TargetPlan> = plan.faults.iter().map(|fault| &fault.target).collect();
    assert_eq!(counts[0], &TargetPlan::Some { service: 0, count: 2 });
    assert_eq!(counts[1], &TargetPlan::Some { service: 0, count: 1 });
    assert_eq!(counts[2], &TargetPlan::Endpoints((0..6).collect()));
    assert_eq!(counts[4], &TargetPlan::Endpoints(vec![1]));
    let hang = FaultKind::Crash {
        mode: CrashMode::Hang,
        cold_start: None,
    };
    assert_eq!(plan.faults[0].kind, hang);
    assert_eq!(plan.faults[0].lasts, Duration::MAX);
    let FaultKind::SlowAdd(distribution) = plan.faults[2].kind else {
        panic!("{:?}", plan.faults[2].kind)
    };
    assert_eq!(plan.distributions[distribution as usize], millis(5));
    let labels: Vec<&str> = variant.faults.iter().map(|fault| fault.label.as_str()).collect();
    assert_eq!(
        labels,
        [
            "hang 2 of 6 of s",
            "crash 1 of 6 of s",
            "slow s by 5ms",
            "slow s 0.5 times",
            "crash s/s-1"
        ]
    );
    let end = Time(10_000_000_000);
    assert!(variant.faults.iter().all(|fault| fault.until == end), "not beyond the run");
}

#[test]
fn aliases_and_merge_keys_are_written_out() {
    let scenario = valid(
        "
apiVersion: meshsim/v1
duration: 10s
topology:
  services:
    a: &service
      replicas: 3
      cores: 2
      operations: {get: &steps [{work: 1ms}]}
    b:
      <<: *service
      replicas: 5
    c: {<<: [{cores: 7}, *service], operations: {get: *steps, put: *steps}}
clients: {c: {call: c/put, arrivals: {poisson: {rate: 10/s}}}}
",
    );
    let plan = &only(&scenario).plan;
    let sizes: Vec<(u32, u32)> = plan
        .services
        .iter()
        .map(|service| (service.endpoint_count, service.cores))
        .collect();
    assert_eq!(sizes, [(3, 2), (5, 2), (3, 7)]);
    assert_eq!(plan.operations.len(), 4);
}

#[test]
fn digests_tell_plans_apart_and_ignore_how_they_are_written() {
    let digest = |text: &str| valid(text).digest;
    let base = with_steps("[{work: 1ms}]");
    let same = format!("# A comment.\n{}", base.replace("duration: 10s", "duration:   '10s'"));
    assert_eq!(digest(&base), digest(&same));
    assert_ne!(digest(&base), digest(&with_steps("[{work: 2ms}]")));
    let seed = Overrides {
        seed: Some(7),
        ..Overrides::default()
    };
    assert_ne!(digest(&base), valid_with(&base, &seed).digest);
}

#[test]
fn estimates_follow_the_graph_of_calls() {
    let text = with_steps(
        "[{call: t/a, repeat: 3}, {call: t/b, probability: 50%}, {choose: [{steps: [{call: t/a}]}, {weight: 3, steps: []}]}, {work: 1ms}]",
    );
    let estimate = valid(&text).estimate;
    // 10 requests a second, 10 seconds, 10 replications; each request is 1 call + 3 + 0.5 + 0.25, and as many pieces of work.
    assert_eq!(estimate.cells, 10);
    assert!((estimate.requests - 1000.0).abs() < 1e-6, "{estimate}");
    assert!((estimate.calls - 4750.0).abs() < 1e-6, "{estimate}");
    assert!(
        (estimate.events - (1000.0 + 2.0 * 4750.0 + 4750.0)).abs() < 1e-6,
        "{estimate}"
    );
    let closed = with_steps("[{work: 100ms}, {parallel: [{work: 50ms}, {work: 150ms, repeat: 2}]}]")
        .replace("poisson: {rate: 10/s}", "closed: {users: 5, think: 750ms}");
    // A round takes a second: 5 users, 10 seconds, 10 replications.
    let estimate = valid(&closed).estimate;
    assert!((estimate.requests - 500.0).abs() < 1e-6, "{estimate}");
}

#[test]
fn force_lifts_the_limits_of_size_but_not_those_of_sense() {
    let million = with_steps("[]").replace("replicas: 2", "replicas: 1000000");
    let refusal = problems(&million, &Overrides::default());
    assert!(refusal.contains("MS0070") && refusal.contains("estimate: "), "{refusal}");
    let force = Overrides {
        force: true,
        ..Overrides::default()
    };
    assert_eq!(only(&valid_with(&million, &force)).plan.endpoints.len(), 1_000_001);
    let absurd = with_steps("[]").replace("replicas: 2", "replicas: 4000000000");
    assert!(problems(&absurd, &force).contains("MS0071"));
}
