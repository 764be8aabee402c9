//! How late callers learn of endpoints, in whole simulations: the table of delays of each mechanism, and what lateness costs.

use meshsim::experiment::Experiment;
use meshsim::report::Results;
use meshsim::report::summary::{ServiceSummary, Summary, Value};
use meshsim::scenario::{Overrides, Source, load};

/// What happens to an endpoint.
const CRASH: &str = "- {at: 5m, crash: {endpoint: s/s-3}}";
const HANG: &str = "- {at: 5m, crash: {endpoint: s/s-3, mode: hang}}";

fn run(text: String) -> Summary {
    let (scenario, diagnostics) = load(&Source::from_text("test.yaml", text), &Overrides::default());
    let scenario = scenario.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    Results::new(&scenario, &Experiment::of(&scenario).run(1, |_| {})).summary
}

/// A service of 40 endpoints and a client of 100 callers.
fn service(discovery: &str, endpoints: &str, faults: &str) -> ServiceSummary {
    let summary = run(format!(
        "
apiVersion: meshsim/v1
duration: 20m
replications: 4
topology:
  services:
    s:
      {endpoints}
      concurrency: unlimited
      operations: {{get: [{{work: 1ms}}]}}
clients:
  c: {{call: s/get, callers: 100, arrivals: {{constant: {{rate: 10/s}}}}}}
mesh: {{discovery: {discovery}}}
faults:
  {faults}
"
    ));
    summary.variants[0].services.get("s").expect("the service").clone()
}

fn listed(last: &str) -> String {
    let mut endpoints: Vec<String> = (0..39).map(|number| format!("{{name: s-{number}}}")).collect();
    endpoints.push(last.to_string());
    format!("endpoints: [{}]", endpoints.join(", "))
}

fn figure(service: &ServiceSummary, name: &str) -> Option<f64> {
    service
        .discovery_delay_seconds
        .get(name)
        .and_then(|value: &Value| value.value)
}

/// The delay of every caller lies within these seconds, and their mean too.
fn check(discovery: &str, what: &str, service: &ServiceSummary, mean: (f64, f64), max: f64) {
    let (found, most) = (figure(service, "mean"), figure(service, "max"));
    let (found, most) = (found.expect("they learn of it"), most.expect("they learn of it"));
    assert!(
        mean.0 <= found && found <= mean.1,
        "{discovery}, {what}: mean {found}, not {mean:?}"
    );
    assert!(most <= max, "{discovery}, {what}: {most} at most, not {max}");
}

/// A mechanism, what happens, and the mean and the maximum of the delay in seconds.
type Case = (&'static str, &'static str, (f64, f64), f64);

/// The delays of 400 callers, against the sums of the stages: uniform ones have half of their span as the mean, and four standard errors
/// are allowed, those of what callers share included.
fn delays(cases: &[Case]) -> String {
    for &(discovery, what, mean, max) in cases {
        let late = listed("{name: late, joins: 5m}");
        let (endpoints, faults) = match what {
            "crash" => ("replicas: 40", CRASH),
            "hang" => ("replicas: 40", HANG),
            _ => (late.as_str(), "[]"),
        };
        check(discovery, what, &service(discovery, endpoints, faults), mean, max);
    }
    format!("means and maxima of 400 callers' delays in {} simulations", cases.len())
}

pub fn dns_delays() -> String {
    delays(&[
        ("{dns: {ttl: 30s, records: instant}}", "crash", (13.2, 16.8), 30.0),
        ("{dns: {dns_refresh_rate: 5s, records: instant}}", "crash", (2.2, 2.8), 5.0),
        // An answer that is kept for 30 s is still handed out after 28 s, and not after 35 s.
        (
            "{dns: {dns_refresh_rate: 7s, ttl: 30s, records: instant}}",
            "crash",
            (15.4, 19.6),
            35.0,
        ),
        ("{dns: {client: jvm, records: instant}}", "crash", (13.2, 16.8), 30.0),
        ("{dns: {ttl: 5s}}", "crash", (2.5, 4.5), 6.4),
        ("{dns: {ttl: 30s}}", "new", (13.2, 16.9), 30.4),
    ])
}

fn grpc_delays() -> String {
    delays(&[("{dns: {client: grpc}}", "crash", (29.9, 30.1), 30.1)])
}

fn poll_delays() -> String {
    delays(&[
        ("{poll: {interval: 30s}}", "crash", (13.2, 16.8), 30.0),
        ("{poll: {interval: 30s}}", "hang", (13.2, 16.8), 30.0),
    ])
}

pub fn eureka_delays() -> String {
    delays(&[
        ("{eureka: {}}", "crash", (165.0, 315.0), 330.0),
        ("{eureka: {}}", "new", (60.0, 90.0), 120.0),
    ])
}

fn consul_delays() -> String {
    delays(&[
        ("consul", "crash", (0.0, 10.1), 10.2),
        ("consul", "hang", (10.0, 20.1), 20.2),
        ("{consul: {status: passing}}", "new", (0.0, 0.1), 1.0),
    ])
}

pub fn istio_delays() -> String {
    delays(&[
        ("istio", "crash", (0.15, 1.4), 2.0),
        ("istio", "hang", (21.1, 31.6), 31.8),
        ("istio", "new", (0.12, 0.4), 1.0),
    ])
}

pub fn linkerd_delays() -> String {
    delays(&[("linkerd", "crash", (0.03, 1.2), 2.0), ("linkerd", "new", (0.02, 0.3), 0.5)])
}

pub fn kube_proxy_delays() -> String {
    delays(&[
        ("kube_proxy", "crash", (0.05, 1.3), 3.0),
        ("kube_proxy", "hang", (21.0, 31.5), 32.8),
        ("kube_proxy", "new", (0.04, 0.4), 2.0),
    ])
}

/// The others are evidence for their policies: `policy/discovery.rs` runs them.
#[test]
fn delays_are_those_of_the_stages() {
    for check in [grpc_delays, poll_delays, consul_delays] {
        check();
    }
}

#[test]
fn who_is_told_to_go_is_not_missed_if_it_serves_for_long_enough() {
    let failures = |discovery: &str, drain: &str| {
        let service = service(
            discovery,
            &listed(&format!("{{name: gone, leaves: 5m, drain: {drain}}}")),
            "[]",
        );
        service.stale_requests_total.value.expect("a count")
    };
    for (discovery, enough) in [
        ("istio", "2s"),
        ("kube_proxy", "3s"),
        ("{dns: {ttl: 30s}}", "31s"),
        ("{eureka: {}}", "91s"),
    ] {
        assert_eq!(failures(discovery, enough), 0.0, "{discovery}");
    }
    // 10 calls a second over 40 endpoints: a quarter of a call a second, for 15 s on average, four times.
    let late = failures("{dns: {ttl: 30s}}", "0s");
    assert!((5.0..=27.0).contains(&late), "{late}");
    assert!(failures("static", "0s") > 800.0);
}

#[test]
fn a_small_registry_preserves_itself() {
    let crash = "- {at: 5m, crash: {service: s, share: 50%}}";
    let kept = service("{eureka: {}}", "replicas: 10", crash);
    assert_eq!(figure(&kept, "mean"), None, "nobody is dropped");
    // Half of the calls, for a quarter of an hour, four times.
    let in_vain = kept.stale_requests_total.value.expect("a count");
    assert!((in_vain / 18_000.0 - 1.0).abs() < 0.05, "{in_vain}");
    let dropped = service("{eureka: {enable_self_preservation: false}}", "replicas: 10", crash);
    assert!(figure(&dropped, "mean").is_some_and(|mean| (165.0..800.0).contains(&mean)));
    assert!(dropped.stale_requests_total.value.expect("a count") < in_vain / 2.0);
}

#[test]
fn nothing_is_heard_from_a_registry_through_a_partition() {
    // Without it, callers hear of the crash within 30 s (poll), 330 s (Eureka) and 11 s (Consul).
    for (discovery, within) in [("poll", 31.0), ("{eureka: {}}", 91.0), ("consul", 6.0)] {
        let cuts = [
            "{from: {client: c}, to: {registry: true}}",
            "{from: {registry: true}, to: {client: c}, one_way: true}",
            "{from: {client: c}, to: {registry: true}, one_way: true}",
        ];
        for cut in cuts {
            let faults = format!("{CRASH}\n  - {{at: 4m, for: 8m, partition: {cut}}}");
            let service = service(discovery, "replicas: 40", &faults);
            let (least, most) = (figure(&service, "mean"), figure(&service, "max"));
            let (mean, max) = (least.expect("they learn of it"), most.expect("they learn of it"));
            // From 5m to 12m nobody hears anything; then they do as before.
            assert!(mean >= 420.0 && max <= 420.0 + within, "{discovery}, {cut}: {mean}, {max}");
        }
    }
}

#[test]
fn churn_costs_more_the_longer_answers_are_kept() {
    let churn = "replicas: 10\n      churn: {every: 10s, drain: 2s}";
    let in_vain = |ttl: &str| {
        let service = service(&format!("{{dns: {{ttl: {ttl}}}}}"), churn, "[]");
        assert_eq!(service.endpoints_total, 10 + 119);
        service.stale_requests_total.value.expect("a count")
    };
    let (short, long) = (in_vain("5s"), in_vain("60s"));
    // One of ten is replaced every 10 s. After 60 s six would be; each is sent to from the end of its drain to the end of the answer.
    assert!(short < long / 5.0, "{short} and {long}");
    assert_eq!(in_vain("1s"), 0.0, "a drain longer than the answer's time hides it");
}

#[test]
fn logical_dns_has_one_endpoint_at_a_time() {
    let service = service("{dns: {ttl: 10s, type: logical_dns}}", "replicas: 4", "[]");
    let loads: Vec<f64> = service
        .endpoints
        .iter()
        .map(|(_, endpoint)| endpoint.requests_total.value.expect("a count"))
        .collect();
    let sum: f64 = loads.iter().sum();
    assert!(loads.iter().all(|load| (load / sum - 0.25).abs() < 0.02), "{loads:?}");
}

/// A zone fails, and callers in it go to the next one: only where they know of localities does that change who serves them before.
#[test]
fn calls_stay_in_their_zone_and_leave_it_when_it_fails() {
    let share_in_zone = |setting: &str, faults: &str| {
        let summary = run(format!(
            "
apiVersion: meshsim/v1
duration: 2m
replications: 2
topology:
  zones: [a, b, c]
  regions: {{west: [a, b], east: [c]}}
  services:
    s:
      replicas: 12
      concurrency: unlimited
      operations: {{get: [{{work: 1ms}}]}}
clients:
  c: {{call: s/get, zone: a, callers: 4, arrivals: {{constant: {{rate: 100/s}}}}}}
mesh:
  balancer: envoy/round_robin
  locality_lb_setting: {setting}
{faults}
"
        ));
        let service = summary.variants[0].services.get("s").expect("the service").clone();
        let mut zones = [0.0; 3];
        for (place, (_, endpoint)) in service.endpoints.iter().enumerate() {
            zones[place % 3] += endpoint.requests_total.value.expect("a count") / 24_000.0;
        }
        zones.map(|share| (share * 100.0).round() as u32)
    };
    // Without outlier detection Istio assigns no priorities.
    assert_eq!(share_in_zone("{enabled: true}", ""), [33, 33, 33]);
    let shares = "{distribute: [{from: west/a, to: {west/a: 70, west/b: 20, east: 10}}]}";
    assert_eq!(share_in_zone(shares, ""), [70, 20, 10]);
    assert_eq!(
        share_in_zone("{enabled: false, distribute: [{from: west, to: {west: 100}}]}", ""),
        [33, 33, 33]
    );
    assert_eq!(
        share_in_zone("{distribute: [{from: \"*\", to: {west/*: 100}}]}", ""),
        [50, 50, 0]
    );
}
