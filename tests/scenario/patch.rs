//! Variants and `--set`: what they change, and where an error of theirs points.

use meshsim::scenario::{Overrides, Scenario};
use meshsim::time::Duration;

use super::{problems, valid_with};

const BASE: &str = "
apiVersion: meshsim/v1
duration: 10s
topology:
  services:
    s:
      endpoints: [{name: x, speed: 2}, {name: y}]
      operations: {get: [{work: 1ms}]}
    a.b: {replicas: 2, operations: {get: []}}
clients:
  c: {call: s/get, arrivals: {poisson: {rate: 10/s}}}
mesh: {balancer: {envoy/least_request: {choice_count: 5}}, timeout: 1s}
faults: [{at: 1s, crash: {endpoint: s/x}}, {at: 2s, crash: {endpoint: s/y}}]
variants:
  same: {}
  nothing:
  choices: {mesh: {balancer: {envoy/least_request: {active_request_bias: 2}}}}
  other: {mesh: {balancer: {linkerd/peak_ewma: {}}}}
  bare: {mesh: {balancer: envoy/least_request}}
  untimed: {mesh: {timeout: null}}
  steady: {clients: {c: {arrivals: {constant: {rate: 5/s}}}}}
  calm: {faults: []}
  more: {topology: {services: {t: {replicas: 1, operations: {get: []}}}}}
";

fn set(path: &str, value: &str) -> Overrides {
    Overrides {
        set: vec![(path.to_string(), value.to_string())],
        ..Overrides::default()
    }
}

fn base(overrides: &Overrides) -> Scenario {
    valid_with(BASE, overrides)
}

fn balancer(scenario: &Scenario, variant: &str) -> String {
    let found = scenario.variants.iter().find(|other| other.name == variant);
    format!("{:?}", found.expect("the variant is there").plan.clusters[0].config.balancer)
}

#[test]
fn variants_are_merged_into_the_scenario() {
    let scenario = base(&Overrides::default());
    let plan = |name: &str| {
        let found = scenario.variants.iter().find(|variant| variant.name == name);
        &found.expect("the variant is there").plan
    };
    assert_eq!(scenario.variants.len(), 9);
    assert_eq!(balancer(&scenario, "same"), balancer(&scenario, "nothing"));
    let choices = balancer(&scenario, "choices");
    assert!(
        choices.contains("choice_count: 5") && choices.contains("2.0"),
        "options are merged: {choices}"
    );
    assert!(
        balancer(&scenario, "other").contains("PeakEwma"),
        "another policy takes the place of the first"
    );
    assert_ne!(
        balancer(&scenario, "bare"),
        balancer(&scenario, "same"),
        "a bare name has the defaults"
    );
    assert_eq!(plan("untimed").sites[0].timeout, Duration::MAX);
    assert_eq!(plan("same").sites[0].timeout, Duration::from_secs(1));
    assert!(format!("{:?}", plan("steady").clients[0].load).contains("Constant"));
    assert_eq!((plan("calm").faults.len(), plan("same").faults.len()), (0, 2));
    assert_eq!((plan("more").services.len(), plan("same").services.len()), (3, 2));
}

#[test]
fn set_reaches_any_value_and_wins_over_variants() {
    let plan = |path: &str, value: &str| base(&set(path, value)).variants[0].plan.clone();
    assert_eq!(plan("mesh.timeout", "7s").sites[0].timeout, Duration::from_secs(7));
    assert_eq!(plan("topology.services.s.endpoints[0].speed", "0.5").endpoints[0].speed, 0.5);
    assert_eq!(plan("topology.services.s.endpoints.y.speed", "0.25").endpoints[1].speed, 0.25);
    assert_eq!(plan("topology.services.\"a.b\".replicas", "7").services[1].endpoint_count, 7);
    assert_eq!(
        plan("topology.services.s.queue.limit", "3").services[0].queue_limit,
        3,
        "maps are made"
    );
    assert_eq!(plan("faults", "[]").faults.len(), 0);
    assert_eq!(plan("mesh.timeout", "").sites[0].timeout, Duration::MAX);

    let first_fault = Overrides {
        variants: vec!["same".to_string()],
        ..set("faults[0]", "null")
    };
    let faults = &base(&first_fault).variants[0].plan.faults;
    assert_eq!(faults.len(), 1, "null removes, once");
    assert_eq!(faults[0].at.as_secs_f64(), 2.0);

    let scenario = base(&set("mesh.balancer", "envoy/random"));
    for variant in &scenario.variants {
        assert_eq!(
            variant.plan.clusters[0].config.balancer.name(),
            "envoy/random",
            "{}",
            variant.name
        );
    }
    let scenario = base(&set("mesh.balancer.envoy/least_request.choice_count", "9"));
    for name in ["same", "bare", "choices", "other"] {
        assert!(balancer(&scenario, name).contains("choice_count: 9"), "{name}");
    }
    let scenario = base(&set("variants.other.mesh.balancer", "research/jsq"));
    assert!(balancer(&scenario, "other").contains("Jsq"));
    assert!(balancer(&scenario, "same").contains("LeastRequest"));
}

#[test]
fn options_are_overrides_like_any_other() {
    let overrides = Overrides {
        seed: Some(u64::MAX),
        replications: Some(3),
        duration: Some(Duration::from_secs(20)),
        variants: vec!["calm".to_string(), "same".to_string()],
        ..Overrides::default()
    };
    let scenario = base(&overrides);
    assert_eq!((scenario.seed, scenario.replications), (u64::MAX, 3));
    let names: Vec<&str> = scenario.variants.iter().map(|variant| variant.name.as_str()).collect();
    assert_eq!(names, ["same", "calm"], "in the order of the file");
    assert_eq!(scenario.variants[0].plan.duration, Duration::from_secs(20));
    assert_eq!(scenario.estimate.cells, 6);
}

/// The diagnostics of the base scenario with `--set path=value`.
fn wrong(path: &str, value: &str) -> String {
    problems(BASE, &set(path, value))
}

#[test]
fn errors_of_overrides_point_at_the_argument() {
    insta_like(
        &wrong("mesh.timeout", "soon"),
        "\
error[MS0026]: not a duration: `soon`
 --> --set:1:14
  |
1 | mesh.timeout=soon
  |              ^^^^

error: 1 problem
",
    );
    insta_like(
        &wrong("mesh.balancr", "envoy/random"),
        "\
error[MS0020]: unknown key `balancr`
 --> --set:1:6
  |
1 | mesh.balancr=envoy/random
  |      ^^^^^^^ nothing has this name here
  |
  = help: did you mean `balancer`?

error: 1 problem
",
    );
    for (path, value, code) in [
        ("mesh..timeout", "1s", "MS0030"),
        ("mesh.", "1s", "MS0030"),
        ("", "1s", "MS0030"),
        ("mesh.\"timeout", "1s", "MS0030"),
        ("faults[0", "1s", "MS0030"),
        ("faults[]", "1s", "MS0030"),
        ("faults[0]at", "1s", "MS0030"),
        ("duration.seconds", "5", "MS0031"),
        ("faults[2].at", "1s", "MS0032"),
        ("topology.services.s.endpoints.z.speed", "1", "MS0032"),
        ("mesh.timeout", "[1s", "MS0010"),
        ("mesh.timeout", "1s\u{7}", "MS0004"),
        ("variants.same.seed", "5", "MS0034"),
        ("variants", "5", "MS0036"),
        ("faults[0].at", "20s", "MS0062"),
    ] {
        let found = wrong(path, value);
        assert!(found.contains(code), "{path}={value}: expected {code}\n{found}");
        assert!(found.contains("--> --set:1:"), "{path}={value} points elsewhere\n{found}");
    }
    let unknown = Overrides {
        variants: vec!["stedy".to_string()],
        ..Overrides::default()
    };
    let found = problems(BASE, &unknown);
    assert!(
        found.contains("MS0035") && found.contains("did you mean `steady`?"),
        "{found}"
    );
    let deep = wrong("a.".repeat(200).trim_end_matches('.'), "1");
    assert!(deep.contains("MS0013"), "{deep}");
}

#[test]
fn an_error_of_some_variants_names_them_and_one_of_all_does_not() {
    let found = problems(&BASE.replace("rate: 5/s", "rate: -5/s"), &Overrides::default());
    assert!(found.contains("in variant `steady`"), "{found}");
    let found = problems(&BASE.replace("rate: 10/s", "rate: -10/s"), &Overrides::default());
    assert!(
        found.contains("in variants `same`, `nothing`, "),
        "all but the one that replaces it: {found}"
    );
    let found = problems(&BASE.replace("duration: 10s", "duration: ten"), &Overrides::default());
    assert!(!found.contains("in variant"), "{found}");
    assert_eq!(found.matches("error[").count(), 1, "said once: {found}");
}

fn insta_like(found: &str, expected: &str) {
    assert!(found == expected, "expected\n{expected}\nfound\n{found}");
}
