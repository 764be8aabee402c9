//! Outlier detection and failure accrual: against recordings of Envoy, vectors, worked examples, and the rules written down once more.

use std::sync::Arc;

use meshsim::policy::failure_accrual::linkerd;
use meshsim::policy::outlier_detection::{envoy, grpc, success_rate_threshold};
use meshsim::policy::{
    Answer, CallInfo, CallerInfo, Cluster, ClusterConfig, Decision, EndpointIndex, EndpointInfo, Health, Outcome, Ticket,
    Upstream,
};
use meshsim::random::Rng;
use meshsim::replay::setup;
use meshsim::time::{Duration, Time};
use serde_json::{Value, json};

use super::evidence::Evidence;
use super::vectors::{cases, close, f64_of, list, u32_of, u64_of};
use super::{endpoints_line, output, recordings};

mod naive;

const RECORDED: &str = "Recorded ejections of the real proxy";
const VECTORS: &str = "Upstream vectors";
const EXAMPLES: &str = "Worked examples";
const NAIVE: &str = "Its rules written down once more, in random scripts";

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "envoy/outlier_detection",
        against: RECORDED,
        check: check_recordings,
    },
    Evidence {
        policy: "envoy/outlier_detection",
        against: VECTORS,
        check: envoy_vectors,
    },
    Evidence {
        policy: "envoy/outlier_detection",
        against: EXAMPLES,
        check: envoy_examples,
    },
    Evidence {
        policy: "envoy/outlier_detection",
        against: NAIVE,
        check: naive::envoy,
    },
    Evidence {
        policy: "grpc/outlier_detection",
        against: VECTORS,
        check: grpc_vectors,
    },
    Evidence {
        policy: "grpc/outlier_detection",
        against: NAIVE,
        check: naive::grpc,
    },
    Evidence {
        policy: "haproxy/observe",
        against: "The states that its manual describes",
        check: haproxy_states,
    },
    Evidence {
        policy: "linkerd/failure_accrual",
        against: VECTORS,
        check: linkerd_vectors,
    },
    Evidence {
        policy: "linkerd/failure_accrual",
        against: EXAMPLES,
        check: linkerd_example,
    },
    Evidence {
        policy: "linkerd/failure_accrual",
        against: "What its own tests expect",
        check: linkerd_states,
    },
    Evidence {
        policy: "finagle/failure_accrual",
        against: VECTORS,
        check: finagle_vectors,
    },
    Evidence {
        policy: "finagle/failure_accrual",
        against: "The states that its source describes",
        check: finagle_states,
    },
];

/// A balancer with a `mesh` around it.
fn meshed(balancer: &str, mesh: &Value) -> ClusterConfig {
    let text = json!({ "mesh": mesh }).to_string();
    setup::cluster(balancer, &[], Some(("mesh.json", &text))).unwrap_or_else(|message| panic!("{message}"))
}

fn endpoint(i: usize) -> EndpointInfo {
    EndpointInfo {
        address: format!("10.0.0.{i}:80"),
        hostname: None,
        hash_key: None,
        weight: 1,
        region: String::new(),
        zone: String::new(),
        sub_zone: String::new(),
        locality_weight: None,
        metadata: Default::default(),
        priority: 0,
        health: Health::Healthy,
    }
}

/// A caller of so many endpoints.
struct Bench {
    cluster: Cluster,
    now: Time,
}

impl Bench {
    fn new(config: ClusterConfig, hosts: usize) -> Bench {
        let infos: Vec<EndpointInfo> = (0..hosts).map(endpoint).collect();
        let upstream = Arc::new(Upstream::new(config, infos));
        Bench {
            cluster: Cluster::new(upstream, &CallerInfo::default(), Rng::new(3), Time::ZERO),
            now: Time::ZERO,
        }
    }

    /// Lets time pass to `now`.
    fn advance(&mut self, now: Time) {
        while self.cluster.next_timer() <= now {
            self.now = self.cluster.next_timer();
            self.cluster.on_timer(self.now);
        }
        self.now = now;
    }

    /// Places attempts until each of the endpoints has as many.
    fn open(&mut self, hosts: usize, each: u32) {
        for _ in 0..hosts as u32 * each {
            self.cluster.pick(&CallInfo::default(), self.now).expect("all are well");
        }
        for i in 0..hosts as u32 {
            assert_eq!(self.cluster.active(EndpointIndex(i)), each);
        }
    }

    /// What was decided since the last call: who, and for how long out (none: until something happens), or in.
    fn decided(&mut self) -> Vec<(u32, &'static str, Option<Duration>)> {
        let mut decided = Vec::new();
        while let Some(notice) = self.cluster.next_notice() {
            let now = self.now;
            decided.push(match notice.decision {
                Decision::Out { reason, until } => (notice.endpoint.0, reason.word(), until.map(|until| until.since(now))),
                Decision::In => (notice.endpoint.0, "in", None),
                Decision::Spared { .. } => (notice.endpoint.0, "spared", None),
            });
        }
        decided
    }

    /// Lets an attempt at an endpoint, which has one, end with a status.
    fn answer(&mut self, endpoint: usize, status: u16) {
        self.end(endpoint, Answer::Status(status));
    }

    /// Whether an endpoint takes requests.
    fn gets_picks(&self, endpoint: usize) -> bool {
        let health = self.cluster.health(EndpointIndex(endpoint as u32));
        health == Health::Healthy
    }

    /// Places one attempt.
    fn open_one(&mut self) {
        self.cluster.pick(&CallInfo::default(), self.now).expect("somebody takes it");
    }

    /// Places attempts until one is at `endpoint`; the others end well.
    fn pick_at(&mut self, endpoint: usize) {
        for _ in 0..1000 {
            let ticket = self.cluster.pick(&CallInfo::default(), self.now).expect("somebody takes it");
            if ticket.endpoint.0 as usize == endpoint {
                return;
            }
            self.answer(ticket.endpoint.0 as usize, 200);
        }
        panic!("nobody picks {endpoint}");
    }

    fn end(&mut self, endpoint: usize, answer: Answer) {
        let ticket = Ticket::from(EndpointIndex(endpoint as u32));
        let outcome = Outcome {
            answer,
            latency: Duration::from_millis(1),
            attempts: 1,
            load: None,
            retry_after: None,
        };
        self.cluster.on_finished(ticket, &outcome, self.now);
    }
}

fn milliseconds(value: &Value) -> f64 {
    f64_of(value)
}

/// When sweeps were, in milliseconds after a whole number of intervals: the earliest that any event of one says, so that ours are not
/// later than the recorded ones.
fn phase(events: &[Value], interval: f64) -> f64 {
    let is_sweeps = |event: &&Value| {
        let reason = event[3].as_str().unwrap_or_default();
        event[2] == "uneject" || reason.contains("rate") || reason.contains("percentage")
    };
    let mut times = events.iter().filter(is_sweeps).map(|event| milliseconds(&event[0]));
    let Some(first) = times.next() else { return 0.0 };
    let earliest = times
        .map(|time| (time - first + interval / 2.0).rem_euclid(interval) - interval / 2.0)
        .fold(0.0, f64::min);
    (first + earliest).rem_euclid(interval)
}

fn answer_of(how: &Value) -> Answer {
    match how.as_str() {
        Some("connect_failure") => Answer::ConnectFailure,
        Some("reset") => Answer::Reset,
        Some("timeout") => Answer::PerTryTimeout,
        Some(other) => panic!("unknown end {other}"),
        None => Answer::Status(u64_of(how) as u16),
    }
}

/// Plays the recorded answers, and gives the decisions in the form of the recorded events.
fn play(recording: &Value) -> Vec<Value> {
    let hosts = u64_of(&recording["hosts"]) as usize;
    let trail = list(&recording["trail"]);
    let config = meshed(
        "envoy/round_robin",
        &json!({"outlier_detection": recording["outlier_detection"]}),
    );
    let interval = Duration::parse(recording["outlier_detection"]["interval"].as_str().expect("a text")).expect("a duration");
    let interval = interval.as_secs_f64() * 1e3;
    let shift = interval - phase(list(&recording["events"]), interval);
    let mut bench = Bench::new(config, hosts);
    bench.cluster.expect_connections();
    let most = (0..hosts).map(|host| trail.iter().filter(|entry| u64_of(&entry[1]) as usize == host).count());
    bench.open(hosts, most.max().expect("there are hosts") as u32);
    let mut decisions = Vec::new();
    for entry in trail {
        let mut hear = |bench: &mut Bench| {
            while let Some(notice) = bench.cluster.next_notice() {
                let at = bench.now.as_secs_f64() * 1e3 - shift;
                match notice.decision {
                    Decision::Out { reason, .. } => decisions.push(json!([at, notice.endpoint.0, "eject", reason.word()])),
                    Decision::In => decisions.push(json!([at, notice.endpoint.0, "uneject"])),
                    Decision::Spared { .. } => {}
                }
            }
        };
        let at = Time::ZERO + Duration::from_secs_f64((milliseconds(&entry[0]) + shift) / 1e3);
        while bench.cluster.next_timer() <= at {
            let due = bench.cluster.next_timer();
            bench.advance(due);
            hear(&mut bench);
        }
        bench.advance(at);
        bench.end(u64_of(&entry[1]) as usize, answer_of(&entry[2]));
        hear(&mut bench);
    }
    decisions
}

/// Counts must be equal, times within one interval (or as many as the recording says).
fn check_recordings() -> String {
    let (mut played, mut events, mut answers) = (0, 0, 0);
    for (name, recording) in recordings("envoy/outlier_detection") {
        let interval = recording["outlier_detection"]["interval"].as_str().expect("a text");
        let interval = Duration::parse(interval).expect("a duration").as_secs_f64() * 1e3;
        let tolerance = interval * recording["tolerance_intervals"].as_f64().unwrap_or(1.0) + 5.0;
        let found = play(&recording);
        let expected = list(&recording["events"]);
        // What the end of the recording cut off may be there.
        let host = |event: &Value| u64_of(&event[1]);
        for i in 0..u64_of(&recording["hosts"]) {
            let of_host = |events: &[Value]| events.iter().filter(|event| host(event) == i).cloned().collect::<Vec<_>>();
            let (found, expected) = (of_host(&found), of_host(expected));
            let last = f64_of(&list(&recording["trail"]).last().expect("there are answers")[0]) - tolerance;
            let count = found.iter().filter(|event| f64_of(&event[0]) < last).count();
            assert!(
                count <= expected.len() && expected.len() <= found.len(),
                "{name}: host {i}: {found:?} instead of {expected:?}"
            );
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!((&found[2], &found[3]), (&expected[2], &expected[3]), "{name}: host {i}");
                let difference = f64_of(&found[0]) - f64_of(&expected[0]);
                assert!(difference.abs() <= tolerance, "{name}: {found} instead of {expected}");
            }
            events += expected.len();
        }
        played += 1;
        answers += list(&recording["trail"]).len();
    }
    format!("{played} recordings, {answers} answers, {events} ejections and ends of them: counts equal, times within an interval")
}

/// Ejects the first of so many endpoints time after time, and gives for how long each time.
fn ejection_times(options: &Value, times: usize) -> Vec<Duration> {
    let mut bench = Bench::new(meshed("envoy/round_robin", &json!({"outlier_detection": options})), 2);
    bench.open(2, 5 * times as u32 + 5);
    let mut found = Vec::new();
    while found.len() < times {
        for _ in 0..5 {
            bench.answer(0, 500);
        }
        let &[(0, "consecutive_5xx", Some(time))] = bench.decided().as_slice() else {
            panic!("one ejection is wanted");
        };
        found.push(time);
        while bench.cluster.health(EndpointIndex(0)) != Health::Healthy {
            let due = bench.cluster.next_timer();
            bench.advance(due);
        }
        assert_eq!(bench.decided(), [(0, "in", None)]);
    }
    found
}

fn envoy_vectors() -> String {
    let cases = cases("envoy/outlier_detection/vectors/outlier_detection.json");
    for (name, input, expected) in &cases {
        match input["op"].as_str().expect("a name") {
            "success_rate_threshold" => {
                let rates: Vec<f64> = list(&input["rates"]).iter().map(f64_of).collect();
                let factor = u32_of(&input["stdev_factor"]);
                let (mean, limit) = success_rate_threshold(rates.iter().copied(), factor).expect("there are rates");
                assert!(close(mean, f64_of(&expected["mean"]), 1e-9), "{name}: {mean}");
                assert!(close(limit, f64_of(&expected["threshold"]), 1e-9), "{name}: {limit}");
                let out: Vec<usize> = (0..rates.len()).filter(|&i| rates[i] < limit).collect();
                let wanted: Vec<usize> = list(&expected["ejected_indices"])
                    .iter()
                    .map(|i| u64_of(i) as usize)
                    .collect();
                assert_eq!(out, wanted, "{name}");
            }
            "ejection_times_ms" => {
                let (base, longest) = (u64_of(&input["base_ms"]), u64_of(&input["max_ms"]));
                let options = json!({
                    "base_ejection_time": format!("{base}ms"), "max_ejection_time": format!("{longest}ms"),
                    "interval": "1s", "max_ejection_percent": 50,
                });
                let found = ejection_times(&options, u64_of(&input["ejections"]) as usize);
                let wanted: Vec<Duration> = list(expected).iter().map(|ms| Duration::from_millis(u64_of(ms))).collect();
                assert_eq!(found, wanted, "{name}");
            }
            _ => {
                let found = envoy::may_eject(
                    u32_of(&input["hosts"]),
                    u32_of(&input["already_ejected"]),
                    u32_of(&input["max_ejection_percent"]),
                    input["always_eject_one_host"] == true,
                );
                assert_eq!(json!(found), *expected, "{name}");
            }
        }
    }
    format!("{} limits, times and permissions, all equal", cases.len())
}

fn grpc_vectors() -> String {
    let cases = cases("grpc/outlier_detection/vectors/outlier_detection.json");
    for (name, input, expected) in &cases {
        let found = grpc::may_eject(
            u32_of(&input["endpoints"]),
            u32_of(&input["already_ejected"]),
            u32_of(&input["max_ejection_percent"]),
        );
        assert_eq!(json!(found), *expected, "{name}");
    }
    format!("{} permissions, all equal", cases.len())
}

fn linkerd_vectors() -> String {
    let cases = cases("linkerd/failure_accrual/vectors/back_off.json");
    for (name, input, expected) in &cases {
        let back_off = linkerd::ExponentialBackOff {
            min: Duration::from_millis(u64_of(&input["min"])),
            max: Duration::from_millis(u64_of(&input["max"])),
            jitter: 0.0,
        };
        let found: Vec<u64> = (0..u32_of(&input["n"])).map(|k| back_off.base(k).0 / 1_000_000).collect();
        let wanted: Vec<u64> = list(expected).iter().map(u64_of).collect();
        assert_eq!(found, wanted, "{name}");
        assert_eq!(back_off.base(200), back_off.max, "{name}: what doubles does not run over");
    }
    format!("{} rows of pauses, all equal", cases.len())
}

fn finagle_vectors() -> String {
    let cases = cases("finagle/failure_accrual/vectors/success_rate.json");
    for (name, input, expected) in &cases {
        let options = json!({"required_success_rate": input["required"], "window": input["window"]});
        let config = meshed(
            "finagle/p2c_least_loaded",
            &json!({"failure_accrual": {"finagle/success_rate": options}}),
        );
        let mut bench = Bench::new(config, 1);
        let successes = u32_of(&input["successes_first"]);
        bench.open(1, successes + 200);
        (0..successes).for_each(|_| bench.answer(0, 200));
        assert!(bench.decided().is_empty(), "{name}");
        let failures = (1..=200).find(|_| {
            bench.answer(0, 503);
            !bench.decided().is_empty()
        });
        assert_eq!(json!(failures), expected["first_failure_count_that_marks_dead"], "{name}");
    }
    format!("{} counts of failures, all equal", cases.len())
}

/// Lines of a script that end attempts so.
fn done(t: f64, endpoint: &str, status: u16) -> String {
    format!("{}\n", json!({"op": "done", "t": t, "endpoint": endpoint, "status": status}))
}

/// What a replay prints beside picks.
fn decisions(mesh: &Value, script: &str) -> Vec<Value> {
    let text = output(meshed("envoy/round_robin", mesh), 0, script);
    let lines = text.lines().filter(|line| !line.contains("\"pick\""));
    lines
        .map(|line| serde_json::from_str(line).expect("it prints JSON"))
        .collect()
}

fn ids(count: usize) -> Vec<Value> {
    (0..count).map(|i| json!({"id": format!("e:{i}")})).collect()
}

/// Examples 1, 6 and 8 of failover.md, section 15.
fn envoy_examples() -> String {
    // A host fails from the start, every half second.
    let mesh = json!({"outlier_detection": {
        "consecutive_5xx": 5, "base_ejection_time": "30s", "interval": "10s", "max_ejection_percent": 50,
    }});
    let mut script = endpoints_line(&ids(5)) + "{\"op\": \"pick\", \"count\": 100}\n";
    for i in 1..=5 {
        script += &done(f64::from(i) * 0.5, "e:0", 503);
    }
    for i in 1..=5 {
        script += &done(40.0 + f64::from(i) * 0.5, "e:0", 500);
    }
    script += "{\"op\": \"tick\", \"t\": 200}\n";
    let expected = json!([
        {"t": 2.5, "eject": "e:0", "reason": "consecutive_5xx", "until": 32.5},
        {"t": 40.0, "uneject": "e:0"},
        {"t": 42.5, "eject": "e:0", "reason": "consecutive_5xx", "until": 102.5},
        {"t": 110.0, "uneject": "e:0"},
    ]);
    assert_eq!(Value::from(decisions(&mesh, &script)), expected);
    // Six of ten are out: with the default threshold all are used, without one the other four.
    for (threshold, used) in [(50, 10), (0, 4)] {
        let mesh = json!({"healthy_panic_threshold": threshold, "outlier_detection": {"max_ejection_percent": 100}});
        let mut script = endpoints_line(&ids(10)) + "{\"op\": \"pick\", \"count\": 50}\n";
        for host in 0..6 {
            script += &done(1.0, &format!("e:{host}"), 500).repeat(5);
        }
        script += "{\"op\": \"pick\", \"t\": 2, \"count\": 40}\n";
        let text = output(meshed("envoy/round_robin", &mesh), 0, &script);
        assert_eq!(text.matches("\"eject\"").count(), 6, "{text}");
        let picked = |i: usize| text.contains(&format!("{{\"t\": 2.0, \"pick\": \"e:{i}\"}}"));
        assert_eq!((0..10).filter(|&i| picked(i)).count(), used, "threshold {threshold}");
    }
    // The default share lets nobody of 9 go, one of 10 to 19, two of 20.
    let mut clusters = 0;
    for (hosts, most) in (1..=9).map(|hosts| (hosts, 0)).chain([(10, 1), (19, 1), (20, 2), (29, 2)]) {
        let mut script = endpoints_line(&ids(hosts)) + &format!("{{\"op\": \"pick\", \"count\": {}}}\n", hosts * 10);
        for host in 0..hosts {
            script += &done(1.0, &format!("e:{host}"), 502).repeat(10);
        }
        let found = decisions(&json!({"outlier_detection": {}}), &script);
        assert_eq!(found.len(), most, "of {hosts}: {found:?}");
        clusters += 1;
    }
    format!("4 decisions, 2 shares of traffic, {clusters} sizes of clusters, all equal")
}

/// Example 4 of failover.md, section 15: one request for each time shut.
fn linkerd_example() -> String {
    let mesh = json!({"failure_accrual": {"linkerd/consecutive": {"jitter_ratio": 0}}});
    let mut bench = Bench::new(meshed("linkerd/peak_ewma", &mesh), 1);
    bench.open(1, 7);
    (0..6).for_each(|_| bench.answer(0, 500));
    assert!(bench.decided().is_empty());
    bench.answer(0, 503);
    let mut seconds = Vec::new();
    for _ in 0..8 {
        let &[(0, "consecutive_failures", Some(time))] = bench.decided().as_slice() else {
            panic!("it is shut");
        };
        seconds.push(time.as_secs_f64());
        assert!(bench.cluster.pick(&CallInfo::default(), bench.now).is_err());
        bench.advance(bench.now + time);
        assert_eq!(bench.decided(), [(0, "in", None)]);
        assert!(bench.cluster.pick(&CallInfo::default(), bench.now).is_ok());
        assert!(
            bench.cluster.pick(&CallInfo::default(), bench.now).is_err(),
            "one is admitted"
        );
        bench.answer(0, 500);
    }
    assert_eq!(seconds, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
    // The jitter makes it longer, by at most half, and not beyond the longest.
    let mesh = json!({"failure_accrual": "linkerd/consecutive"});
    let mut bench = Bench::new(meshed("linkerd/peak_ewma", &mesh), 1);
    bench.open(1, 7);
    (0..7).for_each(|_| bench.answer(0, 500));
    for k in 0..9 {
        let Some((0, _, Some(time))) = bench.decided().last().copied() else {
            panic!("it is shut")
        };
        let base = f64::from(1_u32 << k.min(6)).min(60.0);
        assert!((base..=(base * 1.5).min(60.0)).contains(&time.as_secs_f64()), "{k}: {time}");
        bench.advance(bench.now + time);
        bench.open_one();
        bench.end(0, Answer::PerTryTimeout);
    }
    format!("{} times shut, all equal; 9 with jitter within its bounds", seconds.len())
}

/// `consecutive_failures.rs: transitions`, and what `unified.rs` and `success_rate.rs` test.
fn linkerd_states() -> String {
    let consecutive = json!({"failure_accrual": {"linkerd/consecutive": {
        "max_failures": 2, "min_penalty": "1s", "max_penalty": "100s", "jitter_ratio": 0,
    }}});
    let mut bench = Bench::new(meshed("linkerd/peak_ewma", &consecutive), 1);
    bench.open(1, 5);
    bench.answer(0, 502);
    assert!(bench.gets_picks(0));
    bench.answer(0, 502);
    assert!(!bench.gets_picks(0));
    bench.advance(Time::ZERO + Duration::from_millis(999));
    assert!(!bench.gets_picks(0));
    bench.advance(Time::ZERO + Duration::from_millis(1000));
    assert!(bench.gets_picks(0));
    bench.open_one();
    assert!(!bench.gets_picks(0));
    bench.answer(0, 502);
    // Stragglers are ignored while it is shut, which is for two seconds now.
    bench.answer(0, 200);
    bench.advance(Time::ZERO + Duration::from_millis(2999));
    assert!(!bench.gets_picks(0));
    bench.advance(Time::ZERO + Duration::from_millis(3000));
    bench.open_one();
    bench.answer(0, 200);
    assert!(bench.gets_picks(0));
    // Its count begins anew, and so does its pause.
    bench.decided();
    bench.answer(0, 500);
    assert!(bench.gets_picks(0));
    bench.answer(0, 500);
    assert_eq!(bench.decided(), [(0, "consecutive_failures", Some(Duration::from_secs(1)))]);

    let rate = json!({"max_failures": 100, "threshold": 0.8, "window": "10s", "min_requests": 5, "jitter_ratio": 0});
    let unified = json!({"failure_accrual": {"linkerd/unified": rate}});
    let bench = || {
        let mut bench = Bench::new(meshed("linkerd/peak_ewma", &unified), 1);
        bench.open(1, 50);
        bench
    };
    // Four say nothing; the fifth does, fast or slow. 429 counts.
    for gap in [0, 1000] {
        let mut bench = bench();
        for i in 1..=4 {
            bench.answer(0, 429);
            assert!(bench.gets_picks(0), "{i}");
            bench.advance(bench.now + Duration::from_millis(gap));
        }
        bench.answer(0, 429);
        assert!(!bench.gets_picks(0));
        bench.decided();
        // The trial fails with a 429 too.
        bench.advance(bench.now + Duration::from_secs(1));
        bench.open_one();
        bench.answer(0, 429);
        assert!(!bench.gets_picks(0));
        bench.advance(bench.now + Duration::from_secs(2));
        bench.open_one();
        bench.answer(0, 200);
        assert!(bench.gets_picks(0), "well again, and its window is empty");
        (0..4).for_each(|_| bench.answer(0, 500));
        assert!(bench.gets_picks(0));
    }
    // What is older than the window is forgotten.
    let mut aged = bench();
    (0..4).for_each(|_| aged.answer(0, 500));
    aged.advance(Time::ZERO + Duration::from_secs(11));
    (0..4).for_each(|_| aged.answer(0, 200));
    aged.answer(0, 500);
    assert!(aged.gets_picks(0), "four of five, which is not below");
    aged.answer(0, 500);
    assert!(!aged.gets_picks(0));
    "open, shut, tried, shut for longer, open again; and the window's beginning, end and limit, all equal".to_string()
}

fn finagle_states() -> String {
    let mesh = json!({"failure_accrual": "finagle/hybrid"});
    let mut bench = Bench::new(meshed("finagle/p2c_least_loaded", &mesh), 2);
    for _ in 0..20 {
        bench.open_one();
    }
    while bench.cluster.active(EndpointIndex(0)) < 12 {
        bench.open_one();
    }
    (0..4).for_each(|_| bench.answer(0, 500));
    bench.answer(0, 200);
    (0..4).for_each(|_| bench.answer(0, 500));
    assert!(bench.decided().is_empty());
    bench.answer(0, 503);
    // Dead for five seconds; what comes late changes nothing.
    assert_eq!(bench.decided(), [(0, "consecutive_failures", Some(Duration::from_secs(5)))]);
    assert_eq!(
        bench.cluster.health(EndpointIndex(0)),
        Health::Degraded,
        "busy, as Finagle says"
    );
    bench.answer(0, 500);
    assert!(bench.decided().is_empty());
    let mut last = Duration::from_secs(5);
    for attempt in 1..=8 {
        bench.advance(bench.now + last);
        assert_eq!(bench.decided(), [(0, "in", None)]);
        bench.pick_at(0);
        assert!(!bench.gets_picks(0), "one is tried");
        if attempt == 3 {
            // What is ignorable tells nothing: the next one tries it.
            bench.end(0, Answer::Cancelled);
            assert!(bench.gets_picks(0));
            bench.pick_at(0);
        }
        bench.end(0, Answer::Reset);
        let &[(0, _, Some(time))] = bench.decided().as_slice() else {
            panic!("dead again")
        };
        let half = f64::from(5 << (attempt - 1)).min(300.0);
        assert!(
            (half..=(2.0 * half).min(300.0)).contains(&time.as_secs_f64()),
            "{attempt}: {time}"
        );
        last = time;
    }
    bench.advance(bench.now + last);
    bench.pick_at(0);
    bench.answer(0, 200);
    assert!(bench.gets_picks(0));
    bench.decided();
    // Alive: times begin anew. And the average over 30 s marks dead too, whatever is between.
    let now = bench.now;
    for i in 1..=30 {
        bench.advance(now + Duration::from_secs(i));
        bench.pick_at(0);
        bench.answer(0, if i % 2 == 0 { 500 } else { 200 });
        let decided = bench.decided();
        match i {
            30 => assert_eq!(decided, [(0, "success_rate", Some(Duration::from_secs(5)))]),
            _ => assert!(decided.is_empty(), "the window is not over at {i} s"),
        }
    }
    "alive, dead, probed open and closed, dead for longer, alive again, and both policies: all equal".to_string()
}

fn haproxy_states() -> String {
    let mut checked = 0;
    let mut check = |options: Value, statuses: &[u16], failures: usize| {
        let mesh = json!({"outlier_detection": {"haproxy/observe": options}});
        let mut bench = Bench::new(meshed("haproxy/roundrobin", &mesh), 2);
        bench.open(2, 200);
        let mut count = 0;
        for &status in statuses.iter().cycle().take(200) {
            bench.answer(0, status);
            count += 1;
            if let Some(&(0, "consecutive_failures", None)) = bench.decided().first() {
                break;
            }
        }
        assert_eq!(count, failures, "{options}");
        checked += 1;
    };
    // Three failed checks take a server down, each after ten failures; or it goes at the first.
    check(json!({}), &[500], 30);
    check(json!({"on_error": "mark-down", "error_limit": 4}), &[503], 4);
    check(json!({"on-error": "sudden-death"}), &[503], 20);
    check(json!({"on_error": "sudden-death", "fall": 1}), &[504], 10);
    check(json!({"on_error": "fastinter"}), &[500], 200);
    // 501 and 505 are answers, and answers begin the count anew; connections alone are fine.
    check(json!({"error-limit": 3, "on_error": "mark-down"}), &[500, 500, 501], 200);
    check(json!({"observe": "layer4", "on_error": "mark-down"}), &[500], 200);
    format!("{checked} rows of answers, all equal")
}

#[test]
fn unenforced_and_limited_detections_are_spared_and_detected_again() {
    // As in `not-enforced.json`: once in five failures.
    let mesh = json!({"outlier_detection": {"enforcing_consecutive_5xx": {"value": 0}, "max_ejection_percent": "100%"}});
    let mut bench = Bench::new(meshed("envoy/round_robin", &mesh), 2);
    bench.open(2, 20);
    (0..20).for_each(|_| bench.answer(0, 503));
    let spared = bench.decided();
    // Gateway failures are detected as well, and not enforced by default.
    assert_eq!(spared, vec![(0, "spared", None); 8]);
}

#[test]
fn a_part_of_detections_is_obeyed() {
    let mesh = json!({"outlier_detection": {
        "consecutive_5xx": 1, "enforcing_consecutive_5xx": 30, "max_ejection_percent": 100, "max_ejection_time_jitter": "10s",
    }});
    let mut bench = Bench::new(meshed("envoy/round_robin", &mesh), 1000);
    bench.open(1000, 1);
    (0..1000).for_each(|host| bench.answer(host, 500));
    let out: Vec<f64> = bench
        .decided()
        .iter()
        .filter_map(|(_, _, time)| time.map(Duration::as_secs_f64))
        .collect();
    // Five deviations of a share of 0.3 in 1000.
    assert!(out.len().abs_diff(300) < 73, "{}", out.len());
    assert!(out.iter().all(|time| (30.0..=40.0).contains(time)));
    let mean = out.iter().sum::<f64>() / out.len() as f64;
    // Five deviations of a mean of uniform times.
    assert!((mean - 35.0).abs() < 5.0 * 10.0 / (12.0 * out.len() as f64).sqrt(), "{mean}");
}

#[test]
fn who_leaves_the_list_is_forgotten_and_who_stays_is_not() {
    let mesh = json!({"outlier_detection": {"max_ejection_percent": 50}});
    let mut script = endpoints_line(&ids(4)) + "{\"op\": \"pick\", \"count\": 40}\n";
    script += &(done(1.0, "e:0", 500).repeat(5) + &done(1.0, "e:1", 500).repeat(4));
    // The first goes and comes back; the second stays, and its fifth failure counts.
    script += &format!("{}\n", json!({"op": "endpoints", "t": 2, "endpoints": &ids(4)[1..]}));
    script += &format!("{}\n", json!({"op": "endpoints", "t": 3, "endpoints": ids(4)}));
    script += "{\"op\": \"pick\", \"t\": 3, \"count\": 8}\n";
    script += &done(4.0, "e:1", 500);
    script += &format!("{}\n", json!({"op": "endpoints", "t": 5, "endpoints": ids(4)}));
    script += "{\"op\": \"tick\", \"t\": 45}\n{\"op\": \"pick\", \"count\": 8}\n";
    let text = output(meshed("envoy/round_robin", &mesh), 0, &script);
    let expected = json!([
        {"t": 1.0, "eject": "e:0", "reason": "consecutive_5xx", "until": 31.0},
        {"t": 4.0, "eject": "e:1", "reason": "consecutive_5xx", "until": 34.0},
        {"t": 40.0, "uneject": "e:1"},
    ]);
    let found = decisions(&mesh, &script);
    assert_eq!(Value::from(found), expected);
    let picks = |t: &str, id: &str| text.matches(&format!("{{\"t\": {t}, \"pick\": \"{id}\"}}")).count();
    assert_eq!(
        (picks("3.0", "e:0"), picks("45.0", "e:0"), picks("45.0", "e:1")),
        (2, 2, 2),
        "{text}"
    );
}

#[test]
fn a_sweep_comes_before_the_pick_of_its_moment() {
    let mesh = json!({"outlier_detection": {"max_ejection_percent": 50, "interval": "3.2s", "base_ejection_time": "3.2s"}});
    let mut script = endpoints_line(&ids(2)) + "{\"op\": \"pick\", \"count\": 10}\n";
    script += &done(3.2, "e:0", 500).repeat(5);
    script += "{\"op\": \"pick\", \"t\": 6.3, \"count\": 2}\n{\"op\": \"pick\", \"t\": 6.4, \"count\": 2}\n";
    let text = output(meshed("envoy/round_robin", &mesh), 0, &script);
    let lines: Vec<&str> = text.lines().skip(10).collect();
    assert_eq!(
        lines[0],
        "{\"t\": 3.2, \"eject\": \"e:0\", \"reason\": \"consecutive_5xx\", \"until\": 6.4}"
    );
    assert_eq!(&lines[1..3], ["{\"t\": 6.3, \"pick\": \"e:1\"}"; 2]);
    assert_eq!(lines[3], "{\"t\": 6.4, \"uneject\": \"e:0\"}");
    assert!(lines[4..].iter().any(|line| line.contains("e:0")), "{text}");
}

/// As in `consec5xx-5-growth`: the second ejection comes 70 ms after the endpoint came back, and it gets requests for the rest of a
/// second.
#[test]
fn changes_soon_after_others_wait_where_that_is_asked_for() {
    let picked_at = |mesh: Value, t: f64| {
        let mut script = endpoints_line(&ids(4)) + "{\"op\": \"pick\", \"count\": 40}\n";
        script += &done(0.1, "e:1", 500).repeat(5);
        script += "{\"op\": \"pick\", \"t\": 0.1, \"count\": 8}\n";
        script += &done(2.07, "e:1", 500).repeat(5);
        script += &format!("{{\"op\": \"pick\", \"t\": {t}, \"count\": 8}}\n");
        let text = output(meshed("envoy/round_robin", &mesh), 0, &script);
        assert_eq!(text.matches("\"eject\"").count(), 2, "{text}");
        assert!(
            !text.contains("{\"t\": 0.1, \"pick\": \"e:1\"}"),
            "the first is obeyed at once"
        );
        text.contains(&format!("{{\"t\": {t:?}, \"pick\": \"e:1\"}}"))
    };
    let mesh = |window: &str| {
        json!({
            "common_lb_config": {"update_merge_window": window},
            "outlier_detection": {"interval": "1s", "base_ejection_time": "1s", "max_ejection_percent": 50},
        })
    };
    assert!(!picked_at(mesh("0s"), 2.1));
    assert!(picked_at(mesh("1s"), 2.1));
    assert!(picked_at(mesh("1s"), 2.99));
    assert!(!picked_at(mesh("1s"), 3.0));
}

#[test]
fn options_are_read_in_every_spelling_and_checked() {
    for mesh in [
        "{outlier_detection: {}}",
        "{outlier_detection: {envoy/outlier_detection: {consecutive_5xx: {value: 3}}}}",
        "{outlier_detection: {max_ejection_percent: 50%, base_ejection_time: 1m}}",
        "{outlier_detection: grpc/outlier_detection}",
        "{outlier_detection: {grpc/outlier_detection: {baseEjectionTime: 5s, successRateEjection: {stdevFactor: 1000}}}}",
        "{outlier_detection: {grpc/outlier-detection: {failure_percentage_ejection: {}}}}",
        "{outlier_detection: {haproxy/observe: }}",
        "{failure_accrual: consecutive}",
        "{failure_accrual: {linkerd/consecutive: {max-failures: 3}}}",
        "{failure_accrual: {finagle/success_rate_within_duration: {window: 10s, success_rate: 0.5}}}",
        "{failure_accrual: {finagle/consecutive_failures: {mark_dead_for: {start: 1s}}}}",
    ] {
        setup::cluster("envoy/random", &[], Some(("m", &format!("mesh: {mesh}")))).unwrap_or_else(|message| panic!("{message}"));
    }
    for (mesh, expected) in [
        ("{outlier_detection: {consecutive_5x: 3}}", "did you mean `consecutive_5xx`?"),
        ("{outlier_detection: {interval: 0s}}", "`interval` must be at least 1ms"),
        (
            "{outlier_detection: {max_ejection_percent: 101}}",
            "from 0 to 100 per cent, not 101",
        ),
        ("{outlier_detection: {max_ejection_percent: lots}}", "a whole number such as"),
        ("{outlier_detection: {consecutive_5xx: 2.5}}", "a whole number such as"),
        (
            "{outlier_detection: {max_ejection_time: 1s}}",
            "shorter than `base_ejection_time` 30s",
        ),
        (
            "{outlier_detection: {grpc/outlier_detections: {}}}",
            "did you mean `grpc/outlier_detection`?",
        ),
        (
            "{outlier_detection: {grpc/outlier_detection: {}, interval: 1s}}",
            "belongs below",
        ),
        (
            "{outlier_detection: {grpc/outlier_detection: {success_rate_ejection: {enforcement_percentage: 101}}}}",
            "not 101",
        ),
        (
            "{outlier_detection: {haproxy/observe: {rise: 0}}}",
            "`rise` must be at least 1",
        ),
        ("{outlier_detection: 5}", "Envoy's options"),
        ("{failure_accrual: linkerd/consecutiv}", "did you mean `linkerd/consecutive`?"),
        ("{failure_accrual: {linkerd/unified: {threshold: 2}}}", "from 0 to 1, not 2"),
        (
            "{failure_accrual: {linkerd/consecutive: {max_penalty: 1ms}}}",
            "shorter than `min_penalty`",
        ),
        ("{failure_accrual: {finagle/hybrid: {num_failures: 0}}}", "at least 1"),
        (
            "{failure_accrual: {linkerd/consecutive: {}, finagle/hybrid: {}}}",
            "here are two",
        ),
    ] {
        let found = setup::cluster("envoy/random", &[], Some(("m", &format!("mesh: {mesh}"))));
        let message = found.expect_err(mesh);
        assert!(message.contains(expected), "{mesh} gives {message}");
    }
}

#[test]
fn the_evidence_of_this_file_holds() {
    for row in EVIDENCE {
        println!("{} | {} | {}", row.policy, row.against, (row.check)());
    }
}
