//! What shows that the balancers of `research` are the real ones.

use std::collections::BTreeMap;

use meshsim::policy::balancer::common::{CubicLimits, CubicRate};
use meshsim::policy::balancer::research::c3::Averages;
use meshsim::policy::balancer::research::prequal::reuse_budget;
use meshsim::policy::balancer::research::weighted_response_time::accumulated_weights;
use meshsim::policy::{Answer, CallInfo, EndpointIndex, LoadReport};
use meshsim::random::Rng;
use meshsim::time::{Duration, Time};
use serde_json::{Value, json};
use xxhash_rust::xxh64::xxh64;

use super::crowd::{self, Crowd, Oracle, check_shares, endpoint};
use super::evidence::Evidence;
use super::vectors::{cases, close, f64_of, list, u32_of};
use super::{config, output};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "research/jsq",
        against: "The stationary distribution of two servers",
        check: || crowd::check_two_servers("research/jsq", &json!({}), crowd::shorter),
    },
    Evidence {
        policy: "research/jsq",
        against: "Queue lengths that theory gives for two choices of many",
        check: two_choices_of_many,
    },
    Evidence {
        policy: "research/jiq",
        against: "The stationary distribution of two servers",
        check: || crowd::check_two_servers("research/jiq", &json!({}), idle_first),
    },
    Evidence {
        policy: "research/least_response_time",
        against: "Loads computed from its formula",
        check: least_response_times,
    },
    Evidence {
        policy: "research/least_response_time",
        against: "The share that theory gives",
        check: || crowd::never_the_busy_one("research/least_response_time"),
    },
    Evidence {
        policy: "research/c3",
        against: "Vectors computed from its formula",
        check: c3_vectors,
    },
    Evidence {
        policy: "research/c3",
        against: "Scores computed pick by pick",
        check: c3_picks,
    },
    Evidence {
        policy: "research/c3",
        against: "Rates computed from the paper's rule",
        check: c3_rates,
    },
    Evidence {
        policy: "research/prequal",
        against: "Vectors computed from its formula",
        check: prequal_vectors,
    },
    Evidence {
        policy: "research/prequal",
        against: "Picks by the hot-cold rule, computed one by one",
        check: prequal_picks,
    },
    Evidence {
        policy: "research/prequal",
        against: "Probes and uses of probes in the long run",
        check: prequal_rates,
    },
    Evidence {
        policy: "research/weighted_response_time",
        against: "Vectors computed from Ribbon's source",
        check: ribbon_vectors,
    },
    Evidence {
        policy: "research/weighted_response_time",
        against: "Shares of its weights",
        check: ribbon_shares,
    },
    Evidence {
        policy: "research/weighted_response_time",
        against: "The round robin before there are weights",
        check: ribbon_round_robin,
    },
    Evidence {
        policy: "research/choice_of_two",
        against: "The stationary distribution of two servers",
        check: || crowd::check_two_servers("research/choice_of_two", &json!({}), crowd::shorter),
    },
    Evidence {
        policy: "research/choice_of_two",
        against: "Scores computed pick by pick",
        check: choice_of_two_picks,
    },
    Evidence {
        policy: "research/choice_of_two",
        against: "Probation, warm-up and limits as described",
        check: choice_of_two_protects,
    },
    Evidence {
        policy: "research/rendezvous",
        against: "Vectors computed from its definition",
        check: rendezvous_vectors,
    },
    Evidence {
        policy: "research/rendezvous",
        against: "Shares of weighted endpoints",
        check: rendezvous_shares,
    },
    Evidence {
        policy: "research/rendezvous",
        against: "Only the keys of an endpoint that goes move",
        check: rendezvous_moves_little,
    },
    Evidence {
        policy: "research/bounded_load",
        against: "No endpoint exceeds its capacity",
        check: bounded_load_is_bounded,
    },
    Evidence {
        policy: "research/bounded_load",
        against: "Picks computed from its definition",
        check: bounded_load_picks,
    },
];

/// JIQ with one dispatcher: an idle server if there is one, else a random one.
fn idle_first(a: usize, b: usize) -> f64 {
    match (a, b) {
        (0, 1..) => 1.0,
        (1.., 0) => 0.0,
        _ => 0.5,
    }
}

/// Mean-field: with two choices a share of rho^(2^k - 1) of the servers has k requests or more.
fn two_choices_of_many() -> String {
    let (n, rho, steps) = (200, 0.8, 1_500_000);
    let mut crowd = Crowd::new("research/jsq", &json!({"choices": 2}), &vec![1; n], 41);
    let mut rng = Rng::new(42);
    let mut queues = vec![0_u32; n];
    let (mut total, mut area) = (0_u64, 0_u64);
    for step in 0..steps {
        if rng.unit() < rho / (1.0 + rho) {
            queues[crowd.pick()] += 1;
            total += 1;
        } else {
            let server = rng.below(n as u64) as usize;
            if queues[server] > 0 {
                queues[server] -= 1;
                total -= 1;
                crowd.done(server, 200, Duration::ZERO);
            }
        }
        // The first third is the way from empty.
        area += if step >= steps / 3 { total } else { 0 };
    }
    let mean = area as f64 / f64::from(steps - steps / 3) / n as f64;
    let expected: f64 = (1..8).map(|k| libm::pow(rho, libm::exp2(f64::from(k)) - 1.0)).sum();
    // A finite number of servers is worse by about 1/n; the rest is sampling.
    assert!((mean / expected - 1.0).abs() < 0.03, "{mean} for {expected}");
    format!("{n} servers at 80 % load: {mean:.3} requests each, {expected:.3} for infinitely many")
}

/// A plain moving average that fades, times requests.
#[derive(Default)]
struct LatencyByFormula {
    average: [Option<f64>; 2],
    updated: [Time; 2],
}

impl LatencyByFormula {
    fn kept(&self, i: usize, now: Time) -> f64 {
        libm::exp(-now.since(self.updated[i]).as_secs_f64() / 10.0)
    }
}

impl Oracle for LatencyByFormula {
    fn load(&mut self, endpoint: usize, pending: u32, now: Time) -> f64 {
        self.average[endpoint].unwrap_or(0.0) * self.kept(endpoint, now) * f64::from(pending + 1)
    }

    fn ended(&mut self, endpoint: usize, _: u16, latency: Duration, now: Time) {
        let (kept, latency) = (self.kept(endpoint, now), latency.as_secs_f64());
        let average = self.average[endpoint].unwrap_or(latency);
        self.average[endpoint] = Some(average * kept + latency * (1.0 - kept));
        self.updated[endpoint] = now;
    }
}

/// The mean of the last three.
#[derive(Default)]
struct WindowByFormula([Vec<f64>; 2]);

impl Oracle for WindowByFormula {
    fn load(&mut self, endpoint: usize, pending: u32, _: Time) -> f64 {
        let last: Vec<f64> = self.0[endpoint].iter().rev().take(3).copied().collect();
        let average = if last.is_empty() {
            0.05
        } else {
            last.iter().sum::<f64>() / last.len() as f64
        };
        average * f64::from(pending + 1)
    }

    fn ended(&mut self, endpoint: usize, _: u16, latency: Duration, _: Time) {
        self.0[endpoint].push(latency.as_secs_f64());
    }
}

fn least_response_times() -> String {
    let name = "research/least_response_time";
    let moving = crowd::duel(name, &json!({}), || Box::new(LatencyByFormula::default()));
    let options = json!({"window": 3, "default_latency": "50ms"});
    let window = crowd::duel(name, &options, || Box::new(WindowByFormula::default()));
    format!("moving average: {moving}; window: {window}")
}

fn c3_vectors() -> String {
    let cases = cases("research/c3/vectors.json");
    for (name, input, expected) in &cases {
        let averages = Averages {
            response: f64_of(&input["response_ewma"]),
            service: f64_of(&input["service_ewma"]),
            queue: f64_of(&input["queue_ewma"]),
        };
        let score = averages.score(u32_of(&input["outstanding"]), u32_of(&input["clients"]), f64_of(&input["b"]));
        assert!(close(score, f64_of(expected), 1e-12), "{name}: {score}");
    }
    format!("{} cases, equal to 1e-12", cases.len())
}

fn c3_picks() -> String {
    let (n, clients) = (5, 3);
    let options = json!({"clients": clients, "rate_control": false});
    let mut compared = 0;
    for seed in 0..10 {
        let mut crowd = Crowd::new("research/c3", &options, &[1; 5], seed);
        let mut rng = Rng::new(seed + 50);
        // Response, service and queue of each.
        let mut averages = [[0.0_f64; 3]; 5];
        let mut open = Vec::new();
        for _ in 0..1000 {
            crowd.pass(Duration::from_millis(3));
            if open.is_empty() || rng.below(2) == 0 {
                let score = |i: usize| {
                    let [response, service, queue] = averages[i];
                    let outstanding = f64::from(crowd.cluster.active(EndpointIndex(i as u32)));
                    let found = 1.0 + outstanding * f64::from(clients) + queue;
                    response - service + found * found * found * service
                };
                let scores: Vec<f64> = (0..n).map(score).collect();
                let picked = crowd.pick();
                let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
                assert!(
                    scores[picked] <= least + 1e-12 * least.abs(),
                    "seed {seed}: {picked} of {scores:?}"
                );
                compared += 1;
                open.push(picked);
            } else {
                let picked = open.swap_remove(rng.below(open.len() as u64) as usize);
                let service = Duration::from_micros(rng.below(5000) + 1);
                let latency = service + Duration::from_micros(rng.below(20_000));
                let report = LoadReport {
                    in_flight: rng.below(8) as u32,
                    service_time: service,
                    ..LoadReport::default()
                };
                let new = [latency.as_secs_f64(), service.as_secs_f64(), f64::from(report.in_flight)];
                for (average, new) in averages[picked].iter_mut().zip(new) {
                    *average = 0.9 * new + 0.1 * *average;
                }
                crowd.done_with(picked, Answer::Status(200), latency, Some(report));
            }
        }
    }
    format!("10 scripts, {compared} picks, all of the lowest score")
}

fn c3_rates() -> String {
    let limits = CubicLimits {
        interval: Duration::from_millis(20),
        max_tokens: 50.0,
        beta: 0.2,
        gamma: 0.000_004,
        s_max: 10.0,
        hysteresis: Duration::from_millis(80),
    };
    let mut rate = CubicRate::new(&limits, Time::ZERO);
    // Fifty at once, then one for each interval.
    let mut sent = 0;
    while rate.has_token(&limits, Time::ZERO) {
        rate.take(&limits, Time::ZERO);
        sent += 1;
    }
    assert_eq!(sent, 50);
    assert!(!rate.has_token(&limits, Time(19_999_999)) && rate.has_token(&limits, Time(20_000_000)));

    let mut rng = Rng::new(61);
    let (mut now, mut falls, mut rises) = (Time::ZERO, 0, 0);
    let (mut answered, mut interval, mut answers) = (100.0_f64, 0, 0.0_f64);
    let (mut before, mut fell, mut rose) = (0.0_f64, f64::NEG_INFINITY, f64::NEG_INFINITY);
    for step in 0..20_000 {
        // Busy and quiet spells: 1 to 40 answers in an interval.
        let gap = if step / 500 % 2 == 0 { 1_000_000 } else { 40_000_000 };
        now += Duration(rng.below(gap));
        let (current, ms) = (rate.rate(), now.as_secs_f64() * 1e3);
        let passed = now.0 / 20_000_000 - interval;
        if passed > 0 {
            let weight = (0.05 * passed as f64).min(1.0);
            answered += weight * (answers / passed as f64 - answered);
            (interval, answers) = (now.0 / 20_000_000, 0.0);
        }
        answers += 1.0;
        let mut expected = current;
        if current > answered && ms - rose > 80.0 {
            (expected, before, fell) = ((0.2 * current).max(0.1), current, ms);
            falls += 1;
        } else if current < answered {
            rose = ms;
            let t = ms - fell - libm::cbrt(before * 0.2 / 0.000_004);
            let cubic = if fell == f64::NEG_INFINITY {
                f64::INFINITY
            } else {
                0.000_004 * t * t * t + before
            };
            expected = (current + 10.0).min(cubic.max(0.1));
            rises += 1;
        }
        rate.on_answer(&limits, now);
        assert!(
            close(rate.rate(), expected, 1e-6),
            "step {step}: {} for {expected}",
            rate.rate()
        );
    }
    assert!(falls > 20 && rises > 20, "{falls} falls, {rises} rises");
    format!("20000 answers, {falls} falls and {rises} rises, equal to 1e-6")
}

fn prequal_vectors() -> String {
    let cases = cases("research/prequal/vectors.json");
    for (name, input, expected) in &cases {
        let found = reuse_budget(
            u32_of(&input["pool_size"]),
            u32_of(&input["replicas"]),
            f64_of(&input["r_probe"]),
            f64_of(&input["r_remove"]),
            f64_of(&input["delta"]),
        );
        match (found, expected) {
            (None, Value::Null) => {}
            (Some(found), expected) => assert!(close(found, f64_of(expected), 1e-12), "{name}: {found}"),
            (None, expected) => panic!("{name}: no limit for {expected}"),
        }
    }
    format!("{} cases, equal to 1e-12", cases.len())
}

/// A probe's answer in the test's own pool.
#[derive(Clone, Copy)]
struct Entry {
    replica: usize,
    rif: u32,
    latency: u64,
    uses: u32,
    at: Time,
}

fn prequal_picks() -> String {
    // (1 - 10/20) * 4 - 1 = 1, so an answer is used (1 + 2) / 1 = 3 times, without a fraction to be drawn.
    let options = json!({"pool_size": 10, "r_probe": 4, "r_remove": 1, "delta": 2, "probe_age_limit": "50ms", "q_rif": 0.7});
    let (mut compared, mut hot_picks) = (0, 0);
    for seed in 0..10 {
        let mut crowd = Crowd::new("research/prequal", &options, &[1; 20], seed);
        let mut rng = Rng::new(seed + 70);
        let mut pool: Vec<Entry> = Vec::new();
        let mut reports: Vec<u32> = Vec::new();
        let mut removals = 0;
        for _ in 0..2000 {
            crowd.pass(Duration(rng.below(30_000_000)));
            pool.retain(|entry| crowd.now.since(entry.at) <= Duration::from_millis(50));
            let mut sorted: Vec<u32> = reports.iter().rev().take(128).copied().collect();
            sorted.sort_unstable();
            let threshold = match sorted.len() {
                0 => 0,
                len => sorted[(0.7 * len as f64).ceil() as usize - 1],
            };
            let picked = crowd.pick();
            crowd.done(picked, 200, Duration::from_millis(1));
            if pool.len() >= 2 {
                let coldest = (0..pool.len())
                    .filter(|&i| pool[i].rif <= threshold)
                    .min_by_key(|&i| pool[i].latency);
                hot_picks += usize::from(coldest.is_none());
                let best = coldest.unwrap_or_else(|| (0..pool.len()).min_by_key(|&i| pool[i].rif).expect("two at least"));
                assert_eq!(picked, pool[best].replica, "seed {seed}, pick {compared}");
                compared += 1;
                pool[best].rif += 1;
                pool[best].uses += 1;
                pool.retain(|entry| entry.uses < 3);
            }
            if !pool.is_empty() {
                let worst_hot = (0..pool.len())
                    .filter(|&i| pool[i].rif > threshold)
                    .max_by_key(|&i| (pool[i].rif, usize::MAX - i));
                let slowest = (0..pool.len()).max_by_key(|&i| (pool[i].latency, usize::MAX - i));
                let worst = worst_hot.or(slowest).expect("it is not empty");
                pool.remove(if removals % 2 == 0 { 0 } else { worst });
                removals += 1;
            }
            while let Some(endpoint) = crowd.cluster.next_probe() {
                // Rare small numbers, so that sometimes all are hot.
                let rif = if rng.below(3) == 0 { rng.below(4) } else { 8 + rng.below(4) } as u32;
                let latency = 1000 * (rng.below(1_000_000) + 1);
                let entry = Entry {
                    replica: endpoint.at(),
                    rif,
                    latency,
                    uses: 0,
                    at: crowd.now,
                };
                pool.retain(|old| old.replica != entry.replica);
                if pool.len() == 10 {
                    pool.remove(0);
                }
                pool.push(entry);
                reports.push(rif);
                let report = LoadReport {
                    in_flight: rif,
                    latency: Duration(latency),
                    ..LoadReport::default()
                };
                let now = crowd.now;
                crowd.cluster.on_probed(endpoint, &report, now);
            }
        }
    }
    format!("10 scripts, {compared} picks, {hot_picks} of them among hot replicas only, all equal")
}

fn prequal_rates() -> String {
    let mut crowd = Crowd::new("research/prequal", &json!({"r_probe": 1.5}), &[1; 100], 81);
    let mut probes = vec![0_u64; 100];
    let picks = 20_000;
    for _ in 0..picks {
        let picked = crowd.pick();
        crowd.done(picked, 200, Duration::ZERO);
        while let Some(endpoint) = crowd.cluster.next_probe() {
            probes[endpoint.at()] += 1;
        }
    }
    assert_eq!(
        (picks, probes.iter().sum::<u64>()),
        (20_000, 30_000),
        "one and a half for each pick"
    );
    let even = check_shares(&probes, &[1.0; 100]);

    // The fastest of three is used until it is used up; a report of many requests in flight keeps all of them cold.
    let options = json!({"r_probe": 1.4, "r_remove": 0, "q_rif": 1});
    let mut crowd = Crowd::new("research/prequal", &options, &[1; 100], 83);
    let budget = reuse_budget(16, 100, 1.4, 0.0, 1.0).expect("it is limited");
    assert!(close(budget, 2.0 / (0.84 * 1.4), 1e-12), "{budget}");
    let (rounds, mut twice) = (20_000, 0_u64);
    for _ in 0..rounds {
        for (replica, in_flight, latency) in [(0, 5, 1), (1, 5, 1000), (2, 100, 2000)] {
            let report = LoadReport {
                in_flight,
                latency: Duration::from_millis(latency),
                ..LoadReport::default()
            };
            let now = crowd.now;
            crowd.cluster.on_probed(EndpointIndex(replica), &report, now);
        }
        let picks = [crowd.pick(), crowd.pick()];
        assert_eq!(picks[0], 0);
        twice += u64::from(picks[1] == 0);
        picks.into_iter().for_each(|picked| crowd.done(picked, 200, Duration::ZERO));
    }
    let uses = check_shares(&[twice, rounds - twice], &[budget - 1.0, 2.0 - budget]);
    format!("30000 probes for {picks} picks, {even}; 2 uses or 1 for {budget:.4}: {uses}")
}

fn ribbon_vectors() -> String {
    let cases = cases("research/weighted_response_time/vectors.json");
    for (name, input, expected) in &cases {
        let averages = list(&input["avg_response_ms"]).iter().map(f64_of);
        let found: Vec<f64> = accumulated_weights(averages).collect();
        let expected: Vec<f64> = list(expected).iter().map(f64_of).collect();
        assert_eq!(found, expected, "{name}");
    }
    format!("{} cases, all equal", cases.len())
}

fn ribbon_shares() -> String {
    let latencies = [5, 5, 90];
    let mut crowd = Crowd::new("research/weighted_response_time", &json!({}), &[1; 3], 91);
    for _ in 0..30 {
        crowd.pass(Duration::from_millis(900));
        let picked = crowd.pick();
        // What is below a millisecond does not count.
        crowd.done(picked, 200, Duration::from_micros(latencies[picked] * 1000 + 999));
    }
    crowd.pass(Duration::from_secs(4));
    // Weights are 100 - 5, 100 - 5 and 100 - 90 from now on, for half a minute.
    check_shares(&crowd.counts(50_000, 0), &[95.0, 95.0, 10.0])
}

fn ribbon_round_robin() -> String {
    let mut crowd = Crowd::new("research/weighted_response_time", &json!({}), &[1; 4], 93);
    let picks: Vec<usize> = (0..12)
        .map(|_| {
            crowd.pass(Duration::from_secs(1));
            let picked = crowd.pick();
            crowd.done(picked, 200, Duration::from_millis(7));
            picked
        })
        .collect();
    // Its counter is moved before it is used.
    assert_eq!(picks, [1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0]);
    format!("{} picks in turn from the second server on", picks.len())
}

fn choice_of_two_picks() -> String {
    let mut compared = 0;
    for seed in 0..10 {
        let mut crowd = Crowd::new("research/choice_of_two", &json!({}), &[1; 2], seed);
        let mut rng = Rng::new(seed + 95);
        // Errors, utilization and when they were learnt.
        let mut known = [(0.0, 0.0, 0.0); 2];
        let mut open = Vec::new();
        for _ in 0..1000 {
            crowd.pass(Duration(rng.below(2_000_000_000)));
            let now = crowd.now.as_secs_f64();
            let left = |(errors, utilization, at): (f64, f64, f64)| {
                let left = (1.0 - (now - at) / 30.0).max(0.0);
                (errors * left, utilization * left)
            };
            if open.is_empty() || rng.below(2) == 0 {
                let active = [0, 1].map(|i| f64::from(crowd.cluster.active(EndpointIndex(i))));
                let scores = [0, 1].map(|i| {
                    let (errors, utilization) = left(known[i]);
                    errors + utilization + active[i] / (active[0] + active[1]).max(1.0)
                });
                let picked = crowd.pick();
                if (scores[0] - scores[1]).abs() > 1e-9 {
                    assert_eq!(picked, usize::from(scores[1] < scores[0]), "seed {seed}: {scores:?}");
                    compared += 1;
                }
                open.push(picked);
            } else {
                let picked = open.swap_remove(rng.below(open.len() as u64) as usize);
                let failed = rng.below(4) == 0;
                let (errors, utilization) = left(known[picked]);
                let report = (!failed).then(|| LoadReport {
                    cpu_utilization: rng.unit(),
                    ..LoadReport::default()
                });
                let errors = 0.9 * errors + if failed { 0.1 } else { 0.0 };
                known[picked] = (errors, report.map_or(utilization, |report| report.cpu_utilization), now);
                let answer = if failed { Answer::ConnectFailure } else { Answer::Status(200) };
                crowd.done_with(picked, answer, Duration::from_millis(1), report);
            }
        }
    }
    format!("10 scripts, {compared} picks, all equal")
}

fn choice_of_two_protects() -> String {
    let mut crowd = Crowd::new("research/choice_of_two", &json!({}), &[1; 9], 97);
    crowd.counts(1000, 0);
    let now = crowd.now;
    crowd
        .cluster
        .on_resolved(&(0..10).map(|i| endpoint(i, 1)).collect::<Vec<_>>(), now);
    // Half way through its warm-up the new one passes every other draw; with no requests anywhere the first draw wins.
    crowd.pass(Duration::from_secs(45));
    let mut shares = [1.0; 10];
    shares[9] = 0.5;
    let young = check_shares(&crowd.counts(50_000, 0), &shares);

    let mut crowd = Crowd::new("research/choice_of_two", &json!({}), &[1; 10], 98);
    let mut waiting = 0;
    for _ in 0..2000 {
        let picked = crowd.pick();
        if picked == 3 {
            waiting += 1;
        } else {
            crowd.done(picked, 200, Duration::ZERO);
        }
    }
    assert_eq!(waiting, 1, "a server that has not answered has one request");

    let mut crowd = Crowd::new("research/choice_of_two", &json!({}), &[1; 10], 99);
    let full = LoadReport {
        application_utilization: 0.95,
        ..LoadReport::default()
    };
    while crowd.cluster.active(EndpointIndex(3)) == 0 {
        let picked = crowd.pick();
        if picked != 3 {
            crowd.done(picked, 200, Duration::ZERO);
        }
    }
    crowd.done_with(3, Answer::Status(200), Duration::ZERO, Some(full));
    assert_eq!(crowd.counts(2000, 0)[3], 0, "a server that is too full");
    // 0.95 has faded to 0.9 after 30 s * 0.05 / 0.95 = 1.58 s, and to nothing after 30 s.
    crowd.pass(Duration::from_secs(31));
    let again = check_shares(&crowd.counts(50_000, 0), &[1.0; 10]);
    format!("young: {young}; unanswered: 1 request; full: none of 2000 picks, and after it faded {again}")
}

fn rendezvous_vectors() -> String {
    let cases = cases("research/rendezvous/vectors.json");
    for (name, input, expected) in &cases {
        let nodes: Vec<Value> = list(&input["nodes"]).iter().map(|id| json!({"id": id})).collect();
        let script = format!(
            "{}\n{}\n",
            json!({"op": "endpoints", "endpoints": nodes}),
            json!({"op": "pick", "key": input["key"], "auto_done": true})
        );
        let output = output(config("research/rendezvous", &json!({})), 0, &script);
        assert!(output.contains(&format!("\"pick\": {expected}}}")), "{name}: {output}");
    }
    format!("{} cases, all equal", cases.len())
}

fn keyed(crowd: &mut Crowd, key: &str) -> usize {
    let picked = crowd.pick_call(&CallInfo {
        hash: Some(xxh64(key.as_bytes(), 0)),
        key: Some(key),
        ..CallInfo::default()
    });
    crowd.done(picked, 200, Duration::ZERO);
    picked
}

fn rendezvous_shares() -> String {
    let weights = [1, 2, 3, 10];
    let mut crowd = Crowd::new("research/rendezvous", &json!({}), &weights, 1);
    let mut counts = [0; 4];
    (0..60_000).for_each(|i| counts[keyed(&mut crowd, &format!("key-{i}"))] += 1);
    check_shares(&counts, &weights.map(f64::from))
}

fn rendezvous_moves_little() -> String {
    let mut moved = 0;
    let keys: Vec<String> = (0..10_000).map(|i| format!("user-{i}")).collect();
    for weights in [[1; 10], [1, 2, 3, 4, 5, 5, 4, 3, 2, 1]] {
        let mut crowd = Crowd::new("research/rendezvous", &json!({}), &weights, 1);
        let before: Vec<usize> = keys.iter().map(|key| keyed(&mut crowd, key)).collect();
        let left: Vec<_> = (0..10)
            .filter(|&i| i != 4)
            .map(|i| endpoint(i, weights[i as usize]))
            .collect();
        let now = crowd.now;
        crowd.cluster.on_resolved(&left, now);
        for (key, &before) in keys.iter().zip(&before) {
            let after = keyed(&mut crowd, key);
            assert_eq!(after == before, before != 4, "{key}");
            moved += usize::from(before == 4);
        }
    }
    format!("20000 keys, {moved} of the endpoint that goes move, no other")
}

fn bounded_load_is_bounded() -> String {
    let mut checked = 0;
    for (epsilon, weights) in [(0.25, [1; 10]), (0.01, [1; 10]), (1.0, [1, 1, 1, 1, 1, 2, 2, 3, 4, 5])] {
        let mut crowd = Crowd::new("research/bounded_load", &json!({"epsilon": epsilon}), &weights, 1);
        let sum: u32 = weights.iter().sum();
        let mut rng = Rng::new(101);
        let mut open: Vec<usize> = Vec::new();
        for _ in 0..20_000 {
            // Few keys, most of the calls with one of them, and a swinging number in flight.
            let key = format!("key-{}", if rng.below(2) == 0 { 0 } else { rng.below(20) });
            if open.is_empty() || rng.below(200) < 150 - open.len() as u64 {
                let hash = Some(xxh64(key.as_bytes(), 0));
                let picked = crowd.pick_call(&CallInfo {
                    hash,
                    ..CallInfo::default()
                });
                open.push(picked);
                let load = crowd.cluster.active(EndpointIndex(picked as u32));
                let capacity = ((1.0 + epsilon) * open.len() as f64 * f64::from(weights[picked]) / f64::from(sum)).ceil();
                assert!(f64::from(load) <= capacity, "{load} requests, capacity {capacity}");
                checked += 1;
            } else {
                let ended = open.swap_remove(rng.below(open.len() as u64) as usize);
                crowd.done(ended, 200, Duration::ZERO);
            }
        }
    }
    format!("{checked} picks at 3 settings, none above ceil((1 + epsilon) m share)")
}

fn bounded_load_picks() -> String {
    let n = 8;
    let mut crowd = Crowd::new("research/bounded_load", &json!({"points": 3, "epsilon": 0.1}), &vec![1; n], 1);
    let mut ring = BTreeMap::new();
    for i in 0..n {
        for point in 0..3 {
            ring.insert(xxh64(format!("10.0.0.{i}:8080_{point}").as_bytes(), 0), i);
        }
    }
    let mut rng = Rng::new(103);
    let (mut load, mut open, mut passed_on) = (vec![0_u32; n], Vec::new(), 0);
    let picks = 10_000;
    for _ in 0..picks {
        while open.len() > 30 || !open.is_empty() && rng.below(2) == 0 {
            let ended: usize = open.swap_remove(rng.below(open.len() as u64) as usize);
            load[ended] -= 1;
            crowd.done(ended, 200, Duration::ZERO);
        }
        let hash = rng.next_u64();
        let capacity = (1.1 * (open.len() + 1) as f64 / n as f64).ceil() as u32;
        let mut clockwise = ring.range(hash..).chain(ring.range(..hash)).map(|(_, &i)| i);
        let home = ring.range(hash..).chain(ring.range(..)).next().map(|(_, &i)| i);
        let expected = clockwise.find(|&i| load[i] < capacity).expect("somebody has room");
        let picked = crowd.pick_call(&CallInfo {
            hash: Some(hash),
            ..CallInfo::default()
        });
        assert_eq!(picked, expected);
        passed_on += usize::from(home != Some(picked));
        load[picked] += 1;
        open.push(picked);
    }
    format!("{picks} picks, {passed_on} of them passed on, all equal")
}
