//! From shards to results: the runs are read in their order and folded one at a time, so memory holds the fold of one point, whatever
//! there is on disk. A point's folder has the bytes that `run` with the point's values as `--set` writes.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::experiment::{Cell, Experiment, Outcome, Scenario, Warmups};
use crate::model::RunResult;
use crate::report::{Extent, Named, Results, csv, write};
use crate::scenario::Grid;
use crate::sweep::file::{FrameReader, write_whole};
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

/// Checks every shard of `folder`.
///
/// # Errors
/// Names what is missing, corrupt or foreign.
pub fn check(plan: &Plan, folder: &Path) -> Result<(), Fault> {
    let status = status::look(plan, folder)?;
    if status.is_complete() {
        Ok(())
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

/// Merges the shards of `plan` in `folder`, which [`check`] has found whole, and writes the results to `output`. Calls `merged` after each
/// point with how many there have been.
///
/// # Errors
/// If a shard is not as the plan says, or results cannot be written.
pub fn merge(
    plan: &Plan,
    folder: &Path,
    output: &Path,
    extent: Extent,
    mut merged: impl FnMut(usize),
) -> Result<SweepResults, Fault> {
    refuse_another(plan, output)?;
    let (source, overrides) = (plan.input.source(), plan.input.overrides());
    let (grid, mut diagnostics) = Grid::open(&source, &overrides, &plan.input.grid);
    let grid = grid.ok_or_else(|| not_ours(folder))?;
    let cut = Cut::Shards(plan.shards.len() as u32);
    let sweep = Sweep::plan(grid, plan.input.clone(), cut, &mut diagnostics);
    let mut sweep = sweep
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
    let mut frames = Frames::new(plan, folder);
    let mut table = SweepTable::new(&output.join("sweep.csv"), &plan.grid)?;
    for (index, point) in plan.points.iter().enumerate() {
        let at = sweep.grid.load_again(index);
        let scenario = at.ok_or_else(|| not_ours(folder))?.scenario;
        let outcome = fold(&scenario, index, &mut frames)?;
        let results = Results::new(&scenario, &outcome);
        let name = format!("{POINTS}/{}", point.folder);
        let place = output.join(&name);
        write::write_folder(&place, &results.files(extent)).map_err(|error| told("write", &place, &error))?;
        table.add(point, &csv::summary(&results.summary))?;
        if index == 0 {
            found.description.clone_from(&results.summary.description);
        }
        found.points.push(PointResults {
            name: point.name.clone(),
            folder: name,
            values: Named(
                plan.grid
                    .iter()
                    .map(|axis| axis.path.clone())
                    .zip(point.values.clone())
                    .collect(),
            ),
            scenario_digest: point.digest.clone(),
            answer: results.summary.answer.clone(),
            rows: table::rows(&results.summary),
        });
        merged(index + 1);
    }
    frames.end()?;
    table.finish()?;
    #[cfg(feature = "parquet")]
    write_parquet(output, &plan.grid)?;
    write_whole(&output.join("report.html"), &table::page(&found))?;
    // Last, so that it stands for the others.
    write_whole(&output.join("sweep.json"), &to_json(&found))?;
    Ok(found)
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

/// The frames of all shards, in their order.
struct Frames<'p> {
    plan: &'p Plan,
    folder: &'p Path,
    /// The shard that is read next, or now.
    shard: u32,
    reader: Option<FrameReader>,
}

impl<'p> Frames<'p> {
    fn new(plan: &'p Plan, folder: &'p Path) -> Frames<'p> {
        Frames {
            plan,
            folder,
            shard: 0,
            reader: None,
        }
    }

    /// What the next frame holds; `None` behind the last shard.
    fn next(&mut self) -> Result<Option<Frame>, Fault> {
        loop {
            if self.reader.is_none() {
                if self.shard as usize == self.plan.shards.len() {
                    return Ok(None);
                }
                let reader = FrameReader::open(&path_of(self.folder, self.shard)).map_err(|defect| self.broken(&defect))?;
                is_that_of(reader.header(), self.plan, self.shard).map_err(|defect| self.broken(&defect))?;
                self.reader = Some(reader);
            }
            let reader = self.reader.as_mut().expect("it has just been opened");
            let frame = match reader.next_frame() {
                Ok(Some(bytes)) => Some(Frame::read(bytes)),
                Ok(None) => None,
                Err(defect) => return Err(self.broken(&defect)),
            };
            match frame {
                Some(Some(frame)) => return Ok(Some(frame)),
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
            Some(Frame::Warmups(found, warmups)) if found == point => Ok(warmups),
            _ => Err(self.strange()),
        }
    }

    /// The result of a cell. Where a point goes on in another shard its warm-ups are there again: the same, or a pilot was not pure.
    fn run(&mut self, point: usize, cell: Cell, warmups: &Warmups) -> Result<Box<RunResult>, Fault> {
        loop {
            match self.next()? {
                Some(Frame::Warmups(found, again)) if found == point && again == *warmups => {}
                Some(Frame::Run(found, of, result)) if (found, of) == (point, cell) => return Ok(result),
                _ => return Err(self.strange()),
            }
        }
    }

    fn end(&mut self) -> Result<(), Fault> {
        if self.next()?.is_some() { Err(self.strange()) } else { Ok(()) }
    }

    fn strange(&self) -> Fault {
        self.broken(&file::Defect::Torn(
            "it does not hold the runs that the plan says".to_string(),
        ))
    }

    fn broken(&self, defect: &file::Defect) -> Fault {
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
