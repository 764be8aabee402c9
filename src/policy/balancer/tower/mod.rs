//! The balancers of the tower crates, which Linkerd's proxy grew out of.

pub mod peak_ewma;
pub mod pending_requests;
