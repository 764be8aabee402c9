//! Numbers: histograms, time series, warm-up, intervals. It has never heard of a mesh.

mod histogram;
mod series;

pub use histogram::Histogram;
pub use series::{Series, SeriesHistogram};
