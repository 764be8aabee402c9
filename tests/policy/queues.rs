//! What becomes of requests that wait: controlled delay, adaptive LIFO, patience, deadlines, shedding. Each against its formula, or against what it is for.

use meshsim::model::{Elision, RunOptions, RunResult};
use meshsim::policy::overload::codel::{Codel, Options};
use meshsim::scenario::{self, Overrides, Source};
use meshsim::time::{Duration, Time};
use serde_json::{Value, json};

use super::evidence::Evidence;

pub const EVIDENCE: &[Evidence] = &[Evidence {
    policy: "folly/codel",
    against: "Scripts of the state machine in the upstream source",
    check: codel_script,
}];

/// Milliseconds at which requests' turns come, what they have waited, and whether they are turned away.
fn codel_script() -> String {
    let options = Options::default();
    let mut codel = Codel::default();
    let script = [
        // The first of an interval is let through, and nothing is known of an interval before.
        (1, 50, false),
        (50, 50, false),
        (102, 50, false),
        // The shortest delay was above 5 ms: from now on above 10 ms is too long.
        (103, 50, true),
        (104, 10, false),
        (105, 11, true),
        // One short delay, and the next interval is a good one.
        (150, 4, false),
        (151, 50, true),
        (203, 50, false),
        (204, 50, false),
        (304, 50, false),
        (305, 50, true),
    ];
    for (at, delay, expected) in script {
        let dropped = codel.drops(&options, Duration::from_millis(delay), Time::ZERO + Duration::from_millis(at));
        assert_eq!(dropped, expected, "at {at} ms");
    }
    format!("{} of {} decisions", script.len(), script.len())
}

fn run(scenario: &Value, warmup: u64) -> RunResult {
    let source = Source::from_text("queues.yaml", scenario.to_string());
    let (loaded, diagnostics) = scenario::load(&source, &Overrides::default());
    let scenario = loaded.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    let options = RunOptions {
        seed: 8,
        replication: 0,
        warmup: Duration::from_secs(warmup),
        elision: Elision::On,
        pilot: false,
    };
    meshsim::model::run(&scenario.variants[0].plan, options)
}

fn one_service(service: &Value, mesh: &Value, clients: &Value, seconds: u32) -> Value {
    let mut node = json!({"replicas": 1, "concurrency": 1, "operations": {"get": [{"work": "10ms"}]}});
    for (key, value) in service.as_object().into_iter().flatten() {
        node[key] = value.clone();
    }
    json!({
        "apiVersion": "meshsim/v1", "seed": 8, "duration": format!("{seconds}s"), "replications": 1,
        "topology": {"services": {"node": node}}, "clients": clients, "mesh": mesh
    })
}

fn client(rate: u32) -> Value {
    json!({"client": {"call": "node/get", "arrivals": {"poisson": {"rate": format!("{rate}/s")}}}})
}

#[test]
fn controlled_delay_is_that_of_folly() {
    println!("{}", codel_script());
}

/// Twice what can be served: first in, first out everybody waits for the whole queue; the youngest first, or with controlled delay, those who
/// are served are served soon; and as many are.
#[test]
fn in_overload_few_wait_long() {
    let measure = |queue: Value| {
        let result = run(&one_service(&json!({"queue": queue}), &json!({}), &client(200), 60), 10);
        let latency = &result.clients[0].latency;
        (
            latency.quantile(0.5).expect("some are served") / 1e6,
            latency.count() as f64 / 50.0,
        )
    };
    let (fifo, served) = measure(json!({"limit": 100}));
    assert!(fifo > 950.0 && (served - 100.0).abs() < 2.0, "{fifo} ms, {served}/s");
    let (youngest, served) = measure(json!({"limit": 100, "discipline": "adaptive_lifo", "lifo_switch_threshold": 5}));
    assert!(youngest < 60.0 && (served - 100.0).abs() < 2.0, "{youngest} ms, {served}/s");
    let (controlled, served) = measure(json!({"codel": {"target": "20ms", "interval": "100ms"}}));
    assert!(
        controlled < 100.0 && (served - 100.0).abs() < 4.0,
        "{controlled} ms, {served}/s"
    );
    // While few wait the order is that of arrival: latencies are those of first in, first out.
    let light = |queue: Value| {
        let result = run(&one_service(&json!({"queue": queue}), &json!({}), &client(50), 60), 10);
        result.clients[0].latency.clone()
    };
    assert_eq!(
        light(json!({})),
        light(json!({"discipline": "adaptive_lifo", "lifo_switch_threshold": 1000}))
    );
}

/// M/M/c whose customers leave the queue after a fixed time D (M/M/c+D, Barrer 1957). The density of the wait of one who would not leave is
/// l p(c-1) exp(-(c m - l) x) up to D and falls with c m beyond, which is the share that leaves.
#[test]
fn patience_ends_as_the_formula_says() {
    for (slots, rate, patience) in [(1, 80, 0.030), (1, 150, 0.020), (3, 280, 0.010)] {
        let (arrivals, served, c) = (f64::from(rate), 100.0, f64::from(slots));
        let (mut weight, mut below) = (1.0, 0.0);
        for n in 0..slots {
            if n > 0 {
                weight *= arrivals / served / f64::from(n);
            }
            below += weight;
        }
        let spare = c * served - arrivals;
        let at_end = libm::exp(-spare * patience);
        let waiting = arrivals * weight * (1.0 - at_end) / spare;
        let beyond = arrivals * weight * at_end / (c * served);
        let expected = beyond / (below + waiting + beyond);
        let service = json!({
            "concurrency": slots, "queue": {"timeout": format!("{}ms", patience * 1e3)},
            "operations": {"get": [{"work": {"exponential": {"mean": "10ms"}}}]}
        });
        let result = run(&one_service(&service, &json!({}), &client(rate), 2000), 10);
        let client = &result.clients[0];
        let left = client.failures.total() as f64 / client.requests as f64;
        assert!((left - expected).abs() < 0.006, "{slots} slots: {left}, and not {expected}");
    }
}

/// Nested calls end by the deadline of the request that they are made for.
#[test]
fn deadlines_go_along_with_calls() {
    let measure = |mesh: Value| {
        let scenario = json!({
            "apiVersion": "meshsim/v1", "seed": 8, "duration": "10s", "replications": 1,
            "topology": {"services": {
                "front": {"replicas": 1, "operations": {"get": [{"work": "10ms"}, {"call": "back/get", "on_error": "ignore"}, {"call": "back/get"}]}},
                "back": {"replicas": 1, "operations": {"get": [{"work": "100ms"}]}}
            }},
            "clients": {"client": {"call": "front/get", "timeout": "30ms", "arrivals": {"constant": {"rate": "10/s"}}}},
            "mesh": mesh
        });
        run(&scenario, 0)
    };
    let without = measure(json!({}));
    assert_eq!(without.edges[1].failures.total(), 0);
    // The last one comes when nothing is measured any more.
    assert_eq!(without.services[1].attempts, 2 * without.clients[0].requests - 1);
    let with = measure(json!({"deadline_propagation": true}));
    // The first call ends after 20 ms, the second is not even sent.
    assert_eq!(with.edges[1].failures.timeout, 2 * with.clients[0].requests);
    assert_eq!(with.services[1].attempts, with.clients[0].requests);
    assert_eq!(with.clients[0].failures, without.clients[0].failures);
}

/// Twice what can be served, and nobody waits longer than 200 ms: a server that does not know it serves the dead. One that does serves only who still
/// waits; first in, first out these are those whose time has almost come, and a part of them is answered in time.
#[test]
fn expired_requests_cost_no_work() {
    let measure = |mesh: Value| {
        let result = run(&one_service(&json!({}), &mesh, &client(200), 60), 10);
        result.clients[0].latency.count() as f64 / 50.0
    };
    let without = measure(json!({"timeout": "200ms"}));
    assert!(without < 1.0, "{without}/s");
    let with = measure(json!({"timeout": "200ms", "deadline_propagation": true}));
    assert!(with > 15.0, "{with}/s");
    let queue = json!({"queue": {"discipline": "adaptive_lifo", "lifo_switch_threshold": 1}});
    let result = run(
        &one_service(
            &queue,
            &json!({"timeout": "200ms", "deadline_propagation": true}),
            &client(200),
            60,
        ),
        10,
    );
    let youngest = result.clients[0].latency.count() as f64 / 50.0;
    assert!(youngest > 90.0, "{youngest}/s");
}

/// What is critical is served while what is not makes room, and criticality goes along with nested calls.
#[test]
fn the_less_critical_make_room() {
    let scenario = json!({
        "apiVersion": "meshsim/v1", "seed": 8, "duration": "60s", "replications": 1,
        "topology": {"services": {
            "front": {"replicas": 1, "operations": {"get": [{"call": "back/get"}]}},
            "back": {
                "replicas": 1, "concurrency": 10, "queue": {"limit": 90}, "load_shedding": {},
                "operations": {"get": [{"work": {"exponential": {"mean": "100ms"}}}]}
            }
        }},
        "clients": {
            "users": {"call": "front/get", "arrivals": {"poisson": {"rate": "50/s"}}},
            "batch": {"call": "front/get", "criticality": "sheddable", "arrivals": {"poisson": {"rate": "150/s"}}}
        }
    });
    let result = run(&scenario, 10);
    let availability = |client: usize| result.clients[client].latency.count() as f64 / result.clients[client].requests as f64;
    assert!(availability(0) > 0.999, "users: {}", availability(0));
    assert!((availability(1) - 50.0 / 150.0).abs() < 0.03, "batch: {}", availability(1));
}
