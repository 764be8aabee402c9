//! One caller and some endpoints: what evidence is made of where it is a matter of counting.

use std::collections::VecDeque;
use std::sync::Arc;

use meshsim::policy::{
    Answer, CallInfo, CallerInfo, Cluster, EndpointIndex, EndpointInfo, LoadReport, Outcome, Ticket, Upstream,
};
use meshsim::random::Rng;
use meshsim::time::{Duration, Time};
use serde_json::{Value, json};

use super::config;

/// A caller with its clock.
pub struct Crowd {
    pub cluster: Cluster,
    pub now: Time,
}

impl Crowd {
    /// Endpoints with these weights.
    pub fn new(policy: &str, options: &Value, weights: &[u32], seed: u64) -> Crowd {
        Crowd::of(policy, options, weights, &CallerInfo::default(), seed)
    }

    pub fn of(policy: &str, options: &Value, weights: &[u32], caller: &CallerInfo, seed: u64) -> Crowd {
        let endpoints = (0..).zip(weights).map(|(i, &weight)| endpoint(i, weight)).collect();
        let upstream = Arc::new(Upstream::new(config(policy, options), endpoints));
        let mut crowd = Crowd {
            cluster: Cluster::new(upstream, caller, Rng::new(seed), Time::ZERO),
            now: Time::ZERO,
        };
        for i in 0..weights.len() {
            crowd.cluster.on_idle(EndpointIndex(i as u32), crowd.now);
        }
        crowd
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    pub fn pick(&mut self) -> usize {
        self.pick_call(&CallInfo::default())
    }

    pub fn pick_call(&mut self, call: &CallInfo<'_>) -> usize {
        self.cluster.pick(call, self.now).expect("there are endpoints").endpoint.at()
    }

    /// An attempt at `endpoint` is answered with this status after `latency`.
    pub fn done(&mut self, endpoint: usize, status: u16, latency: Duration) {
        self.done_with(endpoint, Answer::Status(status), latency, None);
    }

    pub fn done_with(&mut self, endpoint: usize, answer: Answer, latency: Duration, load: Option<LoadReport>) {
        let endpoint = EndpointIndex(endpoint as u32);
        let outcome = Outcome {
            answer,
            latency,
            attempts: 1,
            load,
            retry_after: None,
        };
        self.cluster.on_finished(Ticket::from(endpoint), &outcome, self.now);
        if self.cluster.active(endpoint) == 0 {
            self.cluster.on_idle(endpoint, self.now);
        }
    }

    /// Picks of `n` calls by endpoint, of which `parallel` are in flight at a time and the oldest ends first; no time passes.
    pub fn counts(&mut self, n: usize, parallel: usize) -> Vec<u64> {
        let mut open = VecDeque::new();
        let mut counts = vec![0; self.cluster.upstream().endpoints().len()];
        for _ in 0..n {
            let picked = self.pick();
            counts[picked] += 1;
            open.push_back(picked);
            if open.len() > parallel {
                self.done(open.pop_front().expect("it is not empty"), 200, Duration::ZERO);
            }
        }
        open.into_iter().for_each(|endpoint| self.done(endpoint, 200, Duration::ZERO));
        counts
    }
}

pub fn endpoint(i: u32, weight: u32) -> EndpointInfo {
    EndpointInfo {
        address: format!("10.0.0.{i}:8080"),
        weight,
        ..EndpointInfo::default()
    }
}

/// How many standard deviations the farthest of these counts is from its share.
pub fn deviations(counts: &[u64], shares: &[f64]) -> f64 {
    let (n, sum) = (counts.iter().sum::<u64>() as f64, shares.iter().sum::<f64>());
    let off = counts.iter().zip(shares).map(|(&count, &share)| {
        let p = share / sum;
        if p == 0.0 {
            assert_eq!(count, 0, "{counts:?} for {shares:?}");
            return 0.0;
        }
        (count as f64 - n * p).abs() / (n * p * (1.0 - p)).sqrt().max(f64::MIN_POSITIVE)
    });
    off.fold(0.0, f64::max)
}

/// Counts against shares; says how far they are apart.
pub fn check_shares(counts: &[u64], shares: &[f64]) -> String {
    let off = deviations(counts, shares);
    assert!(off < 5.0, "{counts:?} for {shares:?}: {off:.1} standard deviations");
    let n: u64 = counts.iter().sum();
    format!("{n} picks, shares within {off:.1} standard deviations")
}

/// With one request in flight at one of two, two choices without replacement and a full scan always take the other.
pub fn never_the_busy_one(policy: &str) -> String {
    let mut crowd = Crowd::new(policy, &json!({}), &[1, 1], 21);
    let busy = crowd.pick();
    let counts = crowd.counts(10_000, 0);
    assert_eq!(counts[busy], 0, "{policy}");
    format!("of two endpoints the busy one had {} of 10000 picks", counts[busy])
}

/// The mean number of requests at two servers of rate 1 with Poisson arrivals of rate 2 `rho`, from the balance equations;
/// `first` is the probability that an arrival goes to the first, by the queues it finds.
pub fn exact_mean_of_two(rho: f64, first: impl Fn(usize, usize) -> f64) -> f64 {
    const MOST: usize = 60;
    let arrival = rho / (1.0 + rho);
    let service = 0.5 * (1.0 - arrival);
    let mut now = vec![vec![0.0; MOST + 1]; MOST + 1];
    now[0][0] = 1.0;
    for _ in 0..4000 {
        let mut next = vec![vec![0.0; MOST + 1]; MOST + 1];
        for a in 0..=MOST {
            for b in 0..=MOST {
                let p = now[a][b];
                let to_first = first(a, b);
                next[(a + 1).min(MOST)][b] += p * arrival * to_first;
                next[a][(b + 1).min(MOST)] += p * arrival * (1.0 - to_first);
                next[a.saturating_sub(1)][b] += p * service;
                next[a][b.saturating_sub(1)] += p * service;
            }
        }
        now = next;
    }
    (0..=MOST)
        .flat_map(|a| (0..=MOST).map(move |b| (a, b)))
        .map(|(a, b)| (a + b) as f64 * now[a][b])
        .sum()
}

/// To the shorter queue, ties at random.
pub fn shorter(a: usize, b: usize) -> f64 {
    match a.cmp(&b) {
        std::cmp::Ordering::Less => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Greater => 0.0,
    }
}

/// The same two servers behind a policy, as a uniformised chain.
pub fn mean_of_two(policy: &str, options: &Value, rho: f64, steps: u32) -> f64 {
    let mut crowd = Crowd::new(policy, options, &[1, 1], 31);
    let mut rng = Rng::new(32);
    let (mut area, mut queues) = (0_u64, [0_u64; 2]);
    for _ in 0..steps {
        crowd.pass(Duration::from_millis(1));
        if rng.unit() < rho / (1.0 + rho) {
            queues[crowd.pick()] += 1;
        } else {
            let server = rng.below(2) as usize;
            if queues[server] > 0 {
                queues[server] -= 1;
                crowd.done(server, 200, Duration::from_millis(1));
            }
        }
        area += queues[0] + queues[1];
    }
    area as f64 / f64::from(steps)
}

/// A policy against the balance equations at 70 % load.
pub fn check_two_servers(policy: &str, options: &Value, first: impl Fn(usize, usize) -> f64) -> String {
    let (found, exact) = (mean_of_two(policy, options, 0.7, 1_000_000), exact_mean_of_two(0.7, first));
    // The number in the system forgets in some 30 steps and varies by about 2: 3 % are four standard errors.
    assert!((found / exact - 1.0).abs() < 0.03, "{policy}: {found} for {exact}");
    format!("mean number at 70 % load {found:.3}, exactly {exact:.3}")
}

/// Two endpoints by formula: what a policy is compared with pick by pick.
pub trait Oracle {
    /// The load of an endpoint as the policy reads it at a pick.
    fn load(&mut self, endpoint: usize, pending: u32, now: Time) -> f64;
    /// A request ended.
    fn ended(&mut self, endpoint: usize, status: u16, latency: Duration, now: Time);
}

/// Two choices of two are all, so who is picked follows from the loads: twenty random scripts, each pick compared.
pub fn duel(policy: &str, options: &Value, oracle: impl Fn() -> Box<dyn Oracle>) -> String {
    let (mut picks, mut equal) = (0, 0);
    for seed in 0..20 {
        let mut rng = Rng::new(seed + 100);
        let mut crowd = Crowd::new(policy, options, &[1, 1], seed);
        let mut oracle = oracle();
        let mut open: Vec<(usize, Time)> = Vec::new();
        for _ in 0..1000 {
            crowd.pass(Duration(rng.below(400_000_000)));
            if open.is_empty() || rng.below(2) == 0 && open.len() < 6 {
                let loads = [0, 1].map(|i| oracle.load(i, crowd.cluster.active(EndpointIndex(i as u32)), crowd.now));
                let picked = crowd.pick();
                picks += 1;
                // Where rounding may decide, either is right.
                if (loads[0] - loads[1]).abs() > 1e-9 * loads[0].abs() {
                    let expected = usize::from(loads[1] < loads[0]);
                    assert_eq!(picked, expected, "{policy}, seed {seed}: {loads:?}");
                } else {
                    equal += 1;
                }
                open.push((picked, crowd.now));
            } else {
                let (endpoint, since) = open.swap_remove(rng.below(open.len() as u64) as usize);
                let status = [200, 200, 200, 429, 503][rng.below(5) as usize];
                let latency = crowd.now.since(since);
                oracle.ended(endpoint, status, latency, crowd.now);
                crowd.done(endpoint, status, latency);
            }
        }
    }
    format!("20 scripts, {picks} picks, all equal ({equal} at equal loads)")
}
