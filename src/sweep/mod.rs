//! Sweeps: a grid of scenarios, cut into shards that any number of machines run, each at least once.
//!
//! A sweep is a list of runs (grid point × replication × variant) and a pure function of the scenario file, of what the command line
//! changes in it, and of the version. A shard is a range of that list; its results are one file, which appears whole or not at all. So an
//! engine needs to know nothing but how many shards there are. Merging folds the runs in their order, one at a time: what comes out are
//! the bytes of a run on one machine.

mod bytes;
pub mod emit;
mod file;
pub mod merge;
pub mod plan;
pub mod provenance;
mod result;
pub mod run;
pub mod status;
pub mod table;

use std::io;
use std::path::Path;

pub use file::{Defect, abandon};
pub use plan::{Cut, Input, Plan, Sweep};

/// What goes wrong while a sweep is run, looked at or merged: files that cannot be written, or are of something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

impl Fault {
    fn new(message: impl Into<String>) -> Fault {
        Fault(message.into())
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

/// The error with what was to be done, and with what.
fn told(what: &str, path: &Path, error: &io::Error) -> Fault {
    Fault(format!("cannot {what} `{}`: {error}", path.display()))
}

/// Writes a plan to `path`, whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write_plan(plan: &Plan, path: &Path) -> Result<(), Fault> {
    file::write_whole(path, &plan.to_json())
}
