//! `meshsim init`: writes a scenario to begin with.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Exit, print};

/// The scenario that is written; its name is put in for `NAME`.
const STARTER: &str = include_str!("starter.yaml");

/// The arguments.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The scenario's name: the file is NAME.yaml
    #[arg(default_value = "scenario")]
    name: PathBuf,
}

/// The starter under a name.
pub fn starter(name: &str) -> String {
    STARTER.replace("NAME", name)
}

/// Writes the starter, unless there is a file of that name.
///
/// # Errors
/// If the file cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let path = file(&args.name);
    let name = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let is_proper =
        name.starts_with(|c: char| c.is_alphanumeric()) && name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
    if !is_proper {
        eprintln!("error: `{name}` cannot be the name of a scenario\nhelp: use letters, digits, `-`, `_` and `.`");
        return Ok(Exit::Usage);
    }
    let mut file = match std::fs::OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            eprintln!(
                "error: `{}` is there already\nhelp: choose another name, or remove it",
                path.display()
            );
            return Ok(Exit::Usage);
        }
        Err(error) => return Err(error).with_context(|| format!("cannot write `{}`", path.display())),
    };
    let written = file.write_all(starter(&name).as_bytes());
    written.with_context(|| format!("cannot write `{}`", path.display()))?;
    print(&format!("{0}: written; run it by `meshsim run {0}`\n", path.display()))?;
    Ok(Exit::Success)
}

fn file(name: &Path) -> PathBuf {
    match name.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => name.to_path_buf(),
        _ => PathBuf::from(format!("{}.yaml", name.display())),
    }
}
