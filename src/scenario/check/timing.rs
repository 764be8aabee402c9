//! Do the times fit into the run, and beside each other?

use std::collections::BTreeMap;

use super::given;
use crate::scenario::decode::Field;
use crate::scenario::diagnostic::Diagnostics;
use crate::scenario::names::Index;
use crate::scenario::schema::Document;
use crate::scenario::schema::fault::Fault;
use crate::scenario::schema::values::Warmup;
use crate::scenario::source::Span;

pub(super) fn warmup(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    let (Some(&duration), Some((Warmup::Fixed(warmup), span))) = (document.duration.get(), given(&document.warmup)) else {
        return;
    };
    if *warmup >= duration {
        diagnostics.warmup_too_long(span, warmup, duration);
    }
}

fn readable_faults(document: &Document) -> impl Iterator<Item = (&Fault, Span)> {
    let faults = given(&document.faults).into_iter().flat_map(|(faults, _)| faults);
    faults.filter_map(|field| Some((field.get()?, field.span)))
}

pub(super) fn faults(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    let Some(&duration) = document.duration.get() else { return };
    for (fault, _) in readable_faults(document) {
        if fault.at.get().is_some_and(|&at| at >= duration) {
            diagnostics.fault_after_end(fault.at.span, duration);
        }
    }
}

/// Two faults of one kind that begin with one endpoint at one instant: which of them holds would be anyone's guess. Shares are drawn,
/// so two of them may well be meant.
pub(super) fn collisions(document: &Document, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    let mut seen: BTreeMap<_, Vec<(&Fault, Span)>> = BTreeMap::new();
    for (fault, _) in readable_faults(document) {
        let Some(&at) = fault.at.get() else { continue };
        let others = seen.entry((at, fault.crash.is_some())).or_default();
        // Only the first few: a list of thousands at one instant must not take for ever.
        if let Some((_, first)) = others
            .iter()
            .take(100)
            .find(|(other, _)| overlap(fault, other, index, document))
        {
            diagnostics.faults_collide(fault.at.span, *first);
        }
        others.push((fault, fault.at.span));
    }
}

/// Whom a fault strikes for certain.
#[derive(PartialEq)]
enum Struck {
    Endpoint(usize, u32),
    Service(usize),
    Zone(u32),
}

fn struck(fault: &Fault, index: &Index<'_>) -> Option<Struck> {
    let target = fault.target()?;
    if let Some(endpoint) = target.endpoint.and_then(Field::get) {
        let (service, endpoint) = endpoint.split_once('/')?;
        let service = index.service(service)?;
        return Some(Struck::Endpoint(service, index.endpoint(service, endpoint)?));
    }
    if let Some(service) = target.service.and_then(Field::get) {
        let is_whole = target.share.and_then(Field::get).is_none_or(|share| share.value() >= 1.0);
        return index.service(service).filter(|_| is_whole).map(Struck::Service);
    }
    let zone = target.zone.and_then(Field::get)?;
    index.zones.get(zone.as_str()).copied().map(Struck::Zone)
}

fn overlap(a: &Fault, b: &Fault, index: &Index<'_>, document: &Document) -> bool {
    let zone_of = |service, endpoint| super::super::compile::zone_of(document, index, service, endpoint);
    match (struck(a, index), struck(b, index)) {
        (Some(Struck::Endpoint(service, _)), Some(Struck::Service(other)))
        | (Some(Struck::Service(other)), Some(Struck::Endpoint(service, _))) => service == other,
        (Some(Struck::Endpoint(service, endpoint)), Some(Struck::Zone(zone)))
        | (Some(Struck::Zone(zone)), Some(Struck::Endpoint(service, endpoint))) => zone_of(service, endpoint) == Some(zone),
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}
