//! Who may be picked, from the keys of a scenario to the endpoints that get the calls.

use meshsim::model::plan::NO_DEMAND;
use meshsim::model::{Elision, RunOptions, run};
use meshsim::policy::MetadataValue;
use meshsim::policy::candidates::LocalityMode;
use meshsim::scenario::{Scenario, Variant};
use meshsim::time::Duration;

use super::valid;

const SCENARIO: &str = include_str!("candidates.yaml");

fn variant<'s>(scenario: &'s Scenario, name: &str) -> &'s Variant {
    let mut variants = scenario.variants.iter();
    variants.find(|variant| variant.name == name).expect("it is there")
}

#[test]
fn endpoints_have_what_is_written_of_them() {
    let scenario = valid(SCENARIO);
    let endpoints = &variant(&scenario, "plain").plan.endpoints;
    let text = |i: usize, key: &str| endpoints[i].info.metadata.text(key).map(str::to_string);
    let locality = |i: usize| {
        let info = &endpoints[i].info;
        (
            info.priority,
            info.region.as_str(),
            info.sub_zone.as_str(),
            info.locality_weight,
        )
    };
    assert_eq!(text(0, "version").as_deref(), Some("v1"));
    assert_eq!(text(0, "tier").as_deref(), Some("backend"), "from the service");
    assert_eq!(text(3, "version").as_deref(), Some("2"), "a number is its text");
    let list = MetadataValue::List(vec!["1".to_string(), "true".to_string()]);
    assert_eq!(endpoints[5].info.metadata.get("tier"), Some(&list));
    assert_eq!(text(5, "version").as_deref(), Some("v0"));
    assert_eq!(endpoints[2].info.hash_key.as_deref(), Some("one"));
    assert_eq!(
        endpoints[4].info.hash_key.as_deref(),
        Some("two"),
        "from the metadata, as in Envoy"
    );
    assert_eq!(locality(0), (0, "", "", Some(1)));
    assert_eq!(locality(3), (0, "eu", "x", Some(7)));
    assert_eq!(locality(4), (1, "", "", None));
}

#[test]
fn clusters_have_what_mesh_says() {
    let scenario = valid(SCENARIO);
    let options = |name: &str| variant(&scenario, name).plan.clusters[0].config.candidates.clone();
    assert_eq!(options("plain"), Default::default());
    assert_eq!(options("weighted").locality, LocalityMode::Weighted);
    assert!(matches!(options("zone_aware").locality, LocalityMode::ZoneAware(config) if config.min_cluster_size == 2));
    let subset = options("subset");
    assert_eq!((subset.healthy_panic_threshold, subset.overprovisioning_factor), (20, 150));
    assert!(subset.weighted_priority_health && subset.subsets.is_some());
    assert_eq!(variant(&scenario, "plain").plan.sites[0].demand, NO_DEMAND);
    let plan = &variant(&scenario, "subset").plan;
    assert_eq!((plan.sites[0].demand, plan.clusters[0].demands.len()), (0, 1));
}

/// Calls at each endpoint of about 20,000, and those without an endpoint.
fn calls(scenario: &Scenario, name: &str) -> (Vec<u64>, u64) {
    let options = RunOptions {
        seed: 1,
        replication: 0,
        warmup: Duration::ZERO,
        elision: Elision::On,
        pilot: false,
    };
    let result = run(&variant(scenario, name).plan, options);
    let calls: Vec<u64> = result.endpoints.iter().map(|endpoint| endpoint.attempts).collect();
    let served = calls.iter().sum::<u64>();
    (calls, result.clients[0].requests - served)
}

#[test]
fn calls_go_where_the_candidates_are() {
    let scenario = valid(SCENARIO);
    let check = |name: &str, expected: [u64; 6], refused: u64| {
        let (calls, without) = calls(&scenario, name);
        let close = |(found, expected): (&u64, &u64)| found.abs_diff(*expected) <= if *expected == 0 { 0 } else { 2 };
        assert!(calls.iter().zip(&expected).all(close), "{name}: {calls:?}");
        assert!(without.abs_diff(refused) <= 1, "{name}: {without}");
    };
    check("plain", [5000, 5000, 5000, 5000, 0, 0], 0);
    // The localities a, b and eu/b/x have the weights 1, 3 and 7.
    let elevenths = |n: u64| 20_000 * n / 11;
    let weighted = [elevenths(1) / 2, elevenths(1) / 2, elevenths(3), elevenths(7), 0, 0];
    check("weighted", weighted, 0);
    check("zone_aware", [10_000, 10_000, 0, 0, 0, 0], 0);
    // Its level 0 has one of this version, and level 1 another.
    check("subset", [0, 20_000, 0, 0, 0, 0], 0);
    check("no_subset", [0; 6], 20_000);
    let (targets, _) = calls(&scenario, "targets");
    let share = |i: usize| targets[i] as f64 / 20_000.0;
    // Drawn at random: 5 standard deviations of a share of 20,000 are at most 0.018.
    for (i, expected) in [(0, 0.5 / 11.0), (1, 0.5 / 11.0), (2, 3.0 / 11.0), (3, 7.0 / 11.0)] {
        assert!((share(i) - expected).abs() < 0.018, "{targets:?}");
    }
}
