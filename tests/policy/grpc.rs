//! What shows that the balancers of `grpc` are the real ones.

use std::collections::{BTreeMap, BTreeSet};

use meshsim::policy::LoadReport;
use meshsim::policy::balancer::grpc::weighted_round_robin::{StaticStride, orca_weight};
use serde_json::{Value, json};

use super::evidence::Evidence;
use super::{config, data, endpoints_line, output, read};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "grpc/pick_first",
        against: "sequences that its source gives",
        check: pick_first_sequences,
    },
    Evidence {
        policy: "grpc/pick_first",
        against: "the shares of its shuffle",
        check: pick_first_shuffle,
    },
    Evidence {
        policy: "grpc/round_robin",
        against: "cycles and starts that its source gives",
        check: round_robin_cycles,
    },
    Evidence {
        policy: "grpc/weighted_round_robin",
        against: "vectors computed from grpc-go's scheduler",
        check: weighted_round_robin_vectors,
    },
    Evidence {
        policy: "grpc/weighted_round_robin",
        against: "periods that its source gives",
        check: weighted_round_robin_periods,
    },
    Evidence {
        policy: "grpc/ring_hash",
        against: "the ring of its own test",
        check: ring_hash_ring,
    },
    Evidence {
        policy: "grpc/ring_hash",
        against: "walks that its source gives",
        check: ring_hash_walks,
    },
    Evidence {
        policy: "grpc/least_request",
        against: "the share that its draws give",
        check: least_request_share,
    },
];

fn list(ids: &[&str]) -> String {
    endpoints_line(&ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>())
}

fn pick(count: usize) -> String {
    format!("{}\n", json!({"op": "pick", "count": count, "auto_done": true}))
}

fn failed(endpoint: &str, how: &str) -> String {
    format!(
        "{}\n{}\n",
        json!({"op": "pick"}),
        json!({"op": "done", "endpoint": endpoint, "local_origin": how})
    )
}

fn tick(t: f64) -> String {
    format!("{}\n", json!({"op": "tick", "t": t}))
}

/// The first letters of the endpoints that a replay picks; `-` where it picks none.
fn letters(policy: &str, options: &Value, seed: u64, script: &str) -> String {
    let letter = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("it prints JSON");
        line["pick"]
            .as_str()
            .map_or('-', |id| id.chars().next().expect("it has a name"))
    };
    output(config(policy, options), seed, script).lines().map(letter).collect()
}

fn pick_first_sequences() -> String {
    let abc = list(&["a", "b", "c"]);
    let cases = [
        // The first address, while it lasts.
        (abc.clone() + &pick(5), "aaaaa"),
        // A connection that cannot be made moves it on, and the others' back-offs end with the new connection.
        (abc.clone() + &failed("a", "connect_failure") + &pick(3), "abbb"),
        (
            abc.clone() + &failed("a", "connect_failure") + &failed("b", "connect_failure") + &pick(2),
            "abcc",
        ),
        // One that breaks sends it back to the first address.
        (
            abc.clone() + &failed("a", "connect_failure") + &pick(2) + &failed("b", "reset") + &pick(2),
            "abbbaa",
        ),
        // Once all have failed nothing is tried until the first back-off has passed, 1 s; then in the order of the list.
        (
            list(&["a", "b"])
                + &failed("a", "connect_failure")
                + &tick(0.5)
                + &failed("b", "connect_failure")
                + &tick(0.9)
                + &pick(2)
                + &tick(1.0)
                + &pick(2),
            "ab--aa",
        ),
        // A connection outlives every new list that still has its endpoint.
        (
            abc.clone() + &pick(1) + &list(&["c", "a"]) + &pick(2) + &list(&["b", "c"]) + &pick(2),
            "aaabb",
        ),
        (
            abc.clone() + &failed("a", "connect_failure") + &pick(1) + &list(&["a", "b"]) + &pick(1),
            "abb",
        ),
        // The families of addresses take turns (RFC 8305 section 4).
        (
            list(&["1.1.1.1:1", "2.1.1.1:1", "[3::1]:1", "[4::1]:1"])
                + &failed("1.1.1.1:1", "connect_failure")
                + &failed("[3::1]:1", "connect_failure")
                + &failed("2.1.1.1:1", "connect_failure")
                + &pick(1),
            "1[2[",
        ),
    ];
    for (script, expected) in &cases {
        assert_eq!(letters("grpc/pick_first", &json!({}), 1, script), *expected, "{script}");
    }
    format!("{} sequences, all equal", cases.len())
}

fn pick_first_shuffle() -> String {
    // gRFC A113: with weights 1, 2 and 3 an endpoint is the first with probability weight / 6. Five standard deviations.
    let endpoints: Vec<Value> = ["a", "b", "c"]
        .iter()
        .zip(1..)
        .map(|(id, weight)| json!({"id": id, "weight": weight}))
        .collect();
    let script = endpoints_line(&endpoints) + &pick(1);
    let seeds: u32 = 3000;
    let mut counts = BTreeMap::new();
    for seed in 0..seeds {
        *counts
            .entry(letters(
                "grpc/pick_first",
                &json!({"shuffleAddressList": true}),
                seed.into(),
                &script,
            ))
            .or_insert(0.0) += 1.0;
    }
    let mut worst = 0.0_f64;
    for (letter, weight) in ["a", "b", "c"].iter().zip(1..) {
        let share = f64::from(weight) / 6.0;
        let deviation = (f64::from(seeds) * share * (1.0 - share)).sqrt();
        worst = worst.max((counts[*letter] - f64::from(seeds) * share).abs() / deviation);
    }
    assert!(worst < 5.0, "{counts:?}");
    format!("{seeds} callers, shares within {worst:.1} standard deviations")
}

fn round_robin_cycles() -> String {
    let seeds = 300;
    let mut starts = BTreeSet::new();
    let mut checked = 0;
    let mut check = |seed: u64, script: String, cycles: &[(&str, usize)]| {
        let picks = letters("grpc/round_robin", &json!({}), seed, &script);
        let mut rest = picks.as_str();
        for &(cycle, count) in cycles {
            let (part, tail) = rest.split_at(count);
            rest = tail;
            let start = cycle.repeat(count / cycle.len() + 2).find(part);
            assert!(start.is_some(), "seed {seed}: {part} of {picks} is no rotation of {cycle}");
            starts.insert((cycle.to_string(), start));
            checked += count;
        }
        // One of the first three calls after the back-off finds that the endpoint is back, and the cycle begins anew.
        let back = rest.find('b').map_or("", |first| &rest[first + 1..]);
        assert!(rest.is_empty() || back.len() >= 9, "seed {seed}: {picks}");
        assert!("abc".repeat(6).contains(back), "seed {seed}: {picks}");
    };
    for seed in 0..seeds {
        let abc = list(&["a", "b", "c"]);
        // A new list begins at a new random place.
        check(
            seed,
            abc.clone() + &pick(7) + &list(&["a", "b", "c", "d"]) + &pick(9),
            &[("abc", 7), ("abcd", 9)],
        );
        // An endpoint that cannot be connected to is left out for the back-off of 1 s.
        check(
            seed,
            abc.clone()
                + &format!("{}\n", json!({"op": "pick", "count": 3}))
                + &format!(
                    "{}\n",
                    json!({"op": "done", "endpoint": "b", "local_origin": "connect_failure"})
                )
                + &pick(6)
                + &tick(0.999)
                + &pick(4)
                + &tick(1.0)
                + &pick(12),
            &[("abc", 3), ("ac", 10)],
        );
    }
    // Three cycles have 3, 4 and 2 places to begin at.
    assert_eq!(starts.len(), 9, "some places never come first: {starts:?}");
    format!(
        "{seeds} callers, {checked} picks, all in the cycle; all {} starts occur",
        starts.len()
    )
}

fn cases(path: &str) -> Vec<Value> {
    let file = read(&data(path));
    file["cases"].as_array().expect("a list").clone()
}

fn f64_of(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn weighted_round_robin_vectors() -> String {
    let mut picks_total = 0;
    let strides = cases("grpc/weighted_round_robin/vectors/static_stride.json");
    for case in &strides {
        let (name, input, expected) = (&case["name"], &case["input"], &case["expected"]);
        let weights: Vec<f64> = input["weights"].as_array().expect("a list").iter().map(f64_of).collect();
        let mut stride = StaticStride::default();
        stride.set_weights(&weights);
        let scaled = stride.scaled().map_or(Value::Null, |scaled| json!(scaled));
        assert_eq!(scaled, expected["scaled"], "{name}");
        let mut counter = input["counter_before_first_pick"].as_u64().expect("a number") as u32;
        let sequence = expected["sequence"].as_array().expect("a list");
        let found: Vec<Value> = sequence.iter().map(|_| stride.next(&mut counter).into()).collect();
        assert_eq!(found, *sequence, "{name}");
        picks_total += found.len() + check_replay(&name.to_string(), &weights, &stride);
    }
    let orca = cases("grpc/weighted_round_robin/vectors/orca_weight.json");
    for case in &orca {
        let input = &case["input"];
        let report = LoadReport {
            rps_fractional: f64_of(&input["rps"]),
            eps: f64_of(&input["eps"]),
            application_utilization: f64_of(&input["application_utilization"]),
            cpu_utilization: f64_of(&input["cpu_utilization"]),
            ..LoadReport::default()
        };
        let weight = orca_weight(&report, f64_of(&input["error_utilization_penalty"]));
        assert_eq!(weight, Some(f64_of(&case["expected"])), "{}", case["name"]);
    }
    format!(
        "{} schedules, {picks_total} picks, and {} weights, all equal",
        strides.len(),
        orca.len()
    )
}

/// A report with this weight.
fn load(weight: f64) -> Value {
    json!({"rps_fractional": weight, "cpu_utilization": 1.0})
}

/// Lets endpoints report the weights, and looks for what is picked then in the schedule's whole period.
fn check_replay(name: &str, weights: &[f64], stride: &StaticStride) -> usize {
    let ids: Vec<String> = (0..weights.len()).map(|i| i.to_string()).collect();
    let mut script = list(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    script += &format!("{}\n", json!({"op": "pick", "count": weights.len()}));
    for (id, &weight) in ids.iter().zip(weights) {
        let mut done = json!({"op": "done", "endpoint": id});
        if weight > 0.0 {
            done["load"] = load(weight);
        }
        script += &format!("{done}\n");
    }
    let picks = 500;
    script += &(tick(1.0) + &pick(picks));
    let mut counter = 0;
    let rounds = stride.scaled().map_or(1, |_| 65535);
    // Each round of the counter is at most one pick for each endpoint.
    let whole: String = (0..rounds * weights.len() + picks)
        .map(|_| stride.next(&mut counter).to_string())
        .collect();
    for seed in 0..5 {
        let picked = letters("grpc/weighted_round_robin", &json!({"blackoutPeriod": "0s"}), seed, &script);
        let (first, then) = picked.split_at(weights.len());
        let cycle = ids.concat();
        assert!(cycle.repeat(2).contains(first), "{name}: without weights {first}");
        assert!(whole.contains(then), "{name}: seed {seed} picks {then}");
    }
    5 * picks
}

fn weighted_round_robin_periods() -> String {
    // Two endpoints with reports of 3 and 1: alternate until the weights count, then the schedule of 3 to 1.
    let options = json!({"blackout_period": "10s", "weight_expiration_period": "60s", "weight_update_period": "2s"});
    let report = |t: f64| {
        let both = format!("{}\n", json!({"op": "pick", "t": t, "count": 2, "attempt": 0}));
        let done = |id: &str, weight: f64| format!("{}\n", json!({"op": "done", "endpoint": id, "load": load(weight)}));
        (both, done("a", 3.0) + &done("b", 1.0))
    };
    let mut checked = 0;
    let mut check = |reports: &[f64], at: f64, weighted: bool| {
        let mut script = list(&["a", "b"]);
        for &t in reports {
            let (pick, done) = report(t);
            script += &pick;
            // Where weights count already, both picks may be of the same endpoint.
            script += &format!("{}\n", json!({"op": "pick", "count": 6}));
            script += &done;
        }
        script += &(tick(at) + &pick(400));
        for seed in 0..5 {
            let picked = letters("grpc/weighted_round_robin", &options, seed, &script);
            let a = picked[picked.len() - 400..].matches('a').count();
            assert_eq!(a, if weighted { 300 } else { 200 }, "reports at {reports:?}, picks at {at}");
        }
        checked += 1;
    };
    // The schedule is made at 0, 2, 4 … s; the blackout of a first report at 1 s ends at 11 s, so it counts from 12 s on.
    check(&[1.0], 9.9, false);
    check(&[1.0], 11.999, false);
    check(&[1.0], 12.0, true);
    // Of a report at 2 s the blackout ends at 12 s, when a schedule is made.
    check(&[2.0], 11.999, false);
    check(&[2.0], 12.0, true);
    // It expires 60 s after the last report, and is noticed at the next schedule: 61 s at 62 s.
    check(&[1.0], 61.999, true);
    check(&[1.0], 62.0, false);
    check(&[1.0, 30.0], 89.999, true);
    check(&[1.0, 30.0], 90.0, false);
    // After it expired the blackout begins anew.
    check(&[1.0, 70.5], 79.999, false);
    check(&[1.0, 70.5], 81.999, false);
    check(&[1.0, 70.5], 82.0, true);
    // A report that comes between two schedules waits for the next.
    check(&[1.0, 61.5], 62.5, true);
    format!("{checked} moments at which weights begin or cease to count, all equal")
}

const RING: &str = "grpc/ring_hash/vectors/ring.json";

/// The points of upstream's ring, and a script that lists its endpoints.
fn upstream_ring() -> (Vec<(u64, String)>, String, Value) {
    let case = cases(RING).remove(0);
    let points = case["expected"]["ring"].as_array().expect("a list");
    let points = points
        .iter()
        .map(|point| {
            let text = |key: &str| point[key].as_str().expect("a text").to_string();
            (text("hash").parse().expect("64 bits"), text("host"))
        })
        .collect();
    let weight = |host: &Value| (f64_of(&host["normalized_weight"]) * 10.0).round() as u64;
    // Not in the order of the ring's keys: it must not matter.
    let endpoints: Vec<Value> = case["input"]["hosts"]
        .as_array()
        .expect("a list")
        .iter()
        .rev()
        .map(|host| json!({"id": host["key"], "weight": weight(host)}))
        .collect();
    let options = json!({
        "min_ring_size": case["input"]["minimum_ring_size"],
        "max_ring_size": case["input"]["maximum_ring_size"],
    });
    (points, endpoints_line(&endpoints), options)
}

fn pick_hash(hash: u64) -> String {
    format!("{}\n", json!({"op": "pick", "hash": hash.to_string(), "auto_done": true}))
}

/// Hashes at, just before and just after each point, and whose they are when those of `down` are passed over.
fn probes(points: &[(u64, String)], down: &[&str]) -> (String, String) {
    let mut script = String::new();
    let mut expected = String::new();
    for &(hash, _) in points {
        for hash in [hash - 1, hash, hash + 1] {
            let first = points.partition_point(|point| point.0 < hash);
            let mut walk = points[first..].iter().chain(points);
            let owner = walk.find(|point| !down.contains(&point.1.as_str()));
            script += &pick_hash(hash);
            expected += owner.map_or("-", |owner| &owner.1);
        }
    }
    (script, expected)
}

fn ring_hash_ring() -> String {
    let (points, endpoints, options) = upstream_ring();
    let (script, expected) = probes(&points, &[]);
    assert_eq!(letters("grpc/ring_hash", &options, 1, &(endpoints + &script)), expected);
    format!(
        "{} points, {} hashes at and about them, all equal",
        points.len(),
        expected.len()
    )
}

fn ring_hash_walks() -> String {
    let (points, endpoints, options) = upstream_ring();
    let down = |id: &str| format!("{}\n", json!({"op": "health", "endpoint": id, "health": "unhealthy"}));
    let mut checked = 0;
    for unhealthy in [&["b"][..], &["c"], &["a", "c"], &["a", "b", "c"]] {
        let health: String = unhealthy.iter().map(|id| down(id)).collect();
        let (script, expected) = probes(&points, unhealthy);
        let found = letters("grpc/ring_hash", &options, 1, &(endpoints.clone() + &health + &script));
        assert_eq!(found, expected, "{unhealthy:?}");
        checked += expected.len();
    }
    // What cannot be connected to is passed over for 1 s. The first point of the ring is c's, a's or b's.
    let (hash, owner) = &points[0];
    let next = &points[1..].iter().find(|point| point.1 != *owner).expect("there are three").1;
    let script = endpoints.clone()
        + &pick_hash(*hash).replace(",\"auto_done\":true", "")
        + &format!(
            "{}\n",
            json!({"op": "done", "endpoint": owner, "local_origin": "connect_failure"})
        )
        + &pick_hash(*hash)
        + &tick(1.0)
        + &pick_hash(*hash);
    assert_eq!(
        letters("grpc/ring_hash", &options, 1, &script),
        format!("{owner}{next}{owner}")
    );
    // A call without a key takes the first ready endpoint from a random point on: with b and c down, always a.
    let script = endpoints + &down("b") + &down("c") + &pick(50);
    assert_eq!(letters("grpc/ring_hash", &options, 1, &script), "a".repeat(50));
    format!("{} picks with endpoints down, all equal", checked + 53)
}

fn least_request_share() -> String {
    // Of two endpoints a busy one is picked when all draws fall on it: 2^-choices.
    let picks = 40_000;
    let mut shown = Vec::new();
    for (choices, counted) in [(2, 2), (3, 3), (5, 5), (10, 10), (50, 10)] {
        let script = list(&["a"]) + "{\"op\": \"pick\"}\n" + &list(&["a", "b"]) + &pick(picks);
        let picked = letters("grpc/least_request", &json!({"choiceCount": choices}), 3, &script);
        let busy = picked[1..].matches('a').count() as f64 / picks as f64;
        let share = meshsim::math::pow(0.5, f64::from(counted));
        let deviations = (busy - share).abs() / (share * (1.0 - share) / picks as f64).sqrt();
        assert!(deviations < 5.0, "{choices} choices: {busy}");
        shown.push(format!("{choices}: {busy:.5}"));
    }
    format!("share of the busier of two by choice_count: {}", shown.join(", "))
}

#[test]
fn options_are_checked_as_grpc_does() {
    use meshsim::replay::setup;
    for (policy, setting, expected) in [
        ("grpc/least_request", "choice_count=1", "at least 2"),
        ("grpc/ring_hash", "minRingSize=5000", "is above `max_ring_size` 4096"),
        ("grpc/ring_hash", "max_ring_size=9000000", "at most 8388608"),
        ("grpc/ring_hash", "requestHashHeader=key-bin", "must not end"),
        ("grpc/weighted_round_robin", "error_utilization_penalty=-1", "at least 0"),
        ("grpc/pick_first", "shuffle=true", "did you mean `shuffleAddressList`?"),
    ] {
        let setting: setup::Setting = setting.parse().expect("it is a setting");
        let message = setup::balancer(policy, &[setting]).expect_err(policy);
        assert!(message.contains(expected), "{policy} gives {message}");
    }
}
