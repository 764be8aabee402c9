//! What clients went through: the ranking, latency, availability, failures, and how variants differ in them.

use std::fmt::Write;

use crate::report::chart::escape;
use crate::report::html::Figures;
use crate::report::html::parts::{Cell, causes, table, told};
use crate::report::summary::{ClientSummary, Summary, Value};
use crate::report::{Named, answer, format};

/// Comparisons shown; the rest are in `summary.json`.
const COMPARISONS_MAX: usize = 90;
/// Figures of the latency in the tables of clients.
const LATENCIES: [&str; 5] = ["mean", "p50", "p90", "p99", "p99.9"];
/// All of them.
const PERCENTILES: [&str; 9] = ["mean", "p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "max"];

/// A name above what belongs to a client, where there are several.
fn heading(out: &mut String, clients: &[&str], client: &str) {
    if clients.len() > 1 {
        let _ = write!(out, "<h3>Client {}</h3>", escape(client));
    }
}

/// The variants with their figures of a client, the best first.
fn ranked<'a>(summary: &'a Summary, client: &'a str) -> impl Iterator<Item = (&'a str, &'a ClientSummary)> {
    let order = answer::ranking(summary).into_iter();
    order.filter_map(move |index| {
        let variant = &summary.variants[index];
        Some((variant.name.as_str(), variant.clients.get(client)?))
    })
}

/// Who won, by how much.
pub fn ranking(out: &mut String, summary: &Summary, clients: &[&str], figures: &Figures<'_>) {
    let words = match summary.replications {
        1 => "One replication: there are no intervals.".to_string(),
        n => format!(
            "± is half of the 95 % confidence interval over {n} replications; point at a figure for its ends. Latencies are of successful \
             requests, from the moment at which a request was meant to be sent. Best first."
        ),
    };
    let _ = write!(out, "<section id=\"ranking\"><h2>Ranking</h2><p class=\"note\">{words}</p>");
    for &client in clients {
        heading(out, clients, client);
        figures.put(out, "comparison", Some(client));
        let rows = ranked(summary, client).map(|(name, figures)| client_row(name.to_string(), figures));
        table(out, &format!("Figures of client {client}"), &client_header("variant"), rows);
    }
    order(out, summary);
    out.push_str("</section>\n");
}

/// The order of the variants by each figure that was compared, as far as it is certain.
fn order(out: &mut String, summary: &Summary) {
    let rankings = told(summary, "rankings");
    let rankings = rankings.iter().filter_map(|rankings| rankings.as_array()).flatten();
    let place = |variant: &serde_json::Value| -> Option<Cell> {
        let (name, group) = (variant["variant"].as_str()?, variant["group"].as_str()?);
        let [best, worst] = [0, 1].map(|end| variant["rank"][end].as_u64());
        let rank = match (best?, worst?) {
            (best, worst) if best == worst => best.to_string(),
            (best, worst) => format!("{best}–{worst}"),
        };
        Some(Cell::from(format!("{name} ({rank}, {group})")))
    };
    let rows: Vec<Vec<Cell>> = rankings
        .filter_map(|ranking| {
            let variants = ranking["variants"]
                .as_array()?
                .iter()
                .map(place)
                .collect::<Option<Vec<Cell>>>()?;
            Some(
                [Cell::from(ranking["metric"].as_str()?)]
                    .into_iter()
                    .chain(variants)
                    .collect(),
            )
        })
        .collect();
    let most = rows.iter().map(Vec::len).max().unwrap_or(0);
    if most < 3 {
        return;
    }
    out.push_str(
        "<p class=\"note\">In brackets the places that a variant may have, as far as comparisons tell, and its groups: variants that \
         share a letter are not separated.</p>",
    );
    let mut header = vec!["figure".to_string(), "best".to_string()];
    header.extend((2..most).map(|place| format!("{place}.")));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    table(out, "Order of the variants by each figure", &header, rows.into_iter());
}

/// What stands above the rows of [`client_row`].
pub fn client_header(first: &'static str) -> [&'static str; 11] {
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

/// The figures of a client.
pub fn client_row(name: String, client: &ClientSummary) -> Vec<Cell> {
    let mut row = vec![
        name.into(),
        Cell::count(&client.requests_total),
        Cell::of(&client.availability_ratio, format::share),
    ];
    row.extend(LATENCIES.map(|name| Cell::latency(&client.latency_seconds, name)));
    row.push(Cell::of(&client.attempts_per_request_ratio, format::figure));
    row.push(Cell::of(&client.error_budget_burn_ratio, |burnt| match burnt.value {
        Some(_) => format!("{}×", format::figure(burnt)),
        None => "n/a".to_string(),
    }));
    row.push(causes(&client.failures_total));
    row
}

/// Latency by percentile and over time.
pub fn latency(out: &mut String, summary: &Summary, clients: &[&str], figures: &Figures<'_>) {
    out.push_str("<section id=\"latency\"><h2>Latency</h2>");
    for &client in clients {
        heading(out, clients, client);
        figures.put(out, "latency_cdf", Some(client));
        figures.put(out, "latency_over_time", Some(client));
        let mut header = vec!["variant, outcome"];
        header.extend(PERCENTILES);
        let row = |name: String, latencies: &Named<_>| {
            let figures = PERCENTILES.map(|percentile| Cell::latency(latencies, percentile));
            [Cell::from(name)].into_iter().chain(figures).collect()
        };
        let rows: Vec<Vec<Cell>> = ranked(summary, client)
            .flat_map(|(name, figures)| {
                let failed = figures.failed_latency_seconds.iter().any(|(_, value)| value.value.is_some());
                let success = row(format!("{name}, success"), &figures.latency_seconds);
                let failure = failed.then(|| row(format!("{name}, failure"), &figures.failed_latency_seconds));
                [Some(success), failure].into_iter().flatten()
            })
            .collect();
        table(out, &format!("Latency of {client}"), &header, rows.into_iter());
    }
    out.push_str("</section>\n");
}

/// Availability, the error budget, and failures by cause.
pub fn availability(out: &mut String, summary: &Summary, clients: &[&str], figures: &Figures<'_>) {
    out.push_str("<section id=\"availability\"><h2>Availability and failures</h2>");
    for &client in clients {
        heading(out, clients, client);
        for kind in [
            "availability_over_time",
            "error_budget_over_time",
            "failures_by_cause",
            "failures_over_time",
        ] {
            figures.put(out, kind, Some(client));
        }
        failures(out, summary, client);
    }
    out.push_str("</section>\n");
}

/// Failures by cause and by who ended the request.
fn failures(out: &mut String, summary: &Summary, client: &str) {
    let mut kinds: Vec<(bool, String)> = Vec::new();
    for (_, figures) in ranked(summary, client) {
        let causes = figures.failures_total.iter().map(|(cause, _)| (false, cause.to_string()));
        let answerers = figures.failures_by_answerer_total.iter().filter(|(_, number)| **number > 0);
        for kind in causes.chain(answerers.map(|(answerer, _)| (true, answerer.to_string()))) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    if kinds.is_empty() {
        out.push_str("<p class=\"note\">No request failed.</p>");
        return;
    }
    kinds.sort_by_key(|(is_answerer, _)| *is_answerer);
    let words: Vec<String> = kinds
        .iter()
        .map(|(is_answerer, kind)| match is_answerer {
            true => format!("ended by {}", kind.replace('_', " ")),
            false => kind.clone(),
        })
        .collect();
    let mut header = vec!["variant"];
    header.extend(words.iter().map(String::as_str));
    let rows = ranked(summary, client).map(|(name, figures)| {
        let number = |(is_answerer, kind): &(bool, String)| {
            let failures = if *is_answerer {
                &figures.failures_by_answerer_total
            } else {
                &figures.failures_total
            };
            Cell::from(format::count(failures.get(kind).copied().unwrap_or(0) as f64))
        };
        [Cell::from(name)].into_iter().chain(kinds.iter().map(number)).collect()
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    table(
        out,
        &format!("Failed requests of {client}: by cause, and by who or what ended them"),
        &header,
        rows.into_iter(),
    );
}

/// How variants differ, replication by replication.
pub fn differences(out: &mut String, summary: &Summary) {
    if summary.comparisons.is_empty() {
        return;
    }
    let pairs = match summary.confidence.pairs {
        0 | 1 => String::new(),
        pairs => format!(" The intervals of one figure hold for all {pairs} pairs at once (Bonferroni)."),
    };
    let _ = write!(
        out,
        "<section id=\"differences\"><h2>Differences</h2><p class=\"note\">Replication by replication: every variant saw the same \
         traffic and the same work.{pairs} For availability the ratio is that of the shares of failures.</p>"
    );
    let is_shown = |metric: &str| {
        [".availability_ratio", ".p50", ".p99", ".p99.9"]
            .iter()
            .any(|end| metric.ends_with(end))
    };
    let all: Vec<_> = summary
        .comparisons
        .iter()
        .filter(|comparison| is_shown(&comparison.metric))
        .collect();
    let has_more = all.iter().any(|comparison| told(*comparison, "p_value").is_some());
    let rows = all.iter().take(COMPARISONS_MAX).map(|comparison| {
        let difference = if comparison.metric.ends_with("availability_ratio") {
            Cell::of(&comparison.difference, format::share)
        } else {
            Cell::of(&comparison.difference, format::latency)
        };
        let correlation =
            |value: &crate::report::summary::Value| value.value.map_or_else(|| "n/a".to_string(), |c| format!("{c:.2}"));
        let statement = told(comparison, "statement");
        let statement = statement
            .as_ref()
            .and_then(|words| words.as_str())
            .filter(|words| !words.is_empty());
        let mut row = vec![
            comparison.metric.as_str().into(),
            comparison.a.as_str().into(),
            statement.unwrap_or(&comparison.verdict).into(),
            comparison.b.as_str().into(),
            difference,
            Cell::of(&comparison.ratio, format::figure),
            Cell::of(&comparison.correlation, correlation),
        ];
        if has_more {
            let figure = |name: &str| {
                let value = told(comparison, name).and_then(|value| serde_json::from_value::<Value>(value).ok());
                value.unwrap_or_default()
            };
            row.push(Cell::of(&figure("variance_saved_ratio"), format::share));
            row.push(Cell::of(&figure("p_value"), |p| match p.value {
                Some(p) if p < 1e-4 => "< 0.0001".to_string(),
                _ => format::figure(p),
            }));
        }
        row
    });
    let mut header = vec!["figure", "variant", "is", "against", "difference", "ratio", "correlation"];
    if has_more {
        header.extend(["variance saved", "p"]);
    }
    let is_long = all.len() > 24;
    if is_long {
        let _ = write!(
            out,
            "<details><summary>{} comparisons</summary>",
            all.len().min(COMPARISONS_MAX)
        );
    }
    table(out, "Differences between variants", &header, rows);
    if all.len() > COMPARISONS_MAX {
        let _ = write!(
            out,
            "<p class=\"note\">{} more are in summary.json.</p>",
            all.len() - COMPARISONS_MAX
        );
    }
    if is_long {
        out.push_str("</details>");
    }
    out.push_str("</section>\n");
}
