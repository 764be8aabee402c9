//! Where calls are made: sites, edges and clusters, with what `mesh` says of each call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};

use super::{Compiler, value};
use crate::model::plan::{self, ClusterPlan, ConnectionPlan, DiscoveryPlan, EdgePlan, Owner, SitePlan};
use crate::policy::candidates::{self, Parts};
use crate::policy::overload::{
    Criticality, GuardOptions, adaptive_throttling, admission_control, local_rate_limit, nack_admission_filter,
};
use crate::policy::{
    ClusterConfig, MetadataMatch, RoutingPriority, balancer, circuit_breaker, connection_pool, discovery, failure_accrual,
    health_check, hedging, outlier_detection, retry,
};
use crate::random::{DistributionConfig, Unit};
use crate::scenario::decode::Field;
use crate::scenario::schema::mesh::{ConnectionPool, Mesh, Protocol};
use crate::scenario::schema::values::Inherited;
use crate::time::Duration;

/// The balancer of a mesh that names none: Envoy's default.
const DEFAULT_BALANCER: &str = "envoy/round_robin";
/// What is known of edges and clusters while the plan grows.
#[derive(Default)]
pub(super) struct Sites {
    edges: BTreeMap<(OwnerKey, u32), u32>,
    labels: BTreeSet<String>,
    /// The clusters of an owner towards a service: one for each configuration.
    clusters: BTreeMap<(OwnerKey, u32), Vec<u32>>,
}

type OwnerKey = (bool, u32);

fn key(owner: Owner) -> OwnerKey {
    match owner {
        Owner::Client(number) => (false, number),
        Owner::Service(number) => (true, number),
    }
}

/// One call as it is written.
pub(super) struct Call<'s> {
    pub(super) owner: Owner,
    /// `service/operation`.
    pub(super) path: &'s Field<String>,
    /// The `mesh` of the steps around the call and of its own, the outermost first.
    pub(super) meshes: &'s [&'s Mesh],
    /// The limit of a client besides that of `mesh`.
    pub(super) timeout: Option<Duration>,
    pub(super) criticality: Option<Criticality>,
    pub(super) request_size: &'s Option<Field<DistributionConfig>>,
    pub(super) response_size: &'s Option<Field<DistributionConfig>>,
}

/// What holds for one call once all levels have had their say.
struct Policy<'s> {
    balancer: Option<&'s balancer::Config>,
    timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    deadline_propagation: bool,
    priority: RoutingPriority,
    retry: Option<&'s retry::Options>,
    hedge_policy: Option<&'s hedging::HedgePolicy>,
    hedging: Option<&'s hedging::Options>,
    circuit_breaker: Option<&'s circuit_breaker::Options>,
    outlier_detection: Option<&'s outlier_detection::Config>,
    failure_accrual: Option<&'s failure_accrual::Config>,
    health_check: Option<&'s health_check::Options>,
    guard: Guarded<'s>,
    pool: Option<&'s ConnectionPool>,
    candidates: Parts<'s>,
    demand: Option<&'s MetadataMatch>,
    discovery: Option<&'s Field<discovery::Config>>,
}

/// What holds of how callers hold themselves back.
#[derive(Default)]
struct Guarded<'s> {
    admission_control: Option<&'s admission_control::Options>,
    local_rate_limit: Option<&'s local_rate_limit::Options>,
    nack_admission_filter: Option<&'s nack_admission_filter::Options>,
    adaptive_throttling: Option<&'s adaptive_throttling::Options>,
}

impl<'s> Guarded<'s> {
    fn inherit(&mut self, mesh: &'s Mesh) {
        self.admission_control = inherit(&mesh.admission_control, self.admission_control);
        self.local_rate_limit = inherit(&mesh.local_rate_limit, self.local_rate_limit);
        self.nack_admission_filter = inherit(&mesh.nack_admission_filter, self.nack_admission_filter);
        self.adaptive_throttling = inherit(&mesh.adaptive_throttling, self.adaptive_throttling);
    }

    fn options(&self) -> GuardOptions {
        GuardOptions {
            admission_control: self.admission_control.cloned(),
            local_rate_limit: self.local_rate_limit.cloned(),
            nack_admission_filter: self.nack_admission_filter.cloned(),
            adaptive_throttling: self.adaptive_throttling.cloned(),
        }
    }
}

impl<'s> Policy<'s> {
    /// `levels` from the outermost to the innermost.
    fn of(levels: impl Iterator<Item = &'s Mesh>) -> Policy<'s> {
        let mut policy = Policy {
            balancer: None,
            timeout: None,
            idle_timeout: None,
            deadline_propagation: false,
            priority: RoutingPriority::Default,
            retry: None,
            hedge_policy: None,
            hedging: None,
            circuit_breaker: None,
            outlier_detection: None,
            failure_accrual: None,
            health_check: None,
            guard: Guarded::default(),
            pool: None,
            candidates: Parts::default(),
            demand: None,
            discovery: None,
        };
        for mesh in levels {
            policy.balancer = inherit(&mesh.balancer, policy.balancer);
            policy.timeout = inherit(&mesh.timeout, policy.timeout.as_ref()).copied();
            policy.idle_timeout = inherit(&mesh.idle_timeout, policy.idle_timeout.as_ref()).copied();
            policy.deadline_propagation = inherit(&mesh.deadline_propagation, Some(&policy.deadline_propagation)) == Some(&true);
            policy.priority = inherit(&mesh.priority, Some(&policy.priority)).copied().unwrap_or_default();
            policy.retry = inherit(&mesh.retry, policy.retry);
            policy.hedge_policy = inherit(&mesh.hedge_policy, policy.hedge_policy);
            policy.hedging = inherit(&mesh.hedging, policy.hedging);
            policy.circuit_breaker = inherit(&mesh.circuit_breaker, policy.circuit_breaker);
            policy.outlier_detection = inherit(&mesh.outlier_detection, policy.outlier_detection);
            policy.failure_accrual = inherit(&mesh.failure_accrual, policy.failure_accrual);
            policy.health_check = inherit(&mesh.health_check, policy.health_check);
            policy.guard.inherit(mesh);
            policy.pool = inherit(&mesh.connection_pool, policy.pool);
            policy.demand = inherit(&mesh.metadata_match, policy.demand);
            policy.discovery = mesh.discovery.or(policy.discovery);
            let parts = &mut policy.candidates;
            parts.common_lb_config = inherit(&mesh.common_lb_config, parts.common_lb_config);
            parts.healthy_panic_threshold =
                inherit(&mesh.healthy_panic_threshold, parts.healthy_panic_threshold.as_ref()).copied();
            parts.overprovisioning_factor =
                inherit(&mesh.overprovisioning_factor, parts.overprovisioning_factor.as_ref()).copied();
            parts.weighted_priority_health =
                inherit(&mesh.weighted_priority_health, parts.weighted_priority_health.as_ref()).copied();
            parts.locality_lb_setting = inherit(&mesh.locality_lb_setting, parts.locality_lb_setting);
            parts.lb_subset_config = inherit(&mesh.lb_subset_config, parts.lb_subset_config);
        }
        policy
    }

    fn config(&self) -> ClusterConfig {
        let default = || balancer::Config::deserialize(StrDeserializer::<Error>::new(DEFAULT_BALANCER));
        let balancer = match self.balancer {
            Some(balancer) => balancer.clone(),
            None => default().expect("the default balancer is registered"),
        };
        ClusterConfig {
            candidates: candidates::Options::new(self.candidates),
            connections: self.pool_options().filter(|_| balancer.is_per_connection()),
            pool: self
                .pool_options()
                .filter(|pool| !balancer.is_per_connection() && self.limits_connections(pool)),
            // As in gRPC, a method that hedges is not retried.
            retry: self.retry.filter(|retry| retry.is_on() && self.hedging.is_none()).cloned(),
            hedge_policy: self.hedge_policy.cloned(),
            hedging: self.hedging.cloned(),
            circuit_breaker: self.circuit_breaker.cloned(),
            outlier_detection: self.outlier_detection.cloned(),
            failure_accrual: self.failure_accrual.cloned(),
            health_check: self.health_check.cloned(),
            guard: self.guard.options(),
            locality_lb_setting: self.candidates.locality_lb_setting.cloned(),
            ..balancer.into()
        }
    }

    /// Whether requests may have to wait for a connection, or in vain.
    fn limits_connections(&self, pool: &connection_pool::Options) -> bool {
        let is_limited =
            |breaker: &circuit_breaker::Options| breaker.limits(RoutingPriority::Default) != circuit_breaker::Limits::NONE;
        self.circuit_breaker.is_some_and(is_limited) || pool.connect_timeout != Duration::MAX
    }

    fn connections(&self) -> ConnectionPlan {
        self.pool_options().map_or(ConnectionPlan::Warm, ConnectionPlan::Pooled)
    }

    fn pool_options(&self) -> Option<connection_pool::Options> {
        let pool = self.pool?;
        let default = connection_pool::Options::default();
        Some(connection_pool::Options {
            protocol: match value(&pool.protocol) {
                Some(Protocol::Http1) => plan::Protocol::Http1,
                Some(Protocol::Http2) => plan::Protocol::Http2,
                None => default.protocol,
            },
            idle_timeout: value(&pool.idle_timeout).copied().unwrap_or(default.idle_timeout),
            max_concurrent_streams: value(&pool.max_concurrent_streams)
                .copied()
                .unwrap_or(default.max_concurrent_streams),
            max_requests_per_connection: connection_pool::requests(value(&pool.max_requests_per_connection).copied()),
            max_connection_duration: value(&pool.max_connection_duration)
                .copied()
                .unwrap_or(default.max_connection_duration),
            connect_timeout: value(&pool.connect_timeout).copied().unwrap_or(default.connect_timeout),
        })
    }
}

fn inherit<'s, T>(setting: &'s Inherited<Field<T>>, outer: Option<&'s T>) -> Option<&'s T> {
    match setting {
        Inherited::Unset => outer,
        Inherited::Off => None,
        Inherited::Set(field) => Some(field.checked()),
    }
}

/// As in Envoy, a timeout of 0 is none.
fn limit(timeout: Option<Duration>) -> Duration {
    timeout.filter(|&timeout| timeout > Duration::ZERO).unwrap_or(Duration::MAX)
}

impl Compiler<'_, '_> {
    /// Adds a place that calls are made from.
    pub(super) fn site(&mut self, call: &Call<'_>) -> u32 {
        let target = self.index.operation(call.path.checked()).expect("the call's target exists");
        let service = &self.plan.services[target.service];
        let operation = service.first_operation + target.operation as u32;
        let (_, upstream) = &self.topology().services.checked().0[target.service];
        let document = self.document;
        let levels = value(&document.mesh).into_iter().chain(value(&upstream.checked().mesh));
        let policy = Policy::of(levels.chain(call.meshes.iter().copied()));
        let cluster = self.cluster(call.owner, target.service as u32, &policy);
        let demand = self.demand(cluster, policy.demand);
        let edge = self.edge(call.owner, operation, call.path.checked());
        let (request_size, response_size) = (self.size(call.request_size), self.size(call.response_size));
        self.plan.sites.push(SitePlan {
            operation,
            edge,
            cluster,
            demand,
            priority: policy.priority,
            timeout: limit(policy.timeout).min(limit(policy.idle_timeout)).min(limit(call.timeout)),
            per_try_timeout: limit(policy.retry.and_then(retry::Options::attempt_timeout)),
            deadline_propagation: policy.deadline_propagation,
            criticality: call.criticality,
            request_size,
            response_size,
        });
        self.plan.sites.len() as u32 - 1
    }

    /// The place of a demand among those of a cluster.
    fn demand(&mut self, cluster: u32, demand: Option<&MetadataMatch>) -> u32 {
        let Some(demand) = demand else { return plan::NO_DEMAND };
        let demands = &mut self.plan.clusters[cluster as usize].demands;
        let known = demands.iter().position(|known| known == demand);
        known.unwrap_or_else(|| {
            demands.push(demand.clone());
            demands.len() - 1
        }) as u32
    }

    fn edge(&mut self, owner: Owner, operation: u32, path: &str) -> u32 {
        let next = self.plan.edges.len() as u32;
        let edge = *self.sites.edges.entry((key(owner), operation)).or_insert(next);
        if edge == next {
            self.plan.edges.push(EdgePlan { from: owner, operation });
            let name = match owner {
                Owner::Client(number) => &self.names.clients[number as usize],
                Owner::Service(number) => &self.names.services[number as usize],
            };
            // A client may be called like a service that makes the same call.
            let label = match format!("{name}->{path}") {
                label if self.sites.labels.contains(&label) => format!("service {label}"),
                label => label,
            };
            self.sites.labels.insert(label.clone());
            self.names.edges.push(label);
        }
        edge
    }

    /// The place of a discovery among those of the plan.
    fn discovery(&mut self, field: Option<&Field<discovery::Config>>) -> u32 {
        let Some(field) = field.filter(|field| *field.checked() != discovery::Config::Static) else {
            return plan::STATIC;
        };
        let config = field.checked();
        let known = self.plan.discoveries.iter().position(|known| known.config == *config);
        let place = known.unwrap_or_else(|| {
            let delays = config.stages().map(|delay| {
                let delay = Field {
                    span: field.span,
                    value: Some(Box::new(delay)),
                };
                self.distribution(&delay, Unit::Duration)
            });
            self.plan.discoveries.push(DiscoveryPlan {
                config: config.clone(),
                delays,
            });
            self.plan.discoveries.len() - 1
        });
        place as u32
    }

    fn cluster(&mut self, owner: Owner, service: u32, policy: &Policy<'_>) -> u32 {
        let (config, connections) = (policy.config(), policy.connections());
        let discovery = self.discovery(policy.discovery);
        let next = self.plan.clusters.len() as u32;
        let known = self.sites.clusters.entry((key(owner), service)).or_default();
        let equal = known.iter().find(|&&number| {
            let other = &self.plan.clusters[number as usize];
            other.connections == connections && *other.config == config && other.discovery == discovery
        });
        if let Some(&number) = equal {
            return number;
        }
        known.push(next);
        self.plan.clusters.push(ClusterPlan {
            owner,
            service,
            config: Arc::new(config),
            connections,
            demands: Vec::new(),
            discovery,
        });
        next
    }
}
