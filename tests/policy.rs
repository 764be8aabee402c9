//! The policies against real proxies and against what their projects' own tests expect, all through `replay`.
//!
//! Recordings are in `policy/<family>/<name>/*.json`: what to set, who the endpoints are, and whom the proxy picked.

mod crowd;
mod detection;
mod discovery;
mod envoy;
mod envoy_candidates;
mod envoy_weights;
pub mod evidence;
mod finagle;
mod grpc;
mod grpc_groups;
mod haproxy;
mod health_checks;
mod kube_proxy;
mod limits;
mod linkerd;
mod nginx;
mod overload;
mod queues;
mod reality;
mod replay;
mod research;
mod retries;
mod steps;
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
pub const EVIDENCE: [&[Evidence]; 21] = [
    envoy::EVIDENCE,
    envoy_weights::EVIDENCE,
    envoy_candidates::EVIDENCE,
    grpc::EVIDENCE,
    grpc_groups::EVIDENCE,
    linkerd::EVIDENCE,
    tower::EVIDENCE,
    finagle::EVIDENCE,
    kube_proxy::EVIDENCE,
    nginx::EVIDENCE,
    haproxy::EVIDENCE,
    traefik::EVIDENCE,
    research::EVIDENCE,
    retries::EVIDENCE,
    limits::EVIDENCE,
    reality::EVIDENCE,
    health_checks::EVIDENCE,
    overload::EVIDENCE,
    discovery::EVIDENCE,
    detection::EVIDENCE,
    queues::EVIDENCE,
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

fn endpoints_line(endpoints: &[Value]) -> String {
    format!("{}\n", json!({"op": "endpoints", "endpoints": endpoints}))
}
