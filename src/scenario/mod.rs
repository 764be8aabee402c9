//! From text to [`Plan`]: a scenario is parsed, patched, given types, checked and compiled, and every problem is reported at once.
//!
//! The passes are listed in `load.rs`. Nothing here runs a simulation; below this point a scenario cannot be wrong.

mod check;
mod compile;
mod decode;
pub mod diagnostic;
mod estimate;
pub mod expect;
mod files;
pub mod grid;
mod load;
mod names;
mod parse;
mod patch;
pub mod profile;
pub mod schema;
mod source;
pub mod statistics;
mod tree;

use std::path::PathBuf;
use std::sync::Arc;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use expect::Expectation;
pub use grid::Grid;
pub use load::load;
pub use source::{Source, Span, TEXT_MAX};
pub use statistics::Statistics;

use crate::model::Plan;
use crate::time::{Duration, Time};

/// What the command line changes in a scenario.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Values by path, in order; they win over the file and over its variants.
    pub set: Vec<(String, String)>,
    /// The variants to load; empty: all.
    pub variants: Vec<String>,
    /// In place of `seed`.
    pub seed: Option<u64>,
    /// In place of `replications`.
    pub replications: Option<u32>,
    /// In place of `duration`.
    pub duration: Option<Duration>,
    /// What is to be known how well: metric and share, in addition to `precision`.
    pub precision: Vec<(String, String)>,
    /// In place of `statistics.max_replications`.
    pub max_replications: Option<u32>,
    /// In place of `statistics.indifference`.
    pub indifference: Option<String>,
    /// In place of `statistics.interval`.
    pub interval: Option<String>,
    /// In place of `statistics.select`.
    pub select: Option<String>,
    /// Whether a scenario beyond the size limits is loaded all the same.
    pub force: bool,
}

/// A scenario that can be run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name; fit for a folder's name.
    pub name: String,
    /// Its question.
    pub description: String,
    /// All randomness follows from it.
    pub seed: u64,
    /// How many independent runs each variant gets.
    pub replications: u32,
    /// A hash over the patched documents of the variants loaded: equal digests mean equal plans.
    pub digest: u64,
    /// The file's text, before patches.
    pub source_text: String,
    /// The file's path as the user wrote it.
    pub source_name: String,
    /// The files that it names, such as recorded traffic.
    pub files: Vec<PathBuf>,
    /// What is compared, in the order of the file; at least one.
    pub variants: Vec<Variant>,
    /// The names of all variants of the file, those left out this time included.
    pub all_variants: Vec<String>,
    /// What `check` decides.
    pub expect: Vec<Expectation>,
    /// How it compares with earlier results.
    pub baseline: Baseline,
    /// How results are judged, and how many replications that may take.
    pub statistics: Statistics,
    /// How much there is to do.
    pub estimate: Estimate,
}

/// What is compared with earlier results, and how much worse it may be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline {
    /// The tolerance of what is no share.
    pub tolerance: Option<f64>,
    /// Those of single metrics.
    pub tolerances: Vec<(expect::Metric, f64)>,
    /// What is compared, of each variant; empty: the usual figures of all clients.
    pub metrics: Vec<expect::MetricOf>,
}

/// One variant, ready to run.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// What the model runs.
    pub plan: Arc<Plan>,
    /// What the plan's indices are called.
    pub names: Names,
    /// The faults in the order of the plan, for charts and for [`Variant::windows`].
    pub faults: Vec<FaultLabel>,
    /// What [`Scenario::expect`] calls the windows of the plan, in their order.
    pub windows: Vec<expect::Window>,
}

/// The names of a plan's things, each in the order of its indices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The zones; one without a name where the scenario has none.
    pub zones: Vec<String>,
    /// The services.
    pub services: Vec<String>,
    /// The endpoints, without their service.
    pub endpoints: Vec<String>,
    /// The operations, without their service.
    pub operations: Vec<String>,
    /// The clients.
    pub clients: Vec<String>,
    /// The edges: `frontend->catalog/list`.
    pub edges: Vec<String>,
}

/// A fault for the eye.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultLabel {
    /// When it begins.
    pub at: Time,
    /// When it ends; at most the scenario's duration.
    pub until: Time,
    /// What it is: `crash zone b`.
    pub label: String,
}

/// How much there is to do, before anything is allocated for it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Variants times replications.
    pub cells: u64,
    /// Requests of all cells.
    pub requests: f64,
    /// Calls of all cells, those of the clients included and retries left out.
    pub calls: f64,
    /// Events of all cells.
    pub events: f64,
    /// Bytes that the plans and the results need.
    pub memory_bytes: f64,
    /// Bytes that one running cell needs besides, the largest of them.
    pub cell_bytes: f64,
}
