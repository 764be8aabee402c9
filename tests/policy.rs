//! The policies against real proxies and against what their projects' own tests expect, all through `replay`.
//!
//! Recordings are in `policy/<family>/<name>/*.json`: what to set, who the endpoints are, and whom the proxy picked.

mod crowd;
mod envoy;
mod envoy_weights;
pub mod evidence;
mod finagle;
mod grpc;
mod haproxy;
mod kube_proxy;
mod linkerd;
mod nginx;
mod reality;
mod replay;
mod research;
mod tower;
mod traefik;
mod vectors;

use std::fs;
use std::path::{Path, PathBuf};

use meshsim::policy::ClusterConfig;
use meshsim::replay::{run, setup};
use serde_json::{Value, json};

use evidence::Evidence;

/// What shows that the policies are the real ones, by family.
pub const EVIDENCE: [&[Evidence]; 12] = [
    envoy::EVIDENCE,
    envoy_weights::EVIDENCE,
    grpc::EVIDENCE,
    linkerd::EVIDENCE,
    tower::EVIDENCE,
    finagle::EVIDENCE,
    kube_proxy::EVIDENCE,
    nginx::EVIDENCE,
    haproxy::EVIDENCE,
    traefik::EVIDENCE,
    research::EVIDENCE,
    reality::EVIDENCE,
];

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policy").join(path)
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The recordings in a folder, by name.
fn recordings(folder: &str) -> Vec<(String, Value)> {
    let entries = fs::read_dir(data(folder)).expect("the folder is part of the tests");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    assert!(!paths.is_empty(), "no recordings in {folder}");
    paths.iter().map(|path| (path.display().to_string(), read(path))).collect()
}

fn keys(name: &str) -> Vec<String> {
    match name {
        "users" => (0..2000).map(|i| format!("user-{i}")).collect(),
        _ => {
            let text = fs::read_to_string(data(&format!("envoy/keys/{name}.txt"))).expect("the keys are part of the tests");
            text.lines().map(str::to_string).collect()
        }
    }
}

/// A policy by name, with options as `--set` sets them.
fn config(policy: &str, options: &Value) -> ClusterConfig {
    let options = options.as_object().expect("options are a map");
    let settings: Vec<setup::Setting> = options
        .iter()
        .map(|(path, value)| setup::Setting {
            path: path.clone(),
            value: value.clone(),
        })
        .collect();
    setup::cluster(policy, &settings, None).unwrap_or_else(|message| panic!("{message}"))
}

/// What a replay prints.
fn output(config: ClusterConfig, seed: u64, script: &str) -> String {
    let mut output = Vec::new();
    run(config, seed, script.as_bytes(), &mut output).unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8(output).expect("it prints text")
}

/// The picks of a replay, as places in `endpoints`, one digit each.
fn picks(output: &str, endpoints: &[Value]) -> String {
    let place = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("it prints JSON");
        let place = endpoints.iter().position(|endpoint| endpoint["id"] == line["pick"]);
        char::from_digit(place.expect("it picks an endpoint") as u32, 10).expect("there are at most ten")
    };
    output.lines().map(place).collect()
}

fn endpoints_line(endpoints: &[Value]) -> String {
    format!("{}\n", json!({"op": "endpoints", "endpoints": endpoints}))
}

fn pick_lines(keys: &[String]) -> String {
    keys.iter()
        .map(|key| format!("{}\n", json!({"op": "pick", "key": key, "auto_done": true})))
        .collect()
}

fn check_key_map(name: &str, case: &Value) {
    let endpoints = case["endpoints"].as_array().expect("a list");
    let keys = keys(case["keys"].as_str().expect("a name"));
    let mut script = endpoints_line(endpoints) + &pick_lines(&keys);
    let mut expected = case["picks"].as_str().expect("a text").to_string();
    if let Some(removed) = case["removed"].as_array() {
        let left: Vec<Value> = endpoints
            .iter()
            .filter(|endpoint| !removed.contains(&endpoint["id"]))
            .cloned()
            .collect();
        script += &endpoints_line(&left);
        script += &pick_lines(&keys);
        expected += case["picks_after"].as_str().expect("a text");
    }
    assert_eq!(expected.len(), script.matches("\"pick\"").count(), "{name}");
    let output = output(config(case["policy"].as_str().expect("a name"), &case["options"]), 0, &script);
    assert!(
        picks(&output, endpoints) == expected,
        "{name}: other picks than {}",
        case["source"]
    );
}

#[test]
fn ring_hash_maps_every_key_as_envoy_does() {
    for (name, case) in recordings("envoy/ring_hash") {
        check_key_map(&name, &case);
    }
}

#[test]
fn maglev_maps_every_key_as_envoy_does() {
    for (name, case) in recordings("envoy/maglev") {
        check_key_map(&name, &case);
    }
}

/// The recorded proxies start at a random place of one cycle; so do we, and every place occurs.
fn check_cycle(name: &str, case: &Value) {
    let endpoints = case["endpoints"].as_array().expect("a list");
    let cycle = case["cycle"].as_str().expect("a text");
    let picks_total = 300;
    let script = endpoints_line(endpoints) + &format!("{}\n", json!({"op": "pick", "count": picks_total, "auto_done": true}));
    let repeated = cycle.repeat(picks_total / cycle.len() + 2);
    let mut starts = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let output = output(
            config(case["policy"].as_str().expect("a name"), &case["options"]),
            seed,
            &script,
        );
        let picks = picks(&output, endpoints);
        assert_eq!(picks.len(), picks_total);
        let start = repeated.find(&picks);
        assert!(
            start.is_some(),
            "{name}: seed {seed} gives {picks}, which is no rotation of {cycle}"
        );
        starts.extend(start);
    }
    assert_eq!(starts.len(), cycle.len(), "{name}: some rotations never occur");
}

#[test]
fn round_robin_repeats_envoys_cycle_from_any_place() {
    for (name, case) in recordings("envoy/round_robin") {
        check_cycle(&name, &case);
    }
}

#[test]
fn idle_least_request_repeats_envoys_cycle_from_any_place() {
    for (name, case) in recordings("envoy/least_request") {
        check_cycle(&name, &case);
    }
}

/// Whom levels, degraded endpoints and panic leave to round robin: shares, since the level of each call is drawn.
#[test]
fn levels_share_as_envoys_do() {
    for (name, case) in recordings("envoy/candidates") {
        let picks_total = case["picks"].as_f64().expect("a number");
        let ids = case["endpoints"].as_array().expect("a list");
        for subcase in case["subcases"].as_array().expect("a list") {
            let endpoints: Vec<Value> = (0..ids.len())
                .map(|i| json!({"id": ids[i], "priority": case["priorities"][i], "health": subcase["health"][i]}))
                .collect();
            let script =
                endpoints_line(&endpoints) + &format!("{}\n", json!({"op": "pick", "count": case["picks"], "auto_done": true}));
            let output = output(config("envoy/round_robin", &case["options"]), 1, &script);
            for (id, count) in ids.iter().zip(subcase["counts"].as_array().expect("a list")) {
                let found = output.matches(&format!("{id}}}")).count() as f64 / picks_total;
                let recorded = count.as_f64().expect("a number") / picks_total;
                // Both shares are drawn: 4 deviations of each, of which none is above sqrt(0.25 / 20000).
                let message = format!("{name}, {subcase}: {id} has {found} of the picks");
                assert!((found - recorded).abs() < 4.0 * 2.0_f64.sqrt() * 0.00354, "{message}");
                assert_eq!(found > 0.0, recorded > 0.0, "{message}");
            }
        }
    }
}
