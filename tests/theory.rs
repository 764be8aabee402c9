//! Queueing theory, through the whole path: each case of `theory/cases.json` becomes the text of a scenario, is loaded, run and
//! summarized, and its figures are compared with the known ones. One unit of time is 10 ms.
//!
//! A case says how many requests a figure needs to be within its tolerance 999 times in 1000; with fewer the tolerance grows
//! as the standard error does, by the root of the ratio. Seeds are fixed, so a test passes always or never.

use meshsim::experiment::Experiment;
use meshsim::report::summary::{ClientSummary, ServiceSummary, Value as Figure};
use meshsim::report::{Named, Results, Summary};
use meshsim::scenario::{self, Overrides, Source};
use serde_json::{Value, json};

/// Requests measured of each case, over all replications.
const REQUESTS: f64 = 2_000_000.0;

const REPLICATIONS: u32 = 2;

/// Requests per second of one per unit of time.
const PER_UNIT: f64 = 100.0;

/// Figures that no summary holds: the distribution of the number in the system, and latency by size of the work.
const NOT_SUMMARIZED: [&str; 2] = ["in_system.prob_ge_5", "slowdown.mean_for_jobs_with_service_in[0.5,0.6]"];

fn run(scenario: &Value) -> Summary {
    // JSON is YAML too.
    let source = Source::from_text("theory.yaml", scenario.to_string());
    let (loaded, diagnostics) = scenario::load(&source, &Overrides::default());
    let scenario = loaded.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    let outcome = Experiment::of(&scenario).run(1, |_| {});
    Results::new(&scenario, &outcome).summary
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"))
}

fn units(value: &Value) -> String {
    format!("{}us", number(value) * 10_000.0)
}

fn work(service: &Value) -> Value {
    match service["dist"].as_str() {
        Some("exponential") => json!({"exponential": {"mean": units(&service["mean"])}}),
        Some("deterministic") => json!(units(&service["value"])),
        Some("lognormal") => json!({"lognormal": {"mean": units(&service["mean"]), "cv": service["cv"]}}),
        _ => panic!("an unknown service time: {service}"),
    }
}

fn balancer(policy: &Value) -> Value {
    match (policy.as_str(), policy["name"].as_str()) {
        (Some("random"), _) => json!("envoy/random"),
        (_, Some("least_requests")) => json!({"envoy/least_request": {"choice_count": policy["choices"]}}),
        _ if policy.is_null() => json!("envoy/round_robin"),
        _ => panic!("an unknown policy: {policy}"),
    }
}

/// The scenario of a case: a service `node`, behind a `root` without work of its own where the case fans out.
fn scenario_of(case: &Value) -> Value {
    let model = &case["model"];
    let node = &model["nodes"][0];
    let mut steps = vec![json!({"work": work(&node["service"])})];
    if !node["failure_prob"].is_null() {
        steps.push(json!({"fail": {"probability": node["failure_prob"], "status": 503}}));
    }
    let shared = node["discipline"] == "ps";
    let slots = &node["servers_per_endpoint"];
    let service = json!({
        "replicas": node["endpoints"],
        "concurrency": if shared || slots == "infinite" { json!("unlimited") } else { slots.clone() },
        "queue": {
            "discipline": node["discipline"],
            "limit": if node["queue_limit"] == "unbounded" { json!("unlimited") } else { node["queue_limit"].clone() },
        },
        "operations": {"get": steps},
    });
    let mut services = json!({"node": service});
    let fans_out = model["topology"]
        .as_str()
        .is_some_and(|text| text.contains("10 parallel calls"));
    if fans_out {
        let calls = json!({"parallel": [{"call": "node/get", "repeat": 10}]});
        services["root"] = json!({"replicas": 1, "operations": {"get": [calls]}});
    }
    let rate = number(&model["arrivals"]["rate"]) * PER_UNIT;
    let process = if model["arrivals"]["process"] == "poisson" {
        "poisson"
    } else {
        "constant"
    };
    let mut mesh = json!({"balancer": balancer(&node["policy"])});
    if !model["retry"].is_null() {
        // The shortest pause there is stands for none.
        let back_off = json!({"base_interval": "1ns", "max_interval": "1ns"});
        mesh["retry"] = json!({"num_retries": model["retry"]["max_retries"], "retry_on": ["5xx"], "back_off": back_off});
    }
    let wanted = number(&case["run"]["measured_requests_total"]).min(REQUESTS);
    let measured = wanted / f64::from(REPLICATIONS) / rate;
    let warmup = measured * number(&case["run"]["warmup_fraction"]);
    json!({
        "apiVersion": "meshsim/v1",
        "name": case["id"],
        "seed": 2024,
        "duration": format!("{}ms", ((warmup + measured) * 1e3).round()),
        "warmup": format!("{}ms", (warmup * 1e3).round()),
        "replications": REPLICATIONS,
        "topology": {"services": services},
        "clients": {"load": {
            "call": if fans_out { "root/get" } else { "node/get" },
            "arrivals": {process: {"rate": rate}},
        }},
        "mesh": mesh,
    })
}

/// What was observed of a metric, in units of time.
fn observed(metric: &str, client: &ClientSummary, node: &ServiceSummary) -> f64 {
    let units = |figures: &Named<Figure>, key: &str| {
        let figure = figures.get(key).unwrap_or_else(|| panic!("no figure `{key}` for {metric}"));
        figure.value.map(|seconds| seconds * PER_UNIT)
    };
    let value = match metric.trim_start_matches("accepted.").split_once('.') {
        Some(("sojourn" | "end_to_end", key)) => units(&client.latency_seconds, key),
        Some(("wait", "prob_positive")) => node.waited_ratio.value,
        Some(("wait", key)) => units(&node.queue_wait_seconds, key),
        Some(("in_system", "mean")) => node.in_flight.value,
        Some(("attempts_per_request", "mean")) => client.attempts_per_request_ratio.value,
        None if metric == "utilization" => node.utilization_ratio.value,
        None if metric == "availability" => client.availability_ratio.value,
        None if ["loss_prob", "failure_prob"].contains(&metric) => client.availability_ratio.value.map(|share| 1.0 - share),
        _ => panic!("an unknown metric: {metric}"),
    };
    value.unwrap_or_else(|| panic!("no value for {metric}"))
}

fn check_case(id: &str) {
    let cases: Value = serde_json::from_str(include_str!("theory/cases.json")).expect("the cases are JSON");
    let cases = cases["cases"].as_array().expect("a list of cases");
    let case = cases.iter().find(|case| case["id"] == id).expect("a case of this name");
    let summary = run(&scenario_of(case));
    let variant = &summary.variants[0];
    let client = variant.clients.get("load").expect("the client");
    let node = variant.services.get("node").expect("the service");
    let requests = client.requests_total.value.expect("a count");

    let mut wrong = Vec::new();
    for expected in case["expect"].as_array().expect("a list of figures") {
        let metric = expected["metric"].as_str().expect("a name");
        if NOT_SUMMARIZED.contains(&metric) {
            continue;
        }
        let needed = expected["requests_needed_99.9pct_pass"].as_f64().unwrap_or(requests);
        let value = number(&expected["value"]);
        let scale = if expected["tol_kind"] == "rel" { value } else { 1.0 };
        let tolerance = number(&expected["tol"]) * scale * (needed / requests).sqrt().max(1.0);
        let observed = observed(metric, client, node);
        if (observed - value).abs() > tolerance {
            wrong.push(format!("{metric}: {observed}, not {value} within {tolerance}"));
        }
    }
    assert!(wrong.is_empty(), "{}: {}", case["title"], wrong.join("; "));
}

macro_rules! cases {
    ($($name:ident $id:literal)*) => {
        $(#[test]
        fn $name() {
            check_case($id);
        })*

        #[test]
        fn every_case_is_tested() {
            let cases: Value = serde_json::from_str(include_str!("theory/cases.json")).expect("the cases are JSON");
            let listed: Vec<&str> = cases["cases"].as_array().expect("a list").iter().filter_map(|case| case["id"].as_str()).collect();
            assert_eq!(listed, [$($id),*]);
        }
    };
}

cases! {
    mm1 "Q01"
    mmc "Q04"
    mmck "Q07"
    erlang_b "Q10"
    md1 "Q16"
    mg1_processor_sharing "Q19"
    dm1 "Q25"
    random_splitting "Q31"
    supermarket "Q35"
    fan_out "Q58"
    retries "Q66"
    deterministic "Q96"
}

/// The mean latency in units of service time, of `endpoints` M/M/1 servers at 90 % load behind each of these balancers. All see
/// the same traffic.
fn means_at_high_load(endpoints: u32, balancers: &[(&str, Value)]) -> Vec<f64> {
    let rate = 0.9 * PER_UNIT * f64::from(endpoints);
    let measured = 400_000.0 / rate;
    let variants = balancers
        .iter()
        .map(|(name, balancer)| (name.to_string(), json!({"mesh": {"balancer": balancer}})));
    let scenario = json!({
        "apiVersion": "meshsim/v1",
        "seed": 2024,
        "duration": format!("{}ms", (measured * 1.1e3).round()),
        "warmup": format!("{}ms", (measured * 0.1e3).round()),
        "replications": 1,
        "topology": {"services": {"node": {
            "replicas": endpoints,
            "concurrency": 1,
            "operations": {"get": [{"work": {"exponential": {"mean": "10ms"}}}]},
        }}},
        "clients": {"load": {"call": "node/get", "arrivals": {"poisson": {"rate": rate}}}},
        "variants": variants.collect::<serde_json::Map<_, _>>(),
    });
    let summary = run(&scenario);
    let mean = |name: &str| {
        let variant = summary.variant(name).expect("the variant");
        let client = variant.clients.get("load").expect("the client");
        client
            .latency_seconds
            .get("mean")
            .and_then(|mean| mean.value)
            .expect("a mean")
            * PER_UNIT
    };
    balancers.iter().map(|(name, _)| mean(name)).collect()
}

/// Join-shortest-queue is optimal for such servers (Winston 1977); what knows something of the load comes next; random makes each
/// an M/M/1 by itself, with a mean of 10. Balancers that look at a link instead of the server, or ignore the queue, get this
/// wrong with few endpoints.
#[test]
fn jsq_beats_two_choices_and_those_beat_random() {
    let balancers = [
        ("jsq", json!("research/jsq")),
        ("full_scan", json!({"envoy/least_request": {"selection_method": "full_scan"}})),
        ("three", json!({"envoy/least_request": {"choice_count": 3}})),
        ("two", json!("envoy/least_request")),
        ("random", json!("envoy/random")),
        ("jiq", json!("research/jiq")),
        ("peak_ewma", json!("linkerd/peak_ewma")),
        ("round_robin", json!("envoy/round_robin")),
    ];
    for endpoints in [2, 4, 100] {
        let means = means_at_high_load(endpoints, &balancers);
        let [jsq, full_scan, three, two, random, others @ ..] = means.as_slice() else {
            panic!("a mean for each balancer");
        };
        // One caller without a network knows the queues exactly, so a full scan is join-shortest-queue but for ties.
        assert!((full_scan / jsq - 1.0).abs() < 0.03, "{endpoints} endpoints: {means:?}");
        assert!(jsq < three && three < two && two < random, "{endpoints} endpoints: {means:?}");
        assert!(
            others.iter().all(|mean| jsq < mean && mean < random),
            "{endpoints} endpoints: {means:?}"
        );
        // The standard error of the mean of 400,000 M/M/1 sojourns at this load is about 4 %: Whitt, Management Science 35 (1989).
        assert!((random / 10.0 - 1.0).abs() < 0.2, "{endpoints} endpoints: {means:?}");
    }
}
