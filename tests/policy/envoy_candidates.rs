//! What shows that the candidates of Envoy's balancers are the real ones: whom priorities, health, panic, localities, zones and
//! subsets leave.

use meshsim::policy::candidates::zone_aware::{Routing, ZoneShare, zone_shares};
use meshsim::policy::candidates::{Counts, availability, distribute, effective_locality_weight};
use serde_json::{Value, json};

use super::envoy::{caller_line, recorded_config};
use super::evidence::Evidence;
use super::vectors::{cases, f64_of, list, u32_of, u64_of};
use super::{data, endpoints_line, output, read};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "envoy/candidates: priorities, degraded endpoints, panic",
        against: "Recorded shares of Envoy 1.40",
        check: || {
            shares(&[
                "panic-default-10",
                "panic-off-4",
                "priority-2x5",
                "degraded-2-priorities",
                "priorities",
            ])
        },
    },
    Evidence {
        policy: "envoy/candidates: priorities, degraded endpoints, panic",
        against: "vectors of its load balancer test",
        check: priority_loads,
    },
    Evidence {
        policy: "envoy/candidates: locality-weighted",
        against: "Recorded shares of Envoy 1.40",
        check: || shares(&["locality-weighted-3", "locality-weighted"]),
    },
    Evidence {
        policy: "envoy/candidates: locality-weighted",
        against: "weights computed from its formula",
        check: || vectors("effective_locality_weight"),
    },
    Evidence {
        policy: "envoy/candidates: zone-aware",
        against: "Recorded shares of Envoy 1.40",
        check: || shares(&["zone-aware-equal", "zone-aware"]),
    },
    Evidence {
        policy: "envoy/candidates: zone-aware",
        against: "vectors of its round robin test",
        check: || vectors("zones"),
    },
    Evidence {
        policy: "envoy/candidates: subsets",
        against: "Recorded shares of Envoy 1.40",
        check: || shares(&["subsets"]),
    },
];

/// The endpoints of a case in the health of a subcase, a letter each.
fn endpoints(case: &Value, subcase: &Value) -> Vec<Value> {
    let letters = subcase["health"].as_str().expect("a text").chars();
    let with_health = |(endpoint, letter): (&Value, char)| {
        let mut endpoint = endpoint.clone();
        endpoint["health"] = match letter {
            'h' => "healthy",
            'd' => "degraded",
            'u' => "unhealthy",
            _ => panic!("{letter} is no health"),
        }
        .into();
        endpoint
    };
    list(&case["endpoints"]).iter().zip(letters).map(with_health).collect()
}

/// Compares the shares of a subcase, of which there is one for each endpoint; both are drawn, so by 4 standard deviations of their
/// difference and one pick. Gives the number of shares and the largest difference.
fn check_subcase(name: &str, case: &Value, subcase: &Value) -> (usize, f64) {
    let endpoints = endpoints(case, subcase);
    let picks = f64_of(&case["picks"]);
    let mut pick = json!({"op": "pick", "count": case["picks"], "auto_done": true});
    if let Some(demand) = subcase.get("metadata_match") {
        pick["metadata_match"] = demand.clone();
    }
    let script = caller_line(case) + &endpoints_line(&endpoints) + &format!("{pick}\n");
    let output = output(recorded_config(case), 1, &script);
    let mut worst = 0.0_f64;
    for (endpoint, count) in endpoints.iter().zip(list(&subcase["counts"])) {
        let found = output.matches(&format!("{}}}", endpoint["id"])).count() as f64 / picks;
        let recorded = f64_of(count) / picks;
        let message = || format!("{name}, {subcase}: {endpoint} has {found} of the picks");
        let share = f64::midpoint(found, recorded);
        let allowed = 4.0 * (2.0 * share * (1.0 - share) / picks).sqrt() + 1.0 / picks;
        assert!((found - recorded).abs() <= allowed, "{}", message());
        // Whoever is no candidate gets nothing at all.
        assert!((found > 0.0) == (recorded > 0.0) || share * picks < 10.0, "{}", message());
        worst = worst.max((found - recorded).abs());
    }
    (endpoints.len(), worst)
}

/// The shares of recordings.
fn shares(names: &[&str]) -> String {
    let (mut subcases, mut compared, mut worst) = (0, 0, 0.0_f64);
    for name in names {
        let recording = read(&data(&format!("envoy/candidates/{name}.json")));
        for case in list(&recording["cases"]) {
            for subcase in list(&case["subcases"]) {
                let (count, difference) = check_subcase(name, case, subcase);
                subcases += 1;
                compared += count;
                worst = worst.max(difference);
            }
        }
    }
    format!("{subcases} recordings, {compared} shares, off by at most {worst:.4}")
}

fn priority_loads() -> String {
    let mut levels_total = 0;
    let cases = cases("envoy/candidates/vectors/priority_load.json");
    for (name, input, expected) in &cases {
        let counts = |of: &Value| Counts {
            total: of["total"].as_u64().map_or(0, |n| n as u32),
            healthy: of["healthy"].as_u64().map_or(0, |n| n as u32),
            degraded: of["degraded"].as_u64().map_or(0, |n| n as u32),
            excluded: of["excluded"].as_u64().map_or(0, |n| n as u32),
        };
        let levels = list(&input["levels"]);
        levels_total += levels.len();
        let by_number: Vec<Counts> = levels.iter().map(counts).collect();
        let available: Vec<(u32, u32)> = levels
            .iter()
            .map(|level| {
                let factor = level["overprovisioning"].as_u64().map_or(140, |factor| factor as u32);
                let by_weight = level.get("weights").unwrap_or(level);
                availability(counts(by_weight), factor)
            })
            .collect();
        let loads = distribute(&by_number, &available, u32_of(&input["panic_threshold_percent"]));
        let column = |get: &dyn Fn(usize) -> Value| (0..levels.len()).map(get).collect::<Vec<Value>>();
        assert_eq!(
            Value::from(column(&|i| available[i].0.into())),
            expected["health"],
            "{name}: health"
        );
        assert_eq!(
            Value::from(column(&|i| available[i].1.into())),
            expected["degraded"],
            "{name}: degraded"
        );
        assert_eq!(
            Value::from(column(&|i| loads[i].healthy.into())),
            expected["healthy_load"],
            "{name}: healthy load"
        );
        assert_eq!(
            Value::from(column(&|i| loads[i].degraded.into())),
            expected["degraded_load"],
            "{name}: degraded load"
        );
        assert_eq!(
            Value::from(column(&|i| loads[i].panic.into())),
            expected["panic"],
            "{name}: panic"
        );
    }
    format!(
        "{} cases of {levels_total} levels: availability, loads and panic all equal",
        cases.len()
    )
}

/// The vectors of one kind: those of the operation of this name, or those without any.
fn vectors(kind: &str) -> String {
    let all = cases("envoy/candidates/vectors/zone_locality.json");
    let of_kind = |case: &&(String, Value, Value)| case.1["op"].as_str().unwrap_or("zones") == kind;
    let cases: Vec<_> = all.iter().filter(of_kind).collect();
    assert!(!cases.is_empty(), "{kind}");
    let mut compared = 0;
    for (name, input, expected) in &cases {
        if kind == "zones" {
            compared += check_zones(name, input, expected);
            continue;
        }
        let total = u32_of(&input["total"]) - u32_of(&input["excluded"]);
        let factor = u32_of(&input["overprovisioning_percent"]);
        let weight = effective_locality_weight(u32_of(&input["weight"]), u32_of(&input["eligible"]), total, factor);
        assert_eq!(weight, f64_of(expected), "{name}");
        compared += 1;
    }
    format!("{} cases, {compared} values, all equal", cases.len())
}

fn check_zones(name: &str, input: &Value, expected: &Value) -> usize {
    let local: Vec<(String, u32)> = input["local_hosts_by_zone"]
        .as_object()
        .expect("a map")
        .iter()
        .map(|(zone, count)| (zone.clone(), u32_of(count)))
        .collect();
    let upstream = list(&input["upstream_healthy_by_zone_local_first"]).iter();
    let upstream = upstream.map(|zone| (zone[0].as_str().expect("a name"), u64_of(&zone[1])));
    let shares = zone_shares(&local, upstream);
    let percentages = list(&expected["percentages"]).iter().map(|pair| ZoneShare {
        local: u64_of(&pair[0]),
        upstream: u64_of(&pair[1]),
    });
    assert_eq!(shares, percentages.collect::<Vec<_>>(), "{name}");
    let routing = Routing::new(&shares, true, false);
    let wanted = match expected["mode"].as_str() {
        Some("residual") => Routing::Residual {
            local_percent_to_route: u64_of(&expected["local_percent_to_route"]),
            residual_capacity: list(&expected["residual_capacity"]).iter().map(u64_of).collect(),
        },
        _ => Routing::Direct,
    };
    assert_eq!(routing, wanted, "{name}");
    let picks = expected["picks"].as_array().map_or(&[][..], Vec::as_slice);
    for pick in picks {
        let mut draws = [u64_of(&pick["random_local"]), u64_of(&pick["random_residual"])].into_iter();
        let place = routing.choose(|| draws.next().expect("two draws are enough"));
        assert_eq!(place as u64, u64_of(&pick["locality_index"]), "{name}: {pick}");
    }
    shares.len() + 1 + picks.len()
}

#[test]
fn vectors_say_when_a_level_panics() {
    let cases = cases("envoy/candidates/vectors/zone_locality.json");
    let panics = cases.iter().filter(|(_, input, _)| input["op"] == "host_set_in_panic");
    let mut compared = 0;
    for (name, input, expected) in panics {
        let counts = Counts {
            total: u32_of(&input["total"]),
            healthy: u32_of(&input["healthy"]),
            degraded: u32_of(&input["degraded"]),
            excluded: u32_of(&input["excluded"]),
        };
        // A factor of 100 leaves no level with enough, so that the threshold alone decides.
        let loads = distribute(&[counts], &[availability(counts, 100)], u32_of(&input["threshold"]));
        assert_eq!(Value::from(loads[0].panic), *expected, "{name}");
        compared += 1;
    }
    assert!(compared > 0);
}
