//! The frame that the charts share: title, legend, axes with a grid; and time along the x axis with faults marked.

use crate::report::chart::axis::Axis;
use crate::report::chart::canvas::{Anchor, Canvas, FAULT, FAULT_INK, GRID, INK, MUTED, Tone, WARMUP, WIDTH, Weight, text_width};
use crate::report::summary::Summary;

/// Size of the texts on axes and in legends.
pub const SMALL: f64 = 12.0;
const TITLE: f64 = 17.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = WIDTH - 24.0;
const LEGEND_TOP: f64 = 66.0;
const LINE: f64 = 20.0;
/// Half the width of a marker on a curve.
const MARKER: f64 = 4.2;
/// Markers on a curve, about.
const MARKERS: f64 = 7.0;

/// What a colour stands for.
pub struct LegendItem {
    /// Its colour.
    pub tone: Tone,
    /// The number of its marker, where it has one.
    pub marker: Option<usize>,
    /// Its words.
    pub label: String,
    /// The width of its line.
    pub width: f64,
    /// The opacity of its line.
    pub opacity: f64,
}

/// Title, what it means, and the legend. Gives where the picture may begin below.
pub fn head(canvas: &Canvas<'_>, title: &str, subtitle: &str, legend: &[LegendItem]) -> f64 {
    canvas.text((24.0, 24.0), title, TITLE, INK, Anchor::Start, Weight::Strong);
    canvas.text((24.0, 45.0), subtitle, SMALL, MUTED, Anchor::Start, Weight::Plain);
    for (item, place) in legend.iter().zip(legend_places(legend)) {
        canvas.line(&[place, (place.0 + 22.0, place.1)], item.tone, item.width, item.opacity);
        if let Some(marker) = item.marker {
            canvas.marker((place.0 + 11.0, place.1), marker, MARKER, item.tone);
        }
        let beside = (place.0 + 28.0, place.1);
        canvas.text(beside, &item.label, SMALL, INK, Anchor::Start, Weight::Plain);
    }
    head_height(legend)
}

/// Where the items of a legend begin: in lines, as they fit.
fn legend_places(legend: &[LegendItem]) -> Vec<(f64, f64)> {
    let mut place = (24.0, LEGEND_TOP);
    let place_of = |item: &LegendItem| {
        let width = 28.0 + text_width(&item.label, SMALL) + 18.0;
        if place.0 + width > RIGHT && place.0 > 24.0 {
            place = (24.0, place.1 + LINE);
        }
        let begin = place;
        place.0 += width;
        begin
    };
    legend.iter().map(place_of).collect()
}

/// How high [`head`] will be.
pub fn head_height(legend: &[LegendItem]) -> f64 {
    legend_places(legend).last().map_or(LEGEND_TOP, |(_, y)| y + LINE)
}

/// A plot with two axes.
pub struct Frame {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    x: Axis,
    y: Axis,
}

impl Frame {
    /// A plot from `top` to `bottom` over the whole width.
    pub fn new(top: f64, bottom: f64, x: Axis, y: Axis) -> Frame {
        Frame {
            left: LEFT,
            top,
            right: RIGHT,
            bottom,
            x,
            y,
        }
    }

    /// The same frame, but from `left` to `right`.
    pub fn between(mut self, left: f64, right: f64) -> Frame {
        (self.left, self.right) = (left, right);
        self
    }

    /// Where the values lie.
    pub fn point(&self, x: f64, y: f64) -> (f64, f64) {
        (self.x_of(x), self.bottom - self.y.place(y) * (self.bottom - self.top))
    }

    fn x_of(&self, x: f64) -> f64 {
        self.left + self.x.place(x) * (self.right - self.left)
    }

    /// Grid, ticks and the name of the x axis.
    pub fn axes(&self, canvas: &Canvas<'_>, x_name: &str) {
        for (value, label) in &self.y.ticks {
            let (_, y) = self.point(0.0, *value);
            canvas.text((self.left - 8.0, y), label, SMALL, MUTED, Anchor::End, Weight::Plain);
        }
        self.axes_without_labels(canvas, x_name);
    }

    /// The same without what the ticks of the y axis are.
    pub fn axes_without_labels(&self, canvas: &Canvas<'_>, x_name: &str) {
        for (value, _) in &self.y.ticks {
            let (_, y) = self.point(0.0, *value);
            canvas.line(&[(self.left, y), (self.right, y)], GRID, 1.0, 1.0);
        }
        self.axis_below(canvas);
        let middle = (self.left + self.right) / 2.0;
        canvas.text(
            (middle, self.bottom + 36.0),
            x_name,
            SMALL,
            MUTED,
            Anchor::Middle,
            Weight::Plain,
        );
    }

    /// The x axis with its ticks.
    pub fn axis_below(&self, canvas: &Canvas<'_>) {
        let mut free_from = f64::MIN;
        for (value, label) in &self.x.ticks {
            let x = self.x_of(*value);
            canvas.line(&[(x, self.bottom), (x, self.bottom + 5.0)], MUTED, 1.0, 1.0);
            let half = text_width(label, SMALL) / 2.0;
            if x - half >= free_from {
                canvas.text((x, self.bottom + 16.0), label, SMALL, MUTED, Anchor::Middle, Weight::Plain);
                free_from = x + half + 6.0;
            }
        }
        canvas.line(&[(self.left, self.bottom), (self.right, self.bottom)], MUTED, 1.0, 1.0);
    }

    /// An area between two curves over the same places.
    pub fn area(&self, canvas: &Canvas<'_>, low: &[(f64, f64)], high: &[(f64, f64)], tone: Tone, opacity: f64) {
        let forth = high.iter().map(|&(x, y)| self.point(x, y));
        let back = low.iter().rev().map(|&(x, y)| self.point(x, y));
        canvas.area(&forth.chain(back).collect::<Vec<_>>(), tone, opacity);
    }

    /// A band at the top of the plot, as strong as the value at each place from 0 to 1.
    pub fn band(&self, canvas: &Canvas<'_>, row: usize, points: &[Option<(f64, f64)>], tone: Tone) {
        const HEIGHT: f64 = 7.0;
        let top = self.top + 3.0 + row as f64 * (HEIGHT + 2.0);
        let half = points.iter().flatten().next().map_or(0.0, |&(x, _)| x);
        for &(x, value) in points.iter().flatten().filter(|&&(_, value)| value > 0.004) {
            // The first point lies in the middle of the first bucket, so it tells how wide they are.
            let (from, to) = (self.x_of(x - half), self.x_of(x + half));
            canvas.rectangle((from, top), (to.min(self.right), top + HEIGHT), tone, value.min(1.0));
        }
    }

    /// A horizontal line at a value that matters.
    pub fn level(&self, canvas: &Canvas<'_>, value: f64, tone: Tone) {
        let (_, y) = self.point(0.0, value);
        canvas.line(&[(self.left, y), (self.right, y)], tone, 1.2, 0.8);
    }

    /// A vertical line for the eye at each tick of the x axis.
    pub fn verticals(&self, canvas: &Canvas<'_>) {
        for (value, _) in &self.x.ticks {
            let x = self.x_of(*value);
            canvas.line(&[(x, self.top), (x, self.bottom)], GRID, 1.0, 1.0);
        }
    }

    /// Markers on the curve of the series at `index`, at places where no other series has its.
    pub fn markers(&self, canvas: &Canvas<'_>, points: &[Option<(f64, f64)>], index: usize, tone: Tone) {
        let step = (self.right - self.left) / MARKERS;
        let mut next = self.left + step * (0.25 + 0.31 * index as f64).fract();
        for &(x, y) in points.iter().flatten() {
            let place = self.point(x, y);
            if place.0 >= next {
                canvas.marker(place, index, MARKER, tone);
                next += step * ((place.0 - next) / step).floor().max(0.0) + step;
            }
        }
    }

    /// A curve; it breaks where a value is missing.
    pub fn curve(&self, canvas: &Canvas<'_>, points: &[Option<(f64, f64)>], tone: Tone, width: f64, opacity: f64) {
        for part in points.split(Option::is_none) {
            let places: Vec<(f64, f64)> = part.iter().flatten().map(|&(x, y)| self.point(x, y)).collect();
            match places[..] {
                [] => {}
                [alone] => canvas.dot(alone, width * 0.8, tone),
                _ => canvas.line(&places, tone, width, opacity),
            }
        }
    }
}

/// What happens along the time axis, the same for all variants of a chart.
pub struct Timeline {
    duration: f64,
    spans: Vec<Span>,
}

/// A shaded span of time with a label above the plot.
struct Span {
    from: f64,
    to: f64,
    label: String,
    shade: Tone,
    ink: Tone,
    /// Which row its label is in, counted upwards.
    row: usize,
}

/// Rows of labels; further spans are shaded without a label.
const LABEL_ROWS: usize = 4;
const LABEL_ROW: f64 = 16.0;

impl Timeline {
    /// The timeline of all variants together.
    pub fn new(summary: &Summary) -> Timeline {
        let duration = summary
            .variants
            .iter()
            .map(|variant| variant.duration_seconds)
            .fold(1e-9, f64::max);
        let warmup = summary
            .variants
            .iter()
            .map(|variant| variant.warmup_seconds)
            .fold(0.0, f64::max);
        let mut spans = Vec::new();
        if warmup > 0.0 {
            spans.push(Span {
                from: 0.0,
                to: warmup,
                label: "warm-up".to_string(),
                shade: WARMUP,
                ink: MUTED,
                row: 0,
            });
        }
        for fault in summary.variants.iter().flat_map(|variant| &variant.faults) {
            let known =
                |span: &Span| span.from == fault.at_seconds && span.to == fault.until_seconds && span.label == fault.label;
            if !spans.iter().any(known) {
                spans.push(Span {
                    from: fault.at_seconds,
                    to: fault.until_seconds,
                    label: fault.label.clone(),
                    shade: FAULT,
                    ink: FAULT_INK,
                    row: 0,
                });
            }
        }
        let mut timeline = Timeline { duration, spans };
        timeline.place_labels();
        timeline
    }

    /// The time axis.
    pub fn axis(&self) -> Axis {
        Axis::time(self.duration)
    }

    /// How high the labels are.
    pub fn labels_height(&self) -> f64 {
        let rows = self.spans.iter().map(|span| span.row + 1).max().unwrap_or(0).min(LABEL_ROWS);
        rows as f64 * LABEL_ROW + if rows > 0 { 4.0 } else { 0.0 }
    }

    /// Puts each label into the first row in which it fits.
    fn place_labels(&mut self) {
        let axis = self.axis();
        let mut free_from: Vec<f64> = Vec::new();
        self.spans.sort_by(|a, b| a.from.total_cmp(&b.from));
        for span in &mut self.spans {
            let start = label_start(LEFT + axis.place(span.from) * (RIGHT - LEFT), &span.label);
            let end = start + text_width(&span.label, SMALL) + 10.0;
            span.row = free_from.iter().position(|&free| free <= start).unwrap_or(free_from.len());
            if span.row == free_from.len() {
                free_from.push(end);
            } else {
                free_from[span.row] = end;
            }
        }
    }

    /// Shades warm-up and faults, and names them above the plot.
    pub fn marks(&self, canvas: &Canvas<'_>, frame: &Frame) {
        self.shades(canvas, frame);
        self.labels(canvas, frame);
    }

    /// Names warm-up and faults above the plot.
    pub fn labels(&self, canvas: &Canvas<'_>, frame: &Frame) {
        for span in &self.spans {
            let from = frame.x_of(span.from);
            if span.row < LABEL_ROWS {
                let place = (label_start(from, &span.label), frame.top - 9.0 - span.row as f64 * LABEL_ROW);
                canvas.text(place, &span.label, SMALL, span.ink, Anchor::Start, Weight::Plain);
            }
        }
    }
}

impl Timeline {
    /// Shades warm-up and faults without naming them.
    pub fn shades(&self, canvas: &Canvas<'_>, frame: &Frame) {
        for span in &self.spans {
            let (from, to) = (frame.x_of(span.from), frame.x_of(span.to));
            canvas.rectangle((from, frame.top), (to.max(from + 1.5), frame.bottom), span.shade, 1.0);
        }
    }
}

impl Timeline {
    /// Lines where faults begin and end, for plots whose ground is taken.
    pub fn edges(&self, canvas: &Canvas<'_>, frame: &Frame) {
        for span in self.spans.iter().filter(|span| span.ink == FAULT_INK) {
            for at in [span.from, span.to] {
                let x = frame.x_of(at);
                canvas.line(&[(x, frame.top - 3.0), (x, frame.bottom)], FAULT_INK, 1.2, 0.9);
            }
        }
    }
}

/// Where a label begins so that it ends within the picture.
fn label_start(x: f64, label: &str) -> f64 {
    x.min(RIGHT - text_width(label, SMALL)).max(LEFT)
}

/// The middles of the buckets of time with their values.
pub fn points(interval_nanos: u64, values: &[Option<f64>]) -> Vec<Option<(f64, f64)>> {
    let middle = |bucket: usize| (bucket as f64 + 0.5) * interval_nanos as f64 / 1e9;
    values
        .iter()
        .enumerate()
        .map(|(bucket, value)| value.map(|value| (middle(bucket), value)))
        .collect()
}
