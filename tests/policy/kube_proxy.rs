//! What shows that the balancers of `kube_proxy` are the real ones.

use std::collections::BTreeMap;

use meshsim::policy::balancer::common::{Scheduler, Servers};
use meshsim::policy::balancer::kube_proxy::iptables::probability;
use meshsim::policy::balancer::kube_proxy::{
    ipvs_lc::LeastConnection, ipvs_nq::NeverQueue, ipvs_sed::ShortestExpectedDelay, ipvs_wlc::WeightedLeastConnection,
};
use meshsim::policy::{ClusterConfig, EndpointIndex};
use meshsim::random::Rng;
use meshsim::replay::setup;
use serde_json::{Value, json};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::evidence::Evidence;
use super::{config, data, endpoints_line, output, read};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "kube_proxy/iptables",
        against: "probabilities computed from kube-proxy's source",
        check: iptables_probabilities,
    },
    Evidence {
        policy: "kube_proxy/iptables",
        against: "shares of connections",
        check: || connection_shares("kube_proxy/iptables"),
    },
    Evidence {
        policy: "kube_proxy/nftables",
        against: "shares of connections",
        check: || connection_shares("kube_proxy/nftables"),
    },
    Evidence {
        policy: "kube_proxy/ipvs_rr",
        against: "sequences that the kernel's source gives",
        check: || sequences("kube_proxy/ipvs_rr", &RR),
    },
    Evidence {
        policy: "kube_proxy/ipvs_wrr",
        against: "sequences that the kernel's source gives",
        check: || sequences("kube_proxy/ipvs_wrr", &WRR),
    },
    Evidence {
        policy: "kube_proxy/ipvs_lc",
        against: "overheads computed from the kernel's formulas",
        check: || overheads("lc"),
    },
    Evidence {
        policy: "kube_proxy/ipvs_lc",
        against: "sequences that they give",
        check: || sequences("kube_proxy/ipvs_lc", &LC),
    },
    Evidence {
        policy: "kube_proxy/ipvs_wlc",
        against: "overheads computed from the kernel's formulas",
        check: || overheads("wlc"),
    },
    Evidence {
        policy: "kube_proxy/ipvs_wlc",
        against: "sequences that they give",
        check: || sequences("kube_proxy/ipvs_wlc", &WLC),
    },
    Evidence {
        policy: "kube_proxy/ipvs_sed",
        against: "overheads computed from the kernel's formulas",
        check: || overheads("sed"),
    },
    Evidence {
        policy: "kube_proxy/ipvs_sed",
        against: "sequences that they give",
        check: || sequences("kube_proxy/ipvs_sed", &SED),
    },
    Evidence {
        policy: "kube_proxy/ipvs_nq",
        against: "overheads computed from the kernel's formulas",
        check: || overheads("nq"),
    },
    Evidence {
        policy: "kube_proxy/ipvs_nq",
        against: "sequences that they give",
        check: || sequences("kube_proxy/ipvs_nq", &NQ),
    },
    Evidence {
        policy: "kube_proxy/ipvs_sh",
        against: "places computed from the kernel's source",
        check: source_hash,
    },
];

const ALL: [&str; 9] = [
    "iptables", "nftables", "ipvs_rr", "ipvs_wrr", "ipvs_lc", "ipvs_wlc", "ipvs_sh", "ipvs_sed", "ipvs_nq",
];

fn line(value: Value) -> String {
    format!("{value}\n")
}

/// Endpoints by letters, with weights.
fn list(endpoints: &[(&str, u32)]) -> String {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(id, weight)| json!({"id": id, "weight": weight}))
        .collect();
    endpoints_line(&endpoints)
}

fn equal(ids: &str) -> String {
    endpoints_line(&ids.chars().map(|id| json!({"id": id.to_string()})).collect::<Vec<_>>())
}

fn pick(count: usize) -> String {
    line(json!({"op": "pick", "count": count}))
}

fn pick_done(count: usize) -> String {
    line(json!({"op": "pick", "count": count, "auto_done": true}))
}

fn done(ids: &str) -> String {
    ids.chars()
        .map(|id| line(json!({"op": "done", "endpoint": id.to_string()})))
        .collect()
}

fn tick(t: f64) -> String {
    line(json!({"op": "tick", "t": t}))
}

fn from(source: &str) -> String {
    line(json!({"op": "pick", "source": source, "auto_done": true}))
}

fn health(id: &str, health: &str) -> String {
    line(json!({"op": "health", "endpoint": id, "health": health}))
}

/// The first letters of whom a replay picks, `-` for nobody.
fn letters(config: ClusterConfig, seed: u64, script: &str) -> String {
    let letter = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("it prints JSON");
        line["pick"]
            .as_str()
            .map_or('-', |id| id.chars().next().expect("it has a name"))
    };
    output(config, seed, script).lines().map(letter).collect()
}

fn plain(policy: &str) -> ClusterConfig {
    config(policy, &json!({}))
}

/// The policy behind connections that are used as the text says.
fn pooled(policy: &str, pool: &str) -> ClusterConfig {
    let mesh = format!("mesh: {{connection_pool: {pool}}}");
    setup::mesh(plain(policy).balancer, &mesh).unwrap_or_else(|message| panic!("{message}"))
}

fn iptables_probabilities() -> String {
    let file = read(&data("kube_proxy/iptables/vectors/probabilities.json"));
    let cases = file["cases"].as_array().expect("a list");
    let mut rules = 0;
    for case in cases {
        let n = case["input"]["endpoints"].as_u64().expect("a number") as u32;
        for (i, expected) in (0..n).zip(case["expected"].as_array().expect("a list")) {
            let written = match n - i {
                1 => "(no match condition)".to_string(),
                left => format!("0.{:010}", probability(left)),
            };
            assert_eq!(*expected, written, "{}", case["name"]);
            rules += 1;
        }
    }
    // What Go's `%0.10f` writes, which rounds the float's exact value.
    for left in 2..20_000 {
        assert_eq!(
            format!("0.{:010}", probability(left)),
            format!("{:.10}", 1.0 / f64::from(left))
        );
    }
    format!(
        "{} chains, {rules} rules, and 19,998 probabilities as they are written, all equal",
        cases.len()
    )
}

/// The probability that chance alone makes counts as uneven as these or more, where all are expected to be the same.
fn chi_square(counts: &BTreeMap<char, usize>, cells: usize) -> f64 {
    let expected = counts.values().sum::<usize>() as f64 / cells as f64;
    let missing = (cells - counts.len()) as f64 * expected;
    let statistic: f64 = counts
        .values()
        .map(|&count| (count as f64 - expected) * (count as f64 - expected) / expected)
        .sum();
    let distribution = ChiSquared::new((cells - 1) as f64).expect("there are two cells");
    distribution.sf(statistic + missing)
}

fn counts(picks: &str) -> BTreeMap<char, usize> {
    let mut counts = BTreeMap::new();
    for pick in picks.chars() {
        *counts.entry(pick).or_default() += 1;
    }
    counts
}

/// What chance does less often counts as a difference.
const SIGNIFICANCE: f64 = 1e-4;

/// Without a pool every call is a connection of its own; so it is with `max_requests_per_connection: 1`.
fn connection_shares(policy: &str) -> String {
    let mut least = 1.0_f64;
    let mut picks_total = 0;
    for (ids, seed) in [("ab", 1), ("abc", 2), ("abcdefg", 3), ("abcdefghijklmnopqrstuvwxyz", 4)] {
        for config in [
            plain(policy),
            pooled(policy, "{protocol: http2, max_requests_per_connection: 1}"),
        ] {
            let picks = letters(config, seed, &(equal(ids) + &pick_done(20_000)));
            let p = chi_square(&counts(&picks), ids.len());
            assert!(p > SIGNIFICANCE, "{policy}, {ids}: p = {p}");
            least = least.min(p);
            picks_total += picks.len();
        }
    }
    format!("{picks_total} connections over 2 to 26 endpoints, even by chi-square (smallest p {least:.3})")
}

/// What the kernel's source makes of scripts.
type Sequences<const N: usize> = [(&'static str, fn() -> String); N];

const RR: Sequences<4> = [
    ("abcabca", || equal("abc") + &pick(7)),
    // ip_vs_rr.c: weights other than 0 do not matter.
    ("abab", || list(&[("a", 3), ("b", 1)]) + &pick(4)),
    // The rotation goes on after the last server, or after the one before it if that has gone.
    ("abcda", || equal("abc") + &pick(2) + &equal("abcd") + &pick(3)),
    ("abcac", || equal("abc") + &pick(2) + &equal("ac") + &pick(3)),
];

const WRR: Sequences<4> = [
    ("abcabc", || equal("abc") + &pick(6)),
    // ip_vs_wrr.c: rounds at weights 4, 3, 2 and 1; at 5, 3 and 1 where the weights have a common divisor of 2; at 5 to 1.
    ("aababcabcaababcabc", || list(&[("a", 4), ("b", 3), ("c", 2)]) + &pick(18)),
    ("aababaabab", || list(&[("a", 6), ("b", 4)]) + &pick(10)),
    ("aaaaabcaaaaabc", || list(&[("a", 5), ("b", 1), ("c", 1)]) + &pick(14)),
];

const LC: Sequences<5> = [
    ("abcabc", || equal("abc") + &pick(6)),
    ("abcb", || equal("abc") + &pick(3) + &done("b") + &pick(1)),
    // Closed connections decide between servers with as many open ones, for two minutes.
    ("abcabc", || equal("abc") + &pick_done(6)),
    ("aba", || {
        equal("abc") + &pick_done(1) + &tick(119.9) + &pick_done(1) + &tick(120.0) + &pick_done(1)
    }),
    // Weights do not matter.
    ("abab", || list(&[("a", 9), ("b", 1)]) + &pick(4)),
];

const WLC: Sequences<3> = [
    ("abbbabbb", || list(&[("a", 1), ("b", 3)]) + &pick(8)),
    ("abcabc", || equal("abc") + &pick_done(6)),
    ("abcb", || equal("abc") + &pick(3) + &done("b") + &pick(1)),
];

const SED: Sequences<3> = [
    // (active + 1) / weight, and the first of equals: 1 to 1/3, 1 to 2/3, 1 to 1, 2 to 1, 2 to 4/3, 2 to 5/3, 2 to 2.
    ("bbabbba", || list(&[("a", 1), ("b", 3)]) + &pick(7)),
    ("aaaaa", || equal("abc") + &pick_done(5)),
    ("abcac", || {
        equal("abc") + &pick(3) + &done("a") + &pick(1) + &done("c") + &pick(1)
    }),
];

const NQ: Sequences<3> = [
    // The idle ones first, then as above: 2 to 2/3, 2 to 1, 2 to 4/3, 2 to 5/3, 2 to 2.
    ("abbbbba", || list(&[("a", 1), ("b", 3)]) + &pick(7)),
    ("aaaaa", || equal("abc") + &pick_done(5)),
    ("cab", || list(&[("c", 9), ("a", 1), ("b", 1)]) + &pick(3)),
];

fn sequences<const N: usize>(policy: &str, sequences: &Sequences<N>) -> String {
    for (expected, script) in sequences {
        let script = script();
        assert_eq!(letters(plain(policy), 1, &script), *expected, "{policy}: {script}");
    }
    format!("{N} sequences, all equal")
}

/// An open connection counts as 256 that were closed of late.
#[test]
fn open_connections_outweigh_closed_ones() {
    for policy in ["kube_proxy/ipvs_lc", "kube_proxy/ipvs_wlc"] {
        let picks = letters(plain(policy), 1, &(equal("abc") + &pick(1) + &pick_done(514)));
        assert_eq!(picks, format!("a{}ab", "bc".repeat(256)), "{policy}");
    }
}

fn overheads(scheduler: &str) -> String {
    let file = read(&data("kube_proxy/ipvs/vectors/overheads.json"));
    let mut servers_total = 0;
    for case in file["cases"].as_array().expect("a list") {
        let of = case["input"]["scheduler"].as_str().expect("a name");
        let rows = case["input"]["servers_active_inactive_weight"].as_array().expect("a list");
        // The one is the other without weights; with an idle server nq looks no further.
        let applies = match scheduler {
            "lc" => of == "wlc",
            "nq" => of == "sed" && rows.iter().all(|row| row[0] != 0),
            _ => of == scheduler,
        };
        if !applies {
            continue;
        }
        let column = |i: usize| -> Vec<u32> { rows.iter().map(|row| row[i].as_u64().expect("a number") as u32).collect() };
        let (active, inactive, weights) = (column(0), column(1), column(2));
        let list: Vec<EndpointIndex> = (0..rows.len() as u32).map(EndpointIndex).collect();
        let servers = Servers {
            list: &list,
            weights: &weights,
            active: &active,
            inactive: &inactive,
            source: None,
        };
        let mut rng = Rng::new(1);
        let picked = match scheduler {
            "lc" => LeastConnection.schedule(&servers, &mut rng),
            "wlc" => WeightedLeastConnection.schedule(&servers, &mut rng),
            "sed" => ShortestExpectedDelay.schedule(&servers, &mut rng),
            _ => NeverQueue.schedule(&servers, &mut rng),
        };
        let mut without_weights = Vec::new();
        for (&endpoint, expected) in list.iter().zip(case["expected"]["overhead"].as_array().expect("a list")) {
            let overhead = match of {
                "wlc" => servers.connection_overhead(endpoint),
                _ => servers.expected_delay(endpoint),
            };
            let found = overhead as f64 / f64::from(weights[endpoint.at()]);
            assert_eq!(*expected, found, "{}", case["name"]);
            without_weights.push(overhead);
            servers_total += 1;
        }
        let expected = match scheduler {
            "lc" => without_weights
                .iter()
                .position(|overhead| Some(overhead) == without_weights.iter().min())
                .map(|place| place as u64),
            _ => case["expected"]["pick"].as_u64(),
        };
        assert_eq!(picked.map(|picked| u64::from(picked.0)), expected, "{}", case["name"]);
    }
    assert!(servers_total > 0);
    format!("{servers_total} servers, all equal")
}

fn source_hash() -> String {
    let mut checked = 0;
    let mut check = |list: String, turns: &str, sources: Vec<(String, u32)>| {
        let script = list + &sources.iter().map(|(source, _)| from(source)).collect::<String>();
        let turns: Vec<char> = turns.chars().collect();
        let expected: String = sources
            .iter()
            .map(|(_, place)| turns[*place as usize % turns.len()])
            .collect();
        assert_eq!(letters(plain("kube_proxy/ipvs_sh"), 1, &script), expected);
        checked += sources.len();
    };
    // ip_vs_sh.c: address * 2654435761, of which the last 8 bits: those of the last byte * 0xB1.
    let v4 = |i: u32| (format!("10.{}.{}.{}:4000", i % 7, i % 251, i % 256), (i % 256) * 0xB1 % 256);
    check(equal("abc"), "abc", (0..1000).map(v4).collect());
    check(list(&[("a", 2), ("b", 1), ("c", 4)]), "aabcccc", (0..1000).map(v4).collect());
    // The four words of an address of IPv6 are folded by exclusive or.
    let v6 = |i: u32| {
        let folded = 0xB8 ^ (i % 13) ^ (i % 256);
        (format!("2001:db8::{:x}:0:{i:x}", i % 13), folded * 0xB1 % 256)
    };
    check(equal("abcde"), "abcde", (0..1000).map(v6).collect());
    format!("{checked} addresses, all equal")
}

#[test]
fn one_http2_client_sends_everything_to_one_endpoint() {
    for policy in ALL {
        let config = pooled(&format!("kube_proxy/{policy}"), "{protocol: http2}");
        for seed in 0..20 {
            let picks = letters(
                config.clone(),
                seed,
                &(equal("abcde") + &pick_done(500) + &pick(99) + &pick_done(100)),
            );
            assert_eq!(counts(&picks).len(), 1, "{policy}: {picks}");
        }
    }
}

#[test]
fn http2_clients_are_as_uneven_as_throwing_dice() {
    // 20 clients over 5 endpoints: Pearson's statistic of a multinomial sample has mean 4 and variance 8 (1 - 1/20), so the mean of
    // 500 samples is within 5 standard deviations of it in 4 +- 0.62. Balanced by calls it would be near 0.
    for policy in ["kube_proxy/iptables", "kube_proxy/nftables"] {
        let config = pooled(policy, "{protocol: http2}");
        let mut sum = 0.0;
        for group in 0..500 {
            let mut clients = BTreeMap::new();
            for client in 0..20 {
                let picks = letters(config.clone(), group * 20 + client, &(equal("abcde") + &pick_done(3)));
                *clients.entry(picks).or_insert(0.0) += 1.0;
            }
            let missing = (5 - clients.len()) as f64 * 4.0;
            sum += clients
                .values()
                .map(|count: &f64| (count - 4.0) * (count - 4.0) / 4.0)
                .sum::<f64>()
                + missing;
        }
        let mean = sum / 500.0;
        assert!((mean - 4.0).abs() < 0.62, "{policy}: {mean}");
    }
}

#[test]
fn further_streams_open_connections_of_their_own() {
    let config = pooled("kube_proxy/ipvs_rr", "{protocol: http2, max_concurrent_streams: 2}");
    let script = equal("abcd") + &pick(5) + &done("a") + &pick(2) + &done("aabbcc") + &pick(3);
    assert_eq!(letters(config, 1, &script), "aabbcacaab");
}

#[test]
fn http1_keeps_as_many_connections_as_calls_at_a_time() {
    let config = pooled("kube_proxy/ipvs_rr", "{protocol: http1, idle_timeout: 5s}");
    // Three at a time open three connections; the one that was used last is used next.
    let script = equal("abcd") + &pick(3) + &done("bac") + &pick(3) + &done("a") + &pick_done(4) + &pick(2);
    assert_eq!(letters(config.clone(), 1, &script), "abccabaaaaad");
    // After the idle timeout a new one is opened.
    let script = equal("abcd") + &pick_done(2) + &tick(5.0) + &pick_done(1) + &tick(10.1) + &pick_done(2);
    assert_eq!(letters(config, 1, &script), "aaabb");
}

#[test]
fn connections_end_after_so_many_calls_or_at_an_age() {
    let config = pooled("kube_proxy/ipvs_rr", "{max_requests_per_connection: 3}");
    assert_eq!(letters(config, 1, &(equal("abcd") + &pick_done(10))), "aaabbbcccd");
    // gRPC's MAX_CONNECTION_AGE varies by 10 %: with ten calls a second, each connection carries 90 to 110, and the one before it ends.
    let config = pooled("kube_proxy/ipvs_rr", "{max_connection_duration: 10s}");
    for seed in 0..20 {
        let script: String = (0..1000).map(|i| tick(f64::from(i) / 10.0) + &pick_done(1)).collect();
        let picks = letters(config.clone(), seed, &(equal("abcdefghijklmnop") + &script));
        let connections: Vec<usize> = picks.as_bytes().chunk_by(|a, b| a == b).map(<[u8]>::len).collect();
        let (_, whole) = connections.split_last().expect("there is one");
        assert!(whole.iter().all(|calls| (90..=111).contains(calls)), "{connections:?}");
    }
}

#[test]
fn connections_outlive_readiness_and_end_with_their_endpoint() {
    for policy in ALL {
        let config = pooled(&format!("kube_proxy/{policy}"), "{protocol: http2}");
        for seed in 0..10 {
            let first = letters(config.clone(), seed, &(equal("abc") + &pick_done(1)));
            let unready = health(&first, "unhealthy") + &pick_done(3);
            let left: String = "abc".chars().filter(|id| !first.contains(*id)).collect();
            let removed = equal(&left) + &pick_done(3);
            let picks = letters(config.clone(), seed, &(equal("abc") + &pick_done(1) + &unready + &removed));
            // Established connections stay in the connection tracking of a node.
            assert_eq!(picks[..4], first.repeat(4), "{policy}");
            assert!(
                !picks[4..].contains(&first) && counts(&picks[4..]).len() == 1,
                "{policy}: {picks}"
            );
        }
    }
    // What breaks is balanced anew, to whoever is ready.
    let script = equal("ab")
        + &pick(1)
        + &line(json!({"op": "done", "endpoint": "a", "local_origin": "reset"}))
        + &health("b", "unhealthy")
        + &pick_done(2)
        + &health("b", "healthy")
        + &pick_done(2);
    assert_eq!(letters(pooled("kube_proxy/ipvs_rr", "{}"), 1, &script), "aaaaa");
}

#[test]
fn sessions_stick_until_they_time_out() {
    let options = json!({"session_affinity": "ClientIP", "timeout_seconds": 100});
    let all: String = (0..40).map(|i| from(&format!("10.0.0.{i}"))).collect();
    for policy in ALL {
        let policy = format!("kube_proxy/{policy}");
        let script = equal("abcde") + &all + &tick(60.0) + &all + &tick(160.0) + &all;
        let picks = letters(config(&policy, &options), 1, &script);
        // Used at 60 s, so remembered until 160 s.
        assert_eq!(picks[..40], picks[40..80], "{policy}");
        assert_eq!(picks[..40], picks[80..], "{policy}");
        // One that is not ready any more is forgotten, even if it comes back; the others' clients stay.
        let script = equal("abcde") + &all + &health("c", "unhealthy") + &all + &health("c", "healthy") + &all;
        let picks = letters(config(&policy, &options), 1, &script);
        let (first, rest) = picks.split_at(40);
        let (second, third) = rest.split_at(40);
        assert!(!second.contains('c') && second == third, "{policy}: {picks}");
        assert!(
            first.chars().zip(second.chars()).all(|(a, b)| a == 'c' || a == b),
            "{policy}: {picks}"
        );
    }
    let after = |t: f64| {
        let script = equal("ab") + &from("10.0.0.1") + &tick(t) + &from("10.0.0.1");
        letters(config("kube_proxy/ipvs_rr", &options), 1, &script)
    };
    assert_eq!((after(100.0), after(100.1)), ("aa".to_string(), "ab".to_string()));
}

fn zoned(endpoints: &[(&str, &str)]) -> String {
    endpoints_line(
        &endpoints
            .iter()
            .map(|(id, zone)| json!({"id": id, "zone": zone}))
            .collect::<Vec<_>>(),
    )
}

fn caller(zone: &str) -> String {
    line(json!({"op": "caller", "zone": zone, "local_hosts": {"x": 2, "y": 2, "z": 2}}))
}

/// Whom a caller in a zone reaches, by name.
fn reached(options: &Value, zone: &str, endpoints: &[(&str, &str)], then: &str) -> String {
    let script = caller(zone) + &zoned(endpoints) + then + &pick_done(200);
    let picks = letters(config("kube_proxy/iptables", options), 1, &script);
    counts(&picks).into_keys().collect()
}

#[test]
fn zones_are_preferred_as_hints_say() {
    let endpoints = [("a", "x"), ("b", "x"), ("c", "y"), ("d", "z"), ("e", "z"), ("f", "z")];
    for word in ["PreferClose", "PreferSameZone", "PreferSameNode", "prefer_close"] {
        let prefer = json!({"traffic_distribution": word});
        assert_eq!(reached(&prefer, "x", &endpoints, ""), "ab");
        assert_eq!(
            reached(&prefer, "w", &endpoints, ""),
            "abcdef",
            "nobody is hinted for that zone"
        );
        assert_eq!(reached(&prefer, "y", &endpoints, &health("c", "unhealthy")), "abdef");
        let one_without = [("a", "x"), ("b", "y"), ("c", "")];
        assert_eq!(reached(&prefer, "x", &one_without, ""), "abc");
    }
    let local = json!({"internal_traffic_policy": "Local"});
    assert_eq!(reached(&local, "y", &endpoints, ""), "c");
    assert_eq!(reached(&local, "w", &endpoints, ""), "-");
    // Six endpoints for three equal zones: two each, so z gives one to y.
    let auto = json!({"topology_mode": "Auto"});
    assert_eq!(reached(&auto, "x", &endpoints, ""), "ab");
    assert_eq!(reached(&auto, "y", &endpoints, ""), "cd");
    assert_eq!(reached(&auto, "z", &endpoints, ""), "ef");
    // Half of the processors are in y, so it needs four of eight: it has one, and z, which needs two of its five, gives three.
    let halves = json!({"topology_mode": "Auto", "allocatable_cpu": {"x": 4, "y": 8, "z": 4}});
    let eight = [endpoints.as_slice(), &[("g", "z"), ("h", "z")]].concat();
    assert_eq!(reached(&halves, "y", &eight, ""), "cdef");
    assert_eq!(reached(&halves, "z", &eight, ""), "gh");
    // Six cannot be divided so: they would have to be at least 2 + 3 + 2.
    assert_eq!(reached(&halves, "y", &endpoints, ""), "abcdef");
    // Of four endpoints no division keeps every zone below 120 %.
    assert_eq!(reached(&auto, "x", &endpoints[..4], ""), "abcd");
}

#[test]
fn options_are_checked_as_kubernetes_does() {
    for (setting, expected) in [
        ("timeout_seconds=0", "from 1 to 86400"),
        ("timeoutSeconds=86401", "from 1 to 86400"),
        ("session_affinity=Cookie", "unknown variant `Cookie`"),
        ("traffic_distribution=PreferFar", "unknown variant `PreferFar`"),
        (r#"allocatable_cpu={"a": 0}"#, "above 0"),
        ("session_afinity=None", "did you mean"),
    ] {
        let setting: setup::Setting = setting.parse().expect("it is a setting");
        let message = setup::balancer("kube_proxy/ipvs_rr", &[setting]).expect_err(expected);
        assert!(message.contains(expected), "{message}");
    }
    let mesh = |pool: &str| {
        setup::mesh(
            plain("kube_proxy/iptables").balancer,
            &format!("mesh: {{connection_pool: {pool}}}"),
        )
    };
    for (pool, expected) in [
        ("{protocol: http3}", "did you mean"),
        ("{max_concurrent_streams: 0}", "at least 1"),
        (
            "{max_request_per_connection: 2}",
            "did you mean `max_requests_per_connection`?",
        ),
    ] {
        let message = mesh(pool).expect_err(pool);
        assert!(message.contains(expected), "{pool} gives {message}");
    }
}
