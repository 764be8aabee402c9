//! What there is besides balancers: the policies around them, by name, for whoever lists them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::policy::balancer::Entry;
use crate::policy::{failure_accrual, outlier_detection};

/// The policies around a balancer, in the order in which they are listed. `about` says which key of a `mesh` sets each.
pub const PARTS: &[Entry] = &[
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
