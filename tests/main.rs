//! All integration tests, as one binary: they link once.

mod check;
mod cli;
mod conformance;
mod connections;
mod determinism;
mod discovery;
mod explain;
mod faults;
mod fidelity;
mod known;
mod measures;
mod policy;
mod profiles;
mod program;
mod readme;
mod report;
mod scenario;
mod scenarios;
mod statistics;
mod swarm;
mod sweep;
mod synthetic;
mod theory;
mod tidy;
