//! All integration tests, as one binary: they link once.

mod conformance;
mod policy;
mod report;
mod scenario;
mod synthetic;
mod tidy;
