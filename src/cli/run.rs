//! `meshsim run`: every variant and replication, a table on stdout, a results folder.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use meshsim::experiment::{Experiment, Outcome, Scenario};
use meshsim::report::table::{self, Style};
use meshsim::report::{Extent, Results, csv, json, write};

use crate::cli::scenarios::ScenarioArgs;
use crate::cli::watch::{self, Found, Round};
use crate::cli::{Exit, colored, interrupt, print, progress};

/// Arguments of `run`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    pub scenarios: ScenarioArgs,

    /// Writes the results here [default: results/<scenario name>]; with several scenarios, into a folder each below it
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,

    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub format: Format,

    /// Writes data only: neither charts nor the HTML page
    #[arg(long)]
    no_report: bool,

    /// Runs again whenever a scenario, or a file that it names, has changed, and says what is different; Ctrl-C ends it
    #[arg(long)]
    pub watch: bool,
}

/// What is printed on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people.
    Table,
    /// The summary, as in `summary.json`.
    Json,
    /// Every figure, as in `summary.csv`.
    Csv,
    /// The table as Markdown.
    Markdown,
}

impl Args {
    /// Whether stdout is for people to read.
    pub fn is_for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Markdown)
    }
}

/// Runs the scenarios one after another.
///
/// # Errors
/// Gives what cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    watch::perhaps(args, || {
        let mut round = Round::new(args);
        let Some(jobs) = jobs(args, &mut round)? else {
            return Ok(round);
        };
        for (index, job) in jobs.iter().enumerate() {
            let (_, results) = perform(args, job)?;
            step_summary(&table::render(&results.summary, Style::Markdown))?;
            show(args, &results, index)?;
            round.found.push(Found {
                summary: results.summary,
                check: None,
            });
        }
        round.exit = Exit::Success;
        Ok(round)
    })
}

/// A scenario, and where its results go.
pub struct Job {
    /// What is run.
    pub scenario: Scenario,
    /// The results folder.
    pub folder: PathBuf,
}

/// What is to be run; `None` if that is not possible, which has been told then. Notes in `round` which files it depends on.
///
/// # Errors
/// Gives what stands where results would go.
pub fn jobs(args: &Args, round: &mut Round) -> anyhow::Result<Option<Vec<Job>>> {
    let Some(scenarios) = args.scenarios.load()? else {
        return Ok(None);
    };
    round
        .files
        .extend(scenarios.iter().flat_map(|scenario| scenario.files.clone()));
    let several = scenarios.len();
    let with_folder = scenarios.into_iter().map(|scenario| Job {
        folder: folder(args, &scenario, several),
        scenario,
    });
    let jobs: Vec<Job> = with_folder.collect();
    let is_twice = |(index, job): &(usize, &Job)| jobs[..*index].iter().any(|other| other.folder == job.folder);
    if let Some((_, twice)) = jobs.iter().enumerate().find(is_twice) {
        eprintln!(
            "error: two scenarios have the name `{}`\n  help: run them one by one, each with `-o`",
            twice.scenario.name
        );
        return Ok(None);
    }
    // Whoever simulates for an hour wants to know beforehand.
    jobs.iter().try_for_each(|job| can_be_made(&job.folder))?;
    Ok(Some(jobs))
}

/// Runs one scenario and writes its results.
///
/// # Errors
/// Gives what cannot be written.
pub fn perform(args: &Args, job: &Job) -> anyhow::Result<(Outcome, Results)> {
    let (outcome, results) = experiment(args, &job.scenario);
    let files = results.files(if args.no_report { Extent::Data } else { Extent::All });
    {
        let _writing = interrupt::uninterrupted();
        write::write_folder(&job.folder, &files)?;
    }
    if !args.scenarios.quiet {
        eprintln!("results in {}", job.folder.display());
    }
    Ok((outcome, results))
}

/// Prints the results of the scenario with this number.
///
/// # Errors
/// If stdout cannot be written.
pub fn show(args: &Args, results: &Results, index: usize) -> anyhow::Result<()> {
    let between = if index > 0 && args.is_for_people() { "\n" } else { "" };
    print(&format!("{between}{}", rendered(results, args.format)))
}

/// Fails where the folder, or what it would be made in, is a file.
fn can_be_made(folder: &Path) -> anyhow::Result<()> {
    let there = folder.ancestors().find(|ancestor| ancestor.exists());
    let is_file = there.is_some_and(|there| !there.is_dir());
    anyhow::ensure!(
        !is_file,
        "cannot write results to `{}`: a file is in its place",
        folder.display()
    );
    Ok(())
}

fn folder(args: &Args, scenario: &Scenario, scenarios: usize) -> PathBuf {
    match &args.output {
        Some(folder) if scenarios == 1 => folder.clone(),
        Some(folder) => folder.join(&scenario.name),
        None => Path::new("results").join(&scenario.name),
    }
}

/// Runs one scenario, with its progress and warnings on stderr.
fn experiment(args: &Args, scenario: &Scenario) -> (Outcome, Results) {
    let drawer = progress::Drawer::new(&scenario.name, args.scenarios.quiet);
    let outcome = Experiment::of(scenario).run(args.scenarios.threads(), |progress| drawer.observe(progress));
    drawer.finish();
    let results = Results::new(scenario, &outcome);
    if !args.scenarios.quiet {
        for warning in &results.summary.warnings {
            eprintln!("warning: {warning}");
        }
    }
    (outcome, results)
}

fn rendered(results: &Results, format: Format) -> String {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("reports are UTF-8");
    match format {
        Format::Table => {
            let color = colored(&io::stdout());
            table::render(&results.summary, Style::Terminal { color })
        }
        Format::Markdown => table::render(&results.summary, Style::Markdown),
        Format::Json => text(json::summary(&results.summary)),
        Format::Csv => text(csv::summary(&results.summary)),
    }
}

/// In GitHub Actions, adds Markdown to the step's summary.
///
/// # Errors
/// If that file cannot be written.
pub fn step_summary(markdown: &str) -> anyhow::Result<()> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    file.and_then(|mut file| writeln!(file, "{markdown}"))
        .with_context(|| format!("cannot write the step summary `{}`", Path::new(&path).display()))
}
