//! What is drawn as curves: values over time (`timeseries.csv`) and whole histograms (`latency.csv`).

use crate::experiment::fold::{ClientFold, ServiceFold, VariantResult};
use crate::experiment::{ANSWERERS, Names, Outcome, Scenario};
use crate::measure::{Histogram, Series};
use crate::report::summary::ENDPOINTS_LISTED_MAX;
use crate::time::Duration;

/// All curves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// Values over time.
    pub over_time: Vec<OverTime>,
    /// Histograms of latencies.
    pub latencies: Vec<Latencies>,
}

/// One figure over time.
#[derive(Clone, Debug, PartialEq)]
pub struct OverTime {
    /// The variant.
    pub variant: String,
    /// `client`, `service` or `endpoint`.
    pub scope: String,
    /// Which one; `service/endpoint` for an endpoint.
    pub name: String,
    /// What, with its unit.
    pub metric: String,
    /// The width of a bucket of time.
    pub interval_nanos: u64,
    /// By bucket; `None` where there is nothing to tell.
    pub values: Vec<Option<f64>>,
}

/// A histogram of latencies.
#[derive(Clone, Debug, PartialEq)]
pub struct Latencies {
    /// The variant.
    pub variant: String,
    /// The client.
    pub client: String,
    /// `success` or `failure`.
    pub outcome: String,
    /// Upper bound in nanoseconds and count of each bucket that holds values, ascending.
    pub buckets: Vec<(u64, u64)>,
}

/// Quantiles over time, and their metrics.
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];
const QUANTILE_METRICS: [&str; 3] = ["latency_p50_seconds", "latency_p90_seconds", "latency_p99_seconds"];

/// Values beyond a quantile that a bucket of time must hold before the quantile is told. The rule for figures (100) would
/// leave hardly any point of a curve; a curve is read by its neighbours.
const EXCEEDANCES_MIN: f64 = 5.0;

impl Curves {
    /// The curves of an outcome.
    pub fn new(scenario: &Scenario, outcome: &Outcome) -> Curves {
        let mut curves = Curves::default();
        for (variant, result) in scenario.variants.iter().zip(&outcome.variants) {
            curves.add_variant(&variant.name, &variant.names, result);
        }
        curves
    }

    /// The curve of a metric; `None` where there is none.
    pub fn find(&self, variant: &str, scope: &str, name: &str, metric: &str) -> Option<&OverTime> {
        let is_it = |c: &&OverTime| c.variant == variant && c.scope == scope && c.name == name && c.metric == metric;
        self.over_time.iter().find(is_it)
    }

    fn add_variant(&mut self, variant: &str, names: &Names, result: &VariantResult) {
        let replications = f64::from(result.replications);
        for (name, fold) in names.clients.iter().zip(&result.clients) {
            self.add_client(variant, name, fold, replications);
            let burnt = budget_burnt(fold, result.warmup);
            self.push(
                variant,
                "client",
                name,
                "error_budget_burnt_ratio",
                &fold.requests_over_time,
                burnt,
            );
        }
        for (service, fold) in names.services.iter().zip(&result.services) {
            self.add_service(variant, service, fold, replications);
            let (first, count) = fold.endpoints;
            if count > ENDPOINTS_LISTED_MAX {
                continue;
            }
            for endpoint in first..first + count {
                let name = format!("{service}/{}", names.endpoints[endpoint]);
                let attempts = &result.endpoints[endpoint].attempts_over_time;
                self.push(
                    variant,
                    "endpoint",
                    &name,
                    "requests_per_second",
                    attempts,
                    rates(attempts, replications),
                );
            }
        }
    }

    fn add_client(&mut self, variant: &str, name: &str, fold: &ClientFold, replications: f64) {
        let requests = &fold.requests_over_time;
        self.push(
            variant,
            "client",
            name,
            "requests_per_second",
            requests,
            rates(requests, replications),
        );
        let availability = shares(requests, &fold.failures_over_time);
        self.push(variant, "client", name, "availability_ratio", requests, availability);
        let attempts = means(&fold.attempts_over_time, requests);
        self.push(variant, "client", name, "attempts_per_request_ratio", requests, attempts);
        for (answerer, failures) in ANSWERERS.into_iter().zip(&fold.answerers_over_time) {
            if failures.sums().iter().any(|&failed| failed > 0) {
                let metric = format!("failures_per_second.{answerer}");
                self.push(variant, "client", name, &metric, requests, rates(failures, replications));
            }
        }
        let histograms = fold.latency_over_time.histograms();
        let quantiles: Vec<_> = histograms.iter().map(quantiles).collect();
        for (index, metric) in QUANTILE_METRICS.into_iter().enumerate() {
            let values = quantiles.iter().map(|quantiles| quantiles[index]).collect();
            self.push(variant, "client", name, metric, requests, values);
        }
        for (outcome, fold) in [("success", &fold.latency), ("failure", &fold.failed_latency)] {
            self.latencies.push(Latencies {
                variant: variant.to_string(),
                client: name.to_string(),
                outcome: outcome.to_string(),
                buckets: fold.pooled.buckets().map(|bucket| (bucket.upper, bucket.count)).collect(),
            });
        }
    }

    fn add_service(&mut self, variant: &str, name: &str, fold: &ServiceFold, replications: f64) {
        let attempts = &fold.attempts_over_time;
        self.push(
            variant,
            "service",
            name,
            "requests_per_second",
            attempts,
            rates(attempts, replications),
        );
        let availability = shares(attempts, &fold.failures_over_time);
        self.push(variant, "service", name, "availability_ratio", attempts, availability);
        let in_flight = &fold.in_flight_over_time;
        let mean = |(bucket, &sum): (usize, &u64)| Some(sum as f64 / in_flight.width(bucket).0 as f64 / replications);
        let means_in_flight = in_flight.sums().iter().enumerate().map(mean).collect();
        self.push(variant, "service", name, "in_flight", in_flight, means_in_flight);
        let beliefs = &fold.beliefs_over_time;
        let ejected = means(&beliefs.out, &beliefs.known);
        self.push(variant, "service", name, "ejected_ratio", &beliefs.out, ejected);
        let panic = means(&beliefs.panic, &beliefs.callers);
        self.push(variant, "service", name, "panic_ratio", &beliefs.panic, panic);
    }

    fn push(&mut self, variant: &str, scope: &str, name: &str, metric: &str, grid: &Series, values: Vec<Option<f64>>) {
        if values.is_empty() {
            return;
        }
        self.over_time.push(OverTime {
            variant: variant.to_string(),
            scope: scope.to_string(),
            name: name.to_string(),
            metric: metric.to_string(),
            interval_nanos: grid.width(0).0,
            values,
        });
    }
}

/// Per second of one replication.
fn rates(series: &Series, replications: f64) -> Vec<Option<f64>> {
    let rate = |(bucket, &sum): (usize, &u64)| Some(sum as f64 / series.width(bucket).as_secs_f64() / replications);
    series.sums().iter().enumerate().map(rate).collect()
}

/// One over the other; `None` where there was nothing.
fn means(part: &Series, all: &Series) -> Vec<Option<f64>> {
    let pairs = part.sums().iter().zip(all.sums());
    pairs
        .map(|(&part, &all)| (all > 0).then(|| part as f64 / all as f64))
        .collect()
}

/// The share that did not fail; `None` where there was nothing.
fn shares(all: &Series, failures: &Series) -> Vec<Option<f64>> {
    let pairs = all.sums().iter().zip(failures.sums());
    pairs
        .map(|(&all, &failed)| (all > 0).then(|| all.saturating_sub(failed) as f64 / all as f64))
        .collect()
}

/// Failures since the warm-up over those that the objective allows for the whole of the measured time: 1 where the budget is
/// spent. It ends at the figure of the summary, but for the part of a bucket that the warm-up may cut off.
fn budget_burnt(fold: &ClientFold, warmup: Duration) -> Vec<Option<f64>> {
    let requests = &fold.requests_over_time;
    let width = requests.width(0).0.max(1);
    let first = warmup.0.div_ceil(width) as usize;
    let all: u64 = requests.sums().iter().skip(first).sum();
    let budget = all as f64 * (1.0 - fold.objective);
    let mut failed = 0;
    let burnt = |(bucket, &failures): (usize, &u64)| {
        if bucket < first || budget <= 0.0 {
            return None;
        }
        failed += failures;
        Some(failed as f64 / budget)
    };
    fold.failures_over_time.sums().iter().enumerate().map(burnt).collect()
}

/// The quantiles in seconds that enough values stand for.
fn quantiles(histogram: &Histogram<5>) -> [Option<f64>; QUANTILES.len()] {
    let mut buckets = histogram.quantile_buckets(QUANTILES);
    for (bucket, p) in buckets.iter_mut().zip(QUANTILES) {
        // A hundredth of the limit allows for 1 - p not being exact.
        if histogram.count() as f64 * (1.0 - p) < EXCEEDANCES_MIN * 0.99 {
            *bucket = None;
        }
    }
    buckets.map(|bucket| bucket.map(|bucket| histogram.midpoint(bucket) / 1e9))
}
