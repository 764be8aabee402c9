//! Does the document make sense? One question a file, one small function each; each looks at the whole document and reports all it
//! finds, whatever the others found.

mod cycles;
mod faults;
pub(crate) mod names;
mod ranges;
mod shape;
mod timing;

use super::decode::{Field, Name, Named};
use super::diagnostic::Diagnostics;
use super::names::Index;
use super::schema::Document;
use super::schema::client::Client;
use super::schema::topology::{Service, Step};
use super::source::Span;

/// A check.
type Check = fn(&Document, &Index<'_>, &mut Diagnostics);

const CHECKS: &[Check] = &[
    ranges::version,
    names::scenario,
    names::zones,
    names::services,
    names::endpoints,
    names::clients,
    names::calls,
    names::links,
    faults::names,
    shape::services,
    shape::steps,
    shape::links,
    faults::shape,
    ranges::run,
    ranges::network,
    ranges::services,
    ranges::locality_weights,
    ranges::steps,
    ranges::clients,
    ranges::mesh,
    faults::ranges,
    timing::warmup,
    faults::times,
    faults::collisions,
    cycles::calls,
];

/// Runs all checks.
pub(crate) fn check(document: &Document, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    for check in CHECKS {
        check(document, index, diagnostics);
    }
}

/// The services that could be read.
fn services(document: &Document) -> impl Iterator<Item = (&Name, &Service)> {
    let topology = document.topology.get();
    readable(topology.and_then(|topology| topology.services.get()))
}

/// The clients that could be read.
fn clients(document: &Document) -> impl Iterator<Item = (&Name, &Client)> {
    readable(document.clients.get())
}

fn readable<T>(named: Option<&Named<T>>) -> impl Iterator<Item = (&Name, &T)> {
    let entries = named.into_iter().flat_map(Named::iter);
    entries.filter_map(|(name, field)| Some((name, field.get()?)))
}

/// The value of a key that may be absent, with its place.
fn given<T>(field: &Option<Field<T>>) -> Option<(&T, Span)> {
    let field = field.as_ref()?;
    Some((field.get()?, field.span))
}

/// Calls `visit` for each step of the document.
fn each_step<'a>(document: &'a Document, visit: &mut impl FnMut(&'a Step, Span)) {
    for (_, service) in services(document) {
        for (_, steps) in readable(service.operations.get()) {
            Step::walk(steps, visit);
        }
    }
}
