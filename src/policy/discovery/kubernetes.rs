//! Kubernetes: from what happens to a pod to the endpoints that others are told of, and kube-proxy's rules.
//!
//! After `pkg/kubelet/prober` (probes), `pkg/kubelet/pleg/generic.go` (relist), `pkg/controller/nodelifecycle/node_lifecycle_controller.go`
//! (silent nodes), `pkg/controller/endpointslice/endpointslice_controller.go` and `pkg/util/async/bounded_frequency_runner.go` (kube-proxy's
//! limit) of kubernetes/kubernetes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::at_least_a_millisecond;
use super::values::{distribution, seconds};
use crate::random::DistributionConfig;
use crate::time::{Duration, Time};

/// What a user may write, in the names of Kubernetes.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "KubernetesDiscovery")]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How the kubelet finds out whether a pod can serve.
    #[serde(alias = "readinessProbe")]
    pub readiness_probe: ReadinessProbe,
    /// How often the kubelet looks which containers run; 1s if absent.
    pub pleg_relist_period: Duration,
    /// From what the kubelet finds to the pod's status at the API server; up to 100ms if absent.
    pub status_update_delay: DistributionConfig,
    /// From a change at the API server to one that watches it: the EndpointSlice controller, then whoever watches its slices.
    pub watch_delay: DistributionConfig,
    /// How long the EndpointSlice controller gathers changes before it writes them; 0s if absent.
    #[serde(alias = "endpoint_updates_batch_period")]
    pub endpoint_slice_delay: Duration,
    /// How often a node renews its lease; 10s if absent.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub node_lease_renew_interval: Duration,
    /// How often nodes are looked at; 5s if absent.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub node_monitor_period: Duration,
    /// After so long without a renewal the pods of a node are not ready; 50s if absent (40s before 1.32).
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub node_monitor_grace_period: Duration,
    /// How nodes write their rules, where they are what callers go by.
    pub kube_proxy: KubeProxy,
}

/// A readiness probe.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReadinessProbe {
    /// How long after the container's start the first one comes; 0s if absent.
    #[serde(
        alias = "initialDelaySeconds",
        alias = "initial_delay_seconds",
        deserialize_with = "seconds"
    )]
    #[schemars(with = "Duration")]
    pub initial_delay: Duration,
    /// From one to the next; 10s if absent.
    #[serde(alias = "periodSeconds", alias = "period_seconds", deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub period: Duration,
    /// How long one waits for its answer; 1s if absent.
    #[serde(alias = "timeoutSeconds", alias = "timeout_seconds", deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub timeout: Duration,
    /// Successes in a row that make a pod ready; 1 if absent.
    #[serde(alias = "successThreshold")]
    pub success_threshold: u32,
    /// Failures in a row that make it not ready; 3 if absent.
    #[serde(alias = "failureThreshold")]
    pub failure_threshold: u32,
}

/// kube-proxy on a node.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KubeProxy {
    /// Rules are written at most so often, but for two times in a row after a rest; 1s if absent.
    #[serde(alias = "minSyncPeriod")]
    pub min_sync_period: Duration,
    /// How long writing them takes; 20ms if absent.
    pub sync_duration: DistributionConfig,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            readiness_probe: ReadinessProbe::default(),
            pleg_relist_period: Duration::from_secs(1),
            status_update_delay: distribution(r#"{"uniform": {"min": "0s", "max": "100ms"}}"#),
            watch_delay: distribution(r#"{"lognormal": {"p50": "15ms", "p99": "50ms"}}"#),
            endpoint_slice_delay: Duration::ZERO,
            node_lease_renew_interval: Duration::from_secs(10),
            node_monitor_period: Duration::from_secs(5),
            node_monitor_grace_period: Duration::from_secs(50),
            kube_proxy: KubeProxy::default(),
        }
    }
}

impl Default for ReadinessProbe {
    fn default() -> ReadinessProbe {
        ReadinessProbe {
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            success_threshold: 1,
            failure_threshold: 3,
        }
    }
}

impl Default for KubeProxy {
    fn default() -> KubeProxy {
        KubeProxy {
            min_sync_period: Duration::from_secs(1),
            sync_duration: DistributionConfig::constant(Duration::from_millis(20)),
        }
    }
}

/// How an endpoint is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its process has ended: connections are refused.
    Process,
    /// Its process is there and answers nothing.
    Hang,
    /// Its node is gone.
    Node,
}

/// When in their periods an endpoint's probes, its node's relists, leases and looks come: shares from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Phases {
    /// Readiness probes (or Consul's checks, or Eureka's heartbeats).
    pub probe: f64,
    /// Relists.
    pub relist: f64,
    /// Renewals of the node's lease.
    pub lease: f64,
    /// Looks at the nodes.
    pub monitor: f64,
}

/// Moments that come at whole periods from a phase on.
pub(super) mod grid {
    use crate::time::{Duration, Time};

    fn offset(period: Duration, phase: f64) -> u64 {
        ((period.0 as f64 * phase) as u64).min(period.0 - 1)
    }

    /// The first one at `at` or later.
    pub fn next(at: Time, period: Duration, phase: f64) -> Time {
        let period = period.0.max(1);
        let offset = offset(Duration(period), phase);
        let behind = (at.0 + period - offset) % period;
        Time(at.0 + if behind == 0 { 0 } else { period - behind })
    }

    /// The last one before `at` or then; before the beginning of time it is there all the same, and given as the beginning.
    pub fn last(at: Time, period: Duration, phase: f64) -> Time {
        let next = next(at, period, phase);
        match next == at {
            true => at,
            false => Time(next.0.saturating_sub(period.0)),
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), String> {
        at_least_a_millisecond(self.readiness_probe.period, "readiness_probe.period")?;
        at_least_a_millisecond(self.pleg_relist_period, "pleg_relist_period")?;
        at_least_a_millisecond(self.node_lease_renew_interval, "node_lease_renew_interval")?;
        at_least_a_millisecond(self.node_monitor_period, "node_monitor_period")?;
        at_least_a_millisecond(self.kube_proxy.min_sync_period, "kube_proxy.min_sync_period")?;
        if self.readiness_probe.failure_threshold == 0 || self.readiness_probe.success_threshold == 0 {
            return Err("the thresholds of `readiness_probe` must be at least 1".to_string());
        }
        Ok(())
    }

    /// When somebody who can say so knows that a pod lost at `at` is not ready: its kubelet, or the node controller.
    pub fn noticed_at(&self, loss: Loss, at: Time, phases: Phases) -> Time {
        match loss {
            Loss::Process => grid::next(at, self.pleg_relist_period, phases.relist),
            Loss::Hang => {
                let probe = &self.readiness_probe;
                let first = grid::next(at, probe.period, phases.probe);
                first + Duration(probe.period.0 * u64::from(probe.failure_threshold - 1)) + probe.timeout
            }
            Loss::Node => {
                let renewed = grid::last(at, self.node_lease_renew_interval, phases.lease);
                // The controller's own clock counts from when it saw the renewal.
                let seen = grid::next(renewed, self.node_monitor_period, phases.monitor);
                let silent = seen + self.node_monitor_grace_period;
                grid::next(silent, self.node_monitor_period, phases.monitor)
            }
        }
    }

    /// When its kubelet knows that a pod that serves (again) from `at` on is ready. `loss`: how it was lost before; `None`: it is new.
    pub fn ready_at(&self, loss: Option<Loss>, at: Time, phases: Phases) -> Time {
        let probe = &self.readiness_probe;
        let further = Duration(probe.period.0 * u64::from(probe.success_threshold - 1));
        match loss {
            // The container has been started: probes begin at once.
            None | Some(Loss::Process) => at + probe.initial_delay + further,
            Some(Loss::Hang) => grid::next(at, probe.period, phases.probe) + further,
            Some(Loss::Node) => {
                let renewed = grid::next(at, self.node_lease_renew_interval, phases.lease);
                grid::next(renewed, self.node_monitor_period, phases.monitor)
            }
        }
    }
}

/// How often kube-proxy may write its rules: a bucket of two tokens, one more each period.
#[derive(Clone, Copy, Debug)]
pub struct SyncLimit {
    period: Duration,
    // When the bucket would be full, seen from an empty past: the theoretical arrival time of a token bucket.
    full: Time,
}

/// How many syncs may follow each other at once.
const BURST: u64 = 2;

impl SyncLimit {
    /// A full bucket.
    pub fn new(period: Duration) -> SyncLimit {
        SyncLimit {
            period,
            full: Time::ZERO,
        }
    }

    /// Takes a token; without one, says when there will be one.
    ///
    /// # Errors
    /// The next moment at which there is a token.
    pub fn take(&mut self, now: Time) -> Result<(), Time> {
        let full = self.full.max(now) + self.period;
        let room = self.period.0 * BURST;
        if full.0 <= now.0 + room {
            self.full = full;
            return Ok(());
        }
        Err(Time(full.0 - room))
    }
}
