//! Envoy's load balancing policies.

pub mod client_side_weighted_round_robin;
pub mod least_request;
pub mod maglev;
pub mod random;
pub mod ring_hash;
pub mod round_robin;
