//! Whether what a scenario expects holds: decided on confidence bounds, replication by replication.
//!
//! Both sides of a comparison are computed for each replication, from metrics of that replication alone; since replication r of every
//! variant sees the same traffic, their difference is a paired one. The expectation holds if the whole t interval of the mean
//! difference is on its side of zero, fails if it is on the other, and is undecided in between.

use crate::experiment::fold::{ClientFold, EdgeFold, LatencyFold, ServiceFold};
use crate::experiment::{Outcome, Scenario};
use crate::measure::confidence::{self, Estimate};
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
            Expr::Number(number) => Ok(vec![*number; self.scenario.replications as usize]),
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
        let index = match &of.variant {
            None if variants.len() == 1 => 0,
            None => return Err(format!("`{}` does not say of which variant", of.metric.name())),
            Some(name) => variants
                .iter()
                .position(|variant| variant.name == *name)
                .ok_or_else(|| format!("variant `{name}` was not run"))?,
        };
        let (names, result) = (&variants[index].names, &self.outcome.variants[index]);
        let (kind, at) = find(names, of.scope.as_ref())?;
        let values = match kind {
            ScopeKind::Client => of_client(of.metric, &result.clients[at]),
            ScopeKind::Service => of_service(of.metric, &result.services[at]),
            ScopeKind::Edge => of_edge(of.metric, &result.edges[at]),
        };
        let values = values.ok_or_else(|| format!("`{}` has too few values", of.metric.name()))?;
        let all = values.iter().all(|value| value.is_finite());
        all.then_some(values)
            .ok_or_else(|| format!("`{}` has no value in some replication", of.metric.name()))
    }
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
