//! The plan: what will be run, in which order, cut where, and how long it may take. The same bytes anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::experiment::{Cell, Experiment};
use crate::scenario::grid::{AtPoint, Point};
use crate::scenario::{Diagnostics, Grid, Overrides, Source};
use crate::time::Duration;

/// The name of the document's shape.
pub const SCHEMA: &str = "meshsim/plan/v1";
/// Its file in a folder of shards.
pub const FILE: &str = "plan.json";
/// The most shards of a sweep.
pub const SHARDS_MAX: u32 = 1_000_000;
/// How long a shard is meant to take where nobody says how many there are to be, in seconds.
pub const TARGET_SECONDS: f64 = 600.0;

/// What an event is taken to cost, in nanoseconds: a fixed round number, not that of this machine, so that a plan is the same on every one;
/// what counts is that shards take as long as each other. Ready-made scenarios were measured at 70 to 180 ns for an event of the plan.
const EVENT_NANOS: f64 = 100.0;
/// The most bytes of a point's folder name.
const FOLDER_MAX: usize = 120;

/// What a sweep is made of: the file and what the command line changes in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The file's name, without folders.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The files that it names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// `--set`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<(String, String)>,
    /// `--variant`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<String>,
    /// `--seed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// `--replications`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replications: Option<u32>,
    /// `--duration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// `--indifference`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indifference: Option<String>,
    /// `--interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// `--force`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// `--grid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grid: Vec<String>,
}

impl Input {
    /// What a user gave.
    pub fn new(source: &Source, overrides: &Overrides, grid: &[String]) -> Input {
        let name = source.name().rsplit(['/', '\\']).next().unwrap_or_default();
        Input {
            name: name.to_string(),
            text: source.text().to_string(),
            files: source.files().clone(),
            set: overrides.set.clone(),
            variants: overrides.variants.clone(),
            seed: overrides.seed,
            replications: overrides.replications,
            duration: overrides.duration,
            indifference: overrides.indifference.clone(),
            interval: overrides.interval.clone(),
            force: overrides.force,
            grid: grid.to_vec(),
        }
    }

    /// The file.
    pub fn source(&self) -> Source {
        Source::from_text(&self.name, self.text.clone()).with_files(self.files.clone())
    }

    /// What changes it.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            set: self.set.clone(),
            variants: self.variants.clone(),
            seed: self.seed,
            replications: self.replications,
            duration: self.duration,
            indifference: self.indifference.clone(),
            interval: self.interval.clone(),
            force: self.force,
            // How many replications there are must be known before any is run.
            ..Overrides::default()
        }
    }
}

/// Into how many shards a sweep is cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// So many.
    Shards(u32),
    /// As many as it takes for one to need so many seconds.
    Seconds(f64),
}

/// What will be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The version that made it; another may give other results.
    pub version: String,
    /// The scenario's name.
    pub scenario: String,
    /// A hash over version, points and shards: whoever has the same runs the same.
    pub digest: String,
    /// The same over version and points alone: the results do not depend on how they were cut.
    pub sweep: String,
    /// How many runs there are.
    pub runs_total: u64,
    /// How much there is to do.
    pub estimate: SweepEstimate,
    /// The paths of the grid and their values.
    pub grid: Vec<AxisPlan>,
    /// The points, in the order in which they are run.
    pub points: Vec<PointPlan>,
    /// The shards.
    pub shards: Vec<ShardPlan>,
    /// What all this was made of.
    pub input: Input,
}

/// How much there is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepEstimate {
    /// Events of all runs.
    pub events_total: u64,
    /// Seconds of one core, pilots included.
    pub core_seconds: f64,
    /// Bytes that one thread needs, at the point that needs most.
    pub memory_bytes: u64,
}

/// A path of the grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AxisPlan {
    /// The path.
    pub path: String,
    /// Its values.
    pub values: Vec<String>,
}

/// One point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointPlan {
    /// What it is called.
    pub name: String,
    /// Its folder of results: the name, as far as a file's name can hold it.
    pub folder: String,
    /// The values of the paths, in the order of the grid.
    pub values: Vec<String>,
    /// The digest of its scenario.
    pub digest: String,
    /// Its seed.
    pub seed: u64,
    /// Its variants.
    pub variants: Vec<String>,
    /// Runs of each variant.
    pub replications: u32,
    /// Events that a run of each variant is expected to have.
    pub events_per_run: Vec<u64>,
    /// Whether pilots look for the warm-up.
    pub has_pilots: bool,
}

/// One shard: a range of the runs. These go by point, then by replication, then by variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardPlan {
    /// The first run.
    pub first_run: u64,
    /// How many there are.
    pub runs_total: u64,
    /// Seconds of one core, with the pilots of the points that it takes part in.
    pub core_seconds: f64,
}

impl ShardPlan {
    /// Its runs.
    pub fn runs(&self) -> Range<u64> {
        self.first_run..self.first_run + self.runs_total
    }
}

impl PointPlan {
    fn new(point: Point, at: &AtPoint, folders: &mut BTreeSet<String>) -> PointPlan {
        let scenario = &at.scenario;
        PointPlan {
            folder: folder(&point, folders),
            name: point.name,
            values: point.values,
            digest: format!("{:016x}", scenario.digest),
            seed: scenario.seed,
            variants: scenario.variants.iter().map(|variant| variant.name.clone()).collect(),
            replications: scenario.replications,
            events_per_run: at.events.iter().map(|&events| (events.ceil() as u64).max(1)).collect(),
            has_pilots: Experiment::of(scenario).has_pilots(),
        }
    }

    /// How many runs it has.
    pub fn runs_total(&self) -> u64 {
        self.variants.len() as u64 * u64::from(self.replications)
    }

    /// Which cell one of its runs is: they go by replication, then by variant.
    pub fn cell(&self, run: u64) -> Cell {
        let variants = self.variants.len() as u64;
        Cell {
            variant: (run % variants) as usize,
            replication: (run / variants) as u32,
        }
    }

    /// Events of one replication of all variants.
    fn events_of_replication(&self) -> u128 {
        self.events_per_run.iter().map(|&events| u128::from(events)).sum()
    }

    fn events(&self) -> u128 {
        self.events_of_replication() * u128::from(self.replications)
    }

    /// Events of its first `runs` runs.
    fn events_before(&self, runs: u64) -> u128 {
        let variants = self.variants.len() as u64;
        let (replications, rest) = (runs / variants, runs % variants);
        let rest = self.events_per_run[..rest as usize].iter().map(|&events| u128::from(events));
        u128::from(replications) * self.events_of_replication() + rest.sum::<u128>()
    }

    /// How many runs come nearest to `events`.
    fn runs_near(&self, events: u128) -> u64 {
        let replications = (events / self.events_of_replication()).min(u128::from(self.replications)) as u64;
        let mut runs = replications * self.variants.len() as u64;
        let mut rest = events.saturating_sub(self.events_before(runs));
        for &run in &self.events_per_run {
            if runs == self.runs_total() || 2 * rest < u128::from(run) {
                break;
            }
            runs += 1;
            rest = rest.saturating_sub(u128::from(run));
        }
        runs
    }
}

/// The name of a point's folder: what a file's name cannot hold everywhere becomes `-`; one that is long, or there already, ends with the
/// point's number.
fn folder(point: &Point, taken: &mut BTreeSet<String>) -> String {
    let proper = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.,=+%".contains(c) {
            c
        } else {
            '-'
        }
    };
    let mut name: String = point.name.chars().map(proper).collect();
    if name.starts_with(['.', '-']) {
        name.insert(0, '_');
    }
    let is_whole = name.len() <= FOLDER_MAX;
    name.truncate(FOLDER_MAX);
    // Some file systems do not tell capitals.
    if !is_whole || !taken.insert(name.to_lowercase()) {
        name = format!("{name}~{}", point.index);
        taken.insert(name.to_lowercase());
    }
    name
}

/// A sweep that can be run: the opened grid with its plan.
pub struct Sweep<'a> {
    /// The grid.
    pub grid: Grid<'a>,
    /// The plan.
    pub plan: Plan,
}

impl<'a> Sweep<'a> {
    /// Plans a sweep of `grid`, whose `diagnostics` these are. Loads every point; `None` if any is wrong, which the diagnostics say.
    pub fn plan(mut grid: Grid<'a>, mut input: Input, cut: Cut, diagnostics: &mut Diagnostics) -> Option<Sweep<'a>> {
        let (mut points, mut folders) = (Vec::new(), BTreeSet::new());
        let (mut name, mut memory) = (String::new(), 0.0_f64);
        let is_right = grid.load_all(diagnostics, |point, at| {
            if points.is_empty() {
                name.clone_from(&at.scenario.name);
            }
            let estimate = &at.scenario.estimate;
            memory = memory.max(estimate.memory_bytes + estimate.cell_bytes);
            points.push(PointPlan::new(point, &at, &mut folders));
        });
        if !is_right {
            return None;
        }
        input
            .files
            .extend(grid.files().map(|(name, text)| (name.to_string(), text.to_string())));
        let axes = grid.axes().iter().map(|axis| AxisPlan {
            path: axis.path().to_string(),
            values: axis.values().map(str::to_string).collect(),
        });
        let plan = Plan {
            schema: SCHEMA.to_string(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            scenario: name,
            digest: String::new(),
            sweep: String::new(),
            runs_total: points.iter().map(PointPlan::runs_total).sum(),
            estimate: SweepEstimate {
                events_total: 0,
                core_seconds: 0.0,
                memory_bytes: memory.ceil() as u64,
            },
            grid: axes.collect(),
            points,
            shards: Vec::new(),
            input,
        };
        Some(Sweep {
            grid,
            plan: plan.cut(cut),
        })
    }
}

impl Plan {
    /// Cuts the runs into shards, and says how much each has to do.
    fn cut(mut self, cut: Cut) -> Plan {
        let events: u128 = self.points.iter().map(PointPlan::events).sum();
        let pilots: u128 = self
            .points
            .iter()
            .filter(|point| point.has_pilots)
            .map(PointPlan::events)
            .sum();
        let seconds = seconds(events + pilots);
        let shards = match cut {
            Cut::Shards(shards) => shards,
            Cut::Seconds(target) => (seconds / target)
                .ceil()
                .clamp(1.0, (self.runs_total as f64).min(f64::from(SHARDS_MAX))) as u32,
        };
        self.estimate.events_total = u64::try_from(events).unwrap_or(u64::MAX);
        let mut cuts = Cuts::new(&self.points);
        let ends: Vec<u64> = (1..=u128::from(shards))
            .map(|shard| cuts.nearest(events * shard / u128::from(shards)))
            .collect();
        let mut first = 0;
        let mut first_point = Place::default();
        for end in ends {
            let (last_point, events) = self.walk(first_point, first..end);
            self.shards.push(ShardPlan {
                first_run: first,
                runs_total: end - first,
                core_seconds: self::seconds(events),
            });
            (first, first_point) = (end, last_point);
        }
        self.estimate.core_seconds = seconds;
        self.sweep = format!("{:016x}", self.sweep_digest());
        self.digest = format!("{:016x}", self.plan_digest());
        self
    }

    /// The events of a range of runs, pilots included; from the place where the first of them is to that behind the last.
    fn walk(&self, mut place: Place, runs: Range<u64>) -> (Place, u128) {
        let mut events = 0;
        while let Some(point) = self.points.get(place.point) {
            let end = place.first_run + point.runs_total();
            let within = runs.start.max(place.first_run)..runs.end.min(end);
            if !within.is_empty() {
                events += point.events_before(within.end - place.first_run) - point.events_before(within.start - place.first_run);
                events += if point.has_pilots { point.events() } else { 0 };
            }
            if runs.end < end {
                break;
            }
            place = Place {
                point: place.point + 1,
                first_run: end,
            };
        }
        (place, events)
    }

    fn sweep_digest(&self) -> u64 {
        let mut hash = Xxh3::new();
        let mut add = |text: &str| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        [SCHEMA, &self.version, &self.scenario].into_iter().for_each(&mut add);
        for axis in &self.grid {
            add(&axis.path);
        }
        for point in &self.points {
            // The scenario's digest covers seed, replications and variants.
            [&point.name, &point.folder, &point.digest]
                .into_iter()
                .for_each(|text| add(text));
        }
        hash.digest()
    }

    fn plan_digest(&self) -> u64 {
        let mut hash = Xxh3::new();
        hash.update(&self.sweep_digest().to_le_bytes());
        for shard in &self.shards {
            hash.update(&shard.first_run.to_le_bytes());
        }
        hash.update(&self.runs_total.to_le_bytes());
        hash.digest()
    }

    /// The digest as a number.
    pub fn key(&self) -> u64 {
        u64::from_str_radix(&self.digest, 16).unwrap_or_default()
    }

    /// The points that have a run in `runs`, each with the numbers of its own runs that are.
    pub fn points_of(&self, runs: Range<u64>) -> Vec<(usize, Range<u64>)> {
        let mut first = 0;
        let mut found = Vec::new();
        for (index, point) in self.points.iter().enumerate() {
            let end = first + point.runs_total();
            let within = runs.start.max(first)..runs.end.min(end);
            if !within.is_empty() {
                found.push((index, within.start - first..within.end - first));
            }
            first = end;
            if first >= runs.end {
                break;
            }
        }
        found
    }

    /// The document, with a line feed at its end.
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a plan has only text for keys");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the document back.
    ///
    /// # Errors
    /// Says what `bytes` lacks of being a plan that this version made.
    pub fn read(bytes: &[u8]) -> Result<Plan, String> {
        let plan: Plan = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if plan.schema != SCHEMA {
            return Err(format!("its schema is `{}`, not `{SCHEMA}`", plan.schema));
        }
        if plan.version != env!("CARGO_PKG_VERSION") {
            return Err(format!(
                "version {} made it, and this is {}: use that version to the end",
                plan.version,
                env!("CARGO_PKG_VERSION")
            ));
        }
        Ok(plan)
    }
}

/// The point that a run belongs to.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    point: usize,
    /// The first run of it.
    first_run: u64,
}

/// Finds ascending cuts in one pass over the points.
struct Cuts<'p> {
    points: &'p [PointPlan],
    runs: u64,
    events: u128,
}

impl<'p> Cuts<'p> {
    fn new(points: &'p [PointPlan]) -> Cuts<'p> {
        Cuts {
            points,
            runs: 0,
            events: 0,
        }
    }

    /// The number of runs whose events come nearest to `events`.
    fn nearest(&mut self, events: u128) -> u64 {
        while let Some((point, rest)) = self.points.split_first() {
            if events < self.events + point.events() {
                return self.runs + point.runs_near(events - self.events);
            }
            self.runs += point.runs_total();
            self.events += point.events();
            self.points = rest;
        }
        self.runs
    }
}

/// Seconds that so many events take one core, in milliseconds: more digits would say more than is known.
fn seconds(events: u128) -> f64 {
    (events as f64 * EVENT_NANOS / 1e6).ceil() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(events: &[u64], replications: u32) -> PointPlan {
        PointPlan {
            name: String::new(),
            folder: String::new(),
            values: Vec::new(),
            digest: String::new(),
            seed: 1,
            variants: events.iter().map(|events| events.to_string()).collect(),
            replications,
            events_per_run: events.to_vec(),
            has_pilots: false,
        }
    }

    /// The events of each shard.
    fn shards(points: &[PointPlan], shards: u32) -> Vec<u128> {
        let total: u128 = points.iter().map(PointPlan::events).sum();
        let mut cuts = Cuts::new(points);
        let ends = (1..=u128::from(shards)).map(|shard| cuts.nearest(total * shard / u128::from(shards)));
        let before = |runs: u64| {
            let (mut rest, mut events) = (runs, 0);
            for point in points {
                let here = rest.min(point.runs_total());
                events += point.events_before(here);
                rest -= here;
            }
            events
        };
        let mut last = 0;
        ends.map(|end| {
            let events = before(end) - before(last);
            last = end;
            events
        })
        .collect()
    }

    #[test]
    fn shards_cost_the_same_but_for_one_run() {
        let points = [point(&[10, 30], 7), point(&[200], 3), point(&[5, 5, 5], 100)];
        let total: u128 = points.iter().map(PointPlan::events).sum();
        for count in [1, 2, 3, 7, 12, 60] {
            let shards = shards(&points, count);
            assert_eq!(shards.iter().sum::<u128>(), total, "{count} shards");
            let ideal = total as f64 / f64::from(count);
            for shard in shards {
                // The two ends are off by half a run each; the largest has 200 events.
                assert!((shard as f64 - ideal).abs() <= 200.0, "{shard} of {ideal}");
            }
        }
    }

    #[test]
    fn more_shards_than_runs_leave_some_empty() {
        let points = [point(&[10], 3)];
        let shards = shards(&points, 8);
        assert_eq!(shards.iter().filter(|&&events| events == 10).count(), 3);
        assert_eq!(shards.iter().filter(|&&events| events == 0).count(), 5);
    }

    #[test]
    fn folders_are_fit_for_files_and_differ() {
        let mut taken = BTreeSet::new();
        let mut name = |index: usize, name: &str| {
            let point = Point {
                index,
                name: name.to_string(),
                values: Vec::new(),
            };
            folder(&point, &mut taken)
        };
        assert_eq!(name(0, "mesh.retry.num_retries=2,seed=1"), "mesh.retry.num_retries=2,seed=1");
        assert_eq!(name(1, "mesh.balancer=envoy/random"), "mesh.balancer=envoy-random");
        assert_eq!(name(2, "mesh.balancer=envoy:random"), "mesh.balancer=envoy-random~2");
        assert_eq!(name(3, "MESH.balancer=envoy random"), "MESH.balancer=envoy-random~3");
        assert_eq!(name(4, &"x".repeat(500)), format!("{}~4", "x".repeat(120)));
    }
}
