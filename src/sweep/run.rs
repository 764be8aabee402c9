//! One shard: its runs, on threads, into one file.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::experiment::{Cell, Experiment, Progress, Warmups, in_order};
use crate::model::RunResult;
use crate::scenario::Scenario;
use crate::sweep::bytes::{Encoded, Reader, Writer};
use crate::sweep::file::{Defect, FrameReader, FrameWriter, Header, Kind, write_whole};
use crate::sweep::plan::{self, Plan, Sweep};
use crate::sweep::{Fault, told};

/// Runs that are at hand at once for each thread, so that points with few runs keep all threads busy.
const RUNS_PER_THREAD: u64 = 16;

/// What came of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It has been run.
    Done {
        /// Bytes of its file.
        bytes: u64,
        /// What was wrong with the file that was there.
        replaced: Option<String>,
    },
    /// A complete file of the same plan was there.
    Kept,
}

/// One part of a shard's file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    /// Where the measured windows of a point begin; before the first of its runs in each file.
    Warmups(usize, Warmups),
    /// A run of a point.
    Run(usize, Cell, Box<RunResult>),
}

impl Frame {
    fn warmups(point: usize, warmups: &Warmups) -> Vec<u8> {
        let mut writer = Writer::default();
        0_u8.encode(&mut writer);
        point.encode(&mut writer);
        warmups.encode(&mut writer);
        writer.into_bytes()
    }

    /// The frame of a run.
    pub(crate) fn run(point: usize, cell: Cell, result: &RunResult) -> Vec<u8> {
        let mut writer = Writer::default();
        1_u8.encode(&mut writer);
        point.encode(&mut writer);
        cell.encode(&mut writer);
        result.encode(&mut writer);
        writer.into_bytes()
    }

    /// The point whose runs begin here, if this is where they do.
    fn begins(bytes: &[u8]) -> Option<usize> {
        let mut reader = Reader::new(bytes);
        let kind = u8::decode(&mut reader)?;
        usize::decode(&mut reader).filter(|_| kind == 0)
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Frame> {
        let mut reader = Reader::new(bytes);
        let kind = u8::decode(&mut reader)?;
        let point = usize::decode(&mut reader)?;
        let frame = match kind {
            0 => Frame::Warmups(point, Warmups::decode(&mut reader)?),
            1 => Frame::Run(point, Cell::decode(&mut reader)?, Box::new(RunResult::decode(&mut reader)?)),
            _ => return None,
        };
        reader.is_at_end().then_some(frame)
    }
}

/// The file of a shard.
pub fn path_of(folder: &Path, shard: u32) -> PathBuf {
    folder.join(format!("shard-{shard:05}.bin"))
}

fn path_of_pilot(folder: &Path, point: usize) -> PathBuf {
    folder.join(format!("pilot-{point:05}.bin"))
}

/// What the file of a shard says of itself.
pub fn header(plan: &Plan, shard: u32) -> Header {
    let part = &plan.shards[shard as usize];
    Header {
        kind: Kind::Shard,
        plan: plan.key(),
        index: shard,
        count: plan.shards.len() as u32,
        first_run: part.first_run,
        runs: part.runs_total,
    }
}

/// Looks whether the file of a shard is whole and its own. Calls `begins` with each point that has runs in it, and the place of the first
/// of its frames.
///
/// # Errors
/// Says what is wrong with it.
pub fn check(plan: &Plan, folder: &Path, shard: u32, mut begins: impl FnMut(usize, u64)) -> Result<(), Defect> {
    let mut reader = FrameReader::open(&path_of(folder, shard))?;
    let mut runs = 0;
    loop {
        let place = reader.place();
        let Some(frame) = reader.next_frame()? else { break };
        match Frame::begins(frame) {
            Some(point) => begins(point, place),
            None => runs += 1,
        }
    }
    is_that_of(reader.header(), plan, shard)?;
    if runs != reader.header().runs {
        return Err(Defect::Torn(format!(
            "it holds {runs} runs, and its header says {}",
            reader.header().runs
        )));
    }
    Ok(())
}

/// Whether a file with this header is that of a shard.
pub(crate) fn is_that_of(found: &Header, plan: &Plan, shard: u32) -> Result<(), Defect> {
    let expected = header(plan, shard);
    if found.kind != expected.kind {
        return Err(Defect::Foreign("it holds pilots, not runs".to_string()));
    }
    if found.plan != expected.plan {
        return Err(Defect::Foreign(format!(
            "it is of the plan {:016x}, and this is {:016x}",
            found.plan, expected.plan
        )));
    }
    if *found != expected {
        return Err(Defect::Foreign(format!("it is shard {} of {}", found.index, found.count)));
    }
    Ok(())
}

/// Makes `folder` the place for the shards of `plan`: the plan is written into it, unless it is there.
///
/// # Errors
/// If it cannot be written, or holds another plan.
pub fn prepare(plan: &Plan, folder: &Path) -> Result<(), Fault> {
    std::fs::create_dir_all(folder).map_err(|error| told("make", folder, &error))?;
    let path = folder.join(plan::FILE);
    match std::fs::read(&path) {
        Ok(bytes) => {
            let there =
                Plan::read(&bytes).map_err(|problem| Fault::new(format!("`{}` is no plan: {problem}", path.display())))?;
            if there.digest != plan.digest {
                return Err(Fault::new(format!(
                    "`{}` holds shards of another plan ({} in {} shards; this is {} in {}): use another folder",
                    folder.display(),
                    there.digest,
                    there.shards.len(),
                    plan.digest,
                    plan.shards.len()
                )));
            }
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => write_whole(&path, &plan.to_json()),
        Err(error) => Err(told("read", &path, &error)),
    }
}

/// A point that is at hand.
struct Loaded {
    point: usize,
    scenario: Scenario,
    warmups: Warmups,
}

/// Runs a shard on `threads` threads, unless its file is there already. `folder` is a place that [`prepare`] made.
///
/// # Errors
/// If files cannot be written, or the place holds a file of another plan.
pub fn run(sweep: &mut Sweep<'_>, shard: u32, folder: &Path, threads: usize, observe: impl Fn(Progress)) -> Result<Ran, Fault> {
    let replaced = match check(&sweep.plan, folder, shard, |_, _| ()) {
        Ok(()) => return Ok(Ran::Kept),
        Err(Defect::Missing) => None,
        Err(Defect::Torn(reason)) => Some(reason),
        Err(Defect::Foreign(reason)) => {
            let path = path_of(folder, shard);
            return Err(Fault::new(format!("`{}` is in the way: {reason}", path.display())));
        }
    };
    let mut writer = FrameWriter::new(&path_of(folder, shard), &header(&sweep.plan, shard))?;
    let runs = sweep.plan.shards[shard as usize].runs();
    let (mut group, mut tasks) = (Vec::new(), Vec::new());
    for (point, runs) in sweep.plan.points_of(runs) {
        let loaded = load(sweep, point)?;
        let about = &sweep.plan.points[point];
        let is_whole = runs.end - runs.start == about.runs_total();
        let warmups = warmups(&sweep.plan, &loaded, folder, threads, is_whole)?;
        let place = group.len();
        tasks.extend(runs.map(|run| (place, about.cell(run))));
        group.push(Loaded { warmups, ..loaded });
        if tasks.len() as u64 >= RUNS_PER_THREAD * threads as u64 {
            run_group(&group, &tasks, threads, &mut writer, &observe)?;
            group.clear();
            tasks.clear();
        }
    }
    run_group(&group, &tasks, threads, &mut writer, &observe)?;
    let bytes = writer.finish()?;
    Ok(Ran::Done { bytes, replaced })
}

/// Writes the file of a shard from what is at hand: for whoever runs cells in another way than [`run`] does. Gives its size in bytes.
/// `warmups` are those of every point; `result` gives that of a cell of a point.
///
/// # Errors
/// If it cannot be written.
pub fn write<'r>(
    plan: &Plan,
    shard: u32,
    folder: &Path,
    warmups: &Warmups,
    result: impl Fn(usize, Cell) -> &'r RunResult,
) -> Result<u64, Fault> {
    let mut writer = FrameWriter::new(&path_of(folder, shard), &header(plan, shard))?;
    for (point, runs) in plan.points_of(plan.shards[shard as usize].runs()) {
        writer.frame(&Frame::warmups(point, warmups))?;
        for run in runs {
            let cell = plan.points[point].cell(run);
            writer.frame(&Frame::run(point, cell, result(point, cell)))?;
        }
    }
    writer.finish()
}

fn load(sweep: &mut Sweep<'_>, point: usize) -> Result<Loaded, Fault> {
    let at = sweep.grid.load_again(point);
    let name = &sweep.plan.points[point].name;
    let at = at.ok_or_else(|| Fault::new(format!("the point `{name}` cannot be loaded any more")))?;
    Ok(Loaded {
        point,
        scenario: at.scenario,
        warmups: Warmups {
            cuts: Vec::new(),
            warnings: Vec::new(),
        },
    })
}

/// The warm-ups of a point. Those that pilots found are kept beside the shards, as several may take part in one point: who comes first
/// runs the pilots.
fn warmups(plan: &Plan, loaded: &Loaded, folder: &Path, threads: usize, is_whole: bool) -> Result<Warmups, Fault> {
    let experiment = Experiment::of(&loaded.scenario);
    if is_whole || !experiment.has_pilots() {
        return Ok(experiment.warmup(threads, &|_| ()));
    }
    let path = path_of_pilot(folder, loaded.point);
    let header = Header {
        kind: Kind::Pilot,
        plan: plan.key(),
        index: loaded.point as u32,
        count: plan.points.len() as u32,
        first_run: 0,
        runs: 0,
    };
    if let Some(found) = read_pilot(&path, &header, loaded.point) {
        return Ok(found);
    }
    let warmups = experiment.warmup(threads, &|_| ());
    let mut writer = FrameWriter::new(&path, &header)?;
    writer.frame(&Frame::warmups(loaded.point, &warmups))?;
    writer.finish()?;
    Ok(warmups)
}

/// What another shard has left, if it is whole.
fn read_pilot(path: &Path, header: &Header, point: usize) -> Option<Warmups> {
    let mut reader = FrameReader::open(path).ok().filter(|reader| reader.header() == header)?;
    let frame = Frame::read(reader.next_frame().ok()??)?;
    let is_whole = matches!(reader.next_frame(), Ok(None));
    match frame {
        Frame::Warmups(found, warmups) if is_whole && found == point => Some(warmups),
        _ => None,
    }
}

/// Runs cells of several points and writes what comes out, in their order.
fn run_group(
    group: &[Loaded],
    tasks: &[(usize, Cell)],
    threads: usize,
    writer: &mut FrameWriter,
    observe: &impl Fn(Progress),
) -> Result<(), Fault> {
    let experiments: Vec<Experiment<'_>> = group.iter().map(|loaded| Experiment::of(&loaded.scenario)).collect();
    let run = |(place, cell): (usize, Cell)| {
        let loaded: &Loaded = &group[place];
        let result = experiments[place].run_cell(cell, &loaded.warmups);
        (Frame::run(loaded.point, cell, &result), Progress::of_cell(&result, None))
    };
    let mut written = Ok(());
    let mut last = None;
    in_order(tasks, threads, run, |(place, _), (frame, progress)| {
        if written.is_ok() && last != Some(place) {
            last = Some(place);
            written = writer.frame(&Frame::warmups(group[place].point, &group[place].warmups));
        }
        if written.is_ok() {
            written = writer.frame(&frame);
        }
        observe(progress);
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    written
}
