//! The distribution of latencies with a stretched tail: percentiles along x, every further nine equally long.

use crate::report::Results;
use crate::report::chart::axis::Axis;
use crate::report::chart::canvas::{Picture, picture, series};
use crate::report::chart::timeline::{Frame, LegendItem, head, head_height};
use crate::report::curves::Latencies;
use crate::report::format;

/// Values that must lie beyond the last point of a curve: a tail of fewer is noise.
const BEYOND_MIN: u64 = 10;
/// Parts of the axis in which a curve has one point at most.
const POINTS: f64 = 600.0;
/// The fastest requests do not stretch the scale.
const SHARE_MIN: f64 = 0.02;
const PLOT: f64 = 340.0;

/// The chart of a client's latencies; `None` where nothing succeeded.
pub fn draw(results: &Results, client: &str) -> Option<(String, Picture)> {
    let summary = &results.summary;
    let curves: Vec<_> = summary
        .variants
        .iter()
        .enumerate()
        .filter_map(|(index, variant)| {
            let is_it = |l: &&Latencies| l.variant == variant.name && l.client == client && l.outcome == "success";
            let latencies = results.curves.latencies.iter().find(is_it)?;
            let points = cumulative(latencies);
            (!points.is_empty()).then_some((index, latencies, points))
        })
        .collect();
    let points = || curves.iter().flat_map(|(.., points)| points);
    let most = points().map(|&(share, _)| share).reduce(f64::max)?;
    let low = points()
        .filter(|&&(share, _)| share >= SHARE_MIN)
        .map(|&(_, seconds)| seconds)
        .reduce(f64::min)?;
    let high = points().map(|&(_, seconds)| seconds).reduce(f64::max)?;

    let title = format!("Latency of {client} by percentile");
    let legend = curves.iter().map(|(index, latencies, _)| {
        let p99 = summary.variants[*index]
            .clients
            .get(client)
            .and_then(|client| client.latency_seconds.get("p99"));
        let p99 = p99
            .filter(|p99| p99.value.is_some())
            .map(|p99| format!(" (p99 {})", format::latency(p99)));
        LegendItem {
            tone: series(*index),
            marker: Some(*index),
            label: format!("{}{}", latencies.variant, p99.unwrap_or_default()),
            width: 2.5,
            opacity: 1.0,
        }
    });
    let legend: Vec<LegendItem> = legend.collect();
    let top = head_height(&legend);
    let svg = picture(top + PLOT + 52.0, &title, |canvas| {
        head(
            canvas,
            &title,
            "successful requests, all replications together; each further nine is equally wide",
            &legend,
        );
        let frame = Frame::new(top, top + PLOT, Axis::nines(most), Axis::durations(low, high));
        frame.verticals(canvas);
        frame.axes(canvas, "share of requests that are at least as fast");
        for (index, _, points) in &curves {
            let points = thinned(points, &frame);
            frame.curve(canvas, &points, series(*index), 2.5, 0.92);
            frame.markers(canvas, &points, *index, series(*index));
        }
    });
    Some((title, svg))
}

/// The share of requests up to each bucket's bound, and the bound in seconds.
fn cumulative(latencies: &Latencies) -> Vec<(f64, f64)> {
    let total: u64 = latencies.buckets.iter().map(|&(_, count)| count).sum();
    let mut sum = 0;
    let mut points = Vec::with_capacity(latencies.buckets.len());
    for &(upper, count) in &latencies.buckets {
        points.push((sum as f64 / total as f64, upper as f64 / 1e9));
        sum += count;
        if total - sum < BEYOND_MIN {
            break;
        }
        points.push((sum as f64 / total as f64, upper as f64 / 1e9));
    }
    points
}

/// The points that a picture can show.
fn thinned(points: &[(f64, f64)], frame: &Frame) -> Vec<Option<(f64, f64)>> {
    let mut last = (f64::MIN, f64::MIN);
    let step = 880.0 / POINTS;
    let mut kept = Vec::new();
    for (index, &(share, seconds)) in points.iter().enumerate() {
        let place = frame.point(share, seconds);
        if (place.0 - last.0).abs() + (place.1 - last.1).abs() >= step || index + 1 == points.len() {
            kept.push(Some((share, seconds)));
            last = place;
        }
    }
    kept
}
