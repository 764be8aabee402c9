//! Envoy's load balancing policies.

pub mod least_request;
pub mod random;
pub mod round_robin;
