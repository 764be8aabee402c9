//! Load per endpoint over time: each endpoint's rate against an even share of its service's at that moment. A panel for
//! each variant; a row for each endpoint, a column for each span of time.

use crate::report::Results;
use crate::report::chart::axis::Axis;
use crate::report::chart::canvas::{Anchor, Canvas, GRID, INK, MUTED, Picture, WIDTH, Weight, picture};
use crate::report::chart::compare::{shortened, shortened_from_start};
use crate::report::chart::load::{scale, services_by_imbalance, shade};
use crate::report::chart::timeline::{Frame, Timeline, head, head_height};
use crate::report::curves::OverTime;
use crate::report::summary::Summary;

/// Services that have a block of panels: those with the least even load.
const SERVICES_MAX: usize = 3;
/// Endpoints of a panel: the first ones.
const ROWS_MAX: usize = 24;
/// Variants that have a panel: the first ones.
const VARIANTS_MAX: usize = 8;
/// Cells of a picture.
const CELLS_MAX: usize = 4_000;
/// Shades are told apart in steps of this, so that neighbours of one shade are one rectangle.
const STEP: f64 = 0.1;
const LEFT: f64 = 96.0;
const GUTTER: f64 = 40.0;
const NAMES: f64 = 24.0;
const GAP: f64 = 34.0;

/// The loads of a service's endpoints under one variant: by endpoint, by bucket of time, over an even share.
pub struct Loads {
    /// The names of the endpoints, without their service.
    pub endpoints: Vec<String>,
    /// Rows of loads; `None` where the service got nothing.
    pub rows: Vec<Vec<Option<f64>>>,
    /// Seconds of a bucket.
    pub seconds: f64,
}

/// The loads in at most `columns` spans of time; `None` where they are not known.
pub fn loads(results: &Results, variant: &str, service: &str, columns: usize) -> Option<Loads> {
    let is_it = |curve: &&OverTime| {
        let place = curve.name.strip_prefix(service).and_then(|rest| rest.strip_prefix('/'));
        curve.variant == variant && curve.scope == "endpoint" && curve.metric == "requests_per_second" && place.is_some()
    };
    let curves: Vec<&OverTime> = results.curves.over_time.iter().filter(is_it).collect();
    let buckets = curves.iter().map(|curve| curve.values.len()).max()?;
    let width = buckets.div_ceil(columns.max(1)).max(1);
    let mean = |values: &[Option<f64>]| values.iter().flatten().sum::<f64>() / values.len().max(1) as f64;
    let means: Vec<Vec<f64>> = curves
        .iter()
        .map(|curve| curve.values.chunks(width).map(mean).collect())
        .collect();
    let even: Vec<f64> = (0..buckets.div_ceil(width))
        .map(|column| means.iter().filter_map(|row| row.get(column)).sum::<f64>() / means.len() as f64)
        .collect();
    let row = |row: &Vec<f64>| {
        row.iter()
            .zip(&even)
            .map(|(rate, even)| (*even > 0.0).then(|| rate / even))
            .collect()
    };
    Some(Loads {
        endpoints: curves
            .iter()
            .map(|curve| curve.name[service.len() + 1..].to_string())
            .collect(),
        rows: means.iter().map(row).collect(),
        seconds: width as f64 * curves.first()?.interval_nanos as f64 / 1e9,
    })
}

/// The chart; `None` where no service has two endpoints with requests over time.
pub fn draw(results: &Results) -> Option<(String, Picture)> {
    let summary = &results.summary;
    let mut services = services_by_imbalance(summary);
    services.truncate(SERVICES_MAX);
    let variants: Vec<&str> = summary
        .variants
        .iter()
        .take(VARIANTS_MAX)
        .map(|variant| variant.name.as_str())
        .collect();
    let panels = services.len() * variants.len();
    let rows = |service: &str| endpoints(summary, service).min(ROWS_MAX);
    let cells: usize = services.iter().map(|service| rows(service) * variants.len()).sum();
    let columns = (CELLS_MAX / cells.max(1)).clamp(12, 75);
    let blocks: Vec<(&str, Vec<(&str, Loads)>)> = services
        .iter()
        .map(|&service| {
            let panels = variants
                .iter()
                .filter_map(|&variant| Some((variant, loads(results, variant, service, columns)?)));
            (service, panels.collect())
        })
        .filter(|(_, panels): &(_, Vec<(_, Loads)>)| {
            panels
                .iter()
                .any(|(_, loads)| loads.rows.iter().flatten().any(Option::is_some))
        })
        .collect();
    if blocks.is_empty() || panels == 0 {
        return None;
    }
    let across = if variants.len() == 1 { 1 } else { 2 };
    let width = (WIDTH - 24.0 - LEFT - GUTTER * (across as f64 - 1.0)) / across as f64;
    let timeline = Timeline::new(summary);
    let title = "Load per endpoint over time".to_string();
    let words = "requests of each endpoint against an even share of its service at that moment";
    let top = head_height(&[]) + 26.0;
    let block_height = |block: &(&str, Vec<(&str, Loads)>)| {
        let lines = block.1.len().div_ceil(across) as f64;
        26.0 + lines * (NAMES + high(rows(block.0)) + GAP)
    };
    let height = top + blocks.iter().map(block_height).sum::<f64>() + 10.0;
    let picture = picture(height, &title, |canvas| {
        head(canvas, &title, words, &[]);
        scale(canvas, top - 24.0);
        let mut y = top;
        for block in &blocks {
            let (service, panels) = block;
            canvas.text((24.0, y + 14.0), service, 13.0, INK, Anchor::Start, Weight::Strong);
            for (index, (variant, loads)) in panels.iter().enumerate() {
                let left = LEFT + (index % across) as f64 * (width + GUTTER);
                let top = y + 26.0 + NAMES + (index / across) as f64 * (NAMES + high(rows(service)) + GAP);
                let bottom = top + high(rows(service));
                let name = shortened(variant, width);
                canvas.text((left, top - 10.0), &name, 12.0, MUTED, Anchor::Start, Weight::Plain);
                let names = if index % across == 0 {
                    Some(&loads.endpoints[..])
                } else {
                    None
                };
                let frame = Frame::new(top, bottom, timeline.axis(), Axis::linear(0.0, 1.0, 1, |_| String::new()))
                    .between(left, left + width);
                cells_of(canvas, &frame, (left, top, width), loads, names);
                timeline.edges(canvas, &frame);
                frame.axis_below(canvas);
            }
            y += block_height(block);
        }
    });
    Some((title, picture))
}

fn endpoints(summary: &Summary, service: &str) -> usize {
    let first = summary.variants.first().and_then(|variant| variant.services.get(service));
    first.map_or(0, |service| service.endpoints.len())
}

/// How high a row is.
fn row_height(rows: usize) -> f64 {
    (150.0 / rows.max(1) as f64).clamp(7.0, 22.0)
}

fn high(rows: usize) -> f64 {
    rows as f64 * row_height(rows)
}

fn cells_of(canvas: &Canvas<'_>, frame: &Frame, (left, top, width): (f64, f64, f64), loads: &Loads, names: Option<&[String]>) {
    let rows = loads.rows.len().min(ROWS_MAX);
    let high = row_height(rows);
    canvas.rectangle((left, top), (left + width, top + high * rows as f64), GRID, 0.5);
    for (index, row) in loads.rows.iter().take(rows).enumerate() {
        let y = top + high * index as f64;
        let level = |load: &Option<f64>| load.map(|load| (load.min(2.0) / STEP).round() as i64);
        let mut column = 0;
        while column < row.len() {
            let this = level(&row[column]);
            let until = row[column..]
                .iter()
                .position(|load| level(load) != this)
                .map_or(row.len(), |more| column + more);
            if let Some(this) = this {
                let (tone, opacity) = shade(this as f64 * STEP);
                let (from, _) = frame.point(column as f64 * loads.seconds, 0.0);
                let (to, _) = frame.point(until as f64 * loads.seconds, 0.0);
                if opacity > 0.04 && to > from {
                    canvas.rectangle((from, y), (to, y + high - 1.0), tone, opacity);
                }
            }
            column = until;
        }
        if let Some(name) = names
            .and_then(|names| names.get(index))
            .filter(|_| high >= 9.0 || index % 2 == 0)
        {
            let size = if high >= 11.0 { 10.5 } else { 9.0 };
            let name = shortened_from_start(name, 72.0);
            canvas.text((left - 6.0, y + high / 2.0), &name, size, MUTED, Anchor::End, Weight::Plain);
        }
    }
}
