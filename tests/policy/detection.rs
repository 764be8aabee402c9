//! Outlier detection and failure accrual: against recordings of Envoy, vectors, worked examples, and the rules written down once more.

use std::sync::Arc;

use meshsim::policy::{
    Answer, CallInfo, CallerInfo, Cluster, ClusterConfig, Decision, EndpointIndex, EndpointInfo, Health, Outcome, Ticket,
    Upstream,
};
use meshsim::random::Rng;
use meshsim::replay::setup;
use meshsim::time::{Duration, Time};
use serde_json::{Value, json};

use super::evidence::Evidence;
use super::recordings;
use super::vectors::{f64_of, list, u64_of};

pub const EVIDENCE: &[Evidence] = &[];

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

    fn end(&mut self, endpoint: usize, answer: Answer) {
        let ticket = Ticket {
            endpoint: EndpointIndex(endpoint as u32),
        };
        let outcome = Outcome {
            answer,
            latency: Duration::from_millis(1),
            attempts: 1,
            load: None,
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

#[test]
fn show() {
    for (name, recording) in recordings("envoy/outlier_detection") {
        println!("{name}");
        println!("  {}", recording["events"]);
        println!("  {}", Value::from(play(&recording)));
    }
}
