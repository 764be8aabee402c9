//! nginx's upstream methods, with the passive health checks that are part of them.
//!
//! The list's endpoints are nginx's servers: those of priority 0 the primary ones, those of the next level its `backup` servers, and
//! an unhealthy one is marked `down`: it keeps its place, as hashing needs.

mod next_upstream;
mod options;
mod peers;
mod points;
mod ranges;
mod walk;

pub mod hash;
pub mod hash_consistent;
pub mod ip_hash;
pub mod least_conn;
pub mod least_time;
pub mod random;
pub mod random_two_least_conn;
pub mod round_robin;
