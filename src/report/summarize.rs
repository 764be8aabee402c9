//! From the folded results of an experiment to the [`Summary`]: names for indices, seconds for nanoseconds, intervals.

use crate::experiment::compare::{self, Comparison, Metric, Subject, Verdict};
use crate::experiment::effects::effects;
use crate::experiment::fold::{
    ClientFold, EdgeFold, EndpointFold, LatencyFold, QUANTILE_NAMES, QUANTILES, ServiceFold, VariantResult, WindowFold,
};
use crate::experiment::incidents::IncidentFold;
use crate::experiment::{ANSWERERS, Failures, Names, Outcome, Scenario, Variant, Warning};
use crate::measure::confidence::{self, LEVEL};
use crate::report::summary::{
    ClientSummary, ComparisonSummary, Confidence, ENDPOINTS_LISTED_MAX, EdgeSummary, EndpointSummary, Engine, FaultSummary,
    IncidentSummary, SCHEMA, ServiceSummary, SourceText, Summary, Value, VariantSummary, WindowSummary,
};
use crate::report::{Named, answer};

const NO_REQUESTS: &str = "no requests";
const NO_SUCCESS: &str = "no values";
const NOBODY_WATCHES: &str = "no caller watches its endpoints";
const UNLIMITED: &str = "concurrency is unlimited";

/// The summary of an outcome.
pub fn summarize(scenario: &Scenario, outcome: &Outcome) -> Summary {
    let count = scenario.variants.len();
    let simulated_nanos: u128 = outcome.variants.iter().map(|variant| variant.simulated_nanos).sum();
    let mut summary = Summary {
        schema: SCHEMA.to_string(),
        version: env!("CARGO_PKG_VERSION").to_string(),
        scenario: scenario.name.clone(),
        description: scenario.description.trim().to_string(),
        scenario_digest: format!("{:016x}", scenario.digest),
        seed: scenario.seed,
        replications: scenario.replications,
        answer: String::new(),
        warnings: outcome
            .warnings
            .iter()
            .map(|warning| warning_text(warning, scenario))
            .collect(),
        confidence: Confidence {
            level: LEVEL,
            pairs: count * count.saturating_sub(1) / 2,
        },
        variants: scenario
            .variants
            .iter()
            .zip(&outcome.variants)
            .map(|(variant, result)| of_variant(variant, result))
            .collect(),
        comparisons: comparisons(scenario, outcome),
        engine: Engine {
            events_total: outcome.variants.iter().map(|variant| variant.events_total).sum(),
            simulated_seconds: simulated_nanos as f64 / 1e9,
        },
        source: SourceText {
            name: scenario
                .source_name
                .rsplit(['/', '\\'])
                .next()
                .unwrap_or_default()
                .to_string(),
            text: scenario.source_text.clone(),
        },
    };
    summary.answer = answer::answer(&summary);
    summary
}

fn warning_text(warning: &Warning, scenario: &Scenario) -> String {
    match *warning {
        Warning::FewReplications { replications: 1 } => {
            "one replication gives no intervals, so no difference can be told from chance; use --replications 10 or more".into()
        }
        Warning::FewReplications { replications } => format!(
            "{replications} replications give wide and uncertain intervals; use --replications 10 or more for results to lean on"
        ),
        Warning::NotSettled { variant } => format!(
            "variant `{}` had not settled by the middle of the run (MSER-5 found no cut); use a longer --duration, or is it overloaded?",
            scenario.variants[variant].name
        ),
        Warning::ShortRun { warmup, duration } => {
            format!("the measured part is less than ten times the warm-up of {warmup}; use a longer --duration than {duration}")
        }
    }
}

fn of_variant(variant: &Variant, result: &VariantResult) -> VariantSummary {
    let names = &variant.names;
    let seconds = result.measured_nanos as f64 / 1e9;
    let faults = variant.faults.iter().map(|fault| FaultSummary {
        at_seconds: fault.at.as_secs_f64(),
        until_seconds: fault.until.as_secs_f64(),
        label: fault.label.clone(),
    });
    let service = |(index, fold): (usize, &ServiceFold)| {
        let callers = variant.plan.edges.iter().zip(&result.edges).filter(|(edge, _)| {
            let operation = &variant.plan.operations[edge.operation as usize];
            operation.service as usize == index
        });
        let attempts = callers.map(|(_, fold)| total(&fold.attempts)).sum();
        (names.services[index].clone(), of_service(fold, attempts, names, result))
    };
    VariantSummary {
        name: variant.name.clone(),
        digest: format!("{:016x}", result.digest()),
        duration_seconds: variant.plan.duration.as_secs_f64(),
        warmup_seconds: result.warmup.as_secs_f64(),
        measured_seconds: seconds,
        faults: faults.collect(),
        clients: named(&names.clients, &result.clients, |client| {
            of_client(client, &vec![seconds; client.requests.len()])
        }),
        services: result.services.iter().enumerate().map(service).collect(),
        edges: named(&names.edges, &result.edges, |edge| of_edge(edge, seconds)),
        incidents: incidents(variant, result),
        windows: windows(variant, result),
        effects: effects(&variant.plan)
            .into_iter()
            .map(|(name, how)| (name.to_string(), how))
            .collect(),
    }
}

fn windows(variant: &Variant, result: &VariantResult) -> Named<WindowSummary> {
    let pairs = variant.windows.iter().zip(&result.windows);
    let of_window = |fold: &WindowFold| WindowSummary {
        measured_seconds: mean(&fold.measured_seconds),
        clients: named(&variant.names.clients, &fold.clients, |client| {
            of_client(client, &fold.measured_seconds)
        }),
    };
    pairs.map(|(window, fold)| (window.to_string(), of_window(fold))).collect()
}

/// The faults that occurred, by name; several of one name are told apart by when they begin.
fn incidents(variant: &Variant, result: &VariantResult) -> Vec<IncidentSummary> {
    let faults = &variant.faults;
    let occurred = result
        .incidents
        .iter()
        .enumerate()
        .filter_map(|(index, fold)| Some((index, fold, fold.span?)));
    let of_incident = |(index, fold, (from, to)): (usize, &IncidentFold, (f64, f64))| {
        let label = faults.get(index).map_or("", |fault| fault.label.as_str());
        let is_alone = faults.iter().filter(|fault| fault.label == label).count() < 2;
        IncidentSummary {
            name: if is_alone {
                label.to_string()
            } else {
                format!("{label} at {from}s")
            },
            from_seconds: from,
            to_seconds: to,
            occurrences: mean(&fold.occurrences).within(0.0, f64::INFINITY),
            time_to_detect_seconds: reached(&fold.detect, "nobody who watches endpoints had to do with it"),
            detected_ratio: Value::of(
                confidence::proportion(&fold.detected, LEVEL),
                "nobody who watches endpoints had to do with it",
            ),
            time_to_eject_seconds: reached(&fold.eject, "nobody who watches endpoints had to do with it"),
            time_to_shift_seconds: reached(&fold.shift, "it struck no endpoint"),
            time_to_recover_seconds: reached(
                &fold.recover,
                "it lasted to the end, or there were no requests before it to compare with",
            ),
            requests_lost: mean(&fold.lost),
        }
    };
    occurred.map(of_incident).collect()
}

/// The mean over the replications in which it came to that; how many these are is said where it was not in all.
fn reached(times: &[Option<f64>], nothing: &str) -> Value {
    let told: Vec<f64> = times.iter().flatten().copied().collect();
    let finite: Vec<f64> = told.iter().copied().filter(|time| time.is_finite()).collect();
    if told.is_empty() {
        return Value::missing(nothing);
    }
    let value = mean(&finite).within(0.0, f64::INFINITY);
    let reason = (finite.len() < told.len()).then(|| format!("reached in {} of {} replications", finite.len(), told.len()));
    Value { reason, ..value }
}

fn named<F, T>(names: &[String], folds: &[F], of: impl Fn(&F) -> T) -> Named<T> {
    names.iter().zip(folds).map(|(name, fold)| (name.clone(), of(fold))).collect()
}

/// `window`: the seconds measured of each replication.
fn of_client(fold: &ClientFold, window: &[f64]) -> ClientSummary {
    let succeeded = difference(&fold.requests, &fold.failed);
    ClientSummary {
        requests_total: Value::exact(total(&fold.requests)),
        attempts_total: Value::exact(total(&fold.attempts)),
        requests_per_second: rate(&fold.requests, window),
        goodput_per_second: rate(&succeeded, window),
        availability_ratio: share(&succeeded, &fold.requests),
        attempts_per_request_ratio: ratio(&fold.attempts, &fold.requests),
        failures_total: causes(&fold.failures),
        failures_by_answerer_total: answerers(&fold.failures),
        availability_objective_ratio: Value::exact(fold.objective),
        error_budget_burn_ratio: burn(fold),
        latency_seconds: latency(&fold.latency),
        failed_latency_seconds: latency(&fold.failed_latency),
    }
}

/// Failures by who ended the request.
fn answerers(failures: &Failures) -> Named<u64> {
    let counts = ANSWERERS.into_iter().zip(failures.by_answerer());
    let occurred = counts.filter(|&(_, count)| count > 0);
    occurred.map(|(name, count)| (name.to_string(), count)).collect()
}

/// The share of failures over the share allowed.
fn burn(fold: &ClientFold) -> Value {
    let budget = 1.0 - fold.objective;
    match confidence::proportion(&pairs(&fold.failed, &fold.requests), LEVEL) {
        Some(share) => Value::divided(&share, budget),
        None => Value::missing(NO_REQUESTS),
    }
}

/// Per second: a mean over replications of equal length, else the ratio of the totals.
fn rate(counts: &[f64], seconds: &[f64]) -> Value {
    let is_even = seconds.windows(2).all(|pair| pair[0] == pair[1]);
    match seconds.first() {
        Some(&first) if is_even && first > 0.0 => mean(&divided(counts, first)),
        _ => Value::of(confidence::ratio(&pairs(counts, seconds), LEVEL), "nothing was measured"),
    }
}

fn of_edge(fold: &EdgeFold, seconds: f64) -> EdgeSummary {
    EdgeSummary {
        calls_total: Value::exact(total(&fold.calls)),
        calls_per_second: rate(&fold.calls, &vec![seconds; fold.calls.len()]),
        attempts_total: Value::exact(total(&fold.attempts)),
        availability_ratio: share(&difference(&fold.calls, &fold.failed), &fold.calls),
        attempts_per_call_ratio: ratio(&fold.attempts, &fold.calls),
        failures_total: causes(&fold.failures),
        latency_seconds: latency(&fold.latency),
    }
}

fn of_service(fold: &ServiceFold, attempts: f64, names: &Names, result: &VariantResult) -> ServiceSummary {
    let (first, count) = fold.endpoints;
    let endpoints = &result.endpoints[first..first + count];
    let served: Vec<f64> = fold.queue_wait.totals.iter().map(|&(_, count)| count).collect();
    let listed = if count <= ENDPOINTS_LISTED_MAX { count } else { 0 };
    let capacity = fold.capacity.map(|capacity| capacity * count as f64);
    ServiceSummary {
        requests_total: Value::exact(total(&fold.arrived)),
        attempts_total: Value::exact(attempts),
        availability_ratio: share(&difference(&fold.arrived, &fold.failed), &fold.arrived),
        failures_total: causes(&fold.failures),
        latency_seconds: latency(&fold.latency),
        queue_wait_seconds: latency(&fold.queue_wait),
        waited_ratio: share(&fold.waited, &served),
        in_flight: mean(&fold.in_flight).within(0.0, f64::INFINITY),
        busy_slots: mean(&fold.busy).within(0.0, f64::INFINITY),
        utilization_ratio: match capacity {
            Some(capacity) => mean(&divided(&fold.busy, capacity)).within(0.0, f64::INFINITY),
            None => Value::missing(UNLIMITED),
        },
        requests_per_root_request_ratio: ratio(&fold.arrived, &root_requests(result)),
        wasted_work_ratio: match fold.work.iter().any(|&(work, _)| work > 0.0) {
            true => part(fold.work.iter().map(|&(work, wasted)| (wasted, work)), ""),
            false => Value::missing("no work was done"),
        },
        ejections_total: Value::exact(total(&fold.ejections)),
        ejections_spared_total: Value::exact(total(&fold.ejections_spared)),
        ejected_ratio: part(fold.ejected.iter().copied(), NOBODY_WATCHES),
        panic_ratio: part(fold.panic.iter().copied(), NOBODY_WATCHES),
        load_max_ratio: imbalance(endpoints),
        discovery_delay_seconds: latency(&fold.belief_delay),
        stale_requests_total: Value::exact(total(&fold.stale_requests)),
        connections_total: mean(&fold.connections).within(0.0, f64::INFINITY),
        endpoints_total: count as u64,
        endpoints: named(&names.endpoints[first..first + listed], &endpoints[..listed], |endpoint| {
            of_endpoint(endpoint, fold.capacity)
        }),
    }
}

fn of_endpoint(fold: &EndpointFold, capacity: Option<f64>) -> EndpointSummary {
    let wait = Value::of(fold.queue_wait.estimate(LEVEL), NO_REQUESTS).within(0.0, f64::INFINITY);
    let busy = fold.busy.estimate(LEVEL);
    let utilization = match (capacity, &busy) {
        (Some(capacity), Some(busy)) => Value::divided(busy, capacity).within(0.0, f64::INFINITY),
        (Some(_), None) => Value::missing("nothing was measured"),
        (None, _) => Value::missing(UNLIMITED),
    };
    EndpointSummary {
        requests_total: Value::exact(fold.arrived as f64),
        failures_total: Value::exact(fold.failed as f64),
        queue_wait_seconds: Named(vec![("mean".to_string(), wait)]),
        busy_slots: Value::of(busy, "nothing was measured").within(0.0, f64::INFINITY),
        utilization_ratio: utilization,
    }
}

/// Requests of all clients, by replication.
fn root_requests(result: &VariantResult) -> Vec<f64> {
    let mut sums = vec![0.0; result.replications as usize];
    for client in &result.clients {
        sums.iter_mut()
            .zip(&client.requests)
            .for_each(|(sum, requests)| *sum += requests);
    }
    sums
}

/// A part of a whole that is no count, so that no trials stand behind it.
fn part(pairs: impl Iterator<Item = (f64, f64)>, nothing: &str) -> Value {
    let pairs: Vec<(f64, f64)> = pairs.collect();
    Value::of(confidence::ratio(&pairs, LEVEL), nothing).within(0.0, 1.0)
}

/// The most requests of one endpoint over the mean.
fn imbalance(endpoints: &[EndpointFold]) -> Value {
    let sum: u64 = endpoints.iter().map(|endpoint| endpoint.arrived).sum();
    let most = endpoints.iter().map(|endpoint| endpoint.arrived).max().unwrap_or(0);
    if sum == 0 {
        return Value::missing(NO_REQUESTS);
    }
    Value::exact(most as f64 * endpoints.len() as f64 / sum as f64)
}

/// Mean, quantiles and maximum in seconds.
fn latency(fold: &LatencyFold) -> Named<Value> {
    let nanos_a_second = 1e9;
    let mean = confidence::ratio(&fold.totals, LEVEL);
    let mean = mean.map_or_else(|| Value::missing(NO_SUCCESS), |mean| Value::divided(&mean, nanos_a_second));
    let mut figures = vec![("mean".to_string(), mean.within(0.0, f64::INFINITY))];
    let buckets = fold.pooled.quantile_buckets(QUANTILES);
    for (index, name) in QUANTILE_NAMES.into_iter().enumerate() {
        let value = match (buckets[index], fold.values_missing(index)) {
            (None, _) => Value::missing(NO_SUCCESS),
            (Some(_), Some(needed)) => Value::missing(format!("needs {needed} values, has {}", fold.pooled.count())),
            (Some(bucket), None) => {
                let each: Vec<f64> = fold.quantiles.iter().flatten().map(|quantiles| quantiles[index]).collect();
                let pooled = fold.pooled.midpoint(bucket);
                let estimate = confidence::sectioning(pooled, bucket.half_width(), &each, LEVEL);
                Value::divided(&estimate, nanos_a_second).within(0.0, f64::INFINITY)
            }
        };
        figures.push((name.to_string(), value));
    }
    let max = fold.pooled.max().map(|max| max as f64 / 1e9);
    figures.push((
        "max".to_string(),
        max.map_or_else(|| Value::missing(NO_SUCCESS), Value::exact),
    ));
    Named(figures)
}

fn comparisons(scenario: &Scenario, outcome: &Outcome) -> Vec<ComparisonSummary> {
    let pairs = scenario.variants.iter().zip(&outcome.variants);
    let subjects = pairs.map(|(variant, result)| Subject {
        clients: &variant.names.clients,
        result,
    });
    let compared = compare::compare(&subjects.collect::<Vec<_>>());
    compared
        .iter()
        .map(|comparison| of_comparison(comparison, scenario))
        .collect()
}

fn of_comparison(comparison: &Comparison, scenario: &Scenario) -> ComparisonSummary {
    let (a, b) = (&scenario.variants[comparison.a], &scenario.variants[comparison.b]);
    let figure = match comparison.metric {
        Metric::Availability => "availability_ratio".to_string(),
        Metric::MeanLatency => "latency_seconds.mean".to_string(),
        Metric::Quantile(index) => format!("latency_seconds.{}", QUANTILE_NAMES[index]),
    };
    let verdict = match comparison.verdict {
        Verdict::Lower => "lower",
        Verdict::Higher => "higher",
        Verdict::NoDifference => "no difference",
        Verdict::Undecided => "undecided",
    };
    ComparisonSummary {
        metric: format!("{}.{figure}", a.names.clients[comparison.client]),
        a: a.name.clone(),
        b: b.name.clone(),
        difference: Value::divided(&comparison.difference, 1.0),
        ratio: Value::of(comparison.ratio, "a replication has the value zero"),
        correlation: match comparison.correlation {
            Some(correlation) => Value::exact(correlation),
            None => Value::missing("one of the two does not vary over the replications"),
        },
        verdict: verdict.to_string(),
    }
}

fn causes(failures: &Failures) -> Named<u64> {
    Named(failures.by_cause())
}

fn total(each: &[f64]) -> f64 {
    each.iter().sum()
}

fn divided(each: &[f64], divisor: f64) -> Vec<f64> {
    each.iter().map(|value| value / divisor).collect()
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn pairs(a: &[f64], b: &[f64]) -> Vec<(f64, f64)> {
    a.iter().copied().zip(b.iter().copied()).collect()
}

fn mean(each: &[f64]) -> Value {
    Value::of(confidence::mean(each, LEVEL), "nothing was measured")
}

fn ratio(a: &[f64], b: &[f64]) -> Value {
    Value::of(confidence::ratio(&pairs(a, b), LEVEL), NO_REQUESTS).within(0.0, f64::INFINITY)
}

fn share(successes: &[f64], trials: &[f64]) -> Value {
    Value::of(confidence::proportion(&pairs(successes, trials), LEVEL), NO_REQUESTS)
}
