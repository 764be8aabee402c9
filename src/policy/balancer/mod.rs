//! The balancers.

/// Which balancer, with its options.
#[derive(Clone, Debug)]
pub enum Config {
    /// Placeholder.
    EnvoyLeastRequest,
}

impl Config {
    /// Whether the balancer reads [`crate::policy::CallInfo::server_load`].
    pub fn reads_server_load(&self) -> bool {
        false
    }

    /// Whether the balancer wants [`crate::policy::Cluster::on_idle`] to be called.
    pub fn wants_idle_reports(&self) -> bool {
        false
    }
}
