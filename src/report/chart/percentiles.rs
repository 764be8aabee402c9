//! Percentiles over time, a panel for each variant, with the faults marked.

use crate::report::Results;
use crate::report::chart::axis::Axis;
use crate::report::chart::canvas::{INK, Picture, series};
use crate::report::chart::panels::{self, Line, Panel};
use crate::report::chart::timeline::{LegendItem, points};

/// Metric, its word, and the width and opacity of its line; what is drawn last lies on top.
const LINES: [(&str, &str, f64, f64); 3] = [
    ("latency_p50_seconds", "p50", 1.2, 0.55),
    ("latency_p90_seconds", "p90", 1.7, 0.75),
    ("latency_p99_seconds", "p99", 2.6, 0.95),
];

/// The chart of a client; `None` where nothing is known.
pub fn draw(results: &Results, client: &str) -> Option<(String, Picture)> {
    let summary = &results.summary;
    let panel = |(index, variant): (usize, &crate::report::summary::VariantSummary)| Panel {
        name: variant.name.clone(),
        tone: series(index),
        lines: LINES
            .into_iter()
            .filter_map(|(metric, word, width, opacity)| {
                let curve = results.curves.find(&variant.name, "client", client, metric)?;
                Some(Line {
                    points: points(curve.interval_nanos, &curve.values),
                    width,
                    opacity,
                    is_shared: word == "p99",
                })
            })
            .collect(),
    };
    let panels: Vec<Panel> = summary.variants.iter().enumerate().map(panel).collect();
    let low = panels::values(&panels).reduce(f64::min)?;
    let high = panels::values(&panels).reduce(f64::max)?;
    let legend = LINES.map(|(_, word, width, opacity)| LegendItem {
        tone: INK,
        marker: None,
        label: word.to_string(),
        width,
        opacity,
    });
    let title = format!("Latency of {client} over time");
    let words = "by the time at which a request was meant to be sent; grey: p99 of the other variants";
    let words = if panels.len() > 1 {
        words
    } else {
        "by the time at which a request was meant to be sent"
    };
    let picture = panels::draw(summary, &title, words, &legend, &panels, &Axis::durations(low, high));
    Some((title, picture))
}
