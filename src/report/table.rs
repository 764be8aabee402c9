//! The comparison table: for a terminal, or as Markdown.

use comfy_table::modifiers::UTF8_ROUND_CORNERS;
use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table};

use crate::report::summary::{ClientSummary, Summary, Value};
use crate::report::{answer, format};

/// How a table is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// With lines, in bold where it matters if `color`.
    Terminal {
        /// Whether control sequences may be written.
        color: bool,
    },
    /// As Markdown.
    Markdown,
}

/// Figures of the latency with a column; the last of them only where any variant knows it.
const LATENCIES: [&str; 4] = ["p50", "p90", "p99", "p99.9"];

/// The scenario's question, the table and the answer.
pub fn render(summary: &Summary, style: Style) -> String {
    let mut out = String::new();
    let (strong, end) = match style {
        Style::Terminal { color: true } => ("\u{1b}[1m", "\u{1b}[0m"),
        Style::Terminal { color: false } => ("", ""),
        Style::Markdown => ("**", "**"),
    };
    let replications = match summary.replications {
        1 => "1 replication".to_string(),
        n if summary.confidence.pairs > 1 => format!(
            "{n} replications, ± is 95 % confidence, of differences for all {} pairs together",
            summary.confidence.pairs
        ),
        n => format!("{n} replications, ± is 95 % confidence"),
    };
    out.push_str(&format!(
        "{strong}{}{end} · seed {} · {replications}\n",
        summary.scenario, summary.seed
    ));
    if !summary.description.is_empty() {
        let first = summary.description.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        out.push_str(&first);
        out.push('\n');
    }
    if style == Style::Markdown {
        out.push('\n');
    }
    out.push_str(&table(summary, style));
    out.push_str(&differences(summary, style));
    out.push_str("\n\n");
    for line in known_well(summary) {
        out.push_str(&line);
        out.push('\n');
    }
    out.push_str(&format!("{strong}{}{end}\n", summary.answer));
    out
}

/// What was to be known well, and whether the best was found.
pub fn known_well(summary: &Summary) -> Vec<String> {
    let percent = |share: f64| format!("{} %", format::digits(share * 100.0, 2));
    let precision = summary.precision.iter().map(|precision| {
        let reached = precision
            .reached_ratio
            .map_or_else(|| "is not known".to_string(), |reached| format!("± {}", percent(reached)));
        let wanted = percent(precision.wanted_ratio);
        let verdict = if precision.met { "reached" } else { "not reached" };
        format!("precision: {} {reached}, wanted {wanted}: {verdict}", precision.metric)
    });
    let selection = summary.selection.iter().map(|selection| {
        let left = selection.left_after_replications.iter();
        let left: Vec<String> = left
            .map(|(variant, after)| format!("{variant} out after {after} replications"))
            .collect();
        let left = if left.is_empty() {
            String::new()
        } else {
            format!(" ({})", left.join(", "))
        };
        match selection.found {
            true => format!("best by {}: {}{left}", selection.metric, selection.best),
            false => format!("best by {}: not found; {} so far{left}", selection.metric, selection.best),
        }
    });
    precision.chain(selection).collect()
}

fn table(summary: &Summary, style: Style) -> String {
    let clients: Vec<(&str, &str, &ClientSummary)> = summary
        .variants
        .iter()
        .flat_map(|variant| {
            variant
                .clients
                .iter()
                .map(|(name, client)| (variant.name.as_str(), name, client))
        })
        .collect();
    let several = summary.variants.iter().any(|variant| variant.clients.len() > 1);
    let known = |name: &&str| {
        clients
            .iter()
            .any(|(.., client)| client.latency_seconds.get(name).is_some_and(|v| v.value.is_some()))
    };
    let latencies: Vec<&str> = LATENCIES.into_iter().filter(|name| *name != "p99.9" || known(name)).collect();
    let retried = clients
        .iter()
        .any(|(.., client)| client.attempts_total.value != client.requests_total.value);

    let mut header = vec!["variant"];
    header.extend(several.then_some("client"));
    header.extend(["requests", "availability"]);
    header.extend(&latencies);
    header.extend(retried.then_some("attempts/request"));

    let mut table = drawn(&header, style);
    for (variant, name, client) in clients {
        let mut row = vec![variant.to_string()];
        row.extend(several.then(|| name.to_string()));
        row.push(client.requests_total.value.map_or_else(String::new, format::count));
        row.push(format::share(&client.availability_ratio));
        row.extend(
            latencies
                .iter()
                .map(|name| client.latency_seconds.get(name).map_or_else(String::new, format::latency)),
        );
        row.extend(retried.then(|| format::figure(&client.attempts_per_request_ratio)));
        table.add_row(row);
    }
    let text_columns = if several { 2 } else { 1 };
    finish(table, text_columns)
}

/// How the others differ from the best, in the figures that the answer is given by: replication by replication.
fn differences(summary: &Summary, style: Style) -> String {
    let mut out = String::new();
    for (metric, word, best) in answer::decisive(summary) {
        let rows: Vec<Vec<String>> = summary
            .variants
            .iter()
            .filter(|variant| variant.name != best)
            .filter_map(|variant| difference_row(summary, &metric, &variant.name, &best))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let header = [
            &*format!("{word} against {best}"),
            "difference",
            "times",
            "verdict",
            "p (Holm)",
            "correlation",
            "variance saved",
        ];
        let mut table = drawn(&header, style);
        rows.into_iter().for_each(|row| {
            table.add_row(row);
        });
        out.push_str("\n\n");
        out.push_str(&finish(table, 1));
    }
    out
}

/// How one variant differs from the best; `None` without an interval.
fn difference_row(summary: &Summary, metric: &str, name: &str, best: &str) -> Option<Vec<String>> {
    let comparison = summary.comparison(metric, name, best)?;
    comparison.difference.ci95?;
    let ratio = comparison.ratio.value.zip(comparison.ratio.ci95);
    let figure = |value: &Value, show: &dyn Fn(f64) -> String| value.value.map_or_else(|| "n/a".to_string(), show);
    Some(vec![
        name.to_string(),
        format::difference(metric, &comparison.difference),
        ratio.map_or_else(|| "n/a".to_string(), |(value, ends)| format::factor(value, ends)),
        comparison.statement,
        format::p_value(&comparison.p_value),
        figure(&comparison.correlation, &|correlation| format!("{correlation:.2}")),
        figure(&comparison.variance_saved_ratio, &|share| format!("{:.0} %", share * 100.0)),
    ])
}

/// An empty table of a style.
fn drawn(header: &[&str], style: Style) -> Table {
    let mut table = Table::new();
    match style {
        Style::Markdown => table.load_preset(ASCII_MARKDOWN),
        Style::Terminal { .. } => table.load_preset(UTF8_FULL_CONDENSED).apply_modifier(UTF8_ROUND_CORNERS),
    };
    table.set_content_arrangement(ContentArrangement::Disabled);
    let colored = style == Style::Terminal { color: true };
    if colored {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(header.iter().map(|name| {
        if colored {
            Cell::new(name).add_attribute(Attribute::Bold)
        } else {
            Cell::new(name)
        }
    }));
    table
}

/// The table as text, with numbers to the right.
fn finish(mut table: Table, text_columns: usize) -> String {
    for column in table.column_iter_mut().skip(text_columns) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}
