//! Small multiples over time: a panel for each variant, all on the same axes, with the other variants faint behind.

use crate::report::chart::axis::Axis;
use crate::report::chart::canvas::{Anchor, INK, MUTED, Picture, Tone, WIDTH, Weight, picture};
use crate::report::chart::compare::shortened;
use crate::report::chart::timeline::{Frame, LegendItem, Timeline, head, head_height};
use crate::report::summary::Summary;

const PANEL: f64 = 132.0;
const GAP: f64 = 34.0;
const LEFT: f64 = 72.0;
const GUTTER: f64 = 40.0;
const FAINT: f64 = 0.35;
/// Panels of a picture: the first variants.
pub const PANELS_MAX: usize = 12;

/// A curve of a panel.
pub struct Line {
    /// Its points; it breaks where one is missing.
    pub points: Vec<Option<(f64, f64)>>,
    /// Its width.
    pub width: f64,
    /// Its opacity.
    pub opacity: f64,
    /// Whether the other panels show it too, faintly.
    pub is_shared: bool,
}

/// One variant.
pub struct Panel {
    /// Its name, and a figure.
    pub name: String,
    /// Its colour.
    pub tone: Tone,
    /// What is drawn last lies on top.
    pub lines: Vec<Line>,
}

/// All values of all panels.
pub fn values(panels: &[Panel]) -> impl Iterator<Item = f64> {
    let lines = panels.iter().flat_map(|panel| &panel.lines);
    lines.flat_map(|line| line.points.iter().flatten().map(|&(_, value)| value))
}

/// The picture.
pub fn draw(summary: &Summary, title: &str, words: &str, legend: &[LegendItem], panels: &[Panel], y: &Axis) -> Picture {
    let shown = &panels[..panels.len().min(PANELS_MAX)];
    let columns = if shown.len() == 1 { 1 } else { 2 };
    let width = (WIDTH - 24.0 - LEFT - GUTTER * (columns as f64 - 1.0)) / columns as f64;
    let rows = shown.len().div_ceil(columns);
    let timeline = Timeline::new(summary);
    let names = 22.0;
    let top = head_height(legend) + names;
    let panel = if columns == 1 { PANEL * 1.8 } else { PANEL };
    let height = top + rows as f64 * (panel + GAP + names) + 22.0;
    picture(height, title, |canvas| {
        head(canvas, title, words, legend);
        for (index, variant) in shown.iter().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let top = top + row as f64 * (panel + GAP + names);
            let left = LEFT + column as f64 * (width + GUTTER);
            let frame = Frame::new(top, top + panel, timeline.axis(), y.clone()).between(left, left + width);
            timeline.shades(canvas, &frame);
            let is_last = index + columns >= shown.len();
            let name = if is_last { "simulated time" } else { "" };
            if column == 0 {
                frame.axes(canvas, name);
            } else {
                frame.axes_without_labels(canvas, name);
            }
            for other in shown
                .iter()
                .enumerate()
                .filter(|&(other, _)| other != index)
                .map(|(_, other)| other)
            {
                for line in other.lines.iter().filter(|line| line.is_shared) {
                    frame.curve(canvas, &line.points, MUTED, 1.0, FAINT);
                }
            }
            for line in &variant.lines {
                frame.curve(canvas, &line.points, variant.tone, line.width, line.opacity);
            }
            let name = shortened(&variant.name, width);
            canvas.text((left, top - 11.0), &name, 12.0, INK, Anchor::Start, Weight::Strong);
        }
    })
}
