//! `report.html`: one self-contained page. The question and the answer first, then who won by how much, the charts, the
//! tables of services, edges and endpoints, and what was run. It loads nothing, needs no script, and follows the reader's
//! preference for light or dark.

use std::fmt::Write;

use crate::report::chart::{Chart, THEME, escape};
use crate::report::failures::{faults, windows};
use crate::report::summary::{ClientSummary, EndpointSummary, ServiceSummary, Summary, Value, VariantSummary};
use crate::report::{Named, answer, format};

const STYLE: &str = include_str!("report.css");

/// Endpoints with rows of their own, all tables together; the rest are in `summary.csv`.
const ENDPOINT_ROWS_MAX: usize = 2_000;
/// Comparisons shown; the rest are in `summary.json`.
const COMPARISONS_MAX: usize = 90;
/// Bytes of the scenario's text shown.
const SOURCE_MAX: usize = 200_000;
/// Figures of the latency in tables.
const LATENCIES: [&str; 5] = ["mean", "p50", "p90", "p99", "p99.9"];

/// The page.
pub fn page(summary: &Summary, charts: &[Chart]) -> Vec<u8> {
    let mut out = String::with_capacity(300_000);
    head(&mut out, summary);
    opening(&mut out, summary);
    ranking(&mut out, summary);
    pictures(&mut out, charts);
    comparisons(&mut out, summary);
    faults(&mut out, summary);
    windows(&mut out, summary);
    let mut endpoint_rows = ENDPOINT_ROWS_MAX;
    out.push_str("<section id=\"services\"><h2>Services, edges, endpoints</h2>");
    for (index, variant) in summary.variants.iter().enumerate() {
        details_of_variant(&mut out, variant, index == 0, &mut endpoint_rows);
    }
    out.push_str("</section>");
    model(&mut out);
    source(&mut out, summary);
    footer(&mut out, summary);
    out.push('\n');
    out.into_bytes()
}

fn head(out: &mut String, summary: &Summary) {
    let dark = THEME.dark_rules("figure svg");
    let title = escape(&summary.scenario);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title} · meshsim</title>\
         <style>{STYLE}@media (prefers-color-scheme:dark){{{dark}}}</style></head><body>\n"
    );
}

fn opening(out: &mut String, summary: &Summary) {
    let (name, version) = (escape(&summary.scenario), escape(&summary.version));
    let _ = write!(out, "<header><p class=\"kind\">meshsim {version}</p><h1>{name}</h1>");
    for paragraph in summary
        .description
        .split("\n\n")
        .filter(|paragraph| !paragraph.trim().is_empty())
    {
        let _ = write!(out, "<p class=\"question\">{}</p>", escape(paragraph.trim()));
    }
    let _ = write!(out, "<p class=\"answer\"><strong>{}</strong></p>", escape(&summary.answer));
    for warning in &summary.warnings {
        let _ = write!(out, "<p class=\"warning\">Warning: {}</p>", escape(warning));
    }
    out.push_str(
        "</header><nav aria-label=\"Sections\"><a href=\"#ranking\">Ranking</a><a href=\"#charts\">Charts</a>\
         <a href=\"#comparisons\">Differences</a><a href=\"#services\">Services</a><a href=\"#model\">Model</a>\
         <a href=\"#scenario\">Scenario</a></nav><main>\n",
    );
}

/// A table that may be wider than the screen and then scrolls, by keyboard too.
pub(super) fn table(out: &mut String, name: &str, header: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let name = escape(name);
    let _ = write!(
        out,
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{name}\"><table><thead><tr>"
    );
    for cell in header {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(cell));
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let (open, close) = if column == 0 {
                ("<th scope=\"row\">", "</th>")
            } else {
                ("<td>", "</td>")
            };
            let _ = write!(out, "{open}{}{close}", escape(cell));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>\n");
}

fn ranking(out: &mut String, summary: &Summary) {
    let _ = write!(
        out,
        "<section id=\"ranking\"><h2>Ranking</h2><p class=\"note\">{}</p>",
        words_of_intervals(summary)
    );
    let order = answer::ranking(summary);
    let clients = summary.variants.first().map(|variant| &variant.clients);
    for (client, _) in clients.iter().flat_map(|clients| clients.iter()) {
        let of_client = order.iter().filter_map(|&index| {
            let variant = &summary.variants[index];
            Some((variant.name.clone(), variant.clients.get(client)?))
        });
        let header = client_header("variant");
        let _ = write!(out, "<h3>Client {}</h3>", escape(client));
        table(
            out,
            &format!("Figures of client {client}"),
            &header,
            of_client.map(|(name, client)| client_row(name, client)),
        );
    }
    out.push_str("</section>");
}

fn words_of_intervals(summary: &Summary) -> String {
    match summary.replications {
        1 => "One replication: there are no intervals.".to_string(),
        n => format!(
            "± is half of the 95 % confidence interval over {n} replications; latencies are of successful requests, from the moment \
             at which a request was meant to be sent. Best first."
        ),
    }
}

/// What stands above the rows of [`client_row`].
pub(super) fn client_header(first: &'static str) -> [&'static str; 11] {
    [
        first,
        "requests",
        "availability",
        "mean",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "attempts/request",
        "error budget burnt",
        "failures",
    ]
}

pub(super) fn client_row(name: String, client: &ClientSummary) -> Vec<String> {
    let mut row = vec![name, count(&client.requests_total), format::share(&client.availability_ratio)];
    row.extend(latencies(&client.latency_seconds));
    row.push(format::figure(&client.attempts_per_request_ratio));
    row.push(format!("{}×", format::figure(&client.error_budget_burn_ratio)));
    row.push(causes(&client.failures_total));
    row
}

fn latencies(figures: &Named<Value>) -> impl Iterator<Item = String> {
    LATENCIES
        .into_iter()
        .map(|name| figures.get(name).map_or_else(|| "n/a".to_string(), format::latency))
}

fn count(value: &Value) -> String {
    value.value.map_or_else(|| "n/a".to_string(), format::count)
}

fn causes(failures: &Named<u64>) -> String {
    if failures.is_empty() {
        return "none".to_string();
    }
    let causes = failures
        .iter()
        .map(|(cause, &number)| format!("{cause}: {}", format::count(number as f64)));
    causes.collect::<Vec<_>>().join(", ")
}

fn pictures(out: &mut String, charts: &[Chart]) {
    out.push_str("<section id=\"charts\"><h2>Charts</h2>");
    for chart in charts {
        let title = escape(&chart.title);
        let picture = without_style(&chart.picture.svg);
        let _ = write!(
            out,
            "<figure tabindex=\"0\" role=\"region\" aria-label=\"{title}\">{picture}</figure>"
        );
    }
    out.push_str("</section>");
}

/// The picture without its own rules for dark grounds: the page has them.
fn without_style(svg: &str) -> String {
    match (svg.find("<style>"), svg.find("</style>")) {
        (Some(from), Some(to)) => format!("{}{}", &svg[..from], &svg[to + "</style>".len()..]),
        _ => svg.to_string(),
    }
}

fn comparisons(out: &mut String, summary: &Summary) {
    if summary.comparisons.is_empty() {
        return;
    }
    let pairs = match summary.confidence.pairs {
        1 => String::new(),
        pairs => format!(" The intervals of one figure hold for all {pairs} pairs at once (Bonferroni)."),
    };
    let _ = write!(
        out,
        "<section id=\"comparisons\"><h2>Differences</h2><p class=\"note\">Replication by replication: every variant saw the same \
         traffic and the same work.{pairs} For availability the ratio is that of the shares of failures.</p>"
    );
    let told = |metric: &str| {
        [".availability_ratio", ".p50", ".p99", ".p99.9"]
            .iter()
            .any(|end| metric.ends_with(end))
    };
    let rows = summary
        .comparisons
        .iter()
        .filter(|comparison| told(&comparison.metric))
        .take(COMPARISONS_MAX)
        .map(|comparison| {
            let difference = if comparison.metric.ends_with("availability_ratio") {
                format::share(&comparison.difference)
            } else {
                format::latency(&comparison.difference)
            };
            let correlation = comparison
                .correlation
                .value
                .map_or_else(|| "n/a".to_string(), |c| format!("{c:.2}"));
            vec![
                comparison.metric.clone(),
                comparison.a.clone(),
                comparison.verdict.clone(),
                comparison.b.clone(),
                difference,
                format::figure(&comparison.ratio),
                correlation,
            ]
        });
    let header = ["figure", "variant", "is", "against", "difference", "ratio", "correlation"];
    table(out, "Differences between variants", &header, rows);
    out.push_str("</section>");
}

fn details_of_variant(out: &mut String, variant: &VariantSummary, open: bool, endpoint_rows: &mut usize) {
    let open = if open { " open" } else { "" };
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
    let header = [
        "edge",
        "calls",
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
            name.to_string(),
            count(&edge.calls_total),
            format::figure(&edge.attempts_per_call_ratio),
            format::share(&edge.availability_ratio),
        ];
        row.extend(latencies(&edge.latency_seconds));
        row.push(causes(&edge.failures_total));
        row
    });
    table(out, &format!("Edges of {}", variant.name), &header, rows);
    endpoints(out, variant, endpoint_rows);
    out.push_str("</details>");
}

fn service_row(name: &str, service: &ServiceSummary) -> Vec<String> {
    let latency = |figures: &Named<Value>, name: &str| figures.get(name).map_or_else(|| "n/a".to_string(), format::latency);
    vec![
        name.to_string(),
        count(&service.requests_total),
        format::share(&service.availability_ratio),
        latency(&service.latency_seconds, "p50"),
        latency(&service.latency_seconds, "p99"),
        latency(&service.queue_wait_seconds, "mean"),
        latency(&service.queue_wait_seconds, "p99"),
        format::share(&service.waited_ratio),
        format::figure(&service.in_flight),
        format::share(&service.utilization_ratio),
        service
            .load_max_ratio
            .value
            .map_or_else(|| "n/a".to_string(), |most| format!("{}× the mean", format::digits(most, 3))),
        format::figure(&service.requests_per_root_request_ratio),
        format::share(&service.wasted_work_ratio),
        count(&service.ejections_total),
        format::share(&service.ejected_ratio),
        format::share(&service.panic_ratio),
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
            name.clone(),
            count(&endpoint.requests_total),
            count(&endpoint.failures_total),
            endpoint
                .queue_wait_seconds
                .get("mean")
                .map_or_else(|| "n/a".to_string(), format::latency),
            format::figure(&endpoint.busy_slots),
            format::share(&endpoint.utilization_ratio),
        ]
    });
    table(out, &format!("Endpoints of {}", variant.name), &header, rows);
    out.push_str("</details>");
}

fn model(out: &mut String) {
    out.push_str(
        "<section id=\"model\"><h2>What was modelled</h2><ul>\
         <li>Every caller (a client's proxy, or an endpoint as a client) has its own balancer, its own view of the endpoints, and its \
         own connections, as sidecars have.</li>\
         <li>A call is placed, sent over the network, queued, served step by step (its own calls nest), and answered over the network. \
         A timeout abandons it; the server may work on.</li>\
         <li>Latency counts from the moment at which a request was meant to be sent, so slow answers hide no requests. A figure over \
         replications is a mean; a total is a sum.</li>\
         <li>Variants share every random draw that is not theirs: the same arrivals, the same work, the same network.</li></ul>\
         <p><strong>Not modelled:</strong> the CPU that proxies take, TLS handshakes, packet-level congestion, HTTP semantics beyond status \
         codes, garbage collection and noisy neighbours, unless the scenario puts them into its distributions and faults. The figures \
         compare policies under this scenario's assumptions; they forecast no system.</p></section>",
    );
}

fn source(out: &mut String, summary: &Summary) {
    let mut end = summary.source.text.len().min(SOURCE_MAX);
    while !summary.source.text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = if end < summary.source.text.len() {
        "\n… (cut; the whole is in summary.json)"
    } else {
        ""
    };
    let _ = write!(
        out,
        "<section id=\"scenario\"><h2>Scenario</h2><details><summary>{}</summary><pre tabindex=\"0\"><code>{}{cut}</code></pre></details>",
        escape(&summary.source.name),
        escape(&summary.source.text[..end]),
    );
    let rows = summary.variants.iter().map(|variant| {
        vec![
            variant.name.clone(),
            format::seconds_short(variant.duration_seconds),
            format::seconds_short(variant.warmup_seconds),
            format::seconds_short(variant.measured_seconds),
            variant.digest.clone(),
        ]
    });
    table(
        out,
        "Runs",
        &["variant", "duration", "warm-up", "measured", "digest of all events"],
        rows,
    );
    out.push_str("</section>");
}

fn footer(out: &mut String, summary: &Summary) {
    let _ = write!(
        out,
        "</main><footer><dl><dt>seed</dt><dd>{}</dd><dt>replications</dt><dd>{}</dd><dt>scenario digest</dt><dd>{}</dd>\
         <dt>meshsim</dt><dd>{}</dd><dt>events</dt><dd>{}</dd><dt>simulated</dt><dd>{}</dd></dl>\
         <p>The same scenario, seed and version give the same bytes.</p></footer></body></html>",
        summary.seed,
        summary.replications,
        escape(&summary.scenario_digest),
        escape(&summary.version),
        format::count(summary.engine.events_total as f64),
        format::seconds_short(summary.engine.simulated_seconds),
    );
}
