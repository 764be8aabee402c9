//! What there is besides balancers: the policies around them, by name, for whoever lists them.

use schemars::JsonSchema;

use crate::policy::balancer::Entry;
use crate::policy::candidates::LocalityLbSetting;
use crate::policy::discovery::{consul, dns, eureka, kubernetes, poll, xds};

/// The policies around a balancer, in the order in which they are listed. A `mesh` sets each by the key that is its last name.
pub const PARTS: &[Entry] = &[
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
];

/// The part of that name.
pub fn part(name: &str) -> Option<&'static Entry> {
    PARTS.iter().find(|part| part.name == name)
}
