//! Policies against reality: real proxies in front of FIFO backends, simulated, must give the latencies that were recorded.
//!
//! A recording is one run, so its intervals are widened by what it states: `s1` by 5 % and 0.5 ms (p99: 10 %), `s2` by 7 % and 0.5 ms
//! (p99: 15 %), availability by 0.005. The simulator's figure is the mean of many runs of the same length. The recorded hop
//! (`overhead_ms`) is added to the simulated latency, which has none.

use meshsim::experiment::Experiment;
use meshsim::report::summary::ClientSummary;
use meshsim::report::{Results, Summary};
use meshsim::scenario::{self, Overrides, Source};
use serde_json::{Value, json};

use super::evidence::Evidence;

/// What the recordings are of.
pub const AGAINST: &str = "Recorded latencies of the real proxy";

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "envoy/round_robin",
        against: AGAINST,
        check: || check("envoy-round-robin"),
    },
    Evidence {
        policy: "envoy/random",
        against: AGAINST,
        check: || check("envoy-random"),
    },
    Evidence {
        policy: "envoy/least_request",
        against: AGAINST,
        check: || check("envoy-least-request"),
    },
    Evidence {
        policy: "envoy/ring_hash",
        against: AGAINST,
        check: || check("envoy-ring-hash"),
    },
    Evidence {
        policy: "haproxy/leastconn",
        against: AGAINST,
        check: || check("haproxy-leastconn"),
    },
    Evidence {
        policy: "haproxy/random",
        against: AGAINST,
        check: || check("haproxy-random"),
    },
    Evidence {
        policy: "haproxy/roundrobin",
        against: AGAINST,
        check: || check("haproxy-roundrobin"),
    },
    Evidence {
        policy: "nginx/least_conn",
        against: AGAINST,
        check: || check("nginx-least-conn"),
    },
    Evidence {
        policy: "nginx/random_two_least_conn",
        against: AGAINST,
        check: || check("nginx-random-two"),
    },
    Evidence {
        policy: "envoy/outlier_detection",
        against: AGAINST,
        check: || check_cases("outlier detection", |case| !case["outlier_detection"].is_null()),
    },
];

const REPLICATIONS: u32 = 20;

/// A part of each run is left out.
const WARMUP: f64 = 0.1;

fn balancer(policy: &str) -> Value {
    match policy {
        "envoy-round-robin" => json!("envoy/round_robin"),
        "envoy-random" => json!("envoy/random"),
        "envoy-least-request-2" => json!("envoy/least_request"),
        "envoy-least-request-full-scan" => json!({"envoy/least_request": {"selection_method": "FULL_SCAN"}}),
        // The recorded keys are all different, which is what no key at all comes to.
        "envoy-ring-hash-random-keys" => json!("envoy/ring_hash"),
        "haproxy-leastconn" => json!("haproxy/leastconn"),
        "haproxy-random-2" => json!("haproxy/random"),
        "haproxy-roundrobin" => json!("haproxy/roundrobin"),
        "nginx-least-conn" => json!("nginx/least_conn"),
        "nginx-random-two" => json!("nginx/random_two_least_conn"),
        _ => panic!("a recording of an unknown policy, {policy}"),
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Mean service time in seconds, and the work of a request.
fn work(case: &Value) -> (f64, Value) {
    let service = &case["service"];
    if service["kind"] == "bimodal" {
        let (fast, slow) = (number(&service["a_ms"]), number(&service["b_ms"]));
        let share = 1.0 - number(&service["p_a"]);
        let work = json!({"bimodal": {"share": share, "fast": format!("{fast}ms"), "slow": format!("{slow}ms")}});
        return (((1.0 - share) * fast + share * slow) / 1e3, work);
    }
    // The mean that was realised, where it is known: the recorded utilization is that of it.
    let mean = case["service_mean_ms"]
        .as_f64()
        .unwrap_or_else(|| number(&service["mean_ms"]));
    (mean / 1e3, json!({"exponential": {"mean": format!("{mean}ms")}}))
}

fn endpoints(case: &Value) -> Value {
    let hosts = case["hosts"].as_u64().expect("a number");
    let bad = case["bad_host_index"].as_u64();
    let endpoint = |host: u64| {
        let mut endpoint = json!({"name": format!("e-{host}"), "address": format!("127.0.0.1:{}", 22_001 + host)});
        if Some(host) == bad {
            if let Some(share) = case["bad_host"]["fail_p"].as_f64() {
                endpoint["fail"] = json!({"probability": share, "status": case["bad_host"]["fail_status"]});
            }
            if let Some(mean) = case["bad_host"]["svc"]["mean_ms"].as_f64() {
                endpoint["speed"] = json!(number(&case["service"]["mean_ms"]) / mean);
            }
        }
        endpoint
    };
    (0..hosts).map(endpoint).collect()
}

fn scenario_of(case: &Value) -> Value {
    let (service, work) = work(case);
    let hosts = number(&case["hosts"]);
    let rate = case["rate"]
        .as_f64()
        .unwrap_or_else(|| number(&case["utilization"]) * hosts / service);
    let seconds = number(&case["requests"]) / rate;
    let concurrency = if case["unlimited"] == true {
        json!("unlimited")
    } else {
        json!(1)
    };
    let mut mesh = json!({"balancer": balancer(case["policy"].as_str().expect("a name"))});
    for key in ["timeout", "retry", "outlier_detection"] {
        if !case[key].is_null() {
            mesh[key] = case[key].clone();
        }
    }
    let mut scenario = json!({
        "apiVersion": "meshsim/v1",
        "name": case["case"],
        "seed": 7,
        "duration": format!("{}ms", (seconds * 1e3).round()),
        "warmup": format!("{}ms", (seconds * WARMUP * 1e3).round()),
        "replications": REPLICATIONS,
        "topology": {"services": {"backend": {
            "endpoints": endpoints(case),
            "concurrency": concurrency,
            "operations": {"get": [{"work": work}]},
        }}},
        "clients": {"load": {"call": "backend/get", "arrivals": {"poisson": {"rate": rate}}}},
        "mesh": mesh,
    });
    if case["bad_host"]["blackhole"] == true {
        let endpoint = format!("backend/e-{}", case["bad_host_index"]);
        scenario["faults"] = json!([{"at": "0s", "crash": {"endpoint": endpoint, "mode": "hang"}}]);
    }
    scenario
}

fn run(scenario: &Value) -> Summary {
    let source = Source::from_text("reality.yaml", scenario.to_string());
    let (loaded, diagnostics) = scenario::load(&source, &Overrides::default());
    let scenario = loaded.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    let outcome = Experiment::of(&scenario).run(1, |_| {});
    Results::new(&scenario, &outcome).summary
}

/// The runs to compare with: the mean of many, or, with outlier detection, pairs of runs of which the median is taken. A run in which a
/// busy moment has healthy hosts ejected, and the others so much busier, is rare and quite another: it has no part in a mean.
fn summaries(case: &Value) -> Vec<Summary> {
    let mut scenario = scenario_of(case);
    if case["outlier_detection"].is_null() {
        return vec![run(&scenario)];
    }
    scenario["replications"] = json!(2);
    let seeds = 1..=11_u64;
    let of_seed = |seed| {
        scenario["seed"] = json!(seed);
        run(&scenario)
    };
    seeds.map(of_seed).collect()
}

/// How far the simulated figures are from the middle of what was recorded, at most.
fn check_recording(case: &Value) -> f64 {
    let name = &case["case"];
    let runs = summaries(case);
    let median = |figure: &dyn Fn(&ClientSummary) -> Option<f64>| {
        let client = |summary: &Summary| {
            let client = summary.variants[0].clients.get("load").expect("there is one client");
            figure(client).expect("there are requests")
        };
        let mut values: Vec<f64> = runs.iter().map(client).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let is_grey = !case["bad_host"].is_null();
    let overhead = case["overhead_ms"].as_f64().unwrap_or(0.6);
    let mut farthest = 0.0_f64;
    for (key, interval) in case["latency"].as_object().expect("a map") {
        let simulated = median(&|client| client.latency_seconds.get(key).and_then(|figure| figure.value)) * 1e3 + overhead;
        let (low, high) = (number(&interval[0]), number(&interval[1]));
        let share = match (is_grey, key.as_str()) {
            (false, "p99") => 0.10,
            (false, _) => 0.05,
            (true, "p99") => 0.15,
            (true, _) => 0.07,
        };
        let (low, high) = (low * (1.0 - share) - 0.5, high * (1.0 + share) + 0.5);
        assert!(
            (low..=high).contains(&simulated),
            "{name}: {key} is {simulated} ms, not from {low} to {high}"
        );
        let middle = (number(&interval[0]) + number(&interval[1])) / 2.0;
        farthest = farthest.max((simulated / middle - 1.0).abs());
    }
    if is_grey {
        let availability = median(&|client| client.availability_ratio.value);
        assert!(
            (availability - number(&case["availability"])).abs() <= 0.005,
            "{name}: availability {availability}"
        );
    }
    farthest
}

/// The recordings of a balancer alone.
fn check(policy: &str) -> String {
    check_cases(policy, |case| {
        let name = case["policy"].as_str().expect("a name");
        name.starts_with(policy) && case["outlier_detection"].is_null()
    })
}

fn check_cases(of: &str, is_one: impl Fn(&Value) -> bool) -> String {
    let recordings: Value = serde_json::from_str(include_str!("reality/recordings.json")).expect("they are JSON");
    let recordings = recordings["recordings"].as_array().expect("a list");
    let cases: Vec<&Value> = recordings.iter().filter(|case| is_one(case)).collect();
    assert!(!cases.is_empty(), "no recording of {of}");
    let farthest = cases.iter().map(|case| check_recording(case)).fold(0.0, f64::max);
    format!(
        "{} recordings, mean, p50, p90 and p99 within their intervals, at most {:.0} % from the middle",
        cases.len(),
        farthest * 100.0
    )
}

#[test]
fn every_recording_is_of_a_policy_that_is_checked() {
    let recordings: Value = serde_json::from_str(include_str!("reality/recordings.json")).expect("they are JSON");
    for case in recordings["recordings"].as_array().expect("a list") {
        balancer(case["policy"].as_str().expect("a name"));
    }
}
