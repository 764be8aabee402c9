//! `meshsim completions SHELL`: a script for shell completion on stdout.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Cli, Exit, print};

/// Arguments of `completions`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The shell to write for
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// Gives what goes wrong in writing to stdout.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "meshsim", &mut script);
    print(&String::from_utf8(script).expect("completion scripts are UTF-8"))?;
    Ok(Exit::Success)
}
