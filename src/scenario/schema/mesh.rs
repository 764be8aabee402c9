//! What a mesh does with calls: the `mesh` of a scenario, a service or a step.

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::Inherited;
use crate::policy::candidates::{CommonLbConfig, LbSubsetConfig, LocalityLbSetting, OverprovisioningFactor, Percent};
use crate::policy::overload::{adaptive_throttling, admission_control, local_rate_limit, nack_admission_filter};
use crate::policy::{
    MetadataMatch, RoutingPriority, balancer, circuit_breaker, discovery, failure_accrual, health_check, hedging,
    outlier_detection, retry,
};
use crate::scenario::decode::Field;
use crate::scenario::profile::ProfileField;
use crate::time::Duration;

/// What is done with calls. Nothing is on unless it is written here; `null` switches off what an outer level has set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Mesh {
    /// A system whose defaults hold here, as it ships them: `meshsim policies profiles/istio` tells which. What is written beside it wins.
    pub profile: ProfileField,
    /// Which endpoint gets a call: a policy's name such as `envoy/least_request`, or `{NAME: {option: value}}`. `envoy/round_robin` if
    /// absent.
    pub balancer: Inherited<Field<balancer::Config>>,
    /// How a caller learns of the endpoints, and how late: `dns`, `poll`, `eureka`, `consul`, `xds` (or `istio`), `linkerd`, `kubernetes` (or
    /// `kube_proxy`), each with options; `static` if absent: all of them from the start.
    pub discovery: Inherited<Field<discovery::Config>>,
    /// Time for a call with all its retries; no limit if absent or 0.
    pub timeout: Inherited<Field<Duration>>,
    /// A call of which nothing is heard for so long is given up; no limit if absent or 0. Here nothing is heard of a call before its answer,
    /// so that it is a limit beside `timeout`. (Envoy's `idle_timeout` of a route, or else its `stream_idle_timeout`, which is 5m.)
    pub idle_timeout: Inherited<Field<Duration>>,
    /// Whether a call tells until when its answer is wanted: what it calls in turn ends by then, and a request whose time has passed is
    /// dropped before it is served. It does not if absent.
    pub deadline_propagation: Inherited<Field<bool>>,
    /// Whose limits in `circuit_breaker` calls count against, as a route of Envoy says it: `DEFAULT` or `HIGH`; `DEFAULT` if absent. Each
    /// has connections of its own too. (What an endpoint sheds first is a matter of `criticality`.)
    pub priority: Inherited<Field<RoutingPriority>>,
    /// When a call is tried again; never if absent.
    pub retry: Inherited<Field<retry::Options>>,
    /// Whether a retry is made beside an attempt whose `per_try_timeout` has passed, as in Envoy; it takes its place if absent.
    pub hedge_policy: Inherited<Field<hedging::HedgePolicy>>,
    /// Several attempts of one call at a time, as in gRPC, instead of retries; one at a time if absent.
    pub hedging: Inherited<Field<hedging::Options>>,
    /// Limits on what a caller has under way, as in Envoy, and breakers in the application; none if absent.
    pub circuit_breaker: Inherited<Field<circuit_breaker::Options>>,
    /// Endpoints that fail more than they should are not used for a while; never if absent.
    pub outlier_detection: Inherited<Field<outlier_detection::Config>>,
    /// A breaker for each endpoint, which opens on failures; none if absent.
    pub failure_accrual: Inherited<Field<failure_accrual::Config>>,
    /// How callers ask endpoints whether they are well; they do not if absent.
    pub health_check: Inherited<Field<health_check::Options>>,
    /// Callers turn calls away while too few of the recent ones succeed (Envoy's filter); they do not if absent.
    pub admission_control: Inherited<Field<admission_control::Options>>,
    /// A token bucket at each caller; none if absent.
    pub local_rate_limit: Inherited<Field<local_rate_limit::Options>>,
    /// Callers hold calls back while more than half of the recent ones were refused (Finagle's filter); they do not if absent.
    pub nack_admission_filter: Inherited<Field<nack_admission_filter::Options>>,
    /// Callers hold calls back by the SRE book's formula; they do not if absent.
    pub adaptive_throttling: Inherited<Field<adaptive_throttling::Options>>,
    /// Which endpoints a call may go to, for Envoy's balancers: the panic threshold, and how localities take part.
    pub common_lb_config: Inherited<Field<CommonLbConfig>>,
    /// As in `common_lb_config`, over which it wins: a level of which a smaller share can be picked uses all its endpoints.
    pub healthy_panic_threshold: Inherited<Field<Percent>>,
    /// A level or a locality counts as fully available while 100 / this of its endpoints are, in per cent; 140 if absent.
    pub overprovisioning_factor: Inherited<Field<OverprovisioningFactor>>,
    /// Whether a level's availability goes by the weights of its endpoints rather than by their number.
    pub weighted_priority_health: Inherited<Field<bool>>,
    /// Which localities a caller prefers, as Istio sees it: by distance (beside `outlier_detection`), or by shares.
    pub locality_lb_setting: Inherited<Field<LocalityLbSetting>>,
    /// Subsets of the endpoints by their `metadata`, for Envoy's balancers.
    pub lb_subset_config: Inherited<Field<LbSubsetConfig>>,
    /// What a call demands of an endpoint's `metadata`; it takes effect where there is `lb_subset_config`.
    pub metadata_match: Inherited<Field<MetadataMatch>>,
    /// How callers connect; connections are there from the start and cost nothing if absent.
    pub connection_pool: Inherited<Field<ConnectionPool>>,
}

/// How a caller connects to an endpoint: a new connection takes one round trip.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct ConnectionPool {
    /// What a connection carries; `http2` if absent.
    pub protocol: Option<Field<Protocol>>,
    /// A connection without requests for this long is closed; 1h if absent, as in Envoy.
    pub idle_timeout: Option<Field<Duration>>,
    /// So many requests share a connection of `http2` at a time, at least 1; 100 if absent, the least that HTTP/2 recommends.
    /// Further requests open another connection.
    pub max_concurrent_streams: Option<Field<u32>>,
    /// A connection is closed after so many requests; without limit if absent or 0, as in Envoy.
    pub max_requests_per_connection: Option<Field<u32>>,
    /// A connection is closed at this age, which varies by 10 %, once its requests have ended (gRPC's `MAX_CONNECTION_AGE`); without
    /// limit if absent.
    pub max_connection_duration: Option<Field<Duration>>,
    /// A connection that is not there after this is given up, and with it all requests that wait for one to the same endpoint; they wait
    /// for as long as it takes if absent. (Envoy's default is 5s.)
    pub connect_timeout: Option<Field<Duration>>,
}

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// One request at a time.
    Http1,
    /// Any number of requests.
    Http2,
}
