//! `meshsim sweep`: a grid of scenarios, in shards that any engine can run.

mod emit;
mod index;
mod provenance;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use meshsim::report::Extent;
use meshsim::scenario::{Grid, Source};
use meshsim::sweep::plan::{SHARDS_MAX, TARGET_SECONDS};
use meshsim::sweep::run::Ran;
use meshsim::sweep::{self, Cut, Input, Plan, Sweep, merge, status, table};

use crate::cli::overrides::OverrideArgs;
use crate::cli::{Exit, interrupt, print, progress, validate};

/// Arguments of `sweep`.
#[derive(clap::Args, Debug)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Says what will be run: runs, shards, estimated time and memory; the same bytes anywhere
    Plan(PlanArgs),
    /// Runs one shard into one file, or all of them one after another
    Run(RunArgs),
    /// Says which shards are complete, missing or corrupt, and which to run again
    Status(StatusArgs),
    /// Checks all shards and writes the results: the bytes of a run on one machine
    Merge(MergeArgs),
    /// Prints the driver for an engine that runs the shards
    Emit(emit::Args),
}

/// What a sweep is made of.
#[derive(clap::Args, Debug, Clone)]
pub struct SweepArgs {
    /// The scenario file; its `sweep:` is the grid
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Values for a path of the scenario, as in `mesh.retry.num_retries=0,1,2` or `seed=1..5`; wins over `sweep:`; repeatable
    #[arg(long, value_name = "PATH=V1,V2,…")]
    grid: Vec<String>,

    #[command(flatten)]
    overrides: OverrideArgs,

    /// Into how many shards the runs are cut
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(SHARDS_MAX)))]
    shards: Option<u32>,

    /// Cuts so that a shard takes about so long on one core [default: 600]
    #[arg(long, value_name = "S", conflicts_with = "shards", value_parser = positive)]
    target_seconds: Option<f64>,
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|&seconds: &f64| seconds.is_finite() && seconds > 0.0);
    number.ok_or_else(|| "it must be a number above 0".to_string())
}

impl SweepArgs {
    /// Reads the file; `None` if it cannot be, which has been told then.
    fn source(&self) -> anyhow::Result<Option<Source>> {
        match Source::read(&self.file) {
            Ok(source) => Ok(Some(source)),
            Err(diagnostics) => {
                validate::report(&diagnostics)?;
                Ok(None)
            }
        }
    }

    /// Plans the sweep of `source` in `shards`, or as the arguments say. `None` if there is a problem with it, which has been told.
    fn plan<'s>(
        &self,
        source: &'s Source,
        overrides: &'s meshsim::scenario::Overrides,
        shards: Option<u32>,
    ) -> anyhow::Result<Option<Sweep<'s>>> {
        let cut = match (shards.or(self.shards), self.target_seconds) {
            (Some(shards), _) => Cut::Shards(shards),
            (None, seconds) => Cut::Seconds(seconds.unwrap_or(TARGET_SECONDS)),
        };
        if !overrides.precision.is_empty() || overrides.select.is_some() || overrides.max_replications.is_some() {
            eprintln!(
                "error: a sweep knows before it begins how many replications there are: say `--replications` in place of `--precision`, \
                 `--select` and `--max-replications`"
            );
            return Ok(None);
        }
        let (grid, mut diagnostics) = Grid::open(source, overrides, &self.grid);
        let input = Input::new(source, overrides, &self.grid);
        let sweep = grid.and_then(|grid| Sweep::plan(grid, input, cut, &mut diagnostics));
        validate::report(&diagnostics)?;
        Ok(sweep)
    }
}

/// Arguments of `sweep plan`.
#[derive(clap::Args, Debug)]
struct PlanArgs {
    #[command(flatten)]
    sweep: SweepArgs,

    /// Writes the plan here, as JSON
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What is printed on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One document
    Json,
}

/// Arguments of `sweep run`.
#[derive(clap::Args, Debug)]
struct RunArgs {
    #[command(flatten)]
    sweep: SweepArgs,

    /// The shard, counted from 0, as in `3/12`; without `/N` that of --shards. [default: the index that an array job has in its
    /// environment; without one all shards are run]
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,

    /// The folder of the shards
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,

    /// Threads to run on; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Says nothing but results and errors
    #[arg(long, short)]
    quiet: bool,
}

/// Arguments of `sweep status`.
#[derive(clap::Args, Debug)]
struct StatusArgs {
    /// The folder of the shards
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Arguments of `sweep merge`.
#[derive(clap::Args, Debug)]
struct MergeArgs {
    /// The folder of the shards
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Writes the results here
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,

    /// Threads to merge on, each with a point in memory; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Writes data only: neither charts nor the pages of points
    #[arg(long)]
    no_report: bool,

    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = MergeFormat::Table, value_name = "FORMAT")]
    format: MergeFormat,

    /// Says nothing but results and errors
    #[arg(long, short)]
    quiet: bool,
}

/// What `merge` prints on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MergeFormat {
    /// A table for people
    Table,
    /// `sweep.json`
    Json,
    /// `sweep.csv`
    Csv,
    /// The table as Markdown
    Markdown,
}

/// Does what the arguments ask for.
///
/// # Errors
/// Gives files that cannot be read or written, and shards that are not whole.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Plan(args) => plan(args),
        Command::Run(args) => run_shards(args),
        Command::Status(args) => show_status(args),
        Command::Merge(args) => merge_shards(args),
        Command::Emit(args) => emit::run(args),
    }
}

fn plan(args: &PlanArgs) -> anyhow::Result<Exit> {
    let Some(source) = args.sweep.source()? else {
        return Ok(Exit::Usage);
    };
    let overrides = args.sweep.overrides.overrides();
    let Some(Sweep { plan, .. }) = args.sweep.plan(&source, &overrides, None)? else {
        return Ok(Exit::Usage);
    };
    if let Some(path) = &args.output {
        sweep::write_plan(&plan, path)?;
    }
    match args.format {
        Format::Text => print(&described(&plan)),
        Format::Json => print(&String::from_utf8(plan.to_json()).context("a plan is text")?),
    }?;
    Ok(Exit::Success)
}

fn described(plan: &Plan) -> String {
    let longest = plan.shards.iter().map(|shard| shard.core_seconds).fold(0.0, f64::max);
    let mut text = format!(
        "{}: {} runs at {} points\n",
        plan.scenario,
        plan.runs_total,
        plan.points.len()
    );
    for axis in &plan.grid {
        text.push_str(&format!("  {}: {}\n", axis.path, axis.values.join(", ")));
    }
    text.push_str(&format!(
        "shards: {}, the longest about {}\n",
        plan.shards.len(),
        span(longest)
    ));
    text.push_str(&format!(
        "estimate: {} events, {} of one core, {:.0} MiB for a thread\n",
        plan.estimate.events_total,
        span(plan.estimate.core_seconds),
        (plan.estimate.memory_bytes as f64 / f64::from(1 << 20)).ceil()
    ));
    text.push_str(&format!("digest: {}\n", plan.digest));
    text
}

/// Seconds as one says them.
fn span(seconds: f64) -> String {
    match seconds {
        _ if seconds < 120.0 => format!("{seconds:.1} s"),
        _ if seconds < 7200.0 => format!("{:.1} min", seconds / 60.0),
        _ if seconds < 172_800.0 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

fn run_shards(args: &RunArgs) -> anyhow::Result<Exit> {
    let environment = |name: &str| std::env::var(name).ok();
    let which = match index::find(args.shard.as_deref(), args.sweep.shards, environment) {
        Ok(which) => which,
        Err(problem) => return usage(&problem),
    };
    let Some(source) = args.sweep.source()? else {
        return Ok(Exit::Usage);
    };
    let overrides = args.sweep.overrides.overrides();
    let Some(mut sweep) = args.sweep.plan(&source, &overrides, which.shards)? else {
        return Ok(Exit::Usage);
    };
    let count = sweep.plan.shards.len() as u32;
    let shards = match which.index {
        Some(index) if index >= count => {
            return usage(&format!(
                "there is no shard {index}: the sweep is cut into {count}, counted from 0\n  help: say into how many with `--shards N`"
            ));
        }
        Some(index) => index..index + 1,
        None => 0..count,
    };
    let threads = threads(args.threads);
    sweep::run::prepare(&sweep.plan, &args.output)?;
    let is_one = which.index.is_some();
    for shard in shards {
        run_one(args, &mut sweep, shard, threads)?;
    }
    if !is_one && !args.quiet {
        eprintln!(
            "all shards are complete: `meshsim sweep merge {} -o RESULTS` writes the results",
            args.output.display()
        );
    }
    Ok(Exit::Success)
}

/// As many as was asked for, or as there are cores.
fn threads(asked: Option<u16>) -> usize {
    asked.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}

fn run_one(args: &RunArgs, sweep: &mut Sweep<'_>, shard: u32, threads: usize) -> anyhow::Result<()> {
    let clock = provenance::Clock::start(shard, threads, &args.output)?;
    let count = sweep.plan.shards.len();
    let name = format!("{} shard {shard} of {count}", sweep.plan.scenario);
    let drawer = progress::Drawer::new(&name, args.quiet);
    drawer.observe(meshsim::experiment::Progress::Started {
        cells: sweep.plan.shards[shard as usize].runs_total as usize,
    });
    let ran = sweep::run::run(sweep, shard, &args.output, threads, |progress| drawer.observe(progress))?;
    let place = sweep::run::path_of(&args.output, shard);
    clock.stop(&ran)?;
    match ran {
        Ran::Kept => {
            drawer.discard();
            print(&format!("shard {shard} of {count}: kept, {} is complete\n", place.display()))
        }
        Ran::Done { bytes, replaced } => {
            drawer.finish();
            if let Some(reason) = replaced {
                eprintln!("warning: `{}` was corrupt and has been run again: {reason}", place.display());
            }
            print(&format!(
                "shard {shard} of {count}: done, {} ({bytes} bytes)\n",
                place.display()
            ))
        }
    }
}

fn usage(problem: &str) -> anyhow::Result<Exit> {
    eprintln!("error: {problem}");
    Ok(Exit::Usage)
}

fn show_status(args: &StatusArgs) -> anyhow::Result<Exit> {
    let status = status::of(&args.folder)?;
    match args.format {
        Format::Json => print(&format!("{:#}\n", serde_json::to_value(&status)?))?,
        Format::Text => print(&status_text(&status, &args.folder))?,
    }
    Ok(if status.is_complete() { Exit::Success } else { Exit::Fault })
}

fn status_text(status: &status::Status, folder: &Path) -> String {
    let mut text = format!(
        "{}: {} of {} shards are complete (plan {})\n",
        status.scenario,
        status.complete.len(),
        status.shards_total,
        status.digest
    );
    if !status.missing.is_empty() {
        text.push_str(&format!("missing: {}\n", status::array(&status.missing)));
    }
    for (what, files) in [("corrupt", &status.corrupt), ("foreign", &status.foreign)] {
        for broken in files {
            text.push_str(&format!("{what}: {}: {}\n", broken.file, broken.reason));
        }
    }
    let killed = sweep::provenance::attempts(folder);
    let open = killed
        .iter()
        .filter(|attempt| attempt.state == "started" && !status.complete.contains(&attempt.shard));
    for attempt in open {
        text.push_str(&format!(
            "begun and not ended: shard {} on {} (process {})\n",
            attempt.shard, attempt.host, attempt.pid
        ));
    }
    if !status.array.is_empty() {
        text.push_str(&format!(
            "run again: {} (about {} of one core)\n",
            status.array,
            span(status.core_seconds)
        ));
    }
    if !status.foreign.is_empty() {
        text.push_str("take the foreign files away first\n");
    }
    text
}

fn merge_shards(args: &MergeArgs) -> anyhow::Result<Exit> {
    let begin = provenance::now();
    let plan = status::read_plan(&args.folder)?;
    let whole = merge::check(&plan, &args.folder)?;
    let extent = if args.no_report { Extent::Data } else { Extent::All };
    let points = plan.points.len();
    let drawer = progress::Steps::new(&plan.scenario, points, args.quiet);
    let mut writing = Some(interrupt::uninterrupted());
    let results = merge::merge(&whole, &args.output, extent, threads(args.threads), |merged| {
        drawer.observe(merged);
        writing = writing.take().map(interrupt::give_way);
    })?;
    drop(writing);
    drawer.finish();
    if let Err(error) = provenance::gather(&args.folder, &plan.digest, begin) {
        eprintln!("warning: {error:#}");
    }
    if !args.quiet {
        eprintln!("results in {}", args.output.display());
    }
    match args.format {
        MergeFormat::Table => print(&table::render(&results, false)),
        MergeFormat::Markdown => print(&table::render(&results, true)),
        MergeFormat::Json => print(&String::from_utf8(merge::to_json(&results)).context("JSON is text")?),
        MergeFormat::Csv => {
            let path = args.output.join("sweep.csv");
            print(&std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?)
        }
    }?;
    Ok(Exit::Success)
}
