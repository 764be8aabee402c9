//! `meshsim check`: as `run`, then what the scenario expects: holds, fails, or undecided.

use std::fmt::Write as _;

use crate::cli::{Exit, print, run};
use meshsim::experiment::expect::{Decision, Verdict, decide};
use meshsim::experiment::{Outcome, Scenario};

/// Arguments of `check`.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    run: run::Args,
}

/// Runs the scenarios and decides their expectations.
///
/// # Errors
/// Gives what cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let is_for_people = args.run.is_for_people();
    run::run_then(&args.run, |scenario, outcome| decide_all(scenario, outcome, is_for_people))
}

/// Decides one scenario's expectations. stdout carries them where it is for people, else stderr.
fn decide_all(scenario: &Scenario, outcome: &Outcome, is_for_people: bool) -> anyhow::Result<Exit> {
    let decisions = decide(scenario, outcome);
    let mut text = String::new();
    if decisions.is_empty() {
        writeln!(text, "{} expects nothing: add `expect:`", scenario.name)?;
    }
    for decision in &decisions {
        writeln!(text, "{}", line(decision))?;
    }
    if is_for_people {
        print(&format!("\n{text}"))?;
    } else {
        eprint!("{text}");
    }
    annotate(scenario, &decisions);
    let all_hold = decisions.iter().all(|decision| decision.verdict == Verdict::Holds);
    Ok(if all_hold { Exit::Success } else { Exit::Failed })
}

fn line(decision: &Decision) -> String {
    let (word, reason) = match &decision.verdict {
        Verdict::Holds => ("holds", String::new()),
        Verdict::Fails => ("FAILS", String::new()),
        Verdict::Undecided(reason) => ("undecided", format!("; {reason}")),
    };
    let sides = match (&decision.left, &decision.right) {
        (Some(left), Some(right)) => format!(" ({:.6} against {:.6}{reason})", left.value, right.value),
        _ => reason.replacen("; ", " (", 1) + if reason.is_empty() { "" } else { ")" },
    };
    format!("{word:>9}  {}{sides}", decision.text)
}

/// In GitHub Actions, what does not hold is an annotation.
fn annotate(scenario: &Scenario, decisions: &[Decision]) {
    if std::env::var_os("GITHUB_ACTIONS").is_none() {
        return;
    }
    for decision in decisions.iter().filter(|decision| decision.verdict != Verdict::Holds) {
        let at = scenario
            .source_text
            .lines()
            .position(|text| text.contains(&decision.text))
            .map_or(1, |line| line + 1);
        eprintln!("::error file={},line={at}::{}", scenario.source_name, line(decision).trim());
    }
}
