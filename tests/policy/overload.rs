//! Overload protection: the probabilities and limits of the upstream formulas, and what they settle at in a simulation.
//!
//! `overload/admission_concurrency.json` was computed from the published formulas, which its `source` names. What a simulation settles at has an answer on
//! paper, which stands beside each check.

use meshsim::model::{Elision, RunOptions, RunResult};
use meshsim::policy::overload::{adaptive_concurrency, adaptive_throttling, admission_control, nack_admission_filter};
use meshsim::replay::setup;
use meshsim::scenario::{self, Overrides, Source};
use meshsim::time::Duration;
use serde_json::{Value, json};

use super::evidence::Evidence;
use super::{data, output, read};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "envoy/admission_control",
        against: "Probabilities from the upstream formula",
        check: || vectors("envoy_admission_rejection_probability"),
    },
    Evidence {
        policy: "envoy/admission_control",
        against: "What the formula lets through of a service that fails",
        check: admission_settles,
    },
    Evidence {
        policy: "envoy/local_rate_limit",
        against: "The token bucket's formula",
        check: buckets_let_through,
    },
    Evidence {
        policy: "envoy/adaptive_concurrency",
        against: "Limits from the upstream formula",
        check: || vectors("gradient_new_limit"),
    },
    Evidence {
        policy: "envoy/adaptive_concurrency",
        against: "The fixed point of the gradient",
        check: gradient_settles,
    },
    Evidence {
        policy: "finagle/nack_admission_filter",
        against: "Probabilities from the upstream formula",
        check: || vectors("finagle_nack_drop_probability"),
    },
    Evidence {
        policy: "finagle/nack_admission_filter",
        against: "The share that the filter lets through",
        check: nack_filter_settles,
    },
    Evidence {
        policy: "google/adaptive_throttling",
        against: "Probabilities from the book's formula",
        check: || vectors("sre_adaptive_throttle"),
    },
    Evidence {
        policy: "google/adaptive_throttling",
        against: "The rates that the formula settles at",
        check: throttling_settles,
    },
];

/// The cases of one operation.
fn vectors(op: &str) -> String {
    let cases = read(&data("overload/admission_concurrency.json"));
    let cases = cases["cases"].as_array().expect("it is a list");
    let mut count = 0;
    for case in cases.iter().filter(|case| case["input"]["op"] == op) {
        let number = |key: &str| case["input"][key].as_f64().unwrap_or_else(|| panic!("{case}: {key}"));
        let whole = |key: &str| number(key) as u32;
        let close = |found: f64, expected: &Value| {
            let expected = expected.as_f64().expect("a number");
            assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{case}: {found}");
        };
        match op {
            "envoy_admission_rejection_probability" => close(
                admission_control::rejection_probability(
                    number("total"),
                    number("success"),
                    number("sr_threshold"),
                    number("aggression"),
                    number("max"),
                ),
                &case["expected"],
            ),
            "sre_adaptive_throttle" => close(
                adaptive_throttling::rejection_probability(number("requests"), number("accepts"), number("K")),
                &case["expected"],
            ),
            "finagle_nack_drop_probability" => close(
                nack_admission_filter::drop_probability(number("accept_ema"), number("nack_rate_threshold"), number("max_drop")),
                &case["expected"],
            ),
            "gradient_new_limit" => {
                let (gradient, limit) = adaptive_concurrency::new_limit(
                    number("min_rtt_us") as u64,
                    number("sample_rtt_us") as u64,
                    whole("limit"),
                    number("buffer_fraction"),
                    (whole("min_concurrency"), whole("max_concurrency")),
                );
                close(gradient, &case["expected"]["gradient"]);
                assert_eq!(json!(limit), case["expected"]["new_limit"], "{case}");
            }
            _ => panic!("an unknown operation, {op}"),
        }
        count += 1;
    }
    assert!(count > 0, "there are cases of {op}");
    format!("{count} of {count} exactly")
}

/// One client, one service with one endpoint, measured from `warmup` on.
fn simulate(service: &Value, mesh: &Value, rate: u32, seconds: u32, warmup: u64) -> RunResult {
    let mut node = json!({"endpoints": [{"name": "e-0"}], "operations": {"get": [{"work": "1ms"}]}});
    for (key, value) in service.as_object().into_iter().flatten() {
        node[key] = value.clone();
    }
    let scenario = json!({
        "apiVersion": "meshsim/v1", "seed": 5, "duration": format!("{seconds}s"), "replications": 1,
        "topology": {"services": {"node": node}},
        "clients": {"client": {"call": "node/get", "arrivals": {"constant": {"rate": format!("{rate}/s")}}}},
        "mesh": mesh
    });
    let source = Source::from_text("overload.yaml", scenario.to_string());
    let (loaded, diagnostics) = scenario::load(&source, &Overrides::default());
    let scenario = loaded.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    let options = RunOptions {
        seed: 5,
        replication: 0,
        warmup: Duration::from_secs(warmup),
        elision: Elision::On,
        pilot: false,
    };
    meshsim::model::run(&scenario.variants[0].plan, options)
}

fn assert_close(what: &str, found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, and not {expected}");
}

/// With a share `s` of successes the formula comes to 1 - s / threshold, at most `max_rejection_probability`.
fn admission_settles() -> String {
    let options = json!({"sampling_window": "10s", "sr_threshold": {"default_value": {"value": 95}}});
    let mut found = Vec::new();
    for (success, expected) in [(1.0, 0.0), (0.95, 0.0), (0.5, 1.0 - 0.5 / 0.95), (0.0, 0.8)] {
        let endpoints = json!([{"name": "e-0", "fail": {"probability": 1.0 - success, "status": 500}}]);
        let at_caller = simulate(
            &json!({"endpoints": endpoints}),
            &json!({"admission_control": options}),
            200,
            120,
            20,
        );
        let client = &at_caller.clients[0];
        let share = client.failures.throttled as f64 / client.requests as f64;
        // Over 10 s the share of successes is known to 1 %, and near the threshold that is all there is.
        assert_close("at the caller", share, expected, 0.015);
        let at_server = simulate(
            &json!({"endpoints": endpoints, "admission_control": options}),
            &json!({}),
            200,
            120,
            20,
        );
        let failures = &at_server.clients[0].failures;
        let turned_away = failures.total() as f64 / at_server.clients[0].requests as f64;
        assert_close("at the server", turned_away, 1.0 - (1.0 - expected) * success, 0.015);
        found.push(format!("{share:.3}"));
    }
    format!("4 of 4 shares within 0.015: {}", found.join(", "))
}

/// In T seconds `max_tokens` and `tokens_per_fill / fill_interval` times T pass.
fn buckets_let_through() -> String {
    let bucket = json!({"token_bucket": {"max_tokens": 10, "tokens_per_fill": 5, "fill_interval": "100ms"}});
    let expected = 10.0 + 50.0 * 100.0;
    let at_caller = simulate(&json!({}), &json!({"local_rate_limit": bucket}), 200, 100, 0);
    let passed = at_caller.clients[0].latency.count() as f64;
    assert_close("at the caller", passed, expected, 1.0);
    let at_server = simulate(&json!({"local_rate_limit": bucket}), &json!({}), 200, 100, 0);
    assert_close("at the server", at_server.clients[0].latency.count() as f64, expected, 1.0);
    let failures = &at_server.clients[0].failures;
    assert_eq!(failures.statuses, [(429, failures.total())]);
    // And through `replay`: three at once, then one for each tenth of a second.
    let document = json!({"mesh": {"local_rate_limit": {
        "token_bucket": {"max_tokens": 3, "tokens_per_fill": {"value": 1}, "fill_interval": "100ms"}
    }}});
    let config = setup::cluster("envoy/round_robin", &[], Some(("mesh", &document.to_string()))).expect("it is right");
    let script = [
        json!({"op": "endpoints", "endpoints": [{"id": "a"}]}),
        json!({"op": "pick", "count": 4}),
        json!({"op": "pick", "count": 2, "t": 0.25}),
        json!({"op": "pick", "count": 2, "t": 0.3}),
    ];
    let script: String = script.iter().map(|line| format!("{line}\n")).collect();
    let lines = output(config, 1, &script);
    let passed: Vec<bool> = lines.lines().map(|line| !line.contains("throttled")).collect();
    assert_eq!(passed, [true, true, true, false, true, true, true, false]);
    format!(
        "{passed} of {expected} in 100 s, within 1",
        passed = at_caller.clients[0].latency.count()
    )
}

/// Ten slots of 10 ms: with L requests at once latency is L / 10 times 10 ms, so L g = 1.25 * 10 and L = 12.5 + sqrt(12.5) = 16.0. The quantile has two
/// digits, and limits are whole.
fn gradient_settles() -> String {
    let service = json!({
        "concurrency": 10, "operations": {"get": [{"work": "10ms"}]},
        "adaptive_concurrency": {"gradient_controller_config": {"min_rtt_calc_params": {"interval": "1h"}}}
    });
    let result = simulate(&service, &json!({}), 4000, 30, 10);
    let at_once = result.services[0].in_flight_nanos as f64 / 20e9;
    assert_close("requests at once", at_once, 16.0, 1.5);
    let served = result.clients[0].latency.count() as f64 / 20.0;
    assert_close("served", served, 1000.0, 10.0);
    // What is turned away is not served late: latency stays at that of 16 requests.
    let p99 = result.clients[0].latency.quantile(0.99).expect("some were served") / 1e6;
    assert!(p99 < 20.0, "p99 is {p99} ms");
    format!("{at_once:.1} requests at once, expected 16.0 within 1.5")
}

/// With a share n of refusals the filter holds back min(0.75, 1 - 2 (1 - n)).
fn nack_filter_settles() -> String {
    let mut found = Vec::new();
    for (refused, expected) in [(0.3, 0.0), (0.8, 0.6), (1.0, 0.75)] {
        let endpoints = json!([{"name": "e-0", "fail": {"probability": refused, "status": 503}}]);
        let result = simulate(
            // Answers come at once whatever they are: the average goes by the time before each.
            &json!({"endpoints": endpoints, "operations": {"get": [{"work": "1us"}]}}),
            &json!({"nack_admission_filter": {"window": "20s"}}),
            400,
            300,
            150,
        );
        let client = &result.clients[0];
        let share = client.failures.throttled as f64 / client.requests as f64;
        assert_close("held back", share, expected, 0.02);
        found.push(format!("{share:.3}"));
    }
    format!("3 of 3 shares within 0.02: {}", found.join(", "))
}

/// An upstream that accepts 50 of 400 requests per second is sent k times what it accepts.
fn throttling_settles() -> String {
    let mut found = Vec::new();
    let bucket = json!({"token_bucket": {"max_tokens": 5, "tokens_per_fill": 5, "fill_interval": "100ms"}, "status": 503});
    for k in [1.5, 2.0, 3.0] {
        let mesh = json!({"adaptive_throttling": {"k": k, "window": "10s"}});
        let result = simulate(&json!({"local_rate_limit": bucket}), &mesh, 400, 120, 20);
        let sent = result.services[0].attempts as f64 / 100.0;
        assert_close("sent", sent, 50.0 * k, 0.04 * 50.0 * k);
        found.push(format!("{sent:.0}/s"));
    }
    format!("3 of 3 rates within 4 %: {}", found.join(", "))
}

#[test]
fn formulas_are_the_upstream_ones() {
    for row in EVIDENCE {
        println!("{}: {}", row.policy, (row.check)());
    }
}

/// Retries are the router's, and the filters are before it: a call is let through, or held back, once; and what counts is how it ended.
#[test]
fn a_call_passes_once_with_all_its_retries() {
    let bucket = json!({"token_bucket": {"max_tokens": 10, "tokens_per_fill": 10, "fill_interval": "1s"}});
    let endpoints = json!([{"name": "e-0", "fail": {"probability": 0.5, "status": 503}}]);
    let mesh = json!({
        "local_rate_limit": bucket,
        "retry": {"num_retries": 20, "retry_on": "5xx", "back_off": {"base_interval": "1ms"}}
    });
    let result = simulate(&json!({"endpoints": endpoints}), &mesh, 10, 30, 1);
    let client = &result.clients[0];
    assert_eq!(client.failures.total(), 0, "every call gets through in the end");
    assert!(
        client.attempts as f64 > 1.7 * client.requests as f64,
        "and takes two attempts"
    );
}
