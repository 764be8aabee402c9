//! Single endpoints, replication by replication: only those that somebody asks for, as there may be very many.

use crate::model::result::EndpointResult;

/// The attempts at one endpoint. A vector holds one number per replication.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamedEndpoint {
    /// Which, by its index in the plan.
    pub endpoint: u32,
    /// Attempts that arrived.
    pub arrived: Vec<f64>,
    /// Of those, failed.
    pub failed: Vec<f64>,
    /// Seconds in the queue before service, and over how many attempts.
    pub queue_wait: Vec<(f64, f64)>,
    /// Mean number of busy slots (or cores).
    pub busy: Vec<f64>,
}

impl NamedEndpoint {
    /// No replications of it.
    pub fn new(endpoint: u32) -> NamedEndpoint {
        NamedEndpoint {
            endpoint,
            ..NamedEndpoint::default()
        }
    }

    /// Adds the next replication, measured over `window` nanoseconds.
    pub fn add(&mut self, result: &EndpointResult, window: f64) {
        self.arrived.push(result.attempts as f64);
        self.failed.push(result.failures as f64);
        self.queue_wait
            .push((result.queue_wait_nanos as f64 / 1e9, result.served as f64));
        self.busy.push(result.busy_nanos as f64 / window);
    }
}
