//! Do the times of the faults fit into the run, and beside each other?

use std::collections::BTreeMap;

use super::{each, readable_faults};
use crate::scenario::check::given;
use crate::scenario::compile::{times_of_faults, zone_of};
use crate::scenario::decode::Field;
use crate::scenario::diagnostic::Diagnostics;
use crate::scenario::names::Index;
use crate::scenario::schema::Document;
use crate::scenario::schema::fault::Fault;
use crate::scenario::source::Span;
use crate::time::Duration;

pub(in crate::scenario::check) fn times(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    let Some(&duration) = document.duration.get() else { return };
    let times = times_of_faults(document);
    let faults = given(&document.faults).map_or(&[][..], |(faults, _)| faults);
    let mut known: Vec<&str> = Vec::new();
    for (at, field) in faults.iter().enumerate() {
        let Some(fault) = field.get() else { continue };
        if let Some((name, span)) = given(&fault.after) {
            let is_previous = name == "previous" && at > 0;
            if !is_previous && !known.contains(&name.as_str()) {
                diagnostics.unknown_fault(span, name, &known);
            } else if times[at].begin.is_none() {
                diagnostics.no_end_before(span);
            }
        }
        known.extend(given(&fault.name).map(|(name, _)| name.as_str()));
        let Some(begin) = times[at].begin else { continue };
        if begin >= duration {
            let place = fault.at.as_ref().or(None).map_or(field.span, |at| at.span);
            diagnostics.fault_after_end(place, duration);
        }
        if let Some((&until, span)) = given(&fault.until)
            && until <= begin
        {
            diagnostics.out_of_range(span, "until", "later than the fault's begin");
        }
    }
}

/// Two faults of one kind that begin with one endpoint at one instant: which of them holds would be anyone's guess. Shares are drawn,
/// so two of them may well be meant.
pub(in crate::scenario::check) fn collisions(document: &Document, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    let mut seen: BTreeMap<(Duration, bool), Vec<(&Fault, Span)>> = BTreeMap::new();
    let plain = readable_faults(document).filter(|(fault, _)| fault.crash.is_some() || fault.slow.is_some());
    for (fault, _) in plain.filter(|(fault, _)| fault.after.is_none() && fault.random.is_none()) {
        let Some((&at, place)) = given(&fault.at) else { continue };
        let others = seen.entry((at, fault.crash.is_some())).or_default();
        // Only the first few: a list of thousands at one instant must not take for ever.
        if let Some((_, first)) = others
            .iter()
            .take(100)
            .find(|(other, _)| overlap(fault, other, index, document))
        {
            diagnostics.faults_collide(place, *first);
        }
        others.push((fault, place));
    }
}

/// Whom a fault strikes for certain.
#[derive(Clone, Copy, PartialEq)]
enum Struck {
    Endpoint(usize, u32),
    Service(usize),
    Zone(u32),
}

fn struck(fault: &Fault, index: &Index<'_>) -> Vec<Struck> {
    let Some((target, _)) = fault.target() else {
        return Vec::new();
    };
    let texts = |names| each(names).filter_map(Field::get);
    let endpoint = |path: &String| {
        let (service, endpoint) = path.split_once('/')?;
        let service = index.service(service)?;
        Some(Struck::Endpoint(service, index.endpoint(service, endpoint)?))
    };
    let mut struck: Vec<Struck> = texts(target.endpoint).filter_map(endpoint).collect();
    let is_whole = target
        .share
        .and_then(|share| share.0.get())
        .is_none_or(|share| share.value() >= 1.0);
    if is_whole && target.count.is_none() {
        struck.extend(texts(target.service).filter_map(|name| index.service(name).map(Struck::Service)));
    }
    struck.extend(texts(target.zone).filter_map(|name| index.zones.get(name.as_str()).copied().map(Struck::Zone)));
    struck
}

fn overlap(a: &Fault, b: &Fault, index: &Index<'_>, document: &Document) -> bool {
    let zone_at = |service, endpoint| zone_of(document, index, service, endpoint);
    let meet = |a: Struck, b: Struck| match (a, b) {
        (Struck::Endpoint(service, _), Struck::Service(other)) | (Struck::Service(other), Struck::Endpoint(service, _)) => {
            service == other
        }
        (Struck::Endpoint(service, endpoint), Struck::Zone(zone)) | (Struck::Zone(zone), Struck::Endpoint(service, endpoint)) => {
            zone_at(service, endpoint) == Some(zone)
        }
        (a, b) => a == b,
    };
    let others = struck(b, index);
    struck(a, index).into_iter().any(|a| others.iter().any(|&b| meet(a, b)))
}
