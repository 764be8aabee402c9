//! The command line of meshsim.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let exit = cli::Cli::parse().run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        cli::Exit::Fault
    });
    ExitCode::from(exit as u8)
}
