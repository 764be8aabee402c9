//! What there is besides balancers: the policies around them, by name, for whoever lists them.

use schemars::JsonSchema;

use crate::policy::balancer::Entry;
use crate::policy::{adaptive_throttle, circuit_breaker, hedging, retry};

/// The policies around a balancer, in the order in which they are listed. A `mesh` sets each by the key that is its last name; where a
/// family has a key of its own within that, it is `retry: {grpc/retry: {…}}`.
pub const PARTS: &[Entry] = &[
    Entry {
        name: "envoy/retry",
        family: "envoy",
        about: "Tries a call again by the class of its answer, after a random share of a pause that doubles",
        source: "Envoy, source/common/router/retry_state_impl.cc",
        checked: "Recordings of Envoy 1.40; vectors of its formulas; theory: thinning and amplification",
        differences: "Answers have no headers: `envoy-ratelimited`, `refused-stream`, `retriable-headers` and HTTP/3 conditions never hold, and \
                      `rate_limited_retry_back_off` takes the time that an answer names without one",
        schema: <retry::Options as JsonSchema>::json_schema,
    },
    Entry {
        name: "envoy/circuit_breaker",
        family: "envoy",
        about: "Limits connections, waiting requests, requests and retries of a caller",
        source: "Envoy, source/common/upstream/resource_manager_impl.h, source/common/conn_pool/conn_pool_base.cc",
        checked: "Recordings of Envoy 1.40; limits kept in random scripts",
        differences: "All requests are of priority DEFAULT; waiting requests count as active for balancers that go by load",
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
        name: "library/adaptive_throttle",
        family: "library",
        about: "A caller holds requests back when too few of them are accepted",
        source: "Site Reliability Engineering (Google 2016), chapter 21",
        checked: "Vectors of its formula; theory: twice what is accepted",
        differences: "The window moves in 120 steps, where the book says nothing",
        schema: <adaptive_throttle::Options as JsonSchema>::json_schema,
    },
];

/// The part of that name.
pub fn part(name: &str) -> Option<&'static Entry> {
    PARTS.iter().find(|part| part.name == name)
}
