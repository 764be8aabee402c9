//! Is every name a proper one, there once, and of something that exists?

use std::collections::BTreeMap;

use super::{clients as readable_clients, each_step, given, services as readable_services};
use crate::scenario::decode::{Field, Named};
use crate::scenario::diagnostic::Diagnostics;
use crate::scenario::names::{Index, endpoint_name};
use crate::scenario::schema::Document;
use crate::scenario::source::Span;

/// Longer names break tables and file systems.
const LENGTH_MAX: usize = 100;

/// What a name may be made of besides letters and digits.
#[derive(Clone, Copy)]
pub(crate) struct Alphabet {
    others: &'static str,
    words: &'static str,
}

/// Names of services, clients, zones, endpoints and scenarios.
pub(crate) const PLAIN: Alphabet = Alphabet {
    others: "-_.",
    words: "letters, digits, `-`, `_` and `.`",
};
/// Names of operations may look like paths.
const OPERATION: Alphabet = Alphabet {
    others: "-_.:/{}",
    words: "letters, digits, `-`, `_`, `.`, `:`, `/`, `{` and `}`",
};
/// Names of variants often hold a setting.
pub(crate) const VARIANT: Alphabet = Alphabet {
    others: "-_.=+",
    words: "letters, digits, `-`, `_`, `.`, `=` and `+`",
};

/// Reports a name that is no proper one.
pub(crate) fn proper(span: Span, what: &str, name: &str, alphabet: Alphabet, diagnostics: &mut Diagnostics) {
    let is_proper = name.starts_with(|c: char| c.is_alphanumeric())
        && name.chars().count() <= LENGTH_MAX
        && name.chars().all(|c| c.is_alphanumeric() || alphabet.others.contains(c));
    if !is_proper {
        diagnostics.bad_name(span, what, name, alphabet.words);
    }
}

pub(super) fn scenario(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    if let Some((name, span)) = given(&document.name) {
        proper(span, "a scenario", name, PLAIN, diagnostics);
    }
}

fn each_proper<T>(named: Option<&Named<T>>, what: &str, alphabet: Alphabet, diagnostics: &mut Diagnostics) {
    for (name, _) in named.into_iter().flat_map(Named::iter) {
        proper(name.span, what, &name.text, alphabet, diagnostics);
    }
}

pub(super) fn zones(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    let zones = document.topology.get().and_then(|topology| given(&topology.zones));
    let mut seen = BTreeMap::new();
    for field in zones.into_iter().flat_map(|(zones, _)| zones) {
        let Some(zone) = field.get() else { continue };
        proper(field.span, "a zone", zone, PLAIN, diagnostics);
        if let Some(&first) = seen.get(zone) {
            diagnostics.duplicate_name(field.span, first, "zone", zone);
        }
        seen.entry(zone).or_insert(field.span);
    }
}

pub(super) fn services(document: &Document, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    let services = document.topology.get().and_then(|topology| topology.services.get());
    each_proper(services, "a service", PLAIN, diagnostics);
    for (_, service) in readable_services(document) {
        each_proper(service.operations.get(), "an operation", OPERATION, diagnostics);
        let weights = given(&service.locality_weights)
            .into_iter()
            .flat_map(|(weights, _)| weights.iter());
        for (zone, _) in weights.filter(|(zone, _)| !index.zones.contains_key(zone.text.as_str())) {
            diagnostics.unknown_zone(zone.span, &zone.text, index.zones());
        }
    }
}

pub(super) fn endpoints(document: &Document, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    let mut addresses = BTreeMap::new();
    for (service, body) in readable_services(document) {
        let mut names = BTreeMap::new();
        let endpoints = given(&body.endpoints).map_or(&[][..], |(endpoints, _)| endpoints);
        for (number, field) in (0..).zip(endpoints) {
            let Some(endpoint) = field.get() else { continue };
            let span = endpoint.name.as_ref().map_or(field.span, |name| name.span);
            if let Some(name) = endpoint_name(&service.text, number, Some(endpoint)) {
                proper(span, "an endpoint", &name, PLAIN, diagnostics);
                if let Some(&first) = names.get(&name) {
                    diagnostics.duplicate_name(span, first, "endpoint", &name);
                }
                names.entry(name).or_insert(span);
            }
            if let Some((address, span)) = given(&endpoint.address) {
                if let Some(&first) = addresses.get(address) {
                    diagnostics.duplicate_name(span, first, "address", address);
                }
                addresses.entry(address).or_insert(span);
            }
            known_zone(&endpoint.zone, index, diagnostics);
            if let Some((node, span)) = given(&endpoint.node) {
                proper(span, "a node", node, PLAIN, diagnostics);
            }
        }
    }
}

pub(super) fn clients(document: &Document, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    each_proper(document.clients.get(), "a client", PLAIN, diagnostics);
    for (_, client) in readable_clients(document) {
        known_zone(&client.zone, index, diagnostics);
        known_operation(&client.call, index, diagnostics);
    }
}

pub(super) fn calls(document: &Document, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    each_step(document, &mut |step, _| {
        if let Some(call) = &step.call {
            known_operation(call, index, diagnostics);
        }
    });
}

pub(super) fn links(document: &Document, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    for field in document
        .topology
        .get()
        .and_then(|topology| topology.network.as_ref())
        .into_iter()
        .filter_map(Field::get)
    {
        for link in given(&field.links)
            .into_iter()
            .flat_map(|(links, _)| links)
            .filter_map(Field::get)
        {
            known_zone(&Some(link.from.clone()), index, diagnostics);
            known_zone(&Some(link.to.clone()), index, diagnostics);
        }
    }
}

pub(super) fn known_zone(field: &Option<Field<String>>, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    if let Some((zone, span)) = given(field)
        && !index.zones.contains_key(zone.as_str())
    {
        diagnostics.unknown_zone(span, zone, index.zones());
    }
}

fn known_operation(field: &Field<String>, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    let Some(path) = field.get() else { return };
    let Some((service, operation)) = path.split_once('/') else {
        return diagnostics.not_an_operation(field.span, path);
    };
    let Some(number) = index.service(service) else {
        return diagnostics.unknown_service(field.span, service, index.services());
    };
    // A service without readable operations has been reported for that.
    if index.operation(path).is_none() && index.operations(number).next().is_some() {
        diagnostics.unknown_operation(field.span, service, operation, index.operations(number));
    }
}

pub(super) fn known_endpoint(field: &Field<String>, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    let Some(path) = field.get() else { return };
    let Some((service, endpoint)) = path.split_once('/') else {
        return diagnostics.not_an_endpoint(field.span, path);
    };
    let Some(number) = index.service(service) else {
        return diagnostics.unknown_service(field.span, service, index.services());
    };
    if index.endpoint(number, endpoint).is_none()
        && let Some(known) = index.endpoints(number)
    {
        diagnostics.unknown_endpoint(field.span, service, endpoint, known.iter().map(String::as_str));
    }
}
