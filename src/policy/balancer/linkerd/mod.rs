//! The balancers of the Linkerd 2 proxy.

pub mod peak_ewma;
