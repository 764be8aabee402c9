//! One caller's view of one upstream: the only door for drivers.

use std::sync::Arc;

use crate::policy::{CallInfo, ClusterConfig, EndpointIndex, EndpointInfo, Outcome, Refusal, Ticket, Verdict};
use crate::random::Rng;
use crate::time::Time;

/// What every caller of an upstream shares: configuration, addresses and what follows from them alone.
#[derive(Debug)]
pub struct Upstream {
    config: ClusterConfig,
    endpoints: Vec<EndpointInfo>,
}

impl Upstream {
    /// An upstream with these endpoints.
    pub fn new(config: ClusterConfig, endpoints: Vec<EndpointInfo>) -> Upstream {
        Upstream { config, endpoints }
    }

    /// The configuration.
    pub fn config(&self) -> &ClusterConfig {
        &self.config
    }
}

/// One caller's view of one upstream.
#[derive(Debug)]
pub struct Cluster {
    upstream: Arc<Upstream>,
    active: Vec<u32>,
    rng: Rng,
}

impl Cluster {
    /// The view of a caller that knows all endpoints of `upstream`; `now` is when it learnt of them.
    pub fn new(upstream: Arc<Upstream>, rng: Rng, now: Time) -> Cluster {
        let _ = now;
        let active = vec![0; upstream.endpoints.len()];
        Cluster { upstream, active, rng }
    }

    /// Places an attempt.
    ///
    /// # Errors
    /// A [`Refusal`] says why there is no endpoint.
    pub fn pick(&mut self, call: &CallInfo<'_>, now: Time) -> Result<Ticket, Refusal> {
        let _ = (call, now);
        let n = self.active.len() as u64;
        if n == 0 {
            return Err(Refusal::NoEndpoint);
        }
        let (a, b) = (self.rng.below(n) as usize, self.rng.below(n) as usize);
        let endpoint = if self.active[b] < self.active[a] { b } else { a };
        self.active[endpoint] += 1;
        Ok(Ticket {
            endpoint: EndpointIndex(endpoint as u32),
        })
    }

    /// Tells how an attempt ended, and asks what is to become of its call.
    pub fn on_finished(&mut self, ticket: Ticket, outcome: &Outcome, now: Time) -> Verdict {
        let _ = (outcome, now, &self.upstream.config.retry);
        self.active[ticket.endpoint.0 as usize] -= 1;
        Verdict::Done
    }

    /// An endpoint of the upstream says that it is idle (for balancers with idle queues).
    pub fn on_idle(&mut self, endpoint: EndpointIndex, now: Time) {
        let _ = (endpoint, now);
    }
}
