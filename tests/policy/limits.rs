//! What shows that limits count as they should where no recording says so: by theory, and worked by hand.

use meshsim::policy::{Answer, CallInfo, EndpointIndex, Refusal, RoutingPriority, Verdict, connection_pool};
use meshsim::time::Duration;
use serde_json::{Value, json};

use super::evidence::Evidence;
use super::retries::{Caller, config, outcome, run};
use super::{endpoints_line, output};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "envoy/circuit_breaker",
        against: "Priorities counted apart, by Erlang's loss formula and by hand",
        check: || format!("{}; {}; {}", lost_by_priority(), refused_by_priority(), pools_by_hand()),
    },
    Evidence {
        policy: "envoy/retry",
        against: "a budget's interval and idle timeouts by hand",
        check: || format!("{}; {}", budget_of_an_interval(), idle_timeouts()),
    },
];

/// The share of calls that `servers` without a queue turn away under `load` (Erlang's formula B, by its recurrence).
fn erlang_b(servers: u32, load: f64) -> f64 {
    (1..=servers).fold(1.0, |loss, server| load * loss / (f64::from(server) + load * loss))
}

/// One caller with calls of both priorities, each of two erlangs: each loses what its own limit of requests under way loses.
fn lost_by_priority() -> String {
    let call = |priority: &str| json!([{"call": "back/get", "mesh": {"priority": priority}}]);
    let limits = [("DEFAULT", 2), ("HIGH", 4)];
    let thresholds: Vec<Value> = limits
        .iter()
        .map(|(priority, limit)| json!({"priority": priority, "max_requests": limit}))
        .collect();
    let summary = run(&json!({
        "apiVersion": "meshsim/v1", "seed": 5, "duration": "100s", "replications": 4,
        "topology": {"services": {
            "front": {"replicas": 1, "concurrency": "unlimited", "operations": {"DEFAULT": call("DEFAULT"), "HIGH": call("HIGH")}},
            "back": {"replicas": 3, "concurrency": "unlimited", "operations": {"get": [{"work": {"exponential": {"mean": "10ms"}}}]},
                "mesh": {"circuit_breaker": {"thresholds": thresholds}}},
        }},
        "clients": {
            "DEFAULT": {"call": "front/DEFAULT", "arrivals": {"poisson": {"rate": "200/s"}}},
            "HIGH": {"call": "front/HIGH", "arrivals": {"poisson": {"rate": "200/s"}}},
        },
    }));
    let lost = limits.map(|(priority, limit)| {
        let client = summary.variants[0].clients.get(priority).expect("the client");
        let lost = 1.0 - client.availability_ratio.value.expect("a figure");
        let expected = erlang_b(limit, 2.0);
        // 80 000 calls, in runs of a few that are lost together.
        assert!((lost - expected).abs() < 0.01, "{priority}: {lost}, not {expected}");
        format!("{lost:.3} of {expected:.3}")
    });
    format!("lost {} and {}", lost[0], lost[1])
}

/// What a script of picks and ends gives, a word for each line: the endpoint, the reason why there is none, or what is said of a retry.
fn words(mesh: &Value, endpoints: &[&str], script: &[Value]) -> Vec<String> {
    let endpoints: Vec<Value> = endpoints.iter().map(|id| json!({"id": id})).collect();
    let lines: String = script.iter().map(|line| format!("{line}\n")).collect();
    let text = output(config("envoy/round_robin", mesh), 1, &(endpoints_line(&endpoints) + &lines));
    let word = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let reason = line["reason"].as_str().map(str::to_string);
        match (&line["pick"], &line["retry"]) {
            (Value::String(_), _) => "placed".to_string(),
            (_, Value::Number(_)) => "retry".to_string(),
            _ => reason.unwrap_or_else(|| "no_endpoint".to_string()),
        }
    };
    text.lines().map(word).collect()
}

fn refused_by_priority() -> String {
    let pick = |priority: &str| json!({"op": "pick", "priority": priority, "attempt": 0});
    let done = |status: u16| json!({"op": "done", "endpoint": "a", "status": status});
    let again = json!({"op": "pick"});
    // Limits beside the list are those of DEFAULT; HIGH has Envoy's where nothing is said.
    let mesh = json!({"circuit_breaker": {"max_requests": 1, "thresholds": [{"priority": "HIGH", "max_requests": 2}]}});
    let script = [
        pick("DEFAULT"),
        pick("DEFAULT"),
        pick("HIGH"),
        pick("HIGH"),
        pick("HIGH"),
        // The oldest is done, which is of DEFAULT.
        done(200),
        pick("HIGH"),
        pick("DEFAULT"),
    ];
    let expected = ["placed", "overflow", "placed", "placed", "overflow", "overflow", "placed"];
    assert_eq!(words(&mesh, &["a"], &script), expected);
    // A retry holds a slot of its call's priority, which the line of the retry need not say.
    let mesh = json!({
        "retry": {"retry_on": "5xx", "num_retries": 5},
        "circuit_breaker": {"thresholds": [{"max_retries": 0}, {"priority": "HIGH", "max_retries": 1}]},
    });
    let script = [
        pick("DEFAULT"),
        pick("HIGH"),
        pick("HIGH"),
        done(503),
        done(503),
        done(503),
        again.clone(),
        done(503),
        again,
        done(200),
        pick("HIGH"),
        done(503),
    ];
    let expected = [
        "placed", "placed", "placed", "budget", "retry", "budget", "placed", "retry", "placed", "placed", "retry",
    ];
    assert_eq!(words(&mesh, &["a"], &script), expected);
    // The mesh says of what priority calls are that say nothing; a budget is a share of what is under way of the same.
    let mesh = json!({
        "priority": "HIGH",
        "retry": {"retry_on": "5xx", "num_retries": 1},
        "circuit_breaker": {"thresholds": [{"priority": "HIGH", "retry_budget": {"budget_percent": 50, "min_retry_concurrency": 0}}]},
    });
    let quiet = json!({"op": "pick", "attempt": 0});
    // Four are under way, of which two are of HIGH, the one answered included: room for one retry; without the other there is none.
    let script = [pick("HIGH"), quiet, pick("DEFAULT"), pick("DEFAULT"), done(503), done(503)];
    let expected = ["placed", "placed", "placed", "placed", "retry", "budget"];
    assert_eq!(words(&mesh, &["a"], &script), expected);
    "20 answers to picks and ends as counted by hand".to_string()
}

/// Three endpoints in turn, and connections to two of them at most, for each priority.
fn pools_by_hand() -> String {
    let mut config = config(
        "envoy/round_robin",
        &json!({"circuit_breaker": {
            "max_connection_pools": 2,
            "thresholds": [{"priority": "HIGH", "max_connection_pools": 1, "max_pending_requests": 1}],
            "per_host_thresholds": [{"priority": "HIGH", "max_connections": 1}],
        }}),
    );
    config.pool = Some(connection_pool::Options {
        protocol: connection_pool::Protocol::Http1,
        idle_timeout: Duration::from_secs(1),
        ..connection_pool::Options::default()
    });
    let mut caller = Caller::new(config, 3, 1);
    let pick = |caller: &mut Caller, priority: RoutingPriority| {
        let call = CallInfo {
            priority,
            ..CallInfo::default()
        };
        caller.cluster.pick(&call, caller.now)
    };
    let first = pick(&mut caller, RoutingPriority::Default).expect("there may be one");
    let second = pick(&mut caller, RoutingPriority::Default).expect("there may be two");
    assert_eq!(
        pick(&mut caller, RoutingPriority::Default),
        Err(Refusal::NoEndpoint),
        "no third"
    );
    // Those of HIGH have pools, limits and connections of their own: one waits at the first endpoint, and there is no second.
    pick(&mut caller, RoutingPriority::High).expect("there may be one");
    assert_eq!(pick(&mut caller, RoutingPriority::High), Err(Refusal::NoEndpoint));
    pick(&mut caller, RoutingPriority::Default).expect_err("the third endpoint");
    assert_eq!(
        pick(&mut caller, RoutingPriority::High),
        Err(Refusal::Overflow),
        "another may not wait"
    );
    assert_eq!(caller.cluster.connections(), (3, 3));
    while let Some(opening) = caller.cluster.next_opening() {
        caller.cluster.on_opened(&opening, true, caller.now);
    }
    let ready = std::iter::from_fn(|| caller.cluster.next_ready()).count();
    assert_eq!(ready, 3);
    let ok = outcome(Answer::Status(200), 1, Duration::ZERO);
    for ticket in [first, second] {
        caller.cluster.on_finished(ticket, &ok, caller.now);
    }
    // Their connections are idle, and closed when nobody has used them for a second: the third endpoint may have one.
    for (seconds, expected) in [(0.5, false), (1.1, true)] {
        caller.pass(seconds);
        let picks: Vec<_> = (0..3).map(|_| pick(&mut caller, RoutingPriority::Default)).collect();
        let third = EndpointIndex((first.endpoint.0 + 2) % 3);
        let is_placed = picks.iter().flatten().any(|ticket| ticket.endpoint == third);
        assert_eq!(is_placed, expected, "after {seconds} s: {picks:?}");
        for ticket in picks.into_iter().flatten().filter(|_| !expected) {
            caller.cluster.on_finished(ticket, &ok, caller.now);
        }
    }
    "pools for 2 of 3 endpoints, for one of HIGH".to_string()
}

/// Requests that have ended lately count in a budget: of 17 a fifth are three, of seven one.
fn budget_of_an_interval() -> String {
    let granted = |interval: &str, pauses: f64| {
        let mut caller = Caller::of(&json!({
            "retry": {"retry_on": "5xx", "num_retries": 1, "retry_budget":
                {"budget_percent": 20, "min_retry_concurrency": 0, "budget_interval": interval}},
        }));
        for _ in 0..10 {
            let ticket = caller.pick(&[]).expect("an endpoint");
            caller.finish(ticket, Answer::Status(200), 1, 0.0);
        }
        caller.pass(pauses);
        let tickets: Vec<_> = (0..7).map(|_| caller.pick(&[]).expect("an endpoint")).collect();
        let verdicts = tickets
            .into_iter()
            .map(|ticket| caller.finish(ticket, Answer::Status(503), 1, 0.0));
        verdicts.filter(|verdict| *verdict != Verdict::Done).count()
    };
    let found = [
        granted("0s", 0.0),
        granted("10s", 0.0),
        granted("10s", 8.9),
        granted("10s", 10.0),
    ];
    assert_eq!(found, [1, 3, 3, 1]);
    "retries granted with and without an interval as counted by hand".to_string()
}

/// Of calls that take 50 ms those fail whose attempts, or which themselves, may be silent for 20 ms; each attempt is given up by itself.
fn idle_timeouts() -> String {
    let with = |mesh: Value| {
        let summary = run(&json!({
            "apiVersion": "meshsim/v1", "duration": "10s", "replications": 1,
            "topology": {"services": {"s": {"replicas": 1, "concurrency": "unlimited", "operations": {"get": [{"work": "50ms"}]}}}},
            "clients": {"c": {"call": "s/get", "arrivals": {"constant": {"rate": "10/s"}}}},
            "mesh": mesh,
        }));
        let client = summary.variants[0].clients.get("c").expect("the client");
        let of = |figure: &str| client.failed_latency_seconds.get(figure).and_then(|latency| latency.value);
        let attempts = client.attempts_per_request_ratio.value.expect("a figure");
        (client.availability_ratio.value.expect("a figure"), attempts, of("max"))
    };
    let retry = |timeouts: &str| {
        let mut retry: Value = serde_json::from_str(timeouts).expect("JSON");
        retry["retry_on"] = json!("gateway-error");
        json!({"retry": retry})
    };
    assert_eq!(with(json!({})), (1.0, 1.0, None));
    assert_eq!(with(json!({"idle_timeout": "60ms", "timeout": 0})), (1.0, 1.0, None));
    let near = |found: (f64, f64, Option<f64>), attempts: f64, least: f64, most: f64| {
        assert_eq!((found.0, found.1), (0.0, attempts), "{found:?}");
        assert!(found.2.is_some_and(|latency| (least..=most).contains(&latency)), "{found:?}");
    };
    near(with(json!({"idle_timeout": "20ms", "timeout": 0})), 1.0, 0.0199, 0.0201);
    // Two attempts of 20 ms, with a pause of up to 25 ms between them.
    near(with(retry(r#"{"per_try_idle_timeout": "20ms"}"#)), 2.0, 0.0398, 0.0654);
    near(
        with(retry(r#"{"per_try_idle_timeout": "20ms", "per_try_timeout": "30ms"}"#)),
        2.0,
        0.0398,
        0.0654,
    );
    near(
        with(retry(r#"{"per_try_idle_timeout": "45ms", "per_try_timeout": "20ms"}"#)),
        2.0,
        0.0398,
        0.0654,
    );
    "5 timeouts as by hand".to_string()
}

/// What a script gives: times, and what happens to which of the endpoints, by their order of use.
fn hedged_script(mesh: &Value, script: &[(f64, &str)]) -> Vec<String> {
    let endpoints = ["a", "b", "c"].map(|id| json!({"id": id}));
    let mut names: Vec<String> = Vec::new();
    let mut lines = endpoints_line(&endpoints);
    // The first pick of a schedule is random: whoever has been used first is called 0.
    let probe = output(
        config("envoy/round_robin", mesh),
        1,
        &(lines.clone() + "{\"op\": \"pick\", \"count\": 3, \"attempt\": 0}\n"),
    );
    for line in probe.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        names.push(line["pick"].as_str().expect("somebody").to_string());
    }
    for (t, what) in script {
        let line = match what.split_once(' ') {
            Some((place, status)) => {
                let endpoint = &names[place.parse::<usize>().expect("a place")];
                json!({"op": "done", "t": t, "endpoint": endpoint, "status": status.parse::<u16>().expect("a status")})
            }
            None => json!({"op": what, "t": t}),
        };
        lines += &format!("{line}\n");
    }
    let text = output(config("envoy/round_robin", mesh), 1, &lines);
    let word = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        if let Some(after) = line.get("retry") {
            return format!("retry {after}");
        }
        let (what, who) = ["pick", "hedge", "cancel"]
            .into_iter()
            .find_map(|what| Some((what, line.get(what)?)))
            .expect("something");
        let place = names.iter().position(|name| who == name).expect("one of them");
        format!("{} {what} {place}", line["t"])
    };
    text.lines().map(word).collect()
}

#[test]
fn a_script_can_hedge_at_a_distance() {
    let mesh = json!({"hedging": {"max_attempts": 3, "hedging_delay": "1s", "non_fatal_status_codes": ["UNAVAILABLE"]}});
    let script = [
        (0.0, "pick"),
        (2.5, "tick"),
        (2.6, "1 200"),
        // Nothing is left of it. Failures that are not fatal have the next attempt made at once, up to the third.
        (10.0, "pick"),
        (10.1, "0 503"),
        (10.2, "1 503"),
        (10.3, "2 503"),
        // One that is fatal ends the call.
        (20.0, "pick"),
        (21.0, "tick"),
        (21.5, "1 500"),
        (30.0, "tick"),
    ];
    let found = hedged_script(&mesh, &script);
    let expected = [
        "0.0 pick 0",
        "1.0 hedge 1",
        "2.0 hedge 2",
        "2.6 cancel 0",
        "2.6 cancel 2",
        "10.0 pick 0",
        "10.1 hedge 1",
        "10.2 hedge 2",
        "20.0 pick 0",
        "21.0 hedge 1",
        "21.5 cancel 0",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_script_can_hedge_when_attempts_are_late() {
    // Pauses are below 1 ms, and so none.
    let mesh = json!({
        "hedge_policy": {"hedge_on_per_try_timeout": true},
        "retry": {"retry_on": "5xx", "num_retries": 2, "per_try_timeout": "1s", "back_off": {"base_interval": "1ms", "max_interval": "1ms"}},
    });
    let script = [
        (0.0, "pick"),
        (0.5, "tick"),
        (2.0, "tick"),
        // There is no third retry. Failures of the late are dropped while there are others.
        (3.5, "tick"),
        (3.6, "0 503"),
        (3.7, "2 200"),
        // In time a failure is retried as ever.
        (10.0, "pick"),
        (10.1, "0 503"),
        (10.2, "1 404"),
        (20.0, "tick"),
    ];
    let found = hedged_script(&mesh, &script);
    let expected = [
        "0.0 pick 0",
        "1.0 hedge 1",
        "2.0 hedge 2",
        "3.7 cancel 1",
        "10.0 pick 0",
        "retry 0.0",
        "10.1 hedge 1",
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_evidence_of_this_file_holds() {
    for evidence in EVIDENCE {
        (evidence.check)();
    }
}
