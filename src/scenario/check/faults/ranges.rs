//! Is every value of a fault one that it may be?

use super::{cold_starts, each, readable_faults, span};
use crate::random::{DistributionConfig, Quantity, Unit};
use crate::scenario::check::ranges::{at_least_one, distribution, longer_than_zero, positive};
use crate::scenario::check::{clients as readable_clients, given};
use crate::scenario::decode::Field;
use crate::scenario::diagnostic::Diagnostics;
use crate::scenario::names::Index;
use crate::scenario::schema::Document;
use crate::scenario::schema::client::KeySource;
use crate::scenario::schema::fault::Fault;
use crate::scenario::schema::fault::memory_leak::MemoryLeak;

/// A client that sends more than a thousand times as much is a mistake.
const SPIKE_MAX: f64 = 1000.0;

pub(in crate::scenario::check) fn ranges(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    for (fault, _) in readable_faults(document) {
        longer_than_zero(&fault.lasts, "for", diagnostics);
        distribution(&fault.every, Unit::Duration, diagnostics);
        more_than_zero(&fault.every, "every", diagnostics);
        if let Some((random, _)) = given(&fault.random) {
            let (mttf, mttr) = (Some(random.mttf.clone()), Some(random.mttr.clone()));
            distribution(&mttf, Unit::Duration, diagnostics);
            distribution(&mttr, Unit::Duration, diagnostics);
            more_than_zero(&mttf, "mttf", diagnostics);
        }
        if let Some((target, _)) = fault.target() {
            if let Some((share, key)) = target.share
                && share.get().is_some_and(|share| share.value() == 0.0)
            {
                diagnostics.out_of_range(share.span, key, "above 0");
            }
            at_least_one(&target.count.cloned(), "count", diagnostics);
        }
        endpoint_ranges(fault, diagnostics);
        network_ranges(fault, diagnostics);
        if let Some((injection, _)) = fault.injection() {
            longer_than_zero(&injection.timeout.cloned(), "timeout", diagnostics);
            distribution(
                &injection.delay.and_then(|delay| delay.1.cloned()),
                Unit::Duration,
                diagnostics,
            );
            status(injection.abort.and_then(|abort| abort.1), "http_status", diagnostics);
        }
        control_ranges(fault, diagnostics);
        traffic_ranges(document, fault, diagnostics);
    }
}

/// A constant of nothing at all would stop time; other distributions move on.
fn more_than_zero(field: &Option<Field<DistributionConfig>>, key: &str, diagnostics: &mut Diagnostics) {
    if let Some((DistributionConfig::Constant(quantity), span)) = given(field)
        && quantity.resolve(Unit::Duration) == Ok(0.0)
    {
        diagnostics.out_of_range(span, key, "longer than 0");
    }
}

fn status(field: Option<&Field<u16>>, key: &str, diagnostics: &mut Diagnostics) {
    if let Some(field) = field
        && field.get().is_some_and(|status| !(400..600).contains(status))
    {
        diagnostics.out_of_range(field.span, key, "an HTTP status from 400 to 599");
    }
}

fn endpoint_ranges(fault: &Fault, diagnostics: &mut Diagnostics) {
    if let Some((restart, _)) = given(&fault.restart) {
        longer_than_zero(&restart.down, "down", diagnostics);
    }
    if let Some((slow, _)) = given(&fault.slow) {
        positive(&slow.factor, "factor", diagnostics);
        distribution(&slow.add, Unit::Duration, diagnostics);
    }
    if let Some((throttle, _)) = given(&fault.cpu_throttle) {
        longer_than_zero(&throttle.quota, "quota", diagnostics);
        longer_than_zero(&throttle.period, "period", diagnostics);
        positive(&throttle.limit, "limit", diagnostics);
    }
    if let Some((pause, _)) = given(&fault.pause) {
        distribution(&pause.duration, Unit::Duration, diagnostics);
        distribution(&pause.every, Unit::Duration, diagnostics);
        more_than_zero(&pause.every, "every", diagnostics);
    }
    if let Some((errors, _)) = given(&fault.errors) {
        status(errors.status.as_ref(), "status", diagnostics);
    }
    if let Some((leak, _)) = given(&fault.memory_leak) {
        memory(leak, diagnostics);
    }
    for start in cold_starts(fault).filter_map(Field::get) {
        if let Some(&factor) = start.factor.get()
            && !(1.0..=1e9).contains(&factor)
        {
            diagnostics.out_of_range(start.factor.span, "factor", "from 1 to 1000000000");
        }
        longer_than_zero(&start.lasts, "for", diagnostics);
        at_least_one(&start.requests, "requests", diagnostics);
    }
}

fn memory(leak: &MemoryLeak, diagnostics: &mut Diagnostics) {
    let mut size = |field: &Option<Field<Quantity>>, key| {
        if let Some((quantity, span)) = given(field) {
            match quantity.resolve(Unit::Size) {
                Err(problem) => diagnostics.bad_value(span, &problem),
                Ok(0.0) => diagnostics.out_of_range(span, key, "above 0"),
                Ok(_) => {}
            }
        }
    };
    size(&leak.per_request, "per_request");
    size(&leak.per_second, "per_second");
    size(&leak.limit, "limit");
    longer_than_zero(&leak.restart, "restart", diagnostics);
}

fn network_ranges(fault: &Fault, diagnostics: &mut Diagnostics) {
    if let Some((loss, _)) = given(&fault.loss)
        && let Some((probability, span)) = given(&loss.probability)
        && probability.value() >= 1.0
    {
        diagnostics.out_of_range(span, "probability", "below 100%; `partition` loses everything");
    }
    if let Some((latency, _)) = given(&fault.latency) {
        distribution(&latency.add, Unit::Duration, diagnostics);
        distribution(&latency.jitter, Unit::Duration, diagnostics);
    }
}

fn control_ranges(fault: &Fault, diagnostics: &mut Diagnostics) {
    if let Some((slow, _)) = given(&fault.control_plane_slow) {
        positive(&slow.factor, "factor", diagnostics);
        distribution(&slow.add, Unit::Duration, diagnostics);
    }
    if let Some((wrong, _)) = given(&fault.wrong_endpoints)
        && let Some((status, span)) = given(&wrong.status)
        && !(100..600).contains(status)
    {
        diagnostics.out_of_range(span, "status", "an HTTP status from 100 to 599");
    }
}

fn traffic_ranges(document: &Document, fault: &Fault, diagnostics: &mut Diagnostics) {
    if let Some((spike, _)) = given(&fault.spike)
        && let Some((&factor, span)) = given(&spike.factor)
        && !(0.0..=SPIKE_MAX).contains(&factor)
    {
        diagnostics.out_of_range(span, "factor", "from 0 to 1000");
    }
    let Some((hot_key, place)) = given(&fault.hot_key) else {
        return;
    };
    let number = given(&hot_key.key).map_or(0, |(&key, _)| key);
    for (name, client) in readable_clients(document) {
        let field = each(hot_key.client.as_ref()).find(|field| field.get() == Some(&name.text));
        if hot_key.client.is_some() && field.is_none() {
            continue;
        }
        let count = match given(&client.key) {
            Some((KeySource::Uniform(uniform), _)) => uniform.keys,
            Some((KeySource::Zipf(zipf), _)) => zipf.keys,
            _ if hot_key.client.is_none() => continue,
            _ => {
                let problem = format!(
                    "the client `{}` has no numbered keys: give it `key: {{uniform: {{keys: 1000}}}}`",
                    name.text
                );
                diagnostics.bad_value(field.map_or(place, |field| field.span), &problem);
                continue;
            }
        };
        if number >= count {
            let rule = format!("below {count}, the number of keys of `{}`", name.text);
            diagnostics.out_of_range(span(&hot_key.key).unwrap_or(place), "key", &rule);
        }
    }
}
