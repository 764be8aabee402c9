//! Charts as SVG and PNG: drawn from the summary and the curves, the same bytes for the same results.

mod answerers;
mod availability;
mod axis;
mod bitmap;
mod canvas;
mod causes;
mod cdf;
mod compare;
pub mod ejected;
pub mod heat;
mod incidents;
mod load;
mod panels;
mod percentiles;
mod timeline;
pub mod topology;

use crate::report::summary::Summary;
use crate::report::{Results, answer};
use rayon::prelude::*;

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

/// A title and a picture; `None` where there is nothing to show.
type Drawn = Option<(String, Picture)>;
/// What draws a chart of a client, a fault or a service.
type Draw = fn(&Results, &str) -> Drawn;

/// Charts of a client.
const OF_CLIENT: [(&str, Draw); 7] = [
    ("comparison", |results, client| compare::draw(&results.summary, client)),
    ("latency_cdf", cdf::draw),
    ("latency_over_time", percentiles::draw),
    ("availability_over_time", availability::draw),
    ("error_budget_over_time", availability::draw_budget),
    ("failures_over_time", answerers::draw),
    ("failures_by_cause", |results, client| causes::draw(&results.summary, client)),
];
const OF_FAULT: (&str, Draw) = ("incident", |results, fault| incidents::draw(&results.summary, fault));
const OF_SERVICE: (&str, Draw) = ("ejected_over_time", ejected::draw);
/// Charts of the whole mesh.
const OF_MESH: [(&str, Draw); 3] = [
    ("topology", |results, _| {
        let best = *answer::ranking(&results.summary).first()?;
        topology::draw(&results.summary, &results.summary.variants[best])
    }),
    ("load_per_endpoint", |results, _| load::draw(&results.summary)),
    ("load_over_time", |results, _| heat::draw(results)),
];

/// All charts, the most telling first.
pub fn draw_all(results: &Results) -> Vec<Chart> {
    let clients = clients_by_requests(&results.summary);
    let mut tasks: Vec<(&'static str, Draw, Option<String>)> = Vec::new();
    for &client in clients.iter().take(CLIENTS_MAX) {
        tasks.extend(OF_CLIENT.map(|(kind, draw)| (kind, draw, Some(client.to_string()))));
    }
    let faults = incidents::faults(&results.summary).into_iter().map(Some);
    tasks.extend(faults.map(|fault| (OF_FAULT.0, OF_FAULT.1, fault)));
    let services = ejected::services(results).into_iter().map(Some);
    tasks.extend(services.map(|service| (OF_SERVICE.0, OF_SERVICE.1, service)));
    tasks.extend(OF_MESH.map(|(kind, draw)| (kind, draw, None)));
    // Pixels take time, and no chart knows of another.
    let drawn: Vec<Drawn> = tasks
        .par_iter()
        .map(|(_, draw, of)| draw(results, of.as_deref().unwrap_or("")))
        .collect();
    let mut charts: Vec<Chart> = Vec::new();
    for ((kind, _, of), drawn) in tasks.into_iter().zip(drawn) {
        let Some((title, picture)) = drawn else { continue };
        let is_alone = of.is_none() || clients.len() == 1 && OF_CLIENT.iter().any(|&(of_client, _)| of_client == kind);
        let name = match &of {
            Some(of) if !is_alone => format!("{kind}.{}", file_name(of)),
            _ => kind.to_string(),
        };
        // Names that differ only in what a file's name cannot hold.
        let twins = charts
            .iter()
            .filter(|chart| chart.name == name || chart.name.starts_with(&format!("{name}~")))
            .count();
        charts.push(Chart {
            name: if twins > 0 { format!("{name}~{}", twins + 1) } else { name },
            kind,
            of,
            title,
            picture,
        });
    }
    charts
}

/// Whether a file in the folder `charts` is one of ours, by its name.
pub fn is_chart(file: &str) -> bool {
    let kind = file.split(['.', '~']).next().unwrap_or_default();
    let kinds = OF_CLIENT.iter().chain(&OF_MESH).chain([&OF_FAULT, &OF_SERVICE]);
    (file.ends_with(".svg") || file.ends_with(".png")) && kinds.into_iter().any(|&(known, _)| known == kind)
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
