//! Whether what a scenario expects holds: decided on confidence bounds, replication by replication.
//!
//! Both sides of a comparison are computed for each replication, from metrics of that replication alone; since replication r of every
//! variant sees the same traffic, their difference is a paired one. The expectation holds if the whole t interval of the mean
//! difference is on its side of zero, fails if it is on the other, and is undecided in between.

use crate::experiment::fold::{ClientFold, EdgeFold, LatencyFold, ServiceFold};
use crate::experiment::incidents::IncidentFold;
use crate::experiment::{Outcome, Scenario};
use crate::measure::confidence::{self, Estimate};
use crate::model::Plan;
use crate::scenario::expect::{Expectation, Expr, Metric, MetricOf, Operator, Relation, ScopeKind, find};

/// What is known of an expectation.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The line of `expect:`.
    pub text: String,
    /// Whether it holds.
    pub verdict: Verdict,
    /// The left side, where it can be computed.
    pub left: Option<Estimate>,
    /// The right side.
    pub right: Option<Estimate>,
}

/// Whether an expectation holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It does.
    Holds,
    /// It does not.
    Fails,
    /// Nobody can tell yet, and why.
    Undecided(String),
}

/// Decides every expectation of a scenario.
pub fn decide(scenario: &Scenario, outcome: &Outcome) -> Vec<Decision> {
    let results = Results { scenario, outcome };
    scenario
        .expect
        .iter()
        .map(|expectation| results.decide(expectation))
        .collect()
}

/// A metric in each replication.
///
/// # Errors
/// Why it is not known, for the user.
pub fn values(scenario: &Scenario, outcome: &Outcome, of: &MetricOf) -> Result<Vec<f64>, String> {
    Results { scenario, outcome }.metric(of)
}

#[derive(Clone, Copy)]
struct Results<'a> {
    scenario: &'a Scenario,
    outcome: &'a Outcome,
}

impl Results<'_> {
    fn decide(self, expectation: &Expectation) -> Decision {
        let sides = [&expectation.left, &expectation.right].map(|side| self.value(side));
        let [left, right] = &sides;
        let estimate = |side: &Result<Vec<f64>, String>| {
            let each = side.as_ref().ok()?;
            confidence::mean(each, confidence::LEVEL)
        };
        Decision {
            text: expectation.text.clone(),
            left: estimate(left),
            right: estimate(right),
            verdict: match (left, right) {
                (Err(reason), _) | (_, Err(reason)) => Verdict::Undecided(reason.clone()),
                (Ok(left), Ok(right)) => verdict(left, right, expectation.relation),
            },
        }
    }

    /// The value of an expression in each replication.
    fn value(self, expr: &Expr) -> Result<Vec<f64>, String> {
        match expr {
            Expr::Number(number) => Ok(vec![*number; self.outcome.replications() as usize]),
            Expr::Negative(inner) => Ok(self.value(inner)?.into_iter().map(|value| -value).collect()),
            Expr::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                let both = left.into_iter().zip(right);
                Ok(both.map(|(left, right)| apply(*operator, left, right)).collect())
            }
            Expr::Metric(metric) => self.metric(metric),
        }
    }

    fn metric(self, of: &MetricOf) -> Result<Vec<f64>, String> {
        let variants = &self.scenario.variants;
        let known: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
        let meaning = of.meaning(&known)?;
        let name = of.metric.name();
        let index = match &meaning.variant {
            None if variants.len() == 1 => 0,
            None => return Err(format!("`{name}` does not say of which variant, or that variant was not run")),
            Some(name) => variants
                .iter()
                .position(|variant| variant.name == *name)
                .ok_or_else(|| format!("variant `{name}` was not run"))?,
        };
        let (variant, result) = (&variants[index], &self.outcome.variants[index]);
        if of.metric.is_of_faults() {
            let faults = match &meaning.window {
                Some(window) => window.faults(&variant.faults)?,
                None => (0..variant.faults.len() as u32).collect(),
            };
            let folds: Vec<&IncidentFold> = faults.iter().map(|&fault| &result.incidents[fault as usize]).collect();
            return of_faults(of.metric, &folds, result.replications as usize)
                .ok_or_else(|| format!("`{name}` has no value in some replication: nothing there could be timed"));
        }
        let figures = match &meaning.window {
            None => Figures {
                clients: &result.clients,
                edges: &result.edges,
                services: &result.services,
                plan: &variant.plan,
            },
            Some(window) => {
                let place = variant.windows.iter().position(|other| other == window);
                let fold = &result.windows[place.ok_or_else(|| format!("`{window}` was not measured"))?];
                Figures {
                    clients: &fold.clients,
                    edges: &fold.edges,
                    services: &fold.services,
                    plan: &variant.plan,
                }
            }
        };
        let (kind, at) = find(&variant.names, meaning.scope.as_ref())?;
        let values = match (of.metric, kind) {
            (Metric::Failures, _) => figures.failures(kind, at, meaning.cause.as_deref()),
            (Metric::Overflow, _) => figures.failures(kind, at, Some("overflow")),
            (_, ScopeKind::Client) => of_client(of.metric, &figures.clients[at]),
            (Metric::AttemptsPerRequest, ScopeKind::Service) => figures.attempts_per_call(at),
            (Metric::Amplification, _) => figures.amplification(at),
            (_, ScopeKind::Service) => of_service(of.metric, &figures.services[at]),
            (_, ScopeKind::Edge) => of_edge(of.metric, &figures.edges[at]),
        };
        let values = values.ok_or_else(|| format!("`{name}` has too few values"))?;
        let all = values.iter().all(|value| value.is_finite());
        all.then_some(values)
            .ok_or_else(|| format!("`{name}` has no value in some replication"))
    }
}

/// Figures of the whole run or of a window.
struct Figures<'a> {
    clients: &'a [ClientFold],
    edges: &'a [EdgeFold],
    services: &'a [ServiceFold],
    plan: &'a Plan,
}

impl Figures<'_> {
    fn failures(&self, kind: ScopeKind, at: usize, cause: Option<&str>) -> Option<Vec<f64>> {
        let (causes, failed) = match kind {
            ScopeKind::Client => (&self.clients[at].causes, &self.clients[at].failed),
            ScopeKind::Service => (&self.services[at].causes, &self.services[at].failed),
            ScopeKind::Edge => (&self.edges[at].causes, &self.edges[at].failed),
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

fn apply(operator: Operator, left: f64, right: f64) -> f64 {
    match operator {
        Operator::Plus => left + right,
        Operator::Minus => left - right,
        Operator::Times => left * right,
        Operator::Over => left / right,
    }
}

fn verdict(left: &[f64], right: &[f64], relation: Relation) -> Verdict {
    // How far each replication is on the right side of the comparison.
    let margins: Vec<f64> = left
        .iter()
        .zip(right)
        .map(|(left, right)| match relation {
            Relation::Less | Relation::AtMost => right - left,
            Relation::Greater | Relation::AtLeast => left - right,
        })
        .collect();
    // What was not reached within the run is infinitely late: no interval says so, and none is needed.
    let never = |sign: f64| margins.iter().any(|margin| margin.is_infinite() && margin.signum() == sign);
    match (never(-1.0), never(1.0)) {
        _ if margins.iter().any(|margin| margin.is_nan()) => {
            return Verdict::Undecided("neither side was reached within the run".to_string());
        }
        (true, true) => return Verdict::Undecided("one side or the other was not reached within the run".to_string()),
        (true, false) => return Verdict::Fails,
        (false, true) => return Verdict::Holds,
        (false, false) => {}
    }
    let admits_equal = matches!(relation, Relation::AtMost | Relation::AtLeast);
    let Some(estimate) = confidence::mean(&margins, confidence::LEVEL) else {
        return Verdict::Undecided("there is nothing to compare".to_string());
    };
    match estimate.interval {
        None => Verdict::Undecided("one replication says nothing of the next: more are needed".to_string()),
        Some(interval) if interval.low > 0.0 || (admits_equal && interval.low == 0.0) => Verdict::Holds,
        Some(interval) if interval.high < 0.0 || (!admits_equal && interval.high == 0.0) => Verdict::Fails,
        Some(interval) => {
            // The width falls with the root of the number of replications.
            let relative = interval.half_width() / estimate.value;
            let wanted = relative * relative * margins.len() as f64;
            let reason = if wanted.is_finite() && wanted < 1e4 {
                format!("about {wanted:.0} replications would tell")
            } else {
                "the two sides are as good as equal".to_string()
            };
            Verdict::Undecided(reason)
        }
    }
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

fn of_service(metric: Metric, service: &ServiceFold) -> Option<Vec<f64>> {
    match metric {
        Metric::Availability => succeeded(&service.arrived, &service.failed),
        Metric::Requests => Some(service.arrived.clone()),
        Metric::Utilization => {
            let capacity = service.capacity? * service.endpoints.1 as f64;
            Some(service.busy.iter().map(|busy| busy / capacity).collect())
        }
        Metric::WastedWork => shares(service.work.iter().map(|&(all, wasted)| (wasted, all))),
        Metric::Ejections => Some(service.ejections.clone()),
        Metric::EjectedShare => shares(service.ejected.iter().copied()),
        Metric::PanicShare => shares(service.panic.iter().copied()),
        Metric::DiscoveryDelay => service.belief_delay.means().map(seconds),
        Metric::StaleRequests => Some(service.stale_requests.clone()),
        Metric::InFlight => Some(service.in_flight.clone()),
        Metric::QueueWait => service.queue_wait.means().map(seconds),
        Metric::Waited => {
            let served: Vec<f64> = service.queue_wait.totals.iter().map(|&(_, count)| count).collect();
            ratios(&service.waited, &served)
        }
        Metric::LoadMax => Some(service.load_max.clone()),
        Metric::Connections => Some(service.connections.clone()),
        other => of_latency(other, &service.latency),
    }
}
