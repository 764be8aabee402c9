//! The value of a metric in each replication.

use crate::experiment::endpoints::NamedEndpoint;
use crate::experiment::fold::{ClientFold, EdgeFold, LatencyFold, QUANTILES, ServiceFold, VariantResult};
use crate::experiment::incidents::IncidentFold;
use crate::experiment::{Outcome, Scenario, Variant};
use crate::model::Plan;
use crate::scenario::expect::{Meaning, Metric, MetricOf, ScopeKind, find};

/// Why a metric has no value.
#[derive(Clone, Debug, PartialEq)]
pub enum Missing {
    /// Its variant was left out this time.
    NotRun(String),
    /// There is too little data: why, and how many more replications would do where more of them help.
    Data(String, Option<u64>),
}

/// Where metrics are looked up: the results, and of which variant metrics are that name none.
#[derive(Clone, Copy)]
pub struct Lookup<'a> {
    /// What was run.
    pub scenario: &'a Scenario,
    /// What came of it.
    pub outcome: &'a Outcome,
    /// Of which variant, by its index, is what names none.
    pub variant: Option<usize>,
}

/// What a metric is of, found.
struct Found<'a> {
    variant: &'a Variant,
    result: &'a VariantResult,
    meaning: Meaning,
    kind: ScopeKind,
    at: usize,
}

/// What a metric is of, in words that are the same however it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// `client`, `service`, `edge`, `endpoint` or `fault`.
    pub scope: &'static str,
    /// The name of what it is of; of a fault empty where all are meant.
    pub name: String,
    /// When: `during crash`; empty for the whole run.
    pub window: String,
    /// Its name, with a cause of failures behind a colon.
    pub metric: String,
}

impl<'a> Lookup<'a> {
    /// What a metric is of; `None` where it is of nothing that was run.
    pub fn key(self, of: &MetricOf) -> Option<Key> {
        let found = self.find(of).ok()?;
        let names = &found.variant.names;
        let window = found.meaning.window.as_ref().map(ToString::to_string);
        let cause = found.meaning.cause.as_ref().map(|cause| format!(":{cause}"));
        let (scope, name, window) = match found.kind {
            _ if of.metric.is_of_faults() => {
                let name = window.map(|window| window.trim_start_matches("during ").to_string());
                ("fault", name.unwrap_or_default(), String::new())
            }
            ScopeKind::Client => ("client", names.clients[found.at].clone(), window.unwrap_or_default()),
            ScopeKind::Service => ("service", names.services[found.at].clone(), window.unwrap_or_default()),
            ScopeKind::Edge => ("edge", names.edges[found.at].clone(), window.unwrap_or_default()),
            ScopeKind::Endpoint => {
                let scope = found.meaning.scope.as_ref().map(|scope| scope.name.clone());
                ("endpoint", scope.unwrap_or_default(), String::new())
            }
        };
        Some(Key {
            scope,
            name,
            window,
            metric: format!("{}{}", of.metric.name(), cause.unwrap_or_default()),
        })
    }

    fn find(self, of: &MetricOf) -> Result<Found<'a>, Missing> {
        let data = |message: String| Missing::Data(message, None);
        let variants = &self.scenario.variants;
        let known: Vec<&str> = self.scenario.all_variants.iter().map(String::as_str).collect();
        let meaning = of.meaning(&known).map_err(|problem| data(problem.message))?;
        let index = match &meaning.variant {
            None => self.variant.unwrap_or(0),
            Some(name) => {
                let index = variants.iter().position(|variant| variant.name == *name);
                index.ok_or_else(|| Missing::NotRun(format!("variant `{name}` was not run")))?
            }
        };
        let variant = &variants[index];
        let (kind, at) = match of.metric.is_of_faults() {
            true => (ScopeKind::Client, 0),
            false => find(&variant.names, &variant.plan, meaning.scope.as_ref()).map_err(data)?,
        };
        Ok(Found {
            variant,
            result: &self.outcome.variants[index],
            meaning,
            kind,
            at,
        })
    }

    /// The value of a metric in each replication; times in seconds.
    ///
    /// # Errors
    /// Why there is none.
    pub fn each(self, of: &MetricOf) -> Result<Vec<f64>, Missing> {
        let found = self.find(of)?;
        let name = of.metric.name();
        let missing = |reason: String| Missing::Data(format!("`{name}` {reason}"), None);
        if of.metric.is_of_faults() {
            return found.of_faults(of.metric);
        }
        let figures = found.figures()?;
        let (at, cause) = (found.at, found.meaning.cause.as_deref());
        let values = match (of.metric, found.kind) {
            (Metric::Failures, _) => figures.failures(found.kind, at, cause),
            (Metric::Overflow, _) => figures.failures(found.kind, at, Some("overflow")),
            (Metric::ErrorRate, _) => shares_of(&figures.failures(found.kind, at, cause), figures.trials(found.kind, at)),
            (Metric::Rate, _) => by_second(figures.trials(found.kind, at), &figures.seconds),
            (Metric::Goodput, _) => {
                let failed = figures.failures(found.kind, at, None).unwrap_or_default();
                by_second(&differences(figures.trials(found.kind, at), &failed), &figures.seconds)
            }
            (_, ScopeKind::Endpoint) => found.of_endpoint(of.metric, &figures),
            (_, ScopeKind::Client) => of_client(of.metric, &figures.clients[at]),
            (Metric::AttemptsPerRequest, ScopeKind::Service) => figures.attempts_per_call(at),
            (Metric::Amplification, _) => figures.amplification(at),
            (_, ScopeKind::Service) => of_service(of.metric, &figures.services[at]),
            (_, ScopeKind::Edge) => of_edge(of.metric, &figures.edges[at]),
        };
        let Some(values) = values else {
            return Err(figures.too_few(of.metric, found.kind, at));
        };
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(missing(
                "has no value in some replication: nothing was measured there".to_string(),
            )),
        }
    }

    /// Of a share of counted requests: how many there are in it, and how many in all, over all replications.
    pub fn trials(self, of: &MetricOf) -> Option<(f64, f64)> {
        let found = self.find(of).ok()?;
        let cause = found.meaning.cause.as_deref();
        let figures = found.figures().ok()?;
        let failed = figures.failures(found.kind, found.at, cause)?;
        let all = figures.trials(found.kind, found.at);
        let (failed, all): (f64, f64) = (failed.iter().sum(), all.iter().sum());
        match of.metric {
            Metric::Availability => Some((all - failed, all)),
            Metric::ErrorRate => Some((failed, all)),
            _ => None,
        }
    }
}

impl<'a> Found<'a> {
    /// Of the whole run, or of the window asked for.
    fn figures(&self) -> Result<Figures<'a>, Missing> {
        let plan = &*self.variant.plan;
        let Some(window) = &self.meaning.window else {
            let replications = self.result.replications as usize;
            return Ok(Figures {
                clients: &self.result.clients,
                edges: &self.result.edges,
                services: &self.result.services,
                endpoints: &self.result.named_endpoints,
                seconds: vec![self.result.measured_nanos as f64 / 1e9; replications],
                plan,
            });
        };
        let place = self.variant.windows.iter().position(|other| other == window);
        let place = place.ok_or_else(|| Missing::Data(format!("`{window}` was not measured"), None))?;
        let fold = &self.result.windows[place];
        Ok(Figures {
            clients: &fold.clients,
            edges: &fold.edges,
            services: &fold.services,
            endpoints: &fold.named_endpoints,
            seconds: fold.measured_seconds.clone(),
            plan,
        })
    }

    fn of_endpoint(&self, metric: Metric, figures: &Figures<'_>) -> Option<Vec<f64>> {
        let fold = figures.endpoint(self.at)?;
        match metric {
            Metric::Availability => succeeded(&fold.arrived, &fold.failed),
            Metric::Requests => Some(fold.arrived.clone()),
            Metric::QueueWait => known(fold.queue_wait.iter().map(|(wait, served)| wait / served)),
            Metric::Utilization => {
                let service = (self.result.services.iter()).find(|service| {
                    let (first, count) = service.endpoints;
                    (first..first + count).contains(&self.at)
                });
                let capacity = service?.capacity?;
                known(fold.busy.iter().map(|busy| busy / capacity))
            }
            _ => None,
        }
    }

    /// Of the faults that are meant.
    fn of_faults(&self, metric: Metric) -> Result<Vec<f64>, Missing> {
        let faults = match &self.meaning.window {
            Some(window) => window
                .faults(&self.variant.faults)
                .map_err(|message| Missing::Data(message, None))?,
            None => (0..self.variant.faults.len() as u32).collect(),
        };
        let incidents = &self.result.incidents;
        let folds: Vec<&IncidentFold> = faults.iter().map(|&fault| &incidents[fault as usize]).collect();
        of_faults(metric, &folds, self.result.replications as usize).ok_or_else(|| {
            let reason = "has no value in some replication: nothing there could be timed";
            Missing::Data(format!("`{}` {reason}", metric.name()), None)
        })
    }
}

/// Figures of the whole run or of a window.
struct Figures<'a> {
    clients: &'a [ClientFold],
    edges: &'a [EdgeFold],
    services: &'a [ServiceFold],
    /// Those that somebody asks for.
    endpoints: &'a [NamedEndpoint],
    /// What was measured of each replication.
    seconds: Vec<f64>,
    plan: &'a Plan,
}

impl Figures<'_> {
    fn endpoint(&self, at: usize) -> Option<&NamedEndpoint> {
        self.endpoints.iter().find(|named| named.endpoint as usize == at)
    }

    /// Requests, calls or attempts.
    fn trials(&self, kind: ScopeKind, at: usize) -> &[f64] {
        match kind {
            ScopeKind::Client => &self.clients[at].requests,
            ScopeKind::Service => &self.services[at].arrived,
            ScopeKind::Edge => &self.edges[at].calls,
            ScopeKind::Endpoint => self.endpoint(at).map_or(&[], |named| &named.arrived),
        }
    }

    /// What lacks for a metric to be known.
    fn too_few(&self, metric: Metric, kind: ScopeKind, at: usize) -> Missing {
        let name = metric.name();
        let latency = match kind {
            ScopeKind::Client => &self.clients[at].latency,
            ScopeKind::Service => &self.services[at].latency,
            ScopeKind::Edge => &self.edges[at].latency,
            ScopeKind::Endpoint => return Missing::Data(format!("`{name}` has too few values"), None),
        };
        let Metric::Quantile(index) = metric else {
            return Missing::Data(format!("`{name}` has no value in some replication"), None);
        };
        let Some(needed) = latency.values_missing(index) else {
            return Missing::Data(format!("`{name}` has no value in some replication"), None);
        };
        let (count, replications) = (latency.pooled.count(), latency.quantiles.len() as u64);
        let reason = format!("`{name}` needs {needed} values, and there are {count}");
        // More replications help only if each of them has some values beyond the quantile.
        let beyond = count as f64 / replications as f64 * (1.0 - QUANTILES[index]);
        if beyond < 5.0 {
            return Missing::Data(format!("{reason}: a longer `duration` is needed"), None);
        }
        let wanted = (needed as f64 / count as f64 * replications as f64).ceil() as u64;
        Missing::Data(reason, Some(wanted.saturating_sub(replications).max(1)))
    }

    fn failures(&self, kind: ScopeKind, at: usize, cause: Option<&str>) -> Option<Vec<f64>> {
        let (causes, failed) = match kind {
            ScopeKind::Client => (&self.clients[at].causes, &self.clients[at].failed),
            ScopeKind::Service => (&self.services[at].causes, &self.services[at].failed),
            ScopeKind::Edge => (&self.edges[at].causes, &self.edges[at].failed),
            ScopeKind::Endpoint => return self.endpoint(at).map(|named| named.failed.clone()),
        };
        Some(match cause {
            None => failed.clone(),
            Some(cause) => causes.iter().map(|failures| failures.of(cause) as f64).collect(),
        })
    }

    /// Attempts that a service's callers made by calls to it.
    fn attempts_per_call(&self, service: usize) -> Option<Vec<f64>> {
        let to_service = self.plan.edges.iter().zip(self.edges).filter(|(edge, _)| {
            let operation = &self.plan.operations[edge.operation as usize];
            operation.service as usize == service
        });
        let count = self.services[service].arrived.len();
        let (mut attempts, mut calls) = (vec![0.0; count], vec![0.0; count]);
        for (_, edge) in to_service {
            add_each(&mut attempts, &edge.attempts);
            add_each(&mut calls, &edge.calls);
        }
        ratios(&attempts, &calls)
    }

    /// Attempts that arrive at a service by request of any client.
    fn amplification(&self, service: usize) -> Option<Vec<f64>> {
        let arrived = &self.services[service].arrived;
        let mut requests = vec![0.0; arrived.len()];
        self.clients
            .iter()
            .for_each(|client| add_each(&mut requests, &client.requests));
        ratios(arrived, &requests)
    }
}

fn add_each(sums: &mut [f64], values: &[f64]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// Of several faults the longest time, and all requests lost; infinite where it did not come to that within the run. `None` where a
/// replication has nothing to tell.
fn of_faults(metric: Metric, folds: &[&IncidentFold], replications: usize) -> Option<Vec<f64>> {
    if metric == Metric::RequestsLost {
        let mut lost = vec![0.0; replications];
        folds.iter().for_each(|fold| add_each(&mut lost, &fold.lost));
        return Some(lost);
    }
    let times = |fold: &IncidentFold, replication: usize| match metric {
        Metric::TimeToDetect => fold.detect[replication],
        Metric::TimeToEject => fold.eject[replication],
        Metric::TimeToShift => fold.shift[replication],
        _ => fold.recover[replication],
    };
    (0..replications)
        .map(|replication| folds.iter().filter_map(|fold| times(fold, replication)).reduce(f64::max))
        .collect()
}

fn ratios(over: &[f64], under: &[f64]) -> Option<Vec<f64>> {
    Some(over.iter().zip(under).map(|(over, under)| over / under).collect())
}

/// Shares of a whole; 0 where there is nothing of it.
fn shares(pairs: impl Iterator<Item = (f64, f64)>) -> Option<Vec<f64>> {
    Some(pairs.map(|(part, all)| if all > 0.0 { part / all } else { 0.0 }).collect())
}

fn succeeded(all: &[f64], failed: &[f64]) -> Option<Vec<f64>> {
    Some(all.iter().zip(failed).map(|(all, failed)| (all - failed) / all).collect())
}

fn shares_of(parts: &Option<Vec<f64>>, all: &[f64]) -> Option<Vec<f64>> {
    ratios(parts.as_ref()?, all)
}

fn by_second(counts: &[f64], seconds: &[f64]) -> Option<Vec<f64>> {
    ratios(counts, seconds)
}

fn differences(all: &[f64], parts: &[f64]) -> Vec<f64> {
    all.iter().zip(parts).map(|(all, part)| all - part).collect()
}

fn seconds(nanos: Vec<f64>) -> Vec<f64> {
    nanos.into_iter().map(|nanos| nanos / 1e9).collect()
}

fn of_latency(metric: Metric, latency: &LatencyFold) -> Option<Vec<f64>> {
    match metric {
        Metric::Mean => latency.means().map(seconds),
        Metric::Quantile(index) if latency.values_missing(index).is_none() => latency.quantile_of_each(index).map(seconds),
        _ => None,
    }
}

fn of_client(metric: Metric, client: &ClientFold) -> Option<Vec<f64>> {
    match metric {
        Metric::Availability => client.availabilities(),
        Metric::Requests => Some(client.requests.clone()),
        Metric::ErrorBudgetBurn => client.burns(),
        Metric::AttemptsPerRequest => ratios(&client.attempts, &client.requests),
        other => of_latency(other, &client.latency),
    }
}

fn of_edge(metric: Metric, edge: &EdgeFold) -> Option<Vec<f64>> {
    match metric {
        Metric::Availability => succeeded(&edge.calls, &edge.failed),
        Metric::Requests => Some(edge.calls.clone()),
        Metric::AttemptsPerRequest => ratios(&edge.attempts, &edge.calls),
        other => of_latency(other, &edge.latency),
    }
}

/// The values, if every replication has one: a window that nothing was measured in has none.
fn known(values: impl Iterator<Item = f64>) -> Option<Vec<f64>> {
    values.map(|value| value.is_finite().then_some(value)).collect()
}

fn of_service(metric: Metric, service: &ServiceFold) -> Option<Vec<f64>> {
    match metric {
        Metric::Availability => succeeded(&service.arrived, &service.failed),
        Metric::Requests => Some(service.arrived.clone()),
        Metric::Utilization => {
            let capacity = service.capacity? * service.endpoints.1 as f64;
            known(service.busy.iter().map(|busy| busy / capacity))
        }
        Metric::WastedWork => shares(service.work.iter().map(|&(all, wasted)| (wasted, all))),
        Metric::Ejections => Some(service.ejections.clone()),
        Metric::EjectedShare => shares(service.ejected.iter().copied()),
        Metric::PanicShare => shares(service.panic.iter().copied()),
        Metric::DiscoveryDelay => service.belief_delay.means().map(seconds),
        Metric::StaleRequests => Some(service.stale_requests.clone()),
        Metric::InFlight => known(service.in_flight.iter().copied()),
        Metric::QueueWait => service.queue_wait.means().map(seconds),
        Metric::Waited => {
            let served: Vec<f64> = service.queue_wait.totals.iter().map(|&(_, count)| count).collect();
            ratios(&service.waited, &served)
        }
        Metric::LoadMax => known(service.load_max.iter().copied()),
        Metric::Connections => Some(service.connections.clone()),
        other => of_latency(other, &service.latency),
    }
}
