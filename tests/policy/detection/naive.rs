//! The rules of outlier detection once more, as plainly as they can be written (failover.md, section 2, from the sources named there),
//! against the real thing in random scripts.
//!
//! Times are in milliseconds. Every decision must be the same, and no more may be out than the limit lets.

use std::collections::BTreeSet;

use meshsim::policy::{Answer, Decision, EndpointIndex};
use meshsim::random::Rng;
use meshsim::time::{Duration, Time};
use serde_json::{Value, json};

use super::{Bench, meshed};

const SCRIPTS: u64 = 150;
const STEPS: usize = 400;

/// One of several.
fn any<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.below(choices.len() as u64) as usize]
}

fn number(options: &Value, path: &str) -> u64 {
    options
        .pointer(path)
        .and_then(Value::as_u64)
        .unwrap_or_else(|| panic!("{path}"))
}

/// A host of either kind.
#[derive(Clone, Default)]
struct Host {
    row_5xx: u64,
    row_gateway: u64,
    row_local: u64,
    // Results of this interval and of the last: external ones, local ones.
    now: [Vec<bool>; 2],
    before: [Vec<bool>; 2],
    out_since: Option<u64>,
    in_since: Option<u64>,
    times: u64,
}

/// What a model decides: whom it takes out or lets in, and why.
type Said = (u32, &'static str);

fn threshold(rates: &[f64], factor: u64) -> f64 {
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    let variance = rates.iter().map(|rate| (rate - mean) * (rate - mean)).sum::<f64>() / rates.len() as f64;
    mean - variance.sqrt() * (factor as f64 / 1000.0)
}

fn rate(results: &[bool], whole: f64) -> f64 {
    results.iter().filter(|result| **result).count() as f64 * whole / results.len() as f64
}

struct Envoy {
    options: Value,
    hosts: Vec<Host>,
    // How many Envoy counts as out.
    gauge: u64,
    said: Vec<Said>,
}

impl Envoy {
    fn option(&self, name: &str) -> u64 {
        number(&self.options, &format!("/{name}"))
    }

    fn eject(&mut self, host: usize, why: &'static str, enforcing: &str, now: u64) {
        let share = 100.0 * (self.gauge + 1) as f64 / self.hosts.len() as f64;
        let one = self.options["always_eject_one_host"] == true && self.gauge == 0;
        if !(share <= self.option("max_ejection_percent") as f64 || one) || self.option(enforcing) == 0 {
            self.said.push((host as u32, "spared"));
            return;
        }
        self.gauge += 1;
        let (base, longest) = (self.option("base"), self.option("longest"));
        let host_state = &mut self.hosts[host];
        host_state.out_since = Some(now);
        if host_state.times * base < longest + base {
            host_state.times += 1;
        }
        self.said.push((host as u32, why));
    }

    fn result(&mut self, host: usize, answer: Answer, now: u64) {
        let split = self.options["split_external_local_origin_errors"] == true;
        let code = match answer {
            Answer::Status(code) => Some(u64::from(code)),
            _ if split => None,
            Answer::PerTryTimeout => Some(504),
            _ => Some(503),
        };
        if split {
            let fine = code.is_some();
            self.hosts[host].now[1].push(fine);
            self.hosts[host].row_local = if fine { 0 } else { self.hosts[host].row_local + 1 };
            let trips = self.hosts[host].row_local == self.option("consecutive_local_origin_failure");
            if trips && !fine && self.hosts[host].out_since.is_none() {
                self.eject(
                    host,
                    "consecutive_local_origin_failure",
                    "enforcing_consecutive_local_origin_failure",
                    now,
                );
                self.hosts[host].row_local = 0;
            }
        }
        let Some(code) = code else { return };
        self.hosts[host].now[0].push(code < 500);
        if code < 500 {
            self.hosts[host].row_5xx = 0;
            self.hosts[host].row_gateway = 0;
            return;
        }
        if (502..=504).contains(&code) {
            self.hosts[host].row_gateway += 1;
            let trips = self.hosts[host].row_gateway == self.option("consecutive_gateway_failure");
            if trips && self.hosts[host].out_since.is_none() {
                self.eject(
                    host,
                    "consecutive_gateway_failure",
                    "enforcing_consecutive_gateway_failure",
                    now,
                );
                self.hosts[host].row_gateway = 0;
            }
        } else {
            self.hosts[host].row_gateway = 0;
        }
        self.hosts[host].row_5xx += 1;
        let trips = self.hosts[host].row_5xx == self.option("consecutive_5xx");
        if trips && self.hosts[host].out_since.is_none() {
            self.eject(host, "consecutive_5xx", "enforcing_consecutive_5xx", now);
            self.hosts[host].row_5xx = 0;
        }
    }

    fn sweep(&mut self, now: u64) {
        let (base, longest, interval) = (self.option("base"), self.option("longest"), self.option("step"));
        for (i, host) in self.hosts.iter_mut().enumerate() {
            if let Some(since) = host.out_since
                && now - since >= longest.min(base * host.times)
            {
                self.gauge -= 1;
                host.out_since = None;
                host.in_since = Some(now);
                (host.row_5xx, host.row_gateway, host.row_local) = (0, 0, 0);
                self.said.push((i as u32, "in"));
            }
            host.before = std::mem::take(&mut host.now);
        }
        let origins = [
            (
                "success_rate",
                "enforcing_success_rate",
                "failure_percentage",
                "enforcing_failure_percentage",
            ),
            (
                "success_rate_local_origin",
                "enforcing_local_origin_success_rate",
                "failure_percentage_local_origin",
                "enforcing_failure_percentage_local_origin",
            ),
        ];
        for (origin, (by_rate, enforcing_rate, by_failures, enforcing_failures)) in origins.into_iter().enumerate() {
            let judged = |volume: u64| -> Vec<(usize, f64)> {
                let is_judged = |host: &Host| {
                    let count = host.before[origin].len() as u64;
                    host.out_since.is_none() && count > 0 && count >= volume
                };
                let hosts = self.hosts.iter().enumerate().filter(|(_, host)| is_judged(host));
                hosts.map(|(i, host)| (i, rate(&host.before[origin], 100.0))).collect()
            };
            let rates = judged(self.option("success_rate_request_volume"));
            let failures = judged(self.option("failure_percentage_request_volume"));
            let (rate_hosts, failure_hosts) = (
                self.option("success_rate_minimum_hosts"),
                self.option("failure_percentage_minimum_hosts"),
            );
            let all = self.hosts.len() as u64;
            if all < rate_hosts && all < failure_hosts {
                continue;
            }
            if !rates.is_empty() && rates.len() as u64 >= rate_hosts {
                let values: Vec<f64> = rates.iter().map(|(_, rate)| *rate).collect();
                let limit = threshold(&values, self.option("success_rate_stdev_factor"));
                for &(i, rate) in &rates {
                    if rate < limit {
                        self.eject(i, by_rate, enforcing_rate, now);
                    }
                }
            }
            if failures.len() as u64 >= failure_hosts {
                for &(i, rate) in &failures {
                    if 100.0 - rate >= self.option("failure_percentage_threshold") as f64 {
                        self.eject(i, by_failures, enforcing_failures, now);
                    }
                }
            }
        }
        for host in &mut self.hosts {
            let quiet = host.in_since.is_some_and(|since| now - since >= interval);
            if host.out_since.is_none() && quiet && host.times > 0 {
                host.times -= 1;
            }
        }
    }
}

struct Grpc {
    options: Value,
    hosts: Vec<Host>,
    ejected: u64,
    said: Vec<Said>,
}

impl Grpc {
    fn eject(&mut self, host: usize, why: &'static str, kind: &str, now: u64) {
        let share = self.ejected as f64 / self.hosts.len() as f64 * 100.0;
        let is_full = share >= number(&self.options, "/max_ejection_percent") as f64;
        if is_full || number(&self.options, &format!("/{kind}/enforcement_percentage")) == 0 {
            self.said.push((host as u32, "spared"));
            return;
        }
        self.ejected += 1;
        self.hosts[host].out_since = Some(now);
        self.hosts[host].times += 1;
        self.said.push((host as u32, why));
    }

    fn sweep(&mut self, now: u64) {
        for host in &mut self.hosts {
            host.before = std::mem::take(&mut host.now);
        }
        for (kind, why) in [
            ("success_rate_ejection", "success_rate"),
            ("failure_percentage_ejection", "failure_percentage"),
        ] {
            if self.options[kind].is_null() {
                continue;
            }
            let option = |name: &str| number(&self.options, &format!("/{kind}/{name}"));
            let hosts = self.hosts.iter().enumerate();
            let judged: Vec<(usize, f64)> = hosts
                .map(|(i, host)| (i, &host.before[0]))
                .filter(|(_, results)| !results.is_empty() && results.len() as u64 >= option("request_volume"))
                .map(|(i, results)| (i, rate(results, 1.0)))
                .collect();
            if (judged.len() as u64) < option("minimum_hosts") || judged.is_empty() {
                continue;
            }
            let values: Vec<f64> = judged.iter().map(|(_, rate)| *rate).collect();
            let is_outlier: Vec<bool> = match why {
                "success_rate" => {
                    let limit = threshold(&values, option("stdev_factor"));
                    values.iter().map(|&rate| rate < limit).collect()
                }
                _ => {
                    let share = |i: usize| {
                        let results = &self.hosts[i].before[0];
                        let failures = results.iter().filter(|result| !**result).count();
                        failures as f64 / results.len() as f64 * 100.0
                    };
                    judged.iter().map(|&(i, _)| share(i) > option("threshold") as f64).collect()
                }
            };
            for (&(i, _), is_outlier) in judged.iter().zip(is_outlier) {
                if is_outlier {
                    self.eject(i, why, kind, now);
                }
            }
        }
        let (base, longest) = (number(&self.options, "/base"), number(&self.options, "/longest"));
        for (i, host) in self.hosts.iter_mut().enumerate() {
            match host.out_since {
                None => host.times = host.times.saturating_sub(1),
                Some(since) if now > since + (base * host.times).min(base.max(longest)) => {
                    host.out_since = None;
                    self.ejected -= 1;
                    self.said.push((i as u32, "in"));
                }
                Some(_) => {}
            }
        }
    }
}

fn heard(bench: &mut Bench) -> Vec<Said> {
    let mut heard = Vec::new();
    while let Some(notice) = bench.cluster.next_notice() {
        heard.push(match notice.decision {
            Decision::Out { reason, .. } => (notice.endpoint.0, reason.word()),
            Decision::In => (notice.endpoint.0, "in"),
            Decision::Spared { .. } => (notice.endpoint.0, "spared"),
        });
    }
    heard
}

/// Random answers at hosts that fail to different degrees, now and then with a pause. `model` is told what happens and says what it
/// decides.
fn script(
    bench: &mut Bench,
    rng: &mut Rng,
    hosts: usize,
    (interval, most): (u64, u64),
    mut model: impl FnMut(Event) -> Vec<Said>,
) -> usize {
    let failing: Vec<u64> = (0..hosts).map(|_| any(rng, &[0, 0, 5, 30, 60, 100])).collect();
    let (mut now, mut next_sweep, mut decisions) = (0, interval, 0);
    let mut out = BTreeSet::new();
    for step in 0..STEPS {
        now += any(rng, &[0, 1, 1, 7, 20, interval / 3]);
        let mut events = Vec::new();
        while next_sweep <= now {
            events.push((next_sweep, Event::Sweep(next_sweep)));
            next_sweep += interval;
        }
        let host = rng.below(hosts as u64) as usize;
        let answer = match rng.below(100) < failing[host] {
            false => Answer::Status(any(rng, &[200, 200, 404, 429])),
            true => any(
                rng,
                &[
                    Answer::Status(500),
                    Answer::Status(503),
                    Answer::Status(504),
                    Answer::ConnectFailure,
                    Answer::Reset,
                    Answer::PerTryTimeout,
                ],
            ),
        };
        events.push((now, Event::End(host, answer, now)));
        for (at, event) in events {
            bench.advance(Time::ZERO + Duration::from_millis(at));
            if let Event::End(host, answer, _) = event {
                bench.end(host, answer);
            }
            let (heard, said) = (heard(bench), model(event));
            assert_eq!(heard, said, "step {step}, {at} ms, {event:?}");
            for (host, what) in heard {
                decisions += 1;
                match what {
                    "in" => assert!(out.remove(&host)),
                    "spared" => {}
                    _ => _ = out.insert(host),
                }
            }
            assert!(out.len() as u64 <= most, "{out:?} of {hosts} are out");
            for host in 0..hosts as u32 {
                let is_used = bench.cluster.health(EndpointIndex(host)) == meshsim::policy::Health::Healthy;
                assert_eq!(is_used, !out.contains(&host));
            }
        }
    }
    decisions
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Sweep(u64),
    End(usize, Answer, u64),
}

pub fn envoy() -> String {
    let mut decisions = 0;
    for seed in 0..SCRIPTS {
        let rng = &mut Rng::new(seed);
        let hosts = 1 + rng.below(14) as usize;
        let (step, base) = (any(rng, &[50, 100, 333]), any(rng, &[60, 100, 250]));
        let longest = base * any(rng, &[1, 2, 3]);
        let percent = any(rng, &[0, 10, 20, 34, 50, 100]);
        let mut options = json!({
            "consecutive_5xx": any(rng, &[0, 2, 5]),
            "enforcing_consecutive_5xx": any(rng, &[0, 100, 100]),
            "consecutive_gateway_failure": any(rng, &[0, 2, 5]),
            "enforcing_consecutive_gateway_failure": any(rng, &[0, 100]),
            "split_external_local_origin_errors": rng.below(2) == 0,
            "consecutive_local_origin_failure": any(rng, &[1, 3]),
            "enforcing_consecutive_local_origin_failure": any(rng, &[0, 100]),
            "max_ejection_percent": percent,
            "always_eject_one_host": rng.below(3) == 0,
            "success_rate_minimum_hosts": any(rng, &[1, 3, 5]),
            "success_rate_request_volume": any(rng, &[0, 1, 3]),
            "success_rate_stdev_factor": any(rng, &[500, 1000, 1900]),
            "enforcing_success_rate": any(rng, &[0, 100]),
            "enforcing_local_origin_success_rate": any(rng, &[0, 100]),
            "failure_percentage_threshold": any(rng, &[20, 50, 85]),
            "failure_percentage_minimum_hosts": any(rng, &[1, 4]),
            "failure_percentage_request_volume": any(rng, &[1, 2]),
            "enforcing_failure_percentage": any(rng, &[0, 100]),
            "enforcing_failure_percentage_local_origin": any(rng, &[0, 100]),
        });
        let mut written = options.clone();
        written["interval"] = json!(format!("{step}ms"));
        written["base_ejection_time"] = json!(format!("{base}ms"));
        written["max_ejection_time"] = json!(format!("{longest}ms"));
        let mut bench = Bench::new(meshed("envoy/round_robin", &json!({"outlier_detection": written})), hosts);
        bench.open(hosts, STEPS as u32);
        let most = (percent * hosts as u64 / 100).max(u64::from(options["always_eject_one_host"] == true));
        for (name, value) in [("step", step), ("base", base), ("longest", longest)] {
            options[name] = json!(value);
        }
        let mut model = Envoy {
            options,
            hosts: vec![Host::default(); hosts],
            gauge: 0,
            said: Vec::new(),
        };
        decisions += script(&mut bench, rng, hosts, (step, most), |event| {
            match event {
                Event::Sweep(now) => model.sweep(now),
                Event::End(host, answer, now) => model.result(host, answer, now),
            }
            std::mem::take(&mut model.said)
        });
    }
    format!("{SCRIPTS} scripts of {STEPS} answers, {decisions} decisions, all equal; never more out than allowed")
}

pub fn grpc() -> String {
    let mut decisions = 0;
    for seed in 0..SCRIPTS {
        let rng = &mut Rng::new(1000 + seed);
        let hosts = 1 + rng.below(14) as usize;
        let (step, base, longest) = (any(rng, &[50, 100, 333]), any(rng, &[60, 100, 250]), any(rng, &[100, 500]));
        let percent = any(rng, &[0, 10, 20, 34, 50, 100]);
        let mut options = json!({"max_ejection_percent": percent});
        let kinds = rng.below(3);
        if kinds != 0 {
            options["success_rate_ejection"] = json!({
                "stdev_factor": any(rng, &[500, 1000, 1900]),
                "enforcement_percentage": any(rng, &[0, 100, 100]),
                "minimum_hosts": any(rng, &[1, 3, 5]),
                "request_volume": any(rng, &[1, 3]),
            });
        }
        if kinds != 1 {
            options["failure_percentage_ejection"] = json!({
                "threshold": any(rng, &[20, 50, 85]),
                "enforcement_percentage": any(rng, &[0, 100, 100]),
                "minimum_hosts": any(rng, &[1, 4]),
                "request_volume": any(rng, &[1, 2]),
            });
        }
        let mut written = options.clone();
        written["interval"] = json!(format!("{step}ms"));
        written["base_ejection_time"] = json!(format!("{base}ms"));
        written["max_ejection_time"] = json!(format!("{longest}ms"));
        let mesh = json!({"outlier_detection": {"grpc/outlier_detection": written}});
        let mut bench = Bench::new(meshed("envoy/round_robin", &mesh), hosts);
        bench.open(hosts, STEPS as u32);
        // One more may go while the share is below the limit.
        let most = (percent * hosts as u64).div_ceil(100);
        for (name, value) in [("base", base), ("longest", longest)] {
            options[name] = json!(value);
        }
        let mut model = Grpc {
            options,
            hosts: vec![Host::default(); hosts],
            ejected: 0,
            said: Vec::new(),
        };
        decisions += script(&mut bench, rng, hosts, (step, most), |event| {
            match event {
                Event::Sweep(now) => model.sweep(now),
                Event::End(_, Answer::ConnectFailure, _) => {}
                Event::End(host, answer, _) => {
                    let is_success = matches!(answer, Answer::Status(0..400));
                    model.hosts[host].now[0].push(is_success);
                }
            }
            std::mem::take(&mut model.said)
        });
    }
    format!("{SCRIPTS} scripts of {STEPS} answers, {decisions} decisions, all equal; never more out than allowed")
}
