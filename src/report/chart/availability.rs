//! The share of requests that succeed over time, and how the error budget is used up, with the faults marked.

use crate::report::Results;
use crate::report::chart::axis::Axis;
use crate::report::chart::canvas::{FAULT_INK, Picture, picture, series};
use crate::report::chart::panels::{self, Line, Panel};
use crate::report::chart::timeline::{Frame, LegendItem, Timeline, head, head_height, points};
use crate::report::format;

const PLOT: f64 = 260.0;

/// The availability of a client; `None` where nothing is known.
pub fn draw(results: &Results, client: &str) -> Option<(String, Picture)> {
    let summary = &results.summary;
    let variants = summary.variants.iter().enumerate();
    let panels: Vec<Panel> = variants
        .filter_map(|(index, variant)| {
            let curve = results.curves.find(&variant.name, "client", client, "availability_ratio")?;
            let overall = variant.clients.get(client)?;
            Some(Panel {
                name: format!("{}: {}", variant.name, format::share(&overall.availability_ratio)),
                tone: series(index),
                lines: vec![Line {
                    points: points(curve.interval_nanos, &curve.values),
                    width: 2.2,
                    opacity: 0.95,
                    is_shared: true,
                }],
            })
        })
        .collect();
    // Even a perfect run shows the last per cent, so that its line is seen to be the top.
    let low = panels::values(&panels).reduce(f64::min)?.min(0.99);
    let margin = (1.0 - low) * 0.06;
    let share = |share: f64| format!("{} %", format::trimmed(share * 100.0, 3));
    let axis = Axis::linear((low - margin).max(0.0), 1.0, 4, share);
    let title = format!("Availability of {client} over time");
    let words = "share of requests that succeed, by the time at which they were meant to be sent";
    let picture = panels::draw(summary, &title, words, &[], &panels, &axis);
    Some((title, picture))
}

/// How the error budget of a client is used up; `None` where nothing failed.
pub fn draw_budget(results: &Results, client: &str) -> Option<(String, Picture)> {
    let summary = &results.summary;
    let variants = summary.variants.iter().enumerate();
    let curves: Vec<_> = variants
        .filter_map(|(index, variant)| {
            let curve = results
                .curves
                .find(&variant.name, "client", client, "error_budget_burnt_ratio")?;
            Some((index, points(curve.interval_nanos, &curve.values)))
        })
        .collect();
    let values = curves
        .iter()
        .flat_map(|(_, points)| points.iter().flatten().map(|&(_, value)| value));
    let most = values.reduce(f64::max).filter(|&most| most > 0.0)?;
    let legend = curves.iter().map(|&(index, _)| {
        let variant = &summary.variants[index];
        let burnt = variant.clients.get(client).map(|client| &client.error_budget_burn_ratio);
        LegendItem {
            tone: series(index),
            marker: Some(index),
            label: match burnt {
                Some(burnt) => format!("{} ({} budgets)", variant.name, format::figure(burnt)),
                None => variant.name.clone(),
            },
            width: 2.2,
            opacity: 1.0,
        }
    });
    let legend: Vec<LegendItem> = legend.collect();
    let objective = summary.variants.iter().find_map(|variant| {
        let client = variant.clients.get(client)?;
        client.availability_objective_ratio.value
    });
    let title = format!("Error budget of {client} used up over time");
    let words = match objective {
        Some(objective) => format!(
            "failures so far over all that the objective of {} % allows in the measured time; at 1 the budget is spent",
            format::trimmed(objective * 100.0, 4)
        ),
        None => "failures so far over all that the objective allows in the measured time".to_string(),
    };
    let timeline = Timeline::new(summary);
    let top = head_height(&legend) + timeline.labels_height();
    let picture = picture(top + PLOT + 52.0, &title, |canvas| {
        head(canvas, &title, &words, &legend);
        let axis = Axis::linear(0.0, (most * 1.04).max(1.05), 5, |budgets| format::trimmed(budgets, 3));
        let frame = Frame::new(top, top + PLOT, timeline.axis(), axis);
        timeline.marks(canvas, &frame);
        frame.axes(canvas, "simulated time");
        frame.level(canvas, 1.0, FAULT_INK);
        for (index, points) in &curves {
            frame.curve(canvas, points, series(*index), 2.2, 0.92);
            frame.markers(canvas, points, *index, series(*index));
        }
    });
    Some((title, picture))
}
