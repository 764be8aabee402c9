//! Are the faults well formed, of things that exist, and within the run?

mod ranges;
mod shape;
mod times;

use super::names::{PLAIN, known_endpoint, known_zone, proper};
use super::{clients as readable_clients, given};
use crate::scenario::compile::nodes;
use crate::scenario::decode::Field;
use crate::scenario::diagnostic::Diagnostics;
use crate::scenario::names::Index;
use crate::scenario::schema::Document;
use crate::scenario::schema::fault::Fault;
use crate::scenario::schema::fault::crash::ColdStart;
use crate::scenario::schema::fault::network::Party;
use crate::scenario::schema::fault::target::Names;
use crate::scenario::source::Span;

pub(super) use ranges::ranges;
pub(super) use shape::shape;
pub(super) use times::{collisions, times};

fn readable_faults(document: &Document) -> impl Iterator<Item = (&Fault, Span)> {
    let faults = given(&document.faults).into_iter().flat_map(|(faults, _)| faults);
    faults.filter_map(|field| Some((field.get()?, field.span)))
}

/// Each name of a list that could be read.
fn each(names: Option<&Field<Names>>) -> impl Iterator<Item = &Field<String>> {
    names.and_then(Field::get).into_iter().flat_map(|names| &names.0)
}

/// Each name of a list, if none of the document's has it.
fn each_unknown(names: Option<&Field<Names>>, is_known: impl Fn(&str) -> bool) -> impl Iterator<Item = (&String, Span)> {
    let readable = each(names).filter_map(|field| Some((field.get()?, field.span)));
    readable.filter(move |(name, _)| !is_known(name))
}

pub(super) fn names(document: &Document, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    let nodes = nodes(document, index);
    let mut scope = Scope {
        document,
        index,
        nodes: nodes.keys().copied().collect(),
        diagnostics,
    };
    for (fault, _) in readable_faults(document) {
        if let Some((name, span)) = given(&fault.name) {
            proper(span, "a fault", name, PLAIN, scope.diagnostics);
        }
        if let Some((target, _)) = fault.target() {
            scope.zones(target.zone);
            scope.services(target.service);
            scope.endpoints(target.endpoint);
            scope.nodes(target.node);
        }
        if let Some((ends, _)) = fault.link() {
            scope.zones(ends.zone);
            scope.party(ends.from);
            scope.party(ends.to);
        }
        if let Some((injection, _)) = fault.injection() {
            scope.party(injection.from);
            scope.services(injection.to);
        }
        if let Some((wrong, _)) = given(&fault.wrong_endpoints) {
            scope.party(wrong.from.as_ref());
            scope.services(wrong.to.as_ref());
        }
        scope.clients(given(&fault.spike).and_then(|(spike, _)| spike.client.as_ref()));
        scope.clients(given(&fault.hot_key).and_then(|(hot_key, _)| hot_key.client.as_ref()));
    }
}

/// The names that a fault may use.
struct Scope<'a, 'd> {
    document: &'a Document,
    index: &'a Index<'a>,
    nodes: Vec<&'a str>,
    diagnostics: &'d mut Diagnostics,
}

impl Scope<'_, '_> {
    fn zones(&mut self, names: Option<&Field<Names>>) {
        for name in each(names) {
            known_zone(&Some(name.clone()), self.index, self.diagnostics);
        }
    }

    fn services(&mut self, names: Option<&Field<Names>>) {
        for (name, span) in each_unknown(names, |name| self.index.service(name).is_some()) {
            self.diagnostics.unknown_service(span, name, self.index.services());
        }
    }

    fn endpoints(&mut self, names: Option<&Field<Names>>) {
        for name in each(names) {
            known_endpoint(name, self.index, self.diagnostics);
        }
    }

    fn nodes(&mut self, names: Option<&Field<Names>>) {
        for (name, span) in each_unknown(names, |name| self.nodes.contains(&name)) {
            self.diagnostics.unknown_node(span, name, &self.nodes);
        }
    }

    fn clients(&mut self, names: Option<&Field<Names>>) {
        let known: Vec<&str> = readable_clients(self.document).map(|(name, _)| name.text.as_str()).collect();
        for (name, span) in each_unknown(names, |name| known.contains(&name)) {
            self.diagnostics.unknown_client(span, name, known.iter().copied());
        }
    }

    fn party(&mut self, party: Option<&Field<Party>>) {
        let Some(party) = party.and_then(Field::get) else { return };
        self.zones(party.zone.as_ref());
        self.services(party.service.as_ref());
        self.endpoints(party.endpoint.as_ref());
        self.nodes(party.node.as_ref());
        self.clients(party.client.as_ref());
    }
}

fn span<T>(field: &Option<Field<T>>) -> Option<Span> {
    field.as_ref().map(|field| field.span)
}

fn cold_starts(fault: &Fault) -> impl Iterator<Item = &Field<ColdStart>> {
    let crash = given(&fault.crash).and_then(|(crash, _)| crash.cold_start.as_ref());
    let restart = given(&fault.restart).and_then(|(restart, _)| restart.cold_start.as_ref());
    let leak = given(&fault.memory_leak).and_then(|(leak, _)| leak.cold_start.as_ref());
    [crash, restart, leak].into_iter().flatten()
}
