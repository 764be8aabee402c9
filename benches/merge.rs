//! What it costs to merge thousands of shards: time, and the most memory that the process ever had.
//!
//! `cargo bench --bench merge -- [--runs-per-point N] [--threads N] [--charts] [--keep DIR] SHARDS…`
//!
//! A few cells are run, and their results written again and again as the runs of as many shards as wanted, of 100 runs each: files with
//! the headers, frames and checksums that `sweep run` would have written. A process of its own then checks and merges them, as
//! `sweep merge` does, and says what the kernel counted. With `--keep` the shards are left in `DIR`, for `meshsim sweep merge DIR`.

#![expect(clippy::disallowed_methods, reason = "what is measured is time")]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use meshsim::experiment::{Cell, Experiment, Warmups};
use meshsim::model::RunResult;
use meshsim::report::Extent;
use meshsim::scenario::{Grid, Overrides, Source};
use meshsim::sweep::plan::Cut;
use meshsim::sweep::{Input, Plan, Sweep, merge, run, status};

const RUNS_PER_SHARD: u64 = 100;
/// Cells that are really run, of each variant.
const REPLICATIONS_RUN: u32 = 10;

/// Two services, some hundred requests, two variants: so little that a million runs find room on a disk.
const SCENARIO: &str = "\
apiVersion: meshsim/v1
name: made
duration: 4s
warmup: 1s
topology:
  services:
    front: {replicas: 2, concurrency: 8, operations: {page: [{work: 1ms}, {call: catalog/list}]}}
    catalog: {replicas: 3, concurrency: 2, operations: {list: [{work: {lognormal: {p50: 5ms, p99: 40ms}}}]}}
clients:
  web: {call: front/page, arrivals: {poisson: {rate: 100/s}}}
variants:
  random: {mesh: {balancer: envoy/random}}
  least_request: {mesh: {balancer: envoy/least_request}}
";

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [first, folder, extent, threads] = &arguments[..]
        && first == "merge"
    {
        return merge_here(Path::new(folder), extent == "charts", number(threads) as usize);
    }
    let charts = take(&mut arguments, "--charts");
    let runs_per_point = value(&mut arguments, "--runs-per-point").map_or(1_000, |text| number(&text));
    let threads = value(&mut arguments, "--threads").unwrap_or_else(|| "1".to_string());
    let keep = value(&mut arguments, "--keep");
    let counts: Vec<u64> = match arguments.is_empty() {
        true => vec![100],
        false => arguments.iter().map(|argument| number(argument)).collect(),
    };
    let (warmups, results) = real();
    for shards in counts {
        let plan = plan(shards, runs_per_point);
        if let Some(folder) = &keep {
            make(&plan, Path::new(folder), &warmups, &results);
            continue;
        }
        let folder = tempfile::tempdir().expect("a folder for the shards");
        make(&plan, folder.path(), &warmups, &results);
        merge_elsewhere(folder.path(), charts, &threads);
    }
}

/// Takes an option with its value out of the arguments.
fn value(arguments: &mut Vec<String>, name: &str) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.drain(at..at + 2).nth(1)
}

fn take(arguments: &mut Vec<String>, name: &str) -> bool {
    let before = arguments.len();
    arguments.retain(|argument| argument != name);
    arguments.len() < before
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

/// Some cells, really run, by variant and replication.
fn real() -> (Warmups, Vec<Vec<RunResult>>) {
    let source = Source::from_text("made.yaml", SCENARIO.to_string());
    let overrides = Overrides {
        replications: Some(REPLICATIONS_RUN),
        ..Overrides::default()
    };
    let (scenario, diagnostics) = meshsim::scenario::load(&source, &overrides);
    let scenario = scenario.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    let experiment = Experiment::of(&scenario);
    let warmups = experiment.warmup(1, &|_| ());
    let begin = Instant::now();
    let variants = 0..scenario.variants.len();
    let run = |variant| {
        let cells = (0..REPLICATIONS_RUN).map(|replication| Cell { variant, replication });
        cells.map(|cell| experiment.run_cell(cell, &warmups)).collect::<Vec<_>>()
    };
    let results: Vec<Vec<RunResult>> = variants.map(run).collect();
    let seconds = begin.elapsed().as_secs_f64();
    let all = || results.iter().flatten();
    let events: u64 = all().map(|result| result.events_total).sum();
    println!(
        "{} runs: {:.2} ms and {} events each, {:.0} ns an event",
        all().count(),
        seconds * 1e3 / all().count() as f64,
        events / all().count() as u64,
        seconds * 1e9 / events as f64
    );
    (warmups, results)
}

/// Writes all shards of a plan.
fn make(plan: &Plan, folder: &Path, warmups: &Warmups, results: &[Vec<RunResult>]) {
    run::prepare(plan, folder).expect("the folder can be written");
    let result = |_, cell: Cell| &results[cell.variant][cell.replication as usize % results[cell.variant].len()];
    let begin = Instant::now();
    let shards = plan.shards.len() as u32;
    let sizes = (0..shards).map(|shard| run::write(plan, shard, folder, warmups, result).expect("room on the disk"));
    let bytes: u64 = sizes.sum();
    println!(
        "{shards} shards of {} runs at {} points: {:.1} MB, {} bytes a run; made in {:.1} s",
        plan.runs_total / u64::from(shards),
        plan.points.len(),
        bytes as f64 / 1e6,
        bytes / plan.runs_total,
        begin.elapsed().as_secs_f64()
    );
}

fn merge_elsewhere(folder: &Path, charts: bool, threads: &str) {
    let extent = if charts { "charts" } else { "data" };
    let status = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["merge".as_ref(), folder.as_os_str(), extent.as_ref(), threads.as_ref()])
        .status();
    assert!(status.expect("this program starts").success(), "the merge failed");
}

/// A grid of seeds, so that there are as many points as wanted.
fn plan(shards: u64, runs_per_point: u64) -> Plan {
    let points = (shards * RUNS_PER_SHARD).div_ceil(runs_per_point);
    let source = Source::from_text("made.yaml", SCENARIO.to_string());
    let overrides = Overrides {
        replications: Some((runs_per_point / 2) as u32),
        ..Overrides::default()
    };
    let axes = [format!("seed=1..{points}")];
    let (grid, mut diagnostics) = Grid::open(&source, &overrides, &axes);
    let grid = grid.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    let input = Input::new(&source, &overrides, &axes);
    let sweep = Sweep::plan(grid, input, Cut::Shards(shards as u32), &mut diagnostics);
    sweep.unwrap_or_else(|| panic!("{}", diagnostics.render(false))).plan
}

/// What `sweep merge` does, in a process of its own.
fn merge_here(folder: &Path, charts: bool, threads: usize) {
    let (begin, base) = (Instant::now(), memory_peak());
    let plan = status::read_plan(folder).expect("there is a plan");
    let read = (begin.elapsed(), memory_peak());
    let whole = merge::check(&plan, folder).expect("the shards are whole");
    let checked = (begin.elapsed(), memory_peak());
    let extent = if charts { Extent::All } else { Extent::Data };
    let output = folder.join("results");
    merge::merge(&whole, &output, extent, threads, |_| ()).expect("they can be merged");
    let merged = (begin.elapsed(), memory_peak());
    println!(
        "  plan {:.2} s, check {:.2} s, merge {:.2} s; peak {:.1} MiB at the start, {:.1} with the plan, {:.1} after the check, {:.1} at the end",
        read.0.as_secs_f64(),
        (checked.0 - read.0).as_secs_f64(),
        (merged.0 - checked.0).as_secs_f64(),
        base,
        read.1,
        checked.1,
        merged.1
    );
    let (files, bytes) = size(&output);
    println!("  results: {files} files, {:.1} MB", bytes as f64 / 1e6);
}

/// The most memory that this process has had, in MiB, as Linux counts it; NaN elsewhere.
fn memory_peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}

/// Files below a folder and their bytes.
fn size(folder: &Path) -> (u64, u64) {
    let entries = std::fs::read_dir(folder).expect("it is there");
    entries.fold((0, 0), |(files, bytes), entry| {
        let entry = entry.expect("a readable entry");
        let about = entry.metadata().expect("it is there");
        let (more, larger) = if about.is_dir() {
            size(&entry.path())
        } else {
            (1, about.len())
        };
        (files + more, bytes + larger)
    })
}
