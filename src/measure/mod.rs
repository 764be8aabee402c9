//! Numbers: histograms, time series, warm-up, intervals. It has never heard of a mesh.

pub mod confidence;
mod histogram;
pub mod selection;
mod series;
pub mod warmup;

pub use confidence::{Estimate, Interval};
pub use histogram::Histogram;
pub use series::{Grid, Series, SeriesHistogram};
