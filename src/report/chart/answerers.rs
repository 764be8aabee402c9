//! Failures over time by who ended the request, stacked, a panel for each variant, with the faults marked.

use crate::report::Results;
use crate::report::chart::axis::Axis;
use crate::report::chart::canvas::{Anchor, INK, Picture, Weight, picture};
use crate::report::chart::causes::tones;
use crate::report::chart::timeline::{Frame, LegendItem, Timeline, head, head_height, points};
use crate::report::format;

const PANEL: f64 = 110.0;
const GAP: f64 = 30.0;
/// Variants that have a panel: the first ones.
const PANELS_MAX: usize = 8;
const METRIC: &str = "failures_per_second.";

/// One variant's failures: the upper edge of each layer, the first at the bottom.
struct Panel {
    name: String,
    layers: Vec<(usize, Vec<(f64, f64)>)>,
}

/// The chart of a client; `None` where nothing failed.
pub fn draw(results: &Results, client: &str) -> Option<(String, Picture)> {
    let summary = &results.summary;
    let mut kinds: Vec<String> = Vec::new();
    for curve in &results.curves.over_time {
        if let Some(kind) = curve.metric.strip_prefix(METRIC)
            && curve.name == client
            && !kinds.iter().any(|known| known == kind)
        {
            kinds.push(kind.to_string());
        }
    }
    let panels: Vec<Panel> = summary
        .variants
        .iter()
        .take(PANELS_MAX)
        .map(|variant| panel(results, &variant.name, client, &kinds))
        .collect();
    let most = panels
        .iter()
        .filter_map(|panel| panel.layers.last())
        .flat_map(|(_, edge)| edge.iter().map(|&(_, value)| value));
    let most = most.reduce(f64::max).filter(|&most| most > 0.0)?;

    let title = format!("Failures of {client} over time");
    let tones = tones(&kinds.iter().map(String::as_str).collect::<Vec<_>>());
    let legend: Vec<LegendItem> = kinds
        .iter()
        .zip(&tones)
        .map(|(kind, &tone)| LegendItem {
            tone,
            marker: None,
            label: kind.replace('_', " "),
            width: 8.0,
            opacity: 0.8,
        })
        .collect();
    let timeline = Timeline::new(summary);
    let top = head_height(&legend) + timeline.labels_height() + 18.0;
    let height = top + panels.len() as f64 * (PANEL + GAP) + 28.0;
    let svg = picture(height, &title, |canvas| {
        let words = "failed requests per second by who or what ended them, by the time at which they were meant to be sent";
        head(canvas, &title, words, &legend);
        for (row, panel) in panels.iter().enumerate() {
            let top = top + row as f64 * (PANEL + GAP);
            let rate = |rate: f64| format!("{}/s", format::trimmed(rate, 3));
            let frame = Frame::new(top, top + PANEL, timeline.axis(), Axis::linear(0.0, most * 1.05, 3, rate));
            match row {
                0 => timeline.marks(canvas, &frame),
                _ => timeline.shades(canvas, &frame),
            }
            frame.axes(canvas, if row + 1 == panels.len() { "simulated time" } else { "" });
            let mut below: Vec<(f64, f64)> = Vec::new();
            for (kind, edge) in &panel.layers {
                if below.is_empty() {
                    below = edge.iter().map(|&(x, _)| (x, 0.0)).collect();
                }
                frame.area(canvas, &below, edge, tones[*kind], 0.8);
                below.clone_from(edge);
            }
            canvas.text((80.0, top + 10.0), &panel.name, 12.0, INK, Anchor::Start, Weight::Strong);
        }
    });
    Some((title, svg))
}

fn panel(results: &Results, variant: &str, client: &str, kinds: &[String]) -> Panel {
    let mut layers: Vec<(usize, Vec<(f64, f64)>)> = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        let found = results.curves.find(variant, "client", client, &format!("{METRIC}{kind}"));
        let Some(curve) = found else { continue };
        let rates = points(curve.interval_nanos, &curve.values);
        let edge = rates.iter().flatten().enumerate().map(|(place, &(x, rate))| {
            let below = layers
                .last()
                .and_then(|(_, edge)| edge.get(place))
                .map_or(0.0, |&(_, below)| below);
            (x, below + rate)
        });
        let edge = edge.collect();
        layers.push((index, edge));
    }
    Panel {
        name: variant.to_string(),
        layers,
    }
}
