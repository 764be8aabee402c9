//! Discovery's state machines against the formulas, timelines and vectors of the real ones.

use meshsim::policy::candidates::{Failover, LocalityLbSetting, distribute_weights};
use meshsim::policy::discovery::dns::{Answer, GrpcResolver, Refresher};
use meshsim::policy::discovery::eureka::{self, Server};
use meshsim::policy::discovery::kubernetes::{self, Loss, Phases, SyncLimit};
use meshsim::policy::discovery::xds::{Debounce, PushQueue, Step};
use meshsim::policy::discovery::{consul, dns, poll};
use meshsim::policy::{CallerInfo, EndpointInfo};
use meshsim::random::Rng;
use meshsim::time::{Duration, Time};
use serde_json::Value;

use super::evidence::Evidence;
use super::{data, read};
use crate::discovery::{dns_delays, eureka_delays, istio_delays, kube_proxy_delays, linkerd_delays};

pub const EVIDENCE: &[Evidence] = &[
    row("envoy/strict_dns", "rules of when it asks next", when_envoy_asks),
    row("envoy/strict_dns", "delays over the time of an answer", dns_delays),
    row("grpc/dns", "its floor and its back-off", when_grpc_asks),
    row("poll/registry", "delays over an interval", when_pollers_ask),
    row("eureka/registry", "vectors of thresholds and evictions", eureka_vectors),
    row("eureka/registry", "a lease that ends after twice its time", leases),
    row("eureka/registry", "delays of new and crashed instances", eureka_delays),
    row("consul/health", "times of its checks", consul_checks),
    row("istio/xds", "its timeline of debounced events", debounce_timeline),
    row("istio/xds", "a queue that merges", push_queue),
    row("istio/xds", "delays from pod to proxy", istio_delays),
    row("linkerd/destination", "delays from pod to proxy", linkerd_delays),
    row("kubernetes/endpoint_slices", "times of detection", detection),
    row("kubernetes/endpoint_slices", "kube-proxy's token bucket", token_bucket),
    row("kubernetes/endpoint_slices", "delays from pod to node", kube_proxy_delays),
    row(
        "istio/locality_lb_setting",
        "vectors of priorities and weights",
        locality_vectors,
    ),
    row("istio/locality_lb_setting", "labels and regions by its rules", locality_rules),
];

const fn row(policy: &'static str, against: &'static str, check: fn() -> String) -> Evidence {
    Evidence { policy, against, check }
}

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn options<T: serde::de::DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// `source/extensions/clusters/dns` of Envoy: the answer's time or the rate, and the jitter; after failures a bound that doubles.
fn when_envoy_asks() -> String {
    let mut rng = Rng::new(1);
    let ttl = |ttl: u64| Answer::Resolved { ttl: seconds(ttl) };
    let mut next = |json: &str, answer| Refresher::default().next(&options(json), answer, &mut rng);
    assert_eq!(next("{}", ttl(30)), seconds(30));
    assert_eq!(next("{}", ttl(0)), seconds(5));
    assert_eq!(next(r#"{"dns_refresh_rate": "7s"}"#, ttl(30)), seconds(7));
    assert_eq!(
        next(r#"{"dns_refresh_rate": "60s", "respect_dns_ttl": true}"#, ttl(30)),
        seconds(30)
    );
    assert_eq!(
        next(r#"{"dns_refresh_rate": "60s", "respect_dns_ttl": true}"#, ttl(0)),
        seconds(60)
    );
    assert_eq!(next(r#"{"dns_refresh_rate": "60s"}"#, Answer::Failed), seconds(60));
    assert_eq!(next(r#"{"client": "jvm"}"#, ttl(5)), seconds(30));
    assert_eq!(next(r#"{"client": "haproxy"}"#, ttl(5)), seconds(10));
    let jittered: Vec<Duration> = (0..1000)
        .map(|_| next(r#"{"ttl": "5s", "dns_jitter": "2s"}"#, ttl(5)))
        .collect();
    assert!(jittered.iter().all(|wait| (seconds(5)..seconds(7)).contains(wait)));
    let mean = jittered.iter().map(|wait| wait.as_secs_f64()).sum::<f64>() / 1000.0;
    assert!((mean - 6.0).abs() < 4.0 * 0.577 / 1000_f64.sqrt(), "{mean}");
    let failing: dns::Options = options(r#"{"dns_failure_refresh_rate": {"base_interval": "1s", "max_interval": "8s"}}"#);
    for (failures, bound) in [(0, 1), (1, 2), (2, 4), (3, 8), (4, 8), (9, 8)] {
        let mut sum = 0.0;
        for _ in 0..1000 {
            let mut refresher = Refresher::default();
            for _ in 0..failures {
                refresher.next(&failing, Answer::Failed, &mut rng);
            }
            let wait = refresher.next(&failing, Answer::Failed, &mut rng);
            assert!(wait < seconds(bound), "{wait}");
            sum += wait.as_secs_f64();
        }
        let mean = sum / 1000.0 / bound as f64;
        assert!(
            (mean - 0.5).abs() < 4.0 * 0.289 / 1000_f64.sqrt(),
            "{failures} failures: {mean}"
        );
    }
    assert_eq!(dns::remaining(at(10_000), at(8500)), seconds(2), "caches count whole seconds");
    "8 rules, the mean and bounds of 7000 random waits".to_string()
}

/// `internal/resolver/dns/dns_resolver.go`: 30 s after a success at the earliest; on failure 1 s, 1.6 times as long each time, 120 s at most,
/// a fifth more or less.
fn when_grpc_asks() -> String {
    let options = dns::Options::default();
    let mut rng = Rng::new(1);
    let mut resolver = GrpcResolver::resolved(&options, at(0));
    assert_eq!(resolver.resolve_now(at(5000)), Some(at(30_000)), "not before the floor");
    assert_eq!(resolver.resolve_now(at(6000)), None, "that is settled");
    resolver.begin();
    assert_eq!(resolver.resolve_now(at(30_001)), None, "it is asking");
    let ok = Answer::Resolved { ttl: seconds(5) };
    assert_eq!(
        resolver.on_answer(&options, ok, at(30_010), &mut rng),
        Some(at(60_010)),
        "told while it asked"
    );
    resolver.begin();
    assert_eq!(
        resolver.on_answer(&options, ok, at(60_010), &mut rng),
        None,
        "nobody asks without need"
    );
    assert_eq!(
        resolver.resolve_now(at(200_000)),
        Some(at(200_000)),
        "long after the floor at once"
    );
    let mut bound: f64 = 1.0;
    for _ in 0..14 {
        resolver.begin();
        let next = resolver
            .on_answer(&options, Answer::Failed, at(0), &mut rng)
            .expect("it tries again");
        let wait = next.as_secs_f64() / bound;
        assert!((0.8..=1.2).contains(&wait), "{wait}");
        bound = (bound * 1.6).min(120.0);
    }
    "6 rules and 14 waits after failures".to_string()
}

fn when_pollers_ask() -> String {
    let mut rng = Rng::new(1);
    assert_eq!(poll::Options::default().next(&mut rng), seconds(30));
    let jittered: poll::Options = options(r#"{"refresh_delay": "10s", "jitter": "10s"}"#);
    let waits: Vec<f64> = (0..1000).map(|_| jittered.next(&mut rng).as_secs_f64()).collect();
    let mean = waits.iter().sum::<f64>() / 1000.0;
    assert!(
        waits.iter().all(|wait| (10.0..20.0).contains(wait)) && (mean - 15.0).abs() < 0.37,
        "{mean}"
    );
    "1000 waits".to_string()
}

fn vectors(op: &str) -> Vec<Value> {
    let file = read(&data("discovery/mesh_misc.json"));
    let cases = file["cases"].as_array().expect("cases").clone();
    let cases: Vec<Value> = cases.into_iter().filter(|case| case["input"]["op"] == op).collect();
    assert!(!cases.is_empty(), "{op}");
    cases
}

fn number(value: &Value) -> u32 {
    value.as_u64().expect("a number") as u32
}

fn eureka_vectors() -> String {
    let (thresholds, evictions) = (vectors("eureka_renew_threshold"), vectors("eureka_evict_count"));
    for case in &thresholds {
        let input = &case["input"];
        let interval = seconds(u64::from(number(&input["renew_interval_s"])));
        let percent = input["percent"].as_f64().expect("a share");
        let found = eureka::renewals_threshold(number(&input["expected_clients"]), interval, percent);
        assert_eq!(found, u64::from(number(&case["expected"])), "{case}");
    }
    for case in &evictions {
        let input = &case["input"];
        let percent = input["percent"].as_f64().expect("a share");
        let found = eureka::eviction_count(number(&input["registry_size"]), number(&input["expired"]), percent);
        assert_eq!(found, number(&case["expected"]), "{case}");
    }
    format!("{} cases", thresholds.len() + evictions.len())
}

/// `Lease.renew` stores the end of the lease, and `isExpired` adds the lease once more: 180 s after the last renewal.
fn leases() -> String {
    let options = eureka::Options::default();
    let mut rng = Rng::new(1);
    let mut server = Server::new(&options, 20);
    for instance in 0..20 {
        assert!(server.register(instance, at(0)));
        assert!(server.renew(instance, at(0)));
    }
    // 39 renewals a minute of 40: above the threshold of 34.
    server.set_renewals(39, 0);
    for instance in 1..20 {
        server.renew(instance, at(150_000));
    }
    let mut gone = Vec::new();
    server.evict(Duration::ZERO, at(180_000), &mut rng, |instance| gone.push(instance));
    assert!(gone.is_empty(), "180 s are over only after 180 s");
    server.evict(Duration::ZERO, at(180_001), &mut rng, |instance| gone.push(instance));
    assert_eq!(gone, [0]);
    assert!(!server.renew(0, at(190_000)), "404");
    assert!(server.register(0, at(190_000)));
    // All have ended: 15 % of them go at each look, while enough renewals come.
    gone.clear();
    server.evict(Duration::ZERO, at(900_000), &mut rng, |instance| gone.push(instance));
    assert_eq!(gone.len(), 3);
    // Too few of them come: nobody goes.
    assert!(!server.is_self_preserving());
    server.set_renewals(28, 0);
    assert!(
        server.is_self_preserving(),
        "28 is not more than 17 x 2 x 0.85 = 28.9, cut off"
    );
    gone.clear();
    server.evict(Duration::ZERO, at(900_000), &mut rng, |instance| gone.push(instance));
    assert!(gone.is_empty());
    "expiry to the millisecond, two looks, self-preservation".to_string()
}

fn consul_checks() -> String {
    let options: consul::Options =
        options(r#"{"interval": "10s", "timeout": 3, "failures_before_critical": 2, "success_before_passing": 1}"#);
    // Checks at 2.5 s, 12.5 s and so on.
    assert_eq!(options.critical_at(Loss::Process, at(3000), 0.25, 10), at(32_500));
    assert_eq!(options.critical_at(Loss::Hang, at(3000), 0.25, 10), at(35_500));
    assert_eq!(options.passing_at(at(3000), true, 0.25), at(22_500));
    // The probe after 3 s waits for a whole interval, and 4 s of suspicion follow; with 100 nodes 8 s.
    assert_eq!(options.critical_at(Loss::Node, at(3000), 0.0, 10), at(8000));
    assert_eq!(options.critical_at(Loss::Node, at(3000), 0.0, 100), at(12_000));
    let ttl: consul::Options = super::discovery::options(r#"{"ttl": "30s"}"#);
    assert_eq!(
        ttl.critical_at(Loss::Hang, at(40_000), 0.0, 10),
        at(60_000),
        "the last report came at 30 s"
    );
    "6 moments".to_string()
}

/// The moments at which changes at these milliseconds are pushed.
fn pushes(changes: &[u64], end: u64) -> Vec<u64> {
    let mut debounce = Debounce::new(Duration::from_millis(100), seconds(10));
    let (mut pushes, mut timers) = (Vec::new(), Vec::new());
    for now in 0..end {
        if changes.contains(&now)
            && let Step::Again(time) = debounce.on_change(at(now))
        {
            timers.push(time);
        }
        while let Some(place) = timers.iter().position(|&time| time == at(now)) {
            timers.remove(place);
            match debounce.on_timer(at(now)) {
                Step::Push => {
                    pushes.push(now);
                    assert_eq!(debounce.on_pushed(at(now)), Step::Wait);
                }
                Step::Again(time) => timers.push(time),
                Step::Wait => {}
            }
        }
    }
    pushes
}

/// The example of the project's reference on discovery, section 8.5, made of `debounce` in `pilot/pkg/xds/discovery.go`.
fn debounce_timeline() -> String {
    assert_eq!(pushes(&[0, 60, 120, 180], 1000), [280]);
    let every_50: Vec<u64> = (0..600).map(|event| event * 50).collect();
    let found = pushes(&every_50, 29_000);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        (10_000..=10_050).contains(&found[0]) && (20_000..=20_200).contains(&found[1]),
        "{found:?}"
    );
    let every_300: Vec<u64> = (0..200).map(|event| event * 300).collect();
    let each = pushes(&every_300, 61_000);
    assert!(each.iter().zip(&every_300).all(|(push, event)| push - event == 100) && each.len() == 200);
    // What comes while a push is computed is the next batch, and waits for its end.
    let mut debounce = Debounce::new(Duration::from_millis(100), seconds(10));
    debounce.on_change(at(0));
    assert_eq!(debounce.on_timer(at(100)), Step::Push);
    assert_eq!(debounce.on_change(at(150)), Step::Again(at(250)));
    assert_eq!(debounce.on_timer(at(250)), Step::Wait);
    assert_eq!(debounce.on_pushed(at(700)), Step::Push);
    "4 timelines, 203 pushes".to_string()
}

fn push_queue() -> String {
    let mut queue = PushQueue::new(2);
    for proxy in [3, 1, 3, 2, 1] {
        queue.add(proxy);
    }
    assert_eq!(
        [queue.start_next(), queue.start_next(), queue.start_next()],
        [Some(3), Some(1), None]
    );
    queue.add(3);
    queue.add(3);
    queue.on_done(1);
    assert_eq!([queue.start_next(), queue.start_next()], [Some(2), None]);
    queue.on_done(3);
    assert_eq!(
        queue.start_next(),
        Some(3),
        "what changed during its push is pushed once more"
    );
    queue.on_done(3);
    queue.on_done(2);
    assert_eq!(queue.start_next(), None);
    "9 turns".to_string()
}

/// The defaults' worst and best cases: a relist of 1 s; three probes of 10 s and 1 s; a lease of 10 s, looks of 5 s, a grace of 50 s.
fn detection() -> String {
    let options = kubernetes::Options::default();
    let mut spans = [(Loss::Process, 0.0, 1.0), (Loss::Hang, 21.0, 31.0), (Loss::Node, 40.0, 55.0)].map(|(loss, least, most)| {
        let (mut min, mut max, mut sum) = (f64::MAX, 0.0_f64, 0.0);
        let mut rng = Rng::new(1);
        for _ in 0..10_000 {
            let mut unit = || rng.unit();
            let phases = Phases {
                probe: unit(),
                relist: unit(),
                lease: unit(),
                monitor: unit(),
            };
            let lost = at(100_000);
            let delay = options.noticed_at(loss, lost, phases).since(lost).as_secs_f64();
            assert!(least - 1e-9 <= delay && delay <= most, "{loss:?}: {delay}");
            (min, max, sum) = (min.min(delay), max.max(delay), sum + delay);
        }
        let span = most - least;
        assert!(
            min < least + span / 50.0 && max > most - span / 50.0,
            "{loss:?}: from {min} to {max}"
        );
        sum / 10_000.0
    });
    spans[2] -= 47.5;
    assert!(
        (spans[0] - 0.5).abs() < 0.012 && (spans[1] - 26.0).abs() < 0.12 && spans[2].abs() < 0.2,
        "{spans:?}"
    );
    let phases = Phases::default();
    assert_eq!(
        options.ready_at(None, at(1234), phases),
        at(1234),
        "the first probe comes at once"
    );
    assert_eq!(options.ready_at(Some(Loss::Hang), at(1234), phases), at(10_000));
    let slow: kubernetes::Options =
        super::discovery::options(r#"{"readinessProbe": {"initialDelaySeconds": 5, "periodSeconds": 2, "successThreshold": 3}}"#);
    assert_eq!(slow.ready_at(None, at(0), phases), at(9000));
    "30000 losses, 3 starts".to_string()
}

/// `bounded_frequency_runner.go`: a burst of two, then one each period.
fn token_bucket() -> String {
    let mut limit = SyncLimit::new(seconds(1));
    let at = |millis: u64| Time::ZERO + Duration::from_millis(60_000 + millis);
    assert_eq!(
        [limit.take(at(0)), limit.take(at(10)), limit.take(at(20))],
        [Ok(()), Ok(()), Err(at(1000))]
    );
    assert_eq!([limit.take(at(1000)), limit.take(at(1001))], [Ok(()), Err(at(2000))]);
    assert_eq!(
        [limit.take(at(2500)), limit.take(at(2600)), limit.take(at(3000))],
        [Ok(()), Err(at(3000)), Ok(())]
    );
    assert_eq!(
        [limit.take(at(9000)), limit.take(at(9000)), limit.take(at(9000))],
        [Ok(()), Ok(()), Err(at(10_000))]
    );
    "11 moments".to_string()
}

fn locality(text: &str) -> [String; 3] {
    let mut parts = text.split('/').map(str::to_string);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

fn caller(text: &str) -> CallerInfo {
    let [region, zone, sub_zone] = locality(text);
    CallerInfo {
        region,
        zone,
        sub_zone,
        ..CallerInfo::default()
    }
}

fn endpoint(text: &str) -> EndpointInfo {
    let [region, zone, sub_zone] = locality(text);
    EndpointInfo {
        address: text.to_string(),
        weight: 1,
        region,
        zone,
        sub_zone,
        ..EndpointInfo::default()
    }
}

fn priorities(setting: &LocalityLbSetting, proxy: &str, endpoints: &[&str]) -> Vec<u32> {
    let endpoints: Vec<EndpointInfo> = endpoints.iter().map(|text| endpoint(text)).collect();
    setting
        .apply(&caller(proxy), &endpoints)
        .iter()
        .map(|info| info.priority)
        .collect()
}

fn locality_vectors() -> String {
    let (priority_cases, weight_cases) = (vectors("istio_locality_priorities"), vectors("istio_distribute_weights"));
    for case in &priority_cases {
        let input = &case["input"];
        let text = |value: &Value| value.as_str().expect("a text").to_string();
        let failover = input["failover"].as_array().expect("a list").iter().map(|rule| Failover {
            from: text(&rule["from"]),
            to: text(&rule["to"]),
        });
        let setting = LocalityLbSetting {
            failover: failover.collect(),
            ..LocalityLbSetting::default()
        };
        let endpoints: Vec<String> = input["endpoint_localities"]
            .as_array()
            .expect("a list")
            .iter()
            .map(text)
            .collect();
        let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
        let expected: Vec<u32> = case["expected"].as_array().expect("a list").iter().map(number).collect();
        assert_eq!(priorities(&setting, &text(&input["proxy"]), &endpoints), expected, "{case}");
    }
    for case in &weight_cases {
        let weights: Vec<u32> = case["input"]["original_weights"]
            .as_array()
            .expect("a list")
            .iter()
            .map(number)
            .collect();
        let expected: Vec<u32> = case["expected"].as_array().expect("a list").iter().map(number).collect();
        assert_eq!(
            distribute_weights(number(&case["input"]["to_weight"]), &weights),
            expected,
            "{case}"
        );
    }
    format!("{} cases", priority_cases.len() + weight_cases.len())
}

/// `applyFailoverPriorities`, `applyLocalityFailover` and `applyLocalityWeights` of `loadbalancer.go`.
fn locality_rules() -> String {
    let setting = |json: &str| options::<LocalityLbSetting>(json);
    let all = ["r1/z1/s1", "r1/z2/s1", "r2/z1/s1", "r3/z1/s1"];
    let failover = setting(r#"{"failover": [{"from": "r1", "to": "r3"}]}"#);
    assert_eq!(priorities(&failover, "r1/z1/s1", &all), [0, 1, 3, 2]);
    let by_label = setting(r#"{"failoverPriority": ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"]}"#);
    assert_eq!(
        priorities(&by_label, "r1/z1/s1", &all),
        [0, 1, 2, 2],
        "the first label that differs ends it"
    );
    let by_value = setting(r#"{"failover_priority": ["region=r2"]}"#);
    assert_eq!(priorities(&by_value, "r1/z1/s1", &all), [1, 1, 0, 1]);
    let both = setting(r#"{"failover_priority": ["region"], "failover": [{"from": "r1", "to": "r3"}]}"#);
    assert_eq!(priorities(&both, "r1/z1/s1", &all), [0, 1, 3, 2]);
    let shares =
        setting(r#"{"distribute": [{"from": "r9", "to": {"r1": 100}}, {"from": "r1/*", "to": {"r1/z1": 60, "r2": 40}}]}"#);
    let endpoints = ["r1/z1/a", "r1/z1/b", "r2/z1/s1", "r3/z1/s1"].map(endpoint);
    let told = shares.apply(&caller("r1/z1/s1"), &endpoints);
    let weights: Vec<(&str, Option<u32>)> = told
        .iter()
        .map(|info| (info.address.as_str(), info.locality_weight))
        .collect();
    assert_eq!(
        weights,
        [("r1/z1/a", Some(30)), ("r1/z1/b", Some(30)), ("r2/z1/s1", Some(40))]
    );
    assert!(shares.is_effective(false) && !failover.is_effective(false) && failover.is_effective(true));
    for wrong in [
        r#"{"distribute": [{"from": "a", "to": {"a": 60, "b": 30}}]}"#,
        r#"{"distribute": [{"from": "a", "to": {"a": 100}}], "failover": [{"from": "a", "to": "b"}]}"#,
        r#"{"failover": [{"from": "a", "to": "a"}]}"#,
    ] {
        assert!(setting(wrong).check().is_err(), "{wrong}");
    }
    "4 orders of priority, shares, 3 refusals".to_string()
}

#[test]
fn every_check_holds() {
    for row in EVIDENCE {
        println!("{}: {}: {}", row.policy, row.against, (row.check)());
    }
}
