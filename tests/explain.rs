//! The stories of single requests: what arithmetic says of them, that tracing changes nothing, and that all stories of a run add up to
//! its results.

use meshsim::explain::{self, Explanation, Story, Unknown, Which};
use meshsim::model::plan::Warmup;
use meshsim::model::trace::{RequestId, Search};
use meshsim::model::{self, Elision, RunOptions};
use meshsim::scenario::{self, Overrides, Scenario, Source};
use meshsim::time::{Duration, Time};
use serde_json::Value;

fn load(text: &str) -> Scenario {
    let source = Source::from_text("explain.yaml", text.to_string());
    let (loaded, diagnostics) = scenario::load(&source, &Overrides::default());
    loaded.unwrap_or_else(|| panic!("{}", diagnostics.render(false)))
}

fn number(number: u64) -> Which {
    Which::Number { client: None, number }
}

fn explained(scenario: &Scenario, which: &Which) -> Explanation {
    explain::explain(scenario, &scenario.variants[0], 1, which).expect("there is such a request")
}

fn story(scenario: &Scenario, request: u64) -> Story {
    explained(scenario, &number(request)).stories.remove(0)
}

const MS: u64 = 1_000_000;

/// One request a second; `b` hangs for the third. 1 ms there and 1 ms back, 10 ms of work, which takes 20 at `b`.
const HANGING: &str = "
apiVersion: meshsim/v1
name: hanging
duration: 6s
topology:
  network: {same_zone: 1ms}
  services:
    api:
      endpoints: [{name: a}, {name: b, speed: 0.5}]
      concurrency: 1
      operations: {get: [{work: 10ms}]}
clients:
  web:
    call: api/get
    arrivals: {constant: {rate: 1/s}}
mesh:
  balancer: envoy/round_robin
  retry: {num_retries: 1, retry_on: [gateway-error, reset], per_try_timeout: 50ms}
  outlier_detection: {consecutive_gateway_failure: 1, enforcing_consecutive_gateway_failure: 100, base_ejection_time: 30s, max_ejection_percent: 100}
faults:
  - {at: 500ms, for: 2s, crash: {endpoint: api/b, mode: hang}}
";

#[test]
fn a_timeout_and_a_retry_take_what_arithmetic_says() {
    let scenario = load(HANGING);
    // One of the first two comes to `b` while it hangs.
    let stories: Vec<Story> = (1..=3).map(|request| story(&scenario, request)).collect();
    let retried: Vec<&Story> = stories.iter().filter(|story| story.attempts.len() > 1).collect();
    let [retried] = retried[..] else {
        panic!("one is retried: {stories:?}")
    };
    assert!(retried.success);
    let [first, second] = &retried.attempts[..] else {
        panic!("there are two attempts: {retried:?}")
    };
    assert_eq!(
        (first.endpoint.as_deref(), first.end.as_deref()),
        (Some("api/b"), Some("per-try timeout"))
    );
    assert_eq!((first.from_ns, first.to_ns, first.arrived_ns), (0, Some(50 * MS), None));
    let said =
        |story: &Story, attempt: usize, text: &str| story.attempts[attempt].events.iter().any(|event| event.what.contains(text));
    assert!(said(retried, 0, "api/b is down and answers nothing"), "{first:?}");
    assert!(said(
        retried,
        0,
        "web takes api/b out for at least 30.0 s (outlier detection: consecutive_gateway_failure)"
    ));
    let sight = second.sight.as_ref().expect("it was placed");
    let out: Vec<(&str, &str)> = sight
        .endpoints
        .iter()
        .map(|seen| (seen.endpoint.as_str(), seen.health))
        .collect();
    assert_eq!(out, [("api/a", "healthy"), ("api/b", "unhealthy")]);
    assert_eq!(sight.why, "api/a is the only candidate");
    let from = second.from_ns;
    assert!((50 * MS..=75 * MS).contains(&from), "the first pause is at most 25 ms");
    assert_eq!(second.arrived_ns, Some(from + MS));
    assert_eq!(second.started_ns, Some(from + MS));
    assert_eq!(second.work_ns, [(from + MS, from + 11 * MS)]);
    assert_eq!((second.left_ns, second.status), (Some(from + 11 * MS), Some(200)));
    assert_eq!(second.to_ns, Some(from + 12 * MS));
    assert_eq!(retried.latency_ns, from + 12 * MS);
    let text = explain::text(&explained(&scenario, &number(retried.number)), false);
    assert!(text.contains("fault under way: "), "{text}");
    assert!(
        text.contains("    50.000 ms      web: per-try timeout after 50.0 ms"),
        "{text}"
    );
}

#[test]
fn work_that_a_crash_breaks_off_is_told() {
    let text = HANGING
        .replace("work: 10ms", "work: 900ms")
        .replace(", per_try_timeout: 50ms", "")
        .replace("at: 500ms", "at: 1500ms")
        .replace("crash: {endpoint: api/b, mode: hang}", "crash: {service: api}");
    let which = Which::Search {
        client: None,
        slowest: 0,
        failed: 9,
    };
    let explanation = explained(&load(&text), &which);
    let struck = explanation.stories.iter().flat_map(|story| {
        let attempts = story
            .attempts
            .iter()
            .filter(|attempt| attempt.end.as_deref() == Some("reset"));
        attempts.map(move |attempt| (story.start_ns, attempt))
    });
    let mut count = 0;
    for (start, attempt) in struck.filter(|(_, attempt)| attempt.started_ns.is_some()) {
        let begin = attempt.started_ns.expect("it was served");
        assert_eq!(attempt.work_ns, [(begin, 1_500 * MS - start)], "up to the crash");
        assert_eq!((attempt.left_ns, attempt.status), (Some(1_500 * MS - start), None));
        count += 1;
    }
    assert!(count > 0, "{explanation:?}");
    let page = explain::text(&explanation, false);
    assert!(page.contains(", then broken off"), "{page}");
}

/// A page that asks two services side by side, one of which asks a third; all times are constant.
const NESTED: &str = "
apiVersion: meshsim/v1
name: nested
duration: 5s
topology:
  network: {same_zone: 1ms}
  services:
    front:
      replicas: 1
      operations: {page: [{work: 2ms}, {parallel: [{call: left/get}, {call: right/get}]}, {work: 3ms}]}
    left: {replicas: 1, operations: {get: [{work: 4ms}, {call: deep/get}]}}
    right: {replicas: 1, operations: {get: [{work: 20ms}]}}
    deep: {replicas: 1, concurrency: 1, operations: {get: [{work: 5ms}]}}
clients:
  web:
    call: front/page
    arrivals: {constant: {rate: 10/s}}
";

#[test]
fn calls_of_services_are_part_of_the_story() {
    let story = story(&load(NESTED), 7);
    let calls: Vec<(&str, &str, u64, u64)> = story
        .calls
        .iter()
        .map(|call| {
            (
                call.caller.as_str(),
                call.operation.as_str(),
                call.from_ns / MS,
                call.to_ns.expect("it ended") / MS,
            )
        })
        .collect();
    assert_eq!(
        calls,
        [
            ("web", "front/page", 0, 29),
            ("front-0", "left/get", 3, 16),
            ("front-0", "right/get", 3, 25),
            ("left-0", "deep/get", 8, 15),
        ]
    );
}

#[test]
fn the_rest_of_the_text() {
    let scenario = load(NESTED);
    let text = explain::text(&explained(&scenario, &number(7)), false);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert!(lines[0].starts_with("request 7 of web: 200 after 29.0 ms"), "{text}");
    assert!(lines.contains(&"8.000 ms          left-0 calls deep/get"), "{text}");
    assert!(!text.contains('\u{1b}'));
    assert!(explain::text(&explained(&scenario, &number(7)), true).contains("\u{1b}[32m"));
}

/// Much goes on: nested and parallel calls, retries, hedges, ejections, a crash, a slow endpoint, full queues.
const BUSY: &str = "
apiVersion: meshsim/v1
name: busy
seed: 7
duration: 20s
topology:
  zones: [a, b]
  network: {same_zone: {lognormal: {p50: 250us, p99: 1ms}}, cross_zone: 2ms}
  services:
    front:
      replicas: 3
      concurrency: 8
      operations:
        page: [{work: {exponential: {mean: 1ms}}}, {parallel: [{call: items/get}, {call: ads/get, on_error: ignore}]}, {call: items/get, probability: 50%}]
    items:
      replicas: 4
      concurrency: 1
      queue: {limit: 6}
      on_cancel: stop
      operations: {get: [{work: {exponential: {mean: 8ms}}}, {fail: {probability: 2%, status: 503}}]}
    ads:
      replicas: 2
      operations: {get: [{work: {exponential: {mean: 5ms}}}]}
      mesh: {hedging: {max_attempts: 2, hedging_delay: 6ms}}
clients:
  web:
    call: front/page
    callers: 2
    arrivals: {poisson: {rate: 150/s}}
  cron:
    call: items/get
    arrivals: {constant: {rate: 20/s}}
mesh:
  balancer: envoy/least_request
  timeout: 300ms
  retry: {num_retries: 2, retry_on: [5xx], per_try_timeout: 60ms}
  outlier_detection: {consecutive_5xx: 3, base_ejection_time: 2s, interval: 1s}
faults:
  - {at: 5s, for: 3s, crash: {endpoint: items/items-0}}
  - {at: 10s, for: 3s, slow: {endpoint: items/items-1, factor: 5}}
";

fn options(scenario: &Scenario, warmup: Duration) -> RunOptions {
    RunOptions {
        seed: scenario.seed,
        replication: 0,
        warmup,
        elision: Elision::On,
        pilot: false,
    }
}

#[test]
fn all_stories_of_a_run_add_up_to_its_results() {
    let scenario = load(&BUSY.replace(
        "mesh: {hedging: {max_attempts: 2, hedging_delay: 6ms}}",
        "mesh: {retry: {num_retries: 0}}",
    ));
    let variant = &scenario.variants[0];
    let plan = &variant.plan;
    let plain = model::run(plan, options(&scenario, Duration::ZERO));
    let search = Search {
        client: None,
        slowest: 5,
        failed: 3,
        from: Time::ZERO,
        to: Time(u64::MAX),
    };
    let (searched, log) = model::run_searched(plan, options(&scenario, Duration::ZERO), search);
    assert_eq!(plain, searched);
    let (mut latency, mut failures, mut attempts, mut client_attempts) = (0_u128, 0, 0, 0);
    let (mut slowest, mut alone, mut compared) = (Vec::new(), 0, 0);
    for (client, &sent) in (0..).zip(&log.sent) {
        let ids: Vec<RequestId> = (1..=sent).map(|number| RequestId { client, number }).collect();
        let (followed, _) = model::run_followed(plan, options(&scenario, Duration::ZERO), &ids);
        assert_eq!(plain, followed, "tracing changes nothing");
    }
    for name in &variant.names.clients {
        let which = Which::Search {
            client: Some(name.clone()),
            slowest: usize::MAX >> 1,
            failed: 1_000_000,
        };
        let explanation = explained(&scenario, &which);
        for story in &explanation.stories {
            check_times(story);
            // Edges count the calls that began while requests were sent.
            let counts = |attempt: &&explain::Attempt| story.start_ns + story.calls[attempt.call].from_ns < plan.duration.0;
            attempts += story.attempts.iter().filter(counts).count() as u64;
            client_attempts += story.calls[0].attempts.len() as u64;
            match story.success {
                true => latency += u128::from(story.latency_ns),
                false => failures += 1,
            }
            if story.success {
                slowest.push(story.latency_ns);
            }
            for sight in story.attempts.iter().filter_map(|attempt| attempt.sight.as_ref()) {
                let those: Vec<u32> = sight
                    .endpoints
                    .iter()
                    .filter(|seen| seen.compared)
                    .map(|seen| seen.in_flight)
                    .collect();
                if sight.endpoints.iter().filter(|seen| seen.candidate == Some(true)).count() == 4 {
                    compared += 1;
                    alone += u32::from(those.len() == 1);
                    assert!(those.len() <= 2, "two are drawn: {sight:?}");
                }
            }
        }
    }
    let sum = |of: fn(&meshsim::model::result::ClientResult) -> u128| plain.clients.iter().map(of).sum::<u128>();
    assert_eq!(latency, sum(|client| client.latency.sum()));
    assert_eq!(failures, sum(|client| u128::from(client.failures.total())));
    assert_eq!(u128::from(client_attempts), sum(|client| u128::from(client.attempts)));
    assert_eq!(attempts, plain.edges.iter().map(|edge| edge.attempts).sum::<u64>());
    slowest.sort_unstable_by_key(|&latency| std::cmp::Reverse(latency));
    let found: Vec<u64> = log
        .found
        .iter()
        .filter(|found| !found.failed)
        .map(|found| found.latency.0)
        .collect();
    assert_eq!(found, slowest[..5]);
    // Envoy draws with replacement: of four candidates the same one twice in a quarter of all cases (5 standard deviations).
    let share = f64::from(alone) / f64::from(compared);
    assert!(
        (share - 0.25).abs() < 5.0 * (0.25 * 0.75 / f64::from(compared)).sqrt(),
        "{share} of {compared}"
    );
}

/// What must hold of the times of any story.
fn check_times(story: &Story) {
    assert_eq!(story.calls[0].from_ns, 0);
    for call in &story.calls {
        if let Some(maker) = call.made_by {
            let maker = &story.attempts[maker];
            assert!(maker.started_ns.expect("only who is served makes calls") <= call.from_ns);
            assert!(
                maker.left_ns.is_none_or(|left| call.to_ns.is_none_or(|to| to <= left)),
                "{story:?}"
            );
        }
        let mut from = call.from_ns;
        for attempt in call.attempts.iter().map(|&attempt| &story.attempts[attempt]) {
            assert!(attempt.from_ns >= from, "{story:?}");
            let Some(to) = attempt.to_ns else { continue };
            assert!(attempt.from_ns <= to);
            from = to;
            let stations = [Some(attempt.from_ns), attempt.arrived_ns, attempt.started_ns, attempt.left_ns];
            let known: Vec<u64> = stations.into_iter().flatten().collect();
            assert!(known.is_sorted(), "{attempt:?}");
            if attempt.end == attempt.status.map(|status| status.to_string()) {
                // The way there, the queue, the service and the way back are all there is.
                assert!(attempt.left_ns.is_some_and(|left| left <= to), "{attempt:?}");
            }
            if story.calls.iter().all(|call| {
                call.made_by
                    .is_none_or(|maker| !std::ptr::eq(&story.attempts[maker], attempt))
            }) && let (Some(started), Some(left), Some(200)) = (attempt.started_ns, attempt.left_ns, attempt.status)
            {
                let work: u64 = attempt.work_ns.iter().map(|(from, to)| to - from).sum();
                assert_eq!(
                    work,
                    left - started,
                    "a request without calls is served in one piece: {attempt:?}"
                );
            }
        }
        if let (Some(to), Some(_)) = (call.to_ns, call.attempts.last()) {
            assert!(from <= to);
        }
    }
}

#[test]
fn tracing_changes_nothing() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut texts = vec![("busy".to_string(), BUSY.to_string())];
    for name in ["black-hole", "hedging", "deadlines", "small-cluster"] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.yaml"))).expect("a scenario of the package");
        texts.push((name.to_string(), text));
    }
    for (name, text) in texts {
        let overrides = Overrides {
            duration: (name == "busy").then_some(Duration::from_millis(20_000)),
            ..Overrides::default()
        };
        let (loaded, diagnostics) = scenario::load(&Source::from_text(&name, text), &overrides);
        let scenario = loaded.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
        let plan = &scenario.variants[0].plan;
        let warmup = match plan.warmup {
            Warmup::Fixed(warmup) => warmup,
            Warmup::Auto => Duration::ZERO,
        };
        let plain = model::run(plan, options(&scenario, warmup));
        let ids: Vec<RequestId> = (1..=2000).step_by(37).map(|number| RequestId { client: 0, number }).collect();
        let (followed, log) = model::run_followed(plan, options(&scenario, warmup), &ids);
        assert!(plain == followed, "{name}");
        assert_eq!(plain.digest, followed.digest, "{name}");
        assert!(!log.records.is_empty());
    }
}

#[test]
fn a_hedge_is_told() {
    let scenario = load(BUSY);
    let which = Which::Search {
        client: Some("web".to_string()),
        slowest: 200,
        failed: 0,
    };
    let stories = explained(&scenario, &which).stories;
    let hedges = stories
        .iter()
        .flat_map(|story| &story.attempts)
        .filter(|attempt| attempt.hedge);
    let hedge = hedges.clone().next().expect("some hedge");
    assert_eq!(hedge.number, 2);
    for hedge in hedges {
        let story = stories
            .iter()
            .find(|story| story.attempts.contains(hedge))
            .expect("it is of one");
        let first = &story.attempts[story.calls[hedge.call].attempts[0]];
        assert_eq!(hedge.from_ns, first.from_ns + 6 * MS, "it is made 6 ms after the first");
    }
}

#[test]
fn a_trace_is_otlp_in_json() {
    let scenario = load(NESTED);
    let explanation = explained(&scenario, &number(7));
    let otlp: Value = serde_json::from_str(&explain::otlp(&explanation)).expect("JSON");
    let resources = otlp["resourceSpans"].as_array().expect("a list");
    let services: Vec<&Value> = resources
        .iter()
        .map(|resource| &resource["resource"]["attributes"][0]["value"]["stringValue"])
        .collect();
    assert_eq!(services.len(), 5, "the client and four services");
    let spans: Vec<&Value> = resources
        .iter()
        .flat_map(|resource| resource["scopeSpans"][0]["spans"].as_array().expect("a list"))
        .collect();
    let text = |value: &Value| value.as_str().expect("a text").to_string();
    let ids: std::collections::BTreeSet<String> = spans.iter().map(|span| text(&span["spanId"])).collect();
    assert_eq!(ids.len(), spans.len(), "every span has a number of its own");
    for span in &spans {
        assert_eq!(text(&span["traceId"]).len(), 32);
        assert_eq!(text(&span["spanId"]).len(), 16);
        assert_eq!(span["traceId"], spans[0]["traceId"]);
        let nanos = |key: &str| text(&span[key]).parse::<u64>().expect("nanoseconds as a text");
        assert!(nanos("startTimeUnixNano") <= nanos("endTimeUnixNano"));
    }
    let roots: Vec<&&Value> = spans.iter().filter(|span| span["parentSpanId"].is_null()).collect();
    assert_eq!(roots.len(), 1);
    assert!(
        spans
            .iter()
            .filter_map(|span| span["parentSpanId"].as_str())
            .all(|parent| ids.contains(parent))
    );
    // Four calls, an attempt and a visit each, and six pieces of work.
    assert_eq!(spans.len(), 4 * 3 + 6 - 1, "{spans:#?}");
    assert_eq!(
        explain::otlp(&explanation),
        explain::otlp(&explained(&scenario, &number(7))),
        "the same bytes"
    );
}

/// Of many stories with failures, retries, hedges and crashes: what an importer of traces relies on.
#[test]
fn spans_lie_within_those_around_them() {
    let scenario = load(BUSY);
    let which = Which::Search {
        client: None,
        slowest: 60,
        failed: 40,
    };
    let explanation = explained(&scenario, &which);
    let otlp: Value = serde_json::from_str(&explain::otlp(&explanation)).expect("JSON");
    let resources = otlp["resourceSpans"].as_array().expect("a list");
    let spans = resources
        .iter()
        .flat_map(|resource| resource["scopeSpans"][0]["spans"].as_array().expect("a list"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let by_id: std::collections::BTreeMap<(String, String), &Value> = spans
        .clone()
        .map(|span| ((text(&span["traceId"]), text(&span["spanId"])), span))
        .collect();
    assert_eq!(by_id.len(), spans.clone().count(), "no number is there twice");
    let traces: std::collections::BTreeSet<&String> = by_id.keys().map(|key| &key.0).collect();
    assert_eq!(traces.len(), explanation.stories.len(), "a trace for each story");
    let nanos = |span: &Value, key: &str| text(&span[key]).parse::<u64>().expect("nanoseconds as a text");
    let mut roots = 0;
    for ((trace, id), span) in &by_id {
        let is_hex = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        assert!(is_hex(trace) && is_hex(id) && trace.len() == 32 && id.len() == 16);
        assert!(id.bytes().any(|byte| byte != b'0') && trace.bytes().any(|byte| byte != b'0'));
        let (from, to) = (nanos(span, "startTimeUnixNano"), nanos(span, "endTimeUnixNano"));
        for event in span["events"].as_array().expect("a list") {
            assert!(nanos(event, "timeUnixNano") >= from, "{span:#}");
            assert!(!text(&event["name"]).is_empty());
        }
        let Some(parent) = span["parentSpanId"].as_str() else {
            roots += 1;
            continue;
        };
        let parent = by_id[&(trace.clone(), parent.to_string())];
        assert!(nanos(parent, "startTimeUnixNano") <= from, "{parent:#} {span:#}");
        if to > nanos(parent, "endTimeUnixNano") {
            // Only an endpoint that nobody waits for any more goes on.
            assert!(span["kind"] == 2 && parent["status"]["code"] == 2, "{parent:#} {span:#}");
        }
    }
    assert_eq!(roots, explanation.stories.len());
    assert!(by_id.len() > 500, "{}", by_id.len());
}

#[test]
fn a_fault_is_told_by_what_it_does() {
    // Random faults and such as come again have no place among those that are drawn in charts.
    let text = BUSY.replace(
        "faults:\n",
        "faults:\n  - {random: {mttf: 2s, mttr: 1s}, slow: {endpoint: items/items-2, factor: 2}}\n  - {name: shaky, at: 1s, for: 200ms, every: 1s, errors: {endpoint: items/items-3, share: 50%, status: 503}}\n",
    );
    let which = Which::Search {
        client: None,
        slowest: 40,
        failed: 40,
    };
    let explanation = explained(&load(&text), &which);
    let mut told: Vec<(String, String)> = Vec::new();
    for fault in explanation.stories.iter().flat_map(|story| &story.faults) {
        let known = (fault.fault.clone(), fault.what.clone());
        if !told.contains(&known) {
            told.push(known);
        }
        let length = (fault.to_ns - fault.from_ns) as f64 * 1e-9;
        let expected = match fault.fault.as_str() {
            "shaky" => 0.2,
            "crash items/items-0" | "slow items/items-1 5 times" => 3.0,
            _ => 1.0,
        };
        assert!(length > 0.0 && length < expected + 1e-9, "{fault:?}");
    }
    assert_eq!(told.len(), 4, "{told:?}");
    let shaky = told.iter().find(|(name, _)| name == "shaky").expect("it is there");
    assert_eq!(shaky.1, "errors 503 at items/items-3");
    let page = explain::text(&explanation, false);
    assert!(
        page.contains("fault under way: shaky (errors 503 at items/items-3), from "),
        "{page}"
    );
    assert!(page.contains("fault under way: slow items/items-2 2 times, from "), "{page}");
}

#[test]
fn a_trace_is_of_chromes_format() {
    let scenario = load(BUSY);
    let which = Which::Search {
        client: None,
        slowest: 10,
        failed: 5,
    };
    let chrome: Value = serde_json::from_str(&explain::chrome(&explained(&scenario, &which))).expect("JSON");
    let events = chrome["traceEvents"].as_array().expect("a list");
    let mut lanes: std::collections::BTreeMap<(u64, u64), Vec<(f64, f64)>> = std::collections::BTreeMap::new();
    let (mut named, mut used) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for event in events {
        let key = (event["pid"].as_u64().expect("a number"), event["tid"].as_u64());
        match event["ph"].as_str() {
            Some("M") => assert!(named.insert(key) && event["args"]["name"].is_string(), "{event}"),
            Some("X") => assert!(used.insert(key) || event["cat"].is_string(), "{event}"),
            Some("i") => assert!(
                event["s"] == "t" && event["ts"].is_number() && event["name"].is_string(),
                "{event}"
            ),
            _ => panic!("a kind that nobody asked for: {event}"),
        }
    }
    assert!(used.iter().all(|key| named.contains(key)), "every row has a name");
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let key = (
            event["pid"].as_u64().expect("a number"),
            event["tid"].as_u64().expect("a number"),
        );
        let (ts, dur) = (
            event["ts"].as_f64().expect("a number"),
            event["dur"].as_f64().expect("a number"),
        );
        assert!(ts >= 0.0 && dur >= 0.0);
        lanes.entry(key).or_default().push((ts, ts + dur));
    }
    assert!(lanes.len() > 5);
    for spans in lanes.values() {
        for (index, a) in spans.iter().enumerate() {
            for b in &spans[index + 1..] {
                // To the nanosecond: the sums are of floats.
                let apart = a.1 <= b.0 + 1e-3 || b.1 <= a.0 + 1e-3;
                let within = (a.0 <= b.0 && b.1 <= a.1 + 1e-3) || (b.0 <= a.0 && a.1 <= b.1 + 1e-3);
                assert!(apart || within, "spans of one row overlap: {a:?} {b:?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_told() {
    let scenario = load(BUSY);
    let ask = |client: Option<&str>, number: u64| {
        let which = Which::Number {
            client: client.map(String::from),
            number,
        };
        explain::explain(&scenario, &scenario.variants[0], 1, &which).expect_err("nobody can tell")
    };
    let clients = vec!["web".to_string(), "cron".to_string()];
    assert_eq!(ask(None, 1), Unknown::WhichClient(clients.clone()));
    assert_eq!(ask(Some("wab"), 1), Unknown::NoClient("wab".to_string(), clients));
    assert!(matches!(ask(Some("cron"), 401), Unknown::NoRequest(_, 399..=400)));
}

#[test]
fn the_command_says_what_it_wants() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nested.yaml");
    std::fs::write(&path, NESTED).expect("a fresh file");
    let run = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_meshsim"))
            .arg(args[0])
            .arg(&path)
            .args(&args[1..])
            .current_dir(folder.path())
            .output()
            .expect("it can be run");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, _, errors) = run(&["explain"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("--request N"), "{errors}");
    let (code, _, errors) = run(&["explain", "--request", "99"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("client `web` sends requests 1 to 49 in this run"), "{errors}");
    assert_eq!(run(&["explain", "--request", "0"]).0, Some(2));
    let (code, out, errors) = run(&["explain", "--slowest", "2", "--trace", "a/t.chrome.json", "--format", "json"]);
    assert_eq!((code, errors.contains("trace in")), (Some(0), true), "{errors}");
    let told: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(told["stories"].as_array().map(Vec::len), Some(2));
    let trace = std::fs::read_to_string(folder.path().join("a/t.chrome.json")).expect("it was written");
    assert!(trace.contains("traceEvents"));
    let (code, out, _) = run(&["theory", "--strict", "--quiet"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("Little's law"), "{out}");
}
