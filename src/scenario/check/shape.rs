//! Does each thing have what it needs, and nothing that excludes something else?

use std::collections::BTreeMap;

use super::{each_step, given, services as readable_services};
use crate::scenario::decode::Field;
use crate::scenario::diagnostic::Diagnostics;
use crate::scenario::names::Index;
use crate::scenario::schema::Document;
use crate::scenario::schema::topology::Step;
use crate::scenario::source::Span;

/// Reports if not exactly one of `given` is there; `span` is that of `what`.
pub(super) fn exactly_one(span: Span, what: &str, choice: &str, given: &[Option<Span>], diagnostics: &mut Diagnostics) {
    let there: Vec<Span> = given.iter().flatten().copied().collect();
    match there.len() {
        // A key that is misspelt or not supported yet has been reported; it is what is meant here.
        0 if diagnostics.has_within(span) => {}
        0 => diagnostics.nothing_of(span, what, &format!("one of {choice}")),
        1 => {}
        _ => diagnostics.too_many_of(&there, what, choice),
    }
}

fn span<T>(field: &Option<Field<T>>) -> Option<Span> {
    field.as_ref().map(|field| field.span)
}

pub(super) fn services(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    let services = document.topology.get().map(|topology| &topology.services);
    if let Some(field) = services
        && field.get().is_some_and(|services| services.0.is_empty())
    {
        diagnostics.nothing_of(field.span, "a topology", "at least one service");
    }
    if document.clients.get().is_some_and(|clients| clients.0.is_empty()) {
        diagnostics.nothing_of(document.clients.span, "a scenario", "at least one client");
    }
    for (name, service) in readable_services(document) {
        let given_endpoints = [span(&service.replicas), span(&service.endpoints)];
        exactly_one(
            name.span,
            "a service",
            "`replicas` and `endpoints`",
            &given_endpoints,
            diagnostics,
        );
        if let Some((endpoints, span)) = given(&service.endpoints)
            && endpoints.is_empty()
        {
            diagnostics.nothing_of(span, "a service", "at least one endpoint");
        }
        if service.operations.get().is_some_and(|operations| operations.0.is_empty()) {
            diagnostics.nothing_of(service.operations.span, "a service", "at least one operation");
        }
    }
}

pub(super) fn steps(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    each_step(document, &mut |step, place| step_shape(step, place, diagnostics));
}

fn step_shape(step: &Step, place: Span, diagnostics: &mut Diagnostics) {
    let actions = [
        span(&step.work),
        span(&step.call),
        span(&step.parallel),
        span(&step.choose),
        span(&step.fail),
        span(&step.steps),
    ];
    let choice = "`work`, `call`, `parallel`, `choose`, `fail` and `steps`";
    exactly_one(place, "a step", choice, &actions, diagnostics);
    for (key, size) in [("request_size", &step.request_size), ("response_size", &step.response_size)] {
        if let (Some(size), None) = (size, &step.call) {
            diagnostics.no_use_for(size.span, key, "call");
        }
    }
    if let Some((branches, span)) = given(&step.parallel)
        && branches.is_empty()
    {
        diagnostics.nothing_of(span, "`parallel`", "at least one branch");
    }
    if let Some((arms, span)) = given(&step.choose) {
        let weights = arms
            .iter()
            .filter_map(Field::get)
            .map(|arm| given(&arm.weight).map_or(1.0, |(&weight, _)| weight));
        // Also where the sum is NaN or nothing; which weight is wrong is the ranges' business.
        if weights.sum::<f64>() == 0.0 {
            diagnostics.nothing_of(span, "`choose`", "at least one arm with a weight above 0");
        }
    }
}

pub(super) fn links(document: &Document, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    let network = document.topology.get().and_then(|topology| given(&topology.network));
    let links = network.and_then(|(network, _)| given(&network.links));
    let mut seen: BTreeMap<(u32, u32), Span> = BTreeMap::new();
    for field in links.into_iter().flat_map(|(links, _)| links) {
        let Some(link) = field.get() else { continue };
        let zone = |name: &Field<String>| index.zones.get(name.get()?.as_str()).copied();
        let (Some(from), Some(to)) = (zone(&link.from), zone(&link.to)) else {
            continue;
        };
        let both = given(&link.one_way).is_none_or(|(one_way, _)| !one_way);
        for pair in [(from, to), (to, from)]
            .into_iter()
            .take(if both && from != to { 2 } else { 1 })
        {
            match seen.get(&pair) {
                Some(&first) => {
                    let name = format!("{} to {}", link.from.checked(), link.to.checked());
                    diagnostics.duplicate_name(link.from.span, first, "link", &name);
                    break;
                }
                None => drop(seen.insert(pair, link.from.span)),
            }
        }
    }
}
