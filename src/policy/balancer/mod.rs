//! The balancers.

/// Which balancer, with its options.
#[derive(Clone, Debug)]
pub enum Config {
    /// Placeholder.
    EnvoyLeastRequest,
}
