//! What connections cost in the model, where each call needs one to its endpoint, and where a policy pins calls to those that are open.

use meshsim::experiment::Experiment;
use meshsim::report::summary::ClientSummary;
use meshsim::report::{Results, Summary};
use meshsim::scenario::{Overrides, Source, load};

/// One caller, 20 calls a second of 2 ms, an endpoint 1 ms away: 4 ms on an open connection, 6 ms on a new one.
fn run(balancer: &str, pool: &str, replicas: u32, more: &str) -> Summary {
    let text = format!(
        "
apiVersion: meshsim/v1
duration: 10s
replications: 4
topology:
  network: {{same_zone: 1ms}}
  services:
    s:
      replicas: {replicas}
      concurrency: unlimited
      operations: {{get: [{{work: 2ms}}]}}
clients:
  c: {{call: s/get, arrivals: {{constant: {{rate: 20/s}}}}}}
mesh: {{balancer: {balancer}, connection_pool: {pool}}}
{more}
"
    );
    let (scenario, diagnostics) = load(&Source::from_text("test.yaml", text), &Overrides::default());
    let scenario = scenario.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    Results::new(&scenario, &Experiment::of(&scenario).run(1, |_| {})).summary
}

fn client(summary: &Summary) -> &ClientSummary {
    summary.variants[0].clients.get("c").expect("the client")
}

/// How many of 200 calls paid for a new connection, as the mean latency tells.
fn opened(balancer: &str, pool: &str, replicas: u32) -> f64 {
    let summary = run(balancer, pool, replicas, "");
    let mean = client(&summary)
        .latency_seconds
        .get("mean")
        .and_then(|mean| mean.value)
        .expect("there are calls");
    (mean - 0.004) / 0.002 * 200.0
}

fn check(balancer: &str, pool: &str, replicas: u32, expected: f64) {
    let found = opened(balancer, pool, replicas);
    assert!(
        (found - expected).abs() < 0.5,
        "{balancer} with {pool}: {found}, not {expected}"
    );
}

#[test]
fn a_call_on_an_open_connection_pays_no_set_up() {
    for (balancer, endpoints) in [("envoy/round_robin", 5.0), ("kube_proxy/ipvs_rr", 1.0)] {
        for protocol in ["http1", "http2"] {
            check(balancer, &format!("{{protocol: {protocol}}}"), 5, endpoints);
            // A call every 50 ms: no connection is there for the next one.
            check(balancer, &format!("{{protocol: {protocol}, idle_timeout: 20ms}}"), 5, 200.0);
            check(
                balancer,
                &format!("{{protocol: {protocol}, max_requests_per_connection: 1}}"),
                5,
                200.0,
            );
        }
    }
    // Each of five endpoints gets 40 calls, which need 10 connections of four; pinned, 200 calls need 50.
    check("envoy/round_robin", "{max_requests_per_connection: 4}", 5, 50.0);
    check("kube_proxy/ipvs_rr", "{max_requests_per_connection: 4}", 5, 50.0);
}

#[test]
fn pinned_connections_go_where_the_policy_says_and_stay_there() {
    let loads = |pool: &str| {
        let summary = run("kube_proxy/ipvs_rr", pool, 5, "");
        let endpoints = summary.variants[0]
            .services
            .get("s")
            .expect("the service")
            .endpoints
            .iter()
            .map(|(_, endpoint)| endpoint);
        let mut loads: Vec<f64> = endpoints
            .map(|endpoint| endpoint.requests_total.value.expect("a count"))
            .collect();
        loads.sort_by(f64::total_cmp);
        loads
    };
    // Four runs of 199 calls: the first comes after 50 ms.
    assert_eq!(loads("{protocol: http2}"), [0.0, 0.0, 0.0, 0.0, 796.0]);
    assert_eq!(loads("{max_requests_per_connection: 1}"), [156.0, 160.0, 160.0, 160.0, 160.0]);
}

#[test]
fn a_crash_ends_idle_connections_without_a_failed_call() {
    // The first server of the rotation has the connection. It crashes between two calls, and the next call opens one to the second.
    let crash = "faults:\n  - {at: 5025ms, for: 3s, crash: {endpoint: s/s-0}}";
    for protocol in ["http1", "http2"] {
        let summary = run("kube_proxy/ipvs_rr", &format!("{{protocol: {protocol}}}"), 2, crash);
        assert_eq!(client(&summary).availability_ratio.value, Some(1.0), "{protocol}");
        let loads = summary.variants[0]
            .services
            .get("s")
            .expect("the service")
            .endpoints
            .iter()
            .map(|(_, endpoint)| endpoint);
        let loads: Vec<f64> = loads
            .map(|endpoint| endpoint.requests_total.value.expect("a count"))
            .collect();
        assert!(loads.iter().all(|load| (load - 400.0).abs() <= 8.0), "{protocol}: {loads:?}");
    }
}

#[test]
fn a_connection_that_cannot_be_had_fails_all_who_wait_for_it() {
    for protocol in ["http1", "http2"] {
        for (mode, latency) in [("hang", 0.1), ("refuse", 0.002)] {
            let fault = format!("faults:\n  - {{at: 0s, crash: {{endpoint: s/s-0, mode: {mode}}}}}");
            let pool = format!("{{protocol: {protocol}, connect_timeout: 100ms}}");
            let summary = run("envoy/round_robin", &pool, 1, &fault);
            let failures = &client(&summary).failures_total;
            assert_eq!(
                failures.get("connect_failure"),
                Some(&796),
                "{protocol}, {mode}: {failures:?}"
            );
            let slowest = client(&summary).failed_latency_seconds.get("max").and_then(|max| max.value);
            // Who comes while it is being set up fails with it.
            assert!(
                slowest.is_some_and(|slowest| (slowest - latency).abs() < 0.002),
                "{protocol}, {mode}: {slowest:?}"
            );
        }
    }
}

#[test]
fn limited_connections_carry_what_plain_ones_do() {
    // A limit that is never reached changes nothing: 20 calls a second need one connection to each of five endpoints.
    for protocol in ["http1", "http2"] {
        let pool = format!("{{protocol: {protocol}, connect_timeout: 1s}}");
        check("envoy/round_robin", &pool, 5, 5.0);
        check(
            "envoy/round_robin",
            &format!("{{protocol: {protocol}, connect_timeout: 1s, idle_timeout: 20ms}}"),
            5,
            200.0,
        );
    }
    check(
        "envoy/round_robin",
        "{connect_timeout: 1s, max_requests_per_connection: 4}",
        5,
        50.0,
    );
}
