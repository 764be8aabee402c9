//! gRPC's balancers, as grpc-go has them: one connection for each endpoint, and only connected ones are picked.

pub mod least_request;
pub mod pick_first;
pub mod priority;
pub mod ring_hash;
pub mod round_robin;
pub mod weighted_round_robin;
pub mod weighted_target;
