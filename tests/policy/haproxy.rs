//! What shows that the balancers of `haproxy` are the real ones.

use meshsim::policy::balancer::haproxy::{leastconn, slots};
use serde_json::{Value, json};

use super::evidence::Evidence;
use super::steps::{check_recordings, check_shares, places};
use super::vectors::{cases, list, u32_of};
use super::{config, endpoints_line, output};

/// A row for each policy with recordings.
macro_rules! recorded {
    ($name:literal) => {
        Evidence {
            policy: concat!("haproxy/", $name),
            against: "recordings of HAProxy 2.6.12",
            check: || check_recordings(concat!("haproxy/", $name), concat!("haproxy/", $name)),
        }
    };
}

pub const EVIDENCE: &[Evidence] = &[
    recorded!("roundrobin"),
    recorded!("static_rr"),
    Evidence {
        policy: "haproxy/static_rr",
        against: "vectors computed from HAProxy's source",
        check: || check_vectors("static_rr_map", check_map),
    },
    recorded!("leastconn"),
    Evidence {
        policy: "haproxy/leastconn",
        against: "vectors computed from HAProxy's source",
        check: || check_vectors("leastconn_key", check_key),
    },
    recorded!("first"),
    Evidence {
        policy: "haproxy/random",
        against: "shares of HAProxy 2.6.12",
        check: || check_shares("haproxy/random", "haproxy/random"),
    },
    recorded!("source"),
    recorded!("uri"),
    recorded!("hdr"),
    recorded!("hash"),
    Evidence {
        policy: "haproxy/hash",
        against: "vectors computed from HAProxy's source",
        check: || check_vectors("chash_slots", check_slots),
    },
];

/// Runs the vectors of one operation.
fn check_vectors(operation: &str, check: impl Fn(&Value, &Value)) -> String {
    let cases = cases("haproxy/vectors/haproxy.json");
    let wanted: Vec<_> = cases.iter().filter(|(_, input, _)| input["op"] == operation).collect();
    assert!(!wanted.is_empty(), "no vectors of {operation}");
    wanted.iter().for_each(|(_, input, expected)| check(input, expected));
    format!("{} vectors, all equal", wanted.len())
}

/// The table is what a fresh process goes through, again and again.
fn check_map(input: &Value, expected: &Value) {
    let weights = list(&input["weights"]).iter().enumerate();
    let endpoints: Vec<Value> = weights
        .map(|(i, weight)| json!({"id": format!("s{i}"), "weight": weight}))
        .collect();
    let count = 2 * list(expected).len();
    let script = endpoints_line(&endpoints) + &format!("{}\n", json!({"op": "pick", "count": count, "auto_done": true}));
    let found = places(&output(config("haproxy/static_rr", &json!({})), 0, &script), &endpoints);
    let map: String = list(expected).iter().map(Value::to_string).collect();
    assert_eq!(found, map.repeat(2), "{input}");
}

fn check_key(input: &Value, expected: &Value) {
    let key = leastconn::key(u32_of(&input["inflight"]), u32_of(&input["eweight"]));
    assert_eq!(key, u32_of(expected), "{input}");
}

fn check_slots(input: &Value, expected: &Value) {
    let of = |name: &str| u32_of(&input[name]);
    let found = slots(
        of("served"),
        of("factor"),
        of("total_weight"),
        of("weight"),
        of("cumulative_weight"),
    );
    assert_eq!(found, u32_of(expected), "{input}");
}

/// A `hash-type` in one line means the same as its words option by option.
#[test]
fn hash_types_can_be_spelt_in_two_ways() {
    let endpoints: Vec<Value> = (0..7)
        .map(|i| json!({"id": format!("10.0.0.{i}:80"), "weight": i + 1}))
        .collect();
    let keys = (0..50).map(|i| format!("{}\n", json!({"op": "pick", "key": i.to_string(), "auto_done": true})));
    let script = endpoints_line(&endpoints) + &keys.collect::<String>();
    let run = |options: &Value| places(&output(config("haproxy/hdr", options), 0, &script), &endpoints);
    for (one, several) in [
        (json!({"hash_type": "map-based djb2"}), json!({"hash_function": "djb2"})),
        (
            json!({"hash_type": "consistent wt6 avalanche"}),
            json!({"hash_type": "consistent", "hash_function": "wt6", "avalanche": true}),
        ),
        (
            json!({"hash_type": "consistent"}),
            json!({"hash_type": "consistent sdbm avalanche"}),
        ),
        (
            json!({"hash_type": "consistent sdbm"}),
            json!({"hash_type": "consistent", "avalanche": false}),
        ),
    ] {
        assert_eq!(run(&one), run(&several), "{one} {several}");
    }
    // Numbers hash to themselves: ten keys in a row take ten places of the table in a row.
    let numbers = run(&json!({"hash_type": "map-based none"}));
    let table = places(
        &output(
            config("haproxy/static_rr", &json!({})),
            0,
            &(endpoints_line(&endpoints) + "{\"op\": \"pick\", \"count\": 50, \"auto_done\": true}\n"),
        ),
        &endpoints,
    );
    assert_eq!(numbers, table);
}

/// By address keys stay where they are when the list is in another order; by number they do not.
#[test]
fn hash_key_places_servers_by_address() {
    let endpoints: Vec<Value> = (1..9).map(|i| json!({"id": format!("10.0.0.{i}:80")})).collect();
    let reversed: Vec<Value> = endpoints.iter().rev().cloned().collect();
    let keys = (0..200).map(|i| format!("{}\n", json!({"op": "pick", "key": i.to_string(), "auto_done": true})));
    let keys: String = keys.collect();
    let run = |hash_key: &str, order: &[Value]| {
        let options = json!({"hash_type": "consistent", "hash_key": hash_key});
        let script = endpoints_line(order) + &keys;
        places(&output(config("haproxy/hash", &options), 0, &script), &endpoints)
    };
    for hash_key in ["addr", "addr-port", "addr_port"] {
        assert_eq!(run(hash_key, &endpoints), run(hash_key, &reversed), "{hash_key}");
    }
    assert_ne!(run("id", &endpoints), run("id", &reversed));
    assert_ne!(run("addr", &endpoints), run("addr-port", &endpoints));
}
