//! From results to bytes. Everything is drawn from one document, the [`Summary`], and its curves; nothing is computed
//! here that they lack. An exporter returns bytes; `write.rs` alone touches files.

pub mod answer;
pub mod baseline;
pub mod chart;
pub mod check;
pub mod csv;
pub mod curves;
pub mod format;
pub mod html;
pub mod json;
pub mod moves;
mod named;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod replications;
mod summarize;
pub mod summary;
pub mod table;
pub mod write;

use chart::Picture;
pub use curves::Curves;
pub use named::Named;
pub use replications::Replications;
pub use summary::Summary;
pub use write::NamedBytes;

/// All that a results folder holds as data.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// Everything but curves.
    pub summary: Summary,
    /// What is drawn as curves.
    pub curves: Curves,
    /// Figures of single replications.
    pub replications: Replications,
}

impl Results {
    /// The results of running `scenario`.
    pub fn new(scenario: &crate::experiment::Scenario, outcome: &crate::experiment::Outcome) -> Results {
        Results {
            summary: summarize::summarize(scenario, outcome),
            curves: Curves::new(scenario, outcome),
            replications: Replications::new(scenario, outcome),
        }
    }

    /// All files of the results folder, `summary.json` last, so that it stands for the others.
    pub fn files(&self, extent: Extent) -> Vec<NamedBytes> {
        let mut files = match extent {
            Extent::Data => Vec::new(),
            Extent::All => self.drawn(),
        };
        files.extend([
            ("summary.csv".to_string(), csv::summary(&self.summary)),
            ("timeseries.csv".to_string(), csv::timeseries(&self.curves)),
            ("latency.csv".to_string(), csv::latency(&self.curves)),
            ("replications.csv".to_string(), self.replications.csv()),
        ]);
        #[cfg(feature = "parquet")]
        files.extend(parquet::of_tables(&files));
        files.push(("summary.json".to_string(), json::summary(&self.summary)));
        files
    }

    /// The files that are drawn: charts and the HTML page.
    pub fn drawn(&self) -> Vec<NamedBytes> {
        let charts = chart::draw_all(self);
        let page = (write::PAGE.to_string(), html::page(self, &charts));
        let files = charts.into_iter().flat_map(|chart| {
            let Picture { svg, png } = chart.picture;
            [
                (format!("{}/{}.svg", write::CHARTS, chart.name), svg.into_bytes()),
                (format!("{}/{}.png", write::CHARTS, chart.name), png),
            ]
        });
        files.chain([page]).collect()
    }
}

/// How much of a results folder is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The data alone.
    Data,
    /// The charts and the HTML page too.
    All,
}
