//! A Kubernetes Service as a node sees it: which endpoints its connections may go to, and who stays where they were; a scheduler chooses
//! among the rest.
//!
//! The balancers of kube-proxy are this part with one scheduler each.

use core::net::IpAddr;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{PerSet, topology};
use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{CallerInfo, EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// What a Service says of its traffic. A call is balanced when its connection is opened, and `connection_pool` says which calls share one;
/// without that each call has one of its own.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceOptions {
    /// Whether connections from one address go where its last one went.
    #[serde(alias = "sessionAffinity")]
    #[schemars(extend("x-upstream" = "Service.spec.sessionAffinity"))]
    pub session_affinity: SessionAffinity,
    /// For how many seconds after its last connection an address is remembered, from 1 to 86400.
    #[serde(alias = "timeoutSeconds")]
    #[schemars(extend("x-upstream" = "Service.spec.sessionAffinityConfig.clientIP.timeoutSeconds"))]
    pub timeout_seconds: u32,
    /// Whether only endpoints on the caller's node are used. Nodes are not modelled: zones stand for them.
    #[serde(alias = "internalTrafficPolicy")]
    #[schemars(extend("x-upstream" = "Service.spec.internalTrafficPolicy"))]
    pub internal_traffic_policy: TrafficPolicy,
    /// Whether endpoints in the caller's zone are preferred; others are used only while it has none that is ready.
    #[serde(alias = "trafficDistribution")]
    #[schemars(extend("x-upstream" = "Service.spec.trafficDistribution"))]
    pub traffic_distribution: Option<TrafficDistribution>,
    /// Whether the endpoints are divided between the zones in proportion to their processors, unless that would overload one.
    #[serde(alias = "topologyMode")]
    #[schemars(extend("x-upstream" = "Service annotation service.kubernetes.io/topology-mode"))]
    pub topology_mode: TopologyMode,
    /// The processors of each zone's nodes, for `topology_mode`; equal in all zones of the callers and endpoints if absent.
    #[serde(alias = "allocatableCpu")]
    #[schemars(extend("x-upstream" = "Node.status.allocatable.cpu, summed by zone"))]
    pub allocatable_cpu: BTreeMap<String, f64>,
}

/// An enum of words as Kubernetes spells them; small letters are read too.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal | $($alias:literal)|+,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word, $(alias = $alias),+)] $variant,)*
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!({"type": "string", "enum": [$($word, $($alias),+),*]})
            }
        }
    };
}

words! {
    /// Whether connections of one address stay together.
    SessionAffinity {
        /// They do not.
        None = "None" | "none",
        /// They do.
        ClientIp = "ClientIP" | "client_ip",
    }
}

words! {
    /// Where traffic from within the cluster may go.
    TrafficPolicy {
        /// Anywhere.
        Cluster = "Cluster" | "cluster",
        /// To endpoints of the caller's node only.
        Local = "Local" | "local",
    }
}

words! {
    /// Which endpoints are preferred.
    TrafficDistribution {
        /// The old name of `PreferSameZone`.
        Close = "PreferClose" | "prefer_close",
        /// Those in the caller's zone.
        SameZone = "PreferSameZone" | "prefer_same_zone",
        /// Those on the caller's node, then those in its zone. Nodes are not modelled, so it is `PreferSameZone`.
        SameNode = "PreferSameNode" | "prefer_same_node",
    }
}

words! {
    /// Whether endpoints are divided between zones.
    TopologyMode {
        /// They are not.
        Disabled = "Disabled" | "disabled",
        /// They are, unless that would overload a zone.
        Auto = "Auto" | "auto",
    }
}

impl Default for ServiceOptions {
    fn default() -> ServiceOptions {
        ServiceOptions {
            session_affinity: SessionAffinity::None,
            timeout_seconds: 10_800,
            internal_traffic_policy: TrafficPolicy::Cluster,
            traffic_distribution: None,
            topology_mode: TopologyMode::Disabled,
            allocatable_cpu: BTreeMap::new(),
        }
    }
}

impl ServiceOptions {
    /// Whether Kubernetes would take them.
    ///
    /// # Errors
    /// A sentence about the option that it would not take.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=86_400).contains(&self.timeout_seconds) {
            return Err(format!(
                "`timeout_seconds` must be from 1 to 86400, not {}",
                self.timeout_seconds
            ));
        }
        match self
            .allocatable_cpu
            .iter()
            .find(|zone| !(*zone.1 > 0.0 && zone.1.is_finite()))
        {
            Some((zone, cpu)) => Err(format!("`allocatable_cpu` of zone `{zone}` must be above 0, not {cpu}")),
            None => Ok(()),
        }
    }
}

/// What a scheduler may look at.
#[derive(Clone, Copy, Debug)]
pub struct Servers<'a> {
    /// Those that a connection may go to, of which there is one at least.
    pub list: &'a [EndpointIndex],
    /// Weights by endpoint, at least 1.
    pub weights: &'a [u32],
    /// Open connections by endpoint.
    pub active: &'a [u32],
    /// Connections by endpoint that were closed of late, for schedulers that count them.
    pub inactive: &'a [u32],
    /// Where the connection comes from.
    pub source: Option<IpAddr>,
}

impl Servers<'_> {
    /// What IPVS takes for the load of a server's connections, where an open one counts as 256 that were closed of late
    /// (`ip_vs_dest_conn_overhead`).
    pub fn connection_overhead(&self, endpoint: EndpointIndex) -> u64 {
        256 * u64::from(self.active[endpoint.at()]) + u64::from(self.inactive[endpoint.at()])
    }

    /// How long a connection would wait, in connections: those open, and itself.
    pub fn expected_delay(&self, endpoint: EndpointIndex) -> u64 {
        u64::from(self.active[endpoint.at()]) + 1
    }
}

/// Chooses the server of a connection.
pub trait Scheduler: Clone + Default {
    /// What it does, in one line.
    const ABOUT: &'static str;
    /// Where the real one is.
    const SOURCE: &'static str;
    /// What it was checked against.
    const CHECKED: &'static str;
    /// In what it is known to differ from the real one.
    const DIFFERENCES: &'static str;
    /// Whether it looks at [`Servers::inactive`].
    const COUNTS_INACTIVE: bool = false;

    /// The servers, or their weights, are no longer `last`.
    fn relist(&mut self, last: &[EndpointIndex], servers: &Servers<'_>) {
        let _ = (last, servers);
    }

    /// A server of the list.
    fn schedule(&mut self, servers: &Servers<'_>, rng: &mut Rng) -> Option<EndpointIndex>;
}

/// One node's view of a Service.
#[derive(Clone, Debug)]
pub struct Service<S> {
    options: ServiceOptions,
    caller: CallerInfo,
    states: PerSet<State<S>>,
    affinity: BTreeMap<Option<IpAddr>, Session>,
    inactive: Inactive,
}

#[derive(Clone, Debug, Default)]
struct State<S> {
    is_known: bool,
    list: Vec<EndpointIndex>,
    // Room for the list before it.
    last: Vec<EndpointIndex>,
    scheduler: S,
}

/// Where an address's last connection went, and when.
#[derive(Clone, Copy, Debug)]
struct Session {
    endpoint: EndpointIndex,
    used: Time,
}

/// How long IPVS counts a connection that was closed as inactive: its timeout of `TIME_WAIT` and `FIN_WAIT`
/// (`net/netfilter/ipvs/ip_vs_proto_tcp.c`).
const INACTIVE_FOR: Duration = Duration::from_secs(120);

/// Connections that were closed of late.
#[derive(Clone, Debug, Default)]
struct Inactive {
    closed: std::collections::VecDeque<(Time, EndpointIndex)>,
    counts: Vec<u32>,
}

impl Inactive {
    fn add(&mut self, endpoint: EndpointIndex, now: Time) {
        self.counts[endpoint.at()] += 1;
        self.closed.push_back((now, endpoint));
    }

    fn expire(&mut self, now: Time) {
        while let Some(&(closed, endpoint)) = self.closed.front()
            && now.since(closed) >= INACTIVE_FOR
        {
            self.closed.pop_front();
            // It may be another endpoint by now, of which nothing is counted.
            let count = &mut self.counts[endpoint.at()];
            *count = count.saturating_sub(1);
        }
    }
}

impl<S: Scheduler> Service<S> {
    /// Lists the endpoints of a set that this node may use.
    #[cold]
    fn relist(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, source: Option<IpAddr>) {
        let state = self.states.of(set.number());
        state.is_known = true;
        std::mem::swap(&mut state.list, &mut state.last);
        state.list.clear();
        state.list.extend(set.iter());
        usable(&mut state.list, endpoints, &self.options, &self.caller);
        // Who may not be used is forgotten, and would be new if it came back.
        let list = &state.list;
        self.affinity.retain(|_, session| list.contains(&session.endpoint));
        let servers = Servers {
            list,
            weights: endpoints.weights,
            active: endpoints.active,
            inactive: &self.inactive.counts,
            source,
        };
        state.scheduler.relist(&state.last, &servers);
    }
}

/// Leaves those endpoints in the list that a caller in its zone may use.
fn usable(list: &mut Vec<EndpointIndex>, endpoints: &Endpoints<'_>, options: &ServiceOptions, caller: &CallerInfo) {
    let zone_of = |endpoint: &EndpointIndex| endpoints.infos[endpoint.at()].zone.as_str();
    if options.internal_traffic_policy == TrafficPolicy::Local {
        return list.retain(|endpoint| zone_of(endpoint) == caller.zone);
    }
    let zones: Vec<&str> = list.iter().map(zone_of).collect();
    let hints = if options.topology_mode == TopologyMode::Auto {
        topology::hints(&zones, &shares(&zones, options, caller))
    } else if options.traffic_distribution.is_some() {
        zones.iter().all(|zone| !zone.is_empty()).then_some(zones)
    } else {
        None
    };
    let Some(hints) = hints.filter(|hints| hints.contains(&caller.zone.as_str())) else {
        return;
    };
    let mut hints = hints.iter();
    list.retain(|_| hints.next() == Some(&caller.zone.as_str()));
}

/// The processors of each zone.
fn shares<'a>(zones: &[&'a str], options: &'a ServiceOptions, caller: &'a CallerInfo) -> BTreeMap<&'a str, f64> {
    if !options.allocatable_cpu.is_empty() {
        return options
            .allocatable_cpu
            .iter()
            .map(|(zone, &cpu)| (zone.as_str(), cpu))
            .collect();
    }
    let of_callers = caller.local_hosts.iter().map(|(zone, _)| zone.as_str());
    let known = zones.iter().copied().chain(of_callers).chain([caller.zone.as_str()]);
    known.filter(|zone| !zone.is_empty()).map(|zone| (zone, 1.0)).collect()
}

impl<S: Scheduler> Balance for Service<S> {
    type Options = ServiceOptions;
    const ABOUT: &'static str = S::ABOUT;
    const SOURCE: &'static str = S::SOURCE;
    const CHECKED: &'static str = S::CHECKED;
    const DIFFERENCES: &'static str = S::DIFFERENCES;
    const RULES: Rules = Rules::Ready;
    const WANTS: Wants = Wants {
        key: true,
        ..Wants::NOTHING
    };
    const PER_CONNECTION: bool = true;

    fn new(options: &ServiceOptions, _: usize) -> Service<S> {
        Service {
            options: options.clone(),
            caller: CallerInfo::default(),
            states: PerSet::default(),
            affinity: BTreeMap::new(),
            inactive: Inactive::default(),
        }
    }

    fn on_caller(&mut self, caller: &CallerInfo) {
        self.caller = caller.clone();
        self.states.iter_mut().for_each(|state| state.is_known = false);
    }

    fn on_added(&mut self, endpoint: EndpointIndex, _: Time) {
        let counts = &mut self.inactive.counts;
        counts.resize(counts.len().max(endpoint.at() + 1), 0);
        counts[endpoint.at()] = 0;
        // Whoever was under that index before is another one.
        self.affinity.retain(|_, session| session.endpoint != endpoint);
    }

    fn update(&mut self, _: &Endpoints<'_>, set: CandidateSet<'_>, _: Time) {
        self.states.of(set.number()).is_known = false;
    }

    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        now: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        let source = hints.call.source;
        if !self.states.of(set.number()).is_known {
            self.relist(endpoints, set, source);
        }
        if S::COUNTS_INACTIVE {
            self.inactive.expire(now);
        }
        let state = self.states.of(set.number());
        if state.list.is_empty() {
            return None;
        }
        let servers = Servers {
            list: &state.list,
            weights: endpoints.weights,
            active: endpoints.active,
            inactive: &self.inactive.counts,
            source,
        };
        if self.options.session_affinity == SessionAffinity::None {
            return state.scheduler.schedule(&servers, rng);
        }
        let timeout = Duration::from_secs(self.options.timeout_seconds.into());
        let is_usable = |session: &&Session| now.since(session.used) <= timeout && set.contains(session.endpoint);
        let last = self.affinity.get(&source).filter(is_usable);
        let endpoint = match last {
            Some(session) => session.endpoint,
            None => state.scheduler.schedule(&servers, rng)?,
        };
        self.affinity.insert(source, Session { endpoint, used: now });
        Some(endpoint)
    }

    fn on_closed(&mut self, endpoint: EndpointIndex, now: Time) {
        if S::COUNTS_INACTIVE {
            self.inactive.add(endpoint, now);
        }
    }
}
