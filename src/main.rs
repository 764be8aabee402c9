//! The command line of meshsim: parse, run, print the error, exit.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Exit};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let exit = cli.run().unwrap_or_else(|error| {
        // Whoever reads our output may stop reading: `meshsim … | head` is not an error.
        if cli::is_broken_pipe(&error) {
            return Exit::Success;
        }
        cli::tell(&error);
        Exit::Fault
    });
    ExitCode::from(exit as u8)
}
