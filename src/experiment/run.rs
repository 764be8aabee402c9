//! One cell: a plan under one seed. A pure function.

use crate::experiment::Experiment;
use crate::model::{self, Elision, RunOptions, RunResult};
use crate::time::Duration;

/// One replication of one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Which variant.
    pub variant: usize,
    /// Which replication, from 0.
    pub replication: u32,
}

/// What a cell is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To see how long the warm-up takes.
    Pilot,
    /// To measure.
    Measure {
        /// Where the measured window begins.
        warmup: Duration,
    },
}

/// Runs one cell.
pub fn run(experiment: &Experiment<'_>, cell: Cell, purpose: Purpose) -> RunResult {
    let (warmup, pilot) = match purpose {
        Purpose::Pilot => (Duration::ZERO, true),
        Purpose::Measure { warmup } => (warmup, false),
    };
    let options = RunOptions {
        seed: experiment.seed,
        replication: cell.replication,
        warmup,
        elision: Elision::On,
        pilot,
    };
    model::run(experiment.variants[cell.variant], options)
}
