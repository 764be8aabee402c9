//! Is every value one that it may be? What a policy or a distribution says of its own options is asked of it.

use std::collections::BTreeMap;

use super::{clients as readable_clients, each_step, given, services as readable_services};
use crate::policy::PRIORITY_MAX;
use crate::policy::overload::{
    adaptive_concurrency, adaptive_throttling, admission_control, codel, load_shedding, local_rate_limit, nack_admission_filter,
};
use crate::random::{ArrivalConfig, DistributionConfig, Unit};
use crate::scenario::compile::zone_of;
use crate::scenario::decode::Field;
use crate::scenario::diagnostic::Diagnostics;
use crate::scenario::names::Index;
use crate::scenario::schema::client::KeySource;
use crate::scenario::schema::mesh::Mesh;
use crate::scenario::schema::topology::{Arm, Fail, Service};
use crate::scenario::schema::values::{Inherited, Limit};
use crate::scenario::schema::{API_VERSION, Document};
use crate::scenario::source::Span;
use crate::time::Duration;

pub(super) fn version(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    if let Some(version) = document.api_version.get()
        && version != API_VERSION
    {
        diagnostics.wrong_version(document.api_version.span, version, API_VERSION);
    }
}

pub(super) fn at_least_one(field: &Option<Field<u32>>, key: &str, diagnostics: &mut Diagnostics) {
    if let Some((0, span)) = given(field) {
        diagnostics.out_of_range(span, key, "at least 1");
    }
}

pub(super) fn longer_than_zero(field: &Option<Field<Duration>>, key: &str, diagnostics: &mut Diagnostics) {
    if let Some((&Duration::ZERO, span)) = given(field) {
        diagnostics.out_of_range(span, key, "longer than 0");
    }
}

/// `NaN` is not positive either.
pub(super) fn positive(field: &Option<Field<f64>>, key: &str, diagnostics: &mut Diagnostics) {
    if let Some((&value, span)) = given(field)
        && !(value > 0.0 && value <= 1e9)
    {
        diagnostics.out_of_range(span, key, "above 0 and at most 1000000000");
    }
}

pub(super) fn distribution(field: &Option<Field<DistributionConfig>>, unit: Unit, diagnostics: &mut Diagnostics) {
    if let Some((config, span)) = given(field)
        && let Err(problem) = config.check(unit)
    {
        diagnostics.bad_value(span, &problem);
    }
}

fn fail(field: &Option<Field<Fail>>, diagnostics: &mut Diagnostics) {
    if let Some((fail, span)) = given(field)
        && !(400..600).contains(&fail.status)
    {
        diagnostics.out_of_range(span, "status", "an HTTP status from 400 to 599");
    }
}

pub(super) fn run(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    at_least_one(&document.replications, "replications", diagnostics);
    longer_than_zero(&Some(document.duration.clone()), "duration", diagnostics);
    for (name, share) in given(&document.precision).iter().flat_map(|(precision, _)| precision.iter()) {
        if let Some(value) = share.get()
            && !(value.value() > 0.0 && value.value() < 1.0)
        {
            diagnostics.out_of_range(share.span, &name.text, "above 0 and below 100%");
        }
    }
    if let Some((statistics, _)) = given(&document.statistics) {
        at_least_one(&statistics.max_replications, "max_replications", diagnostics);
        if let Some((share, span)) = given(&statistics.indifference)
            && share.value() >= 1.0
        {
            diagnostics.out_of_range(span, "indifference", "below 100%");
        }
    }
}

pub(super) fn network(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    let network = document.topology.get().and_then(|topology| given(&topology.network));
    let Some((network, _)) = network else { return };
    distribution(&network.same_zone, Unit::Duration, diagnostics);
    distribution(&network.cross_zone, Unit::Duration, diagnostics);
    longer_than_zero(&network.retransmission_timeout, "retransmission_timeout", diagnostics);
    let links = given(&network.links)
        .into_iter()
        .flat_map(|(links, _)| links)
        .filter_map(Field::get);
    let mut losses = vec![&network.loss];
    for link in links {
        distribution(&link.latency, Unit::Duration, diagnostics);
        losses.push(&link.loss);
    }
    for (loss, span) in losses.into_iter().filter_map(given) {
        if loss.value() >= 1.0 {
            diagnostics.out_of_range(span, "loss", "below 100%, or nothing ever arrives");
        }
    }
}

pub(super) fn services(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    for (_, service) in readable_services(document) {
        at_least_one(&service.replicas, "replicas", diagnostics);
        at_least_one(&service.cores, "cores", diagnostics);
        if let Some((Limit::Number(0), span)) = given(&service.concurrency) {
            diagnostics.out_of_range(span, "concurrency", "at least 1, or `unlimited`");
        }
        for (name, _) in given(&service.retry_after).iter().flat_map(|(named, _)| named.iter()) {
            if !name.text.parse().is_ok_and(|status: u16| (400..600).contains(&status)) {
                diagnostics.out_of_range(name.span, "retry_after", "by HTTP statuses from 400 to 599");
            }
        }
        if let Some((queue, _)) = given(&service.queue) {
            longer_than_zero(&queue.timeout, "timeout", diagnostics);
            sensible(queue.codel.as_ref(), codel::Options::check, diagnostics);
        }
        sensible(
            service.load_shedding.as_ref(),
            |shedding| shedding_of(shedding, service),
            diagnostics,
        );
        sensible(
            service.local_rate_limit.as_ref(),
            local_rate_limit::Options::check,
            diagnostics,
        );
        sensible(
            service.admission_control.as_ref(),
            admission_control::Options::check,
            diagnostics,
        );
        sensible(
            service.adaptive_concurrency.as_ref(),
            adaptive_concurrency::Options::check,
            diagnostics,
        );
        if let Some((churn, _)) = given(&service.churn)
            && let Some(&every) = churn.every.get()
            && every < Duration::from_millis(1)
        {
            diagnostics.out_of_range(churn.every.span, "every", "at least 1ms");
        }
        endpoints(service, diagnostics);
    }
}

/// Whether shares of an endpoint's room can be taken: it must have an end.
fn shedding_of(shedding: &load_shedding::Options, service: &Service) -> Result<(), String> {
    shedding.check()?;
    let ends = |limit: Option<&Limit>| matches!(limit, Some(Limit::Number(_)));
    let queue = given(&service.queue).and_then(|(queue, _)| given(&queue.limit));
    let has_room = ends(given(&service.concurrency).map(|(limit, _)| limit)) && ends(queue.map(|(limit, _)| limit));
    if shedding.capacity.is_none() && !has_room {
        return Err("`capacity` is needed where `concurrency` or the `limit` of `queue` is `unlimited`".to_string());
    }
    Ok(())
}

/// What a policy says of its own options.
fn sensible<T>(field: Option<&Field<T>>, check: impl Fn(&T) -> Result<(), String>, diagnostics: &mut Diagnostics) {
    if let Some(field) = field
        && let Some(Err(problem)) = field.get().map(check)
    {
        diagnostics.bad_value(field.span, &problem);
    }
}

fn endpoints(service: &Service, diagnostics: &mut Diagnostics) {
    let endpoints = given(&service.endpoints).map_or(&[][..], |(endpoints, _)| endpoints);
    for endpoint in endpoints.iter().filter_map(Field::get) {
        at_least_one(&endpoint.weight, "weight", diagnostics);
        positive(&endpoint.speed, "speed", diagnostics);
        fail(&endpoint.fail, diagnostics);
        longer_than_zero(&endpoint.leaves, "leaves", diagnostics);
        if let (Some((joins, _)), Some((leaves, span))) = (given(&endpoint.joins), given(&endpoint.leaves))
            && leaves <= joins
        {
            diagnostics.out_of_range(span, "leaves", "after `joins`");
        }
        if let Some((priority, span)) = given(&endpoint.priority)
            && *priority > PRIORITY_MAX
        {
            diagnostics.out_of_range(span, "priority", "at most 128");
        }
        if let Some((address, span)) = given(&endpoint.address)
            && address.is_empty()
        {
            diagnostics.out_of_range(span, "address", "an address such as `10.0.0.1:8080`");
        }
    }
}

/// A locality has one weight within its priority level.
pub(super) fn locality_weights(document: &Document, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    for (name, service) in readable_services(document) {
        let Some(number) = index.service(&name.text) else { continue };
        let mut weights = BTreeMap::new();
        let endpoints = given(&service.endpoints).map_or(&[][..], |(endpoints, _)| endpoints);
        for (place, endpoint) in (0..).zip(endpoints) {
            let Some(endpoint) = endpoint.get() else { continue };
            let Some((&weight, span)) = given(&endpoint.locality_weight) else {
                continue;
            };
            let text = |field| given::<String>(field).map(|(text, _)| text);
            let priority = given(&endpoint.priority).map_or(0, |(&priority, _)| priority);
            let zone = zone_of(document, index, number, place);
            let first = *weights
                .entry((priority, zone, text(&endpoint.region), text(&endpoint.sub_zone)))
                .or_insert(weight);
            if first != weight {
                let problem = format!("the locality of this endpoint has two weights, {first} and {weight}");
                diagnostics.bad_value(span, &problem);
            }
        }
    }
}

pub(super) fn steps(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    each_step(document, &mut |step, _| {
        distribution(&step.work, Unit::Duration, diagnostics);
        distribution(&step.request_size, Unit::Size, diagnostics);
        distribution(&step.response_size, Unit::Size, diagnostics);
        at_least_one(&step.repeat, "repeat", diagnostics);
        fail(&step.fail, diagnostics);
        for arm in given(&step.choose)
            .into_iter()
            .flat_map(|(arms, _)| arms)
            .filter_map(Field::get)
        {
            arm_weight(arm, diagnostics);
        }
    });
}

fn arm_weight(arm: &Arm, diagnostics: &mut Diagnostics) {
    if let Some((&weight, span)) = given(&arm.weight)
        && !(0.0..=1e9).contains(&weight)
    {
        diagnostics.out_of_range(span, "weight", "from 0 to 1000000000");
    }
}

pub(super) fn clients(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    for (_, client) in readable_clients(document) {
        at_least_one(&client.callers, "callers", diagnostics);
        distribution(&client.request_size, Unit::Size, diagnostics);
        distribution(&client.response_size, Unit::Size, diagnostics);
        arrivals(&client.arrivals, diagnostics);
        let slo = given(&client.slo).and_then(|(slo, _)| given(&slo.availability));
        if let Some((share, span)) = slo
            && share.value() >= 1.0
        {
            diagnostics.out_of_range(span, "availability", "below 100%, or there is no error budget");
        }
        if let Some((key, span)) = given(&client.key) {
            keys(key, span, diagnostics);
        }
    }
}

fn arrivals(field: &Field<ArrivalConfig>, diagnostics: &mut Diagnostics) {
    if let Some(config) = field.get()
        && let Err(problem) = config.check()
    {
        diagnostics.bad_value(field.span, &problem);
    }
}

fn keys(key: &KeySource, span: Span, diagnostics: &mut Diagnostics) {
    let count = match key {
        KeySource::Uniform(uniform) => uniform.keys,
        KeySource::Zipf(zipf) => zipf.keys,
        KeySource::Fixed(_) => 1,
    };
    if count == 0 {
        diagnostics.out_of_range(span, "keys", "at least 1");
    }
    if let KeySource::Zipf(zipf) = key
        && !(0.0..=100.0).contains(&zipf.s)
    {
        diagnostics.out_of_range(span, "s", "from 0 to 100");
    }
}

pub(super) fn mesh(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    let mut check = |mesh: &Option<Field<Mesh>>| {
        let Some((mesh, _)) = given(mesh) else { return };
        if let Inherited::Set(field) = &mesh.retry
            && let Some(Err(problem)) = field.get().map(|retry| retry.check())
        {
            diagnostics.bad_value(field.span, &problem);
        }
        if let Inherited::Set(field) = &mesh.discovery
            && let Some(Err(problem)) = field.get().map(|config| config.check())
        {
            diagnostics.bad_value(field.span, &problem);
        }
        if let Inherited::Set(field) = &mesh.hedging
            && let Some(Err(problem)) = field.get().map(|options| options.check())
        {
            diagnostics.bad_value(field.span, &problem);
        }
        if let Inherited::Set(field) = &mesh.circuit_breaker
            && let Some(Err(problem)) = field.get().map(|options| options.check())
        {
            diagnostics.bad_value(field.span, &problem);
        }
        if let Inherited::Set(field) = &mesh.outlier_detection
            && let Some(Err(problem)) = field.get().map(|config| config.check())
        {
            diagnostics.bad_value(field.span, &problem);
        }
        if let Inherited::Set(field) = &mesh.failure_accrual
            && let Some(Err(problem)) = field.get().map(|config| config.check())
        {
            diagnostics.bad_value(field.span, &problem);
        }
        if let Inherited::Set(field) = &mesh.health_check
            && let Some(Err(problem)) = field.get().map(|options| options.check())
        {
            diagnostics.bad_value(field.span, &problem);
        }
        sensible(mesh.admission_control.set(), admission_control::Options::check, diagnostics);
        sensible(mesh.local_rate_limit.set(), local_rate_limit::Options::check, diagnostics);
        sensible(
            mesh.nack_admission_filter.set(),
            nack_admission_filter::Options::check,
            diagnostics,
        );
        sensible(
            mesh.adaptive_throttling.set(),
            adaptive_throttling::Options::check,
            diagnostics,
        );
        if let Inherited::Set(field) = &mesh.common_lb_config
            && let Some(Err(problem)) = field.get().map(|config| config.check())
        {
            diagnostics.bad_value(field.span, &problem);
        }
        if let Inherited::Set(field) = &mesh.locality_lb_setting
            && let Some(Err(problem)) = field.get().map(|setting| setting.check())
        {
            diagnostics.bad_value(field.span, &problem);
        }
        if let Inherited::Set(field) = &mesh.lb_subset_config
            && let Some(Err(problem)) = field.get().map(|config| config.check())
        {
            diagnostics.bad_value(field.span, &problem);
        }
        if let Some((pool, _)) = mesh.connection_pool.set().and_then(|field| Some((field.get()?, field.span))) {
            longer_than_zero(&pool.idle_timeout, "idle_timeout", diagnostics);
            at_least_one(&pool.max_concurrent_streams, "max_concurrent_streams", diagnostics);
            longer_than_zero(&pool.connect_timeout, "connect_timeout", diagnostics);
            longer_than_zero(&pool.max_connection_duration, "max_connection_duration", diagnostics);
        }
    };
    check(&document.mesh);
    for (_, service) in readable_services(document) {
        check(&service.mesh);
    }
    each_step(document, &mut |step, _| check(&step.mesh));
}
