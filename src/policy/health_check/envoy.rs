//! Envoy's checks: thresholds in both directions, at once for a status that is not expected, and an interval for each situation.
//!
//! Source: envoyproxy/envoy `source/extensions/health_checkers/common/health_checker_base_impl.cc`, API `envoy/config/core/v3/health_check.proto`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::{Statuses, count};
use super::{Finding, Probe, Step, Turn};
use crate::policy::balancer::Entry;
use crate::random::{Draws, Rng};
use crate::time::Duration;

/// When endpoints are asked, and what is made of their answers. Envoy demands the first four; here they have the defaults of a modest setting.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "EnvoyHealthCheck")]
pub struct HealthCheck {
    /// From the end of one check to the next.
    pub interval: Duration,
    /// No answer for this long is a failure.
    pub timeout: Duration,
    /// So many failures in a row take an endpoint out; a status that is not expected does so at once.
    #[serde(deserialize_with = "count")]
    #[schemars(extend("minimum" = 1))]
    pub unhealthy_threshold: u32,
    /// So many successes in a row bring it back; at its first check one is enough.
    #[serde(deserialize_with = "count")]
    #[schemars(extend("minimum" = 1))]
    pub healthy_threshold: u32,
    /// The first check of a new endpoint comes after a random part of this; at once if absent.
    pub initial_jitter: Duration,
    /// A random part of this is added to every interval.
    pub interval_jitter: Duration,
    /// A random part of this many per cent of the interval is added to it.
    pub interval_jitter_percent: u32,
    /// The interval as long as the caller has sent nothing to the upstream.
    pub no_traffic_interval: Duration,
    /// The same for endpoints that are well; as `no_traffic_interval` if absent.
    pub no_traffic_healthy_interval: Option<Duration>,
    /// The interval for endpoints that are out; as `interval` if absent.
    pub unhealthy_interval: Option<Duration>,
    /// The interval after a failure that did not yet take an endpoint out; as `unhealthy_interval` if absent.
    pub unhealthy_edge_interval: Option<Duration>,
    /// The interval after a success that did not yet bring it back; as `interval` if absent.
    pub healthy_edge_interval: Option<Duration>,
    /// Whether an endpoint that was never checked does not count among those of its level, so that it causes no panic.
    #[schemars(extend("x-upstream" = "CommonLbConfig.ignore_new_hosts_until_first_hc"))]
    pub ignore_new_hosts_until_first_hc: bool,
    /// Statuses that pass a check, as `http_health_check` has them too; 200 if absent.
    pub expected_statuses: Statuses,
    /// Statuses that count towards `unhealthy_threshold` instead of failing at once.
    pub retriable_statuses: Statuses,
    /// A request over HTTP: what is asked for if no kind is named.
    pub http_health_check: Option<HttpHealthCheck>,
    /// A connection, and nothing over it.
    pub tcp_health_check: Option<TcpHealthCheck>,
    /// A request over gRPC, which passes with `SERVING`.
    pub grpc_health_check: Option<GrpcHealthCheck>,
    /// Whether checks use a connection again. Without an effect: a check's connection costs its way and nothing else.
    pub reuse_connection: bool,
    /// How much work answering a check is for the endpoint, where the check is a request.
    pub work: Duration,
}

/// What it is, for whoever lists policies.
pub const ENTRY: Entry = Entry {
    name: "envoy/health_check",
    family: "envoy",
    about: "A caller asks each endpoint now and then whether it is well",
    source: "envoyproxy/envoy source/extensions/health_checkers/common/health_checker_base_impl.cc",
    checked: "Scripts of the state machine in the upstream source; Recordings of the real proxy with a host that fails and comes back",
    differences: "Endpoints known from the start have passed their first check, and in a simulation there has been traffic; a hung endpoint takes no connections, so a check by TCP fails too",
    schema: <HealthCheck as JsonSchema>::json_schema,
};

/// A check over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpHealthCheck {
    /// What is asked for. Without an effect here: every path is answered the same.
    pub path: Option<String>,
    /// The name that is asked. Without an effect here.
    pub host: Option<String>,
    /// The method. Without an effect here.
    pub method: Option<String>,
    /// Statuses that pass; 200 if absent.
    pub expected_statuses: Statuses,
    /// Statuses that count towards `unhealthy_threshold` instead of failing at once.
    pub retriable_statuses: Statuses,
}

/// A check by a connection.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TcpHealthCheck {}

/// A check over gRPC.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcHealthCheck {
    /// Which service is asked for. Without an effect here.
    pub service_name: Option<String>,
    /// The name that is asked. Without an effect here.
    pub authority: Option<String>,
}

impl Default for HealthCheck {
    fn default() -> HealthCheck {
        HealthCheck {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            unhealthy_threshold: 2,
            healthy_threshold: 2,
            initial_jitter: Duration::ZERO,
            interval_jitter: Duration::ZERO,
            interval_jitter_percent: 0,
            no_traffic_interval: Duration::from_secs(60),
            no_traffic_healthy_interval: None,
            unhealthy_interval: None,
            unhealthy_edge_interval: None,
            healthy_edge_interval: None,
            ignore_new_hosts_until_first_hc: false,
            expected_statuses: Statuses::default(),
            retriable_statuses: Statuses::default(),
            http_health_check: None,
            tcp_health_check: None,
            grpc_health_check: None,
            reuse_connection: true,
            work: Duration::ZERO,
        }
    }
}

/// How an endpoint stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// It is out.
    failed: bool,
    /// It was never checked.
    first: bool,
    /// It does not count.
    pub(super) excluded: bool,
    successes: u32,
    failures: u32,
}

impl Standing {
    /// Whether a check that passes changes nothing of it.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.failed && !self.first && !self.excluded && self.failures == 0
    }
}

/// Envoy's timers are in milliseconds.
const MILLISECOND: u64 = 1_000_000;

/// A random part of `most`, in whole milliseconds where it has any.
fn part_of(most: Duration, draws: &mut Draws) -> Duration {
    let mut below = |n: u64| ((u128::from(draws.next_u64()) * u128::from(n)) >> 64) as u64;
    match most.0 {
        0 => Duration::ZERO,
        nanos if nanos < MILLISECOND => Duration(below(nanos)),
        nanos => Duration(below(nanos / MILLISECOND) * MILLISECOND),
    }
}

impl HealthCheck {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        for (name, duration) in [
            ("interval", Some(self.interval)),
            ("timeout", Some(self.timeout)),
            ("no_traffic_interval", Some(self.no_traffic_interval)),
            ("no_traffic_healthy_interval", self.no_traffic_healthy_interval),
            ("unhealthy_interval", self.unhealthy_interval),
            ("unhealthy_edge_interval", self.unhealthy_edge_interval),
            ("healthy_edge_interval", self.healthy_edge_interval),
        ] {
            if duration == Some(Duration::ZERO) {
                return Err(format!("`{name}` must be longer than 0"));
            }
        }
        for (name, count) in [
            ("unhealthy_threshold", self.unhealthy_threshold),
            ("healthy_threshold", self.healthy_threshold),
        ] {
            if count == 0 {
                return Err(format!("`{name}` must be at least 1"));
            }
        }
        let kinds = [
            self.http_health_check.is_some(),
            self.tcp_health_check.is_some(),
            self.grpc_health_check.is_some(),
        ];
        if kinds.iter().filter(|&&is_there| is_there).count() > 1 {
            return Err(
                "one kind of check is wanted: `http_health_check`, `tcp_health_check` or `grpc_health_check`".to_string(),
            );
        }
        let inner = self.http_health_check.as_ref();
        let statuses = [
            &self.expected_statuses,
            &self.retriable_statuses,
            inner.map_or(&self.expected_statuses, |http| &http.expected_statuses),
            inner.map_or(&self.retriable_statuses, |http| &http.retriable_statuses),
        ];
        statuses.into_iter().try_for_each(Statuses::check)
    }

    /// What a check asks for.
    pub fn probe(&self) -> Probe {
        match self.tcp_health_check {
            Some(_) => Probe::Connection,
            None => Probe::Request,
        }
    }

    pub(super) fn is_expected(&self, status: u16) -> bool {
        let inner = self.http_health_check.as_ref().map(|http| &http.expected_statuses);
        let given = [Some(&self.expected_statuses), inner];
        let mut given = given.into_iter().flatten().filter(|statuses| !statuses.is_empty()).peekable();
        match given.peek() {
            None => status == 200,
            Some(_) => given.any(|statuses| statuses.holds(status)),
        }
    }

    fn is_retriable(&self, status: u16) -> bool {
        let inner = self.http_health_check.as_ref();
        self.retriable_statuses.holds(status) || inner.is_some_and(|http| http.retriable_statuses.holds(status))
    }

    /// How an endpoint stands that comes to the list. Who is there before the upstream is used has passed its first check.
    pub(super) fn standing(&self, is_warm: bool) -> Standing {
        Standing {
            failed: !is_warm,
            first: !is_warm,
            excluded: !is_warm && self.ignore_new_hosts_until_first_hc,
            successes: 0,
            failures: 0,
        }
    }

    /// Until the first check of a new endpoint.
    pub(super) fn first_pause(&self, rng: &mut Rng) -> Duration {
        match self.initial_jitter {
            Duration::ZERO => Duration::ZERO,
            jitter => part_of(jitter, &mut rng.draws()).max(Duration(MILLISECOND.min(jitter.0))),
        }
    }

    /// Makes of a result what it makes.
    pub(super) fn step(&self, standing: &mut Standing, finding: Finding, passed: bool, traffic: bool, draws: &mut Draws) -> Step {
        let was_out = standing.failed;
        let was_excluded = standing.excluded;
        let mut is_pending = false;
        if passed {
            standing.failures = 0;
            if standing.failed {
                standing.successes += 1;
                if standing.first || standing.successes == self.healthy_threshold {
                    standing.failed = false;
                    standing.excluded = false;
                } else {
                    is_pending = true;
                }
            }
        } else {
            standing.successes = 0;
            let counts = match finding {
                Finding::Timeout | Finding::NetworkFailure => true,
                Finding::Status(status) => self.is_retriable(status),
                Finding::ImmediateFailure => false,
            };
            if !standing.failed {
                standing.failures += u32::from(counts);
                standing.failed = !counts || standing.failures == self.unhealthy_threshold;
                is_pending = !standing.failed;
            }
        }
        // Who was left out of the count only because nothing was known of it is so no longer.
        if standing.first {
            standing.excluded = false;
        }
        standing.excluded |= finding == Finding::ImmediateFailure;
        standing.first = false;
        let turn = match (was_out, standing.failed) {
            (true, false) => Some(Turn::In),
            (false, true) => Some(Turn::Out),
            (true, true) if was_excluded != standing.excluded => Some(Turn::Out),
            _ => None,
        };
        Step {
            turn,
            pause: self.pause(passed, is_pending, traffic, draws),
        }
    }

    /// The pause after a check that passed at an endpoint that is well, if there is no jitter.
    pub(super) fn constant_pause(&self) -> Option<Duration> {
        (self.interval_jitter == Duration::ZERO && self.interval_jitter_percent == 0).then_some(self.interval)
    }

    /// Until the next check.
    pub(super) fn pause(&self, passed: bool, is_pending: bool, traffic: bool, draws: &mut Draws) -> Duration {
        let unhealthy = self.unhealthy_interval.unwrap_or(self.interval);
        let base = match (traffic, passed, is_pending) {
            (true, true, false) => self.interval,
            (true, true, true) => self.healthy_edge_interval.unwrap_or(self.interval),
            (true, false, false) => unhealthy,
            (true, false, true) => self.unhealthy_edge_interval.unwrap_or(unhealthy),
            (false, true, false) => self.no_traffic_healthy_interval.unwrap_or(self.no_traffic_interval),
            (false, _, _) => self.no_traffic_interval,
        };
        let percent = (u128::from(base.0) * u128::from(self.interval_jitter_percent) / 100).min(u128::from(u64::MAX / 4));
        let jitter = part_of(Duration(percent as u64), draws) + part_of(self.interval_jitter, draws);
        base + jitter
    }
}
