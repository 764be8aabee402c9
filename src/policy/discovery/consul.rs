//! Consul: agents check endpoints, servers keep the list, callers wait for it to change by blocking queries.
//!
//! After `agent/checks/check.go` (intervals, thresholds), hashicorp/serf and memberlist (failure of a node) of hashicorp/consul, and its
//! documentation of blocking queries.

use schemars::JsonSchema;
use serde::Deserialize;

use super::at_least_a_millisecond;
use super::kubernetes::{Loss, grid};
use super::values::{distribution, seconds};
use crate::math;
use crate::random::DistributionConfig;
use crate::time::{Duration, Time};

/// What a user may write, in Consul's names.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "ConsulDiscovery")]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// From one check of an endpoint by its agent to the next; 10s if absent.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub interval: Duration,
    /// How long a check waits for its answer; 10s if absent.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub timeout: Duration,
    /// Instead of checks: the endpoint reports itself, and is critical when it has not done so for this long.
    pub ttl: Option<Duration>,
    /// Successes in a row, beyond the first, that make an endpoint passing; 0 if absent.
    pub success_before_passing: u32,
    /// Failures in a row, beyond the first, that make it critical; 0 if absent.
    pub failures_before_critical: u32,
    /// What an endpoint is before its first check; `critical` if absent.
    pub status: Status,
    /// From a change at the servers to a caller that waits for it.
    pub propagation_delay: DistributionConfig,
    /// The period of the nodes' gossip probes; 1s if absent.
    pub probe_interval: Duration,
    /// How long a gossip probe waits; 500ms if absent.
    pub probe_timeout: Duration,
    /// A silent node is suspected for this many probe intervals, times the logarithm of the number of nodes; 4 if absent.
    pub suspicion_mult: u32,
}

/// What a check says at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "ConsulStatus")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not to be used.
    Critical,
    /// To be used.
    Passing,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            ttl: None,
            success_before_passing: 0,
            failures_before_critical: 0,
            status: Status::Critical,
            propagation_delay: distribution(r#"{"lognormal": {"p50": "5ms", "p99": "50ms"}}"#),
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            suspicion_mult: 4,
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), String> {
        at_least_a_millisecond(self.interval, "interval")?;
        at_least_a_millisecond(self.probe_interval, "probe_interval")?;
        self.ttl.map_or(Ok(()), |ttl| at_least_a_millisecond(ttl, "ttl"))
    }

    /// When the endpoint's own reports or its checks come: the period.
    fn period(&self) -> Duration {
        // A report is due well within the time; half of it is what the clients of Consul's own API do.
        self.ttl
            .map_or(self.interval, |ttl| Duration(ttl.0 / 2).max(Duration::from_millis(1)))
    }

    /// When an endpoint that was lost at `at` is critical at the servers; its checks come at `phase` (a share of the period). `nodes` is how
    /// many nodes gossip.
    pub fn critical_at(&self, loss: Loss, at: Time, phase: f64, nodes: u32) -> Time {
        if loss == Loss::Node {
            return self.failed_at(at, phase, nodes);
        }
        let period = self.period();
        if let Some(ttl) = self.ttl {
            return grid::last(at, period, phase) + ttl;
        }
        let first = grid::next(at, period, phase);
        let last = first + Duration(period.0 * u64::from(self.failures_before_critical));
        match loss {
            Loss::Hang => last + self.timeout,
            Loss::Process | Loss::Node => last,
        }
    }

    /// When a node that fell silent at `at` is taken for failed: at the next probe it does not answer, directly or by way of others, and
    /// then nobody refutes the suspicion.
    fn failed_at(&self, at: Time, phase: f64, nodes: u32) -> Time {
        let probed = grid::next(at, self.probe_interval, phase) + self.probe_interval.max(self.probe_timeout);
        let scale = (math::ln(f64::from(nodes.max(1))) / std::f64::consts::LN_10).max(1.0);
        let suspicion = f64::from(self.suspicion_mult) * scale * self.probe_interval.as_secs_f64();
        probed + Duration::from_secs_f64(suspicion)
    }

    /// When an endpoint that came at `at` is passing; `is_new`: it was not registered before.
    pub fn passing_at(&self, at: Time, is_new: bool, phase: f64) -> Time {
        if is_new && self.status == Status::Passing {
            return at;
        }
        let successes = u64::from(self.success_before_passing);
        grid::next(at, self.period(), phase) + Duration(self.period().0 * successes)
    }
}
