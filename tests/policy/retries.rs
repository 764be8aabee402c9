//! What shows that retries, budgets and breakers are the real ones: recordings of Envoy 1.40, vectors, theory, and examples by hand.

use std::sync::Arc;

use meshsim::experiment::Experiment;
use meshsim::policy::candidates::Percent;
use meshsim::policy::retry::{BackOff, GrpcOptions, LinkerdOptions, RetryBudget, RetryThrottling, Terms, Throttle, Tokens};
use meshsim::policy::{
    Answer, CallInfo, CallerInfo, Cluster, ClusterConfig, EndpointIndex, EndpointInfo, Opening, Outcome, Place, Refusal,
    RoutingPriority, Ticket, Upstream, Verdict, WaitIndex, connection_pool,
};
use meshsim::random::Rng;
use meshsim::replay::setup;
use meshsim::report::{Results, Summary};
use meshsim::scenario::{self, Overrides, Source};
use meshsim::time::{Duration, Time};
use serde_json::{Value, json};

use super::evidence::Evidence;
use super::{endpoints_line, output};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "envoy/retry",
        against: "Recordings of Envoy 1.40",
        check: || format!("{}; {}", recorded_pauses(), recorded_hosts()),
    },
    Evidence {
        policy: "envoy/retry",
        against: "vectors of its formulas",
        check: || vectors("envoy_", envoy_vector),
    },
    Evidence {
        policy: "envoy/retry",
        against: "theory: thinning and amplification",
        check: thinning_and_amplification,
    },
    Evidence {
        policy: "envoy/circuit_breaker",
        against: "Recordings of Envoy 1.40",
        check: recorded_bursts,
    },
    Evidence {
        policy: "envoy/circuit_breaker",
        against: "limits kept in random scripts",
        check: limits_are_kept,
    },
    Evidence {
        policy: "grpc/retry",
        against: "Vectors of gRFC A6",
        check: || vectors("grpc_", grpc_vector),
    },
    Evidence {
        policy: "grpc/retry",
        against: "an example worked by hand",
        check: grpc_example,
    },
    Evidence {
        policy: "linkerd/retry",
        against: "Vectors of its formulas",
        check: || {
            let pauses = vectors("linkerd_", linkerd_vector);
            format!("{pauses}; budgets: {}", vectors("tower_", budget_vector))
        },
    },
    Evidence {
        policy: "linkerd/retry",
        against: "an example worked by hand",
        check: linkerd_example,
    },
    Evidence {
        policy: "finagle/retry",
        against: "Vectors of its formulas",
        check: || vectors("finagle_", budget_vector),
    },
    Evidence {
        policy: "finagle/retry",
        against: "an example worked by hand",
        check: finagle_example,
    },
    Evidence {
        policy: "aws/retry",
        against: "An example worked by hand",
        check: aws_example,
    },
    Evidence {
        policy: "envoy/hedge_policy",
        against: "Theory: the least of two times",
        check: hedged_when_late,
    },
    Evidence {
        policy: "grpc/hedging",
        against: "Theory: the least of two times",
        check: hedged_by_delay,
    },
    Evidence {
        policy: "grpc/hedging",
        against: "an example worked by hand",
        check: hedged_failures,
    },
    Evidence {
        policy: "library/circuit_breaker",
        against: "Examples worked by hand",
        check: || format!("{}; {}", resilience4j_example(), hystrix_example()),
    },
];

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"))
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a count: {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}"))
}

fn recorded() -> Value {
    serde_json::from_str(include_str!("retries/recordings.json")).expect("it is JSON")
}

pub(super) fn config(policy: &str, mesh: &Value) -> ClusterConfig {
    let text = json!({"mesh": mesh}).to_string();
    setup::cluster(policy, &[], Some(("the test", &text))).unwrap_or_else(|message| panic!("{message}"))
}

/// One caller, endpoints, and its clock.
pub(super) struct Caller {
    pub(super) cluster: Cluster,
    pub(super) now: Time,
}

impl Caller {
    pub(super) fn new(config: ClusterConfig, endpoints: usize, seed: u64) -> Caller {
        let info = |i: usize| EndpointInfo {
            address: format!("10.0.0.{i}:80"),
            ..EndpointInfo::default()
        };
        let upstream = Arc::new(Upstream::new(config, (0..endpoints).map(info).collect()));
        Caller {
            cluster: Cluster::new(upstream, &CallerInfo::default(), Rng::new(seed), Time::ZERO),
            now: Time::ZERO,
        }
    }

    pub(super) fn of(mesh: &Value) -> Caller {
        Caller::new(config("envoy/round_robin", mesh), 2, 1)
    }

    pub(super) fn pass(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
    }

    pub(super) fn pick(&mut self, tried: &[EndpointIndex]) -> Result<Ticket, Refusal> {
        let call = CallInfo {
            attempt: tried.len() as u32,
            tried,
            ..CallInfo::default()
        };
        self.cluster.pick(&call, self.now)
    }

    pub(super) fn finish(&mut self, ticket: Ticket, answer: Answer, attempts: u32, latency: f64) -> Verdict {
        let outcome = outcome(answer, attempts, Duration::from_secs_f64(latency));
        self.cluster.on_finished(ticket, &outcome, self.now)
    }

    /// A call's first attempt and its end.
    fn call(&mut self, answer: Answer) -> Result<Verdict, Refusal> {
        let ticket = self.pick(&[])?;
        Ok(self.finish(ticket, answer, 1, 0.0))
    }

    /// Whether such an end is granted a retry, which is then made and succeeds.
    fn retries(&mut self, answer: Answer) -> bool {
        let granted = matches!(self.call(answer), Ok(Verdict::Retry { .. }));
        if granted {
            let ticket = self.pick(&[EndpointIndex(0)]).expect("there are endpoints");
            self.finish(ticket, Answer::Status(404), 2, 0.0);
        }
        granted
    }
}

pub(super) fn outcome(answer: Answer, attempts: u32, latency: Duration) -> Outcome {
    Outcome {
        answer,
        latency,
        attempts,
        load: None,
        retry_after: None,
    }
}

/// The pauses before each retry: their bounds, and their means within what the recording allows (5 % of the range and 2 ms).
fn recorded_pauses() -> String {
    let recorded = &recorded()["back_off"];
    let mut caller = Caller::of(&json!({"retry": recorded["config"]["retry_policy"]}));
    let retries = recorded["gaps_ms"].as_object().expect("a map").len() as u32;
    let mut sums = vec![0.0; retries as usize + 1];
    let calls = 4000;
    for _ in 0..calls {
        for attempt in 1..=retries + 1 {
            let ticket = caller.pick(&[]).expect("there are endpoints");
            let verdict = caller.finish(ticket, Answer::Status(503), attempt, 0.0);
            match verdict {
                Verdict::Retry { after } if attempt <= retries => {
                    let bound = (25 << (attempt - 1)).min(250) as f64;
                    let pause = after.as_secs_f64() * 1e3;
                    assert!(pause < bound && pause.fract().abs() < 1e-6, "pause {attempt} of {pause} ms");
                    sums[attempt as usize] += pause;
                }
                verdict => assert_eq!((verdict, attempt), (Verdict::Done, retries + 1)),
            }
        }
    }
    for attempt in 1..=retries {
        let recorded = &recorded["gaps_ms"][attempt.to_string()];
        let range = (25 << (attempt - 1)).min(250) as f64;
        let mean = sums[attempt as usize] / f64::from(calls);
        assert!(
            (mean - number(&recorded["mean"])).abs() <= 0.05 * range + 2.0,
            "retry {attempt} comes after {mean} ms, not {recorded}"
        );
        assert!(number(&recorded["max"]) <= range + 3.0, "retry {attempt}: {recorded}");
    }
    format!("pauses before {retries} retries, means within 5 % of their range and 2 ms")
}

/// Where retries go, one call after the other, some endpoints always failing.
fn recorded_hosts() -> String {
    let recorded = recorded();
    let mut farthest = 0.0_f64;
    for case in list(&recorded["hosts"]) {
        let config = &case["config"];
        let policy = format!("envoy/{}", config["lb_policy"].as_str().expect("a name").to_lowercase());
        let fails: Vec<u64> = list(&config["always_503"]).iter().map(count).collect();
        let hosts = count(&config["hosts"]) as usize;
        let mut caller = Caller::new(self::config(&policy, &json!({"retry": config["retry_policy"]})), hosts, 7);
        let requests = count(&case["requests"]);
        let (mut retries, mut repeated, mut failures) = (0_u64, 0_u64, 0_u64);
        let mut sequences: Vec<Vec<u32>> = Vec::new();
        for _ in 0..requests {
            let mut tried = Vec::new();
            loop {
                let ticket = caller.pick(&tried).expect("there are endpoints");
                retries += u64::from(!tried.is_empty());
                repeated += u64::from(tried.contains(&ticket.endpoint));
                tried.push(ticket.endpoint);
                let failed = fails.contains(&u64::from(ticket.endpoint.0));
                let answer = Answer::Status(if failed { 503 } else { 200 });
                if caller.finish(ticket, answer, tried.len() as u32, 0.0) == Verdict::Done {
                    failures += u64::from(failed);
                    break;
                }
            }
            sequences.push(tried.iter().map(|endpoint| endpoint.0).collect());
        }
        let name = &case["case"];
        if policy == "envoy/round_robin" {
            // The first pick is random; from there on the order is fixed.
            let rows: Vec<Vec<u32>> = list(&case["first"])
                .iter()
                .map(|row| list(row).iter().map(|host| count(host) as u32).collect())
                .collect();
            let start = sequences.iter().position(|row| *row == rows[0]).expect("it comes round");
            assert_eq!(sequences[start..start + rows.len()], rows, "{name}");
            continue;
        }
        let near = |found: u64, recorded: &Value, of: u64| {
            let expected = number(recorded);
            let share = expected / of as f64;
            // Both are samples.
            let deviation = (2.0 * of as f64 * share * (1.0 - share)).sqrt();
            let distance = (found as f64 - expected).abs() / deviation;
            assert!(distance <= 4.0, "{name}: {found}, recorded {expected}");
            distance
        };
        farthest = farthest
            .max(near(retries, &case["retries"], 2 * requests))
            .max(near(repeated, &case["retries_to_a_host_already_tried"], retries))
            .max(near(failures, &case["status"]["503"], requests));
    }
    format!(
        "hosts of {} recordings, a fixed order equal, counts at most {farthest:.1} standard errors away",
        list(&recorded["hosts"]).len()
    )
}

pub(super) fn run(scenario: &Value) -> Summary {
    run_source(&Source::from_text("retries.yaml", scenario.to_string()))
}

fn run_source(source: &Source) -> Summary {
    let (loaded, diagnostics) = scenario::load(source, &Overrides::default());
    let scenario = loaded.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    let outcome = Experiment::of(&scenario).run(1, |_| {});
    Results::new(&scenario, &outcome).summary
}

/// Runs a scenario whose client sends at these times, by the file `times.csv`.
fn run_at(times: &str, scenario: &Value) -> Summary {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("times.csv"), times).expect("the times can be written");
    let path = folder.path().join("scenario.yaml");
    std::fs::write(&path, scenario.to_string()).expect("the scenario can be written");
    run_source(&Source::read(&path).unwrap_or_else(|problems| panic!("{}", problems.render(false))))
}

/// Bursts against the limits: the same numbers of answers, rejections and attempts, through whole simulations.
fn recorded_bursts() -> String {
    let recorded = recorded();
    for case in list(&recorded["bursts"]) {
        let (config, burst) = (&case["config"], count(&case["input"]["burst"]));
        let gap = count(&case["input"]["stagger_us"]);
        let times: String = (0..burst).map(|i| format!("{}us\n", 1000 + i * gap)).collect();
        let mut mesh = json!({
            "circuit_breaker": {"thresholds": [config["thresholds"]]},
            "connection_pool": {"protocol": "http1"},
        });
        if !config["retry_policy"].is_null() {
            mesh["retry"] = config["retry_policy"].clone();
        }
        let mut steps = vec![json!({"work": format!("{}ms", config["backend"]["service_ms"])})];
        if config["backend"]["answers"] != 200 {
            steps.push(json!({"fail": {"probability": 1.0, "status": config["backend"]["answers"]}}));
        }
        let name = case["case"].as_str().expect("a name");
        for seed in 1..=5 {
            let scenario = json!({
                "apiVersion": "meshsim/v1",
                "seed": seed,
                "duration": "20s",
                "replications": 1,
                "topology": {
                    "network": {"same_zone": "100us"},
                    "services": {"s": {"replicas": config["hosts"], "concurrency": "unlimited", "operations": {"get": steps}}},
                },
                "clients": {"c": {"call": "s/get", "arrivals": {"replay": {"file": "times.csv"}}}},
                "mesh": mesh,
            });
            let summary = run_at(&times, &scenario);
            let client = summary.variants[0].clients.get("c").expect("the client");
            let service = summary.variants[0].services.get("s").expect("the service");
            let whole = |value: &meshsim::report::summary::Value| value.value.expect("a count") as u64;
            assert_eq!(whole(&client.requests_total), burst, "{name}");
            let overflows = client.failures_total.get("overflow").copied().unwrap_or(0);
            let answered = whole(&client.requests_total) - client.failures_total.iter().map(|(_, count)| count).sum::<u64>();
            for (key, found) in [
                ("answered", answered),
                ("rejected_at_once", overflows),
                ("attempts_at_backend", whole(&service.requests_total)),
            ] {
                let recorded = list(&case[key]).iter().map(count);
                let (low, high) = (recorded.clone().min(), recorded.max());
                assert!(
                    Some(found) >= low && Some(found) <= high,
                    "{name}: {key} is {found}, not {low:?} to {high:?}"
                );
            }
            if answered > 0 {
                let last = client.latency_seconds.get("max").and_then(|max| max.value).expect("a figure") * 1e3;
                let recorded = number(&list(&case["last_ms"])[0]);
                assert!(
                    (last - recorded).abs() <= 0.02 * recorded + 15.0,
                    "{name}: {last} ms, not {recorded}"
                );
            }
        }
    }
    format!(
        "{} bursts, 5 runs of each: answers, rejections and attempts equal, or in the recorded range where that has one",
        list(&recorded["bursts"]).len()
    )
}

/// Each of three hops tries twice more; what arrives at the last service for each request, and how many succeed.
fn thinning_and_amplification() -> String {
    // What is sent in the first seconds has ended long before the end.
    let chain = |mesh: Value, requests: u64, gap_us: u64| {
        let times: String = (1..=requests).map(|i| format!("{}us\n", i * gap_us)).collect();
        let hop = |next: &str| json!({"replicas": 1, "concurrency": "unlimited", "operations": {"get": [{"work": "1ms"}, {"call": next}]}});
        let leaf = json!([{"work": "10ms"}, {"fail": {"probability": 1.0, "status": 503}}]);
        let scenario = json!({
            "apiVersion": "meshsim/v1", "seed": 3, "duration": "30s", "replications": 2,
            "topology": {"services": {
                "a": hop("b/get"), "b": hop("c/get"),
                "c": {"replicas": 1, "concurrency": "unlimited", "operations": {"get": leaf}},
            }},
            "clients": {"u": {"call": "a/get", "arrivals": {"replay": {"file": "times.csv"}}}},
            "mesh": mesh,
        });
        run_at(&times, &scenario)
    };
    let at_leaf = |summary: &Summary| {
        let requests = summary.variants[0].clients.get("u").expect("the client").requests_total.value;
        let leaf = summary.variants[0]
            .services
            .get("c")
            .expect("the service")
            .requests_total
            .value;
        leaf.expect("a count") / requests.expect("a count")
    };
    let retry = json!({"num_retries": 2, "retry_on": "5xx", "back_off": {"base_interval": "1ms"}});
    let worst = at_leaf(&chain(json!({"retry": retry}), 20, 100_000));
    assert!((worst - 27.0).abs() < 1e-9, "{worst} attempts at the leaf");
    // One hop only retries: its attempts and failures are geometric sums.
    let (share, rate, seconds) = (0.3, 200, 60);
    let single = json!({"retry": retry, "circuit_breaker": {"max_retries": 100_000}});
    let summary = run(&json!({
        "apiVersion": "meshsim/v1", "seed": 4, "duration": format!("{seconds}s"), "replications": 4,
        "topology": {"services": {"c": {"replicas": 1, "concurrency": "unlimited",
            "operations": {"get": [{"work": "1ms"}, {"fail": {"probability": share, "status": 503}}]}}}},
        "clients": {"u": {"call": "c/get", "arrivals": {"poisson": {"rate": rate}}}},
        "mesh": single,
    }));
    let client = summary.variants[0].clients.get("u").expect("the client");
    let requests = client.requests_total.value.expect("a count");
    let near = |found: f64, expected: f64, deviation: f64| {
        let distance = (found - expected).abs() / (deviation / requests.sqrt());
        assert!(distance < 4.0, "{found}, not {expected}");
    };
    let attempts = client.attempts_per_request_ratio.value.expect("a figure");
    near(attempts, 1.0 + share + share * share, 0.65);
    let failed = share * share * share;
    near(
        client.availability_ratio.value.expect("a figure"),
        1.0 - failed,
        (failed * (1.0 - failed)).sqrt(),
    );
    // With all failing and a budget of a fifth of what is under way, retries are a fifth of attempts at most.
    let budget = json!({"budget_percent": "20%", "min_retry_concurrency": 0});
    let mut bounded = retry.clone();
    bounded["retry_budget"] = budget;
    bounded["num_retries"] = json!(10);
    let each = at_leaf(&chain(json!({"retry": bounded}), 10_000, 500)).cbrt();
    assert!((1.1..=1.25).contains(&each), "{each} attempts of a call");
    format!(
        "27 attempts at the third hop; attempts and availability of {requests:.0} calls within 4 standard errors; {each:.2} attempts of a \
         call under a budget of 20 %"
    )
}

/// Attempts, connections and retries begin and end at random; no limit is ever passed.
fn limits_are_kept() -> String {
    let mut steps = 0;
    for seed in 0..60 {
        steps += random_script(seed);
    }
    format!("60 scripts of {steps} steps: no limit passed, nothing left behind")
}

/// A call of a random script.
struct Open {
    ticket: Ticket,
    attempts: u32,
    wait: Option<WaitIndex>,
}

fn random_script(seed: u64) -> u32 {
    let mut dice = Rng::new(seed);
    let (requests, retries) = (3 + dice.below(6) as u32, 1 + dice.below(3) as u32);
    let (connections, pending) = (1 + dice.below(5) as u32, dice.below(4) as u32);
    let hosts = 1 + dice.below(4) as usize;
    let http2 = dice.below(2) == 0;
    let mut config = config(
        "envoy/round_robin",
        &json!({
            "circuit_breaker": {
                "max_requests": requests, "max_retries": retries, "max_connections": connections, "max_pending_requests": pending,
            },
            "retry": {"num_retries": 3, "retry_on": "5xx"},
        }),
    );
    let pooled = dice.below(4) > 0;
    config.pool = pooled.then(|| connection_pool::Options {
        protocol: if http2 {
            connection_pool::Protocol::Http2
        } else {
            connection_pool::Protocol::Http1
        },
        max_concurrent_streams: 2,
        ..connection_pool::Options::default()
    });
    let mut caller = Caller::new(config, hosts, seed);
    let (mut open, mut owed, mut opening): (Vec<Open>, Vec<u32>, Vec<Opening>) = (Vec::new(), Vec::new(), Vec::new());
    let mut ready: Vec<(WaitIndex, Result<(), Refusal>)> = Vec::new();
    let steps = 400;
    for step in 0..steps {
        caller.pass(0.001);
        let one = |dice: &mut Rng, len: usize| dice.below(len as u64) as usize;
        let drains = step > 300;
        match dice.below(6) {
            0 | 1 if !drains => {
                let attempts = owed.pop().unwrap_or(0);
                let tried = vec![EndpointIndex(0); attempts as usize];
                if let Ok(ticket) = caller.pick(&tried) {
                    let wait = match caller.cluster.last_place() {
                        Place::Open => None,
                        Place::Waiting(wait) => Some(wait),
                    };
                    open.push(Open {
                        ticket,
                        attempts: attempts + 1,
                        wait,
                    });
                }
            }
            2 if !opening.is_empty() => {
                let opening = opening.swap_remove(one(&mut dice, opening.len()));
                caller.cluster.on_opened(&opening, dice.below(4) > 0, caller.now);
            }
            3 if !owed.is_empty() => {
                owed.swap_remove(one(&mut dice, owed.len()));
                caller.cluster.on_retry_dropped(RoutingPriority::Default);
            }
            _ if !open.is_empty() => {
                let call = open.swap_remove(one(&mut dice, open.len()));
                let answers = [
                    Answer::Status(200),
                    Answer::Status(503),
                    Answer::Reset,
                    Answer::Timeout,
                    Answer::PerTryTimeout,
                ];
                let answer = answers[one(&mut dice, answers.len())];
                let outcome = outcome(answer, call.attempts, Duration::ZERO);
                let verdict = match call.wait {
                    None => caller.cluster.on_finished(call.ticket, &outcome, caller.now),
                    Some(wait) => caller.cluster.on_finished_waiting(call.ticket, wait, &outcome, caller.now),
                };
                if matches!(verdict, Verdict::Retry { .. }) {
                    owed.push(call.attempts);
                }
            }
            _ => {}
        }
        while let Some(next) = caller.cluster.next_opening() {
            opening.push(next);
        }
        while let Some(next) = caller.cluster.next_ready() {
            ready.push(next);
        }
        for (wait, admitted) in ready.drain(..) {
            let place = open.iter().position(|call| call.wait == Some(wait)).expect("it waits");
            if admitted.is_ok() {
                open[place].wait = None;
            } else {
                let call = open.swap_remove(place);
                let outcome = outcome(Answer::Cancelled, call.attempts, Duration::ZERO);
                caller.cluster.on_finished_waiting(call.ticket, wait, &outcome, caller.now);
            }
        }
        while let Some(wait) = caller.cluster.next_failed() {
            let place = open.iter().position(|call| call.wait == Some(wait)).expect("it waits");
            let call = open.swap_remove(place);
            let outcome = outcome(Answer::ConnectFailure, call.attempts, Duration::ZERO);
            if let Verdict::Retry { .. } = caller.cluster.on_finished_waiting(call.ticket, wait, &outcome, caller.now) {
                owed.push(call.attempts);
            }
        }
        let waiting = open.iter().filter(|call| call.wait.is_some()).count() as u32;
        assert_eq!(caller.cluster.requests(), open.len() as u64, "seed {seed}");
        assert!(open.len() as u32 - waiting <= requests, "seed {seed}: requests");
        assert!(caller.cluster.retries() <= u64::from(retries), "seed {seed}: retries");
        let (connected, waits) = caller.cluster.connections();
        assert!(connected < connections + hosts as u32, "seed {seed}: {connected} connections");
        assert_eq!(waits, waiting, "seed {seed}");
        assert!(waits <= pending, "seed {seed}: {waits} wait");
        let granted = open.iter().filter(|call| call.attempts > 1).count() + owed.len();
        assert_eq!(caller.cluster.retries(), granted as u64, "seed {seed}: slots");
    }
    steps
}

fn vectors(prefix: &str, check: fn(&str, &Value, &Value)) -> String {
    let text: Value = serde_json::from_str(include_str!("retries/vectors.json")).expect("it is JSON");
    let mut checked = 0;
    for case in list(&text["cases"]) {
        let op = case["input"]["op"].as_str().expect("a name");
        if op.starts_with(prefix) {
            check(op, &case["input"], &case["expected"]);
            checked += 1;
        }
    }
    assert!(checked > 0, "no vector of {prefix}");
    format!("{checked} vectors, all equal")
}

fn envoy_vector(op: &str, input: &Value, expected: &Value) {
    let back_off = || BackOff {
        base_interval: Duration::from_millis(count(&input["base"])),
        max_interval: Some(Duration::from_millis(count(&input["max"]))),
    };
    let bound = |k: usize| back_off().bound(k as u32 + 1).0 / 1_000_000;
    match op {
        "envoy_backoff_exclusive_upper_bounds_ms" => {
            let bounds: Vec<u64> = (0..count(&input["retries"]) as usize).map(bound).collect();
            assert_eq!(json!(bounds), *expected);
        }
        "envoy_backoff_values_ms" => {
            let draws = list(&input["random"]).iter().enumerate();
            let values: Vec<u64> = draws.map(|(k, draw)| count(draw) % bound(k)).collect();
            assert_eq!(json!(values), *expected);
        }
        "envoy_retry_budget_max" => {
            let budget: RetryBudget = serde_json::from_value(json!({
                "budget_percent": {"value": input["budget_percent"]},
                "min_retry_concurrency": input["min_retry_concurrency"],
            }))
            .expect("it is valid");
            let requests = count(&input["active_requests"]) + count(&input["pending_requests"]);
            assert_eq!(json!(budget.limit(requests)), *expected);
        }
        "envoy_rate_limited_backoff_range_ms" => {
            let (mut low, mut high) = (Duration::MAX, Duration::ZERO);
            let mut rng = Rng::new(1);
            for _ in 0..200_000 {
                let pause = BackOff::draw_after(Duration::from_millis(count(&input["interval"])), &mut rng);
                (low, high) = (low.min(pause), high.max(pause));
            }
            assert_eq!(low, Duration::from_millis(count(&expected["min_inclusive"])));
            assert_eq!(high, Duration::from_millis(count(&expected["max_exclusive"]) - 1));
        }
        other => panic!("an unknown vector: {other}"),
    }
}

fn grpc_vector(op: &str, input: &Value, expected: &Value) {
    match op {
        "grpc_retry_backoff_ranges_s" => {
            let seconds = |value: &Value| Some(Duration::from_secs_f64(number(value)));
            let options = GrpcOptions {
                initial_backoff: seconds(&input["initial"]),
                max_backoff: seconds(&input["max"]),
                backoff_multiplier: input["multiplier"].as_f64(),
                ..GrpcOptions::default()
            };
            for (k, range) in (1..).zip(list(expected)) {
                let mean = options.mean_pause(k).as_secs_f64();
                assert!((mean * 0.8 - number(&range[0])).abs() < 1e-8, "{range} {mean}");
                assert!((mean * 1.2 - number(&range[1])).abs() < 1e-8, "{range} {mean}");
            }
        }
        "grpc_retry_throttle" => {
            let mut throttle = Throttle::new(&RetryThrottling {
                max_tokens: number(&input["maxTokens"]),
                token_ratio: number(&input["tokenRatio"]),
            });
            for (event, expected) in list(&input["events"]).iter().zip(list(expected)) {
                let failed = event == "F";
                let allowed = throttle.on_ended(Answer::Status(if failed { 503 } else { 200 }), failed);
                assert_eq!(allowed, expected["retry_allowed"] == true, "{expected}");
                assert_eq!(throttle.thousandths(), (number(&expected["tokens"]) * 1e3).round() as u64);
            }
        }
        // How a channel connects is not a retry of a call.
        "grpc_connection_backoff_s" => {}
        other => panic!("an unknown vector: {other}"),
    }
}

fn linkerd_vector(_: &str, input: &Value, expected: &Value) {
    let options = LinkerdOptions {
        min_backoff: Duration::from_millis(count(&input["min"])),
        max_backoff: Duration::from_millis(count(&input["max"])),
        ..LinkerdOptions::default()
    };
    let bases: Vec<u64> = (1..=count(&input["n"]) as u32)
        .map(|k| options.base(k).0 / 1_000_000)
        .collect();
    assert_eq!(json!(bases), *expected);
}

fn budget_vector(op: &str, input: &Value, expected: &Value) {
    let ttl = Duration::from_secs(count(&input["ttl_s"]));
    let (minimum, percent) = (count(&input["min_per_s"]) as u32, number(&input["percent"]));
    let terms = match op {
        "tower_tps_budget" => Terms::tower(ttl, minimum, percent),
        _ => Terms::finagle(ttl, minimum, percent),
    };
    for (key, found) in [
        ("deposit", terms.deposit),
        ("withdraw", terms.withdraw),
        ("reserve", terms.reserve),
    ] {
        assert_eq!(json!(found), expected[key], "{input}: {key}");
    }
    if let Some(balance) = expected["initial_balance"].as_i64() {
        assert_eq!(Tokens::new(terms).balance(Time::ZERO), balance, "{input}");
    }
    if let Some(slot) = expected["slot_s"].as_f64() {
        assert!((terms.slot.as_secs_f64() - slot).abs() < 1e-9, "{input}");
        assert_eq!(json!(terms.past), expected["slots"]);
    }
}

/// maxTokens 10, tokenRatio 0.1: five failures stop retries, one success lets them go on, the next failure stops them. Through replay.
fn grpc_example() -> String {
    let mesh = json!({"retry": {"grpc/retry": {
        "maxAttempts": 4, "initialBackoff": "100ms", "maxBackoff": "1s", "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"], "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    }}});
    let mut script = endpoints_line(&[json!({"id": "a"})]);
    let ends = [
        503, 503, 503, 503, 503, 503, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 503, 503,
    ];
    for status in ends {
        script += &format!("{}\n", json!({"op": "pick", "attempt": 0}));
        script += &format!("{}\n", json!({"op": "done", "endpoint": "a", "status": status}));
    }
    let text = output(config("grpc/round_robin", &mesh), 1, &script);
    let answers: Vec<bool> = text
        .lines()
        .filter(|line| line.contains("retry"))
        .map(|line| !line.contains("null"))
        .collect();
    // Tokens: 9, 8, 7, 6, 5, 4; eleven successes to 5.1; then 4.1, 3.1.
    assert_eq!(answers, [true, true, true, true, false, false, false, false], "{text}");
    assert!(text.contains("\"reason\": \"budget\""), "{text}");
    let first: Value = serde_json::from_str(text.lines().nth(1).expect("a line")).expect("JSON");
    assert!((0.08..=0.12).contains(&number(&first["retry"])), "{first}");
    format!("{} answers, each as the tokens say", ends.len())
}

/// 100 withdrawals from the reserve of a profile's budget, five more for each 25 successes; it is all there again after its time.
fn linkerd_example() -> String {
    let mut caller = Caller::of(&json!({"retry": {"linkerd/retry": {"budget": {}}}}));
    let granted = |caller: &mut Caller| (0..200).filter(|_| caller.retries(Answer::Status(503))).count();
    // What a retry pays in when it is answered makes up for a fifth of it.
    let all = granted(&mut caller);
    assert_eq!(all, 125 - 1, "retries from the reserve");
    caller.pass(12.0);
    assert_eq!(granted(&mut caller), all, "after the budget's time");
    let mut limited = Caller::of(&json!({"retry": {"linkerd/retry": {"limit": 2, "http": "gateway-error"}}}));
    let ticket = limited.pick(&[]).expect("an endpoint");
    assert_eq!(limited.finish(ticket, Answer::Status(500), 1, 0.0), Verdict::Done);
    for attempt in 1..=3 {
        let ticket = limited.pick(&[]).expect("an endpoint");
        let verdict = limited.finish(ticket, Answer::Status(503), attempt, 0.0);
        let base = 0.025 * f64::from(1 << (attempt - 1));
        match verdict {
            Verdict::Retry { after } if attempt < 3 => assert!((base..=2.0 * base).contains(&after.as_secs_f64()), "{after}"),
            verdict => assert_eq!((verdict, attempt), (Verdict::Done, 3)),
        }
    }
    format!("{all} retries from the reserve, and again once it has run out; a limit of 2")
}

/// A budget without a minimum gives one retry for five answers; requests that were written are not sent again.
fn finagle_example() -> String {
    let mut caller = Caller::of(&json!({"retry": {"finagle/retry": {"min_retries_per_sec": 0}}}));
    assert!(!caller.retries(Answer::ConnectFailure), "nothing is there");
    for _ in 0..5 {
        caller.call(Answer::Status(200)).expect("an endpoint");
    }
    assert!(!caller.retries(Answer::Status(503)));
    assert!(caller.retries(Answer::ConnectFailure), "five answers pay for it");
    assert!(!caller.retries(Answer::ConnectFailure), "and for one only");
    for _ in 0..5 {
        caller.call(Answer::Status(200)).expect("an endpoint");
    }
    caller.pass(11.0);
    assert!(!caller.retries(Answer::ConnectFailure), "what was paid in has run out");
    "one retry for five answers, and none once they are 10 s old".to_string()
}

/// 500 tokens: 100 retries at 5, then none; a success gives 1, and one after a retry gives back 5.
fn aws_example() -> String {
    let mut caller = Caller::of(&json!({"retry": {"aws/retry": {}}}));
    let granted = (0..200)
        .filter(|_| matches!(caller.call(Answer::Status(503)), Ok(Verdict::Retry { .. })))
        .count();
    assert_eq!(granted, 100);
    for _ in 0..4 {
        caller.call(Answer::Status(200)).expect("an endpoint");
    }
    assert_eq!(caller.call(Answer::Status(503)), Ok(Verdict::Done));
    caller.call(Answer::Status(200)).expect("an endpoint");
    let Ok(Verdict::Retry { after }) = caller.call(Answer::Status(503)) else {
        panic!("five successes pay for a retry");
    };
    assert!(after < Duration::from_secs(1), "{after}");
    let ticket = caller.pick(&[EndpointIndex(0)]).expect("an endpoint");
    caller.finish(ticket, Answer::Status(200), 2, 0.0);
    assert!(matches!(caller.call(Answer::Status(503)), Ok(Verdict::Retry { .. })));
    "100 retries from a full bucket, and one for each five successes or retry that succeeds".to_string()
}

/// The states of resilience4j, with its defaults and with a window of ten calls.
fn resilience4j_example() -> String {
    let open = Err(Refusal::CircuitOpen);
    let breaker =
        |options: Value| Caller::of(&json!({"circuit_breaker": {"library/circuit_breaker": {"resilience4j": options}}}));
    let mut caller = breaker(json!({}));
    // 50 of 100 fail: the hundredth call opens it.
    for i in 0..100 {
        let answer = Answer::Status(if i % 2 == 0 { 500 } else { 200 });
        assert_eq!(caller.call(answer), Ok(Verdict::Done), "call {i}");
    }
    assert_eq!(caller.call(Answer::Status(200)), open);
    caller.pass(59.999);
    assert_eq!(caller.call(Answer::Status(200)), open);
    caller.pass(0.001);
    // Ten calls are tried, however many come.
    let tried: Vec<Ticket> = (0..10).map(|_| caller.pick(&[]).expect("it is tried")).collect();
    assert_eq!(caller.pick(&[]).err(), open.err());
    for (i, ticket) in tried.into_iter().enumerate() {
        caller.finish(ticket, Answer::Status(if i < 4 { 500 } else { 200 }), 1, 0.0);
    }
    // Four of ten is below the threshold: closed, and everything is forgotten.
    for i in 0..99 {
        assert_eq!(caller.call(Answer::Reset), Ok(Verdict::Done), "call {i}");
    }
    caller.call(Answer::Reset).expect("the hundredth opens it");
    assert_eq!(caller.call(Answer::Status(200)), open);
    // Slow calls open it too; what says nothing gives its permission back.
    let mut caller = breaker(json!({
        "slidingWindowSize": 10, "slowCallRateThreshold": 50, "slowCallDurationThreshold": "2s", "waitDurationInOpenState": "5s",
        "permittedNumberOfCallsInHalfOpenState": 1,
    }));
    for i in 0..10 {
        let ticket = caller.pick(&[]).expect("it is closed");
        caller.finish(ticket, Answer::Status(200), 1, if i % 2 == 0 { 3.0 } else { 1.0 });
    }
    assert_eq!(caller.call(Answer::Status(200)), open);
    caller.pass(5.0);
    caller.call(Answer::Cancelled).expect("one is tried");
    caller.call(Answer::Status(503)).expect("its permission was given back");
    assert_eq!(caller.call(Answer::Status(200)), open);
    // In a window of time what is old does not count.
    let mut caller =
        breaker(json!({"sliding_window_type": "TIME_BASED", "sliding_window_size": 10, "minimum_number_of_calls": 5}));
    for _ in 0..4 {
        caller.call(Answer::Status(500)).expect("too few");
    }
    caller.pass(10.0);
    for _ in 0..4 {
        caller.call(Answer::Status(500)).expect("the first four are forgotten");
    }
    caller.call(Answer::Status(500)).expect("the fifth opens it");
    assert_eq!(caller.call(Answer::Status(200)), open);
    "resilience4j: opened by failures, by slow calls and in a window of time, tried, closed and opened again as its states say"
        .to_string()
}

/// The states of Hystrix with its defaults: 20 calls in 10 s of which half fail, looked at every 500 ms; one call after 5 s decides.
fn hystrix_example() -> String {
    let mut caller = Caller::of(&json!({"circuit_breaker": {"library/circuit_breaker": {"hystrix": {}}}}));
    let open = Err(Refusal::CircuitOpen);
    for i in 0..40 {
        let answer = Answer::Status(if i % 2 == 0 { 500 } else { 200 });
        assert_eq!(caller.call(answer), Ok(Verdict::Done), "call {i}, before the first look");
    }
    caller.pass(0.5);
    assert_eq!(caller.call(Answer::Status(200)), open);
    caller.pass(5.0);
    assert_eq!(caller.call(Answer::Status(200)), open, "not yet after 5 s");
    caller.pass(0.001);
    let ticket = caller.pick(&[]).expect("one is tried");
    assert_eq!(caller.call(Answer::Status(200)), open, "and one only");
    caller.finish(ticket, Answer::PerTryTimeout, 1, 0.0);
    caller.pass(5.0);
    assert_eq!(caller.call(Answer::Status(200)), open, "the sleep began anew");
    caller.pass(0.001);
    caller.call(Answer::Status(200)).expect("it is tried, and closes it");
    for i in 0..19 {
        caller.call(Answer::Status(500)).unwrap_or_else(|_| panic!("call {i}"));
    }
    caller.pass(0.5);
    caller.call(Answer::Status(500)).expect("19 calls are too few");
    caller.pass(0.5);
    assert_eq!(caller.call(Answer::Status(200)), open);
    "Hystrix: opened at a look, slept, tried by one call, opened and closed as its states say".to_string()
}

/// A service of exponential times of 10 ms that serves everybody at once, called 100 times a second.
fn hedged(mesh: &Value, steps: &Value) -> (f64, f64, Summary) {
    let summary = run(&json!({
        "apiVersion": "meshsim/v1", "seed": 5, "duration": "200s", "replications": 2,
        "topology": {"services": {"s": {"replicas": 3, "concurrency": "unlimited", "on_cancel": "stop", "operations": {"get": steps}}}},
        "clients": {"u": {"call": "s/get", "arrivals": {"poisson": {"rate": 100}}}},
        "mesh": mesh,
    }));
    let client = summary.variants[0].clients.get("u").expect("the client");
    let mean = client
        .latency_seconds
        .get("mean")
        .and_then(|mean| mean.value)
        .unwrap_or(f64::NAN);
    let attempts = client.attempts_per_request_ratio.value.expect("a figure");
    (mean * 1e3, attempts, summary)
}

/// The mean time of a call and its attempts, when a second attempt begins after `delay` ms: m (1 - e^(-d/m) / 2) and 1 + e^(-d/m).
fn check_least_of_two((mean, attempts, _): &(f64, f64, Summary), delay: f64) -> String {
    let late = meshsim::math::exp(-delay / 10.0);
    let (expected, expected_attempts) = (10.0 * (1.0 - late / 2.0), 1.0 + late);
    // Of 40,000 calls.
    assert!((mean - expected).abs() < 4.0 * 10.0 / 200.0, "{mean} ms, not {expected}");
    assert!(
        (attempts - expected_attempts).abs() < 4.0 * 0.5 / 200.0,
        "{attempts}, not {expected_attempts}"
    );
    format!("mean {mean:.2} ms for {expected:.2}, {attempts:.3} attempts for {expected_attempts:.3}")
}

fn exponential() -> Value {
    json!([{"work": {"exponential": {"mean": "10ms"}}}])
}

fn hedged_by_delay() -> String {
    let found = hedged(&json!({"hedging": {"maxAttempts": 2, "hedgingDelay": "5ms"}}), &exponential());
    let text = check_least_of_two(&found, 5.0);
    // What is given up is stopped, so the servers are busy with one attempt at first and with two from then on: 10 ms a call in all, as the
    // ends come at the sum of the rates.
    let busy = found.2.variants[0]
        .services
        .get("s")
        .expect("the service")
        .busy_slots
        .value
        .expect("a figure");
    assert!((busy - 1.0).abs() < 0.03, "{busy} attempts under way");
    text
}

fn hedged_when_late() -> String {
    let retry = json!({"num_retries": 1, "retry_on": "5xx", "per_try_timeout": "5ms", "back_off": {"base_interval": "1us"}});
    let mesh =
        json!({"retry": retry, "hedge_policy": {"hedge_on_per_try_timeout": true}, "circuit_breaker": {"max_retries": 1000}});
    check_least_of_two(&hedged(&mesh, &exponential()), 5.0)
}

/// An answer that is not fatal makes the next attempt at once, a fatal one ends the call, and the last one stands.
fn hedged_failures() -> String {
    let failing = |status: u16| json!([{"work": "1ms"}, {"fail": {"probability": 1.0, "status": status}}]);
    let mesh = json!({"hedging": {"max_attempts": 4, "hedging_delay": "1s", "non_fatal_status_codes": ["UNAVAILABLE"]}});
    let (_, attempts, summary) = hedged(&mesh, &failing(503));
    assert!((attempts - 4.0).abs() < 1e-9, "{attempts} attempts");
    let client = summary.variants[0].clients.get("u").expect("the client");
    let slowest = client
        .failed_latency_seconds
        .get("max")
        .and_then(|max| max.value)
        .expect("a figure");
    assert!((slowest - 0.004).abs() < 1e-4, "{slowest} s");
    let (_, attempts, _) = hedged(&mesh, &failing(500));
    assert!((attempts - 1.0).abs() < 1e-9, "{attempts} attempts");
    "4 attempts of 1 ms after answers that are not fatal, 1 after one that is".to_string()
}

#[test]
fn budgets_are_written_in_per_cent() {
    let read = |text: &str| serde_json::from_str::<Percent>(text).map(Percent::value).ok();
    for text in ["20", "\"20%\"", "\"20\"", "{\"value\": 20.0}", "20.0"] {
        assert_eq!(read(text), Some(20.0), "{text}");
    }
    assert_eq!(read("0.2"), Some(0.2), "as in Envoy");
    assert_eq!(read("120"), None);
}

#[test]
fn a_budget_denies_and_says_so() {
    let mesh = json!({"retry": {"num_retries": 2, "retry_on": "5xx", "retry_budget": {"budget_percent": "20%", "min_retry_concurrency": 1}}});
    let done = |status: u16| format!("{{\"op\": \"done\", \"endpoint\": \"a\", \"status\": {status}}}\n");
    let pick = "{\"op\": \"pick\"}\n";
    let script =
        endpoints_line(&[json!({"id": "a"})]) + pick + pick + &done(503) + &done(503) + pick + &done(200) + pick + &done(503);
    let text = output(config("envoy/round_robin", &mesh), 3, &script);
    let retries: Vec<&str> = text.lines().filter(|line| line.contains("retry")).collect();
    assert!(retries[0].starts_with("{\"retry\": 0."), "{text}");
    assert_eq!(retries[1], "{\"retry\": null, \"reason\": \"budget\"}", "{text}");
    // The retry has ended, and its slot is free.
    assert!(retries[2].starts_with("{\"retry\": 0."), "{text}");
}

#[test]
fn retries_leave_priorities_where_they_have_been() {
    let mesh = json!({"retry": {"num_retries": 3, "retry_on": "5xx", "retry_priority": {"previous_priorities": {"update_frequency": 1}}}});
    let endpoints: Vec<Value> = (0..3).map(|i| json!({"id": format!("p{i}"), "priority": i})).collect();
    let mut script = endpoints_line(&endpoints);
    for i in [0, 1, 2, 0] {
        script += &format!("{{\"op\": \"pick\"}}\n{{\"op\": \"done\", \"endpoint\": \"p{i}\", \"status\": 503}}\n");
    }
    let text = output(config("envoy/round_robin", &mesh), 1, &script);
    let picks: Vec<Value> = text
        .lines()
        .filter(|line| line.contains("pick"))
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["pick"].clone())
        .collect();
    // When all levels have been tried, it begins again.
    assert_eq!(json!(picks), json!(["p0", "p1", "p2", "p0"]), "{text}");
}

#[test]
fn a_rate_limited_answer_says_when_to_come_again() {
    let mesh = json!({"retry": {
        "num_retries": 1, "retry_on": "retriable-status-codes", "retriable_status_codes": [429],
        "rate_limited_retry_back_off": {"reset_headers": [{"name": "retry-after", "format": "SECONDS"}], "max_interval": "10s"},
    }});
    let pause = |after: f64| {
        let script = endpoints_line(&[json!({"id": "a"})])
            + &format!(
                "{{\"op\": \"pick\"}}\n{{\"op\": \"done\", \"endpoint\": \"a\", \"status\": 429, \"retry_after\": {after}}}\n"
            );
        let text = output(config("envoy/round_robin", &mesh), 1, &script);
        let line: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        number(&line["retry"])
    };
    assert!((5.0..7.5).contains(&pause(5.0)));
    // Longer than is believed: the ordinary pause.
    assert!(pause(11.0) < 0.025);
}

#[test]
fn services_say_when_to_come_again() {
    let envoy = |max_interval: &str| {
        json!({
            "num_retries": 1, "retry_on": "5xx",
            "rate_limited_retry_back_off": {"reset_headers": [{"name": "retry-after", "format": "SECONDS"}], "max_interval": max_interval},
        })
    };
    let grpc = json!({"grpc/retry": {
        "max_attempts": 2, "initial_backoff": "10ms", "max_backoff": "10ms", "backoff_multiplier": 1,
        "retryable_status_codes": ["UNAVAILABLE"],
    }});
    let named = json!({"503": "2s", "429": "5s"});
    let other = json!({"429": "2s"});
    // Two attempts of 10 ms and the pause between them, in seconds. Envoy draws it from [2 s, 3 s), or of 25 ms at most.
    let cases = [
        (envoy("10s"), &named, 2.02, 3.02, Some(2.52)),
        (envoy("1s"), &named, 0.02, 0.045, None),
        (envoy("10s"), &other, 0.02, 0.045, None),
        (grpc.clone(), &named, 2.02, 2.02, Some(2.02)),
        (grpc, &other, 0.028, 0.032, Some(0.03)),
    ];
    for (retry, retry_after, least, most, mean) in cases {
        let scenario = json!({
            "apiVersion": "meshsim/v1",
            "duration": "100s",
            "warmup": "0s",
            "replications": 2,
            "topology": {"services": {"s": {
                "replicas": 1,
                "retry_after": retry_after,
                "operations": {"get": [{"work": "10ms"}, {"fail": {"probability": 1.0, "status": 503}}]},
            }}},
            "clients": {"c": {"call": "s/get", "arrivals": {"constant": {"rate": "10/s"}}}},
            "mesh": {"retry": retry},
        });
        let summary = run(&scenario);
        let latency = &summary.variants[0]
            .clients
            .get("c")
            .expect("the client")
            .failed_latency_seconds;
        let figure = |name: &str| latency.get(name).and_then(|value| value.value).expect("requests fail");
        // Histograms know quantiles within 1 %.
        let (median, longest) = (figure("p50"), figure("max"));
        assert!(
            median >= least * 0.99 && longest <= most * 1.01,
            "{retry}: {median} and {longest}"
        );
        if let Some(mean) = mean {
            // 2000 draws from a second have a standard error of 0.29 / sqrt(2000) = 0.0065.
            let found = figure("mean");
            assert!((found - mean).abs() < 0.02, "{retry}: {found}, expected {mean}");
        }
    }
}
