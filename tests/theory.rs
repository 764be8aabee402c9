//! Queueing theory, through the whole path: each case of `theory/cases.json` becomes the text of a scenario, is loaded, run and
//! summarized, and its figures are compared with the known ones. One unit of time is 10 ms.
//!
//! A case says how many requests a figure needs to be within its tolerance 999 times in 1000; with fewer the tolerance grows
//! as the standard error does, by the root of the ratio. Seeds are fixed, so a test passes always or never.

use meshsim::experiment::Experiment;
use meshsim::math::{exp, pow};
use meshsim::report::summary::{ClientSummary, ServiceSummary, Value as Figure};
use meshsim::report::{Named, Results, Summary};
use meshsim::scenario::{self, Overrides, Source};
use meshsim::theory::networks::{self, Center};
use meshsim::theory::queues::{self, Gap, Impatient, Mmc};
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

/// The stationary probabilities of a chain of 0, 1, … `states` - 1, from its balance alone.
fn chain(states: usize, up: impl Fn(usize) -> f64, down: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut weights = vec![1.0_f64];
    for n in 1..states {
        weights.push(weights[n - 1] * up(n - 1) / down(n));
    }
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

fn mean_of(probabilities: &[f64]) -> f64 {
    (0..).zip(probabilities).map(|(n, p)| f64::from(n) * p).sum()
}

/// The integral from 0 to `to`, by Simpson's rule.
fn integral(to: f64, f: impl Fn(f64) -> f64) -> f64 {
    let steps = 20_000;
    let width = to / f64::from(steps);
    let weight = |k: i32| {
        if k == 0 || k == steps {
            1.0
        } else {
            2.0 + 2.0 * f64::from(k % 2)
        }
    };
    (0..=steps).map(|k| weight(k) * f(f64::from(k) * width)).sum::<f64>() * width / 3.0
}

fn agree(what: &str, one: f64, other: f64) {
    assert!(
        (one - other).abs() <= 1e-7 * other.abs().max(1e-3),
        "{what}: {one} and {other}"
    );
}

/// The formulas of `meshsim theory` against other ways to the same answers: balance of states, integrals, fixed points.
#[test]
fn formulas_of_stations_agree_with_other_derivations() {
    for servers in [1_u32, 2, 5, 20] {
        for load in [0.2, 0.6, 0.9] {
            let (c, service) = (f64::from(servers), 0.25);
            let rate = load * c / service;
            let busy = |n: usize| (n as f64).min(c) / service;
            let station = Mmc { rate, service, servers };
            let what = format!("{servers} servers at {load}");
            let p = chain(2000, |_| rate, busy);
            agree(&what, station.in_system().expect("stable"), mean_of(&p));
            agree(&what, station.waits().expect("stable"), p[servers as usize..].iter().sum());
            let tail = integral(40.0 * service / (1.0 - load), |t| station.sojourn_exceeds(t).expect("stable"));
            assert!(
                (tail / station.sojourn().expect("stable") - 1.0).abs() < 1e-5,
                "the tail's integral is the mean: {what}"
            );
            agree(
                &what,
                queues::erlang_b(servers, load * c),
                chain(servers as usize + 1, |_| rate, busy)[servers as usize],
            );
            let p = chain(servers as usize + 8, |_| rate, busy);
            let limited = queues::mmck(load * c, servers, 7);
            agree(&what, limited[servers as usize + 7], p[servers as usize + 7]);
            let let_in = rate * (1.0 - p[servers as usize + 7]);
            agree(
                &what,
                queues::mmck_wait(&limited, load * c, servers) + 1.0,
                mean_of(&p) / let_in / service,
            );
            impatience(station, 0.7 * service);
            impatience(
                Mmc {
                    rate: 1.7 * rate / load,
                    ..station
                },
                0.7 * service,
            );
        }
    }
    for load in [0.3, 0.7, 0.95] {
        // Arrivals in constant gaps: sigma = exp(-(1 - sigma) / load), by iteration.
        let sigma = (0..20_000).fold(0.5_f64, |sigma, _| exp(-(1.0 - sigma) / load));
        agree("D/M/1", queues::gim1_sigma(Gap::Constant(1.0), load).expect("stable"), sigma);
        let wait = queues::mg1_wait(load, 1.0, 2.0).expect("stable");
        agree("M/M/1 as M/G/1", wait, load / (1.0 - load));
        agree("M/M/1-PS", queues::mg1_ps_sojourn(load, 1.0).expect("stable"), 1.0 + wait);
        for choices in [1_u32, 2, 3, 5] {
            // Shares of queues of at least i = 0, 1, …, where as many become longer than i as become shorter.
            let mut shares = vec![1.0_f64];
            while shares[shares.len() - 1] > 1e-16 && shares.len() < 2000 {
                shares.push(load * pow(shares[shares.len() - 1], f64::from(choices)));
            }
            let sojourn = shares[1..].iter().sum::<f64>() / load;
            agree(
                "two choices",
                queues::supermarket_sojourn(load, choices).expect("stable"),
                sojourn,
            );
        }
    }
}

/// The density of the wait that is offered, integrated piece by piece.
fn impatience(station: Mmc, patience: f64) {
    let Mmc { rate, service, servers } = station;
    let drain = f64::from(servers) / service;
    let density = |x: f64| exp(rate * x.min(patience) - drain * x);
    // The weight of fewer than all servers busy beside the density at 0.
    let idle: f64 = (0..servers)
        .rev()
        .scan(1.0, |weight, n| {
            let now = *weight;
            *weight *= f64::from(n) / (rate * service);
            Some(now)
        })
        .sum();
    let before = integral(patience, density);
    let after = integral(60.0 / drain, |x| density(patience + x));
    let all = idle + rate * (before + after);
    let known = Impatient { station, patience }.answer();
    agree("who leaves", known.abandons, rate * after / all);
    agree("who waits", known.waits, rate * (before + after) / all);
    let waited = integral(patience, |x| x * density(x)) + patience * after;
    agree("the wait", known.wait, rate * waited / all);
}

/// Exact mean value analysis of one class (Reiser and Lavenberg, J. ACM 27 (2), 1980): throughput, and the mean number at each station.
fn mean_values(users: u32, delay: f64, stations: &[(f64, u32)]) -> (f64, Vec<f64>) {
    // By station: the mean number, and the probabilities of 0, 1, … servers - 1 there.
    let mut state: Vec<(f64, Vec<f64>)> = stations
        .iter()
        .map(|&(_, servers)| {
            let mut p = vec![0.0; servers as usize];
            p[0] = 1.0;
            (0.0, p)
        })
        .collect();
    let mut throughput = 0.0;
    for n in 1..=users {
        let times: Vec<f64> = stations
            .iter()
            .zip(&state)
            .map(|(&(demand, servers), (there, p))| {
                let c = f64::from(servers);
                let spare: f64 = (0..).zip(&p[..p.len() - 1]).map(|(j, p)| (c - 1.0 - f64::from(j)) * p).sum();
                demand / c * (1.0 + there + spare)
            })
            .collect();
        throughput = f64::from(n) / (delay + times.iter().sum::<f64>());
        for ((&(demand, servers), time), (there, p)) in stations.iter().zip(&times).zip(&mut state) {
            *there = throughput * time;
            let (c, before) = (f64::from(servers), p.clone());
            for j in 1..servers as usize {
                p[j] = throughput * demand / j as f64 * before[j - 1];
            }
            let idle: f64 = (1..).zip(&p[1..]).map(|(j, p)| (c - f64::from(j)) * p).sum();
            p[0] = 1.0 - (throughput * demand + idle) / c;
        }
    }
    (throughput, state.into_iter().map(|state| state.0).collect())
}

#[test]
fn formulas_of_networks_agree_with_other_derivations() {
    for users in [1_u32, 3, 12, 60] {
        for delay in [0.0, 0.5, 8.0] {
            for (servers, demands) in [([1_u32, 1], [0.2, 0.3]), ([2, 1], [0.5, 0.2]), ([3, 4], [0.4, 0.9])] {
                let centers: Vec<Center> = (0..2)
                    .map(|k| Center {
                        demand: demands[k],
                        servers: servers[k],
                        copies: 1 + k as u32,
                    })
                    .collect();
                let stations = [(demands[0], servers[0]), (demands[1], servers[1]), (demands[1], servers[1])];
                let (throughput, there) = mean_values(users, delay, &stations);
                let closed = networks::closed_network(users, delay, &centers);
                let what = format!("{users} users, a delay of {delay}, {servers:?} servers");
                agree(&what, closed.throughput, throughput);
                agree(&what, closed.there[0], there[0]);
                agree(&what, closed.there[1], there[1]);
                let (response, alone) = networks::machine_repair(users, delay + 0.1, demands[0], servers[0]);
                let (throughput, there) = mean_values(users, delay + 0.1, &stations[..1]);
                agree(&what, alone, throughput);
                agree(&what, response, there[0] / throughput);
            }
        }
    }
    for n in 1..=6_u32 {
        for up in [0.1, 0.5, 0.97] {
            // Every state of every endpoint.
            let states = || {
                (0..1_u32 << n).map(|state| {
                    let k = state.count_ones();
                    (
                        k,
                        (0..n).fold(1.0, |p, i| p * if state >> i & 1 == 1 { up } else { 1.0 - up }),
                    )
                })
            };
            for k in 0..=n {
                let sum: f64 = states().filter(|state| state.0 >= k).map(|state| state.1).sum();
                agree("k of n", networks::at_least(k, n, up), sum);
            }
            for tries in 1..4 {
                let missed = |k: u32| pow(f64::from(n - k) / f64::from(n) * 0.8, f64::from(tries));
                let sum: f64 = states().map(|(k, p)| p * (1.0 - missed(k))).sum();
                agree("tries", networks::found_up(n, up, 0.8, tries), sum);
            }
        }
        let largest = integral(60.0, |t| 1.0 - pow(1.0 - exp(-t), f64::from(n)));
        assert!((networks::largest_of(n, 1.0) / largest - 1.0).abs() < 1e-6, "{n}");
    }
}
