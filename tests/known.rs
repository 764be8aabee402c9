//! Parts of scenarios with a known answer: each kind is recognised and agrees with its runs, and what only looks like one is not claimed.
//! Seeds are fixed, so a test passes always or never; 3.3 standard errors are missed once in a thousand.

use meshsim::experiment::Experiment;
use meshsim::scenario::{self, Overrides, Source};
use meshsim::theory::{self, Claim, Examination, Finding, Verdict, Z_MAX};
use serde_json::{Value, json};

fn examine(text: &str) -> Examination {
    let source = Source::from_text("known.yaml", text.to_string());
    let (loaded, diagnostics) = scenario::load(&source, &Overrides::default());
    let scenario = loaded.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    let outcome = Experiment::of(&scenario).run(1, |_| {});
    theory::examine(&scenario, &outcome)
}

/// Services, clients and the rest of a scenario of 5 replications of 100 s behind 20 s of warm-up.
fn scenario(services: Value, clients: Value, rest: Value) -> String {
    let mut scenario = json!({
        "apiVersion": "meshsim/v1",
        "name": "known",
        "seed": 3,
        "duration": "120s",
        "warmup": "20s",
        "replications": 5,
        "topology": {"services": services},
        "clients": clients,
    });
    let rest = rest.as_object().expect("a map").clone();
    scenario.as_object_mut().expect("a map").extend(rest);
    scenario.to_string()
}

fn exponential() -> Value {
    json!({"exponential": {"mean": "10ms"}})
}

/// A service of one endpoint with one slot and exponential work of 10 ms, changed by a patch.
fn node(patch: Value) -> Value {
    let mut node = json!({"replicas": 1, "concurrency": 1, "operations": {"get": [{"work": exponential()}]}});
    let patch = patch.as_object().expect("a map").clone();
    node.as_object_mut().expect("a map").extend(patch);
    node
}

fn poisson(rate: f64) -> Value {
    json!({"web": {"call": "node/get", "arrivals": {"poisson": {"rate": rate}}}})
}

fn alone(patch: Value, rate: f64) -> String {
    scenario(json!({"node": node(patch)}), poisson(rate), json!({}))
}

/// The findings of a model, by its name.
fn of_model<'a>(examination: &'a Examination, model: &str) -> Vec<&'a Finding> {
    let findings = &examination.variants[0].findings;
    findings.iter().filter(|finding| finding.model == model).collect()
}

/// The model is recognised, all its figures are there, and the runs agree with them.
fn check(text: &str, model: &str, quantities: &[&str]) {
    let examination = examine(text);
    let found = of_model(&examination, model);
    let names: Vec<&str> = found.iter().map(|finding| finding.quantity).collect();
    for quantity in quantities {
        assert!(
            names.contains(quantity),
            "{model}: no {quantity}:\n{}",
            theory::text(&examination, false)
        );
    }
    for finding in &examination.variants[0].findings {
        let within = finding.z.is_none_or(|z| z.abs() <= Z_MAX) || matches!(finding.claim, Claim::Limit { .. });
        assert!(
            within && finding.verdict != Verdict::Differs && finding.verdict != Verdict::Undecided,
            "{finding:?}\n{}",
            theory::text(&examination, false)
        );
    }
    assert!(!examination.differs());
}

const QUEUE: [&str; 5] = [
    "mean sojourn",
    "mean wait",
    "share that waits",
    "mean number there",
    "utilization",
];

#[test]
fn single_servers_are_recognised() {
    check(
        &alone(json!({}), 70.0),
        "M/M/1",
        &[&QUEUE[..], &["p50", "p90", "p99"]].concat(),
    );
    check(
        &alone(json!({"operations": {"get": [{"work": "10ms"}]}}), 80.0),
        "M/D/1",
        &QUEUE,
    );
    let lognormal = json!({"operations": {"get": [{"work": {"lognormal": {"mean": "10ms", "cv": 1.5}}}]}});
    check(&alone(lognormal, 60.0), "M/G/1", &QUEUE);
    let by_chance = json!({"operations": {"get": [{"work": "4ms"}, {"work": exponential(), "probability": "50%"}]}});
    check(&alone(by_chance, 60.0), "M/G/1", &QUEUE);
    let youngest = json!({"queue": {"discipline": "lifo"}});
    check(&alone(youngest.clone(), 70.0), "M/M/1", &QUEUE);
    assert!(
        of_model(&examine(&alone(youngest, 70.0)), "M/M/1")
            .iter()
            .all(|finding| finding.quantity != "p99")
    );
}

#[test]
fn several_servers_and_losses_are_recognised() {
    check(
        &alone(json!({"concurrency": 4}), 320.0),
        "M/M/4",
        &[&QUEUE[..], &["p50", "p90", "p99"]].concat(),
    );
    let limited = json!({"concurrency": 4, "queue": {"limit": 6}});
    check(
        &alone(limited, 380.0),
        "M/M/4/10",
        &["share turned away", "mean wait", "utilization"],
    );
    let constant = json!({"concurrency": 10, "queue": {"limit": 0}, "operations": {"get": [{"work": "10ms"}]}});
    check(
        &alone(constant, 800.0),
        "M/G/10/10 (Erlang B)",
        &["share turned away", "utilization"],
    );
    let free = json!({"concurrency": "unlimited", "replicas": 3});
    check(&alone(free, 100.0), "M/M/∞", &["mean sojourn", "mean number there"]);
    let work = json!({"get": [{"work": {"lognormal": {"mean": "10ms", "cv": 2}}}]});
    let shared = json!({"concurrency": "unlimited", "queue": {"discipline": "ps"}, "operations": work});
    check(
        &alone(shared, 75.0),
        "M/G/1-PS",
        &["mean sojourn", "mean number there", "utilization"],
    );
}

#[test]
fn other_arrivals_are_recognised() {
    let client = |arrivals: Value| json!({"web": {"call": "node/get", "arrivals": arrivals}});
    let run = |arrivals| scenario(json!({"node": node(json!({}))}), client(arrivals), json!({}));
    check(&run(json!({"constant": {"rate": 80}})), "D/M/1", &QUEUE);
    check(&run(json!({"erlang": {"rate": 80, "shape": 3}})), "E3/M/1", &QUEUE);
    let closed = scenario(
        json!({"node": node(json!({"concurrency": 2}))}),
        client(json!({"closed": {"users": 10, "think": {"exponential": {"mean": "50ms"}}}})),
        json!({}),
    );
    check(
        &closed,
        "M/M/2//10 (closed loop)",
        &["mean sojourn", "throughput", "utilization"],
    );
    let constant = scenario(
        json!({"node": node(json!({"operations": {"get": [{"work": "6ms"}]}}))}),
        client(json!({"constant": {"rate": 100}})),
        json!({}),
    );
    check(&constant, "D/D/1", &["mean sojourn", "mean wait"]);
}

#[test]
fn spreading_is_recognised() {
    let spread = |endpoints: u32, rate: f64, balancer: Value| {
        let services = json!({"node": node(json!({"replicas": endpoints}))});
        scenario(services, poisson(rate), json!({"mesh": {"balancer": balancer}}))
    };
    check(&spread(10, 800.0, json!("envoy/random")), "10 times M/M/1", &QUEUE);
    check(&spread(4, 320.0, json!("envoy/round_robin")), "4 times E4/M/1", &QUEUE);
    let scan = json!({"envoy/least_request": {"selection_method": "full_scan"}});
    check(&spread(2, 160.0, scan), "the shorter of two queues (JSQ)", &["mean sojourn"]);
    let text = spread(20, 1400.0, json!("envoy/least_request"));
    let figures = ["mean sojourn", "mean wait", "share that waits"];
    check(&text, "the shortest of 2 random queues, of very many", &figures);
    let examination = examine(&text);
    for limit in of_model(&examination, "the shortest of 2 random queues, of very many") {
        let observed = limit.observed.expect("it was run");
        let scale = if limit.quantity == "mean sojourn" { 2.0 } else { 4.0 };
        assert!(
            (observed / limit.theory - 1.0).abs() < scale / 20.0,
            "off by the order of 1/n: {limit:?}"
        );
    }
}

#[test]
fn networks_are_recognised() {
    let tandem = json!({
        "node": node(json!({"operations": {"get": [{"work": exponential()}, {"call": "next/get", "probability": "80%"}]}})),
        "next": node(json!({"concurrency": 2, "operations": {"get": [{"work": {"exponential": {"mean": "20ms"}}}]}})),
    });
    let text = scenario(tandem, poisson(60.0), json!({}));
    check(&text, "M/M/1", &["mean wait", "utilization"]);
    check(&text, "M/M/2", &QUEUE);
    let fork = json!({
        "node": node(json!({"operations": {"get": [{"parallel": [{"call": "leaf/get", "repeat": 10}]}]}})),
        "leaf": node(json!({"concurrency": "unlimited"})),
    });
    check(
        &scenario(fork, poisson(50.0), json!({})),
        "fork-join of 10, everybody served at once",
        &["mean latency", "p50", "p99"],
    );
    let two = json!({
        "node": node(json!({"concurrency": "unlimited", "operations": {"get": [{"parallel": [{"call": "left/get"}, {"call": "right/get"}]}]}})),
        "left": node(json!({})),
        "right": node(json!({})),
    });
    check(
        &scenario(two, poisson(60.0), json!({})),
        "fork-join of 2 M/M/1",
        &["mean latency"],
    );
    let failing = json!({"concurrency": "unlimited", "operations": {"get": [{"work": exponential()}, {"fail": {"probability": "10%", "status": 503}}]}});
    let retries = json!({"mesh": {"retry": {"num_retries": 3, "retry_on": ["5xx"]}}});
    check(
        &scenario(json!({"node": node(failing)}), poisson(50.0), retries),
        "independent failures of 10 %, up to 3 retries",
        &["attempts per request", "availability"],
    );
}

#[test]
fn impatience_is_recognised() {
    let figures = [&QUEUE[..], &["share turned away"]].concat();
    // With less and with more than they can serve.
    for (rate, servers) in [(270.0, 3), (330.0, 3), (150.0, 1)] {
        let patient = json!({"concurrency": servers, "queue": {"timeout": "15ms"}});
        check(&alone(patient, rate), &format!("M/M/{servers}+D (queue timeout)"), &figures);
    }
    let spread = json!({"replicas": 4, "queue": {"timeout": "30ms"}});
    let random = scenario(
        json!({"node": node(spread)}),
        poisson(360.0),
        json!({"mesh": {"balancer": "envoy/random"}}),
    );
    check(&random, "4 times M/M/1+D (queue timeout)", &figures);
}

/// `front` works before and after its calls, asks `left` at times, which asks `deep`, and `right` always, which asks `deep` too; a second
/// client asks `deep` alone.
fn jackson(deep: Value, left_step: Value, mesh: Value) -> String {
    let work = |mean: &str| json!({"work": {"exponential": {"mean": mean}}});
    let services = json!({
        "front": node(json!({"concurrency": 2, "operations": {"page": [
            work("10ms"), left_step, {"call": "right/get"}, work("10ms"),
        ]}})),
        "left": node(json!({"operations": {"get": [work("10ms"), {"call": "deep/get"}]}})),
        "right": node(json!({"concurrency": "unlimited", "operations": {"get": [{"work": {"uniform": {"min": "5ms", "max": "9ms"}}}, {"call": "deep/get"}]}})),
        "deep": node(deep),
    });
    let clients = json!({
        "web": {"call": "front/page", "arrivals": {"poisson": {"rate": 60}}},
        "cron": {"call": "deep/get", "arrivals": {"poisson": {"rate": 30}}},
    });
    let network = json!({"same_zone": {"exponential": {"mean": "2ms"}}});
    let rest = json!({"topology": {"network": network, "services": services}, "mesh": mesh});
    scenario(json!({}), clients, rest)
}

#[test]
fn networks_in_product_form_are_recognised() {
    let maybe = json!({"call": "left/get", "probability": "70%"});
    let text = jackson(json!({"concurrency": 2}), maybe.clone(), json!({}));
    let deep = [&QUEUE[..], &["p50", "p99"]].concat();
    check(&text, "M/M/2 in a network", &deep);
    check(&text, "open network of 4 services", &["mean latency"]);
    let examination = examine(&text);
    let latency = |client: &str| {
        let found = of_model(&examination, "open network of 4 services");
        let finding = found.into_iter().find(|finding| finding.subject == client);
        finding.expect("both clients are known").theory
    };
    // By hand: a single M/M/2 at a load of 0.66 each way, `left` an M/M/1 at 0.42, `front` an M/M/2 at 0.6; 2 ms a hop.
    let wait = |load: f64| 0.010 / (1.0 - load * load) - 0.010;
    let deep = 0.010 + wait(0.66);
    assert!((latency("client cron") - (deep + 0.004)).abs() < 1e-12);
    let left = 0.010 / (1.0 - 0.42) + 0.004 + deep + 0.004;
    let right = 0.007 + 0.004 + deep + 0.004;
    let front = 2.0 * (0.010 + wait(0.6)) + 0.004;
    assert!((latency("client web") - (front + 0.7 * left + right)).abs() < 1e-12);
    let spread = jackson(json!({"replicas": 3}), maybe, json!({"balancer": "envoy/random"}));
    check(&spread, "3 times M/M/1 in a network", &QUEUE);
    check(&spread, "open network of 4 services", &["mean latency"]);
}

#[test]
fn closed_networks_are_recognised() {
    let closed = |arrivals: Value| {
        let services = json!({
            "front": node(json!({"concurrency": "unlimited", "operations": {"page": [
                {"work": "2ms"}, {"call": "db/get"}, {"call": "cache/get", "probability": "50%"}, {"call": "db/get"},
            ]}})),
            "db": node(json!({"concurrency": 2})),
            "cache": node(json!({"replicas": 3})),
        });
        let clients = json!({"web": {"call": "front/page", "arrivals": arrivals}});
        scenario(services, clients, json!({"mesh": {"balancer": "envoy/random"}}))
    };
    let text = closed(json!({"closed": {"users": 6, "think": {"uniform": {"min": "20ms", "max": "80ms"}}}}));
    let figures = ["mean sojourn", "mean wait", "mean number there", "utilization"];
    check(
        &text,
        "closed network of 6 users",
        &[&figures[..], &["throughput", "mean latency"]].concat(),
    );
    check(&text, "3 times closed network of 6 users", &figures);
}

#[test]
fn chances_are_recognised() {
    let failing = |share: &str| json!({"concurrency": "unlimited", "operations": {"get": [{"work": "1ms"}, {"fail": {"probability": share, "status": 503}}]}});
    let fork = |share: &str, rest: Value| {
        let branch = json!({"parallel": [{"call": "leaf/get", "repeat": 4}, {"call": "spare/get", "on_error": "ignore"}]});
        let services = json!({
            "node": node(json!({"concurrency": "unlimited", "operations": {"get": [branch]}})),
            "leaf": node(failing(share)),
            "spare": node(failing("50%")),
        });
        scenario(services, poisson(100.0), rest)
    };
    let figures = ["availability", "attempts per request"];
    let text = fork("5%", json!({}));
    let model = "all of its calls must succeed, up to 0 retries of it";
    check(&text, model, &figures);
    let examination = examine(&text);
    let all_of = |quantity: &str| {
        let found = of_model(&examination, model);
        found
            .iter()
            .find(|finding| finding.quantity == quantity)
            .map(|finding| finding.theory)
    };
    let by_hand = 0.95_f64 * 0.95 * 0.95 * 0.95;
    assert!((all_of("availability").expect("it is known") - by_hand).abs() < 1e-9);
    let retries = json!({"mesh": {"retry": {"num_retries": 1, "retry_on": ["5xx"]}}});
    check(
        &fork("30%", retries),
        "all of its calls must succeed, up to 1 retries of it",
        &figures,
    );

    let flaky = |mesh: Value| {
        let random = json!({"mttf": {"exponential": {"mean": "2s"}}, "mttr": {"exponential": {"mean": "500ms"}}});
        let faults = json!([{"random": random, "errors": {"service": "node", "share": "100%", "status": 503}}]);
        let service = json!({"node": node(json!({"replicas": 5, "concurrency": "unlimited"}))});
        scenario(service, poisson(200.0), json!({"faults": faults, "mesh": mesh}))
    };
    check(
        &flaky(json!({"balancer": "envoy/random"})),
        "5 endpoints up 80 % of the time, up to 0 retries",
        &figures,
    );
    // One of three choices must find one of those of five that are up.
    let back_off = json!({"base_interval": "1ms", "max_interval": "1ms"});
    let retry = json!({"num_retries": 2, "retry_on": ["5xx"], "back_off": back_off});
    let text = flaky(json!({"balancer": "envoy/random", "retry": retry}));
    let model = "5 endpoints up 80 % of the time, up to 2 retries";
    check(&text, model, &figures);
    for limit in of_model(&examine(&text), model) {
        assert!(matches!(limit.claim, Claim::Limit { .. }));
        let observed = limit.observed.expect("it was run");
        assert!((observed / limit.theory - 1.0).abs() < 0.05, "{limit:?}");
    }
    // Who fails at once has few requests in flight and is asked the more.
    let blind = examine(&flaky(json!({"balancer": "envoy/least_request"})));
    let claims = |finding: &&Finding| finding.quantity == "availability";
    assert_eq!(blind.variants[0].findings.iter().find(claims), None);
}

#[test]
fn what_only_looks_like_a_network_is_not_claimed() {
    let claimed = |text: &str| {
        let short = text.replace("\"120s\"", "\"10s\"").replace("\"20s\"", "\"1s\"");
        let examination = examine(&short.replace("\"replications\":5", "\"replications\":2"));
        let findings = &examination.variants[0].findings;
        let mut of = findings.iter().filter(|finding| finding.claim == Claim::Exact);
        of.any(|finding| finding.model.contains("network") || finding.quantity == "mean latency")
    };
    let maybe = json!({"call": "left/get", "probability": "70%"});
    assert!(claimed(&jackson(json!({"concurrency": 2}), maybe.clone(), json!({}))));
    let constant = json!({"concurrency": 2, "operations": {"get": [{"work": "8ms"}]}});
    assert!(!claimed(&jackson(constant, maybe.clone(), json!({}))));
    let limited = json!({"concurrency": 2, "queue": {"limit": 50}});
    assert!(!claimed(&jackson(limited, maybe.clone(), json!({}))));
    let youngest = json!({"concurrency": 2, "queue": {"discipline": "lifo"}});
    assert!(!claimed(&jackson(youngest, maybe.clone(), json!({}))));
    let in_turn = json!({"replicas": 2});
    assert!(!claimed(&jackson(
        in_turn,
        maybe.clone(),
        json!({"balancer": "envoy/round_robin"})
    )));
    assert!(!claimed(&jackson(json!({"concurrency": 2}), maybe, json!({"timeout": "5s"}))));
    let aside = json!({"parallel": [{"call": "left/get"}, {"call": "left/get"}]});
    assert!(!claimed(&jackson(json!({"concurrency": 2}), aside, json!({}))));
    let other = json!({"call": "left/get", "mesh": {"retry": {"num_retries": 1, "retry_on": ["5xx"]}}});
    assert!(!claimed(&jackson(json!({"concurrency": 2}), other, json!({}))));
}

/// What is said of the service `node`, of which no figure but laws may be claimed.
fn why_not(text: &str) -> String {
    let examination = examine(text);
    let variant = &examination.variants[0];
    let claimed = variant
        .findings
        .iter()
        .find(|finding| matches!(finding.claim, Claim::Exact | Claim::Limit { .. }));
    assert!(claimed.is_none(), "{claimed:?}");
    let unknown = variant.unrecognised.iter().find(|unknown| unknown.subject == "service node");
    unknown.expect("a reason is given").why.clone()
}

#[test]
fn what_only_looks_like_a_queue_is_not_claimed() {
    let short = |rest: Value| {
        let mut all = json!({"duration": "10s", "warmup": "1s", "replications": 2});
        all.as_object_mut()
            .expect("a map")
            .extend(rest.as_object().expect("a map").clone());
        all
    };
    let with = |rest: Value| scenario(json!({"node": node(json!({}))}), poisson(50.0), short(rest));
    assert_eq!(
        why_not(&with(json!({"mesh": {"timeout": "1s"}}))),
        "a timeout breaks requests off"
    );
    assert_eq!(
        why_not(&with(json!({"mesh": {"retry": {"num_retries": 1, "retry_on": ["5xx"]}}}))),
        "retries make the arrivals depend on what fails"
    );
    let crash = json!({"faults": [{"at": "2s", "for": "1s", "crash": {"service": "node"}}]});
    assert_eq!(why_not(&with(crash)), "faults change it over time");
    let checks = json!({"mesh": {"health_check": {"interval": "1s", "timeout": "1s"}}});
    assert!(why_not(&with(checks)).starts_with("health checks"));
    let limits = json!({"mesh": {"circuit_breaker": {"max_requests": 10}}});
    assert!(why_not(&with(limits)).contains("circuit breaker"));
    let other = |patch: Value, clients: Value, rest: Value| scenario(json!({"node": node(patch)}), clients, short(rest));
    let unequal = json!({"endpoints": [{"name": "a"}, {"name": "b", "speed": 0.5}]});
    let text = other(unequal, poisson(50.0), json!({"mesh": {"balancer": "envoy/least_request"}})).replace("\"replicas\":1,", "");
    assert_eq!(
        why_not(&text),
        "2 endpoints of unequal speed or weight under envoy/least_request: no closed form"
    );
    let batches = json!({"web": {"call": "node/get", "arrivals": {"batch": {"rate": 10, "size": 3}}}});
    assert!(why_not(&other(json!({}), batches, json!({}))).contains("batches"));
    let ramp = json!({"web": {"call": "node/get", "arrivals": {"ramp": {"from": 10, "to": 60, "over": "5s"}}}});
    assert!(why_not(&other(json!({}), ramp, json!({}))).contains("changes over time"));
    let timeout = json!({"queue": {"timeout": "50ms"}, "operations": {"get": [{"work": "10ms"}]}});
    assert!(why_not(&other(timeout, poisson(50.0), json!({}))).contains("queue timeout"));
    let youngest = json!({"queue": {"timeout": "50ms", "discipline": "lifo"}});
    assert!(why_not(&other(youngest, poisson(50.0), json!({}))).contains("queue timeout"));
    // All that stands in the way is told at once.
    let much = json!({"mesh": {"timeout": "1s", "retry": {"num_retries": 1, "retry_on": ["5xx"]}}});
    assert_eq!(
        why_not(&with(much)),
        "a timeout breaks requests off; retries make the arrivals depend on what fails"
    );
    let several = json!({"web": {"call": "node/get", "callers": 3, "arrivals": {"poisson": {"rate": 100}}}});
    let rotation = json!({"mesh": {"balancer": "envoy/round_robin"}});
    assert!(why_not(&other(json!({"replicas": 3}), several, rotation)).contains("several callers"));
    let overload = other(json!({}), poisson(112.0), json!({}));
    assert_eq!(
        why_not(&overload),
        "it is offered 1.120 of what it can serve, so that its queue grows without bound"
    );
    let gamma = json!({"operations": {"get": [{"work": {"gamma": {"mean": "10ms", "cv": 0.5}}}]}, "concurrency": 3});
    assert!(why_not(&other(gamma, poisson(100.0), json!({}))).starts_with("M/G/3"));
    // What leaves a queue with constant work is not Poisson.
    let services = json!({
        "first": node(json!({"operations": {"get": [{"work": "10ms"}, {"call": "node/get"}]}})),
        "node": node(json!({})),
    });
    let examination = examine(
        &scenario(services, poisson(50.0), short(json!({})))
            .replace("\"call\":\"node/get\",\"arrivals\"", "\"call\":\"first/get\",\"arrivals\""),
    );
    let unknown = &examination.variants[0].unrecognised;
    assert!(
        unknown
            .iter()
            .any(|unknown| unknown.subject == "service node" && unknown.why.starts_with("what leaves first is not Poisson")),
        "{unknown:?}"
    );
}
