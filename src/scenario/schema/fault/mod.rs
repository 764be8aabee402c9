//! Faults: what goes wrong, when, and with whom. One file holds one kind, or a few near relatives.

pub mod control;
pub mod cpu_throttle;
pub mod crash;
pub mod errors;
pub mod inject;
pub mod memory_leak;
pub mod network;
pub mod pause;
pub mod slow;
pub mod target;
pub mod traffic;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::random::DistributionConfig;
use crate::scenario::decode::Field;
use crate::scenario::source::Span;
use crate::time::Duration;

pub(crate) use target::Target;

/// Declares [`Fault`] with a field for each kind, and what is known of all kinds.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident: $type:ty,)*) => {
        /// A fault: one kind of it, when it comes, and whether it comes again.
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        pub struct Fault {
            /// What `expect` and the report call it, as in `expect: availability(x) > 99% during outage`; made of what it does if absent.
            pub name: Option<Field<String>>,
            /// When it begins, from the start of the run; with `after` from the end of that fault. Needed without `random` and `after`.
            pub at: Option<Field<Duration>>,
            /// The fault, by its `name` or as `previous`, after whose end this one begins.
            pub after: Option<Field<String>>,
            /// How long it lasts; to the end if absent.
            #[serde(rename = "for")]
            pub lasts: Option<Field<Duration>>,
            /// It comes again and again: the time from one begin to the next, which may be a distribution.
            pub every: Option<Field<DistributionConfig>>,
            /// No fault is left from here on, counted from the start of the run.
            pub until: Option<Field<Duration>>,
            /// It comes and goes at random, in every variant at the same times, in place of `for` and `every`.
            pub random: Option<Field<Random>>,
            $($(#[doc = $doc])* pub $name: Option<Field<$type>>,)*
        }

        /// The names of all kinds, in the order of [`Fault`].
        pub const KINDS: &[&str] = &[$(stringify!($name)),*];

        impl Fault {
            /// Which kinds were given, with their places.
            pub(crate) fn kinds(&self) -> Vec<(&'static str, Span)> {
                let all = [$(self.$name.as_ref().map(|field| (stringify!($name), field.span))),*];
                all.into_iter().flatten().collect()
            }
        }
    };
}

kinds! {
    /// Endpoints go down: connections refused, requests reset, or nothing answered.
    crash: crash::Crash,
    /// Endpoints go down and come back, slow at first.
    restart: crash::Restart,
    /// All endpoints of a service go down.
    dependency_outage: crash::DependencyOutage,
    /// Nodes go down with all endpoints on them; nothing answers any more.
    node_loss: crash::NodeLoss,
    /// Zones go down with all endpoints in them; nothing answers any more.
    zone_loss: crash::ZoneLoss,
    /// Endpoints work slower.
    slow: slow::Slow,
    /// Endpoints have a quota of CPU time in each period and stand still when it is used up, as under Linux's CFS.
    cpu_throttle: cpu_throttle::CpuThrottle,
    /// Endpoints stand still for a while, once or again and again, as in a garbage collection.
    pause: pause::Pause,
    /// A share of the requests is answered with an error as soon as it arrives.
    errors: errors::Errors,
    /// A share of the requests is never answered.
    hang_share: errors::HangShare,
    /// Endpoints lose memory until the process is killed and started again.
    memory_leak: memory_leak::MemoryLeak,
    /// Packets between two parties are lost for good.
    partition: network::Partition,
    /// Packets between two parties are lost more often, and sent again.
    loss: network::Loss,
    /// Packets between two parties take longer.
    latency: network::Latency,
    /// The network between two parties carries less.
    bandwidth: network::BandwidthCut,
    /// Names are not resolved.
    dns_down: control::DnsDown,
    /// The service registry neither hears nor answers.
    registry_down: control::RegistryDown,
    /// The control plane pushes nothing.
    control_plane_down: control::ControlPlaneDown,
    /// Callers are told of the endpoints that were there when it began, whoever tells them.
    stale_endpoints: control::StaleEndpoints,
    /// Callers are told wrong addresses: nobody is there, or another service.
    wrong_endpoints: control::WrongEndpoints,
    /// The control plane takes longer over what it does.
    control_plane_slow: control::ControlPlaneSlow,
    /// A wrong configuration is rolled out to a share of the callers.
    bad_config: inject::BadConfig,
    /// Callers' proxies hold up a share of the calls, as Istio's fault injection does.
    delay: inject::Delay,
    /// Callers' proxies answer a share of the calls with an error, as Istio's fault injection does.
    abort: inject::Abort,
    /// Clients send more, or less.
    spike: traffic::Spike,
    /// A share of the requests wants one key.
    hot_key: traffic::HotKey,
}

/// When a random fault comes and goes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Random {
    /// Time to failure: from the end of one to the begin of the next, and before the first.
    pub mttf: Field<DistributionConfig>,
    /// Time to repair: how long each lasts.
    pub mttr: Field<DistributionConfig>,
    /// Who fails together; each `endpoint` by itself if absent.
    pub correlated: Option<Field<Correlated>>,
}

/// Who fails together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Correlated {
    /// Nobody: each endpoint has times of its own.
    Endpoint,
    /// The targets in one zone.
    Zone,
    /// All targets.
    All,
}

/// The value of a kind that could be read, and what is asked of it.
fn of<'f, T, R>(field: &'f Option<Field<T>>, ask: impl FnOnce(&'f T) -> R) -> Option<(R, Span)> {
    let field = field.as_ref()?;
    Some((ask(field.get()?), field.span))
}

impl Fault {
    /// Which endpoints it strikes, if it is a kind that strikes endpoints, and where that is written.
    pub(crate) fn target(&self) -> Option<(Target<'_>, Span)> {
        None.or_else(|| of(&self.crash, crash::Crash::target))
            .or_else(|| of(&self.restart, crash::Restart::target))
            .or_else(|| of(&self.dependency_outage, crash::DependencyOutage::target))
            .or_else(|| of(&self.node_loss, crash::NodeLoss::target))
            .or_else(|| of(&self.zone_loss, crash::ZoneLoss::target))
            .or_else(|| of(&self.slow, slow::Slow::target))
            .or_else(|| of(&self.cpu_throttle, cpu_throttle::CpuThrottle::target))
            .or_else(|| of(&self.pause, pause::Pause::target))
            .or_else(|| of(&self.errors, errors::Errors::target))
            .or_else(|| of(&self.hang_share, errors::HangShare::target))
            .or_else(|| of(&self.memory_leak, memory_leak::MemoryLeak::target))
    }

    /// The parties of a fault of the network, and where that is written.
    pub(crate) fn link(&self) -> Option<(network::Ends<'_>, Span)> {
        None.or_else(|| of(&self.partition, network::Partition::ends))
            .or_else(|| of(&self.loss, network::Loss::ends))
            .or_else(|| of(&self.latency, network::Latency::ends))
            .or_else(|| of(&self.bandwidth, network::BandwidthCut::ends))
    }

    /// What it does to callers' proxies, and where that is written.
    pub(crate) fn injection(&self) -> Option<(inject::Injection<'_>, Span)> {
        None.or_else(|| of(&self.bad_config, inject::BadConfig::injection))
            .or_else(|| of(&self.delay, inject::Delay::injection))
            .or_else(|| of(&self.abort, inject::Abort::injection))
    }
}

/// The JSON Schema of one kind, with its definitions.
pub fn kind_schema(kind: &str) -> Option<serde_json::Value> {
    let mut schema = schemars::schema_for!(Fault).to_value();
    let mut field = schema["properties"].get(kind)?.clone();
    let definitions = schema["$defs"].take();
    let reference = field["$ref"]
        .as_str()
        .or(field["anyOf"][0]["$ref"].as_str())
        .map(str::to_string);
    let name = reference?.rsplit('/').next()?.to_string();
    let mut options = definitions[&name].clone();
    options["description"] = field["description"].take();
    options["$defs"] = definitions;
    Some(options)
}
