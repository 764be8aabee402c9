//! `meshsim report`: draws charts and the HTML page again from a results folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use meshsim::report::{Replications, Results, csv, json, write};

use crate::cli::{Exit, interrupt, print};

/// Arguments of `report`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A results folder, with `summary.json`, `timeseries.csv` and `latency.csv`
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Draws.
///
/// # Errors
/// Gives what cannot be read or written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let results = match read(&args.folder) {
        Ok(results) => results,
        Err(error) => {
            eprintln!("error: {error:#}\n  help: `meshsim run SCENARIO` writes such a folder");
            return Ok(Exit::Fault);
        }
    };
    let files = results.drawn();
    {
        let _writing = interrupt::uninterrupted();
        write::write_folder(&args.folder, &files)?;
    }
    print(&format!("{}\n", args.folder.join("report.html").display()))?;
    Ok(Exit::Success)
}

fn read(folder: &Path) -> anyhow::Result<Results> {
    let file = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))
    };
    let summary = json::read(&file("summary.json")?).map_err(|error| wrong(folder, &format!("summary.json: {error}")))?;
    let curves = csv::read(&file("timeseries.csv")?, &file("latency.csv")?).map_err(|error| wrong(folder, &error))?;
    // Nothing is drawn from single replications.
    let replications = Replications::default();
    Ok(Results {
        summary,
        curves,
        replications,
    })
}

fn wrong(folder: &Path, error: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "`{}` is not a results folder that this version can read: {error}",
        folder.display()
    )
}
