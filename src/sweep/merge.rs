//! From shards to results: the runs of a point are read in their order and folded one at a time, so memory holds the folds of as many
//! points as there are threads, whatever there is on disk. A point's folder has the bytes that `run` with the point's values as `--set`
//! writes.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::experiment::{Cell, Experiment, Outcome, Scenario, Warmups, in_order};
use crate::model::RunResult;
use crate::report::{Extent, Named, NamedBytes, Results, csv, write};
use crate::scenario::Grid;
use crate::sweep::file::{Defect, FrameReader, write_whole};
use crate::sweep::plan::{AxisPlan, Cut, Plan, PointPlan, Sweep};
use crate::sweep::run::{Frame, is_that_of, path_of};
use crate::sweep::status::{self, Status};
use crate::sweep::table::{self, Row};
use crate::sweep::{Fault, file, told};

/// The name of the shape of `sweep.json`.
pub const SCHEMA: &str = "meshsim/sweep/v1";
/// The folder of the points' folders.
pub const POINTS: &str = "points";

/// What a sweep found: `sweep.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepResults {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The version that wrote it.
    pub version: String,
    /// The scenario's name.
    pub scenario: String,
    /// Its question.
    pub description: String,
    /// A hash over all points: equal digests mean equal sweeps, however they were cut.
    pub digest: String,
    /// The paths of the grid and their values.
    pub grid: Vec<AxisPlan>,
    /// What was found at each point.
    pub points: Vec<PointResults>,
}

/// What was found at one point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointResults {
    /// What it is called.
    pub name: String,
    /// Its folder, from that of `sweep.json`.
    pub folder: String,
    /// The values of the grid's paths.
    pub values: Named<String>,
    /// The digest of its scenario.
    pub scenario_digest: String,
    /// The answer in one sentence.
    pub answer: String,
    /// The main figures, by variant and client.
    pub rows: Vec<Row>,
}

/// A folder whose shards have all been found whole.
pub struct Whole<'p> {
    plan: &'p Plan,
    folder: &'p Path,
    /// By point: the first shard that has runs of it, and where its frames begin there.
    places: Vec<Option<(u32, u64)>>,
}

/// Checks every shard of `folder`.
///
/// # Errors
/// Names what is missing, corrupt or foreign.
pub fn check<'p>(plan: &'p Plan, folder: &'p Path) -> Result<Whole<'p>, Fault> {
    let mut places = vec![None; plan.points.len()];
    let status = status::look_at_each(plan, folder, |shard, point, place| {
        if let Some(first @ None) = places.get_mut(point) {
            *first = Some((shard, place));
        }
    })?;
    if status.is_complete() {
        Ok(Whole { plan, folder, places })
    } else {
        Err(refusal(&status, folder))
    }
}

fn refusal(status: &Status, folder: &Path) -> Fault {
    let mut text = format!("`{}` cannot be merged:", folder.display());
    if !status.missing.is_empty() {
        text.push_str(&format!("\n  missing: shards {}", status::array(&status.missing)));
    }
    for (what, files) in [("corrupt", &status.corrupt), ("foreign", &status.foreign)] {
        for broken in files {
            text.push_str(&format!("\n  {what}: {}: {}", broken.file, broken.reason));
        }
    }
    if !status.array.is_empty() {
        text.push_str(&format!(
            "\n  help: run the shards {} again (of {}, counted from 0)",
            status.array, status.shards_total
        ));
    }
    Fault::new(text)
}

/// Merges shards on `threads` threads and writes the results to `output`; what is written does not depend on `threads`. Calls `merged`
/// after each point with how many there have been.
///
/// # Errors
/// If a shard is not as the plan says, or results cannot be written.
pub fn merge(
    whole: &Whole<'_>,
    output: &Path,
    extent: Extent,
    threads: usize,
    mut merged: impl FnMut(usize),
) -> Result<SweepResults, Fault> {
    let Whole { plan, folder, .. } = *whole;
    refuse_another(plan, output)?;
    let (source, overrides) = (plan.input.source(), plan.input.overrides());
    let (grid, mut diagnostics) = Grid::open(&source, &overrides, &plan.input.grid);
    let grid = grid.ok_or_else(|| not_ours(folder))?;
    let cut = Cut::Shards(plan.shards.len() as u32);
    let sweep = Sweep::plan(grid, plan.input.clone(), cut, &mut diagnostics);
    let sweep = sweep
        .filter(|sweep| sweep.plan.digest == plan.digest)
        .ok_or_else(|| not_ours(folder))?;

    std::fs::create_dir_all(output).map_err(|error| told("make", output, &error))?;
    let mut found = SweepResults {
        schema: SCHEMA.to_string(),
        version: plan.version.clone(),
        scenario: plan.scenario.clone(),
        description: String::new(),
        digest: plan.sweep.clone(),
        grid: plan.grid.clone(),
        points: Vec::new(),
    };
    let mut table = SweepTable::new(&output.join("sweep.csv"), &plan.grid)?;
    // Points are loaded one at a time; that is a small part of the work.
    let grid = Mutex::new(sweep.grid);
    let load = |point| grid.lock().unwrap_or_else(PoisonError::into_inner).load_again(point);
    let fold = |point: usize| {
        let scenario = load(point).ok_or_else(|| not_ours(folder))?.scenario;
        let outcome = fold(&scenario, point, &mut Frames::of(whole, point))?;
        Ok(Point::new(&Results::new(&scenario, &outcome), extent))
    };
    let points: Vec<usize> = (0..plan.points.len()).collect();
    let mut written = Ok(());
    // What is written is written here, by whom `merged` can hold up between two points.
    in_order(&points, threads, fold, |index, point: Result<Point, Fault>| {
        written = point.and_then(|point| {
            if index == 0 {
                found.description.clone_from(&point.description);
            }
            found.points.push(point.write(plan, index, output, &mut table)?);
            merged(index + 1);
            Ok(())
        });
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    written?;
    table.finish()?;
    #[cfg(feature = "parquet")]
    write_parquet(output, &plan.grid)?;
    write_whole(&output.join("report.html"), &table::page(&found))?;
    // Last, so that it stands for the others.
    write_whole(&output.join("sweep.json"), &to_json(&found))?;
    Ok(found)
}

/// What came of one point, ready to be written.
struct Point {
    description: String,
    answer: String,
    rows: Vec<Row>,
    /// Its `summary.csv`.
    summary: Vec<u8>,
    files: Vec<NamedBytes>,
}

impl Point {
    fn new(results: &Results, extent: Extent) -> Point {
        Point {
            description: results.summary.description.clone(),
            answer: results.summary.answer.clone(),
            rows: table::rows(&results.summary),
            summary: csv::summary(&results.summary),
            files: results.files(extent),
        }
    }

    fn write(self, plan: &Plan, index: usize, output: &Path, table: &mut SweepTable) -> Result<PointResults, Fault> {
        let point = &plan.points[index];
        let name = format!("{POINTS}/{}", point.folder);
        let place = output.join(&name);
        write::write_folder(&place, &self.files).map_err(|error| told("write", &place, &error))?;
        table.add(point, &self.summary)?;
        let values = plan.grid.iter().map(|axis| axis.path.clone()).zip(point.values.clone());
        Ok(PointResults {
            name: point.name.clone(),
            folder: name,
            values: Named(values.collect()),
            scenario_digest: point.digest.clone(),
            answer: self.answer,
            rows: self.rows,
        })
    }
}

/// `sweep.parquet`, from `sweep.csv`. A column of the grid has numbers if all of its values are.
#[cfg(feature = "parquet")]
fn write_parquet(output: &Path, grid: &[AxisPlan]) -> Result<(), Fault> {
    use crate::report::parquet::{Type, copy};
    let (from, to) = (output.join("sweep.csv"), output.join("sweep.parquet"));
    let axes = grid
        .iter()
        .map(|axis| Type::of_values(axis.values.iter().map(String::as_str)));
    let types: Vec<Type> = std::iter::once(Type::Text).chain(axes).collect();
    let csv = std::fs::File::open(&from).map_err(|error| told("read", &from, &error))?;
    let mut beside = file::beside(&to)?;
    copy(csv, beside.file(), &types).map_err(|error| told("write", &to, &error))?;
    beside.place()
}

/// `sweep.json`, with a line feed at its end.
pub fn to_json(results: &SweepResults) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(results).expect("results have only text for keys");
    bytes.push(b'\n');
    bytes
}

fn not_ours(folder: &Path) -> Fault {
    Fault::new(format!(
        "the plan in `{}` is not what this program makes of its scenario: it has been changed, or another build made it",
        folder.display()
    ))
}

/// Results of another sweep are not mixed with these.
fn refuse_another(plan: &Plan, output: &Path) -> Result<(), Fault> {
    /// All that is read of them.
    #[derive(Deserialize)]
    struct There {
        digest: String,
    }
    let path = output.join("sweep.json");
    let Ok(bytes) = std::fs::read(&path) else { return Ok(()) };
    let there: Option<There> = serde_json::from_slice(&bytes).ok();
    if there.is_some_and(|there| there.digest == plan.sweep) {
        return Ok(());
    }
    Err(Fault::new(format!(
        "`{}` holds the results of another sweep: use another folder",
        output.display()
    )))
}

/// Folds the runs of one point.
fn fold(scenario: &Scenario, point: usize, frames: &mut Frames<'_>) -> Result<Outcome, Fault> {
    let experiment = Experiment::of(scenario);
    let warmups = frames.warmups(point)?;
    if warmups.cuts.len() != scenario.variants.len() {
        return Err(frames.strange());
    }
    let mut failed = None;
    let cells = experiment.cells();
    let results = cells.iter().map_while(|&cell| {
        let result = frames.run(point, cell, &warmups);
        let result = result.and_then(|result| {
            if fits(scenario, cell, &result) {
                Ok(result)
            } else {
                Err(frames.strange())
            }
        });
        result
            .map(|result| (cell, *result))
            .map_err(|fault| failed = Some(fault))
            .ok()
    });
    let outcome = experiment.fold(&warmups, results);
    failed.map_or(Ok(outcome), Err)
}

/// Whether a result is one of this variant's plan: folding takes it for granted.
fn fits(scenario: &Scenario, cell: Cell, result: &RunResult) -> bool {
    let variant = &scenario.variants[cell.variant];
    let names = &variant.names;
    let scopes = |clients: usize, edges: usize, services: usize| {
        (clients, edges, services) == (names.clients.len(), names.edges.len(), names.services.len())
    };
    let is_of_window =
        |window: &crate::model::result::WindowResult| scopes(window.clients.len(), window.edges.len(), window.services.len());
    scopes(result.clients.len(), result.edges.len(), result.services.len())
        && result.endpoints.len() == names.endpoints.len()
        && result.windows.len() == variant.windows.len()
        && result.windows.iter().all(is_of_window)
}

/// The frames of a point, in their order.
struct Frames<'p> {
    plan: &'p Plan,
    folder: &'p Path,
    /// Where the first frame is.
    place: Option<(u32, u64)>,
    /// The shard that is read next, or now.
    shard: u32,
    reader: Option<FrameReader>,
}

impl<'p> Frames<'p> {
    fn of(whole: &Whole<'p>, point: usize) -> Frames<'p> {
        let place = whole.places[point];
        Frames {
            plan: whole.plan,
            folder: whole.folder,
            place,
            shard: place.map_or(0, |(shard, _)| shard),
            reader: None,
        }
    }

    fn open(&mut self) -> Result<FrameReader, Defect> {
        let path = path_of(self.folder, self.shard);
        let reader = match self.place.take() {
            Some((_, place)) => FrameReader::open_at(&path, place),
            None => FrameReader::open(&path),
        }?;
        is_that_of(reader.header(), self.plan, self.shard).map(|()| reader)
    }

    /// What the next frame holds.
    fn next(&mut self) -> Result<Frame, Fault> {
        loop {
            if self.shard as usize == self.plan.shards.len() {
                return Err(self.strange());
            }
            let reader = match self.reader.take() {
                Some(reader) => Ok(reader),
                None => self.open(),
            };
            let reader = self.reader.insert(reader.map_err(|defect| self.broken(&defect))?);
            let frame = match reader.next_frame() {
                Ok(Some(bytes)) => Some(Frame::read(bytes)),
                Ok(None) => None,
                Err(defect) => return Err(self.broken(&defect)),
            };
            match frame {
                Some(Some(frame)) => return Ok(frame),
                Some(None) => return Err(self.strange()),
                None => {
                    self.reader = None;
                    self.shard += 1;
                }
            }
        }
    }

    fn warmups(&mut self, point: usize) -> Result<Warmups, Fault> {
        match self.next()? {
            Frame::Warmups(found, warmups) if found == point => Ok(warmups),
            _ => Err(self.strange()),
        }
    }

    /// The result of a cell. Where a point goes on in another shard its warm-ups are there again: the same, or a pilot was not pure.
    fn run(&mut self, point: usize, cell: Cell, warmups: &Warmups) -> Result<Box<RunResult>, Fault> {
        loop {
            match self.next()? {
                Frame::Warmups(found, again) if found == point && again == *warmups => {}
                Frame::Run(found, of, result) if (found, of) == (point, cell) => return Ok(result),
                _ => return Err(self.strange()),
            }
        }
    }

    fn strange(&self) -> Fault {
        self.broken(&Defect::Torn("it does not hold the runs that the plan says".to_string()))
    }

    fn broken(&self, defect: &Defect) -> Fault {
        let shard = self.shard.min(self.plan.shards.len() as u32 - 1);
        Fault::new(format!("`{}` is {defect}", path_of(self.folder, shard).display()))
    }
}

/// `sweep.csv`: the rows of all points' `summary.csv`, but for those of single endpoints, with the grid's values before them.
struct SweepTable {
    out: ::csv::Writer<std::io::BufWriter<std::fs::File>>,
    beside: file::Beside,
    paths: Vec<String>,
    begun: bool,
}

impl SweepTable {
    fn new(path: &Path, grid: &[AxisPlan]) -> Result<SweepTable, Fault> {
        let mut beside = file::beside(path)?;
        let file = beside.file().try_clone().map_err(|error| told("write", path, &error))?;
        Ok(SweepTable {
            out: ::csv::Writer::from_writer(std::io::BufWriter::new(file)),
            beside,
            paths: grid.iter().map(|axis| axis.path.clone()).collect(),
            begun: false,
        })
    }

    fn add(&mut self, point: &PointPlan, summary: &[u8]) -> Result<(), Fault> {
        self.copy(point, summary)
            .map_err(|error| Fault::new(format!("cannot write `sweep.csv`: {error}")))
    }

    fn copy(&mut self, point: &PointPlan, summary: &[u8]) -> Result<(), ::csv::Error> {
        let mut reader = ::csv::ReaderBuilder::new().from_reader(summary);
        let header = reader.headers()?.clone();
        if !self.begun {
            let first = std::iter::once("point").chain(self.paths.iter().map(String::as_str));
            self.out.write_record(first.chain(&header))?;
            self.begun = true;
        }
        let scope = header.iter().position(|column| column == "scope");
        let mut record = ::csv::StringRecord::new();
        while reader.read_record(&mut record)? {
            if scope.and_then(|scope| record.get(scope)) != Some("endpoint") {
                let first = std::iter::once(&point.name).chain(&point.values).map(String::as_str);
                self.out.write_record(first.chain(&record))?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Fault> {
        let SweepTable { mut out, beside, .. } = self;
        out.flush()
            .map_err(|error| Fault::new(format!("cannot write `sweep.csv`: {error}")))?;
        drop(out);
        beside.place()
    }
}
