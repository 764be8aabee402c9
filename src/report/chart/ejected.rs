//! What callers keep out of balancing over time, and when they are in panic, with the faults marked.

use crate::report::Results;
use crate::report::chart::axis::Axis;
use crate::report::chart::canvas::{Picture, picture, series};
use crate::report::chart::timeline::{Frame, LegendItem, Timeline, head, head_height, points};
use crate::report::format;

const PLOT: f64 = 240.0;
/// Services that have a chart: those of which the most is kept out.
const SERVICES_MAX: usize = 4;

/// Variants by index, each with its values over time.
type Curves = Vec<(usize, Vec<Option<(f64, f64)>>)>;

/// The services that have a chart; none where nothing was ever kept out.
pub fn services(results: &Results) -> Vec<String> {
    let mut services: Vec<(&str, f64)> = Vec::new();
    for curve in results
        .curves
        .over_time
        .iter()
        .filter(|curve| curve.metric == "ejected_ratio")
    {
        let sum: f64 = curve.values.iter().flatten().sum();
        match services.iter_mut().find(|(name, _)| *name == curve.name) {
            Some((_, most)) => *most = most.max(sum),
            None => services.push((&curve.name, sum)),
        }
    }
    services.retain(|&(_, sum)| sum > 0.0);
    services.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    services.truncate(SERVICES_MAX);
    services.into_iter().map(|(service, _)| service.to_string()).collect()
}

/// The chart of a service; `None` where nothing is known.
pub fn draw(results: &Results, service: &str) -> Option<(String, Picture)> {
    let summary = &results.summary;
    let of_variants = |metric: &str| -> Curves {
        let variants = summary.variants.iter().enumerate();
        variants
            .filter_map(|(index, variant)| {
                let curve = results.curves.find(&variant.name, "service", service, metric)?;
                Some((index, points(curve.interval_nanos, &curve.values)))
            })
            .collect()
    };
    let (ejected, panic) = (of_variants("ejected_ratio"), of_variants("panic_ratio"));
    let values = ejected
        .iter()
        .flat_map(|(_, points)| points.iter().flatten().map(|&(_, value)| value));
    let most = values.reduce(f64::max)?;
    let panics = panic
        .iter()
        .any(|(_, points)| points.iter().flatten().any(|&(_, value)| value > 0.0));

    let title = format!("Endpoints of {service} kept out over time");
    let legend: Vec<LegendItem> = ejected
        .iter()
        .map(|&(index, _)| LegendItem {
            tone: series(index),
            marker: Some(index),
            label: summary.variants[index].name.clone(),
            width: 2.2,
            opacity: 1.0,
        })
        .collect();
    let timeline = Timeline::new(summary);
    let top = head_height(&legend) + timeline.labels_height();
    let svg = picture(top + PLOT + 52.0, &title, |canvas| {
        let words = match panics {
            true => {
                "share of endpoints that callers keep out of balancing; bars above: callers in panic, which use them all the same"
            }
            false => "share of endpoints that callers keep out of balancing; no caller is ever in panic",
        };
        head(canvas, &title, words, &legend);
        let share = |share: f64| format!("{} %", format::trimmed(share * 100.0, 2));
        // The bars of panic have room above the curves.
        let room = if panics { 1.1 + 0.06 * panic.len() as f64 } else { 1.05 };
        let axis = Axis::linear(0.0, (most * room).max(0.01), 5, share);
        let frame = Frame::new(top, top + PLOT, timeline.axis(), axis);
        timeline.marks(canvas, &frame);
        frame.axes(canvas, "simulated time");
        for (row, (index, points)) in panic.iter().enumerate().filter(|_| panics) {
            frame.band(canvas, row, points, series(*index));
        }
        for (index, points) in &ejected {
            frame.curve(canvas, points, series(*index), 2.2, 0.92);
            frame.markers(canvas, points, *index, series(*index));
        }
    });
    Some((title, svg))
}
