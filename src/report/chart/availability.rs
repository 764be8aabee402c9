//! The share of requests that succeed over time, with the faults marked.

use crate::report::Results;
use crate::report::chart::axis::Axis;
use crate::report::chart::canvas::{picture, series};
use crate::report::chart::timeline::{Frame, LegendItem, Timeline, head, head_height, points};
use crate::report::format;

const PLOT: f64 = 260.0;

/// The chart of a client; `None` where nothing is known.
pub fn draw(results: &Results, client: &str) -> Option<(String, String)> {
    let summary = &results.summary;
    let curves: Vec<_> = summary
        .variants
        .iter()
        .enumerate()
        .filter_map(|(index, variant)| {
            let curve = results.curves.find(&variant.name, "client", client, "availability_ratio")?;
            Some((index, points(curve.interval_nanos, &curve.values)))
        })
        .collect();
    let values = curves
        .iter()
        .flat_map(|(_, points)| points.iter().flatten().map(|&(_, value)| value));
    let low = values.reduce(f64::min)?;

    let title = format!("Availability of {client} over time");
    let legend: Vec<LegendItem> = curves
        .iter()
        .map(|&(index, _)| {
            let variant = &summary.variants[index];
            let overall = variant
                .clients
                .get(client)
                .map(|client| format!(" ({})", format::share(&client.availability_ratio)));
            LegendItem {
                tone: series(index),
                label: format!("{}{}", variant.name, overall.unwrap_or_default()),
                width: 2.2,
                opacity: 1.0,
            }
        })
        .collect();
    let timeline = Timeline::new(summary);
    let top = head_height(&legend) + timeline.labels_height();
    let svg = picture(top + PLOT + 52.0, &title, |canvas| {
        head(
            canvas,
            &title,
            "share of requests that succeed, by the time at which they were meant to be sent",
            &legend,
        );
        // Even a perfect run shows the last per cent, so that its line is seen to be the top.
        let low = low.min(0.99);
        let margin = (1.0 - low) * 0.06;
        let share = |share: f64| format!("{} %", format::trimmed(share * 100.0, 3));
        let axis = Axis::linear((low - margin).max(0.0), 1.0, 5, share);
        let frame = Frame::new(top, top + PLOT, timeline.axis(), axis);
        timeline.marks(canvas, &frame);
        frame.axes(canvas, "simulated time");
        for (index, points) in &curves {
            frame.curve(canvas, points, series(*index), 2.2, 0.92);
        }
    });
    Some((title, svg))
}
