//! The same scenario, seed and version give the same bytes, whatever the threads; another seed gives others.

use meshsim::experiment::Experiment;
use meshsim::report::{Extent, NamedBytes, Results};
use meshsim::scenario::{self, Overrides, Scenario, Source};

/// A mesh in which every kind of event occurs: nested and parallel calls, waits, timeouts, retries, faults, failures.
const BUSY: &str = "\
apiVersion: meshsim/v1
name: busy
description: Does it come out the same?
seed: 7
duration: 3s
warmup: 500ms
replications: 5
topology:
  zones: [a, b]
  network:
    same_zone: {lognormal: {p50: 250us, p99: 1ms}}
    cross_zone: {lognormal: {p50: 800us, p99: 3ms}}
  services:
    front:
      replicas: 3
      concurrency: 8
      operations:
        home:
          - work: {exponential: {mean: 2ms}}
          - parallel: [{call: back/get}, {call: back/get, on_error: ignore}]
    back:
      replicas: 4
      concurrency: 2
      queue: {limit: 20}
      operations:
        get: [{work: {gamma: {mean: 4ms, cv: 2}}}]
clients:
  web:
    call: front/home
    arrivals: {poisson: {rate: 300/s}}
    callers: 2
mesh:
  balancer: envoy/least_request
  timeout: 100ms
  retry: {num_retries: 1, retry_on: [5xx, connect-failure], per_try_timeout: 50ms}
faults:
  - {at: 1s, for: 500ms, crash: {zone: b}}
  - {at: 2s, for: 300ms, slow: {service: back, share: 50%, factor: 5}}
variants:
  least_request: {}
  peak_ewma: {mesh: {balancer: linkerd/peak_ewma}}
";

fn load(overrides: &Overrides) -> Scenario {
    let (scenario, diagnostics) = scenario::load(&Source::from_text("busy.yaml", BUSY), overrides);
    scenario.unwrap_or_else(|| panic!("{}", diagnostics.render(false)))
}

fn files(scenario: &Scenario, threads: usize) -> Vec<NamedBytes> {
    let outcome = Experiment::of(scenario).run(threads, |_| ());
    Results::new(scenario, &outcome).files(Extent::All)
}

/// Says which file differs: whole files would fill the screen.
fn assert_same(a: &[NamedBytes], b: &[NamedBytes], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for ((name, bytes), (_, others)) in a.iter().zip(b) {
        assert!(bytes == others, "{what}: {name} differs");
    }
}

#[test]
fn bytes_are_the_same_again_and_on_any_number_of_threads() {
    let scenario = load(&Overrides::default());
    let once = files(&scenario, 1);
    assert!(once.iter().any(|(name, _)| name == "report.html"));
    assert_same(&once, &files(&scenario, 1), "a second time");
    for threads in [2, 7] {
        assert_same(&once, &files(&scenario, threads), &format!("{threads} threads"));
    }
    assert_same(&once, &files(&load(&Overrides::default()), 2), "loaded again");
}

#[test]
fn warm_up_found_by_a_pilot_is_the_same_on_any_number_of_threads() {
    let overrides = Overrides {
        set: vec![("warmup".to_string(), "auto".to_string())],
        ..Overrides::default()
    };
    let scenario = load(&overrides);
    assert_same(&files(&scenario, 1), &files(&scenario, 3), "three threads");
}

#[test]
fn digests_tell_seeds_and_variants_apart() {
    let digests = |seed| {
        let overrides = Overrides {
            seed: Some(seed),
            ..Overrides::default()
        };
        let scenario = load(&overrides);
        let outcome = Experiment::of(&scenario).run(2, |_| ());
        outcome.variants.iter().map(|variant| variant.digest()).collect::<Vec<_>>()
    };
    let (one, other) = (digests(7), digests(8));
    assert_eq!(one, digests(7));
    assert_ne!(one[0], one[1], "two balancers decide differently");
    assert_ne!(one[0], other[0]);
    assert_ne!(one[1], other[1]);
}

#[test]
fn a_variant_is_the_same_alone_and_among_others() {
    let overrides = Overrides {
        variants: vec!["peak_ewma".to_string()],
        ..Overrides::default()
    };
    let (alone, among) = (load(&overrides), load(&Overrides::default()));
    let alone = Experiment::of(&alone).run(1, |_| ());
    let among = Experiment::of(&among).run(2, |_| ());
    assert_eq!(alone.variants[0], among.variants[1]);
}
