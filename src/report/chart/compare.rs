//! Variants side by side: figures with their intervals, one panel each.

use crate::report::chart::axis::Axis;
use crate::report::chart::canvas::{Anchor, Canvas, GRID, INK, MUTED, Picture, WIDTH, Weight, picture, series, text_width};
use crate::report::chart::timeline::{SMALL, head, head_height};
use crate::report::summary::{ClientSummary, Summary, Value};
use crate::report::{answer, format};

const ROW: f64 = 26.0;
const PANEL_HEAD: f64 = 22.0;
const PANEL_FOOT: f64 = 44.0;
/// Panels side by side.
const COLUMNS: usize = 2;
const GUTTER: f64 = 28.0;
/// What the figures beside a plot take at least.
const FIGURES: f64 = 112.0;
/// The widest that the names of variants may be.
const NAMES_MAX: f64 = 150.0;
/// Panels: the first that are known of these, but for availability, which is always there.
const LATENCIES: [&str; 4] = ["mean", "p50", "p99", "p99.9"];
const PANELS_MAX: usize = 4;

/// A figure by variant.
pub struct Panel<'a> {
    /// What it is.
    pub name: String,
    /// The figures, in the order of the variants.
    pub values: Vec<Option<&'a Value>>,
    /// How one is told.
    pub show: fn(&Value) -> String,
    /// How a tick of the axis is told.
    pub tick: fn(f64) -> String,
}

/// The chart of a client; `None` where nothing is known.
pub fn draw(summary: &Summary, client: &str) -> Option<(String, Picture)> {
    let clients: Vec<Option<&ClientSummary>> = summary.variants.iter().map(|variant| variant.clients.get(client)).collect();
    let panels = panels(&clients);
    if panels.is_empty() {
        return None;
    }
    let title = format!("{client}: variants side by side");
    let words = "dots are estimates, lines their 95 % confidence intervals over the replications";
    let picture = forest(summary, &title, words, &panels);
    Some((title, picture))
}

/// Figures with their intervals, a row for each variant, the best first, and a panel for each figure.
pub fn forest(summary: &Summary, title: &str, words: &str, panels: &[Panel<'_>]) -> Picture {
    let names = summary
        .variants
        .iter()
        .map(|variant| text_width(&variant.name, SMALL))
        .fold(60.0, f64::max)
        .min(NAMES_MAX);
    let top = head_height(&[]);
    let panel_height = PANEL_HEAD + ROW * summary.variants.len() as f64 + PANEL_FOOT;
    let lines = panels.len().div_ceil(COLUMNS);
    let order = answer::ranking(summary);
    picture(top + panel_height * lines as f64 - 12.0, title, |canvas| {
        head(canvas, title, words, &[]);
        let left = 24.0 + names + 14.0;
        let width = (WIDTH - 24.0 - left - GUTTER * (COLUMNS as f64 - 1.0)) / COLUMNS as f64;
        for (index, panel) in panels.iter().enumerate() {
            let top = top + panel_height * (index / COLUMNS) as f64;
            let left = left + (width + GUTTER) * (index % COLUMNS) as f64;
            panel.draw(canvas, (left, left + width), top, &order);
        }
        for line in 0..lines {
            for (row, &variant) in order.iter().enumerate() {
                let y = top + panel_height * line as f64 + PANEL_HEAD + ROW * (row as f64 + 0.5);
                let name = shortened(&summary.variants[variant].name, names);
                canvas.text((24.0, y), &name, SMALL, INK, Anchor::Start, Weight::Plain);
            }
        }
    })
}

fn panels<'a>(clients: &[Option<&'a ClientSummary>]) -> Vec<Panel<'a>> {
    let mut panels = vec![Panel {
        name: "availability".to_string(),
        values: clients
            .iter()
            .map(|client| client.map(|client| &client.availability_ratio))
            .collect(),
        show: format::share,
        tick: |share| format!("{} %", format::trimmed(share * 100.0, 4)),
    }];
    panels.extend(LATENCIES.into_iter().map(|name| {
        Panel {
            name: name.to_string(),
            values: clients
                .iter()
                .map(|client| client.and_then(|client| client.latency_seconds.get(name)))
                .collect(),
            show: format::latency,
            tick: format::seconds_short,
        }
    }));
    panels.retain(|panel| panel.values.iter().flatten().any(|value| value.value.is_some()));
    // Where nothing failed anywhere there is no difference to see.
    let nothing_failed = |panel: &Panel<'_>| panel.values.iter().flatten().all(|value| value.value == Some(1.0));
    if panels.len() > 1 && nothing_failed(&panels[0]) {
        panels.remove(0);
    }
    if panels.len() > PANELS_MAX {
        panels.retain(|panel| panel.name != "mean");
    }
    panels
}

impl Panel<'_> {
    /// The axis that holds all values with their intervals.
    fn axis(&self) -> Axis {
        let ends = self.values.iter().flatten().filter_map(|value| {
            let figure = value.value?;
            Some(
                value
                    .ci95
                    .map_or([figure, figure], |[low, high]| [low.min(figure), high.max(figure)]),
            )
        });
        let (low, high) = ends.fold((f64::MAX, f64::MIN), |(low, high), [a, b]| (low.min(a), high.max(b)));
        let margin = ((high - low) * 0.12).max(high.abs() * 1e-6);
        // What cannot be negative does not look as if it could.
        let from = if low < 0.0 { low - margin } else { (low - margin).max(0.0) };
        let axis = |ticks: usize| Axis::linear(from, high + margin, ticks, self.tick);
        // One tick alone tells no scale.
        let few = axis(4);
        if few.ticks.len() > 1 { few } else { axis(8) }
    }

    /// The room for the figures beside the axis: that of the longest, and a marker at the axis' end.
    fn figures(&self) -> f64 {
        let shown = self.values.iter().flatten().filter(|value| value.value.is_some());
        let widths = shown.map(|value| text_width(&(self.show)(value), SMALL) + 14.0);
        widths.fold(FIGURES, f64::max)
    }

    /// `order`: the variants from the top.
    fn draw(&self, canvas: &Canvas<'_>, (left, end): (f64, f64), top: f64, order: &[usize]) {
        let axis = self.axis();
        let right = end - self.figures();
        let x = |value: f64| left + axis.place(value) * (right - left);
        let (first, last) = (top + PANEL_HEAD, top + PANEL_HEAD + ROW * self.values.len() as f64);
        canvas.text((left, top + 6.0), &self.name, 13.0, INK, Anchor::Start, Weight::Strong);
        let mut free_from = left - 12.0;
        for (value, label) in &axis.ticks {
            let (x, half) = (x(*value), text_width(label, 11.0) / 2.0);
            canvas.line(&[(x, first), (x, last)], GRID, 1.0, 1.0);
            if x - half >= free_from && x + half <= right + 14.0 {
                canvas.text((x, last + 14.0), label, 11.0, MUTED, Anchor::Middle, Weight::Plain);
                free_from = x + half + 6.0;
            }
        }
        for (row, &variant) in order.iter().enumerate() {
            let y = first + ROW * (row as f64 + 0.5);
            let Some((value, figure)) = self.values[variant].and_then(|value| Some((value, value.value?))) else {
                canvas.text((end, y), "n/a", SMALL, MUTED, Anchor::End, Weight::Plain);
                continue;
            };
            let tone = series(variant);
            if let Some([low, high]) = value.ci95 {
                canvas.line(&[(x(low), y), (x(high), y)], tone, 2.5, 1.0);
                for end in [low, high] {
                    canvas.line(&[(x(end), y - 5.0), (x(end), y + 5.0)], tone, 1.5, 1.0);
                }
            }
            canvas.marker((x(figure), y), variant, 4.5, tone);
            canvas.text((end, y), &(self.show)(value), SMALL, INK, Anchor::End, Weight::Plain);
        }
    }
}

/// `name`, cut where it would be wider than `width`.
pub fn shortened(name: &str, width: f64) -> String {
    if text_width(name, SMALL) <= width + 1.0 {
        return name.to_string();
    }
    let fitting = (width / text_width("x", SMALL)) as usize;
    name.chars().take(fitting.saturating_sub(1)).chain(['…']).collect()
}

/// The end of `name` where it would be wider than `width`: endpoints differ in their last letters.
pub fn shortened_from_start(name: &str, width: f64) -> String {
    if text_width(name, SMALL) <= width + 1.0 {
        return name.to_string();
    }
    let fitting = (width / text_width("x", SMALL)) as usize;
    let left_out = name.chars().count().saturating_sub(fitting.saturating_sub(1));
    ['…'].into_iter().chain(name.chars().skip(left_out)).collect()
}
