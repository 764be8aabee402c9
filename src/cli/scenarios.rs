//! What the subcommands that run scenarios share: their arguments, and loading with every problem told.

use std::io;
use std::path::PathBuf;

use meshsim::scenario::{self, Overrides, Scenario, Source};

use crate::cli::colored;
use crate::cli::overrides::OverrideArgs;

/// Arguments of every subcommand that runs scenarios.
#[derive(clap::Args, Debug)]
pub struct ScenarioArgs {
    /// Scenario files
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
    pub fn load(&self) -> Option<Vec<Scenario>> {
        let overrides = self.overrides.overrides();
        // Every file is looked at, so that all problems are told at once.
        let scenarios: Vec<Option<Scenario>> = self.files.iter().map(|file| load(file, &overrides)).collect();
        scenarios.into_iter().collect()
    }
}

fn load(file: &std::path::Path, overrides: &Overrides) -> Option<Scenario> {
    let (scenario, diagnostics) = match Source::read(file) {
        Ok(source) => scenario::load(&source, overrides),
        Err(diagnostics) => (None, diagnostics),
    };
    if !diagnostics.is_empty() {
        eprint!("{}", diagnostics.render(colored(&io::stderr())));
        if std::env::var_os("GITHUB_ACTIONS").is_some() {
            eprint!("{}", diagnostics.render_github());
        }
    }
    scenario
}
