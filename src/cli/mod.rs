//! The command line: arguments and exit codes here, one file per subcommand beside.
//!
//! A subcommand loads, calls the library and prints: it knows nothing that a user of the library cannot do. stdout
//! carries only results; progress, warnings and errors go to stderr.

mod check;
mod completions;
mod explain;
mod init;
mod interrupt;
mod overrides;
mod policies;
mod progress;
mod replay;
mod report;
mod run;
mod scenarios;
mod schema;
mod sweep;
mod theory;
mod validate;
mod watch;

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use clap::{Parser, Subcommand, ValueEnum};
use meshsim::scenario::diagnostic::annotation;

/// What the process says when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All well.
    Success = 0,
    /// An expectation failed, or could not be decided with the replications given.
    Failed = 1,
    /// Bad usage, or a scenario that is not valid.
    Usage = 2,
    /// A fault at run time: a file that cannot be written.
    Fault = 3,
    /// The user interrupted it.
    Interrupted = 130,
}

/// A deterministic discrete-event simulator and benchmark harness for service meshes.
#[derive(Parser, Debug)]
#[command(name = "meshsim", version, about, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    /// When to colour what is written for people
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    color: When,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Runs every variant and replication, prints a comparison, writes the results
    Run(run::Args),
    /// Runs scenarios as `run` does, then decides what they expect
    Check(check::Args),
    /// Checks scenarios and reports every problem; runs nothing
    Validate(validate::Args),
    /// Runs a grid of scenarios, on this machine or cut into shards on many
    Sweep(sweep::Args),
    /// Drives one policy by a script of events and prints its decisions
    Replay(replay::Args),
    /// Tells the story of single requests: every attempt, what the balancer saw, why it chose
    Explain(explain::Args),
    /// Compares the parts of scenarios that have a known answer with it
    Theory(theory::Args),
    /// Lists the policies, or the options of one
    Policies(policies::Args),
    /// Prints the JSON Schema of a scenario file
    Schema(schema::Args),
    /// Writes a commented scenario to begin with
    Init(init::Args),
    /// Draws charts and the HTML page again from a results folder
    Report(report::Args),
    /// Prints a script for shell completion
    Completions(completions::Args),
}

impl Cli {
    /// Does what the arguments ask for.
    ///
    /// # Errors
    /// Gives what the user cannot mend by other arguments: files that cannot be written and the like.
    pub fn run(&self) -> anyhow::Result<Exit> {
        COLOR.get_or_init(|| self.color);
        interrupt::install()?;
        match &self.command {
            Command::Run(args) => run::run(args),
            Command::Check(args) => check::run(args),
            Command::Explain(args) => explain::run(args),
            Command::Theory(args) => theory::run(args),
            Command::Validate(args) => validate::run(args),
            Command::Sweep(args) => sweep::run(args),
            Command::Schema(args) => schema::run(args),
            Command::Init(args) => init::run(args),
            Command::Replay(args) => replay::run(args),
            Command::Policies(args) => policies::run(args),
            Command::Report(args) => report::run(args),
            Command::Completions(args) => completions::run(args),
        }
    }
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

static COLOR: OnceLock<When> = OnceLock::new();

/// Whether to colour what is written to `stream`.
pub fn colored(stream: &impl IsTerminal) -> bool {
    match COLOR.get().copied().unwrap_or(When::Auto) {
        When::Always => true,
        When::Never => false,
        When::Auto => stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

/// Writes `text` to stdout.
///
/// # Errors
/// A closed pipe among them: see [`is_broken_pipe`].
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// Whether GitHub Actions reads what we say.
pub fn in_github_actions() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Tells an error that ends the program: in GitHub Actions it is an annotation, too.
pub fn tell(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
    if in_github_actions() {
        eprint!("{}", annotation("error", "meshsim", None, &format!("{error:#}")));
    }
}

/// Whether an error is that nobody reads our output any more.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.into_iter().any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};
    use saphyr::{LoadableYamlNode, YamlOwned};

    use super::Cli;

    const WORKFLOWS: [&str; 2] = [
        include_str!("../../docs/ci/github.yml"),
        include_str!("../../docs/ci/gitlab.yml"),
    ];

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    /// All texts of a document.
    fn texts(node: &YamlOwned, found: &mut Vec<String>) {
        if let Some(text) = node.as_str() {
            found.push(text.to_string());
        }
        for item in node.as_sequence().into_iter().flatten() {
            texts(item, found);
        }
        for (key, value) in node.as_mapping().into_iter().flatten() {
            texts(key, found);
            texts(value, found);
        }
    }

    #[test]
    fn workflows_for_ci_say_what_the_program_understands() {
        for workflow in WORKFLOWS {
            let documents = YamlOwned::load_from_str(workflow).expect("a workflow is YAML");
            let mut found = Vec::new();
            texts(&documents[0], &mut found);
            // The comments have a command, too.
            let comments = workflow.lines().filter_map(|line| line.strip_prefix("#   "));
            let lines = found.iter().flat_map(|text| text.lines()).chain(comments);
            let commands: Vec<&str> = lines
                .filter(|line| line.starts_with("meshsim ") && !line.contains("://"))
                .map(|line| line.split(" && ").next().expect("a split has a first part"))
                .collect();
            assert_eq!(commands.len(), 3, "{commands:?}");
            for command in commands {
                let parsed = Cli::try_parse_from(command.split_whitespace());
                assert!(parsed.is_ok(), "{command}: {}", parsed.expect_err("it is wrong"));
            }
        }
    }
}
