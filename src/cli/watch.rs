//! `--watch`: runs again when a file has changed, and says what is different.
//!
//! Files are looked at a few times a second, which works with every editor and file system; a scenario names a handful.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use meshsim::report::check::ScenarioCheck;
use meshsim::report::{Summary, moves};

use crate::cli::run::Args;
use crate::cli::{Exit, tell};

/// Between two looks at the files.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// What came of running everything once.
pub struct Round {
    /// How the program would end.
    pub exit: Exit,
    /// The files that it depends on.
    pub files: Vec<PathBuf>,
    /// What was found, scenario by scenario.
    pub found: Vec<Found>,
}

/// What was found of a scenario.
pub struct Found {
    /// Its results.
    pub summary: Summary,
    /// What was decided, if anything.
    pub check: Option<ScenarioCheck>,
}

impl Round {
    /// A round that has not got beyond reading the scenarios.
    pub fn new(args: &Args) -> Round {
        Round {
            exit: Exit::Usage,
            files: args.scenarios.files.clone(),
            found: Vec::new(),
        }
    }
}

/// Does a round; with `--watch` again and again, until the user interrupts it.
///
/// # Errors
/// Those of the round; while watching they are told, and the next change is waited for.
pub fn perhaps(args: &Args, mut round: impl FnMut() -> anyhow::Result<Round>) -> anyhow::Result<Exit> {
    if !args.watch {
        return Ok(round()?.exit);
    }
    if args.scenarios.files.iter().any(|file| file.as_os_str() == "-") {
        eprintln!("error: standard input cannot be watched\n  help: write the scenario to a file");
        return Ok(Exit::Usage);
    }
    let mut files = args.scenarios.files.clone();
    let mut before: Vec<Found> = Vec::new();
    loop {
        // Noted before they are read, so that what is saved meanwhile is seen.
        let mut seen = stamps(&files);
        match round() {
            Ok(round) => {
                let named = round.files.iter().filter(|file| !files.contains(file));
                let new: Vec<PathBuf> = named.cloned().collect();
                seen.extend(stamps(&new));
                files.extend(new);
                if !round.found.is_empty() {
                    for found in &round.found {
                        let earlier = before
                            .iter()
                            .find(|earlier| earlier.summary.scenario == found.summary.scenario);
                        if let Some(earlier) = earlier {
                            eprint!("{}", difference(earlier, found));
                        }
                    }
                    before = round.found;
                }
            }
            Err(error) if crate::cli::is_broken_pipe(&error) => return Err(error),
            Err(error) => tell(&error),
        }
        if !args.scenarios.quiet {
            let plural = if files.len() == 1 { "" } else { "s" };
            eprintln!("watching {} file{plural}; Ctrl-C ends it", files.len());
        }
        wait(&files, &seen);
        if !args.scenarios.quiet {
            eprintln!();
        }
    }
}

/// What tells one version of a file from another; `None` while there is no file.
type Stamp = Option<(Option<SystemTime>, u64)>;

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let about = fs::metadata(file).ok()?;
        Some((about.modified().ok(), about.len()))
    };
    files.iter().map(stamp).collect()
}

/// Until some file is not what it was, and has been so for two looks: editors write in several steps.
fn wait(files: &[PathBuf], seen: &[Stamp]) {
    let mut last = seen.to_vec();
    loop {
        thread::sleep(BETWEEN_LOOKS);
        let now = stamps(files);
        if now != seen && now == last {
            return;
        }
        last = now;
    }
}

/// What is different from the round before.
fn difference(before: &Found, now: &Found) -> String {
    let mut out = format!("{}, compared with the run before:\n", now.summary.scenario);
    let mut lines = moves::moved(&before.summary, &now.summary);
    if let (Some(before), Some(now)) = (&before.check, &now.check) {
        lines.extend(moves::verdicts(before, now));
    }
    if lines.is_empty() {
        lines.push("nothing has changed".to_string());
    }
    lines.iter().for_each(|line| out.push_str(&format!("  {line}\n")));
    out
}
