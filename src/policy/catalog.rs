//! What there is besides balancers: the policies around them, by name, for whoever lists them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::policy::balancer::Entry;
use crate::policy::candidates::LocalityLbSetting;
use crate::policy::discovery::{consul, dns, eureka, kubernetes, poll, xds};
use crate::policy::{circuit_breaker, failure_accrual, health_check, hedging, outlier_detection, overload, retry};

/// The policies around a balancer, in the order in which they are listed. `about` says which key of a `mesh` sets each, where that is not
/// the last part of its name.
pub const PARTS: &[Entry] = &[
    health_check::envoy::ENTRY,
    health_check::haproxy::ENTRY,
    overload::admission_control::ENTRY,
    overload::local_rate_limit::ENTRY,
    overload::adaptive_concurrency::ENTRY,
    overload::nack_admission_filter::ENTRY,
    overload::adaptive_throttling::ENTRY,
    overload::codel::ENTRY,
    Entry {
        name: "envoy/strict_dns",
        family: "envoy",
        about: "Discovery by name servers, for Envoy's STRICT_DNS and LOGICAL_DNS clusters and other clients (`discovery: {dns: {…}}`)",
        source: "envoyproxy/envoy source/extensions/clusters/dns, strict_dns, logical_dns; RFC 1035, RFC 2308",
        checked: "rules of when it asks next; delays over the time of an answer",
        differences: "one name for all endpoints of an upstream; connections to removed endpoints are not drained",
        schema: |generator| <dns::Options>::json_schema(generator),
    },
    Entry {
        name: "grpc/dns",
        family: "grpc",
        about: "gRPC's resolver: asks when a connection is lost, at most every 30 s (`discovery: {dns: {client: grpc}}`)",
        source: "grpc/grpc-go internal/resolver/dns/dns_resolver.go",
        checked: "its floor and its back-off",
        differences: "",
        schema: |generator| <dns::Options>::json_schema(generator),
    },
    Entry {
        name: "poll/registry",
        family: "poll",
        about: "Discovery by asking a registry for the whole list now and then (`discovery: {poll: {…}}`)",
        source: "envoyproxy/envoy source/extensions/config_subscription/rest/http_subscription_impl.cc",
        checked: "delays over an interval",
        differences: "",
        schema: |generator| <poll::Options>::json_schema(generator),
    },
    Entry {
        name: "eureka/registry",
        family: "eureka",
        about: "Netflix's registry: heartbeats, leases, evictions, self-preservation, caches, Ribbon (`discovery: {eureka: {…}}`)",
        source: "Netflix/eureka eureka-core/src/main/java/com/netflix/eureka/registry/AbstractInstanceRegistry.java",
        checked: "vectors of thresholds and evictions; a lease that ends after twice its time; delays of new and crashed instances",
        differences: "one server without peers; one client and Ribbon per caller and upstream",
        schema: |generator| <eureka::Options>::json_schema(generator),
    },
    Entry {
        name: "consul/health",
        family: "consul",
        about: "Consul's checks and blocking queries (`discovery: {consul: {…}}`)",
        source: "hashicorp/consul agent/checks/check.go, hashicorp/memberlist",
        checked: "times of its checks",
        differences: "a silent node is suspected by its peers at once after one probe; no reaper, no anti-entropy (changes are sent as they come)",
        schema: |generator| <consul::Options>::json_schema(generator),
    },
    Entry {
        name: "istio/xds",
        family: "istio",
        about: "Istio's control plane: debounce, push queue, incremental pushes to proxies (`discovery: istio`)",
        source: "istio/istio pilot/pkg/xds/discovery.go, pushqueue.go, pilot/pkg/features/tuning.go",
        checked: "its timeline of debounced events; a queue that merges; delays from pod to proxy",
        differences: "the computation of a push takes no time besides that of each proxy",
        schema: |generator| <xds::Options>::json_schema(generator),
    },
    Entry {
        name: "linkerd/destination",
        family: "linkerd",
        about: "Linkerd's destination controller, which streams each change to each proxy (`discovery: linkerd`)",
        source: "linkerd/linkerd2 controller/api/destination",
        checked: "delays from pod to proxy",
        differences: "",
        schema: |generator| <xds::Linkerd>::json_schema(generator),
    },
    Entry {
        name: "kubernetes/endpoint_slices",
        family: "kubernetes",
        about: "Readiness probes, the kubelet, silent nodes, EndpointSlices and kube-proxy's rules (`discovery: kubernetes`)",
        source: "kubernetes/kubernetes pkg/kubelet/prober, pkg/controller/nodelifecycle, pkg/controller/endpointslice, pkg/proxy",
        checked: "times of detection; kube-proxy's token bucket; delays from pod to node",
        differences: "each caller and upstream has kube-proxy's limit by itself, and a node of its own",
        schema: |generator| <kubernetes::Options>::json_schema(generator),
    },
    Entry {
        name: "istio/locality_lb_setting",
        family: "istio",
        about: "Which localities a caller prefers: by distance, by labels, or by shares (`locality_lb_setting: {…}`)",
        source: "istio/istio pilot/pkg/networking/core/loadbalancer/loadbalancer.go",
        checked: "vectors of priorities and weights; labels and regions by its rules",
        differences: "where there are no regions, a pattern of one name means a zone; where patterns overlap the first by name counts, not a random one",
        schema: |generator| <LocalityLbSetting>::json_schema(generator),
    },
    Entry {
        name: "envoy/retry",
        family: "envoy",
        about: "Tries a call again by the class of its answer, after a random share of a pause that doubles",
        source: "Envoy, source/common/router/retry_state_impl.cc",
        checked: "Recordings of Envoy 1.40; vectors of its formulas; theory: thinning and amplification; \
                  a budget's interval and idle timeouts by hand",
        differences: "Answers have no headers: `envoy-ratelimited`, `refused-stream`, `retriable-headers` and HTTP/3 conditions never hold, and \
                      `rate_limited_retry_back_off` takes the time that an answer names without one; `per_try_idle_timeout` runs \
                      while an attempt waits for a connection, too",
        schema: <retry::Options as JsonSchema>::json_schema,
    },
    Entry {
        name: "envoy/circuit_breaker",
        family: "envoy",
        about: "Limits connections, waiting requests, requests and retries of a caller",
        source: "Envoy, source/common/upstream/resource_manager_impl.h, source/common/conn_pool/conn_pool_base.cc",
        checked: "Recordings of Envoy 1.40; limits kept in random scripts; Priorities counted apart, by Erlang's loss formula and by hand",
        differences: "Waiting requests count as active for balancers that go by load; against a host's limit of connections (`per_host_thresholds`) those \
                      of the other priority do not count; a caller has one worker, so that `max_connection_pools` counts endpoints",
        schema: <circuit_breaker::Options as JsonSchema>::json_schema,
    },
    Entry {
        name: "grpc/retry",
        family: "grpc",
        about: "Tries a call again by its gRPC status, while the throttle has tokens",
        source: "gRFC A6",
        checked: "Vectors of gRFC A6; an example worked by hand",
        differences: "There are no transparent retries: a request that found no connection counts as an attempt that ended with UNAVAILABLE",
        schema: <retry::GrpcOptions as JsonSchema>::json_schema,
    },
    Entry {
        name: "linkerd/retry",
        family: "linkerd",
        about: "Tries a call again up to a limit of its own, or by the budget of a service profile",
        source: "linkerd2-proxy, linkerd/app/outbound/src/http/retry.rs; tower, tower/src/retry/budget/tps_budget.rs",
        checked: "Vectors of its formulas; an example worked by hand",
        differences: "",
        schema: <retry::LinkerdOptions as JsonSchema>::json_schema,
    },
    Entry {
        name: "finagle/retry",
        family: "finagle",
        about: "Sends requests again that were never written, by a budget",
        source: "Finagle, service/RetryBudget.scala, service/RequeueFilter.scala, util/WindowedAdder.scala",
        checked: "Vectors of its formulas; an example worked by hand",
        differences: "The share of the budget that a request may have is that at its failure, not at its start",
        schema: <retry::FinagleOptions as JsonSchema>::json_schema,
    },
    Entry {
        name: "aws/retry",
        family: "aws",
        about: "Tries a call again while a bucket of tokens pays for it",
        source: "The retry specification of AWS's SDKs, standard mode",
        checked: "An example worked by hand",
        differences: "A success after a retry gives back the cost of an ordinary one, even if that followed a timeout",
        schema: <retry::AwsOptions as JsonSchema>::json_schema,
    },
    Entry {
        name: "envoy/hedge_policy",
        family: "envoy",
        about: "A retry beside an attempt whose per-try timeout has passed; the first good answer counts",
        source: "Envoy, source/common/router/router.cc",
        checked: "Theory: the least of two times",
        differences: "`initial_requests` and `additional_request_chance`, which Envoy does not implement either, are not there; at most 16 \
                      attempts of a call",
        schema: <hedging::HedgePolicy as JsonSchema>::json_schema,
    },
    Entry {
        name: "grpc/hedging",
        family: "grpc",
        about: "Attempts of one call at a fixed distance; the first good answer counts",
        source: "gRFC A6",
        checked: "Theory: the least of two times; an example worked by hand",
        differences: "Servers do not push back",
        schema: <hedging::Options as JsonSchema>::json_schema,
    },
    Entry {
        name: "library/circuit_breaker",
        family: "library",
        about: "A breaker in the application, around all attempts to a service: resilience4j's or Hystrix's",
        source: "resilience4j, CircuitBreakerStateMachine.java; Hystrix, HystrixCircuitBreaker.java",
        checked: "Examples worked by hand",
        differences: "Hystrix's semaphores and thread pools are not there",
        schema: <circuit_breaker::Library as JsonSchema>::json_schema,
    },
    Entry {
        name: "envoy/outlier_detection",
        family: "envoy",
        about: "Ejects endpoints by failures in a row, success rate or failure percentage (`mesh.outlier_detection`)",
        source: "envoyproxy/envoy source/common/upstream/outlier_detection_impl.cc",
        checked: "Recorded ejections of the real proxy; Recorded latencies of the real proxy; Upstream vectors; Worked examples; \
                  Its rules written down once more, in random scripts",
        differences: "Times are exact, where real sweeps come up to a millisecond late; a caller obeys at once unless \
                      `common_lb_config.update_merge_window` is set, which is 1s in Envoy if nothing is said",
        schema: <outlier_detection::EnvoyOptions as JsonSchema>::json_schema,
    },
    Entry {
        name: "grpc/outlier_detection",
        family: "grpc",
        about: "Ejects endpoints by success rate or failure percentage (`mesh.outlier_detection`)",
        source: "grpc/proposal A50-xds-outlier-detection.md; grpc/grpc-go internal/xds/balancer/outlierdetection/balancer.go",
        checked: "Upstream vectors; Its rules written down once more, in random scripts",
        differences: "Times are exact: a time out that ends with a sweep lasts until the next",
        schema: <outlier_detection::GrpcOptions as JsonSchema>::json_schema,
    },
    Entry {
        name: "haproxy/observe",
        family: "haproxy",
        about: "Counts failures of a server's traffic as failed health checks, or takes it down (`mesh.outlier_detection`)",
        source: "HAProxy src/check.c (__health_adjust); its manual: observe, error-limit, on-error, rise, fall",
        checked: "The states that its manual describes",
        differences: "`fastinter` changes nothing; failed health checks are counted by `mesh.health_check` for itself; without health \
                      checks a server that is down stays down",
        schema: <outlier_detection::HaproxyOptions as JsonSchema>::json_schema,
    },
    Entry {
        name: "linkerd/failure_accrual",
        family: "linkerd",
        about: "Shuts endpoints that fail in a row or too often, and tries them with single requests (`mesh.failure_accrual`)",
        source: "linkerd/linkerd2-proxy linkerd/app/outbound/src/http/breaker/*.rs, linkerd/exp-backoff/src/lib.rs",
        checked: "Upstream vectors; Worked examples; What its own tests expect",
        differences: "No Retry-After hints",
        schema: linkerd_failure_accrual,
    },
    Entry {
        name: "finagle/failure_accrual",
        family: "finagle",
        about: "Marks endpoints dead that fail in a row or too often, and probes them with single requests (`mesh.failure_accrual`)",
        source: "twitter/finagle finagle-core/src/main/scala/com/twitter/finagle/liveness/{FailureAccrualPolicy,FailureAccrualFactory}.scala",
        checked: "Upstream vectors; The states that its source describes",
        differences: "",
        schema: finagle_failure_accrual,
    },
];

/// The part of that name.
pub fn part(name: &str) -> Option<&'static Entry> {
    PARTS.iter().find(|part| part.name == name)
}

fn linkerd_failure_accrual(generator: &mut SchemaGenerator) -> Schema {
    let kinds = failure_accrual::linkerd_schemas(generator);
    json_schema!({"type": "object", "properties": kinds})
}

fn finagle_failure_accrual(generator: &mut SchemaGenerator) -> Schema {
    let kinds = failure_accrual::finagle_schemas(generator);
    json_schema!({"type": "object", "properties": kinds})
}
