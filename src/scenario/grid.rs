//! The grid of a sweep: paths, the values that each takes, and a scenario for every combination.
//!
//! It comes from `sweep:` in the file and from `--grid`. A value is set as `--set` sets one: it is a patch on the tree that keeps its own
//! place, so that what is wrong with a point is shown where the value or the path stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::diagnostic::Diagnostics;
use super::load::Opened;
use super::parse;
use super::patch::Set;
use super::source::{Source, Sources, Span};
use super::tree::{Node, Scalar, Value};
use super::{Overrides, Scenario};

/// The most points of a grid.
pub const POINTS_MAX: usize = 100_000;
/// After so many points that cannot be loaded, the rest is not looked at: their problems are alike.
const FAILURES_MAX: usize = 50;
/// What the only point of a grid without paths is called.
const ONLY_POINT: &str = "base";

/// A path and the values that it takes.
#[derive(Clone, Debug)]
pub struct Axis {
    path: String,
    place: Span,
    values: Vec<(String, Set)>,
}

impl Axis {
    /// The path, as it was written.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The values, as `--set` would take them.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &str> {
        self.values.iter().map(|(text, _)| text.as_str())
    }
}

/// One combination of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its place in the grid: the last path's values change first.
    pub index: usize,
    /// What it is called: `mesh.retry.num_retries=2,seed=1`.
    pub name: String,
    /// The values in the order of the axes, as `--set` would take them.
    pub values: Vec<String>,
}

/// A scenario at a point of the grid.
#[derive(Clone, Debug)]
pub struct AtPoint {
    /// What `run` would load with the point's values as `--set`.
    pub scenario: Scenario,
    /// Events that one run of each variant is expected to have.
    pub events: Vec<f64>,
}

/// An opened scenario file with the grid that is to be run over it.
pub struct Grid<'a> {
    opened: Opened<'a>,
    axes: Vec<Axis>,
    /// The texts that spans point into.
    sources: Sources,
}

impl<'a> Grid<'a> {
    /// Opens `source`. `extra` holds `--grid` arguments, `path=v1,v2,…`: one for a path that `sweep:` has replaces its values. There is a
    /// grid if and only if there are no errors; what is wrong at its points is not known yet.
    pub fn open(source: &'a Source, overrides: &'a Overrides, extra: &[String]) -> (Option<Grid<'a>>, Diagnostics) {
        let mut diagnostics = Diagnostics::new();
        let grid = Opened::new(source, overrides, &mut diagnostics).map(|mut opened| {
            let mut axes = std::mem::take(&mut opened.axes);
            for argument in extra {
                let Some(axis) = of_argument(argument, &mut diagnostics) else {
                    continue;
                };
                match axes.iter_mut().find(|other| other.path == axis.path) {
                    Some(other) => *other = axis,
                    None => axes.push(axis),
                }
            }
            let sources = diagnostics.sources().clone();
            Grid { opened, axes, sources }
        });
        if let Some(grid) = &grid {
            grid.check_size(&mut diagnostics);
        }
        (grid.filter(|_| !diagnostics.has_errors()), diagnostics)
    }

    fn check_size(&self, diagnostics: &mut Diagnostics) {
        let points = self.axes.iter().map(|axis| axis.values.len() as f64).product::<f64>();
        if points > POINTS_MAX as f64 {
            let largest = self.axes.iter().max_by_key(|axis| axis.values.len()).expect("there are many");
            diagnostics.grid_too_large(largest.place, &format!("{points:.3e}"), POINTS_MAX);
        }
    }

    /// The paths and their values.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// How many points there are; one where there is no path.
    pub fn points(&self) -> usize {
        self.axes.iter().map(|axis| axis.values.len()).product()
    }

    /// The names and texts of the files that the points loaded so far name.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.opened.files()
    }

    /// The value of each axis at a point.
    fn values_at(&self, index: usize) -> impl Iterator<Item = (&Axis, &(String, Set))> {
        let mut below = self.points();
        self.axes.iter().map(move |axis| {
            below /= axis.values.len();
            (axis, &axis.values[index / below % axis.values.len()])
        })
    }

    /// The point with this number.
    pub fn point(&self, index: usize) -> Point {
        let named: Vec<String> = self
            .values_at(index)
            .map(|(axis, (text, _))| format!("{}={text}", axis.path))
            .collect();
        Point {
            index,
            name: if named.is_empty() {
                ONLY_POINT.to_string()
            } else {
                named.join(",")
            },
            values: self.values_at(index).map(|(_, (text, _))| text.clone()).collect(),
        }
    }

    /// Loads the scenario of one point.
    pub fn load(&mut self, index: usize, diagnostics: &mut Diagnostics) -> Option<AtPoint> {
        let sets: Vec<Set> = self.values_at(index).map(|(_, (_, set))| set.clone()).collect();
        if !self.axes.is_empty() {
            diagnostics.enter_point(&self.point(index).name);
        }
        let (scenario, events) = self.opened.load(&sets, diagnostics)?;
        (!diagnostics.has_errors()).then_some(AtPoint { scenario, events })
    }

    /// Loads the scenario of a point that has been loaded before, when what there is to say of it was said.
    pub fn load_again(&mut self, index: usize) -> Option<AtPoint> {
        let mut diagnostics = Diagnostics::about(self.sources.clone());
        self.load(index, &mut diagnostics)
    }

    /// Loads every point, one after another, and gives each to `take`. False if any cannot be loaded: `diagnostics`, those of
    /// [`Grid::open`], say why.
    pub fn load_all(&mut self, diagnostics: &mut Diagnostics, mut take: impl FnMut(Point, AtPoint)) -> bool {
        let mut failures = 0;
        for index in 0..self.points() {
            match self.load(index, diagnostics) {
                Some(at) => take(self.point(index), at),
                None => failures += 1,
            }
            if failures >= FAILURES_MAX {
                break;
            }
        }
        diagnostics.finish(self.opened.variants);
        failures == 0 && !diagnostics.has_errors()
    }
}

/// Takes `sweep` out of a document: it is no part of what is run.
pub(super) fn take(base: &mut Node, diagnostics: &mut Diagnostics) -> Vec<Axis> {
    let Value::Map(entries) = &mut base.value else {
        return Vec::new();
    };
    let Some(at) = entries.iter().position(|entry| &*entry.key.text == "sweep") else {
        return Vec::new();
    };
    let sweep = entries.remove(at).value;
    match sweep.value {
        Value::Map(paths) => paths
            .into_iter()
            .filter_map(|entry| axis(&entry.key.text, entry.key.span, entry.value, diagnostics))
            .collect(),
        _ => {
            if !sweep.is_null() {
                diagnostics.no_grid(sweep.span);
            }
            Vec::new()
        }
    }
}

/// Reads one `--grid path=v1,v2,…`.
fn of_argument(argument: &str, diagnostics: &mut Diagnostics) -> Option<Axis> {
    let cut = cut(argument);
    let (path, values) = cut.map_or((argument, ""), |at| (&argument[..at], argument[at + 1..].trim()));
    // A list is shown with its brackets, which need not be typed.
    let is_bare = !values.is_empty() && !values.starts_with('[') && !values.contains("..");
    let text = match is_bare {
        true => format!("{path}=[{values}]"),
        false => format!("{path}={values}"),
    };
    let source = Arc::new(Source::argument("--grid", text));
    let number = diagnostics.add_source(Arc::clone(&source));
    let end = path.len() as u32;
    let place = Span {
        source: number,
        start: 0,
        end,
    };
    let node = parse::parse_part(&source, number, path.len() + 1, diagnostics)?;
    axis(path, place, node, diagnostics)
}

/// The first `=` that is not within quotes.
fn cut(argument: &str) -> Option<usize> {
    let mut quoted = false;
    argument.char_indices().find_map(|(at, c)| {
        quoted ^= c == '"';
        (c == '=' && !quoted).then_some(at)
    })
}

fn axis(path: &str, place: Span, node: Node, diagnostics: &mut Diagnostics) -> Option<Axis> {
    let span = node.span;
    let mut wrong = |problem: &str| diagnostics.wrong_grid_values(span, path, problem);
    let nodes = match node.value {
        Value::List(items) if items.is_empty() => {
            wrong("the list is empty");
            return None;
        }
        Value::List(items) => items,
        Value::Scalar(scalar) => match range(&scalar.text) {
            Ok(texts) => texts
                .iter()
                .map(|text| Node {
                    span,
                    value: Value::Scalar(Scalar::plain(text)),
                })
                .collect(),
            Err(problem) => {
                wrong(&problem);
                return None;
            }
        },
        Value::Map(_) => {
            wrong("a map is a single value");
            return None;
        }
    };
    let mut values: Vec<(String, Set)> = Vec::new();
    let mut places: BTreeMap<String, Span> = BTreeMap::new();
    for node in nodes {
        let (text, span) = (flow(&node), node.span);
        if let Some(first) = places.insert(text.clone(), span) {
            diagnostics.grid_value_twice(span, first, &text);
            return None;
        }
        values.push((text, Set::of_grid(path, place, node, diagnostics)?));
    }
    Some(Axis {
        path: path.to_string(),
        place,
        values,
    })
}

/// A value on one line, as YAML.
fn flow(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) if scalar.plain && scalar.text.is_empty() => "null".to_string(),
        Value::Scalar(scalar) if scalar.plain => scalar.text.to_string(),
        Value::Scalar(scalar) => quoted(&scalar.text),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) => {
            let key = |text: &str| match text.contains([':', '#', ',', '{', '}', '[', ']', '"', '\'', ' ']) {
                true => quoted(text),
                false => text.to_string(),
            };
            let entries: Vec<String> = entries
                .iter()
                .map(|entry| format!("{}: {}", key(&entry.key.text), flow(&entry.value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// What JSON quotes, YAML reads.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `1..5`, `10ms..50ms step 10ms`: the values, ends included. Decimal arithmetic, so that nothing is rounded.
fn range(text: &str) -> Result<Vec<String>, String> {
    let (from, rest) = text.split_once("..").ok_or_else(|| format!("`{text}` is a single value"))?;
    let (to, step) = match rest.split_once(" step ") {
        Some((to, step)) => (to, Some(step)),
        None => (rest, None),
    };
    let (from, to) = (Decimal::read(from)?, Decimal::read(to)?);
    let step = step.map(Decimal::read).transpose()?;
    let units = [Some(&from), Some(&to), step.as_ref()];
    let mut units = units
        .into_iter()
        .flatten()
        .map(|number| number.unit)
        .filter(|unit| !unit.is_empty());
    let unit = units.next().unwrap_or("");
    if units.any(|other| other != unit) {
        return Err("its numbers have different units".to_string());
    }
    if step.is_none() && from.places.max(to.places) > 0 {
        return Err("a range of fractions needs a step".to_string());
    }
    let places = from.places.max(to.places).max(step.as_ref().map_or(0, |step| step.places));
    let (first, last) = (from.scaled(places), to.scaled(places));
    let step = step.as_ref().map_or(1, |step| step.scaled(places));
    if step <= 0 || first > last {
        return Err("it must go upwards".to_string());
    }
    if (last - first) / step >= POINTS_MAX as i128 {
        return Err(format!("these are more than {POINTS_MAX}"));
    }
    let values = (0..=(last - first) / step).map(|index| first + index * step);
    Ok(values.map(|value| format!("{}{unit}", decimal(value, places))).collect())
}

/// A number as it was written: `12.5ms` is 125 with one place and the unit `ms`.
struct Decimal<'a> {
    digits: i128,
    places: u32,
    unit: &'a str,
}

impl Decimal<'_> {
    fn read(text: &str) -> Result<Decimal<'_>, String> {
        let text = text.trim();
        Decimal::parse(text).ok_or_else(|| format!("`{text}` is no number, or one with several units"))
    }

    fn parse(text: &str) -> Option<Decimal<'_>> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let end = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, unit) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        // Within 18 digits nothing overflows, whatever is scaled.
        let is_number = !whole.is_empty() && whole.len() + fraction.len() <= 18 && !number.ends_with('.');
        let has_one_unit = !unit.contains(|c: char| c.is_ascii_digit());
        if !is_number || !has_one_unit {
            return None;
        }
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        Some(Decimal {
            digits: if text.starts_with('-') { -digits } else { digits },
            places: fraction.len() as u32,
            unit,
        })
    }

    fn scaled(&self, places: u32) -> i128 {
        self.digits * 10_i128.pow(places - self.places)
    }
}

/// The decimal of a scaled number, without zeros at its end.
fn decimal(scaled: i128, places: u32) -> String {
    if places == 0 {
        return scaled.to_string();
    }
    let (sign, digits) = (if scaled < 0 { "-" } else { "" }, scaled.unsigned_abs());
    let scale = 10_u128.pow(places);
    let fraction = format!("{:0width$}", digits % scale, width = places as usize);
    let text = format!("{sign}{}.{fraction}", digits / scale);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_out_exactly() {
        let values = |text: &str| range(text).map(|values| values.join(" "));
        let is = |text: &str| Ok(text.to_string());
        assert_eq!(values("1..5"), is("1 2 3 4 5"));
        assert_eq!(values("0.1..0.5 step 0.1"), is("0.1 0.2 0.3 0.4 0.5"));
        assert_eq!(values("10ms..50ms step 20ms"), is("10ms 30ms 50ms"));
        assert_eq!(values("100..350/s step 100"), is("100/s 200/s 300/s"));
        assert_eq!(values("-1..1 step 0.5"), is("-1 -0.5 0 0.5 1"));
        assert_eq!(values("10%..30% step 10%"), is("10% 20% 30%"));
        assert_eq!(values("5..5"), is("5"));
        for wrong in [
            "1..",
            "..3",
            "5..1",
            "1..5 step 0",
            "1m30s..2m step 1s",
            "1s..500ms step 1ms",
            "0.1..0.5",
            "a..b",
            "7",
            "1..999999",
        ] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
