//! What the subcommands that run scenarios share: their arguments, and loading with every problem told.

use std::path::PathBuf;

use meshsim::scenario::Scenario;

use crate::cli::overrides::OverrideArgs;
use crate::cli::validate;

/// Arguments of every subcommand that runs scenarios.
#[derive(clap::Args, Debug)]
pub struct ScenarioArgs {
    /// Scenario files; `-` is standard input
    #[arg(required = true, value_name = "SCENARIO")]
    pub files: Vec<PathBuf>,

    #[command(flatten)]
    overrides: OverrideArgs,

    /// Threads to run on; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Says nothing but results and errors
    #[arg(long, short)]
    pub quiet: bool,
}

impl ScenarioArgs {
    /// How many threads to run on.
    pub fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(all, usize::from)
    }

    /// All scenarios; `None` if there is a problem with any, which has been told then.
    ///
    /// # Errors
    /// If stderr cannot be written.
    pub fn load(&self) -> anyhow::Result<Option<Vec<Scenario>>> {
        let overrides = self.overrides.overrides();
        let mut scenarios = Vec::new();
        // Every file is looked at, so that all problems are told at once.
        for file in &self.files {
            let (scenario, diagnostics) = validate::load_file(file, &overrides);
            validate::report(&diagnostics)?;
            scenarios.push(scenario);
        }
        Ok(scenarios.into_iter().collect())
    }
}
