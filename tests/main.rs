//! All integration tests, as one binary: they link once.

mod cli;
mod conformance;
mod connections;
mod determinism;
mod discovery;
mod faults;
mod fidelity;
mod measures;
mod policy;
mod profiles;
mod readme;
mod report;
mod scenario;
mod scenarios;
mod swarm;
mod sweep;
mod synthetic;
mod theory;
mod tidy;
