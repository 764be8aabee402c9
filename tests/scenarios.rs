//! The scenarios that come with the program: they load without a complaint, and say what they ask and what to look for.

use std::path::{Path, PathBuf};

use meshsim::experiment::Experiment;
use meshsim::experiment::expect::{Verdict, decide};
use meshsim::report::{Results, Summary};
use meshsim::scenario::{self, Overrides, Scenario, Source};
use meshsim::time::Duration;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn load(name: &str, overrides: &Overrides) -> Scenario {
    let source = Source::read(&folder().join(name)).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let (scenario, diagnostics) = scenario::load(&source, overrides);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    scenario.expect("without diagnostics there is a scenario")
}

fn summary(scenario: &Scenario) -> Summary {
    let outcome = Experiment::of(scenario).run(2, |_| {});
    Results::new(scenario, &outcome).summary
}

#[test]
fn each_says_what_it_asks_and_what_to_look_for() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder()).expect("the folder is part of the package") {
        let name = entry.expect("a readable entry").file_name().into_string().expect("ASCII");
        let scenario = load(&name, &Overrides::default());
        assert!(scenario.description.contains('?'), "{name} asks no question");
        assert!(
            scenario.source_text.contains("# Look for:"),
            "{name} does not say what to look for"
        );
        assert_eq!(format!("{}.yaml", scenario.name), name);
        names.push(name);
    }
    names.sort();
    assert_eq!(
        names,
        [
            "aperture.yaml",
            "black-hole.yaml",
            "cold-start.yaml",
            "deadlines.yaml",
            "dns-churn.yaml",
            "eureka.yaml",
            "full-scan.yaml",
            "grpc-behind-kube-proxy.yaml",
            "hedging.yaml",
            "hot-key.yaml",
            "locality-failover.yaml",
            "many-proxies.yaml",
            "mixed-replies.yaml",
            "online-boutique.yaml",
            "panic.yaml",
            "power-of-two.yaml",
            "prequal.yaml",
            "quickstart.yaml",
            "retry-storm.yaml",
            "small-clients.yaml",
            "small-cluster.yaml",
            "tail-at-scale.yaml"
        ]
    );
}

/// Runs a scenario as it is, and decides what it expects.
fn expectations_hold(name: &str) {
    let scenario = load(name, &Overrides::default());
    assert!(!scenario.expect.is_empty(), "{name} expects nothing");
    let outcome = Experiment::of(&scenario).run(1, |_| {});
    for decision in decide(&scenario, &outcome) {
        assert_eq!(decision.verdict, Verdict::Holds, "{name}: {decision:?}");
    }
}

/// A test for each, so that they run side by side.
macro_rules! find_what_they_expect {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            expectations_hold($name);
        })*
    };
}

find_what_they_expect! {
    aperture_finds_what_it_expects: "aperture.yaml",
    black_hole_finds_what_it_expects: "black-hole.yaml",
    cold_start_finds_what_it_expects: "cold-start.yaml",
    deadlines_finds_what_it_expects: "deadlines.yaml",
    dns_churn_finds_what_it_expects: "dns-churn.yaml",
    eureka_finds_what_it_expects: "eureka.yaml",
    full_scan_finds_what_it_expects: "full-scan.yaml",
    grpc_behind_kube_proxy_finds_what_it_expects: "grpc-behind-kube-proxy.yaml",
    hedging_finds_what_it_expects: "hedging.yaml",
    hot_key_finds_what_it_expects: "hot-key.yaml",
    locality_failover_finds_what_it_expects: "locality-failover.yaml",
    many_proxies_finds_what_it_expects: "many-proxies.yaml",
    mixed_replies_finds_what_it_expects: "mixed-replies.yaml",
    panic_finds_what_it_expects: "panic.yaml",
    power_of_two_finds_what_it_expects: "power-of-two.yaml",
    prequal_finds_what_it_expects: "prequal.yaml",
    quickstart_finds_what_it_expects: "quickstart.yaml",
    retry_storm_finds_what_it_expects: "retry-storm.yaml",
    small_clients_finds_what_it_expects: "small-clients.yaml",
    small_cluster_finds_what_it_expects: "small-cluster.yaml",
    tail_at_scale_finds_what_it_expects: "tail-at-scale.yaml",
}

#[test]
fn quickstart_finds_that_balancers_with_feedback_avoid_the_slow_endpoint() {
    let summary = summary(&load("quickstart.yaml", &Overrides::default()));
    let share = |variant: &str| {
        let service = summary
            .variant(variant)
            .and_then(|variant| variant.services.get("api"))
            .expect("the service");
        let slow = service
            .endpoints
            .get("api-3")
            .and_then(|endpoint| endpoint.requests_total.value)
            .expect("a count");
        slow / service.requests_total.value.expect("a count")
    };
    assert!((share("round_robin") - 0.25).abs() < 0.001);
    assert!(share("peak_ewma") < share("least_request") && share("least_request") < 0.2);
}

#[test]
fn tail_at_scale_has_the_quantiles_of_the_maximum() {
    let overrides = Overrides {
        replications: Some(2),
        ..Overrides::default()
    };
    let summary = summary(&load("tail-at-scale.yaml", &overrides));
    // The median of the maximum of n is the quantile 0.5^(1/n) of one; a leaf is 10 ms times 100^(z / z(0.99)).
    for (variant, leaves) in [("one_leaf", 1.0), ("ten_leaves", 10.0), ("hundred_leaves", 100.0)] {
        let z = |p: f64| meshsim::math::normal_quantile(p);
        let median = 0.01 * libm::pow(100.0, z(libm::pow(0.5, 1.0 / leaves)) / z(0.99));
        let users = summary
            .variant(variant)
            .and_then(|variant| variant.clients.get("users"))
            .expect("the client");
        let observed = users.latency_seconds.get("p50").and_then(|p50| p50.value).expect("a median");
        // A tenth is over four standard errors of the median of 5,500 requests.
        assert!((observed / median - 1.0).abs() < 0.1, "{variant}: {observed}, not {median}");
    }
}

#[test]
fn online_boutique_calls_as_its_manifests_say() {
    let scenario = load(
        "online-boutique.yaml",
        &Overrides {
            variants: vec!["least_request".to_string()],
            ..Overrides::default()
        },
    );
    let names = &scenario.variants[0].names;
    assert_eq!(names.services.len(), 11);
    // The *_SERVICE_ADDR and REDIS_ADDR variables of release/kubernetes-manifests.yaml at 34ffea91, without the assistant, which the
    // release does not contain.
    let addresses = [
        ("frontend", "ad cart catalog checkout currency recommendation shipping"),
        ("checkout", "cart catalog currency email payment shipping"),
        ("recommendation", "catalog"),
        ("cart", "redis-cart"),
    ];
    let mut edges: Vec<String> = (names.edges.iter())
        .filter(|edge| names.clients.iter().all(|client| !edge.starts_with(&format!("{client}->"))))
        .map(|edge| edge.split('/').next().expect("a split has a first part").to_string())
        .collect();
    edges.sort();
    edges.dedup();
    let mut expected: Vec<String> = (addresses.iter())
        .flat_map(|(from, to)| to.split(' ').map(move |to| format!("{from}->{to}")))
        .collect();
    expected.sort();
    assert_eq!(edges, expected);
}

#[test]
fn online_boutique_loses_a_zone_and_memory_of_latency_hides_it_best() {
    let set = [("faults.0.at", "20s"), ("faults.0.for", "10s"), ("warmup", "10s")];
    let overrides = Overrides {
        set: set.map(|(path, value)| (path.to_string(), value.to_string())).to_vec(),
        duration: Some(Duration::from_secs(40)),
        replications: Some(2),
        ..Overrides::default()
    };
    let summary = summary(&load("online-boutique.yaml", &overrides));
    let availability = |variant: &str| {
        let shoppers = summary
            .variant(variant)
            .and_then(|variant| variant.clients.get("shoppers"))
            .expect("the client");
        shoppers.availability_ratio.value.expect("a share")
    };
    assert!(availability("round_robin") < availability("least_request"));
    assert!(availability("least_request") < availability("peak_ewma"));
}
