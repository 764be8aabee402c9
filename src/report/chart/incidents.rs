//! How variants went through a fault: how long until it was noticed and until all was well again, with intervals.

use crate::report::chart::canvas::Picture;
use crate::report::chart::compare::{Panel, forest};
use crate::report::format;
use crate::report::summary::{IncidentSummary, Summary, Value};

/// Faults that have a chart: the first ones.
const FAULTS_MAX: usize = 4;

/// The figures of a fault.
type Figure = (&'static str, fn(&IncidentSummary) -> &Value);
const TIMES: [Figure; 4] = [
    ("time to detect", |incident| &incident.time_to_detect_seconds),
    ("time to eject", |incident| &incident.time_to_eject_seconds),
    ("time to shift traffic", |incident| &incident.time_to_shift_seconds),
    ("time to recover, from the end", |incident| &incident.time_to_recover_seconds),
];

/// The faults that have a chart.
pub fn faults(summary: &Summary) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for incident in summary.variants.iter().flat_map(|variant| &variant.incidents) {
        if !names.contains(&incident.name) {
            names.push(incident.name.clone());
        }
    }
    names.truncate(FAULTS_MAX);
    names
}

/// The chart of a fault; `None` where nothing is known of how it went.
pub fn draw(summary: &Summary, name: &str) -> Option<(String, Picture)> {
    let of_variant = |figure: fn(&IncidentSummary) -> &Value| {
        let find = |variant: &'_ crate::report::summary::VariantSummary| {
            variant.incidents.iter().position(|incident| incident.name == name)
        };
        let value = |variant| find(variant).map(|index| figure(&variant.incidents[index]));
        summary.variants.iter().map(value).collect::<Vec<_>>()
    };
    let mut panels: Vec<Panel<'_>> = TIMES
        .into_iter()
        .map(|(name, figure)| Panel {
            name: name.to_string(),
            values: of_variant(figure),
            show: format::latency,
            tick: format::seconds_short,
        })
        .collect();
    panels.push(Panel {
        name: "requests lost, per replication".to_string(),
        values: of_variant(|incident| &incident.requests_lost),
        show: format::figure,
        tick: |requests| format::trimmed(requests, 3),
    });
    panels.retain(|panel| panel.values.iter().flatten().any(|value| value.value.is_some()));
    if panels.is_empty() {
        return None;
    }
    let title = format!("Through {name}");
    let words = "dots are estimates, lines their 95 % intervals; n/a where it never came to that, or nobody watches";
    let picture = forest(summary, &title, words, &panels);
    Some((title, picture))
}
