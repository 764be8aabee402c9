//! Does each fault have what it needs, and nothing that excludes something else?

use super::{cold_starts, readable_faults, span};
use crate::scenario::check::given;
use crate::scenario::check::shape::exactly_one;
use crate::scenario::decode::Field;
use crate::scenario::diagnostic::Diagnostics;
use crate::scenario::names::Index;
use crate::scenario::schema::Document;
use crate::scenario::schema::fault::inject::Injection;
use crate::scenario::schema::fault::network::Party;
use crate::scenario::schema::fault::{Fault, KINDS, Target};
use crate::scenario::source::Span;

pub(in crate::scenario::check) fn shape(document: &Document, _: &Index<'_>, diagnostics: &mut Diagnostics) {
    let (last, others) = KINDS.split_last().expect("there are kinds");
    let choice = format!("`{}` and `{last}`", others.join("`, `"));
    for (fault, place) in readable_faults(document) {
        let kinds: Vec<Option<Span>> = fault.kinds().into_iter().map(|kind| Some(kind.1)).collect();
        exactly_one(place, "a fault", &choice, &kinds, diagnostics);
        when(fault, place, diagnostics);
        if let Some((target, place)) = fault.target() {
            whom(fault, target, place, diagnostics);
        }
        parts(fault, diagnostics);
    }
}

/// Whether it is said when a fault comes.
fn when(fault: &Fault, place: Span, diagnostics: &mut Diagnostics) {
    if fault.at.is_none() && fault.random.is_none() && fault.after.is_none() {
        diagnostics.missing_key(place, "at");
    }
    if let Some(random) = span(&fault.random) {
        for other in [span(&fault.lasts), span(&fault.every)].into_iter().flatten() {
            diagnostics.too_many_of(&[random, other], "a fault", "`random`, and `for` with `every`");
        }
    }
    let down = given(&fault.restart).and_then(|(restart, _)| restart.down.as_ref());
    if let (Some(lasts), Some(down)) = (&fault.lasts, down) {
        diagnostics.too_many_of(&[lasts.span, down.span], "a restart", "`for` and `down`");
    }
    let lasts = fault.lasts.is_some() || fault.random.is_some() || down.is_some();
    if let (Some(restart), false) = (&fault.restart, lasts || fault.until.is_some()) {
        diagnostics.nothing_of(restart.span, "`restart`", "`for` or `down`: how long the endpoints are down");
    }
    if let (Some(every), false) = (&fault.every, lasts) {
        diagnostics.nothing_of(every.span, "`every`", "`for`: how long each lasts");
    }
    if let Some((random, _)) = given(&fault.random)
        && let Some(correlated) = &random.correlated
        && fault.target().is_none()
    {
        diagnostics.no_use_for(correlated.span, "correlated", "endpoints");
    }
}

fn whom(fault: &Fault, target: Target<'_>, place: Span, diagnostics: &mut Diagnostics) {
    let only = [
        (
            "dependency_outage",
            "service",
            fault.dependency_outage.is_some(),
            target.service,
        ),
        ("node_loss", "node", fault.node_loss.is_some(), target.node),
        ("zone_loss", "zone", fault.zone_loss.is_some(), target.zone),
    ];
    if let Some((kind, key, _, names)) = only.into_iter().find(|kind| kind.2) {
        if names.is_none() && !diagnostics.has_within(place) {
            diagnostics.nothing_of(place, &format!("`{kind}`"), &format!("`{key}`"));
        }
    } else {
        let names = [target.endpoint, target.service, target.zone, target.node].map(|field| field.map(|field| field.span));
        let mut whom = names.to_vec();
        whom.push(target.all.map(|field| field.span));
        let choice = "`endpoint`, `service`, `zone`, `node` and `all`";
        exactly_one(place, "a fault", choice, &whom, diagnostics);
    }
    for names in [target.endpoint, target.service, target.zone, target.node]
        .into_iter()
        .flatten()
    {
        if names.get().is_some_and(|names| names.0.is_empty()) {
            diagnostics.nothing_of(names.span, "a fault", "at least one name");
        }
    }
    if let Some((share, key)) = target.share {
        if target.service.is_none() {
            diagnostics.no_use_for(share.span, key, "service");
        }
        if let Some(count) = target.count {
            diagnostics.too_many_of(&[share.span, count.span], "a fault", &format!("`{key}` and `count`"));
        }
    }
    if let (Some(count), None) = (target.count, target.service) {
        diagnostics.no_use_for(count.span, "count", "service");
    }
    if let Some(all) = target.all
        && all.get() == Some(&false)
    {
        diagnostics.out_of_range(all.span, "all", "true, or absent");
    }
}

/// Whether a fault has the options that it needs.
fn parts(fault: &Fault, diagnostics: &mut Diagnostics) {
    if let Some((slow, place)) = given(&fault.slow) {
        let how = [span(&slow.factor), span(&slow.add)];
        exactly_one(place, "`slow`", "`factor` and `add`", &how, diagnostics);
    }
    if let Some((throttle, place)) = given(&fault.cpu_throttle) {
        let how = [span(&throttle.quota), span(&throttle.limit)];
        exactly_one(place, "`cpu_throttle`", "`quota` and `limit`", &how, diagnostics);
    }
    if let Some((pause, _)) = given(&fault.pause) {
        match (&pause.duration, &pause.every) {
            (Some(duration), None) => diagnostics.no_use_for(duration.span, "duration", "every"),
            (None, Some(every)) => diagnostics.nothing_of(every.span, "`every`", "`duration`: how long each pause lasts"),
            _ => {}
        }
    }
    if let Some((errors, _)) = given(&fault.errors)
        && let (Some(status), Some(code)) = (&errors.status, &errors.grpc_code)
    {
        diagnostics.too_many_of(&[status.span, code.span], "`errors`", "`status` and `grpc_code`");
    }
    if let Some((leak, place)) = given(&fault.memory_leak) {
        if leak.per_request.is_none() && leak.per_second.is_none() {
            diagnostics.nothing_of(place, "`memory_leak`", "`per_request` or `per_second`");
        }
        if leak.limit.is_none() {
            diagnostics.missing_key(place, "limit");
        }
    }
    for cold in cold_starts(fault) {
        if let Some(start) = cold.get()
            && start.lasts.is_none()
            && start.requests.is_none()
        {
            diagnostics.nothing_of(cold.span, "`cold_start`", "`for` or `requests`");
        }
    }
    if let Some((ends, _)) = fault.link() {
        for party in [ends.from, ends.to].into_iter().flatten() {
            if let Some(zone) = ends.zone {
                diagnostics.too_many_of(&[zone.span, party.span], "a fault", "`zone`, and `from` with `to`");
            }
            party_shape(party, diagnostics);
        }
    }
    if let Some((loss, place)) = given(&fault.loss)
        && loss.probability.is_none()
    {
        diagnostics.missing_key(place, "probability");
    }
    if let Some((latency, place)) = given(&fault.latency)
        && latency.add.is_none()
        && latency.jitter.is_none()
    {
        diagnostics.nothing_of(place, "`latency`", "`add` or `jitter`");
    }
    if let Some((cut, place)) = given(&fault.bandwidth)
        && cut.limit.is_none()
    {
        diagnostics.missing_key(place, "limit");
    }
    if let Some((injection, place)) = fault.injection() {
        injection_shape(&injection, place, diagnostics);
    }
    if let Some((wrong, _)) = given(&fault.wrong_endpoints) {
        if let Some(from) = &wrong.from {
            party_shape(from, diagnostics);
        }
        if let (Some(mode), Some(status)) = (&wrong.mode, &wrong.status) {
            diagnostics.too_many_of(&[mode.span, status.span], "`wrong_endpoints`", "`mode` and `status`");
        }
    }
    if let Some((slow, place)) = given(&fault.control_plane_slow)
        && slow.factor.is_none()
        && slow.add.is_none()
    {
        diagnostics.nothing_of(place, "`control_plane_slow`", "`factor` or `add`");
    }
    if let Some((spike, place)) = given(&fault.spike)
        && spike.factor.is_none()
    {
        diagnostics.missing_key(place, "factor");
    }
}

fn party_shape(party: &Field<Party>, diagnostics: &mut Diagnostics) {
    let Some(value) = party.get() else { return };
    let names = [&value.zone, &value.service, &value.client, &value.endpoint, &value.node];
    let is_nobody = names.iter().all(|names| names.is_none()) && value.registry.is_none();
    if is_nobody && !diagnostics.has_within(party.span) {
        diagnostics.nothing_of(
            party.span,
            "a party",
            "one of `zone`, `service`, `client`, `endpoint`, `node` and `registry`",
        );
    }
}

fn injection_shape(injection: &Injection<'_>, place: Span, diagnostics: &mut Diagnostics) {
    if let Some(from) = injection.from {
        party_shape(from, diagnostics);
    }
    if injection.timeout.is_none() && injection.delay.is_none() && injection.abort.is_none() && !diagnostics.has_within(place) {
        diagnostics.nothing_of(place, "`bad_config`", "`timeout`, `delay` or `abort`");
    }
    if let Some((_, None)) = injection.delay {
        diagnostics.missing_key(place, "fixed_delay");
    }
    if let Some((_, Some(status), Some(code))) = injection.abort {
        diagnostics.too_many_of(&[status.span, code.span], "an abort", "`http_status` and `grpc_status`");
    }
}
