//! How callers learn of endpoints: what a registry notices of them and when, and when its callers hear of it.
//!
//! Two halves. A [`Source`] says when a change of the truth comes to be known anywhere at all: Kubernetes by its probes, Eureka by its leases,
//! Consul by its checks. A way to callers says when each of them hears of it: by asking (DNS, polling) or by being told (xDS, watches). The
//! state machines are here, without a clock; a driver tells them the time and draws their delays.

pub mod consul;
pub mod dns;
pub mod eureka;
pub mod kubernetes;
pub mod poll;
mod values;
pub mod xds;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::random::{DistributionConfig, Unit};
use crate::time::Duration;

/// How the callers of an upstream learn of its endpoints. In boxes: a step of a scenario may hold one, and steps are nested.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Config {
    /// They know all of them from the start, and never learn anything else.
    Static,
    /// By asking name servers again and again.
    Dns(Box<dns::Options>),
    /// By asking a registry again and again.
    #[serde(alias = "rest")]
    Poll(Box<poll::Options>),
    /// By Netflix's Eureka, with a client and Ribbon's list of servers.
    Eureka(Box<eureka::Options>),
    /// By Consul's blocking queries.
    Consul(Box<consul::Options>),
    /// By Istio's control plane, which pushes over xDS.
    #[serde(alias = "istio")]
    Xds(Box<xds::Options>),
    /// By Linkerd's destination controller, which streams to each proxy.
    Linkerd(Box<xds::Linkerd>),
    /// By the rules that kube-proxy writes on each node.
    #[serde(alias = "kube_proxy")]
    Kubernetes(Box<kubernetes::Options>),
}

/// Where a change of the truth comes to be known first.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// At once.
    Instant,
    /// Only what is planned: who joins and who leaves. Nobody looks at health.
    Planned,
    /// By the pipeline of Kubernetes.
    Kubernetes(kubernetes::Options),
    /// By leases.
    Eureka(eureka::Options),
    /// By checks.
    Consul(consul::Options),
}

/// Who keeps the list that name servers and registries answer from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "DiscoveryRecords")]
#[serde(rename_all = "snake_case")]
pub enum Records {
    /// Kubernetes: the ready pods, after its own delays.
    Kubernetes,
    /// Somebody who knows everything at once.
    Instant,
    /// Somebody who knows who joins and leaves, and looks at nobody's health.
    Planned,
}

impl Records {
    /// The source that this is.
    fn source(self, kubernetes: &kubernetes::Options) -> Source {
        match self {
            Records::Kubernetes => Source::Kubernetes(kubernetes.clone()),
            Records::Instant => Source::Instant,
            Records::Planned => Source::Planned,
        }
    }
}

/// The delays of a pipeline that are drawn each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Stage {
    /// The kubelet writes a pod's status to the API server.
    Status = 0,
    /// A change at the API server (or at Consul's servers) reaches one that watches it.
    Watch = 1,
    /// A question to a name server or registry is answered.
    Query = 2,
    /// A proxy is sent its new configuration and takes it.
    Push = 3,
    /// A node writes its rules.
    Sync = 4,
}

/// How many stages there are.
pub const STAGES: usize = 5;

impl Config {
    /// Where the callers' answers come from; `None`: nothing is ever asked.
    pub fn source(&self) -> Option<Source> {
        Some(match self {
            Config::Static => return None,
            Config::Dns(options) => options.records.source(&options.kubernetes),
            Config::Poll(options) => options.records.source(&options.kubernetes),
            Config::Eureka(options) => Source::Eureka(eureka::Options::clone(options)),
            Config::Consul(options) => Source::Consul(consul::Options::clone(options)),
            Config::Xds(options) => Source::Kubernetes(options.kubernetes.clone()),
            Config::Linkerd(options) => Source::Kubernetes(options.kubernetes.clone()),
            Config::Kubernetes(options) => Source::Kubernetes(kubernetes::Options::clone(options)),
        })
    }

    /// The delays, by [`Stage`].
    pub fn stages(&self) -> [DistributionConfig; STAGES] {
        let mut stages = std::array::from_fn(|_| DistributionConfig::constant(Duration::ZERO));
        let mut set = |stage: Stage, delay: &DistributionConfig| stages[stage as usize] = delay.clone();
        let pods = match self {
            Config::Static => None,
            Config::Dns(options) => {
                set(Stage::Query, &options.resolver_latency);
                Some(&options.kubernetes)
            }
            Config::Poll(options) => {
                set(Stage::Query, &options.latency);
                Some(&options.kubernetes)
            }
            Config::Eureka(options) => {
                set(Stage::Query, &options.latency);
                None
            }
            Config::Consul(options) => {
                set(Stage::Watch, &options.propagation_delay);
                None
            }
            Config::Xds(options) => {
                set(Stage::Push, &options.push_time);
                Some(&options.kubernetes)
            }
            Config::Linkerd(options) => {
                set(Stage::Push, &options.stream_delay);
                Some(&options.kubernetes)
            }
            Config::Kubernetes(options) => {
                set(Stage::Sync, &options.kube_proxy.sync_duration);
                Some(options.as_ref())
            }
        };
        if let Some(pods) = pods {
            set(Stage::Status, &pods.status_update_delay);
            set(Stage::Watch, &pods.watch_delay);
        }
        stages
    }

    /// Whether the options make sense.
    ///
    /// # Errors
    /// A sentence about the first that does not.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Config::Static => {}
            Config::Dns(options) => options.check()?,
            Config::Poll(options) => options.check()?,
            Config::Eureka(options) => options.check()?,
            Config::Consul(options) => options.check()?,
            Config::Xds(options) => options.check()?,
            Config::Linkerd(options) => options.kubernetes.check()?,
            Config::Kubernetes(options) => options.check()?,
        }
        self.stages().iter().try_for_each(|delay| delay.check(Unit::Duration))
    }
}

/// Refuses a period of nothing: time would stand still.
fn at_least_a_millisecond(period: Duration, name: &str) -> Result<(), String> {
    if period < Duration::from_millis(1) {
        return Err(format!("`{name}` must be at least 1ms"));
    }
    Ok(())
}

impl JsonSchema for Config {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Discovery".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let dns = generator.subschema_for::<dns::Options>();
        let poll = generator.subschema_for::<poll::Options>();
        let eureka = generator.subschema_for::<eureka::Options>();
        let consul = generator.subschema_for::<consul::Options>();
        let xds = generator.subschema_for::<xds::Options>();
        let linkerd = generator.subschema_for::<xds::Linkerd>();
        let kubernetes = generator.subschema_for::<kubernetes::Options>();
        json_schema!({
            "description": "How callers learn of the endpoints: a name, or a map with one key, the name, over its options.",
            "anyOf": [
                {"enum": ["static", "dns", "poll", "rest", "eureka", "consul", "xds", "istio", "linkerd", "kubernetes", "kube_proxy"]},
                {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": false,
                    "properties": {
                        "static": {"type": ["object", "null"]}, "dns": dns, "poll": poll, "rest": poll, "eureka": eureka, "consul": consul, "xds": xds,
                        "istio": xds, "linkerd": linkerd, "kubernetes": kubernetes, "kube_proxy": kubernetes
                    }
                }
            ]
        })
    }
}
