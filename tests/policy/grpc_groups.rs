//! What shows that gRPC's policies with children are the real ones: priority and weighted_target.

use serde_json::{Value, json};

use super::crowd::check_shares;
use super::evidence::Evidence;
use super::{config, endpoints_line, output};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "grpc/priority",
        against: "levels that its specification chooses",
        check: levels,
    },
    Evidence {
        policy: "grpc/weighted_target",
        against: "the shares of its weights",
        check: target_shares,
    },
];

/// Two endpoints in each of these groups, named by the group's letter.
fn groups(of: impl Fn(char) -> Value, letters: &str) -> Vec<Value> {
    let pair = |letter: char| {
        [1, 2].map(|i| {
            let mut endpoint = of(letter);
            endpoint["id"] = format!("{letter}:{i}").into();
            endpoint
        })
    };
    letters.chars().flat_map(pair).collect()
}

fn health(letters: &str, health: &str) -> String {
    let line = |letter: char, i| {
        format!(
            "{}\n",
            json!({"op": "health", "endpoint": format!("{letter}:{i}"), "health": health})
        )
    };
    letters.chars().flat_map(|letter| [1, 2].map(|i| line(letter, i))).collect()
}

fn picks(count: usize) -> String {
    format!("{}\n", json!({"op": "pick", "count": count, "auto_done": true}))
}

/// How many picks each group got.
fn counts(output: &str, letters: &str) -> Vec<u64> {
    let of = |letter: char| output.matches(&format!("\"{letter}:")).count() as u64;
    letters.chars().map(of).collect()
}

const CHILDREN: [&str; 5] = [
    "round_robin",
    "pick_first",
    "weighted_round_robin",
    "least_request",
    "weighted_target",
];

/// All calls go to the first level with a ready endpoint, and come back to it (A56: a child that is READY is chosen at once).
fn levels() -> String {
    let endpoints = groups(|letter| json!({"priority": u32::from(letter) - u32::from('a')}), "abc");
    let mut compared = 0;
    for child in CHILDREN {
        let mut script = endpoints_line(&endpoints);
        let mut expected = Vec::new();
        // Who is down at the time, and who gets the calls; nobody if all are.
        for (change, level) in [
            (String::new(), Some(0)),
            (health("a", "unhealthy"), Some(1)),
            (health("b", "unhealthy"), Some(2)),
            (health("c", "unhealthy"), None),
            (health("b", "healthy"), Some(1)),
            (health("ac", "healthy"), Some(0)),
        ] {
            script += &(change + &picks(40));
            expected.extend([level; 40]);
        }
        let output = output(config("grpc/priority", &json!({"child_policy": child})), 3, &script);
        for (line, level) in output.lines().zip(&expected) {
            let pick: Value = serde_json::from_str(line).expect("it prints JSON");
            let found = pick["pick"].as_str().and_then(|id| "abc".find(&id[..1]));
            assert_eq!(found, *level, "{child}: {line}");
        }
        assert_eq!(output.lines().count(), expected.len());
        compared += expected.len();
    }
    // A connection that cannot be made says the same as a health check: the level below takes over until it is tried again.
    let script = endpoints_line(&endpoints[..3])
        + "{\"op\": \"pick\"}\n{\"op\": \"pick\"}\n"
        + "{\"op\": \"done\", \"endpoint\": \"a:1\", \"local_origin\": \"connect_failure\"}\n"
        + "{\"op\": \"done\", \"endpoint\": \"a:2\", \"local_origin\": \"connect_failure\"}\n"
        + &picks(10)
        + "{\"op\": \"tick\", \"t\": 1.0}\n"
        + &picks(10);
    let output = output(config("grpc/priority", &json!({})), 3, &script);
    assert_eq!(counts(&output, "ab"), [12, 10], "{output}");
    format!("{} picks with 5 children, all at the level wanted", compared + 22)
}

/// Targets get calls in proportion to their weights, and those that are not ready leave theirs to the others.
fn target_shares() -> String {
    let weights = [("a", 1), ("b", 2), ("c", 5), ("d", 0)];
    let of = |letter: char| {
        let weight = weights
            .iter()
            .find(|(name, _)| *name == letter.to_string())
            .expect("it has one")
            .1;
        json!({"zone": letter.to_string(), "locality_weight": weight})
    };
    let endpoints = groups(of, "abcd");
    let options = json!({"childPolicy": [{"round_robin": {}}]});
    let run = |change: &str, seed| {
        let script = endpoints_line(&endpoints) + change + &picks(40_000);
        counts(&output(config("grpc/weighted_target", &options), seed, &script), "abcd")
    };
    let all = check_shares(&run("", 1), &[1.0, 2.0, 5.0, 0.0]);
    let without = check_shares(&run(&health("c", "unhealthy"), 2), &[1.0, 2.0, 0.0, 0.0]);
    let none = run(&health("abc", "unhealthy"), 3);
    assert_eq!(none, [0, 0, 0, 0], "a target without weight gets nothing");
    // Without weights all are alike.
    let plain = groups(|letter| json!({"zone": letter.to_string()}), "abcd");
    let script = endpoints_line(&plain) + &picks(40_000);
    let equal = check_shares(
        &counts(&output(config("grpc/weighted_target", &options), 4, &script), "abcd"),
        &[1.0; 4],
    );
    format!("{all}; with a target down: {without}; without weights: {equal}")
}

#[test]
fn children_are_checked() {
    use meshsim::replay::setup;
    for (policy, setting, expected) in [
        ("grpc/priority", "child_policy=envoy/random", "must be one of round_robin"),
        ("grpc/priority", "child_policy=priority", "must be one of round_robin"),
        (
            "grpc/weighted_target",
            "child_policy=weighted_target",
            "must be one of round_robin",
        ),
        ("grpc/weighted_target", "child_policy=nonsense", "unknown variant"),
        ("grpc/weighted_target", "child_policy={}", "invalid length 0"),
        (
            "grpc/priority",
            "child_policy={\"least_request\": {\"choiceCount\": 1}}",
            "at least 2",
        ),
    ] {
        let message = setup::balancer(policy, &[setting.parse().expect("it is a setting")]).expect_err(setting);
        assert!(message.contains(expected), "{setting} gives {message}");
    }
    for setting in [
        "child_policy=grpc/round_robin",
        "child_policy={\"ring_hash\": {\"minRingSize\": 10}}",
        "child_policy=[{\"least_request\": {\"choiceCount\": 3}}, {\"round_robin\": {}}]",
    ] {
        setup::balancer("grpc/priority", &[setting.parse().expect("it is a setting")]).expect(setting);
    }
}
