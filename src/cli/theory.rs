//! `meshsim theory`: what queueing theory knows of a scenario, beside what was observed.

use std::io;

use clap::ValueEnum;
use meshsim::experiment::Experiment;
use meshsim::theory;

use crate::cli::scenarios::ScenarioArgs;
use crate::cli::{Exit, colored, print, progress};

/// Compares the parts of scenarios that have a known answer with it
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    scenarios: ScenarioArgs,

    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    format: Format,

    /// Exits with 1 where an exact result or a bound is missed by more than 3.3 standard errors
    #[arg(long)]
    strict: bool,
}

/// What is printed on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for people.
    Table,
    /// Everything, times in seconds.
    Json,
}

/// Runs the subcommand.
///
/// # Errors
/// Gives what cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let Some(scenarios) = args.scenarios.load()? else {
        return Ok(Exit::Usage);
    };
    let mut examinations = Vec::new();
    for scenario in &scenarios {
        let drawer = progress::Drawer::new(&scenario.name, args.scenarios.quiet);
        let outcome = Experiment::of(scenario).run(args.scenarios.threads(), |progress| drawer.observe(progress));
        drawer.finish();
        examinations.push(theory::examine(scenario, &outcome));
    }
    let text = match args.format {
        Format::Table => {
            let color = colored(&io::stdout());
            let texts: Vec<String> = examinations
                .iter()
                .map(|examination| theory::text(examination, color))
                .collect();
            texts.join("\n")
        }
        Format::Json => {
            let text = match &examinations[..] {
                [one] => serde_json::to_string_pretty(one),
                all => serde_json::to_string_pretty(all),
            };
            text? + "\n"
        }
    };
    print(&text)?;
    let differs = examinations.iter().any(theory::Examination::differs);
    Ok(if args.strict && differs { Exit::Failed } else { Exit::Success })
}
