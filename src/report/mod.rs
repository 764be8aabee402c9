//! From results to bytes. Everything is drawn from one document, the [`Summary`], and its curves; nothing is computed
//! here that they lack. An exporter returns bytes; `write.rs` alone touches files.

pub mod answer;
pub mod chart;
pub mod csv;
pub mod curves;
mod format;
pub mod html;
pub mod json;
mod named;
mod summarize;
pub mod summary;
pub mod table;
pub mod write;

pub use curves::Curves;
pub use named::Named;
pub use summary::Summary;

/// All that a results folder holds as data.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// Everything but curves.
    pub summary: Summary,
    /// What is drawn as curves.
    pub curves: Curves,
}

impl Results {
    /// The results of running `scenario`.
    pub fn new(scenario: &crate::experiment::Scenario, outcome: &crate::experiment::Outcome) -> Results {
        Results {
            summary: summarize::summarize(scenario, outcome),
            curves: Curves::new(scenario, outcome),
        }
    }
}
