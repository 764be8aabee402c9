//! The command line: arguments and exit codes; one file for each subcommand.

pub mod policies;
pub mod replay;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All well.
    Success = 0,
    /// An expectation failed, or could not be decided.
    Failed = 1,
    /// Bad usage or an invalid scenario.
    Usage = 2,
    /// A fault at run time.
    Fault = 3,
    /// Interrupted.
    Interrupted = 130,
}

/// The arguments.
#[derive(clap::Parser, Debug)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    Replay(replay::Args),
    Policies(policies::Args),
}

impl Cli {
    /// Runs the subcommand.
    pub fn run(&self) -> anyhow::Result<Exit> {
        match &self.command {
            Command::Replay(args) => replay::run(args),
            Command::Policies(args) => policies::run(args),
        }
    }
}
