//! Prequal: replicas are probed beside the queries, and a query goes to the one that answers fastest among those not overloaded.
//!
//! Wydrowski, Kleinberg, Rumble and Archer (NSDI 2024), section 4. A pool holds the last answers of a few replicas: requests in
//! flight (RIF) and the latency that a request may expect at that RIF. A replica is hot if its RIF is above a quantile of all
//! that were lately reported; of the cold ones the fastest is picked, or the least loaded if all are hot.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{ProbePool, ProbePoolLimits, Sample};
use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{Answer, EndpointIndex, Endpoints, LoadReport, Outcome};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// The parameters of the paper, by its names.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// At most so many replicas are in the pool, from 2 to 1000; the paper's m.
    pub pool_size: u32,
    /// Probes per query, from 0 to 100; fractions add up.
    pub r_probe: f64,
    /// Answers that are removed from the pool per query, from 0 to 100, the oldest and the worst in turn; fractions add up.
    pub r_remove: f64,
    /// The quantile of reported RIFs above which a replica is hot, from 0 (the least loaded counts) to 1 (the fastest counts).
    pub q_rif: f64,
    /// How fast the pool fills beyond what is used, above 0: with it an answer is used (1 + delta) / ((1 - m/n) r_probe - r_remove)
    /// times, n being the number of replicas.
    pub delta: f64,
    /// An answer that is older is not used.
    pub probe_age_limit: Duration,
    /// Whether a replica is shunned while it fails, though it may look fast and idle.
    pub error_aversion: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            pool_size: 16,
            r_probe: 3.0,
            r_remove: 1.0,
            // 2^-0.25.
            q_rif: 0.840_896_415_253_714_5,
            delta: 1.0,
            probe_age_limit: Duration::from_secs(1),
            error_aversion: true,
        }
    }
}

impl Options {
    /// Whether the options make sense.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if !(2..=1000).contains(&self.pool_size) {
            return Err(format!("`pool_size` must be from 2 to 1000, not {}", self.pool_size));
        }
        let limits = [
            (
                "r_probe",
                self.r_probe,
                (0.0..=100.0).contains(&self.r_probe),
                "from 0 to 100",
            ),
            (
                "r_remove",
                self.r_remove,
                (0.0..=100.0).contains(&self.r_remove),
                "from 0 to 100",
            ),
            ("q_rif", self.q_rif, (0.0..=1.0).contains(&self.q_rif), "from 0 to 1"),
            (
                "delta",
                self.delta,
                self.delta > 0.0 && self.delta <= 1e9,
                "above 0 and at most 1e9",
            ),
        ];
        match limits.iter().find(|limit| !limit.2) {
            Some((name, value, _, range)) => Err(format!("`{name}` must be {range}, not {value}")),
            None => Ok(()),
        }
    }
}

/// How often an answer is used: once at least; `None`: without limit, since the pool would run dry otherwise.
pub fn reuse_budget(pool_size: u32, replicas: u32, r_probe: f64, r_remove: f64, delta: f64) -> Option<f64> {
    let gain = (1.0 - f64::from(pool_size) / f64::from(replicas)) * r_probe - r_remove;
    (gain > 0.0).then(|| ((1.0 + delta) / gain).max(1.0))
}

/// A rate per query as whole numbers: fractions are carried over to the next query.
#[derive(Clone, Copy, Debug, Default)]
struct Carry(f64);

impl Carry {
    fn next(&mut self, rate: f64) -> u32 {
        self.0 += rate;
        let whole = self.0.floor();
        self.0 -= whole;
        whole as u32
    }
}

/// The weight of an outcome in the share of failures.
const FAILURE_WEIGHT: f64 = 0.1;

/// A replica that fails more often is taken for hot.
const FAILURES_MAX: f64 = 0.5;

/// One caller's pool.
#[derive(Clone, Debug)]
pub struct Balancer {
    options: Options,
    pool: ProbePool,
    probes: Carry,
    removals: Carry,
    // Replicas to be asked, and how many there were at the last query.
    asked: VecDeque<EndpointIndex>,
    replicas: u32,
    sample: Sample,
    // A moving average of failures, by `EndpointIndex`.
    failures: Vec<f64>,
    rng: Rng,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str =
        "The fastest replica of those not overloaded, as a few random ones say that are probed for each call";
    const SOURCE: &'static str = "Wydrowski, Kleinberg, Rumble and Archer, NSDI 2024 (arXiv 2312.10172)";
    const CHECKED: &'static str = "Vectors computed from its formula; Picks by the hot-cold rule, computed one by one; \
        Probes and uses of probes in the long run";
    const DIFFERENCES: &'static str = "No probes are sent while there are no calls, and there is no synchronous mode; how replicas that \
        fail are shunned is not published: here they count as hot and their latency is divided by their share of successes";
    const RULES: Rules = Rules::Envoy;
    const WANTS: Wants = Wants {
        probes: true,
        ..Wants::NOTHING
    };

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            pool: ProbePool::new(ProbePoolLimits {
                size: options.pool_size,
                age: options.probe_age_limit,
                q_rif: options.q_rif,
            }),
            options: options.clone(),
            probes: Carry::default(),
            removals: Carry::default(),
            asked: VecDeque::new(),
            replicas: 0,
            sample: Sample::default(),
            failures: Vec::new(),
            rng: Rng::new(0),
        }
    }

    fn start(&mut self, rng: &mut Rng) {
        self.rng = Rng::new(rng.next_u64());
    }

    fn on_added(&mut self, endpoint: EndpointIndex, _: Time) {
        if endpoint.at() >= self.failures.len() {
            self.failures.resize(endpoint.at() + 1, 0.0);
        }
        self.failures[endpoint.at()] = 0.0;
        self.pool.forget(endpoint);
        self.asked.retain(|&asked| asked != endpoint);
    }

    fn pick(
        &mut self,
        _: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        now: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        self.replicas = set.len();
        self.pool.expire(set, now);
        let endpoint = self.pool.select().unwrap_or_else(|| set.random(rng));
        for _ in 0..self.removals.next(self.options.r_remove) {
            self.pool.remove_one();
        }
        let probes = self.probes.next(self.options.r_probe).min(set.len());
        self.asked.clear();
        self.asked.extend(self.sample.draw(set, probes, rng));
        Some(endpoint)
    }

    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, _: Time) {
        let failed = !matches!(outcome.answer, Answer::Status(0..500));
        let failures = &mut self.failures[endpoint.at()];
        *failures += FAILURE_WEIGHT * (f64::from(u8::from(failed)) - *failures);
    }

    fn next_probe(&mut self) -> Option<EndpointIndex> {
        self.asked.pop_front()
    }

    fn on_probed(&mut self, endpoint: EndpointIndex, report: &LoadReport, now: Time) {
        let Options {
            pool_size,
            r_probe,
            r_remove,
            delta,
            error_aversion,
            ..
        } = self.options;
        // The fraction of a use is a use with that probability.
        let uses = reuse_budget(pool_size, self.replicas.max(1), r_probe, r_remove, delta).map_or(u32::MAX, |budget| {
            budget.floor() as u32 + u32::from(self.rng.unit() < budget.fract())
        });
        let failures = if error_aversion { self.failures[endpoint.at()] } else { 0.0 };
        let latency = report.latency.0 as f64 / (1.0 - failures).max(f64::EPSILON);
        self.pool
            .insert(endpoint, report.in_flight, latency, uses, failures > FAILURES_MAX, now);
    }
}
