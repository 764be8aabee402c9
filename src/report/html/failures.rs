//! What the page says of faults and of windows of time: who noticed, how fast, and what it cost.

use crate::report::format;
use crate::report::html::Figures;
use crate::report::html::clients::client_table;
use crate::report::html::parts::{Cell, NEVER, NOTHING, table, table_of_known};
use crate::report::summary::{IncidentSummary, Summary, Value};

/// The faults and how each variant went through them.
pub fn faults(out: &mut String, summary: &Summary, figures: &Figures<'_>) {
    if summary.variants.iter().all(|variant| variant.faults.is_empty()) {
        return;
    }
    out.push_str("<section id=\"faults\"><h2>Faults</h2>");
    let mut planned: Vec<Vec<String>> = Vec::new();
    for fault in summary.variants.iter().flat_map(|variant| &variant.faults) {
        let row = vec![
            fault.label.clone(),
            format::seconds_short(fault.at_seconds),
            format::seconds_short(fault.until_seconds),
        ];
        if !planned.contains(&row) {
            planned.push(row);
        }
    }
    let planned = planned.into_iter().map(|row| row.into_iter().map(Cell::from).collect());
    table(out, "What went wrong on purpose", &["fault", "from", "to"], planned);
    figures.put(out, "incident", None);
    let rows: Vec<Vec<Cell>> = summary
        .variants
        .iter()
        .flat_map(|variant| variant.incidents.iter().map(|incident| row(&variant.name, incident)))
        .collect();
    if !rows.is_empty() {
        out.push_str(
            "<p class=\"note\">Detected: from the begin until a caller takes an endpoint struck out of balancing, mean over those that \
             do. Ejected: until all callers that sent to endpoints struck have all of them out. Shifted: to the last attempt before \
             endpoints struck get less than 1 % of the attempts. Recovered: from the end until every client's availability is within one \
             point, and the 90th percentile of its latency within 1.25 times, of what it was before. Lost: failed requests beyond those \
             that fail without a fault, per replication.</p>",
        );
        let header = [
            "variant",
            "fault",
            "detected",
            "by",
            "ejected",
            "shifted",
            "recovered",
            "lost",
        ];
        table(out, "How variants went through faults", &header, rows.into_iter());
        medians(out, summary);
    }
    out.push_str("</section>");
}

/// The times again as medians, which know also of the replications in which it did not come to that.
fn medians(out: &mut String, summary: &Summary) {
    const TIMES: [&str; 4] = ["time_to_detect", "time_to_eject", "time_to_shift", "time_to_recover"];
    let incidents = summary
        .variants
        .iter()
        .flat_map(|variant| variant.incidents.iter().map(move |incident| (&variant.name, incident)));
    let rows = incidents.map(|(variant, incident)| {
        let median = |name: &str| Cell::latency(&incident.median_seconds, name);
        let names = [Cell::from(variant.as_str()), Cell::from(incident.name.as_str())];
        names.into_iter().chain(TIMES.map(median)).collect()
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let header = ["variant", "fault", "detected", "ejected", "shifted", "recovered"];
    out.push_str("<details><summary>Medians over all replications</summary>");
    table_of_known(
        out,
        "Medians, replications included in which it did not come to that",
        &header,
        rows,
    );
    out.push_str("</details>");
}

fn row(variant: &str, incident: &IncidentSummary) -> Vec<Cell> {
    vec![
        variant.into(),
        incident.name.as_str().into(),
        Cell::of(&incident.time_to_detect_seconds, time),
        Cell::of(&incident.detected_ratio, format::share),
        Cell::of(&incident.time_to_eject_seconds, time),
        Cell::of(&incident.time_to_shift_seconds, time),
        Cell::of(&incident.time_to_recover_seconds, time),
        Cell::of(&incident.requests_lost, format::figure),
    ]
}

/// A time that may not be reached: `never`, or in how many replications it was.
fn time(value: &Value) -> String {
    match (&value.value, &value.reason) {
        (Some(_), None) => format::latency(value),
        (Some(_), Some(reason)) => format!("{} ({reason})", format::latency(value)),
        (None, Some(reason)) if reason.starts_with("reached") => NEVER.to_string(),
        (None, _) => NOTHING.to_string(),
    }
}

/// What clients went through in the windows that expectations look at.
pub fn windows(out: &mut String, summary: &Summary) {
    let mut rows = Vec::new();
    for variant in &summary.variants {
        for (window, figures) in variant.windows.iter() {
            for (client, figures) in figures.clients.iter() {
                rows.push((vec![Cell::from(format!("{}, {client}, {window}", variant.name))], figures));
            }
        }
    }
    if rows.is_empty() {
        return;
    }
    out.push_str("<section id=\"windows\"><h2>Windows of time</h2>");
    client_table(out, "Figures of clients in windows of time", &["variant, client, when"], rows);
    out.push_str("</section>");
}
