//! Building blocks against vectors: values of upstream projects' own tests, and some derived from their sources.

use meshsim::policy::EndpointIndex;
use meshsim::policy::balancer::common::{
    HashFunction, HashRing, Lookup, RingSize, Schedule, WeightedHost, bounded_load, mt19937::Mt19937,
};
use meshsim::policy::balancer::envoy::{least_request::scheduled_weight, maglev};
use meshsim::policy::retry::BackOff;
use meshsim::time::Duration;
use serde_json::Value;

use super::{data, read};

/// The cases of a file, each with what it is called.
pub fn cases(path: &str) -> Vec<(String, Value, Value)> {
    let file = read(&data(path));
    let cases = file["cases"].as_array().expect("a list");
    assert!(!cases.is_empty());
    cases
        .iter()
        .map(|case| (case["name"].to_string(), case["input"].clone(), case["expected"].clone()))
        .collect()
}

pub fn u64_of(value: &Value) -> u64 {
    value
        .as_u64()
        .or_else(|| value.as_str()?.parse().ok())
        .unwrap_or_else(|| panic!("{value} is no integer"))
}

pub fn u32_of(value: &Value) -> u32 {
    u64_of(value).try_into().expect("it fits")
}

pub fn f64_of(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

pub fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * b.abs()
}

/// How many values of hash functions are right.
fn hashes() -> usize {
    let cases = cases("envoy/ring_hash/vectors/hash_values.json");
    for (name, input, expected) in &cases {
        let text = input["text"].as_str().expect("a text").as_bytes();
        let hash = match (input["fn"].as_str(), &input["seed"]) {
            (Some("murmur2_64"), _) => HashFunction::MurmurHash2.hash(text),
            (_, seed) if u64_of(seed) == 0 => HashFunction::XxHash.hash(text),
            (_, seed) => xxhash_rust::xxh64::xxh64(text, u64_of(seed)),
        };
        assert_eq!(hash, u64_of(expected), "{name}");
    }
    cases.len()
}

/// Keys and normalized weights.
fn hosts(name: &str, input: &Value) -> Vec<(String, f64)> {
    let Some(hosts) = input["hosts"].as_array() else {
        // Upstream's LopsidedWeightSmallScale: one host in a locality of weight 127, 1023 in one of weight 1.
        assert!(name.contains("LopsidedWeightSmallScale"), "{name}");
        let weight = |i| if i == 0 { 127.0 / 128.0 } else { 1.0 / 128.0 / 1023.0 };
        return (0..1024).map(|i| (format!("127.0.0.1:{i}"), weight(i))).collect();
    };
    hosts
        .iter()
        .map(|host| {
            (
                host["key"].as_str().expect("a text").to_string(),
                f64_of(&host["normalized_weight"]),
            )
        })
        .collect()
}

fn weighted(hosts: &[(String, f64)]) -> Vec<WeightedHost<'_>> {
    hosts
        .iter()
        .map(|(key, weight)| WeightedHost { key, weight: *weight })
        .collect()
}

/// How many picks are right.
fn check_picks(name: &str, table: &impl Lookup, hosts: &[(String, f64)], picks: &Value) -> usize {
    let picks = picks.as_array().map_or(&[][..], Vec::as_slice);
    for pick in picks {
        let place = table
            .find(u64_of(&pick["hash"]), u32_of(&pick["attempt"]))
            .expect("the table is not empty");
        assert_eq!(pick["host"], hosts[place as usize].0.as_str(), "{name}: {pick}");
    }
    picks.len()
}

fn check_counts(name: &str, places: &[u32], hosts: &[(String, f64)], counts: &Value) {
    for (key, count) in counts.as_object().into_iter().flatten() {
        let place = hosts.iter().position(|host| host.0 == *key).expect("it is a host") as u32;
        assert_eq!(
            places.iter().filter(|other| **other == place).count() as u64,
            u64_of(count),
            "{name}: {key}"
        );
    }
}

pub fn rings() -> String {
    let (mut points_total, mut picks_total) = (0, 0);
    let cases = cases("envoy/ring_hash/vectors/ring.json");
    for (name, input, expected) in &cases {
        let hosts = hosts(name, input);
        let size = RingSize {
            min: u64_of(&input["minimum_ring_size"]),
            max: u64_of(&input["maximum_ring_size"]),
        };
        let ring = HashRing::new(&weighted(&hosts), size, HashFunction::XxHash);
        let places: Vec<u32> = ring.points().map(|(_, place)| place).collect();
        assert_eq!(places.len() as u64, u64_of(&expected["ring_size"]), "{name}");
        check_counts(name, &places, &hosts, &expected["entries_per_host"]);
        picks_total += check_picks(name, &ring, &hosts, &expected["picks"]);
        points_total += places.len();
        if let Some(points) = expected["ring"].as_array() {
            let found: Vec<(u64, &str)> = ring
                .points()
                .map(|(hash, place)| (hash, hosts[place as usize].0.as_str()))
                .collect();
            let wanted: Vec<(u64, &str)> = points
                .iter()
                .map(|point| (u64_of(&point["hash"]), point["host"].as_str().expect("a text")))
                .collect();
            assert_eq!(found, wanted, "{name}");
        }
        if let Some(n) = expected["histogram"]["n"].as_u64() {
            let picked: Vec<u32> = (0..n).filter_map(|i| ring.find(i * (u64::MAX / n), 0)).collect();
            check_counts(name, &picked, &hosts, &expected["histogram"]["counts"]);
        }
        if let Some(most) = expected["max_entries"].as_u64() {
            let count = |host: u32| places.iter().filter(|place| **place == host).count() as u64;
            let counts: Vec<u64> = (0..hosts.len() as u32).map(count).collect();
            assert_eq!(counts.iter().max(), Some(&most), "{name}");
            assert_eq!(counts.iter().min(), Some(&u64_of(&expected["min_entries"])), "{name}");
        }
    }
    format!(
        "{} rings of {points_total} points, {picks_total} picks, {} bounded choices and {} hashes, all equal",
        cases.len(),
        bounded_loads(),
        hashes()
    )
}

pub fn maglev_tables() -> String {
    let (mut slots_total, mut picks_total) = (0, 0);
    let cases = cases("envoy/maglev/vectors/table.json");
    for (name, input, expected) in &cases {
        let hosts = hosts(name, input);
        let table = maglev::Table::new(&weighted(&hosts), u64_of(&input["table_size"]));
        check_counts(name, table.slots(), &hosts, &expected["entries_per_host"]);
        picks_total += check_picks(name, &table, &hosts, &expected["picks"]);
        slots_total += table.slots().len();
        if let Some(slots) = expected["table"].as_array() {
            let found: Vec<&str> = table.slots().iter().map(|place| hosts[*place as usize].0.as_str()).collect();
            assert_eq!(
                found,
                slots.iter().map(|slot| slot.as_str().expect("a text")).collect::<Vec<_>>(),
                "{name}"
            );
        }
    }
    format!(
        "{} tables of {slots_total} slots, {picks_total} picks, all equal",
        cases.len()
    )
}

fn schedule(weights: &[f64], picks: u32) -> Schedule {
    Schedule::with_picks((0..weights.len()).map(|i| EndpointIndex(i as u32)), picks, |endpoint| {
        weights[endpoint.at()]
    })
}

fn sequence(schedule: &mut Schedule, weights: &[f64], picks: u64) -> Vec<u64> {
    (0..picks)
        .map(|_| u64::from(schedule.pick(|endpoint| weights[endpoint.at()]).0))
        .collect()
}

fn numbers(value: &Value) -> Vec<u64> {
    list(value).iter().map(u64_of).collect()
}

pub fn edf_schedules() -> String {
    let mut picks_total = 0;
    let cases = cases("envoy/round_robin/vectors/edf_scheduler.json");
    for (name, input, expected) in &cases {
        if input["weights"].is_string() {
            let weights: Vec<f64> = (1..=128).map(f64::from).collect();
            let picks = sequence(&mut schedule(&weights, 0), &weights, u64_of(&input["picks"]));
            let count = |i: u64| picks.iter().filter(|pick| **pick == i).count() as u64;
            assert!((0..128).all(|i| count(i) == i + 1), "{name}");
            picks_total += picks.len();
            continue;
        }
        let weights: Vec<f64> = list(&input["weights"]).iter().map(f64_of).collect();
        if let Some(seeds) = input["seeds"].as_array() {
            let first: Vec<u64> = seeds
                .iter()
                .map(|seed| sequence(&mut schedule(&weights, u32_of(seed)), &weights, 1)[0])
                .collect();
            assert_eq!(first, numbers(&expected["first_pick_by_seed"]), "{name}");
            picks_total += first.len();
            continue;
        }
        let mut schedule = schedule(&weights, u32_of(&input["pre_picks"]));
        assert_eq!(
            sequence(&mut schedule, &weights, u64_of(&input["picks"])),
            numbers(&expected["sequence"]),
            "{name}"
        );
        picks_total += numbers(&expected["sequence"]).len();
        if let Some(weights) = input["then_weights"].as_array() {
            let weights: Vec<f64> = weights.iter().map(f64_of).collect();
            let picks = sequence(&mut schedule, &weights, u64_of(&input["then_picks"]));
            assert_eq!(picks, numbers(&expected["then_sequence"]), "{name}");
            picks_total += picks.len();
        }
    }
    format!("{} schedules, {picks_total} picks, all equal", cases.len())
}

/// How many cases of the bound on the load are right.
fn bounded_loads() -> usize {
    let cases = cases("envoy/ring_hash/vectors/bounded_load.json");
    for (name, input, expected) in &cases {
        match input["op"].as_str() {
            Some("probe_order") => {
                let mut generator = Mt19937::new(u64_of(&input["hash"]) as u32);
                let count = u32_of(&input["hosts"]);
                let mut order: Vec<u64> = (0..u64::from(count)).collect();
                for i in 0..count {
                    order.swap(i as usize, (i + generator.below(count - i)) as usize);
                }
                assert_eq!(order, numbers(expected), "{name}");
            }
            Some("overload") => {
                let overload = bounded_load::overload(
                    u32_of(&input["host_active"]),
                    u64_of(&input["overall_active"]),
                    u32_of(&input["hash_balance_factor"]),
                    f64_of(&input["normalized_weight"]),
                );
                assert!(
                    close(overload, f64_of(&expected["overload_factor"]), 1e-12),
                    "{name}: {overload}"
                );
            }
            Some("choose") => {
                let factors: Vec<f64> = list(&input["overload_factors"]).iter().map(f64_of).collect();
                let overload = |place: u32| factors[place as usize];
                let (first, hash) = (u32_of(&input["ring_host"]), u64_of(&input["hash"]));
                let chosen = bounded_load::choose(first, factors.len() as u32, hash, overload, &mut Vec::new());
                assert_eq!(u64::from(chosen), u64_of(expected), "{name}");
            }
            op => panic!("{name}: {op:?}"),
        }
    }
    cases.len()
}

#[test]
fn back_off() {
    for (name, input, expected) in cases("envoy/retry/vectors/back_off.json") {
        let back_off = BackOff {
            base_interval: Duration::from_millis(u64_of(&input["base"])),
            max_interval: Some(Duration::from_millis(u64_of(&input["max"]))),
        };
        let bound = |k: usize| back_off.bound(k as u32 + 1).0 / 1_000_000;
        let found: Vec<u64> = match input["random"].as_array() {
            Some(random) => random
                .iter()
                .enumerate()
                .map(|(k, random)| u64_of(random) % bound(k))
                .collect(),
            None => (0..u64_of(&input["retries"]) as usize).map(bound).collect(),
        };
        assert_eq!(found, numbers(&expected), "{name}");
    }
}

pub fn least_request_weights() -> String {
    let cases = cases("envoy/least_request/vectors/weight.json");
    for (name, input, expected) in &cases {
        let weight = scheduled_weight(u32_of(&input["weight"]), u32_of(&input["active"]), f64_of(&input["bias"]));
        assert!(close(weight, f64_of(expected), 1e-12), "{name}: {weight}");
    }
    format!("{} weights, within a relative 1e-12", cases.len())
}
