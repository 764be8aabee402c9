//! The mesh, and the figures of its services, edges and endpoints.

use std::fmt::Write;

use crate::report::chart::escape;
use crate::report::format;
use crate::report::html::Figures;
use crate::report::html::parts::{Cell, NOTHING, causes, table, table_of_known};
use crate::report::summary::{EndpointSummary, ServiceSummary, Summary, VariantSummary};

/// Endpoints with rows of their own, all tables together; the rest are in `summary.csv`.
const ENDPOINT_ROWS_MAX: usize = 2_000;

/// What the columns of services are.
const WORDS: &str = "<p class=\"note\">In flight and busy: requests and slots (or cores) at the endpoints, time averages. Offered / can \
    serve: above 1 requests pile up or are refused. Little's law: arrivals times their stay over the requests there, 1 in a steady state. \
    Busiest endpoint: its requests over the mean of all. Wasted work: for attempts whose answer nobody waited for. Connections: pairs of a \
    caller and an endpoint that had to do with each other. Ejected: the share of the endpoints that callers kept out of balancing; spared: \
    what a limit kept in. Discovery: from a change of an endpoint to each caller that believes it. Sent to the gone: attempts to endpoints \
    that were down or gone while the caller took them to be there.</p>";

/// Who called whom.
pub fn mesh(out: &mut String, summary: &Summary, figures: &Figures<'_>) {
    out.push_str("<section id=\"mesh\"><h2>Who calls whom</h2>");
    figures.put(out, "topology", None);
    for (index, variant) in summary.variants.iter().enumerate() {
        let open = if index == 0 && variant.edges.len() <= 12 {
            " open"
        } else {
            ""
        };
        let _ = write!(out, "<details{open}><summary>Edges under {}</summary>", escape(&variant.name));
        edges(out, variant);
        out.push_str("</details>");
    }
    out.push_str("</section>\n");
}

fn edges(out: &mut String, variant: &VariantSummary) {
    let header = [
        "edge",
        "calls",
        "calls/s",
        "attempts/call",
        "availability",
        "mean",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "failures",
    ];
    let rows = variant.edges.iter().map(|(name, edge)| {
        let mut row = vec![
            name.into(),
            Cell::count(&edge.calls_total),
            Cell::of(&edge.calls_per_second, format::figure),
            Cell::of(&edge.attempts_per_call_ratio, format::figure),
            Cell::of(&edge.availability_ratio, format::share),
        ];
        row.extend(["mean", "p50", "p90", "p99", "p99.9"].map(|name| Cell::latency(&edge.latency_seconds, name)));
        row.push(causes(&edge.failures_total));
        row
    });
    table(out, &format!("Edges of {}", variant.name), &header, rows);
}

/// Services and endpoints, variant by variant.
pub fn services(out: &mut String, summary: &Summary) {
    let mut endpoint_rows = ENDPOINT_ROWS_MAX;
    out.push_str("<section id=\"services\"><h2>Services and endpoints</h2>");
    out.push_str(WORDS);
    for (index, variant) in summary.variants.iter().enumerate() {
        let open = if index == 0 { " open" } else { "" };
        let _ = write!(out, "<details{open}><summary>{}</summary>", escape(&variant.name));
        traffic(out, variant);
        capacity(out, variant);
        watching(out, variant);
        endpoints(out, variant, &mut endpoint_rows);
        out.push_str("</details>");
    }
    out.push_str("</section>\n");
}

/// What came to services, and what became of it.
fn traffic(out: &mut String, variant: &VariantSummary) {
    let header = [
        "service",
        "requests",
        "attempts",
        "per client request",
        "availability",
        "p50",
        "p99",
        "wait, mean",
        "wait, p99",
        "waited",
        "failures",
    ];
    let row = |(name, service): (&str, &ServiceSummary)| {
        vec![
            name.into(),
            Cell::count(&service.requests_total),
            Cell::count(&service.attempts_total),
            Cell::of(&service.requests_per_root_request_ratio, format::figure),
            Cell::of(&service.availability_ratio, format::share),
            Cell::latency(&service.latency_seconds, "p50"),
            Cell::latency(&service.latency_seconds, "p99"),
            Cell::latency(&service.queue_wait_seconds, "mean"),
            Cell::latency(&service.queue_wait_seconds, "p99"),
            Cell::of(&service.waited_ratio, format::share),
            causes(&service.failures_total),
        ]
    };
    let rows = variant.services.iter().map(row);
    table(
        out,
        &format!("Services of {}: what came to them", variant.name),
        &header,
        rows,
    );
}

/// How much services had to do against what they can do.
fn capacity(out: &mut String, variant: &VariantSummary) {
    let header = [
        "service",
        "endpoints",
        "in flight",
        "busy",
        "utilization",
        "offered / can serve",
        "Little's law",
        "busiest endpoint",
        "wasted work",
    ];
    let row = |(name, service): (&str, &ServiceSummary)| {
        vec![
            name.into(),
            Cell::from(format::count(service.endpoints_total as f64)),
            Cell::of(&service.in_flight, format::figure),
            Cell::of(&service.busy_slots, format::figure),
            Cell::of(&service.utilization_ratio, format::share),
            Cell::of(&service.offered_ratio, format::figure),
            Cell::of(&service.little_ratio, format::figure),
            Cell::of(&service.load_max_ratio, |most| match most.value {
                Some(most) => format!("{}×", format::digits(most, 3)),
                None => NOTHING.to_string(),
            }),
            Cell::of(&service.wasted_work_ratio, format::share),
        ]
    };
    let rows = variant.services.iter().map(row);
    table(
        out,
        &format!("Services of {}: how busy they were", variant.name),
        &header,
        rows,
    );
}

/// What callers knew of services and did about them, as far as there is anything to tell.
fn watching(out: &mut String, variant: &VariantSummary) {
    let header = [
        "service",
        "connections",
        "ejections",
        "spared",
        "ejected",
        "in panic",
        "discovery, p50",
        "discovery, p99",
        "sent to the gone",
    ];
    let row = |(name, service): (&str, &ServiceSummary)| {
        vec![
            name.into(),
            Cell::of(&service.connections_total, format::figure),
            Cell::count(&service.ejections_total),
            Cell::count(&service.ejections_spared_total),
            Cell::of(&service.ejected_ratio, format::share),
            Cell::of(&service.panic_ratio, format::share),
            Cell::latency(&service.discovery_delay_seconds, "p50"),
            Cell::latency(&service.discovery_delay_seconds, "p99"),
            Cell::count(&service.stale_requests_total),
        ]
    };
    let rows = variant.services.iter().map(row).collect();
    table_of_known(
        out,
        &format!("Services of {}: what callers knew of them", variant.name),
        &header,
        rows,
    );
}

fn endpoints(out: &mut String, variant: &VariantSummary, rows_left: &mut usize) {
    let mut all: Vec<(String, &EndpointSummary, Option<f64>)> = Vec::new();
    for (service, figures) in variant.services.iter() {
        let requests = |endpoint: &EndpointSummary| endpoint.requests_total.value.unwrap_or(0.0);
        let sum: f64 = figures.endpoints.iter().map(|(_, endpoint)| requests(endpoint)).sum();
        let even = sum / figures.endpoints.len().max(1) as f64;
        all.extend(figures.endpoints.iter().map(|(name, endpoint)| {
            let load = (even > 0.0).then(|| requests(endpoint) / even);
            (format!("{service}/{name}"), endpoint, load)
        }));
    }
    let shown = all.len().min(*rows_left);
    *rows_left -= shown;
    let _ = write!(out, "<details class=\"inner\"><summary>{} endpoints</summary>", all.len());
    if shown < all.len() {
        let _ = write!(
            out,
            "<p class=\"note\">{} of them are only in summary.csv.</p>",
            all.len() - shown
        );
    }
    let header = [
        "endpoint",
        "requests",
        "over an even share",
        "failures",
        "wait, mean",
        "busy",
        "utilization",
    ];
    let rows = all.iter().take(shown).map(|(name, endpoint, load)| {
        vec![
            name.as_str().into(),
            Cell::count(&endpoint.requests_total),
            Cell::from(load.map_or_else(|| NOTHING.to_string(), |load| format!("{}×", format::digits(load, 3)))),
            Cell::count(&endpoint.failures_total),
            Cell::latency(&endpoint.queue_wait_seconds, "mean"),
            Cell::of(&endpoint.busy_slots, format::figure),
            Cell::of(&endpoint.utilization_ratio, format::share),
        ]
    });
    table(out, &format!("Endpoints of {}", variant.name), &header, rows);
    out.push_str("</details>");
}
