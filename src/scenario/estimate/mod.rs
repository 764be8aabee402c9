//! How much there is to do: worked out from the document before anything is allocated for it, and held against fixed limits.
//!
//! The limits are the same on every machine, so that a scenario loads everywhere or nowhere. `--force` lifts those of
//! [`refuse_large`]; those of [`refuse_impossible`] keep indices within their types and no machine would hold more.

mod checks;
mod demand;

use super::Estimate;
use super::decode::Field;
use super::diagnostic::{Diagnostics, Size};
use super::schema::Document;
use super::schema::client::KeySource;
use super::source::Span;

pub(crate) use demand::{Demand, demand};

/// Calls of all cells: about an hour and a half of one core.
const CALLS_MAX: f64 = 2e10;
/// Calls that one request makes on average; far beyond it a scenario has a `repeat` too many.
const CALLS_PER_REQUEST_MAX: f64 = 1e6;
/// Endpoints of one variant.
const ENDPOINTS_MAX: u64 = 500_000;
/// Bytes of everything: half of what a common laptop has.
const MEMORY_MAX: f64 = 8.0 * 1024.0 * 1024.0 * 1024.0;

/// Instructions of all operations, `repeat` written out.
const INSTRUCTIONS_LIMIT: u64 = 1 << 22;
/// Zones: links are their square.
const ZONES_LIMIT: u64 = 256;
/// Endpoints, callers or users; and keys.
const COUNT_LIMIT: u64 = 1 << 24;
const KEYS_LIMIT: u64 = 1 << 27;
/// Variants, and runs of each.
pub(crate) const VARIANTS_LIMIT: usize = 1000;
const REPLICATIONS_LIMIT: u64 = 100_000;

/// Bytes in the plan and in a running cell for each of its things. The model keeps to less.
const ENDPOINT_PLAN_BYTES: f64 = 320.0;
const ENDPOINT_CELL_BYTES: f64 = 400.0;
const ENDPOINT_RESULT_BYTES: f64 = 120.0;
const VIEW_BYTES: f64 = 200.0;
const KEY_BYTES: f64 = 16.0;
const USER_BYTES: f64 = 100.0;
const INSTRUCTION_BYTES: f64 = 32.0;
/// Histograms and series of a client, service or edge.
const SCOPE_BYTES: f64 = 100_000.0;

/// Adds what a variant of `replications` runs demands.
pub(crate) fn add(estimate: &mut Estimate, demand: &Demand, replications: u32) {
    let runs = f64::from(replications);
    let endpoints = demand.endpoints as f64;
    estimate.cells += u64::from(replications);
    estimate.requests += demand.requests * runs;
    estimate.calls += demand.calls * runs;
    estimate.events += (demand.requests + 2.0 * demand.calls + demand.works + demand.check_events) * runs;
    let plan = endpoints * ENDPOINT_PLAN_BYTES + demand.keys as f64 * KEY_BYTES + demand.instructions as f64 * INSTRUCTION_BYTES;
    let cell = endpoints * ENDPOINT_CELL_BYTES
        + demand.views * VIEW_BYTES
        + demand.users as f64 * USER_BYTES
        + demand.scopes as f64 * SCOPE_BYTES;
    // One cell at a time is counted, the largest; others run beside it where there are more threads.
    estimate.memory_bytes += plan + runs * endpoints * ENDPOINT_RESULT_BYTES;
    estimate.cell_bytes = estimate.cell_bytes.max(cell);
}

impl std::fmt::Display for Estimate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "estimate: {} runs, {} requests, {} calls, {} events, {} of memory",
            self.cells,
            count(self.requests),
            count(self.calls),
            count(self.events),
            bytes(self.memory_bytes + self.cell_bytes)
        )
    }
}

/// A number that one can read: `950`, `1.2 million`, `3.4e15`.
fn count(number: f64) -> String {
    match number {
        _ if number < 1e4 => format!("{number:.0}"),
        _ if number < 1e6 => format!("{:.0} thousand", number / 1e3),
        _ if number < 1e9 => format!("{:.1} million", number / 1e6),
        _ if number < 1e12 => format!("{:.1} billion", number / 1e9),
        _ => format!("{number:.1e}"),
    }
}

fn bytes(number: f64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    match number {
        _ if number < 1024.0 * MIB => format!("{:.0} MiB", number / MIB),
        _ if number < 1e6 * MIB => format!("{:.1} GiB", number / MIB / 1024.0),
        _ => format!("{:.0} TiB", number / MIB / 1024.0 / 1024.0),
    }
}

/// Refuses what is beyond the limits that `--force` lifts. False if it does.
pub(crate) fn refuse_large(estimate: &Estimate, demand: &Demand, diagnostics: &mut Diagnostics) -> bool {
    let per_request = demand.calls / demand.requests.max(1.0);
    let mut refuse = |what: String, limit: String| {
        diagnostics.too_large(&Size {
            what,
            limit,
            estimate: estimate.to_string(),
        });
        false
    };
    if demand.endpoints > ENDPOINTS_MAX {
        return refuse(format!("{} endpoints", demand.endpoints), ENDPOINTS_MAX.to_string());
    }
    if per_request > CALLS_PER_REQUEST_MAX {
        return refuse(
            format!("{} calls for one request", count(per_request)),
            count(CALLS_PER_REQUEST_MAX),
        );
    }
    if estimate.calls > CALLS_MAX {
        return refuse(format!("{} calls", count(estimate.calls)), count(CALLS_MAX));
    }
    if estimate.memory_bytes + estimate.cell_bytes > MEMORY_MAX {
        let memory = bytes(estimate.memory_bytes + estimate.cell_bytes);
        return refuse(format!("{memory} of memory"), bytes(MEMORY_MAX));
    }
    true
}

/// Refuses numbers that nothing could be made of. False if there are any.
pub(crate) fn refuse_impossible(document: &Document, diagnostics: &mut Diagnostics) -> bool {
    let mut fine = true;
    let mut hold = |span: Option<Span>, number: u64, what: &str, limit: u64| {
        if number > limit {
            fine = false;
            diagnostics.impossible_size(
                span,
                &Size {
                    what: format!("{number} {what}"),
                    limit: limit.to_string(),
                    estimate: String::new(),
                },
            );
        }
    };
    let topology = document.topology.checked();
    let zones = topology.zones.as_ref().map_or(0, |zones| zones.checked().len());
    hold(
        topology.zones.as_ref().map(|zones| zones.span),
        zones as u64,
        "zones",
        ZONES_LIMIT,
    );
    let replications = given(&document.replications);
    hold(
        replications.map(|(_, span)| span),
        replications.map_or(0, |(n, _)| n),
        "replications",
        REPLICATIONS_LIMIT,
    );
    let services = topology.services.checked();
    let endpoints = services
        .iter()
        .map(|(_, service)| demand::endpoint_count(service.checked(), *document.duration.checked()))
        .sum();
    hold(Some(topology.services.span), endpoints, "endpoints", COUNT_LIMIT);
    for (_, field) in document.clients.checked().iter() {
        let client = field.checked();
        if let Some((callers, span)) = given(&client.callers) {
            hold(Some(span), callers, "callers", COUNT_LIMIT);
        }
        hold(
            Some(client.arrivals.span),
            u64::from(demand::users(client)),
            "users",
            COUNT_LIMIT,
        );
        if let Some(field) = &client.key {
            hold(Some(field.span), keys(field.checked()), "keys", KEYS_LIMIT);
        }
    }
    let (instructions, span) = demand::instructions(document);
    hold(span, instructions, "instructions, `repeat` written out", INSTRUCTIONS_LIMIT);
    fine
}

fn given(field: &Option<Field<u32>>) -> Option<(u64, Span)> {
    field.as_ref().map(|field| (u64::from(*field.checked()), field.span))
}

fn keys(source: &KeySource) -> u64 {
    match source {
        KeySource::Uniform(uniform) => u64::from(uniform.keys),
        KeySource::Zipf(zipf) => u64::from(zipf.keys),
        KeySource::Fixed(_) => 0,
    }
}
