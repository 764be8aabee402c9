//! Scenarios from text to plan: wrong ones against the diagnostics beside them, right ones against the plan they must make, and any
//! bytes at all against panics, hangs and memory.

mod candidates;
mod compile;
mod fuzz;
mod patch;
mod surface;

use std::fs;
use std::path::{Path, PathBuf};

use meshsim::model::{Elision, RunOptions, run};
use meshsim::scenario::{Overrides, Scenario, Source, load};
use meshsim::time::Duration;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenario/bad")
}

/// Loads a text that must be valid.
fn valid(text: &str) -> Scenario {
    valid_with(text, &Overrides::default())
}

fn valid_with(text: &str, overrides: &Overrides) -> Scenario {
    let (scenario, diagnostics) = load(&Source::from_text("test.yaml", text), overrides);
    scenario.unwrap_or_else(|| panic!("{}", diagnostics.render(false)))
}

/// The diagnostics of a text that must not be valid.
fn problems(text: &str, overrides: &Overrides) -> String {
    let (scenario, diagnostics) = load(&Source::from_text("test.yaml", text), overrides);
    assert!(scenario.is_none(), "this is valid");
    assert!(diagnostics.has_errors());
    diagnostics.render(false)
}

/// Each `bad/NAME.yaml` gives the text of `bad/NAME.txt`. `UPDATE_EXPECTED=1` writes those anew; read the difference before it is
/// committed.
#[test]
fn wrong_scenarios_give_the_diagnostics_beside_them() {
    let mut names: Vec<PathBuf> = fs::read_dir(directory())
        .expect("the folder is there")
        .map(|entry| entry.expect("a folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    names.sort();
    assert!(names.len() > 30, "the folder has lost its files");
    let mut wrong = Vec::new();
    for path in names {
        let text = fs::read_to_string(&path).expect("a file can be read");
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let (_, diagnostics) = load(&Source::from_text(&name, text), &Overrides::default());
        let found = diagnostics.render(false);
        let expected_path = path.with_extension("txt");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected_path, &found).expect("a file can be written");
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if found.is_empty() || found != expected {
            wrong.push(format!("{name}: expected\n{expected}\nfound\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// No two errors share a code, and every code is met by a wrong scenario or by a test of files, patches or sizes.
#[test]
fn codes_are_stable_and_each_is_shown_by_a_test() {
    let messages = include_str!("../src/scenario/diagnostic/messages.rs");
    let tests = [
        include_str!("scenario/surface.rs"),
        include_str!("scenario/patch.rs"),
        include_str!("scenario/fuzz.rs"),
    ];
    let mut shown: String = tests.concat();
    for entry in fs::read_dir(directory()).expect("the folder is there") {
        let path = entry.expect("a folder can be listed").path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            shown.push_str(&fs::read_to_string(path).expect("a file can be read"));
        }
    }
    let mut codes: Vec<&str> = messages
        .split("\"MS")
        .skip(1)
        .map(|rest| rest.split('"').next().expect("a code ends"))
        .collect();
    codes.sort_unstable();
    codes.dedup();
    assert!(codes.len() > 40, "{codes:?}");
    let unseen: Vec<&&str> = codes.iter().filter(|code| !shown.contains(&format!("MS{code}"))).collect();
    assert!(unseen.is_empty(), "no test shows {unseen:?}");
}

/// The estimate of events lies within a factor of two of what a run has, where there are health checks and spikes of traffic.
#[test]
fn estimates_hold_with_checks_and_spikes() {
    let cases = [
        ("concurrency: 100", "health_check: {interval: 1s}", "[]"),
        ("concurrency: 100", "health_check: {interval: 1s, work: 2ms}", "[]"),
        ("concurrency: unlimited", "health_check: {interval: 100ms}", "[]"),
        (
            "concurrency: 100",
            "health_check: {interval: 500ms, tcp_health_check: {}}",
            "[]",
        ),
        (
            "concurrency: 100",
            "timeout: 1s",
            "[{at: 20s, for: 20s, spike: {factor: 10}}]",
        ),
        (
            "concurrency: 100",
            "timeout: 1s",
            "[{at: 0s, for: 5s, every: 10s, spike: {client: web, factor: 5}}]",
        ),
    ];
    for (concurrency, mesh, faults) in cases {
        let text = format!(
            "
apiVersion: meshsim/v1
duration: 60s
topology:
  network: {{same_zone: {{lognormal: {{p50: 250us, p99: 1ms}}}}}}
  services:
    api: {{replicas: 20, {concurrency}, operations: {{get: [{{work: 5ms}}, {{call: db/get}}]}}}}
    db: {{replicas: 10, {concurrency}, operations: {{get: [{{work: 5ms}}]}}}}
clients: {{web: {{call: api/get, callers: 20, arrivals: {{constant: {{rate: 50/s}}}}}}}}
mesh: {{balancer: envoy/random, {mesh}}}
faults: {faults}
"
        );
        let scenario = valid(&text);
        let options = RunOptions {
            seed: 1,
            replication: 0,
            warmup: Duration::ZERO,
            elision: Elision::On,
            pilot: false,
        };
        let events = run(&scenario.variants[0].plan, options).events_total as f64;
        let estimate = scenario.estimate.events / scenario.estimate.cells as f64;
        let ratio = estimate / events;
        assert!((0.5..=2.0).contains(&ratio), "{mesh}, {faults}: {estimate}, not {events}");
    }
}
