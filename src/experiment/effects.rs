//! Which parts of the model a scenario uses, in words: what is on, how, and what is off. Reports say both, so that a reader
//! knows what the figures rest on.

use std::fmt::Debug;

use crate::model::plan::{ConnectionPlan, Load, NO_EDGE, NO_SIZE, OnCancel, Plan, STATIC, ServicePlan, Threading, UNLIMITED};
use crate::time::Duration;

/// An effect's name, and how the plan uses it; `None` where it is off.
pub type Effect = (&'static str, Option<String>);

/// All effects, always the same in the same order. Shares (`3 of 7`) are of pairs of a caller and a service that it calls,
/// of places that calls are made from, or of services.
pub fn effects(plan: &Plan) -> Vec<Effect> {
    let mut effects = of_callers(plan);
    effects.extend(of_calls(plan));
    effects.extend(of_services(plan));
    effects.extend(of_surroundings(plan));
    effects
}

/// What callers do for each service that they call.
fn of_callers(plan: &Plan) -> Vec<Effect> {
    let each = |word: &dyn Fn(&crate::model::plan::ClusterPlan) -> Option<String>| tally(plan.clusters.iter().map(word));
    let on = |is_on: bool| is_on.then(|| "on".to_string());
    vec![
        ("load balancing", each(&|c| Some(c.config.balancer.name().to_string()))),
        (
            "retries",
            each(&|c| {
                let retry = c.config.retry.as_ref()?;
                let family = [
                    (retry.grpc.is_some(), "gRPC's"),
                    (retry.linkerd.is_some(), "Linkerd's"),
                    (retry.finagle.is_some(), "Finagle's"),
                    (retry.aws.is_some(), "AWS SDK's"),
                ];
                Some(match family.into_iter().find(|(is_on, _)| *is_on) {
                    Some((_, family)) => family.to_string(),
                    None => format!("Envoy's, at most {}", retry.num_retries),
                })
            }),
        ),
        (
            "hedging",
            each(&|c| on(c.config.hedging.is_some() || c.config.hedge_policy.is_some())),
        ),
        (
            "circuit breakers of a caller",
            each(&|c| on(c.config.circuit_breaker.is_some())),
        ),
        ("outlier detection", each(&|c| c.config.outlier_detection.as_ref().map(kind))),
        (
            "breakers of single endpoints",
            each(&|c| c.config.failure_accrual.as_ref().map(kind)),
        ),
        ("active health checks", each(&|c| on(c.config.health_check.is_some()))),
        ("callers that hold requests back", each(&|c| on(!c.config.guard.is_empty()))),
        (
            "preference of localities",
            each(&|c| on(c.config.locality_lb_setting.is_some())),
        ),
        ("subsets of endpoints", each(&|c| on(c.config.candidates.subsets.is_some()))),
        (
            "delayed discovery of endpoints",
            each(&|c| (c.discovery != STATIC).then(|| kind(&plan.discoveries[c.discovery as usize].config))),
        ),
        (
            "connections that take time to open",
            each(&|c| on(c.connections != ConnectionPlan::Warm)),
        ),
        (
            "limited connections, with a queue for them",
            each(&|c| on(c.config.pool.is_some())),
        ),
    ]
}

/// What is said of each call.
fn of_calls(plan: &Plan) -> Vec<Effect> {
    let each = |word: &dyn Fn(&crate::model::plan::SitePlan) -> Option<String>| {
        tally(plan.sites.iter().filter(|site| site.edge != NO_EDGE).map(word))
    };
    vec![
        ("timeouts", each(&|site| limit(site.timeout))),
        ("timeouts of an attempt", each(&|site| limit(site.per_try_timeout))),
        (
            "deadlines that travel along",
            each(&|site| site.deadline_propagation.then(|| "on".to_string())),
        ),
        (
            "sizes of messages",
            each(&|site| (site.request_size != NO_SIZE || site.response_size != NO_SIZE).then(|| "on".to_string())),
        ),
    ]
}

/// What happens at endpoints.
fn of_services(plan: &Plan) -> Vec<Effect> {
    let each = |word: &dyn Fn(&ServicePlan) -> Option<String>| tally(plan.services.iter().map(word));
    let on = |is_on: bool| is_on.then(|| "on".to_string());
    let is_uneven = |service: &ServicePlan| {
        let first = service.first_endpoint as usize;
        let speeds = || {
            plan.endpoints[first..first + service.endpoint_count as usize]
                .iter()
                .map(|e| e.speed)
        };
        speeds().any(|speed| speed != plan.endpoints[first].speed)
    };
    vec![
        (
            "limited concurrency",
            each(&|s| (s.concurrency != UNLIMITED).then(|| format!("{} at once", s.concurrency))),
        ),
        (
            "limited queues",
            each(&|s| (s.queue_limit != UNLIMITED).then(|| format!("at most {} wait", s.queue_limit))),
        ),
        ("endpoints of different speed", each(&|s| on(is_uneven(s)))),
        (
            "threads that are held during calls",
            each(&|s| on(s.threading == Threading::Sync)),
        ),
        (
            "abandoned work that is stopped",
            each(&|s| on(s.on_cancel != OnCancel::Continue)),
        ),
        (
            "endpoints that turn requests away under load",
            each(&|s| on(!s.shield.is_empty() || s.codel.is_some() || s.shed.is_some())),
        ),
    ]
}

/// Network, clients and faults.
fn of_surroundings(plan: &Plan) -> Vec<Effect> {
    let on = |is_on: bool| is_on.then(|| "on".to_string());
    let links = &plan.network.links;
    let closed = plan.clients.iter().map(|client| match client.load {
        Load::Open(_) => None,
        Load::Closed { users, .. } => Some(format!("{users} users")),
    });
    vec![
        ("network latency", on(links.iter().any(|link| link.latency.mean() > 0.0))),
        ("zones", (plan.network.zones > 1).then(|| plan.network.zones.to_string())),
        ("lost packets", on(links.iter().any(|link| link.loss > 0.0))),
        ("limited bandwidth", on(links.iter().any(|link| link.bandwidth.is_finite()))),
        ("clients that wait for answers", tally(closed)),
        ("faults", (!plan.faults.is_empty()).then(|| plan.faults.len().to_string())),
    ]
}

fn limit(duration: Duration) -> Option<String> {
    (duration != Duration::MAX).then(|| duration.to_string())
}

/// The different words with how many say each, the most frequent first; the word alone where all say it; `None` where nobody
/// says anything.
fn tally(words: impl Iterator<Item = Option<String>>) -> Option<String> {
    let mut counts: Vec<(Option<String>, usize)> = Vec::new();
    for word in words {
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    let mut counts: Vec<(String, usize)> = counts.into_iter().filter_map(|(word, count)| Some((word?, count))).collect();
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let said = counts.iter().map(|(word, count)| match *count == all {
        true => word.clone(),
        false => format!("{word} ({count} of {all})"),
    });
    (!counts.is_empty()).then(|| said.collect::<Vec<_>>().join(", "))
}

/// The name of an enum's variant, in words: `FinagleSuccessRate(…)` is `finagle success rate`.
fn kind(config: &impl Debug) -> String {
    let mut words = String::new();
    for c in format!("{config:?}").chars().take_while(|c| c.is_ascii_alphanumeric()) {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted() {
        let said = |words: &[&str]| tally(words.iter().map(|&word| (!word.is_empty()).then(|| word.to_string())));
        assert_eq!(said(&[]), None);
        assert_eq!(said(&["", ""]), None);
        assert_eq!(said(&["a", "a"]).as_deref(), Some("a"));
        assert_eq!(said(&["a", "b", "", "b"]).as_deref(), Some("b (2 of 4), a (1 of 4)"));
    }

    #[test]
    fn kinds_are_words() {
        assert_eq!(kind(&Some(3)), "some");
        assert_eq!(kind(&Threading::Async), "async");
        assert_eq!(kind(&OnCancel::DropQueued), "drop queued");
    }
}
