//! HAProxy's balancing algorithms, as its version 2.6 runs them.
//!
//! The list's endpoints are HAProxy's servers, numbered from 1 in its order; those of a later priority level are its `backup`
//! servers, and an unhealthy one is down. HAProxy lets requests wait while all servers are full; a balancer cannot, so they are
//! refused here.

mod functions;
mod hash_type;
mod hashing;
mod map;
mod options;
mod ring;
mod servers;
mod tree;

pub mod first;
pub mod hash;
pub mod hdr;
pub mod leastconn;
pub mod random;
pub mod roundrobin;
pub mod source;
pub mod static_rr;
pub mod uri;
