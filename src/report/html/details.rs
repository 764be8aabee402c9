//! The mesh, and the figures of its services, edges and endpoints.

use std::fmt::Write;

use crate::report::chart::escape;
use crate::report::format;
use crate::report::html::Figures;
use crate::report::html::parts::{Cell, causes, table};
use crate::report::summary::{EndpointSummary, ServiceSummary, Summary, VariantSummary};

/// Endpoints with rows of their own, all tables together; the rest are in `summary.csv`.
const ENDPOINT_ROWS_MAX: usize = 2_000;

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
    for (index, variant) in summary.variants.iter().enumerate() {
        let open = if index == 0 { " open" } else { "" };
        let _ = write!(out, "<details{open}><summary>{}</summary>", escape(&variant.name));
        let header = [
            "service",
            "requests",
            "availability",
            "p50",
            "p99",
            "wait, mean",
            "wait, p99",
            "waited",
            "in flight",
            "utilization",
            "busiest endpoint",
            "per client request",
            "wasted work",
            "ejections",
            "ejected",
            "in panic",
            "failures",
        ];
        let rows = variant.services.iter().map(|(name, service)| service_row(name, service));
        table(out, &format!("Services of {}", variant.name), &header, rows);
        endpoints(out, variant, &mut endpoint_rows);
        out.push_str("</details>");
    }
    out.push_str("</section>\n");
}

fn service_row(name: &str, service: &ServiceSummary) -> Vec<Cell> {
    vec![
        name.into(),
        Cell::count(&service.requests_total),
        Cell::of(&service.availability_ratio, format::share),
        Cell::latency(&service.latency_seconds, "p50"),
        Cell::latency(&service.latency_seconds, "p99"),
        Cell::latency(&service.queue_wait_seconds, "mean"),
        Cell::latency(&service.queue_wait_seconds, "p99"),
        Cell::of(&service.waited_ratio, format::share),
        Cell::of(&service.in_flight, format::figure),
        Cell::of(&service.utilization_ratio, format::share),
        Cell::of(&service.load_max_ratio, |most| match most.value {
            Some(most) => format!("{}× the mean", format::digits(most, 3)),
            None => "n/a".to_string(),
        }),
        Cell::of(&service.requests_per_root_request_ratio, format::figure),
        Cell::of(&service.wasted_work_ratio, format::share),
        Cell::count(&service.ejections_total),
        Cell::of(&service.ejected_ratio, format::share),
        Cell::of(&service.panic_ratio, format::share),
        causes(&service.failures_total),
    ]
}

fn endpoints(out: &mut String, variant: &VariantSummary, rows_left: &mut usize) {
    let all: Vec<(String, &EndpointSummary)> = variant
        .services
        .iter()
        .flat_map(|(service, figures)| {
            figures
                .endpoints
                .iter()
                .map(move |(name, e)| (format!("{service}/{name}"), e))
        })
        .collect();
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
    let header = ["endpoint", "requests", "failures", "wait, mean", "busy", "utilization"];
    let rows = all.iter().take(shown).map(|(name, endpoint)| {
        vec![
            name.as_str().into(),
            Cell::count(&endpoint.requests_total),
            Cell::count(&endpoint.failures_total),
            Cell::latency(&endpoint.queue_wait_seconds, "mean"),
            Cell::of(&endpoint.busy_slots, format::figure),
            Cell::of(&endpoint.utilization_ratio, format::share),
        ]
    });
    table(out, &format!("Endpoints of {}", variant.name), &header, rows);
    out.push_str("</details>");
}
