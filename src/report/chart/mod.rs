//! Charts as SVG and PNG: drawn from the summary and the curves, the same bytes for the same results.

mod answerers;
mod availability;
mod axis;
mod bitmap;
mod canvas;
mod causes;
mod cdf;
mod compare;
mod ejected;
pub mod heat;
mod incidents;
mod load;
mod panels;
mod percentiles;
mod timeline;
pub mod topology;

use crate::report::summary::Summary;
use crate::report::{Results, answer};

pub use canvas::{Picture, THEME, Theme, escape, series_tones};
pub use load::services_by_imbalance;

/// Clients that have charts of their own: those with the most requests.
pub const CLIENTS_MAX: usize = 4;

/// A chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// Its file's name without `.svg` or `.png`.
    pub name: String,
    /// What kind of chart it is: its file's name without what it is of.
    pub kind: &'static str,
    /// Of which client, service or fault; `None`: of the whole mesh.
    pub of: Option<String>,
    /// What it shows, for those who cannot see it.
    pub title: String,
    /// The picture.
    pub picture: Picture,
}

/// All charts, the most telling first.
pub fn draw_all(results: &Results) -> Vec<Chart> {
    let summary = &results.summary;
    let clients = clients_by_requests(summary);
    let mut charts = Vec::new();
    for &client in clients.iter().take(CLIENTS_MAX) {
        let name = |chart: &str| {
            if clients.len() > 1 {
                format!("{chart}.{}", file_name(client))
            } else {
                chart.to_string()
            }
        };
        let drawn = [
            ("comparison", compare::draw(summary, client)),
            ("latency_cdf", cdf::draw(results, client)),
            ("latency_over_time", percentiles::draw(results, client)),
            ("availability_over_time", availability::draw(results, client)),
            ("error_budget_over_time", availability::draw_budget(results, client)),
            ("failures_over_time", answerers::draw(results, client)),
            ("failures_by_cause", causes::draw(summary, client)),
        ];
        charts.extend(drawn.into_iter().filter_map(|(chart, drawn)| {
            let (title, picture) = drawn?;
            Some(Chart {
                name: name(chart),
                kind: chart,
                of: Some(client.to_string()),
                title,
                picture,
            })
        }));
    }
    for (fault, title, picture) in incidents::draw_all(summary) {
        charts.push(Chart {
            name: format!("incident.{}", file_name(&fault)),
            kind: "incident",
            of: Some(fault),
            title,
            picture,
        });
    }
    for (service, title, picture) in ejected::draw_all(results) {
        charts.push(Chart {
            name: format!("ejected_over_time.{}", file_name(&service)),
            kind: "ejected_over_time",
            of: Some(service),
            title,
            picture,
        });
    }
    let best = answer::ranking(summary).first().map(|&index| &summary.variants[index]);
    if let Some((title, picture)) = best.and_then(|variant| topology::draw(summary, variant)) {
        charts.push(Chart {
            name: "topology".to_string(),
            kind: "topology",
            of: None,
            title,
            picture,
        });
    }
    if let Some((title, picture)) = load::draw(summary) {
        charts.push(Chart {
            name: "load_per_endpoint".to_string(),
            kind: "load_per_endpoint",
            of: None,
            title,
            picture,
        });
    }
    if let Some((title, picture)) = heat::draw(results) {
        charts.push(Chart {
            name: "load_over_time".to_string(),
            kind: "load_over_time",
            of: None,
            title,
            picture,
        });
    }
    charts
}

/// The clients of the first variant, those with the most requests first.
pub fn clients_by_requests(summary: &Summary) -> Vec<&str> {
    let Some(first) = summary.variants.first() else {
        return Vec::new();
    };
    let mut clients: Vec<(&str, f64)> = first
        .clients
        .iter()
        .map(|(name, client)| (name, client.requests_total.value.unwrap_or(0.0)))
        .collect();
    clients.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    clients.into_iter().map(|(name, _)| name).collect()
}

/// `name` with only what is safe in a file's name everywhere.
fn file_name(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect()
}
