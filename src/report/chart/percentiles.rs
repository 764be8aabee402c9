//! Percentiles over time, with the faults marked.

use crate::report::Results;
use crate::report::chart::axis::Axis;
use crate::report::chart::canvas::{picture, series};
use crate::report::chart::timeline::{Frame, LegendItem, Timeline, head, head_height, points};

const PLOT: f64 = 320.0;
/// Metric, its word, and the width and opacity of its line; what is drawn last lies on top.
const LINES: [(&str, &str, f64, f64); 2] = [
    ("latency_p50_seconds", "p50", 1.4, 0.65),
    ("latency_p99_seconds", "p99", 2.4, 0.92),
];

/// The chart of a client; `None` where nothing is known.
pub fn draw(results: &Results, client: &str) -> Option<(String, String)> {
    let summary = &results.summary;
    let mut curves = Vec::new();
    for (metric, _, width, opacity) in LINES {
        for (index, variant) in summary.variants.iter().enumerate() {
            if let Some(curve) = results.curves.find(&variant.name, "client", client, metric) {
                curves.push((index, points(curve.interval_nanos, &curve.values), width, opacity));
            }
        }
    }
    let values = || {
        curves
            .iter()
            .flat_map(|(_, points, ..)| points.iter().flatten().map(|&(_, value)| value))
    };
    let (low, high) = (values().reduce(f64::min)?, values().reduce(f64::max)?);

    let title = format!("Latency of {client} over time");
    let legend: Vec<LegendItem> = summary
        .variants
        .iter()
        .enumerate()
        .map(|(index, variant)| LegendItem {
            tone: series(index),
            label: variant.name.clone(),
            width: 2.4,
            opacity: 1.0,
        })
        .collect();
    let timeline = Timeline::new(summary);
    let top = head_height(&legend) + timeline.labels_height();
    let svg = picture(top + PLOT + 52.0, &title, |canvas| {
        let words = "strong lines: p99; fine lines: p50; by the time at which a request was meant to be sent";
        head(canvas, &title, words, &legend);
        let frame = Frame::new(top, top + PLOT, timeline.axis(), Axis::durations(low, high));
        timeline.marks(canvas, &frame);
        frame.axes(canvas, "simulated time");
        for (index, points, width, opacity) in &curves {
            frame.curve(canvas, points, series(*index), *width, *opacity);
        }
    });
    Some((title, svg))
}
