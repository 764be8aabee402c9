//! The same scenario, seed and version give the same bytes, whatever the threads; another seed gives others.

use meshsim::experiment::Experiment;
use meshsim::model::{Elision, RunOptions};
use meshsim::report::{Extent, NamedBytes, Results};
use meshsim::scenario::{self, Overrides, Scenario, Source};
use meshsim::time::Duration;

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
fn cells_run_one_by_one_and_folded_later_give_the_same() {
    let overrides = Overrides {
        set: vec![("warmup".to_string(), "auto".to_string())],
        ..Overrides::default()
    };
    let scenario = load(&overrides);
    let experiment = Experiment::of(&scenario);
    let warmups = experiment.warmup(2, &|_| ());
    let cells = experiment.cells();
    assert_eq!(cells.len(), 10);
    let mut results: Vec<_> = cells
        .iter()
        .rev()
        .map(|&cell| (cell, experiment.run_cell(cell, &warmups)))
        .collect();
    results.sort_by_key(|(cell, _)| (cell.variant, cell.replication));
    assert_eq!(experiment.fold(&warmups, results), experiment.run(2, |_| ()));
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

/// A mesh in which nothing waits for anything but work and the network, so latency follows from the draws alone.
const FREE: &str = "\
apiVersion: meshsim/v1
name: free
description: Do all policies see the same world?
seed: 11
duration: 5s
replications: 1
topology:
  zones: [a]
  network:
    same_zone: {lognormal: {p50: 250us, p99: 1ms}}
    loss: 1%
  services:
    front:
      replicas: 5
      operations:
        home:
          - work: {exponential: {mean: 2ms}}
          - parallel: [{call: back/get}, {call: back/get, probability: 50%}]
          - choose:
              - {weight: 1, steps: [{work: 1ms}]}
              - {weight: 2, steps: [{call: back/get}]}
    back:
      replicas: 7
      operations:
        get: [{work: {gamma: {mean: 4ms, cv: 2}}}, {fail: 1%}]
clients:
  web:
    call: front/home
    arrivals: {mmpp: {rates: [100/s, 1000/s], mean_stay: 200ms}}
    key: {zipf: {keys: 100, s: 1}}
    callers: 3
mesh: {timeout: 1s, retry: {num_retries: 2, retry_on: [5xx], back_off: {base_interval: 1us}}}
variants:
  round_robin: {mesh: {balancer: envoy/round_robin}}
  random: {mesh: {balancer: envoy/random}}
  least_request: {mesh: {balancer: {envoy/least_request: {choice_count: 4}}}}
  ring_hash: {mesh: {balancer: envoy/ring_hash}}
  peak_ewma: {mesh: {balancer: linkerd/peak_ewma}}
  jsq: {mesh: {balancer: research/jsq}}
";

/// Common random numbers: which arrivals, keys, coins, work and hops a request meets must not depend on the policy, nor on how
/// often it draws (statistics: Law, Simulation Modeling and Analysis, chapter 11).
#[test]
fn policies_see_the_same_requests_and_the_same_work() {
    let load = |text: &str| {
        let (scenario, diagnostics) = scenario::load(&Source::from_text("free.yaml", text), &Overrides::default());
        scenario.unwrap_or_else(|| panic!("{}", diagnostics.render(false)))
    };
    // A retry waits for a time of its policy's own, so retries are left out here.
    let text = FREE.replace(
        ", retry: {num_retries: 2, retry_on: [5xx], back_off: {base_interval: 1us}}",
        "",
    );
    let run = |scenario: &Scenario, variant: usize| {
        let options = RunOptions {
            seed: 11,
            replication: 3,
            warmup: Duration::ZERO,
            elision: Elision::On,
            pilot: false,
        };
        meshsim::model::run(&scenario.variants[variant].plan, options)
    };
    let scenario = load(&text);
    let reference = run(&scenario, 0);
    assert!(reference.clients[0].requests > 1000 && reference.clients[0].failures.total() > 10);
    for variant in 1..scenario.variants.len() {
        let other = run(&scenario, variant);
        let name = &scenario.variants[variant].name;
        assert_eq!(other.clients, reference.clients, "{name}: requests");
        assert_eq!(other.edges, reference.edges, "{name}: calls");
        for (other, reference) in other.services.iter().zip(&reference.services) {
            assert_eq!(
                (other.attempts, &other.latency),
                (reference.attempts, &reference.latency),
                "{name}: work"
            );
        }
    }
    // With retries the first attempts are still the same: no request arrives that did not before.
    let retried = run(&load(FREE), 0);
    assert_eq!(retried.clients[0].requests_over_time, reference.clients[0].requests_over_time);
    assert!(retried.clients[0].failures.total() < reference.clients[0].failures.total());
}
