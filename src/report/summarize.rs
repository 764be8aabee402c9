//! From the folded results of an experiment to the [`Summary`]: names for indices, seconds for nanoseconds, intervals.

mod comparisons;
mod figures;
mod precision;

use crate::experiment::effects::effects;
use crate::experiment::fold::{ClientFold, EdgeFold, EndpointFold, ServiceFold, VariantResult, WindowFold};
use crate::experiment::incidents::IncidentFold;
use crate::experiment::{ANSWERERS, Failures, Names, Outcome, Scenario, Variant, Warning, stability};
use crate::measure::confidence::LEVEL;
use crate::report::summary::{
    ClientSummary, Confidence, ENDPOINTS_LISTED_MAX, EdgeSummary, EndpointSummary, Engine, FaultSummary, IncidentSummary, SCHEMA,
    ServiceSummary, SourceText, Summary, Value, VariantSummary, WindowSummary,
};
use crate::report::{Named, answer};
use figures::{Figures, NO_REQUESTS, divided};

const NOBODY_WATCHES: &str = "no caller watches its endpoints";
const UNLIMITED: &str = "concurrency is unlimited";

/// The summary of an outcome.
pub fn summarize(scenario: &Scenario, outcome: &Outcome) -> Summary {
    let by = Figures::of(scenario);
    let count = scenario.variants.len();
    let simulated_nanos: u128 = outcome.variants.iter().map(|variant| variant.simulated_nanos).sum();
    let mut summary = Summary {
        schema: SCHEMA.to_string(),
        version: env!("CARGO_PKG_VERSION").to_string(),
        scenario: scenario.name.clone(),
        description: scenario.description.trim().to_string(),
        scenario_digest: format!("{:016x}", scenario.digest),
        seed: scenario.seed,
        replications: outcome.replications(),
        answer: String::new(),
        warnings: outcome
            .warnings
            .iter()
            .map(|warning| warning_text(warning, scenario))
            .chain(precision::unreached(scenario, outcome))
            .collect(),
        confidence: Confidence {
            level: LEVEL,
            pairs: count * count.saturating_sub(1) / 2,
            correction: "bonferroni".to_string(),
            indifference: scenario.statistics.indifference,
        },
        variants: scenario
            .variants
            .iter()
            .zip(&outcome.variants)
            .map(|(variant, result)| of_variant(variant, result, by))
            .collect(),
        comparisons: comparisons::comparisons(scenario, outcome, by),
        rankings: Vec::new(),
        precision: precision::precisions(outcome),
        selection: precision::selection(scenario, outcome),
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
    summary.warnings.extend(comparisons::backfired(&summary));
    summary.rankings = comparisons::rankings(&summary);
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
            "variant `{}` had not settled by the middle of the run (MSER-5 found no cut): its figures are not those of a steady state; \
             use twice the --duration, or is it overloaded?",
            scenario.variants[variant].name
        ),
        Warning::Overloaded {
            variant,
            service,
            offered,
            grows,
        } => {
            let name = &scenario.variants[variant].names.services[service];
            let more = if grows {
                "; its queue grows without bound, so figures depend on how long the run lasts"
            } else {
                ""
            };
            format!(
                "{name} is offered {offered:.2} of what it can serve{}{more}",
                in_variant(variant, scenario)
            )
        }
        Warning::Saturated {
            variant,
            service,
            endpoint,
        } => {
            let names = &scenario.variants[variant].names;
            format!(
                "{} of {} is busy all the time{}: its queue grows without bound, though {} as a whole could serve what it is offered",
                names.endpoints[endpoint],
                names.services[service],
                in_variant(variant, scenario),
                names.services[service]
            )
        }
        Warning::NotStationary { variant, service, ratio } => {
            let name = &scenario.variants[variant].names.services[service];
            format!(
                "{name} is not in a steady state{}: arrivals times their stay are {ratio:.2} of the requests there (Little's law); use a longer \
                 --duration, or a longer warmup",
                in_variant(variant, scenario)
            )
        }
        Warning::ShortRun { warmup, duration } => {
            format!("the measured part is less than ten times the warm-up of {warmup}; use a longer --duration than {duration}")
        }
    }
}

/// Names the variant where there are several.
fn in_variant(variant: usize, scenario: &Scenario) -> String {
    match scenario.variants.len() {
        1 => String::new(),
        _ => format!(" in variant `{}`", scenario.variants[variant].name),
    }
}

fn of_variant(variant: &Variant, result: &VariantResult, by: Figures) -> VariantSummary {
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
        (names.services[index].clone(), of_service(fold, attempts, names, result, by))
    };
    VariantSummary {
        name: variant.name.clone(),
        digest: format!("{:016x}", result.digest()),
        duration_seconds: variant.plan.duration.as_secs_f64(),
        warmup_seconds: result.warmup.as_secs_f64(),
        measured_seconds: seconds,
        faults: faults.collect(),
        clients: named(&names.clients, &result.clients, |client| {
            of_client(client, &vec![seconds; client.requests.len()], by)
        }),
        services: result.services.iter().enumerate().map(service).collect(),
        edges: named(&names.edges, &result.edges, |edge| of_edge(edge, seconds, by)),
        incidents: incidents(variant, result, by),
        windows: windows(variant, result, by),
        effects: effects(&variant.plan)
            .into_iter()
            .map(|(name, how)| (name.to_string(), how))
            .collect(),
    }
}

fn windows(variant: &Variant, result: &VariantResult, by: Figures) -> Named<WindowSummary> {
    let pairs = variant.windows.iter().zip(&result.windows);
    let of_window = |fold: &WindowFold| WindowSummary {
        measured_seconds: by.mean(&fold.measured_seconds),
        clients: named(&variant.names.clients, &fold.clients, |client| {
            of_client(client, &fold.measured_seconds, by)
        }),
    };
    pairs.map(|(window, fold)| (window.to_string(), of_window(fold))).collect()
}

/// The faults that occurred, by name; several of one name are told apart by when they begin.
fn incidents(variant: &Variant, result: &VariantResult, by: Figures) -> Vec<IncidentSummary> {
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
            occurrences: by.mean(&fold.occurrences).within(0.0, f64::INFINITY),
            time_to_detect_seconds: by.reached(&fold.detect, "nobody who watches endpoints had to do with it"),
            detected_ratio: by.proportion(&fold.detected, "nobody who watches endpoints had to do with it"),
            time_to_eject_seconds: by.reached(&fold.eject, "nobody who watches endpoints had to do with it"),
            time_to_shift_seconds: by.reached(&fold.shift, "it struck no endpoint"),
            time_to_recover_seconds: by.reached(
                &fold.recover,
                "it lasted to the end, or there were no requests before it to compare with",
            ),
            requests_lost: by.mean(&fold.lost),
            median_seconds: medians(fold, by),
        }
    };
    occurred.map(of_incident).collect()
}

/// The medians of the times of a fault over all replications, those included in which it did not come to that.
fn medians(fold: &IncidentFold, by: Figures) -> Named<Value> {
    let times = [
        ("time_to_detect", &fold.detect),
        ("time_to_eject", &fold.eject),
        ("time_to_shift", &fold.shift),
        ("time_to_recover", &fold.recover),
    ];
    let known = times.into_iter().filter(|(_, times)| times.iter().any(Option::is_some));
    Named(known.map(|(name, times)| (name.to_string(), by.median(times))).collect())
}

fn named<F, T>(names: &[String], folds: &[F], of: impl Fn(&F) -> T) -> Named<T> {
    names.iter().zip(folds).map(|(name, fold)| (name.clone(), of(fold))).collect()
}

/// `window`: the seconds measured of each replication.
fn of_client(fold: &ClientFold, window: &[f64], by: Figures) -> ClientSummary {
    let succeeded = difference(&fold.requests, &fold.failed);
    ClientSummary {
        requests_total: Value::exact(total(&fold.requests)),
        attempts_total: Value::exact(total(&fold.attempts)),
        requests_per_second: by.rate(&fold.requests, window),
        goodput_per_second: by.rate(&succeeded, window),
        availability_ratio: by.share(&succeeded, &fold.requests),
        attempts_per_request_ratio: by.ratio(&fold.attempts, &fold.requests),
        failures_total: causes(&fold.failures),
        failures_by_answerer_total: answerers(&fold.failures),
        availability_objective_ratio: Value::exact(fold.objective),
        error_budget_burn_ratio: by.burn(fold),
        latency_seconds: by.latency(&fold.latency),
        failed_latency_seconds: by.latency(&fold.failed_latency),
    }
}

/// Failures by who ended the request.
fn answerers(failures: &Failures) -> Named<u64> {
    let counts = ANSWERERS.into_iter().zip(failures.by_answerer());
    let occurred = counts.filter(|&(_, count)| count > 0);
    occurred.map(|(name, count)| (name.to_string(), count)).collect()
}

fn of_edge(fold: &EdgeFold, seconds: f64, by: Figures) -> EdgeSummary {
    EdgeSummary {
        calls_total: Value::exact(total(&fold.calls)),
        calls_per_second: by.rate(&fold.calls, &vec![seconds; fold.calls.len()]),
        attempts_total: Value::exact(total(&fold.attempts)),
        availability_ratio: by.share(&difference(&fold.calls, &fold.failed), &fold.calls),
        attempts_per_call_ratio: by.ratio(&fold.attempts, &fold.calls),
        failures_total: causes(&fold.failures),
        latency_seconds: by.latency(&fold.latency),
    }
}

fn of_service(fold: &ServiceFold, attempts: f64, names: &Names, result: &VariantResult, by: Figures) -> ServiceSummary {
    let (first, count) = fold.endpoints;
    let endpoints = &result.endpoints[first..first + count];
    let served: Vec<f64> = fold.queue_wait.totals.iter().map(|&(_, count)| count).collect();
    let listed = if count <= ENDPOINTS_LISTED_MAX { count } else { 0 };
    let capacity = fold.capacity.map(|capacity| capacity * count as f64);
    ServiceSummary {
        requests_total: Value::exact(total(&fold.arrived)),
        attempts_total: Value::exact(attempts),
        availability_ratio: by.share(&difference(&fold.arrived, &fold.failed), &fold.arrived),
        failures_total: causes(&fold.failures),
        latency_seconds: by.latency(&fold.latency),
        queue_wait_seconds: by.latency(&fold.queue_wait),
        waited_ratio: by.share(&fold.waited, &served),
        in_flight: by.mean(&fold.in_flight).within(0.0, f64::INFINITY),
        busy_slots: by.mean(&fold.busy).within(0.0, f64::INFINITY),
        utilization_ratio: match capacity {
            Some(capacity) => by.mean(&divided(&fold.busy, capacity)).within(0.0, f64::INFINITY),
            None => Value::missing(UNLIMITED),
        },
        offered_ratio: Value::of(
            stability::offered(fold),
            if capacity.is_none() { UNLIMITED } else { "nothing was served" },
        )
        .within(0.0, f64::INFINITY),
        little_ratio: Value::of(stability::little(fold), "attempts failed, or none came").within(0.0, f64::INFINITY),
        requests_per_root_request_ratio: by.ratio(&fold.arrived, &root_requests(result)),
        wasted_work_ratio: match fold.work.iter().any(|&(work, _)| work > 0.0) {
            true => by.part(fold.work.iter().map(|&(work, wasted)| (wasted, work)), ""),
            false => Value::missing("no work was done"),
        },
        ejections_total: Value::exact(total(&fold.ejections)),
        ejections_spared_total: Value::exact(total(&fold.ejections_spared)),
        ejected_ratio: by.part(fold.ejected.iter().copied(), NOBODY_WATCHES),
        panic_ratio: by.part(fold.panic.iter().copied(), NOBODY_WATCHES),
        load_max_ratio: imbalance(endpoints),
        discovery_delay_seconds: by.latency(&fold.belief_delay),
        stale_requests_total: Value::exact(total(&fold.stale_requests)),
        connections_total: by.mean(&fold.connections).within(0.0, f64::INFINITY),
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

/// The most requests of one endpoint over the mean.
fn imbalance(endpoints: &[EndpointFold]) -> Value {
    let sum: u64 = endpoints.iter().map(|endpoint| endpoint.arrived).sum();
    let most = endpoints.iter().map(|endpoint| endpoint.arrived).max().unwrap_or(0);
    if sum == 0 {
        return Value::missing(NO_REQUESTS);
    }
    Value::exact(most as f64 * endpoints.len() as f64 / sum as f64)
}

fn causes(failures: &Failures) -> Named<u64> {
    Named(failures.by_cause())
}

fn total(each: &[f64]) -> f64 {
    each.iter().sum()
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}
