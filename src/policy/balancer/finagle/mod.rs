//! Finagle's balancers: two choices, a heap, and apertures that use a part of the endpoints.
//!
//! Its nodes have a status: open (healthy), busy (degraded) or closed (unhealthy). All of them stay in the list, and are picked
//! where nothing better is found.

pub mod aperture;
pub mod deterministic_aperture;
pub mod heap_least_loaded;
pub mod p2c_least_loaded;
pub mod p2c_peak_ewma;
