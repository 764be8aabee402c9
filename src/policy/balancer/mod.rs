//! The balancers: the trait they share, and the registry that knows them all.
//!
//! A balancer is one file with two public items, `Options` and `Balancer`, a `mod` line in its family and a line in the registry
//! below. Everything else (dispatch, reading a scenario, JSON Schema, `meshsim policies`) follows from those.

pub mod child_policy;
pub mod common;
mod config;
pub mod envoy;
pub mod finagle;
pub mod grpc;
pub mod haproxy;
pub mod kube_proxy;
pub mod linkerd;
pub mod nginx;
pub mod research;
pub mod tower;
pub mod traefik;

pub use config::known_name;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{CallInfo, CallerInfo, EndpointIndex, Endpoints, LoadReport, Outcome};
use crate::random::Rng;
use crate::time::Time;

/// Chooses one endpoint of a candidate set. One value serves one caller; every hook but `pick` may stay empty.
///
/// A prototype is made by `new` and cloned for each caller, so what callers may share goes behind an `Arc`.
pub trait Balance: Clone {
    /// What a user may write.
    type Options;
    /// What it does, in one line.
    const ABOUT: &'static str;
    /// Where the real one, or its description, is.
    const SOURCE: &'static str;
    /// What it was checked against: what `tests/policy` shows, in one line.
    const CHECKED: &'static str;
    /// In what it is known to differ from the real one; empty: in nothing that a caller could see.
    const DIFFERENCES: &'static str = "";
    /// How its family makes candidates of endpoints.
    const RULES: Rules;
    /// The same with these options.
    fn rules(options: &Self::Options) -> Rules {
        let _ = options;
        Self::RULES
    }

    /// What it wants of a driver beside calls and their ends.
    const WANTS: Wants = Wants::NOTHING;
    /// Whether it chooses for each connection rather than for each call: calls on an open connection go where that leads, and `active` of
    /// the endpoints counts connections.
    const PER_CONNECTION: bool = false;

    /// The same with these options.
    fn wants(options: &Self::Options) -> Wants {
        let _ = options;
        Self::WANTS
    }

    /// A prototype for an upstream whose set numbers are below `set_count` when a caller first sees it.
    fn new(options: &Self::Options, set_count: usize) -> Self;

    /// Who it picks for; the first of all hooks.
    fn on_caller(&mut self, caller: &CallerInfo) {
        let _ = caller;
    }

    /// A caller begins: the place for random state of its own.
    fn start(&mut self, rng: &mut Rng) {
        let _ = rng;
    }

    /// The caller learns of an endpoint; what was known under that index is of another one.
    fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        let _ = (endpoint, now);
    }

    /// On a prototype: a view begins in which these sets are new; all numbers of sets are now below `set_count`.
    fn renew(&mut self, sets: &[usize], set_count: usize) {
        let _ = (sets, set_count);
    }

    /// The caller has come to the view of which `prototype` is the prototype: what follows from the view alone is shared with
    /// it. Comes before `update`.
    fn share(&mut self, prototype: &Self) {
        let _ = prototype;
    }

    /// The members of `set`, or their weights or keys, are no longer what they were. Not called for the sets of the start.
    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        let _ = (endpoints, set, now);
    }

    /// Chooses a member of `set`, which is not empty. The choice is counted in `endpoints.active` from the next call on.
    /// `None`: nobody of this set may have it; under [`Rules::Ready`] and [`Rules::Any`] the next level is asked.
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        now: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex>;

    /// The number by which it compares `endpoint` with others, the lower the better, if that is more than a count of requests: for
    /// whoever explains a choice. Called on a copy.
    fn score(&mut self, endpoints: &Endpoints<'_>, endpoint: EndpointIndex, now: Time) -> Option<f64> {
        let _ = (endpoints, endpoint, now);
        None
    }

    /// An attempt, or a new connection, goes to `endpoint`.
    fn on_started(&mut self, endpoint: EndpointIndex, now: Time) {
        let _ = (endpoint, now);
    }

    /// An attempt at `endpoint` ended; it is no longer counted as active.
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        let _ = (endpoint, outcome, now);
    }

    /// A connection to `endpoint` was closed. Only for balancers that choose for each connection.
    fn on_closed(&mut self, endpoint: EndpointIndex, now: Time) {
        let _ = (endpoint, now);
    }

    /// `endpoint` reports to this caller that it is idle.
    fn on_idle(&mut self, endpoint: EndpointIndex, now: Time) {
        let _ = (endpoint, now);
    }

    /// An endpoint to be asked for its load now; asked for after each pick until there is none.
    fn next_probe(&mut self) -> Option<EndpointIndex> {
        None
    }

    /// What `endpoint` said when it was asked.
    fn on_probed(&mut self, endpoint: EndpointIndex, report: &LoadReport, now: Time) {
        let _ = (endpoint, report, now);
    }
}

/// What may be left out for balancers that do not want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// [`CallInfo::key`] and [`CallInfo::source`].
    pub key: bool,
    /// [`CallInfo::server_load`].
    pub server_load: bool,
    /// Calls of [`Cluster::on_idle`](crate::policy::Cluster::on_idle).
    pub idle_reports: bool,
    /// [`Outcome::load`].
    pub load_reports: bool,
    /// Calls of [`Cluster::next_probe`](crate::policy::Cluster::next_probe) after each pick.
    pub probes: bool,
    /// [`CandidateSet::localities`].
    pub localities: bool,
}

impl Wants {
    /// Nothing more.
    pub const NOTHING: Wants = Wants {
        key: false,
        server_load: false,
        idle_reports: false,
        load_reports: false,
        probes: false,
        localities: false,
    };
}

/// What a balancer may know of the call.
#[derive(Clone, Copy, Debug)]
pub struct Hints<'a> {
    /// The hash of the request's key, or a random one; 0 where the rules are not those of a hash policy.
    pub hash: u64,
    /// How many picks for this attempt have been rejected.
    pub reselection: u32,
    /// The call.
    pub call: &'a CallInfo<'a>,
}

/// A registered balancer, for whoever lists them.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// `family/name`.
    pub name: &'static str,
    /// The system it comes from.
    pub family: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Where the real one, or its description, is.
    pub source: &'static str,
    /// What it was checked against.
    pub checked: &'static str,
    /// In what it is known to differ from the real one.
    pub differences: &'static str,
    /// The JSON Schema of its options, with their texts and defaults.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Entry {
    /// All that is said of it but its options, in sentences.
    pub fn description(&self) -> String {
        let Entry {
            about,
            source,
            checked,
            differences,
            ..
        } = self;
        let mut text = format!("{about}. Source: {source}. Checked against: {checked}.");
        if !differences.is_empty() {
            text += &format!(" Differs from the real one: {differences}.");
        }
        text
    }

    /// The schema of the options on its own.
    pub fn options_schema(&self) -> Schema {
        (self.schema)(&mut SchemaGenerator::default())
    }
}

/// Makes the enums with a `match` per hook, and the table of names, from lines `name: Variant` under their family.
macro_rules! registry {
    ($($family:ident { $($name:ident: $variant:ident,)* })*) => {
        /// Which balancer, with its options.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Config {
            $($(
                #[doc = concat!("`", stringify!($family), "/", stringify!($name), "`")]
                $variant($family::$name::Options),
            )*)*
        }

        /// One caller's balancer.
        #[derive(Clone, Debug)]
        pub(crate) enum Balancer {
            $($($variant($family::$name::Balancer),)*)*
        }

        /// The balancers there are, in the order of the registry.
        pub const ENTRIES: &[Entry] = &[
            $($(Entry {
                name: concat!(stringify!($family), "/", stringify!($name)),
                family: stringify!($family),
                about: <$family::$name::Balancer as Balance>::ABOUT,
                source: <$family::$name::Balancer as Balance>::SOURCE,
                checked: <$family::$name::Balancer as Balance>::CHECKED,
                differences: <$family::$name::Balancer as Balance>::DIFFERENCES,
                schema: <$family::$name::Options as JsonSchema>::json_schema,
            },)*)*
        ];

        /// Their names, in the same order.
        pub const NAMES: &[&str] = &[$($(concat!(stringify!($family), "/", stringify!($name)),)*)*];

        impl Config {
            /// The balancer's name, `family/name`.
            pub fn name(&self) -> &'static str {
                match self {
                    $($(Config::$variant(_) => concat!(stringify!($family), "/", stringify!($name)),)*)*
                }
            }

            /// How its family makes candidates of endpoints.
            pub fn rules(&self) -> Rules {
                match self {
                    $($(Config::$variant(options) => <$family::$name::Balancer as Balance>::rules(options),)*)*
                }
            }

            /// What it wants of a driver beside calls and their ends.
            pub fn wants(&self) -> Wants {
                match self {
                    $($(Config::$variant(options) => <$family::$name::Balancer as Balance>::wants(options),)*)*
                }
            }

            /// Whether it chooses for each connection rather than for each call.
            pub fn is_per_connection(&self) -> bool {
                match self {
                    $($(Config::$variant(_) => <$family::$name::Balancer as Balance>::PER_CONNECTION,)*)*
                }
            }

            /// Whether the options make sense together.
            ///
            /// # Errors
            /// A sentence for the user, about options by their names.
            pub fn check(&self) -> Result<(), String> {
                match self {
                    $($(Config::$variant(options) => options.check(),)*)*
                }
            }

            /// The balancer of a name in [`NAMES`], with its options from `read`.
            fn read<R: config::ReadOptions>(name: &str, read: R) -> Option<Result<Config, R::Error>> {
                match name {
                    $($(concat!(stringify!($family), "/", stringify!($name)) => Some(read.read().map(Config::$variant)),)*)*
                    _ => None,
                }
            }
        }

        impl Balancer {
            pub fn new(config: &Config, set_count: usize) -> Balancer {
                match config {
                    $($(Config::$variant(options) => Balancer::$variant(Balance::new(options, set_count)),)*)*
                }
            }
        }

        dispatch! { $($($variant)*)* }
    };
}

/// The hooks that only pass a call on.
macro_rules! dispatch {
    ($($variant:ident)*) => {
        impl Balancer {
            pub fn on_caller(&mut self, caller: &CallerInfo) {
                match self { $(Balancer::$variant(balancer) => balancer.on_caller(caller),)* }
            }

            pub fn start(&mut self, rng: &mut Rng) {
                match self { $(Balancer::$variant(balancer) => balancer.start(rng),)* }
            }

            pub fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
                match self { $(Balancer::$variant(balancer) => balancer.on_added(endpoint, now),)* }
            }

            pub fn renew(&mut self, sets: &[usize], set_count: usize) {
                match self { $(Balancer::$variant(balancer) => balancer.renew(sets, set_count),)* }
            }

            pub fn share(&mut self, prototype: &Balancer) {
                match (self, prototype) {
                    $((Balancer::$variant(balancer), Balancer::$variant(prototype)) => balancer.share(prototype),)*
                    _ => unreachable!("a caller's balancer is that of its upstream"),
                }
            }

            pub fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
                match self { $(Balancer::$variant(balancer) => balancer.update(endpoints, set, now),)* }
            }

            #[inline]
            pub fn pick(
                &mut self,
                endpoints: &Endpoints<'_>,
                set: CandidateSet<'_>,
                hints: &Hints<'_>,
                now: Time,
                rng: &mut Rng,
            ) -> Option<EndpointIndex> {
                match self { $(Balancer::$variant(balancer) => balancer.pick(endpoints, set, hints, now, rng),)* }
            }

            pub fn score(&mut self, endpoints: &Endpoints<'_>, endpoint: EndpointIndex, now: Time) -> Option<f64> {
                match self { $(Balancer::$variant(balancer) => balancer.score(endpoints, endpoint, now),)* }
            }

            #[inline]
            pub fn on_started(&mut self, endpoint: EndpointIndex, now: Time) {
                match self { $(Balancer::$variant(balancer) => balancer.on_started(endpoint, now),)* }
            }

            #[inline]
            pub fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
                match self { $(Balancer::$variant(balancer) => balancer.on_finished(endpoint, outcome, now),)* }
            }

            pub fn on_closed(&mut self, endpoint: EndpointIndex, now: Time) {
                match self { $(Balancer::$variant(balancer) => balancer.on_closed(endpoint, now),)* }
            }

            #[inline]
            pub fn on_idle(&mut self, endpoint: EndpointIndex, now: Time) {
                match self { $(Balancer::$variant(balancer) => balancer.on_idle(endpoint, now),)* }
            }

            #[inline]
            pub fn next_probe(&mut self) -> Option<EndpointIndex> {
                match self { $(Balancer::$variant(balancer) => balancer.next_probe(),)* }
            }

            pub fn on_probed(&mut self, endpoint: EndpointIndex, report: &LoadReport, now: Time) {
                match self { $(Balancer::$variant(balancer) => balancer.on_probed(endpoint, report, now),)* }
            }
        }
    };
}

registry! {
    envoy {
        round_robin: EnvoyRoundRobin,
        random: EnvoyRandom,
        least_request: EnvoyLeastRequest,
        ring_hash: EnvoyRingHash,
        maglev: EnvoyMaglev,
        client_side_weighted_round_robin: EnvoyClientSideWeightedRoundRobin,
    }
    grpc {
        pick_first: GrpcPickFirst,
        round_robin: GrpcRoundRobin,
        weighted_round_robin: GrpcWeightedRoundRobin,
        ring_hash: GrpcRingHash,
        least_request: GrpcLeastRequest,
        priority: GrpcPriority,
        weighted_target: GrpcWeightedTarget,
    }
    linkerd {
        peak_ewma: LinkerdPeakEwma,
        penalty_peak_ewma: LinkerdPenaltyPeakEwma,
    }
    tower {
        peak_ewma: TowerPeakEwma,
        pending_requests: TowerPendingRequests,
    }
    finagle {
        p2c_least_loaded: FinagleP2cLeastLoaded,
        p2c_peak_ewma: FinagleP2cPeakEwma,
        heap_least_loaded: FinagleHeapLeastLoaded,
        aperture: FinagleAperture,
        deterministic_aperture: FinagleDeterministicAperture,
    }
    kube_proxy {
        iptables: KubeProxyIptables,
        nftables: KubeProxyNftables,
        ipvs_rr: KubeProxyIpvsRr,
        ipvs_wrr: KubeProxyIpvsWrr,
        ipvs_lc: KubeProxyIpvsLc,
        ipvs_wlc: KubeProxyIpvsWlc,
        ipvs_sh: KubeProxyIpvsSh,
        ipvs_sed: KubeProxyIpvsSed,
        ipvs_nq: KubeProxyIpvsNq,
    }
    nginx {
        round_robin: NginxRoundRobin,
        least_conn: NginxLeastConn,
        ip_hash: NginxIpHash,
        hash: NginxHash,
        hash_consistent: NginxHashConsistent,
        random: NginxRandom,
        random_two_least_conn: NginxRandomTwoLeastConn,
        least_time: NginxLeastTime,
    }
    haproxy {
        roundrobin: HaproxyRoundrobin,
        static_rr: HaproxyStaticRr,
        leastconn: HaproxyLeastconn,
        first: HaproxyFirst,
        random: HaproxyRandom,
        source: HaproxySource,
        uri: HaproxyUri,
        hdr: HaproxyHdr,
        hash: HaproxyHash,
    }
    traefik {
        wrr: TraefikWrr,
        p2c: TraefikP2c,
        hrw: TraefikHrw,
        least_time: TraefikLeastTime,
    }
    research {
        jsq: ResearchJsq,
        jiq: ResearchJiq,
        least_response_time: ResearchLeastResponseTime,
        c3: ResearchC3,
        prequal: ResearchPrequal,
        weighted_response_time: ResearchWeightedResponseTime,
        choice_of_two: ResearchChoiceOfTwo,
        rendezvous: ResearchRendezvous,
        bounded_load: ResearchBoundedLoad,
    }
}

/// Other names that users may know a balancer by. Besides, `-` in a name is as good as `_`.
pub const ALIASES: &[(&str, &str)] = &[
    ("finagle/heap", "finagle/heap_least_loaded"),
    ("finagle/p2c", "finagle/p2c_least_loaded"),
    ("linkerd/load_biaser", "linkerd/penalty_peak_ewma"),
    ("research/hrw", "research/rendezvous"),
    ("research/ribbon", "research/weighted_response_time"),
    ("research/zuul", "research/choice_of_two"),
    ("nginx/ketama", "nginx/hash_consistent"),
    ("nginx/random_two", "nginx/random_two_least_conn"),
    ("haproxy/url_param", "haproxy/hash"),
    ("traefik/leasttime", "traefik/least_time"),
];
