//! The balancers of the Linkerd 2 proxy.

pub mod peak_ewma;
pub mod penalty_peak_ewma;
