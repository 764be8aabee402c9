//! A deterministic discrete-event simulator and benchmark harness for service meshes.
//!
//! The policies are a library that a real proxy could run; everything else is a driver for them, or a way to describe,
//! repeat, measure and show. `ARCHITECTURE.md` says where things are and what may depend on what.

pub mod engine;
pub mod experiment;
pub mod explain;
pub mod math;
pub mod measure;
pub mod model;
pub mod policy;
pub mod random;
pub mod replay;
pub mod report;
pub mod scenario;
pub mod sweep;
pub mod theory;
pub mod time;
