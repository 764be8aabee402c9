//! Faults, each through a scenario whose outcome is known: by arithmetic where arrivals and work are constant, else by a formula.

use std::process::Command;

use assert_cmd::cargo::cargo_bin;
use meshsim::model::{Elision, RunOptions, RunResult, run};
use meshsim::scenario::schema::fault::KINDS;
use meshsim::scenario::{self, Overrides, Scenario, Source};
use meshsim::time::{Duration, Time};

const MS: u128 = 1_000_000;

fn load(text: &str) -> Scenario {
    let source = Source::from_text("faults.yaml", text.to_string());
    let (scenario, diagnostics) = scenario::load(&source, &Overrides::default());
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    scenario.expect("without diagnostics there is a scenario")
}

fn run_variant(scenario: &Scenario, variant: usize, replication: u32) -> RunResult {
    let options = RunOptions {
        seed: scenario.seed,
        replication,
        warmup: Duration::ZERO,
        elision: Elision::On,
        pilot: false,
    };
    run(&scenario.variants[variant].plan, options)
}

/// One service `s` with `service` beside its operation, one client `c` in zone a, and what else is in `rest`.
fn scenario(duration: &str, service: &str, steps: &str, arrivals: &str, rest: &str) -> String {
    format!(
        "apiVersion: meshsim/v1
duration: {duration}
topology:
  zones: [a, b]
  services:
    s: {{{service}, operations: {{get: {steps}}}}}
clients:
  c: {{call: s/get, zone: a, arrivals: {arrivals}}}
{rest}
"
    )
}

/// A request each 100 ms for `duration`, 10 ms of work, a slot for everybody.
fn steady(duration: &str, service: &str, rest: &str) -> RunResult {
    let text = scenario(duration, service, "[{work: 10ms}]", "{constant: {rate: 10/s}}", rest);
    run_variant(&load(&text), 0, 0)
}

fn near(value: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((value - expected).abs() <= tolerance, "{what}: {value}, expected {expected}");
}

fn seconds(time: Time) -> f64 {
    time.0 as f64 / 1e9
}

/// The windows of a fault, in seconds.
fn windows(result: &RunResult, fault: u32) -> Vec<(f64, f64)> {
    let of = result.fault_windows.iter().filter(|window| window.0 == fault);
    of.map(|&(_, from, to)| (seconds(from), seconds(to))).collect()
}

#[test]
fn one_of_four_endpoints_down_fails_a_quarter() {
    for (mode, cause) in [("refuse", "connect_failure"), ("reset", "reset"), ("hang", "timeout")] {
        let rest =
            format!("mesh: {{timeout: 50ms}}\nfaults: [{{at: 10s, for: 40s, crash: {{service: s, count: 1, mode: {mode}}}}}]");
        let result = steady("60s", "replicas: 4", &rest);
        let failures = &result.clients[0].failures;
        assert_eq!(failures.by_cause(), [(cause.to_string(), 100)], "{mode}");
    }
}

#[test]
fn lists_nodes_and_everybody_are_struck() {
    let endpoints = "endpoints: [{node: n1}, {node: n2}, {node: n1}, {zone: b}]";
    for (target, lost) in [
        ("crash: {endpoint: [s/s-0, s/s-3]}", 2),
        ("node_loss: {node: n1, mode: refuse}", 2),
        ("crash: {node: [n1, n2]}", 3),
        ("crash: {all: true}", 4),
        ("dependency_outage: {service: s}", 4),
        // Without a zone of their own endpoints take the zones in turn: a, b, a.
        ("zone_loss: {zone: b, mode: refuse}", 2),
        ("crash: {zone: [a, b]}", 4),
        ("crash: {service: [s], share: 50%}", 2),
    ] {
        let result = steady("40050ms", endpoints, &format!("faults: [{{at: 0s, {target}}}]"));
        assert_eq!(result.clients[0].failures.connect_failure, 100 * lost, "{target}");
    }
}

#[test]
fn errors_hit_their_share_and_the_same_requests_whoever_serves_them() {
    let rest = "mesh: {balancer: envoy/random}
faults: [{at: 0s, errors: {service: s, share: 30%, grpc_code: unavailable}}]
variants:
  random: {}
  least: {mesh: {balancer: envoy/least_request}}
  more: {faults: [{at: 0s, errors: {service: s, share: 40%, status: 500}}]}
";
    let text = scenario("200s", "replicas: 5", "[{work: 1ms}]", "{poisson: {rate: 100/s}}", rest);
    let scenario = load(&text);
    let results: Vec<RunResult> = (0..3).map(|variant| run_variant(&scenario, variant, 0)).collect();
    let failed = |at: usize, status: u16| {
        let statuses = &results[at].clients[0].failures.statuses;
        assert_eq!(statuses.len(), 1);
        assert_eq!(statuses[0].0, status);
        statuses[0].1
    };
    let requests = results[0].clients[0].requests as f64;
    // Four standard deviations of a binomial share.
    near(
        failed(0, 503) as f64 / requests,
        0.3,
        4.0 * (0.21 / requests).sqrt(),
        "errors",
    );
    assert_eq!(failed(0, 503), failed(1, 503), "a coin belongs to the attempt");
    near(
        failed(2, 500) as f64 / requests,
        0.4,
        4.0 * (0.24 / requests).sqrt(),
        "more errors",
    );
}

#[test]
fn some_requests_are_never_answered() {
    let rest = "mesh: {timeout: 100ms}\nfaults: [{at: 0s, hang_share: {service: s, share: 20%}}]";
    let text = scenario("200s", "replicas: 2", "[{work: 1ms}]", "{poisson: {rate: 100/s}}", rest);
    let result = run_variant(&load(&text), 0, 0);
    let requests = result.clients[0].requests as f64;
    let share = result.clients[0].failures.timeout as f64 / requests;
    near(share, 0.2, 4.0 * (0.16 / requests).sqrt(), "timeouts");
    assert_eq!(result.services[0].failures.unfinished, result.clients[0].failures.timeout);
}

#[test]
fn a_restart_is_followed_by_a_cold_start() {
    let rest = "faults: [{at: 10050ms, restart: {service: s, down: 5s, cold_start: {factor: 5, for: 10s}}}]";
    let result = steady("60s", "replicas: 1", rest);
    assert_eq!(result.clients[0].failures.connect_failure, 50);
    // Up again at 15.05 s; a request at t takes 10 ms times 1 + 4 (1 - (t - 15.05) / 10).
    let cold: f64 = (0..100).map(|i| 40.0 * (1.0 - (0.05 + 0.1 * f64::from(i)) / 10.0)).sum();
    let served = result.clients[0].latency.count() as f64;
    near(
        result.clients[0].latency.sum() as f64 / 1e6,
        10.0 * served + cold,
        0.01,
        "latency",
    );

    let rest = "faults: [{at: 10050ms, for: 5s, crash: {service: s, cold_start: {factor: 5, requests: 10}}}]";
    let result = steady("60s", "replicas: 1", rest);
    let cold: f64 = (0..10).map(|i| 40.0 * (1.0 - f64::from(i) / 10.0)).sum();
    let served = result.clients[0].latency.count() as f64;
    near(
        result.clients[0].latency.sum() as f64 / 1e6,
        10.0 * served + cold,
        0.01,
        "caches warm up",
    );
}

/// The wall time of `work` milliseconds of CPU time on `threads` threads, from the begin of a period of 100 ms on.
fn throttled(limit: f64, threads: u32, work: f64, discipline: &str) -> f64 {
    let service = format!("replicas: 1, cores: {threads}, queue: {{discipline: {discipline}}}");
    let steps = format!(
        "[{{parallel: [{{work: {}us, repeat: {threads}}}]}}]",
        work * 1000.0 / f64::from(threads)
    );
    let rest = format!("faults: [{{at: 0s, cpu_throttle: {{service: s, limit: {limit}, phase: 0s}}}}]");
    let text = scenario("10s", &service, &steps, "{constant: {rate: 1/s}}", &rest);
    let latency = run_variant(&load(&text), 0, 0).clients[0].latency.clone();
    assert_eq!(latency.min(), latency.max(), "each request is alone");
    latency.mean().expect("there are requests") / 1e6
}

#[test]
fn throttling_is_that_of_cfs() {
    // CFS bandwidth control with a period of 100 ms: the quota of a period is used up in quota / threads, then all sleep until the next.
    for (limit, threads, work, wall) in [
        (1.0, 1, 250.0, 250.0),
        (1.0, 4, 250.0, 212.5),
        (0.5, 1, 200.0, 350.0),
        (0.2, 2, 30.0, 105.0),
        (2.0, 8, 180.0, 22.5),
        (0.2, 1, 50.0, 210.0),
    ] {
        for discipline in ["fifo", "ps"] {
            let measured = throttled(limit, threads, work, discipline);
            near(
                measured,
                wall,
                0.001,
                &format!("{limit} cores, {threads} threads, {work} ms, {discipline}"),
            );
        }
    }
}

#[test]
fn a_pause_holds_up_what_is_there_and_what_comes() {
    for discipline in ["fifo", "lifo", "ps"] {
        let service = format!("replicas: 1, cores: 64, queue: {{discipline: {discipline}}}");
        // Those that come at 1.0, 1.1 … 1.4 s wait for 1.5 s; those that come earlier or later do not.
        let latency = steady("5s", &service, "faults: [{at: 1s, for: 500ms, pause: {service: s}}]").clients[0]
            .latency
            .clone();
        let extra = (500 + 400 + 300 + 200 + 100) * MS;
        assert_eq!(latency.sum(), u128::from(latency.count()) * 10 * MS + extra, "{discipline}");
        // Work in progress stops: 100 ms for the request of 1.0 s, 5 ms for that of 1.1 s.
        let latency = steady("5s", &service, "faults: [{at: 1005ms, for: 100ms, pause: {service: s}}]").clients[0]
            .latency
            .clone();
        assert_eq!(
            latency.sum(),
            u128::from(latency.count()) * 10 * MS + 105 * MS,
            "{discipline}"
        );
        // A pause within slowness stops the slow work, and two reasons to stand still last as long as the longer.
        let rest = "faults:
  - {at: 990ms, for: 400ms, slow: {service: s, factor: 2}}
  - {at: 1005ms, for: 50ms, pause: {service: s}}
  - {at: 1015ms, for: 20ms, pause: {endpoint: s/s-0}}";
        let latency = steady("5s", &service, rest).clients[0].latency.clone();
        // The four of 1.0 to 1.3 s take 10 ms more, and the first 50 ms more than that.
        assert_eq!(latency.sum(), u128::from(latency.count()) * 10 * MS + 90 * MS, "{discipline}");
    }
}

#[test]
fn pauses_that_come_again_add_their_mean_wait() {
    let rest = "faults: [{at: 0s, pause: {service: s, every: 1s, duration: 100ms}}]";
    let text = scenario("400s", "replicas: 4", "[{work: 0ms}]", "{poisson: {rate: 200/s}}", rest);
    let result = run_variant(&load(&text), 0, 0);
    // Whoever meets a pause (one in ten) waits half of it on average.
    let mean = result.clients[0].latency.mean().expect("there are requests") / 1e6;
    near(mean, 5.0, 0.4, "mean wait");
}

#[test]
fn a_leak_ends_in_kills_with_back_off() {
    let rest = "faults: [{at: 0s, memory_leak: {service: s, per_request: 1MB, limit: 100MB, restart: 2s}}]";
    let result = steady("60s", "replicas: 1", rest);
    let failures = &result.clients[0].failures;
    // Every hundredth request served kills the process: at 10, 22 and 44 s. It is down for 2 s, then for 10 + 2 s, then for 20 + 2 s, of
    // which the last 16 s are within the run.
    assert_eq!(failures.reset, 3);
    near(failures.connect_failure as f64, 20.0 + 120.0 + 160.0, 3.0, "refused");
    // By time alone: 10 s of life.
    let rest = "faults: [{at: 0s, memory_leak: {service: s, per_second: 10MB, limit: 100MB, restart: 2s}}]";
    let result = steady("23s", "replicas: 1", rest);
    near(result.clients[0].failures.total() as f64, 20.0 + 10.0, 2.0, "refused");
}

#[test]
fn nothing_crosses_a_partition() {
    let base = |faults: &str| {
        let rest = format!("mesh: {{timeout: 50ms, retry: {{num_retries: 1, retry_on: 5xx}}}}\nfaults: {faults}");
        steady("30s", "endpoints: [{zone: b}]", &rest)
    };
    let arrived = |result: &RunResult| -> u64 { result.services[0].attempts_over_time.sums()[100..200].iter().sum() };
    for (faults, requests_arrive) in [
        ("[{at: 10s, for: 10s, partition: {zone: b}}]", false),
        ("[{at: 10s, for: 10s, partition: {from: {zone: a}, to: {zone: b}}}]", false),
        (
            "[{at: 10s, for: 10s, partition: {from: {client: c}, to: {endpoint: s/s-0}, one_way: true}}]",
            false,
        ),
        ("[{at: 10s, for: 10s, partition: {from: {service: s}, one_way: true}}]", true),
    ] {
        let result = base(faults);
        assert_eq!(result.services[0].attempts_over_time.sums().len(), 300, "buckets of 100 ms");
        assert_eq!(arrived(&result), if requests_arrive { 100 } else { 0 }, "{faults}");
        assert_eq!(
            result.clients[0].failures.by_cause(),
            [("timeout".to_string(), 100)],
            "{faults}"
        );
    }
    // Packets on their way are lost as well: the answer of the request of 10.0 s, whose work takes 10 ms.
    let result = base("[{at: 10005ms, for: 10ms, partition: {zone: b}}]");
    assert_eq!(result.clients[0].failures.timeout, 1);
}

#[test]
fn losses_cost_retransmissions() {
    let rest = "faults: [{at: 0s, loss: {probability: 10%}}]";
    let text = scenario("400s", "replicas: 2", "[{work: 0ms}]", "{poisson: {rate: 100/s}}", rest)
        .replace("  services:", "  network: {same_zone: 1ms, cross_zone: 1ms}\n  services:");
    let mean = run_variant(&load(&text), 0, 0).clients[0]
        .latency
        .mean()
        .expect("there are requests")
        / 1e6;
    // The k-th loss in a row (with probability p^k) adds 200 ms times 2^(k-1): p / (1 - 2p) of 200 ms, each way.
    near(mean, 2.0 * (1.0 + 200.0 * 0.1 / 0.8), 3.0, "latency");
}

#[test]
fn links_become_slow_and_narrow() {
    let latency = |faults: &str| {
        let text = scenario(
            "10s",
            "endpoints: [{zone: b}]",
            "[{work: 10ms}]",
            "{constant: {rate: 1/s}}, request_size: 100kB",
            faults,
        );
        let latency = run_variant(&load(&text), 0, 0).clients[0].latency.clone();
        assert_eq!(latency.min(), latency.max());
        latency.mean().expect("there are requests") / 1e6
    };
    assert_eq!(latency(""), 10.0);
    assert_eq!(
        latency("faults: [{at: 0s, latency: {zone: b, add: 50ms, jitter: 5ms}}]"),
        120.0
    );
    assert_eq!(
        latency("faults: [{at: 0s, latency: {from: {zone: b}, one_way: true, add: 50ms}}]"),
        60.0
    );
    assert_eq!(
        latency("faults: [{at: 0s, latency: {from: {zone: b}, to: {zone: b}, add: 50ms}}]"),
        10.0
    );
    // 100 kB at 8 Mbit/s.
    assert_eq!(latency("faults: [{at: 0s, bandwidth: {limit: 8Mbps}}]"), 110.0);
}

#[test]
fn proxies_delay_abort_and_cut_short() {
    let run = |faults: &str| {
        let rest = format!("mesh: {{retry: {{num_retries: 3, retry_on: 5xx}}}}\nfaults: {faults}");
        let text = scenario(
            "400s",
            "replicas: 2",
            "[{work: 10ms}]",
            "{poisson: {rate: 50/s}}, callers: 100",
            &rest,
        );
        run_variant(&load(&text), 0, 0)
    };
    let result = run("[{at: 0s, delay: {percentage: {value: 20}, fixed_delay: 1s}}]");
    let mean = result.clients[0].latency.mean().expect("there are requests") / 1e6;
    near(mean, 10.0 + 200.0, 12.0, "latency");
    // An abort is final: the proxy's own retries do not see it.
    let result = run("[{at: 0s, abort: {to: s, percentage: 10%, http_status: 500}}]");
    let requests = result.clients[0].requests as f64;
    assert_eq!(result.clients[0].failures.total(), result.clients[0].failures.statuses[0].1);
    near(
        result.clients[0].failures.total() as f64 / requests,
        0.1,
        4.0 * (0.09 / requests).sqrt(),
        "aborts",
    );
    // The timeout is shorter than the work: all requests of a quarter of the callers fail.
    let result = run("[{at: 0s, bad_config: {from: {client: c}, share: 25%, timeout: 1ms}}]");
    near(result.clients[0].failures.timeout as f64 / requests, 0.25, 0.17, "callers");
    assert!(result.clients[0].failures.total() == result.clients[0].failures.timeout);
}

#[test]
fn a_spike_leaves_other_arrivals_as_they_are() {
    let rest = "variants:
  calm: {}
  spike: {faults: [{at: 100s, for: 100s, spike: {client: c, factor: 2.5}}]}
  lull: {faults: [{at: 100s, for: 100s, spike: {client: c, factor: 0.5}}]}
";
    let text = scenario("300s", "replicas: 2", "[{work: 1ms}]", "{poisson: {rate: 100/s}}", rest).replace(
        "clients:",
        "clients:\n  other: {call: s/get, arrivals: {poisson: {rate: 50/s}}}",
    );
    let scenario = load(&text);
    let [calm, spike, lull] = [0, 1, 2].map(|variant| run_variant(&scenario, variant, 0));
    let sent = |result: &RunResult, client: usize| result.clients[client].requests_over_time.sums().to_vec();
    for other in [&spike, &lull] {
        assert_eq!(sent(other, 0), sent(&calm, 0));
        for range in [0..100, 200..300] {
            assert_eq!(sent(other, 1)[range.clone()], sent(&calm, 1)[range], "before and after");
        }
    }
    let within = |result: &RunResult| sent(result, 1)[100..200].iter().sum::<u64>() as f64;
    near(within(&spike), 25_000.0, 4.0 * 25_000_f64.sqrt(), "spike");
    near(within(&lull), 5_000.0, 4.0 * 5_000_f64.sqrt(), "lull");
}

#[test]
fn a_hot_key_goes_to_one_endpoint() {
    let rest = "mesh: {balancer: envoy/ring_hash}\nfaults: [{at: 50s, for: 50s, hot_key: {share: 60%, key: 7}}]";
    let arrivals = "{poisson: {rate: 100/s}}, key: {uniform: {keys: 10000}}";
    let text = scenario("100s", "replicas: 10", "[{work: 1ms}]", arrivals, rest);
    let result = run_variant(&load(&text), 0, 0);
    let share = |range: std::ops::Range<usize>| {
        let loads: Vec<u64> = result
            .endpoints
            .iter()
            .map(|endpoint| endpoint.attempts_over_time.sums()[range.clone()].iter().sum())
            .collect();
        *loads.iter().max().expect("ten endpoints") as f64 / loads.iter().sum::<u64>() as f64
    };
    let buckets = result.endpoints[0].attempts_over_time.sums().len();
    let before = share(0..buckets / 2);
    let during = share(buckets / 2..buckets);
    assert!(before < 0.2, "{before}");
    near(during, 0.6 + 0.4 * 0.1, 0.05, "the endpoint of key-7");
}

#[test]
fn random_faults_have_the_availability_of_renewal_theory() {
    let rest = "mesh: {timeout: 1s}
faults: [{random: {mttf: {exponential: {mean: 50s}}, mttr: {exponential: {mean: 10s}}}, name: flaky, crash: {service: s}}]
variants:
  round_robin: {}
  random: {mesh: {balancer: envoy/random}}
";
    let text = scenario("2000s", "replicas: 100", "[{work: 1ms}]", "{poisson: {rate: 1/s}}", rest);
    let scenario = load(&text);
    let first = run_variant(&scenario, 0, 0);
    let down: f64 = windows(&first, 0).iter().map(|(from, to)| to - from).sum();
    // An alternating renewal process: mttr / (mttf + mttr) of the time; about 3300 cycles make a standard error of 2.5 %.
    near(down / (100.0 * 2000.0), 1.0 / 6.0, 0.1 / 6.0, "down");
    assert_eq!(scenario.variants[0].plan.faults[0].label, "flaky");
    assert_eq!(
        first.fault_windows,
        run_variant(&scenario, 1, 0).fault_windows,
        "the same in every variant"
    );
    assert_ne!(
        first.fault_windows,
        run_variant(&scenario, 0, 1).fault_windows,
        "others in another replication"
    );
}

#[test]
fn zones_fail_together() {
    let rest = "faults: [{random: {mttf: 30s, mttr: {exponential: {mean: 10s}}, correlated: zone}, crash: {service: s}}]";
    let text = scenario("100s", "replicas: 10", "[{work: 1ms}]", "{constant: {rate: 10/s}}", rest);
    let result = run_variant(&load(&text), 0, 0);
    // A time to failure of its own for each of the two zones, the same for a constant: both go down at 30 s.
    let windows = windows(&result, 0);
    assert_eq!(windows.iter().filter(|window| window.0 == 30.0).count(), 2);
    assert_ne!(windows[0].1, windows[1].1, "but they are repaired at different times");
}

#[test]
fn faults_repeat_and_follow_each_other() {
    let faults = "faults:
  - {name: first, at: 10s, for: 5s, crash: {service: s, count: 1}}
  - {after: first, at: 2s, for: 3s, slow: {service: s, factor: 2}}
  - {after: previous, until: 25s, pause: {service: s}}
  - {at: 30s, for: 1s, every: 10s, until: 65s, dns_down: {}}
  - {at: 90s, registry_down: {}}
  - {at: 1s, for: 1s, control_plane_down: {}}
  - {at: 3s, for: 1s, stale_endpoints: {}}";
    let result = steady("100s", "replicas: 2", faults);
    assert_eq!(windows(&result, 0), [(10.0, 15.0)]);
    assert_eq!(windows(&result, 1), [(17.0, 20.0)]);
    assert_eq!(windows(&result, 2), [(20.0, 25.0)]);
    assert_eq!(windows(&result, 3), [(30.0, 31.0), (40.0, 41.0), (50.0, 51.0), (60.0, 61.0)]);
    assert_eq!(windows(&result, 4), [(90.0, 100.0)]);
    assert_eq!(windows(&result, 5), [(1.0, 2.0)]);
    assert_eq!(windows(&result, 6), [(3.0, 4.0)]);
}

fn policies(name: &str) -> (bool, String) {
    let output = Command::new(cargo_bin("meshsim"))
        .args(["policies", name])
        .output()
        .expect("the program runs");
    (output.status.success(), String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn all_faults_are_listed_with_their_options() {
    let (_, list) = policies("faults");
    for kind in KINDS {
        assert!(
            list.lines().any(|line| line.trim_start().starts_with(&format!("{kind} "))),
            "{kind} in\n{list}"
        );
        let (success, text) = policies(&format!("faults/{kind}"));
        assert!(success && text.starts_with(&format!("faults/{kind}: ")), "{text}");
    }
    let (_, crash) = policies("faults/crash");
    for option in ["endpoint", "mode", "cold_start.factor"] {
        assert!(
            crash.lines().any(|line| line.trim_start().starts_with(option)),
            "{option} in\n{crash}"
        );
    }
    assert!(!policies("faults/crsh").0);
}

/// Failures of a client with 10 requests a second in 60 s, by cause.
fn failures_with(replicas: u32, mesh: &str, rest: &str) -> Vec<(String, u64)> {
    let result = steady(
        "60s",
        &format!("replicas: {replicas}"),
        &format!("mesh: {{timeout: 50ms, {mesh}}}\n{rest}"),
    );
    result.clients[0].failures.by_cause()
}

#[test]
fn wrong_addresses_hold_until_callers_are_told_the_right_ones() {
    let wrong = |options: &str| format!("faults: [{{at: 10.05s, for: 10s, wrong_endpoints: {{{options}}}}}]");
    for (options, cause) in [
        ("", "timeout"),
        ("mode: refuse", "connect_failure"),
        ("to: s, mode: reset", "reset"),
        ("from: {client: c}, status: 421", "421"),
    ] {
        // Told 5 ms, or 105 ms, after each change: as long after the end as after the begin.
        for discovery in ["linkerd", "istio"] {
            for pool in ["", ", connection_pool: {connect_timeout: 40ms}"] {
                // A connection that nobody answers fails after its own time.
                let is_hanging = cause == "timeout" && !pool.is_empty();
                let cause = if is_hanging { "connect_failure" } else { cause };
                let found = failures_with(4, &format!("discovery: {discovery}{pool}"), &wrong(options));
                let count: u64 = found.iter().map(|found| found.1).sum();
                assert_eq!(count, 100, "{options} by {discovery}{pool}: {found:?}");
                // A reset is noticed while the connection is set up, where there is one.
                if cause != "reset" || pool.is_empty() {
                    assert_eq!(found, [(cause.to_string(), 100)], "{options} by {discovery}{pool}");
                }
            }
        }
    }
    // Asked every 20 s, at a phase of its own: one answer that comes in the 10 s holds for 20 s.
    let found = failures_with(4, "discovery: {poll: {interval: 20s}}", &wrong("mode: refuse"));
    let count: u64 = found.iter().map(|found| found.1).sum();
    assert!(count == 0 || (195..=205).contains(&count), "{found:?}");
    assert_eq!(failures_with(4, "discovery: static", &wrong("mode: refuse")), []);
    // A share of the callers: each is drawn for it, as the caller of each request is.
    let text = scenario(
        "60s",
        "replicas: 4",
        "[{work: 10ms}]",
        "{constant: {rate: 100/s}}, callers: 200",
        &format!("mesh: {{discovery: linkerd}}\n{}", wrong("share: 25%, mode: refuse")),
    );
    let found = run_variant(&load(&text), 0, 0).clients[0].failures.by_cause();
    let (cause, count) = &found[0];
    // 1000 requests of 200 callers: 250 with a standard error of sqrt((200 * 5 * 5 + 1000) * 0.25 * 0.75) = 34.
    assert_eq!((found.len(), cause.as_str()), (1, "connect_failure"));
    assert!((150..=350).contains(count), "{count}");
}

#[test]
fn a_slow_control_plane_is_late_by_so_much() {
    let found = |discovery: &str, slow: &str| {
        let faults = format!("faults:\n  - {{at: 20s, for: 30s, crash: {{endpoint: s/s-1}}}}\n{slow}");
        let found = failures_with(2, &format!("discovery: {discovery}"), &faults);
        found.iter().map(|found| found.1).sum::<u64>()
    };
    let add = "  - {at: 0s, control_plane_slow: {add: 3s}}";
    for discovery in ["linkerd", "istio", "kube_proxy"] {
        // Three seconds are 30 requests, of which the crashed endpoint gets every other one.
        assert_eq!(found(discovery, add), found(discovery, "") + 15, "{discovery}");
    }
    // A change takes 100 ms to the status, 200 ms to the slices, 95 ms of quiet and 5 ms of push: ten times that more is 4 s.
    let kubernetes = "kubernetes: {status_update_delay: 100ms, watch_delay: 100ms}";
    let istio = format!("{{xds: {{debounce_after: 95ms, {kubernetes}}}}}");
    let factor = "  - {at: 0s, control_plane_slow: {factor: 11}}";
    assert_eq!(found(&istio, factor), found(&istio, "") + 20);
    // Linkerd's way lacks the quiet: 305 ms, so 3.05 s.
    let linkerd = format!("{{linkerd: {{{kubernetes}}}}}");
    let late = found(&linkerd, factor) - found(&linkerd, "");
    assert!((15..=16).contains(&late), "{late}");
    // What is over before the crash, and what is about others, does not matter.
    let before = "  - {at: 0s, for: 10s, control_plane_slow: {factor: 100, add: 30s}}";
    assert_eq!(found(&istio, before), found(&istio, ""));
    let dns = "{dns: {ttl: 5s}}";
    assert_eq!(found(dns, add), found(dns, ""));
}
