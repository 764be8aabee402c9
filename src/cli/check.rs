//! `meshsim check`: as `run`, then what the scenario expects (holds, fails, or undecided), and how it compares with earlier results.

use std::io;
use std::path::PathBuf;

use meshsim::experiment::expect::decide;
use meshsim::random::Share;
use meshsim::report::baseline::{Baseline, Standing, Tolerances, Unusable};
use meshsim::report::check::lines::{self, Colors};
use meshsim::report::check::{Check, ExpectationCheck, ScenarioCheck, junit};
use meshsim::report::table::{self, Style};
use meshsim::report::{Extent, Results, write};
use meshsim::scenario::diagnostic::annotation;
use meshsim::scenario::expect::{Metric, Place, metric_named};

use crate::cli::run::{self, Format, Job};
use crate::cli::watch::{self, Found, Round};
use crate::cli::{Exit, colored, in_github_actions, interrupt, print};

/// Arguments of `check`.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    run: run::Args,

    /// Compares with earlier results: a results folder, or a folder with one for each scenario by its name
    #[arg(long, value_name = "DIR")]
    baseline: Option<PathBuf>,

    /// Writes what `--baseline` compares with into DIR/<scenario name>; what is worse than before is told and does not fail
    #[arg(long, requires = "baseline")]
    update_baseline: bool,

    /// How much worse than the baseline a figure may be: `5%` of what it was [default: 2%], `p99=5%` for one metric; for a share such
    /// as `availability=0.5%` in percentage points [default: 0.1%]; repeatable, wins over the scenario's `baseline`
    #[arg(long, value_name = "[METRIC=]SHARE", requires = "baseline", value_parser = tolerance)]
    tolerance: Vec<(Option<Metric>, f64)>,

    /// Writes a JUnit report: a suite for each scenario, a case for each expectation
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Reads `5%` and `p99=5%`.
fn tolerance(text: &str) -> Result<(Option<Metric>, f64), String> {
    let (metric, share) = match text.split_once('=') {
        Some((name, share)) => (Some(named(name.trim())?), share),
        None => (None, text),
    };
    Ok((metric, Share::parse(share)?.value()))
}

fn named(name: &str) -> Result<Metric, String> {
    metric_named(name).map_err(|problem| match problem.help {
        Some(help) => format!("{}; {help}", problem.message),
        None => problem.message,
    })
}

/// Runs the scenarios and decides their expectations.
///
/// # Errors
/// Gives what cannot be read or written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    watch::perhaps(&args.run, || {
        let mut round = Round::new(&args.run);
        let Some(jobs) = run::jobs(&args.run, &mut round)? else {
            return Ok(round);
        };
        if let Some(job) = jobs.iter().find(|job| !args.update_baseline && is_own_baseline(args, job)) {
            eprintln!(
                "error: the results of `{}` would overwrite the baseline that they are compared with\n  help: write them elsewhere \
                 with `-o`, or the baseline with `--update-baseline`",
                job.scenario.name
            );
            return Ok(round);
        }
        // Whoever simulates for an hour wants to know beforehand.
        let baselines = jobs
            .iter()
            .map(|job| baseline(args, job))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut checks = Vec::new();
        for (index, (job, baseline)) in jobs.iter().zip(&baselines).enumerate() {
            let (check, results) = one(args, job, baseline.as_ref())?;
            if args.run.is_for_people() {
                run::show(&args.run, &results, index)?;
                let text = match args.run.format {
                    Format::Markdown => lines::markdown(&check),
                    _ => lines::text(&check, colors(&io::stdout())),
                };
                print(&format!("\n{text}"))?;
            } else if !args.run.scenarios.quiet {
                eprint!("{}", lines::text(&check, colors(&io::stderr())));
            }
            annotate(&check);
            let table = table::render(&results.summary, Style::Markdown);
            run::step_summary(&format!("{table}\n{}", lines::markdown(&check)))?;
            round.found.push(Found {
                summary: results.summary,
                check: Some(check.clone()),
            });
            checks.push(check);
        }
        let check = Check::new(checks);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("reports are UTF-8");
        match args.run.format {
            Format::Json => print(&text(check.json()))?,
            Format::Csv => print(&text(check.csv()))?,
            Format::Table | Format::Markdown => {}
        }
        if let Some(path) = &args.junit {
            let _writing = interrupt::uninterrupted();
            write::write_file(path, &junit::xml(&check))?;
        }
        round.exit = exit(args, &check);
        Ok(round)
    })
}

fn colors(stream: &impl io::IsTerminal) -> Colors {
    if colored(stream) { Colors::On } else { Colors::Off }
}

/// Whether all that was expected holds. While a baseline is written what it was does not count.
fn exit(args: &Args, check: &Check) -> Exit {
    let is_kept = |line: &ExpectationCheck| matches!(line.verdict, "holds" | "skipped");
    let expected = check
        .scenarios
        .iter()
        .all(|scenario| scenario.expectations.iter().all(is_kept));
    let is_worse = |scenario: &ScenarioCheck| scenario.standing(Standing::Regressed) + scenario.standing(Standing::Undecided) > 0;
    let worse = !args.update_baseline && check.scenarios.iter().any(is_worse);
    if expected && !worse { Exit::Success } else { Exit::Failed }
}

/// Runs one scenario, decides what it expects, and compares it with what it was.
fn one(args: &Args, job: &Job, baseline: Option<&Baseline>) -> anyhow::Result<(ScenarioCheck, Results)> {
    let (outcome, results) = run::perform(&args.run, job)?;
    let decisions = decide(&job.scenario, &outcome);
    let mut tolerances = Tolerances::default();
    for (metric, share) in &args.tolerance {
        match metric {
            Some(metric) => tolerances.single.push((*metric, *share)),
            None => tolerances.general = Some(*share),
        }
    }
    let compared = baseline.map(|baseline| baseline.compare(&job.scenario, &outcome, &results, &tolerances));
    if args.update_baseline
        && let Some(folder) = &args.baseline
    {
        let folder = Baseline::place(folder, &job.scenario.name);
        let kept = |(name, _): &(String, Vec<u8>)| matches!(name.as_str(), "summary.json" | "replications.csv");
        let files: Vec<_> = results.files(Extent::Data).into_iter().filter(kept).collect();
        let _writing = interrupt::uninterrupted();
        write::write_folder(&folder, &files)?;
        if !args.run.scenarios.quiet {
            eprintln!("baseline in {}", folder.display());
        }
    }
    let check = ScenarioCheck::new(&job.scenario, &results.summary, &decisions, compared);
    Ok((check, results))
}

/// The earlier results of a scenario. Where they are about to be written there may be none.
fn baseline(args: &Args, job: &Job) -> anyhow::Result<Option<Baseline>> {
    let Some(folder) = &args.baseline else { return Ok(None) };
    let folder = Baseline::place(folder, &job.scenario.name);
    match Baseline::read(&folder, &job.scenario.name) {
        Ok(baseline) => Ok(Some(baseline)),
        Err(Unusable::Foreign(problem)) => Err(anyhow::anyhow!(problem)),
        Err(Unusable::Unreadable(_)) if args.update_baseline && !folder.join("summary.json").exists() => Ok(None),
        Err(Unusable::Unreadable(problem)) if args.update_baseline => {
            eprintln!("warning: {problem}; it is written anew");
            Ok(None)
        }
        Err(Unusable::Unreadable(problem)) => Err(anyhow::anyhow!("{problem}\n  help: `--update-baseline` writes a baseline")),
    }
}

fn is_own_baseline(args: &Args, job: &Job) -> bool {
    let Some(folder) = &args.baseline else { return false };
    let same = |path: PathBuf| path.canonicalize().unwrap_or(path);
    same(Baseline::place(folder, &job.scenario.name)) == same(job.folder.clone())
}

/// In GitHub Actions, what does not hold is an annotation: an error where it fails or has regressed, or nobody can tell.
fn annotate(check: &ScenarioCheck) {
    if !in_github_actions() {
        return;
    }
    for line in check
        .expectations
        .iter()
        .filter(|line| !matches!(line.verdict, "holds" | "skipped"))
    {
        let place = line
            .line
            .zip(line.column)
            .zip(line.end_column)
            .map(|((line, column), end_column)| Place {
                line,
                column,
                end_column,
            });
        let title = format!("{}: expectation {}", check.scenario, line.verdict);
        eprint!(
            "{}",
            annotation("error", &title, Some((&check.file, place)), &lines::expectation(line))
        );
    }
    let compared = check.baseline.iter().flat_map(|baseline| &baseline.comparisons);
    for line in compared.filter(|line| matches!(line.verdict, Standing::Regressed | Standing::Undecided)) {
        let title = format!("{}: baseline {}", check.scenario, line.verdict.word());
        eprint!(
            "{}",
            annotation("error", &title, Some((&check.file, None)), &lines::comparison(line))
        );
    }
}
