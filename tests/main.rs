//! All integration tests, in one binary.

mod conformance;
mod policy;
mod report;
mod synthetic;
