//! What is measured about failures, against answers that are known beforehand: small scenarios run as a user would run them.

use meshsim::experiment::Experiment;
use meshsim::experiment::expect::{Verdict, decide};
use meshsim::experiment::incidents::IncidentFold;
use meshsim::experiment::{Outcome, Scenario};
use meshsim::math::exp;
use meshsim::model::result::{ANSWERERS, Failures, IncidentResult};
use meshsim::policy::{CallerInfo, Cluster, EndpointIndex, EndpointInfo, Health, Upstream, balancer};
use meshsim::random::Rng;
use meshsim::report::{Extent, Results};
use meshsim::scenario::{self, Overrides, Source};
use meshsim::time::Time;

fn scenario(text: &str) -> Scenario {
    let text = format!("apiVersion: meshsim/v1\nname: measures\n{text}");
    let (scenario, diagnostics) = scenario::load(&Source::from_text("measures.yaml", text), &Overrides::default());
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    scenario.expect("without diagnostics there is a scenario")
}

fn run(scenario: &Scenario) -> Outcome {
    Experiment::of(scenario).run(1, |_| {})
}

/// Runs a scenario, all of whose expectations must hold.
fn holds(text: &str) -> (Scenario, Outcome) {
    let scenario = scenario(text);
    let outcome = run(&scenario);
    assert!(!scenario.expect.is_empty());
    for decision in decide(&scenario, &outcome) {
        assert_eq!(decision.verdict, Verdict::Holds, "{decision:?}");
    }
    (scenario, outcome)
}

/// A hundred requests a second, and for ten seconds nobody answers: a thousand are lost.
const OUTAGE: &str = "
duration: 60s
warmup: 5s
replications: 2
topology: {services: {api: {replicas: 3, operations: {get: [{work: 1ms}]}}}}
clients: {web: {call: api/get, slo: {availability: 99%}, arrivals: {constant: {rate: 100/s}}}}
faults: [{at: 20s, for: 10s, crash: {service: api}}]
";

#[test]
fn an_outage_of_everybody_loses_what_was_sent() {
    let expect = "expect:
  - requests_lost > 998
  - requests_lost < 1002
  - time_to_recover < 1ms
  - availability < 0.2% during outage
  - availability >= 100% before crash
  - availability >= 100% after recovery
  - requests(web) during crash > 998
  - requests during 'crash api' < 1002
  - failures(connect_failure) during crash > 998
  - failures(timeout) <= 0 during crash
  - failures(5xx) < 1
  # 5500 requests, a thousand of them failed, of 55 that may.
  - error_budget_burn > 18.1
  - error_budget_burn < 18.3
  - error_budget_burn > 99 during crash
  # From 20.5s up to 21.25s, at 100/s.
  - requests between 20.5s and 21.25s >= 75
  - requests between 20.5s and 21.25s <= 75
  - availability(default, service api) >= 100% before 20s
  - mean(web->api/get) < 2ms after 30s
";
    let (scenario, outcome) = holds(&format!("{OUTAGE}{expect}"));
    let results = Results::new(&scenario, &outcome);
    let variant = &results.summary.variants[0];
    let web = variant.clients.get("web").expect("the client");
    let answerers: Vec<&str> = web.failures_by_answerer_total.iter().map(|(name, _)| name).collect();
    assert!(answerers.contains(&"connect_failure"), "{answerers:?}");
    let [incident] = &variant.incidents[..] else {
        panic!("there is one fault: {:?}", variant.incidents);
    };
    assert_eq!(
        (incident.name.as_str(), incident.from_seconds, incident.to_seconds),
        ("crash api", 20.0, 30.0)
    );
    // Nobody watches, and there is nowhere to shift to.
    assert_eq!(incident.time_to_detect_seconds.value, None);
    let reason = incident.time_to_shift_seconds.reason.as_deref();
    assert_eq!(
        (incident.time_to_shift_seconds.value, reason),
        (None, Some("reached in 0 of 2 replications"))
    );
    let during = variant
        .windows
        .get("during outage")
        .and_then(|window| window.clients.get("web"));
    let shown = during.and_then(|web| web.availability_ratio.value).expect("a window");
    assert!(shown < 0.002, "{shown}");
    for (name, bytes) in results.files(Extent::All) {
        let Ok(text) = String::from_utf8(bytes) else {
            assert!(name.ends_with(".png"), "{name} is no text");
            continue;
        };
        let wanted: &[&str] = match name.as_str() {
            "summary.csv" => &[
                "default,incident,crash api,requests_lost,",
                "default,window,web during outage,availability_ratio,",
                "default,client,web,failures_by_answerer_total.connect_failure,",
                "default,client,web,error_budget_burn_ratio,18.",
            ],
            "timeseries.csv" => &[
                "default,client,web,25,failures_per_second.connect_failure,100\n",
                "default,client,web,10,attempts_per_request_ratio,1\n",
            ],
            "report.html" => &[
                "How variants went through faults",
                "Failures of web over time",
                "Windows of time",
            ],
            "charts/failures_over_time.svg" => &["connect failure", "crash api"],
            _ => &[],
        };
        wanted
            .iter()
            .for_each(|wanted| assert!(text.contains(wanted), "{name} lacks `{wanted}`"));
    }
}

#[test]
fn a_fault_that_never_ends_and_one_that_comes_late_say_so() {
    let forever = OUTAGE.replace("for: 10s, ", "");
    let scenario = scenario(&format!(
        "{forever}expect:\n  - time_to_recover < 20s\n  - time_to_shift < 5s\n"
    ));
    let outcome = run(&scenario);
    let verdicts: Vec<Verdict> = decide(&scenario, &outcome)
        .into_iter()
        .map(|decision| decision.verdict)
        .collect();
    assert!(
        matches!(&verdicts[0], Verdict::Undecided(why) if why.reason.contains("could be timed")),
        "{verdicts:?}"
    );
    // It struck endpoints, and traffic never moved away from them.
    assert_eq!(verdicts[1], Verdict::Fails);
}

/// One station of M/M/1 whose callers give up after a time, while it works on.
fn impatient(faults: &str) -> String {
    format!(
        "
duration: 300s
warmup: 10s
replications: 4
topology: {{services: {{api: {{replicas: 1, concurrency: 1, queue: {{limit: unlimited}}, operations: {{get: [{{work: {{exponential: {{mean: 10ms}}}}}}]}}}}}}}}
clients: {{web: {{call: api/get, arrivals: {{poisson: {{rate: 70/s}}}}}}}}
mesh: {{timeout: 30ms}}
{faults}"
    )
}

/// The share of work that is wasted: that of requests whose wait and service together exceed the patience. In M/M/1 the wait is 0 with
/// probability 1 - rho, else exponential with rate mu - lambda (Kleinrock, Queueing Systems I, section 5.12), and independent of the service.
fn wasted_in_mm1(lambda: f64, mu: f64, patience: f64) -> f64 {
    // The work of services longer than a, per request.
    let longer = |a: f64| exp(-mu * a) * (a + 1.0 / mu);
    let rho = lambda / mu;
    let density = |w: f64| rho * (mu - lambda) * exp(-(mu - lambda) * w);
    let steps = 10_000;
    let width = patience / f64::from(steps);
    let middle = |step: i32| (f64::from(step) + 0.5) * width;
    let waited: f64 = (0..steps)
        .map(|step| density(middle(step)) * longer(patience - middle(step)) * width)
        .sum();
    let too_long = rho * exp(-(mu - lambda) * patience) / mu;
    ((1.0 - rho) * longer(patience) + waited + too_long) * mu
}

#[test]
fn wasted_work_is_that_of_the_formula() {
    let expected = wasted_in_mm1(70.0, 100.0, 0.03);
    let shares = [
        impatient(""),
        // A fault that changes nothing: the station works event by event.
        impatient("faults: [{at: 1s, slow: {service: api, factor: 1.0}}]\n"),
    ]
    .map(|text| {
        let scenario = scenario(&text);
        let outcome = run(&scenario);
        outcome.variants[0].services[0].work.clone()
    });
    assert_eq!(shares[0], shares[1], "computed on arrival or event by event");
    let (work, wasted) = shares[0]
        .iter()
        .fold((0.0, 0.0), |sums, pair| (sums.0 + pair.0, sums.1 + pair.1));
    let found = wasted / work;
    assert!((found / expected - 1.0).abs() < 0.03, "{found} is not {expected}");
    // All work is that of 70 requests of 10 ms a second.
    let busy = work / (4.0 * 290.0);
    assert!((busy / 0.7 - 1.0).abs() < 0.03, "{busy}");
}

#[test]
fn retries_on_two_hops_multiply() {
    // Three tries on each of two hops: nine arrivals at the end for each request, and all work of it in vain but not wasted: somebody waits.
    holds(
        "
duration: 20s
replications: 2
topology:
  services:
    front: {replicas: 2, operations: {get: [{call: back/get}]}}
    back: {replicas: 2, operations: {get: [{work: 1ms}, {fail: {probability: 100%, status: 503}}]}}
clients: {web: {call: front/get, arrivals: {constant: {rate: 20/s}}}}
mesh: {retry: {num_retries: 2, retry_on: [5xx]}}
expect:
  # What is tried again after the end does not count.
  - amplification(service back) > 8.8
  - amplification(service back) < 9.1
  - amplification(front) < 3.1
  - attempts_per_request(back) >= 3
  - attempts_per_request(web) >= 3
  - attempts_per_request(front->back/get) between 5s and 10s >= 3
  - wasted_work(back) <= 0
  - failures(endpoint) >= 399
  - failures(web, 500) >= 399
",
    );
}

#[test]
fn an_incident_is_timed_from_the_first_decision_to_the_last() {
    // By turns each of five endpoints gets 20/s of 100/s, so the fifth failure of the one that is down comes 200 to 250 ms after the begin.
    // Until then five requests are lost; then it is out for the rest of the fault, which is a fifth of all endpoints.
    holds(
        "
duration: 60s
warmup: 5s
replications: 10
topology: {services: {api: {replicas: 5, operations: {get: [{work: 1ms}]}}}}
clients: {web: {call: api/get, arrivals: {constant: {rate: 100/s}}}}
mesh: {balancer: envoy/round_robin, outlier_detection: {consecutive_5xx: 5, base_ejection_time: 30s, max_ejection_percent: 50}}
faults: [{at: 20s, for: 20s, crash: {endpoint: api/api-0}}]
expect:
  - time_to_detect >= 200ms
  - time_to_detect <= 250ms
  - time_to_eject - time_to_detect <= 0
  - time_to_shift - time_to_detect <= 10ms
  - time_to_detect - time_to_shift <= 10ms
  - time_to_recover < 1ms
  - requests_lost >= 5
  - requests_lost <= 5
  - ejections(api) >= 1
  - ejections(api) <= 1
  - ejected_share(api) during crash > 19.7%
  - ejected_share(api) during crash < 19.9%
  - ejected_share(api) <= 0 before crash
  - panic_share(api) <= 0
  - failures(service api) <= 0
",
    );
}

#[test]
fn panic_and_ejections_fill_the_time_that_they_last() {
    // Six of ten are out for 20 s of 60 s: more than half, so callers are in panic for a third of the time.
    let (scenario, outcome) = holds(
        "
duration: 60s
replications: 2
topology: {services: {api: {replicas: 10, operations: {get: [{work: 1ms}]}}}}
clients: {web: {call: api/get, callers: 2, arrivals: {constant: {rate: 400/s}}}}
mesh:
  balancer: envoy/round_robin
  outlier_detection: {consecutive_5xx: 5, base_ejection_time: 20s, interval: 100ms, max_ejection_percent: 100}
faults: [{at: 20s, for: 20s, crash: {service: api, share: 60%}}]
expect:
  - panic_share(api) > 33%
  - panic_share(api) < 34%
  - ejected_share(api) > 19.8%
  - ejected_share(api) < 20.4%
  # Two callers, six endpoints each.
  - ejections(api) >= 12
  - ejections(api) <= 12
  - time_to_eject < 1s
  # In panic traffic stays where it was.
  - time_to_shift > 1h
  - availability between 25s and 35s < 42%
  - availability between 25s and 35s > 38%
",
    );
    let results = Results::new(&scenario, &outcome);
    let api = results.summary.variants[0].services.get("api").expect("the service");
    assert_eq!(api.ejections_total.value, Some(24.0));
    let panics = results
        .curves
        .find("default", "service", "api", "panic_ratio")
        .expect("a curve");
    let at = |second: usize| panics.values[second * 1_000_000_000 / panics.interval_nanos as usize];
    assert_eq!([at(10), at(30), at(50)], [Some(0.0), Some(1.0), Some(0.0)]);
    let charts = results.drawn();
    assert!(charts.iter().any(|(name, _)| name == "charts/ejected_over_time.api.svg"));
}

#[test]
fn what_endpoints_have_is_known_of_windows() {
    // 20 requests a second of 100 ms each are two at a time, on eight slots; three times as many during the rush. Requests that are
    // there when it begins and ends belong to both sides.
    for (concurrency, share) in [("4", "26%"), ("unlimited", "26%")] {
        let slots = match concurrency {
            "4" => {
                "\n  - utilization(api) during rush > 74%\n  - utilization(api) during rush < 76%\n  - utilization(api) before rush > 24%\n  - utilization(api) between 5s and 15s < SHARE"
            }
            _ => "",
        };
        holds(
            &"
duration: 60s
warmup: 1s
replications: 2
topology: {services: {api: {replicas: 2, concurrency: SLOTS, operations: {get: [{work: 100ms}]}}}}
clients: {web: {call: api/get, callers: 1, arrivals: {constant: {rate: 20/s}}}}
mesh: {balancer: envoy/round_robin}
faults: [{name: rush, at: 20s, for: 10s, spike: {client: web, factor: 3}}]
expect:
  - in_flight(api) during rush > 5.9
  - in_flight(api) during rush < 6.1
  - in_flight(api) before rush > 1.9
  - in_flight(api) after rush < 2.1
  - connections(api) during rush >= 2
  - connections(api) during rush <= 2
  - connections(api) between 20010ms and 20011ms <= 1
  - load_max(api) during rush < 1.05MORE
"
            .replace("SLOTS", concurrency)
            .replace("MORE", slots)
            .replace("SHARE", share),
        );
    }
}

#[test]
fn single_endpoints_are_known_of_windows() {
    // Five requests a second at each. One is three times as slow for a while: each that comes then waits 100 ms longer than the one
    // before, the first ten of them 450 ms on average. The other fails for ten seconds.
    holds(
        "
duration: 60s
warmup: 1s
replications: 2
topology: {services: {api: {replicas: 2, concurrency: 1, operations: {get: [{work: 100ms}]}}}}
clients: {web: {call: api/get, callers: 1, arrivals: {constant: {rate: 10/s}}}}
mesh: {balancer: envoy/round_robin}
faults:
  - {name: slow, at: 20050ms, for: 4s, slow: {endpoint: api/api-0, factor: 3}}
  - {name: broken, at: 40050ms, for: 10s, errors: {endpoint: api/api-1, share: 100%}}
expect:
  - requests(api/api-0) between 20050ms and 22050ms == 10
  - rate(api/api-0) during slow == 5/s within 1%
  - 449ms < queue_wait(api/api-0) between 20050ms and 22050ms < 451ms
  - queue_wait(api/api-0) before slow <= 0ms
  - queue_wait(api/api-1) during slow <= 0ms
  - utilization(api/api-1) between 5s and 15s == 50% within 1%
  - utilization(api/api-0) during slow > 90%
  - availability(api/api-1) during broken <= 0%
  - error_rate(api/api-1) during broken >= 100%
  - failures(api/api-1) during broken == 50
  - goodput(api/api-0) during broken == 5/s within 1%
  - availability(api/api-0) during broken >= 100%
  - failures(api/api-1) before broken == 0
",
    );
}

#[test]
fn expectations_about_windows_that_cannot_be_are_refused() {
    let wrong = [
        ("p99 < 1s during lunch", "there is no fault `lunch`"),
        ("p99 < 1s between 9s and 5s", "is no span of time"),
        ("p99 < 1s after 2h", "when the run of 1m is over"),
        ("stale_requests(api) < 50 during crash", "known of the whole run only"),
        ("time_to_recover < 1s before crash", "needs `during FAULT`"),
        ("error_budget_burn(api) < 1", "a service has no `error_budget_burn`"),
        ("failures(web, timeout, 503) < 1", "an argument too many"),
    ];
    for (line, part) in wrong {
        let text = format!("apiVersion: meshsim/v1\n{OUTAGE}expect: [{line:?}]\n");
        let (_, diagnostics) = scenario::load(&Source::from_text("wrong.yaml", text), &Overrides::default());
        let shown = diagnostics.render(false);
        assert!(shown.contains(part), "{line}: {shown}");
    }
}

#[test]
fn incidents_are_folded_by_replication() {
    let incident = IncidentResult {
        struck: 1,
        has_base: true,
        began: 10_000_000_000,
        ended: 20_000_000_000,
        callers: 4,
        detected: 2,
        detect_nanos: 3_000_000_000,
        eject: None,
        shift: Some(2_000_000_000),
        recover: Some(5_000_000_000),
        failures: 50,
        failures_expected_micros: 2_500_000,
        ..IncidentResult::default()
    };
    let again = IncidentResult {
        began: 30_000_000_000,
        ended: 40_000_000_000,
        detected: 4,
        detect_nanos: 6_000_000_000,
        shift: Some(4_000_000_000),
        ..incident.clone()
    };
    let mut fold = IncidentFold::default();
    fold.add([&incident, &again].into_iter());
    fold.add([].into_iter());
    assert_eq!(fold.span, Some((10.0, 40.0)));
    assert_eq!(fold.occurrences, [2.0, 0.0]);
    // Nine seconds over six callers that noticed, of eight.
    assert_eq!(fold.detect, [Some(1.5), None]);
    assert_eq!(fold.detected, [(6.0, 8.0), (0.0, 0.0)]);
    assert_eq!(fold.eject, [Some(f64::INFINITY), None]);
    assert_eq!(fold.shift, [Some(3.0), None]);
    assert_eq!(fold.recover, [Some(5.0), None]);
    assert_eq!(fold.lost, [95.0, 0.0]);
}

#[test]
fn failures_are_counted_by_cause_and_by_who_answered() {
    let mut failures = Failures {
        timeout: 3,
        per_try_timeout: 4,
        overflow: 5,
        no_endpoint: 6,
        ..Failures::default()
    };
    [503, 503, 500, 404]
        .into_iter()
        .for_each(|status| failures.add_status(status));
    let by_answerer = failures.by_answerer();
    assert_eq!(by_answerer.iter().sum::<u64>(), failures.total());
    let of = |name: &str| failures.of(name);
    assert_eq!([of("endpoint"), of("proxy_overflow"), of("no_healthy_upstream")], [4, 5, 6]);
    assert_eq!([of("timeout"), of("per_try_timeout"), of("overflow")], [7, 4, 5]);
    assert_eq!([of("5xx"), of("503"), of("4xx"), of("418")], [3, 2, 1, 0]);
    assert_eq!(ANSWERERS.len(), by_answerer.len());
}

#[test]
fn callers_are_in_panic_when_too_few_are_well() {
    let balancer: balancer::Config = serde_json::from_str("\"envoy/round_robin\"").expect("a balancer");
    let endpoint = |number: u32| EndpointInfo {
        address: format!("10.0.0.{number}:80"),
        ..EndpointInfo::default()
    };
    let upstream = Upstream::new(balancer.into(), (0..10).map(endpoint).collect());
    let mut cluster = Cluster::new(upstream.into(), &CallerInfo::default(), Rng::new(1), Time::ZERO);
    // The threshold is 50 %: five of ten are enough, four are not.
    let panics: Vec<bool> = (0..7)
        .map(|number| {
            cluster.on_health(EndpointIndex(number), Health::Unhealthy, Time(1));
            cluster.is_in_panic()
        })
        .collect();
    assert_eq!(panics, [false, false, false, false, false, true, true]);
    cluster.on_health(EndpointIndex(0), Health::Healthy, Time(2));
    cluster.on_health(EndpointIndex(1), Health::Healthy, Time(2));
    assert!(!cluster.is_in_panic());
}

/// A service of 2,000 requests a second whose queue outlasts everybody's patience. Once all attempts time out each request makes four, or
/// 1.2 under a budget of 20 %, and it stays so if these alone are more than it serves: beyond 500 requests a second, or 1,667.
#[test]
fn retries_keep_a_service_down_beyond_their_threshold() {
    let budget = "{retry: {num_retries: 3, retry_on: [5xx], per_try_timeout: 250ms, retry_budget: {budget_percent: 20, min_retry_concurrency: 1}}}";
    let rate = |rate: u32| format!("clients: {{web: {{arrivals: {{poisson: {{rate: {rate}/s}}}}}}}}");
    let (few, some) = (rate(420), rate(800));
    let (more, most) = (rate(1400), rate(1900));
    holds(&format!(
        "
duration: 2m
warmup: 5s
replications: 3
topology: {{services: {{api: {{replicas: 10, concurrency: 4, queue: {{limit: 200}}, operations: {{get: [{{work: {{exponential: {{mean: 20ms}}}}}}]}}}}}}}}
clients: {{web: {{call: api/get, arrivals: {{poisson: {{rate: 400/s}}}}}}}}
mesh:
  balancer: envoy/least_request
  timeout: 5s
  retry: {{num_retries: 3, retry_on: [5xx], per_try_timeout: 250ms, back_off: {{base_interval: 1ms, max_interval: 1ms}}}}
faults: [{{name: trigger, at: 20s, for: 15s, slow: {{service: api, factor: 40}}}}]
variants:
  below: {{{few}}}
  above: {{{some}}}
  budget_below: {{{more}, mesh: {budget}}}
  budget_above: {{{most}, mesh: {budget}}}
expect:
  - availability(below) > 99% before trigger
  - availability(above) > 99% before trigger
  - availability(budget_above) > 99% before trigger
  - availability(below) > 99% between 90s and 120s
  - availability(above) < 10% between 90s and 120s
  - attempts_per_request(above) > 3.9 between 90s and 120s
  - availability(budget_below) > 99% between 90s and 120s
  - availability(budget_above) < 50% between 90s and 120s
  - attempts_per_request(budget_above) < 1.3 between 90s and 120s
"
    ));
}
