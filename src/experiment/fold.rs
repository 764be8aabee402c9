//! The results of one variant's replications, folded into one: histograms added up, and one small number per
//! replication wherever an interval is wanted. Nothing here grows with the number of requests.

use xxhash_rust::xxh3::Xxh3;

use crate::experiment::endpoints::NamedEndpoint;
use crate::experiment::incidents::IncidentFold;
use crate::experiment::stability;
use crate::measure::confidence::RatioSums;
use crate::measure::{Histogram, Series, SeriesHistogram};
use crate::model::plan::{ClientPlan, Discipline, Plan, ServicePlan, UNLIMITED};
use crate::model::result::{
    BeliefsOverTime, ClientResult, EdgeResult, EndpointResult, Failures, RunResult, ServiceResult, WindowResult, merge_each,
};
use crate::time::Duration;

/// The quantiles that are kept of each replication, ascending.
pub const QUANTILES: [f64; 7] = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999];
/// Their names.
pub const QUANTILE_NAMES: [&str; 7] = ["p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99"];

/// Values beyond a quantile that must be there in all before it is shown.
const EXCEEDANCES_MIN: f64 = 100.0;
/// The same in a replication, on average.
const EXCEEDANCES_PER_REPLICATION_MIN: f64 = 5.0;

/// All replications of one variant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VariantResult {
    /// What was left out at the beginning of each replication.
    pub warmup: Duration,
    /// Replications folded so far.
    pub replications: u32,
    /// Events of all replications.
    pub events_total: u64,
    /// Simulated nanoseconds of all replications, drains included.
    pub simulated_nanos: u128,
    /// Nanoseconds of the measured window of one replication.
    pub measured_nanos: u64,
    /// The digests of the replications, in their order.
    pub digests: Vec<u64>,
    /// By client.
    pub clients: Vec<ClientFold>,
    /// By edge.
    pub edges: Vec<EdgeFold>,
    /// By service.
    pub services: Vec<ServiceFold>,
    /// By endpoint.
    pub endpoints: Vec<EndpointFold>,
    /// Those endpoints that the plan names, by replication.
    pub named_endpoints: Vec<NamedEndpoint>,
    /// By window of the plan.
    pub windows: Vec<WindowFold>,
    /// By fault of the plan.
    pub incidents: Vec<IncidentFold>,
}

/// What belongs to one window of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowFold {
    /// Seconds of it that were measured.
    pub measured_seconds: Vec<f64>,
    /// By client.
    pub clients: Vec<ClientFold>,
    /// By edge.
    pub edges: Vec<EdgeFold>,
    /// By service.
    pub services: Vec<ServiceFold>,
    /// The endpoints that somebody asks for.
    pub named_endpoints: Vec<NamedEndpoint>,
}

/// The requests of one client. A vector holds one number per replication.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientFold {
    /// The share of requests that is to succeed.
    pub objective: f64,
    /// Requests.
    pub requests: Vec<f64>,
    /// Attempts of the root calls.
    pub attempts: Vec<f64>,
    /// Failed requests.
    pub failed: Vec<f64>,
    /// Failures by cause, of each replication.
    pub causes: Vec<Failures>,
    /// Failures by cause, of all replications.
    pub failures: Failures,
    /// Latency of successes.
    pub latency: LatencyFold,
    /// Latency of failures.
    pub failed_latency: LatencyFold,
    /// Latency of successes over time, of all replications.
    pub latency_over_time: SeriesHistogram,
    /// Requests over time, of all replications.
    pub requests_over_time: Series,
    /// Failures over time, of all replications.
    pub failures_over_time: Series,
    /// Attempts of the root calls over time, of all replications.
    pub attempts_over_time: Series,
    /// Failures over time by who answered, of all replications.
    pub answerers_over_time: Vec<Series>,
}

/// The calls of one edge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EdgeFold {
    /// Calls.
    pub calls: Vec<f64>,
    /// Attempts.
    pub attempts: Vec<f64>,
    /// Failed calls.
    pub failed: Vec<f64>,
    /// Failures by cause, of each replication.
    pub causes: Vec<Failures>,
    /// Failures by cause, of all replications.
    pub failures: Failures,
    /// Latency of successes.
    pub latency: LatencyFold,
}

/// The attempts at one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceFold {
    /// Its endpoints: the first and how many.
    pub endpoints: (usize, usize),
    /// What one endpoint can serve at once: slots, or cores under processor sharing; `None` without a limit.
    pub capacity: Option<f64>,
    /// Attempts that arrived.
    pub arrived: Vec<f64>,
    /// Of those, failed.
    pub failed: Vec<f64>,
    /// Failures by cause, of each replication.
    pub causes: Vec<Failures>,
    /// Failures by cause, of all replications.
    pub failures: Failures,
    /// Seconds of work, and of those the seconds for attempts whose answer nobody waited for.
    pub work: Vec<(f64, f64)>,
    /// How often callers took endpoints out of balancing.
    pub ejections: Vec<f64>,
    /// How often they would have but for a limit.
    pub ejections_spared: Vec<f64>,
    /// Of what callers know, what they keep out: endpoint-seconds both.
    pub ejected: Vec<(f64, f64)>,
    /// Of the time of callers, the time in panic: caller-seconds both.
    pub panic: Vec<(f64, f64)>,
    /// The same over time, of all replications.
    pub beliefs_over_time: BeliefsOverTime,
    /// Latency of successes.
    pub latency: LatencyFold,
    /// Wait of those that were served.
    pub queue_wait: LatencyFold,
    /// How many of these waited at all.
    pub waited: Vec<f64>,
    /// Mean number of requests at its endpoints.
    pub in_flight: Vec<f64>,
    /// How many more requests were at its endpoints at the end of the measured window than at its start.
    pub growth: Vec<f64>,
    /// Seconds of the measured window.
    pub window: Vec<f64>,
    /// Attempts at the busiest endpoint by those at an average one.
    pub load_max: Vec<f64>,
    /// From a change of an endpoint to each caller that believes it.
    pub belief_delay: LatencyFold,
    /// Attempts sent to an endpoint that was gone or down.
    pub stale_requests: Vec<f64>,
    /// Pairs of a caller and an endpoint that had to do with each other.
    pub connections: Vec<f64>,
    /// Mean number of busy slots (or cores) of all of its endpoints together.
    pub busy: Vec<f64>,
    /// Attempts over time, of all replications.
    pub attempts_over_time: Series,
    /// Failures over time, of all replications.
    pub failures_over_time: Series,
    /// Request-nanoseconds over time, of all replications.
    pub in_flight_over_time: Series,
}

/// The attempts at one endpoint. There may be very many endpoints, so nothing here is kept by replication.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointFold {
    /// Attempts that arrived.
    pub arrived: u64,
    /// Of those, failed.
    pub failed: u64,
    /// Seconds of wait over attempts served.
    pub queue_wait: RatioSums,
    /// Busy slots (or cores).
    pub busy: RatioSums,
    /// Attempts over time, of all replications.
    pub attempts_over_time: Series,
}

/// Durations of all replications together, and what an interval needs of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatencyFold {
    /// Nanoseconds, all replications together.
    pub pooled: Histogram,
    /// Sum in nanoseconds and count of each replication.
    pub totals: Vec<(f64, f64)>,
    /// The [`QUANTILES`] of each replication in nanoseconds; `None` where it has no values.
    pub quantiles: Vec<Option<[f64; QUANTILES.len()]>>,
}

impl LatencyFold {
    /// Adds the values of one replication.
    pub fn add(&mut self, histogram: &Histogram) {
        self.pooled.merge(histogram);
        self.totals.push((histogram.sum() as f64, histogram.count() as f64));
        let buckets = histogram.quantile_buckets(QUANTILES);
        let quantiles = buckets[0]
            .is_some()
            .then(|| buckets.map(|bucket| bucket.map_or(0.0, |b| histogram.midpoint(b))));
        self.quantiles.push(quantiles);
    }

    /// How many values a quantile needs before it may be shown: 100 beyond it in all, and 5 beyond it in each
    /// replication on average. `None` if there are enough.
    pub fn values_missing(&self, index: usize) -> Option<u64> {
        let beyond = EXCEEDANCES_MIN.max(EXCEEDANCES_PER_REPLICATION_MIN * self.quantiles.len() as f64);
        // 1 - 0.9999 is not 0.0001, so the tail is rounded to the digits that it has.
        let tail = ((1.0 - QUANTILES[index]) * 1e6).round();
        let needed = (beyond * 1e6 / tail).ceil() as u64;
        (self.pooled.count() < needed).then_some(needed)
    }

    /// The mean of each replication in nanoseconds; `None` if one has no values.
    pub fn means(&self) -> Option<Vec<f64>> {
        self.totals
            .iter()
            .map(|&(sum, count)| (count > 0.0).then(|| sum / count))
            .collect()
    }

    /// One of the [`QUANTILES`] of each replication; `None` if one has no values.
    pub fn quantile_of_each(&self, index: usize) -> Option<Vec<f64>> {
        self.quantiles
            .iter()
            .map(|quantiles| quantiles.map(|quantiles| quantiles[index]))
            .collect()
    }
}

impl VariantResult {
    /// The fold of no replications of `plan`.
    pub fn new(plan: &Plan, warmup: Duration) -> VariantResult {
        VariantResult {
            warmup,
            replications: 0,
            events_total: 0,
            simulated_nanos: 0,
            measured_nanos: 0,
            digests: Vec::new(),
            clients: plan.clients.iter().map(ClientFold::new).collect(),
            edges: vec![EdgeFold::default(); plan.edges.len()],
            services: plan.services.iter().map(ServiceFold::new).collect(),
            endpoints: vec![EndpointFold::default(); plan.endpoints.len()],
            named_endpoints: named_endpoints(plan),
            windows: plan.windows.iter().map(|_| WindowFold::new(plan)).collect(),
            incidents: vec![IncidentFold::default(); plan.faults.len()],
        }
    }

    /// Adds the next replication.
    pub fn add(&mut self, result: &RunResult) {
        self.replications += 1;
        self.events_total += result.events_total;
        self.simulated_nanos += u128::from(result.simulated_nanos);
        self.measured_nanos = result.measured_nanos;
        self.digests.push(result.digest);
        let window = result.measured_nanos as f64;
        fold_each(&mut self.clients, &result.clients, ClientFold::add);
        fold_each(&mut self.edges, &result.edges, EdgeFold::add);
        fold_each(&mut self.services, &result.services, |fold, service| {
            let (first, count) = fold.endpoints;
            fold.add(service, &result.endpoints[first..first + count], window);
        });
        fold_each(&mut self.endpoints, &result.endpoints, |fold, result| {
            fold.add(result, window)
        });
        for named in &mut self.named_endpoints {
            named.add(&result.endpoints[named.endpoint as usize], window);
        }
        fold_each(&mut self.windows, &result.windows, WindowFold::add);
        for (fault, fold) in (0..).zip(&mut self.incidents) {
            fold.add(result.incidents.iter().filter(|incident| incident.fault == fault));
        }
    }

    /// A hash over the digests of all replications.
    pub fn digest(&self) -> u64 {
        let mut hash = Xxh3::new();
        self.digests.iter().for_each(|digest| hash.update(&digest.to_le_bytes()));
        hash.digest()
    }
}

fn fold_each<F, R>(folds: &mut [F], results: &[R], mut add: impl FnMut(&mut F, &R)) {
    assert_eq!(folds.len(), results.len(), "a result holds what its plan names");
    folds.iter_mut().zip(results).for_each(|(fold, result)| add(fold, result));
}

impl WindowFold {
    fn new(plan: &Plan) -> WindowFold {
        WindowFold {
            measured_seconds: Vec::new(),
            clients: plan.clients.iter().map(ClientFold::new).collect(),
            edges: vec![EdgeFold::default(); plan.edges.len()],
            services: plan.services.iter().map(ServiceFold::new).collect(),
            named_endpoints: named_endpoints(plan),
        }
    }

    fn add(&mut self, result: &WindowResult) {
        let window = result.measured_nanos as f64;
        self.measured_seconds.push(window / 1e9);
        fold_each(&mut self.clients, &result.clients, ClientFold::add);
        fold_each(&mut self.edges, &result.edges, EdgeFold::add);
        fold_each(&mut self.services, &result.services, |fold, service| {
            let (first, count) = fold.endpoints;
            fold.add(service, &result.endpoints[first..first + count], window);
        });
        for named in &mut self.named_endpoints {
            named.add(&result.endpoints[named.endpoint as usize], window);
        }
    }
}

fn named_endpoints(plan: &Plan) -> Vec<NamedEndpoint> {
    let named = plan.named_endpoints.iter();
    named.map(|&endpoint| NamedEndpoint::new(endpoint)).collect()
}

impl ClientFold {
    fn new(plan: &ClientPlan) -> ClientFold {
        ClientFold {
            objective: plan.objective,
            ..ClientFold::default()
        }
    }

    /// How many times as many requests failed in each replication as the objective allows; `None` if one has no requests.
    pub fn burns(&self) -> Option<Vec<f64>> {
        let availabilities = self.availabilities()?;
        let budget = 1.0 - self.objective;
        Some(
            availabilities
                .iter()
                .map(|availability| (1.0 - availability) / budget)
                .collect(),
        )
    }

    fn add(&mut self, result: &ClientResult) {
        self.causes.push(result.failures.clone());
        self.attempts_over_time.merge(&result.attempts_over_time);
        merge_each(&mut self.answerers_over_time, &result.answerers_over_time);
        self.requests.push(result.requests as f64);
        self.attempts.push(result.attempts as f64);
        self.failed.push(result.failures.total() as f64);
        self.failures.merge(&result.failures);
        self.latency.add(&result.latency);
        self.failed_latency.add(&result.failed_latency);
        self.latency_over_time.merge(&result.latency_over_time);
        self.requests_over_time.merge(&result.requests_over_time);
        self.failures_over_time.merge(&result.failures_over_time);
    }

    /// The share of requests that succeeded in each replication; `None` if one has no requests.
    pub fn availabilities(&self) -> Option<Vec<f64>> {
        let pairs = self.requests.iter().zip(&self.failed);
        pairs
            .map(|(&requests, failed)| (requests > 0.0).then(|| (requests - failed) / requests))
            .collect()
    }
}

impl EdgeFold {
    fn add(&mut self, result: &EdgeResult) {
        self.causes.push(result.failures.clone());
        self.calls.push(result.calls as f64);
        self.attempts.push(result.attempts as f64);
        self.failed.push(result.failures.total() as f64);
        self.failures.merge(&result.failures);
        self.latency.add(&result.latency);
    }
}

impl ServiceFold {
    fn new(plan: &ServicePlan) -> ServiceFold {
        let capacity = match plan.discipline {
            Discipline::ProcessorSharing => Some(f64::from(plan.cores)),
            Discipline::Fifo | Discipline::Lifo | Discipline::AdaptiveLifo(_) => {
                (plan.concurrency != UNLIMITED).then_some(f64::from(plan.concurrency))
            }
        };
        ServiceFold {
            endpoints: (plan.first_endpoint as usize, plan.endpoint_count as usize),
            capacity,
            ..ServiceFold::default()
        }
    }

    fn add(&mut self, result: &ServiceResult, endpoints: &[EndpointResult], window: f64) {
        self.busy
            .push(endpoints.iter().map(|endpoint| endpoint.busy_nanos).sum::<u128>() as f64 / window);
        let busiest = endpoints.iter().map(|endpoint| endpoint.attempts).max().unwrap_or(0);
        let all: u64 = endpoints.iter().map(|endpoint| endpoint.attempts).sum();
        self.connections.push(result.connections as f64);
        self.load_max.push(busiest as f64 * endpoints.len() as f64 / all as f64);
        self.arrived.push(result.attempts as f64);
        self.causes.push(result.failures.clone());
        let seconds = |nanos: u128| nanos as f64 / 1e9;
        self.work.push((seconds(result.work_nanos), seconds(result.wasted_nanos)));
        self.ejections.push(result.ejections as f64);
        self.ejections_spared.push(result.ejections_spared as f64);
        let beliefs = &result.beliefs;
        self.ejected.push((seconds(beliefs.out_nanos), seconds(beliefs.known_nanos)));
        self.panic.push((seconds(beliefs.panic_nanos), seconds(beliefs.caller_nanos)));
        self.beliefs_over_time.merge(&result.beliefs_over_time);
        self.failed.push(result.failures.total() as f64);
        self.failures.merge(&result.failures);
        self.latency.add(&result.latency);
        self.queue_wait.add(&result.queue_wait);
        self.belief_delay.add(&result.belief_delay);
        self.stale_requests.push(result.stale_requests as f64);
        self.waited.push(result.waited as f64);
        self.in_flight.push(result.in_flight_nanos as f64 / window);
        self.growth.push(stability::growth(&result.in_flight_over_time, window));
        self.window.push(window / 1e9);
        self.attempts_over_time.merge(&result.attempts_over_time);
        self.failures_over_time.merge(&result.failures_over_time);
        self.in_flight_over_time.merge(&result.in_flight_over_time);
    }
}

impl EndpointFold {
    fn add(&mut self, result: &EndpointResult, window: f64) {
        self.arrived += result.attempts;
        self.failed += result.failures;
        self.queue_wait
            .add(result.queue_wait_nanos as f64 / 1e9, result.served as f64);
        self.busy.add(result.busy_nanos as f64, window);
        self.attempts_over_time.merge(&result.attempts_over_time);
    }
}
