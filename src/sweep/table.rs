//! The points side by side: a table for the terminal or as Markdown, and a page.

use std::fmt::Write;

use comfy_table::modifiers::UTF8_ROUND_CORNERS;
use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde::Serialize;

use crate::report::chart::escape;
use crate::report::format;
use crate::report::summary::{Summary, Value};
use crate::sweep::merge::SweepResults;

/// Rows of the page; the rest are in `sweep.csv`.
const ROWS_MAX: usize = 5_000;
/// Rows of the table on a terminal.
const LINES_MAX: usize = 200;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:15px/1.5 system-ui,sans-serif;max-width:80rem;margin:2rem auto;padding:0 1rem}\
div{overflow-x:auto}\
table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
th,td{padding:.25rem .6rem;border-bottom:1px solid color-mix(in srgb,currentColor 20%,transparent);text-align:left;white-space:nowrap}\
th{position:sticky;top:0;background:Canvas}\
td.n,th.n{text-align:right}\
footer{margin-top:2rem;opacity:.75}";

/// The main figures of one client of one variant at a point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The variant.
    pub variant: String,
    /// The client.
    pub client: String,
    /// Requests of all replications.
    pub requests_total: Value,
    /// The share that succeeded.
    pub availability_ratio: Value,
    /// Median latency.
    pub latency_p50_seconds: Value,
    /// Its 99th percentile.
    pub latency_p99_seconds: Value,
}

/// The rows of one point.
pub fn rows(summary: &Summary) -> Vec<Row> {
    let mut rows = Vec::new();
    for variant in &summary.variants {
        for (name, client) in variant.clients.iter() {
            let latency = |quantile: &str| client.latency_seconds.get(quantile).cloned().unwrap_or_default();
            rows.push(Row {
                variant: variant.name.clone(),
                client: name.to_string(),
                requests_total: client.requests_total.clone(),
                availability_ratio: client.availability_ratio.clone(),
                latency_p50_seconds: latency("p50"),
                latency_p99_seconds: latency("p99"),
            });
        }
    }
    rows
}

/// The columns: how many of them are text, and all names.
fn columns(results: &SweepResults) -> (usize, Vec<&str>) {
    let mut columns: Vec<&str> = results.grid.iter().map(|axis| axis.path.as_str()).collect();
    columns.push("variant");
    let several = results.points.iter().any(|point| has_several_clients(&point.rows));
    columns.extend(several.then_some("client"));
    let text = columns.len();
    columns.extend(["requests", "availability", "p50", "p99"]);
    (text, columns)
}

fn has_several_clients(rows: &[Row]) -> bool {
    rows.windows(2).any(|pair| pair[0].client != pair[1].client)
}

/// The cells of every row, with the number of its point.
fn cells(results: &SweepResults) -> impl Iterator<Item = (usize, Vec<String>)> {
    let has_clients = columns(results).1.contains(&"client");
    results.points.iter().enumerate().flat_map(move |(index, point)| {
        point.rows.iter().map(move |row| {
            let mut cells: Vec<String> = point.values.iter().map(|(_, value)| value.clone()).collect();
            cells.push(row.variant.clone());
            cells.extend(has_clients.then(|| row.client.clone()));
            cells.push(row.requests_total.value.map_or_else(String::new, format::count));
            cells.push(format::share(&row.availability_ratio));
            cells.push(format::latency(&row.latency_p50_seconds));
            cells.push(format::latency(&row.latency_p99_seconds));
            (index, cells)
        })
    })
}

/// The table.
pub fn render(results: &SweepResults, is_markdown: bool) -> String {
    let (text_columns, columns) = columns(results);
    let mut table = Table::new();
    match is_markdown {
        true => table.load_preset(ASCII_MARKDOWN),
        false => table.load_preset(UTF8_FULL_CONDENSED).apply_modifier(UTF8_ROUND_CORNERS),
    };
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.force_no_tty();
    table.set_header(&columns);
    let all = results.points.iter().map(|point| point.rows.len()).sum::<usize>();
    cells(results).take(LINES_MAX).for_each(|(_, cells)| {
        table.add_row(cells);
    });
    for column in table.column_iter_mut().skip(text_columns) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let rest = all.saturating_sub(LINES_MAX);
    let more = match rest {
        0 => String::new(),
        rest => format!("{rest} more rows in sweep.csv\n"),
    };
    format!(
        "{} · {} points\n{}{table}\n{more}",
        results.scenario,
        results.points.len(),
        if is_markdown { "\n" } else { "" }
    )
}

/// The page: the table, each point linked to its own.
pub fn page(results: &SweepResults) -> Vec<u8> {
    let (text_columns, columns) = columns(results);
    let class = |column: usize| if column < text_columns { "" } else { " class=\"n\"" };
    let name = escape(&results.scenario);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{name} · sweep · meshsim</title><style>{STYLE}</style></head><body>\n<h1>{name}</h1><p>{}</p>\n<div><table><thead><tr>",
        escape(&results.description)
    );
    for (index, column) in columns.iter().enumerate() {
        let _ = write!(out, "<th scope=\"col\"{}>{}</th>", class(index), escape(column));
    }
    out.push_str("<th scope=\"col\">results</th></tr></thead><tbody>\n");
    for (point, cells) in cells(results).take(ROWS_MAX) {
        out.push_str("<tr>");
        for (index, cell) in cells.iter().enumerate() {
            let _ = write!(out, "<td{}>{}</td>", class(index), escape(cell));
        }
        let folder = escape(&results.points[point].folder.replace('%', "%25"));
        let _ = writeln!(
            out,
            "<td><a href=\"{folder}/\">{}</a></td></tr>",
            escape(&results.points[point].name)
        );
    }
    let rows = results.points.iter().map(|point| point.rows.len()).sum::<usize>();
    let rest = rows.saturating_sub(ROWS_MAX);
    let more = if rest > 0 {
        format!("{rest} more rows are in <code>sweep.csv</code>. ")
    } else {
        String::new()
    };
    let _ = write!(
        out,
        "</tbody></table></div>\n<footer><p>{more}± is 95 % confidence. Every figure is in <code>sweep.csv</code>. Digest {}, meshsim {}.</p>\
         </footer></body></html>\n",
        escape(&results.digest),
        escape(&results.version)
    );
    out.into_bytes()
}
