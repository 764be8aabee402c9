//! What shows that the balancers of `nginx` are the real ones.

use meshsim::policy::balancer::common::crc32;
use serde_json::{Value, json};

use super::evidence::Evidence;
use super::steps::{check_recordings, check_shares};
use super::vectors::{cases, list, u32_of, u64_of};
use super::{config, endpoints_line, output};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "nginx/round_robin",
        against: "recordings of nginx 1.22.1",
        check: || check_recordings("nginx/round_robin", "nginx/round_robin"),
    },
    Evidence {
        policy: "nginx/round_robin",
        against: "vectors computed from nginx's source",
        check: || check_vectors("swrr", check_sequence),
    },
    Evidence {
        policy: "nginx/least_conn",
        against: "recordings of nginx 1.22.1",
        check: || check_recordings("nginx/least_conn", "nginx/least_conn"),
    },
    Evidence {
        policy: "nginx/ip_hash",
        against: "recordings of nginx 1.22.1",
        check: || check_recordings("nginx/ip_hash", "nginx/ip_hash"),
    },
    Evidence {
        policy: "nginx/ip_hash",
        against: "vectors computed from nginx's source",
        check: || check_vectors("ip_hash", |input, expected| check_pick("nginx/ip_hash", input, expected)),
    },
    Evidence {
        policy: "nginx/hash",
        against: "recordings of nginx 1.22.1",
        check: || check_recordings("nginx/hash", "nginx/hash"),
    },
    Evidence {
        policy: "nginx/hash",
        against: "vectors computed from nginx's source",
        check: || check_vectors("hash", |input, expected| check_pick("nginx/hash", input, expected)),
    },
    Evidence {
        policy: "nginx/hash_consistent",
        against: "recordings of nginx 1.22.1",
        check: || check_recordings("nginx/hash_consistent", "nginx/hash_consistent"),
    },
    Evidence {
        policy: "nginx/hash_consistent",
        against: "vectors computed from nginx's source",
        check: || check_vectors("chash_lookup", check_lookup),
    },
    Evidence {
        policy: "nginx/random",
        against: "shares of nginx 1.22.1",
        check: || check_shares("nginx/random", "nginx/random"),
    },
    Evidence {
        policy: "nginx/random_two_least_conn",
        against: "shares of nginx 1.22.1",
        check: || check_shares("nginx/random_two_least_conn", "nginx/random_two_least_conn"),
    },
    Evidence {
        policy: "nginx/least_time",
        against: "sequences computed from nginx's source",
        check: || check_recordings("nginx/least_time", "nginx/least_time"),
    },
];

/// Runs the vectors of one operation.
fn check_vectors(operation: &str, check: impl Fn(&Value, &Value)) -> String {
    let cases = cases("nginx/vectors/nginx.json");
    let wanted: Vec<_> = cases.iter().filter(|(_, input, _)| input["op"] == operation).collect();
    assert!(!wanted.is_empty(), "no vectors of {operation}");
    for (_, input, expected) in &wanted {
        check(input, expected);
    }
    format!("{} vectors, all equal", wanted.len())
}

fn weighted(weights: &[Value]) -> Vec<Value> {
    let endpoint = |(i, weight)| json!({"id": format!("10.0.0.{}:8080", i + 1), "weight": weight});
    weights.iter().enumerate().map(endpoint).collect()
}

fn picks(policy: &str, options: &Value, script: &str, endpoints: &[Value]) -> Vec<usize> {
    let output = output(config(policy, options), 0, script);
    let lines = output
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("it prints JSON"));
    let place = |line: Value| endpoints.iter().position(|endpoint| endpoint["id"] == line["pick"]);
    lines.map(|line| place(line).expect("it picks an endpoint")).collect()
}

/// A sequence of round robin. An effective weight of 0 comes of one failure with `max_fails` 1, while nobody else can be picked;
/// with `fail_timeout` 0 it blocks until the next second.
fn check_sequence(input: &Value, expected: &Value) {
    let endpoints = weighted(list(&input["weights"]));
    let mut script = endpoints_line(&endpoints);
    let mut skip = 0;
    let effective = input["initial_effective"].as_array().map_or(&[][..], Vec::as_slice);
    for (i, _) in effective.iter().enumerate().filter(|(_, effective)| **effective == json!(0)) {
        for (j, other) in endpoints.iter().enumerate().filter(|(j, _)| *j != i) {
            assert_eq!(effective[j], input["weights"][j]);
            script += &format!(
                "{}\n",
                json!({"op": "health", "endpoint": other["id"], "health": "unhealthy"})
            );
        }
        script += "{\"op\": \"pick\"}\n";
        script += &format!(
            "{}\n",
            json!({"op": "done", "endpoint": endpoints[i]["id"], "local_origin": "connect_failure"})
        );
        for other in endpoints.iter() {
            script += &format!("{}\n", json!({"op": "health", "endpoint": other["id"], "health": "healthy"}));
        }
        skip += 1;
    }
    script += &format!(
        "{}\n",
        json!({"op": "pick", "t": 1, "count": input["picks"], "auto_done": true})
    );
    let found = picks("nginx/round_robin", &json!({"fail_timeout": "0s"}), &script, &endpoints);
    assert_eq!(json!(found[skip..]), expected["sequence"], "{input}");
}

fn check_pick(policy: &str, input: &Value, expected: &Value) {
    let mut endpoints = weighted(list(&input["weights"]));
    for place in input["unavailable"].as_array().into_iter().flatten() {
        endpoints[u32_of(place) as usize]["health"] = json!("unhealthy");
    }
    let key = input.get("client").unwrap_or(&input["key"]);
    let script = endpoints_line(&endpoints) + &format!("{}\n", json!({"op": "pick", "key": key}));
    assert_eq!(
        json!(picks(policy, &json!({}), &script, &endpoints)),
        json!([expected]),
        "{input}"
    );
}

fn check_lookup(input: &Value, expected: &Value) {
    let endpoint = |server: &Value| json!({"id": server[0], "weight": server[1]});
    let endpoints: Vec<Value> = list(&input["servers"]).iter().map(endpoint).collect();
    let script = endpoints_line(&endpoints) + &format!("{}\n", json!({"op": "pick", "key": input["key"]}));
    for (policy, options) in [
        ("nginx/hash_consistent", json!({})),
        ("nginx/hash", json!({"consistent": true})),
    ] {
        let found = picks(policy, &options, &script, &endpoints);
        assert_eq!(endpoints[found[0]]["id"], *expected, "{policy}: {input}");
    }
}

#[test]
fn checksums_are_those_of_crc32() {
    for (name, input, expected) in cases("nginx/vectors/crc32.json") {
        let text = input["text"].as_str().expect("a text");
        assert_eq!(u64::from(crc32(text.as_bytes())), u64_of(&expected), "{name}");
    }
}

/// A server that is named once in the configuration and has several addresses takes turns among them.
#[test]
fn addresses_of_one_name_take_turns() {
    let endpoint = |i: u32, name: &str| json!({"id": format!("10.0.0.{i}:80"), "hostname": name});
    let endpoints = [endpoint(1, "a:80"), endpoint(2, "b:80"), endpoint(3, "a:80")];
    let script = endpoints_line(&endpoints) + "{\"op\": \"pick\", \"key\": \"k1\", \"count\": 6, \"auto_done\": true}\n";
    let named = json!({"use_hostname_for_hashing": true});
    for (key, expected) in [("k1", [0, 2, 0, 2, 0, 2]), ("k2", [1; 6])] {
        let found = picks("nginx/hash_consistent", &named, &script.replace("k1", key), &endpoints);
        assert_eq!(found, expected, "{key}");
    }
}

/// nginx counts a listed status as a failure only while there is another server to turn to, and 404 never.
#[test]
fn what_counts_as_a_failure() {
    let endpoints = weighted(&[json!(1), json!(1)]);
    let run = |options: &Value, status: u16| {
        let id = &endpoints[0]["id"];
        let script = endpoints_line(&endpoints)
            + "{\"op\": \"pick\"}\n"
            + &format!("{}\n", json!({"op": "done", "endpoint": id, "status": status}))
            + "{\"op\": \"pick\", \"count\": 3, \"auto_done\": true}\n";
        picks("nginx/round_robin", options, &script, &endpoints)
    };
    assert_eq!(run(&json!({}), 503), [0, 1, 0, 1]);
    assert_eq!(
        run(&json!({"proxy_next_upstream": "error timeout http_503"}), 503),
        [0, 1, 1, 1]
    );
    assert_eq!(
        run(&json!({"proxy_next_upstream": ["http_404", "http_503"]}), 404),
        [0, 1, 0, 1]
    );
}
