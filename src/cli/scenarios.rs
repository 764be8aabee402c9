//! What the subcommands that run scenarios share: their arguments, and loading with every problem told.

use std::io;
use std::path::PathBuf;

use meshsim::scenario::{self, Overrides, Scenario, Source};
use meshsim::time::Duration;

use crate::cli::colored;

/// Arguments of every subcommand that runs scenarios.
#[derive(clap::Args, Debug)]
pub struct ScenarioArgs {
    /// Scenario files
    #[arg(required = true, value_name = "SCENARIO")]
    pub files: Vec<PathBuf>,

    /// Runs only this variant (repeatable)
    #[arg(long, value_name = "NAME")]
    variant: Vec<String>,

    /// Takes this seed in place of the scenario's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Runs each variant this often, in place of the scenario's `replications`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    replications: Option<u32>,

    /// Simulates this long, in place of the scenario's `duration`
    #[arg(long, value_name = "D", value_parser = Duration::parse)]
    duration: Option<Duration>,

    /// Sets any value of the scenario, such as `topology.services.cart.replicas=5` (repeatable)
    #[arg(long, value_name = "PATH=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,

    /// Runs a scenario that is larger than this machine is thought to bear
    #[arg(long)]
    force: bool,

    /// Threads to run on; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Says nothing but results and errors
    #[arg(long, short)]
    pub quiet: bool,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, value)) if !path.trim().is_empty() => Ok((path.trim().to_string(), value.to_string())),
        _ => Err(format!("expected `path=value`, such as `duration=1m`, not `{text}`")),
    }
}

impl ScenarioArgs {
    /// How many threads to run on.
    pub fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(all, usize::from)
    }

    /// All scenarios; `None` if there is a problem with any, which has been told then.
    pub fn load(&self) -> Option<Vec<Scenario>> {
        let overrides = Overrides {
            set: self.set.clone(),
            variants: self.variant.clone(),
            seed: self.seed,
            replications: self.replications,
            duration: self.duration,
            force: self.force,
        };
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
