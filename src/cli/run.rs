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
use crate::cli::{Exit, colored, interrupt, print, progress};

/// Arguments of `run`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    scenarios: ScenarioArgs,

    /// Writes the results here [default: results/<scenario name>]; with several scenarios, into a folder each below it
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,

    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    format: Format,

    /// Writes data only: neither charts nor the HTML page
    #[arg(long)]
    no_report: bool,
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
    run_then(args, |_, _| Ok(Exit::Success))
}

/// Runs the scenarios one after another and hands each outcome to `then`, once its results are written and shown. Ends with the worst
/// of what that says.
///
/// # Errors
/// Gives what cannot be written.
pub fn run_then(args: &Args, mut then: impl FnMut(&Scenario, &Outcome) -> anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    let Some(scenarios) = args.scenarios.load()? else {
        return Ok(Exit::Usage);
    };
    let folders: Vec<PathBuf> = scenarios
        .iter()
        .map(|scenario| folder(args, scenario, scenarios.len()))
        .collect();
    if let Some(twice) = folders
        .iter()
        .enumerate()
        .find(|(index, folder)| folders[..*index].contains(folder))
    {
        eprintln!(
            "error: two scenarios have the name `{0}`\n  help: run them one by one, each with `-o`",
            scenarios[twice.0].name
        );
        return Ok(Exit::Usage);
    }
    // Whoever simulates for an hour wants to know beforehand.
    folders.iter().try_for_each(|folder| can_be_made(folder))?;
    let mut worst = Exit::Success;
    for (index, (scenario, folder)) in scenarios.iter().zip(&folders).enumerate() {
        let (outcome, results) = experiment(args, scenario);
        let files = results.files(if args.no_report { Extent::Data } else { Extent::All });
        {
            let _writing = interrupt::uninterrupted();
            write::write_folder(folder, &files)?;
        }
        if !args.scenarios.quiet {
            eprintln!("results in {}", folder.display());
        }
        step_summary(&results)?;
        let between = index > 0 && matches!(args.format, Format::Table | Format::Markdown);
        print(&format!(
            "{}{}",
            if between { "\n" } else { "" },
            rendered(&results, args.format)
        ))?;
        let exit = then(scenario, &outcome)?;
        if exit != Exit::Success {
            worst = exit;
        }
    }
    Ok(worst)
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

/// In GitHub Actions, adds the table to the step's summary.
fn step_summary(results: &Results) -> anyhow::Result<()> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let mut file = OpenOptions::new().create(true).append(true).open(&path);
    let markdown = table::render(&results.summary, Style::Markdown);
    let written = file.as_mut().map_err(|error| io::Error::new(error.kind(), error.to_string()));
    written
        .and_then(|file| writeln!(file, "{markdown}"))
        .with_context(|| format!("cannot write the step summary `{}`", Path::new(&path).display()))
}
