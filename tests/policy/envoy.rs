//! What shows that the balancers of `envoy` are the real ones: recordings of Envoy 1.40, and values of its own tests.

use std::collections::BTreeSet;
use std::fs;

use meshsim::policy::ClusterConfig;
use meshsim::replay::setup::{self, Setting};
use serde_json::{Value, json};

use super::crowd::{Crowd, check_shares};
use super::evidence::Evidence;
use super::{config, data, endpoints_line, output, recordings, vectors};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "envoy/round_robin",
        against: "Recordings of Envoy 1.40",
        check: || cycles("envoy/round_robin"),
    },
    Evidence {
        policy: "envoy/round_robin",
        against: "vectors of its scheduler test",
        check: vectors::edf_schedules,
    },
    Evidence {
        policy: "envoy/random",
        against: "The share that theory gives",
        check: equal_shares,
    },
    Evidence {
        policy: "envoy/least_request",
        against: "Recordings of Envoy 1.40",
        check: || cycles("envoy/least_request"),
    },
    Evidence {
        policy: "envoy/least_request",
        against: "weights computed from its formula",
        check: vectors::least_request_weights,
    },
    Evidence {
        policy: "envoy/least_request",
        against: "the share that theory gives",
        check: busy_share,
    },
    Evidence {
        policy: "envoy/ring_hash",
        against: "Recordings of Envoy 1.40",
        check: || key_maps("envoy/ring_hash"),
    },
    Evidence {
        policy: "envoy/ring_hash",
        against: "vectors of its ring hash test",
        check: vectors::rings,
    },
    Evidence {
        policy: "envoy/maglev",
        against: "Recordings of Envoy 1.40",
        check: || key_maps("envoy/maglev"),
    },
    Evidence {
        policy: "envoy/maglev",
        against: "vectors of its Maglev test",
        check: vectors::maglev_tables,
    },
];

fn keys(name: &str) -> Vec<String> {
    match name {
        "users" => (0..2000).map(|i| format!("user-{i}")).collect(),
        _ => {
            let text = fs::read_to_string(data(&format!("envoy/keys/{name}.txt"))).expect("the keys are part of the tests");
            text.lines().map(str::to_string).collect()
        }
    }
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

fn pick_lines(keys: &[String]) -> String {
    keys.iter()
        .map(|key| format!("{}\n", json!({"op": "pick", "key": key, "auto_done": true})))
        .collect()
}

/// What a recording was made with: `policy`, `options` and `mesh`.
pub fn recorded_config(case: &Value) -> ClusterConfig {
    let policy = case["policy"].as_str().expect("a name");
    let options = case["options"].as_object().into_iter().flatten();
    let setting = |(path, value): (&String, &Value)| Setting {
        path: path.clone(),
        value: value.clone(),
    };
    let settings: Vec<Setting> = options.map(setting).collect();
    let mesh = case.get("mesh").map(|mesh| json!({"mesh": mesh}).to_string());
    let mesh = mesh.as_deref().map(|text| ("the recording", text));
    setup::cluster(policy, &settings, mesh).unwrap_or_else(|message| panic!("{message}"))
}

/// The line that says who picks, where a recording does.
pub fn caller_line(case: &Value) -> String {
    let Some(caller) = case.get("caller") else {
        return String::new();
    };
    let mut line = caller.clone();
    line["op"] = "caller".into();
    format!("{line}\n")
}

fn check_key_map(name: &str, case: &Value) -> usize {
    let endpoints = case["endpoints"].as_array().expect("a list");
    let keys = keys(case["keys"].as_str().expect("a name"));
    let mut script = caller_line(case) + &endpoints_line(endpoints) + &pick_lines(&keys);
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
    let output = output(recorded_config(case), 0, &script);
    assert!(
        picks(&output, endpoints) == expected,
        "{name}: other picks than {}",
        case["source"]
    );
    expected.len()
}

/// A hash policy maps every key as it was recorded.
fn key_maps(policy: &str) -> String {
    let recordings = recordings(policy);
    let picks: usize = recordings.iter().map(|(name, case)| check_key_map(name, case)).sum();
    format!("{} recordings, {picks} picks, all equal", recordings.len())
}

/// The recorded proxies start at a random place of one cycle; so do we, and every place occurs.
fn check_cycle(name: &str, case: &Value) -> usize {
    const SEEDS: u64 = 200;
    let endpoints = case["endpoints"].as_array().expect("a list");
    let cycle = case["cycle"].as_str().expect("a text");
    let picks_total = 300;
    let script = endpoints_line(endpoints) + &format!("{}\n", json!({"op": "pick", "count": picks_total, "auto_done": true}));
    let repeated = cycle.repeat(picks_total / cycle.len() + 2);
    let mut starts = BTreeSet::new();
    for seed in 0..SEEDS {
        let output = output(recorded_config(case), seed, &script);
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
    picks_total * SEEDS as usize
}

/// Idle endpoints are picked in the recorded cycle.
fn cycles(policy: &str) -> String {
    let recordings = recordings(policy);
    let picks: usize = recordings.iter().map(|(name, case)| check_cycle(name, case)).sum();
    format!(
        "{} recordings, {picks} picks, all in the recorded cycle; every start occurs",
        recordings.len()
    )
}

fn equal_shares() -> String {
    let counts = Crowd::new("envoy/random", &json!({}), &[1, 2, 3, 4, 50], 7).counts(100_000, 3);
    check_shares(&counts, &[1.0; 5])
}

/// Of two endpoints a busy one is picked when all draws fall on it: 2^-choices, as the draws are with replacement.
fn busy_share() -> String {
    let picks = 40_000;
    let mut shown = Vec::new();
    for choices in [2, 3, 5] {
        let script = endpoints_line(&[json!({"id": "a:1"})])
            + "{\"op\": \"pick\"}\n"
            + &endpoints_line(&[json!({"id": "a:1"}), json!({"id": "b:1"})])
            + &format!("{}\n", json!({"op": "pick", "count": picks, "auto_done": true}));
        let output = output(config("envoy/least_request", &json!({"choice_count": choices})), 3, &script);
        let busy = (output.matches("\"a:1\"").count() - 1) as f64 / f64::from(picks);
        let share = 1.0 / f64::from(1_u32 << choices);
        let deviations = (busy - share).abs() / (share * (1.0 - share) / f64::from(picks)).sqrt();
        assert!(deviations < 5.0, "{choices} choices: {busy}");
        shown.push(format!("{choices}: {busy:.5}"));
    }
    format!("share of the busier of two by choice_count: {}", shown.join(", "))
}
