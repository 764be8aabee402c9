//! The lines of a script: what each may hold, and what it means to the policy library.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny};
use xxhash_rust::xxh64::xxh64;

use crate::policy::health_check::Finding;
use crate::policy::{
    self, Answer, CallerInfo, EndpointInfo, LoadReport, Metadata, MetadataMatch, Outcome, PRIORITY_MAX, RoutingPriority,
};
use crate::replay::setup::explain;
use crate::time::Duration;

/// A line without its time.
pub enum Line {
    Endpoints(Vec<EndpointLine>),
    Pick(PickLine),
    Done(DoneLine),
    Health(HealthLine),
    Probe(ProbeLine),
    Check(CheckLine),
    Tick,
    Caller(CallerLine),
}

/// What every line has. The others of its keys are read once it is known which may be there.
#[derive(Deserialize)]
struct Head {
    op: Op,
    #[serde(default)]
    t: Option<f64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Op {
    Endpoints,
    Pick,
    Done,
    Health,
    Probe,
    Check,
    Tick,
    Caller,
}

/// Reads a line: its time, if it has one, and the rest.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &[u8]) -> Result<(Option<f64>, Line), String> {
    let head: Head = read(text)?;
    let line = match head.op {
        Op::Endpoints => Line::Endpoints(read::<EndpointsLine>(text)?.endpoints),
        Op::Pick => Line::Pick(read(text)?),
        Op::Done => Line::Done(read(text)?),
        Op::Health => Line::Health(read(text)?),
        Op::Tick => {
            read::<TickLine>(text)?;
            Line::Tick
        }
        Op::Probe => Line::Probe(read(text)?),
        Op::Check => Line::Check(read(text)?),
        Op::Caller => Line::Caller(read(text)?),
    };
    Ok((head.t, line))
}

fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| explain(&error))
}

/// The new whole list of endpoints.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointsLine {
    // Here and below: read before, with the head of the line.
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "t")]
    _t: IgnoredAny,
    endpoints: Vec<EndpointLine>,
}

/// One endpoint of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointLine {
    pub id: String,
    hostname: Option<String>,
    hash_key: Option<String>,
    #[serde(default = "one")]
    weight: u32,
    #[serde(default)]
    region: String,
    #[serde(default)]
    zone: String,
    #[serde(default)]
    sub_zone: String,
    #[serde(default)]
    priority: u32,
    health: Option<Health>,
    #[serde(default)]
    excluded: bool,
    /// The same for all of a locality and priority.
    pub locality_weight: Option<u32>,
    #[serde(default)]
    metadata: Metadata,
}

fn one<T: From<u8>>() -> T {
    T::from(1)
}

impl EndpointLine {
    /// As the policies see it; an endpoint that is `known` keeps its health unless the line says otherwise.
    pub fn info(&self, known: Option<policy::Health>) -> Result<EndpointInfo, String> {
        if self.weight == 0 {
            return Err(format!("the weight of endpoint `{}` must be at least 1", self.id));
        }
        if self.priority > PRIORITY_MAX {
            let Self { id, priority, .. } = self;
            return Err(format!(
                "the priority of endpoint `{id}` must be at most {PRIORITY_MAX}, not {priority}"
            ));
        }
        let health = match (self.excluded, self.health) {
            (true, _) => policy::Health::Excluded,
            (false, Some(health)) => health.into(),
            (false, None) => known.unwrap_or_default(),
        };
        Ok(EndpointInfo {
            address: self.id.clone(),
            hostname: self.hostname.clone(),
            // Envoy looks for it in the metadata.
            hash_key: self
                .hash_key
                .as_deref()
                .or(self.metadata.text("hash_key"))
                .map(str::to_string),
            weight: self.weight,
            region: self.region.clone(),
            zone: self.zone.clone(),
            sub_zone: self.sub_zone.clone(),
            locality_weight: self.locality_weight,
            metadata: self.metadata.clone(),
            priority: self.priority,
            health,
        })
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Healthy,
    Degraded,
    Unhealthy,
}

impl From<Health> for policy::Health {
    fn from(health: Health) -> policy::Health {
        match health {
            Health::Healthy => policy::Health::Healthy,
            Health::Degraded => policy::Health::Degraded,
            Health::Unhealthy => policy::Health::Unhealthy,
        }
    }
}

/// Calls to be placed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PickLine {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "t")]
    _t: IgnoredAny,
    /// The request's key.
    pub key: Option<String>,
    hash: Option<Hash>,
    source: Option<String>,
    #[serde(default = "one")]
    pub count: u64,
    #[serde(default)]
    pub auto_done: bool,
    /// Which attempt of its call this is, from 0. Without it a pick is the oldest retry that has been granted and not yet made,
    /// else the first attempt of a new call.
    pub attempt: Option<u32>,
    /// Whose limits of the circuit breaker it counts against; what the mesh file says if absent.
    pub priority: Option<RoutingPriority>,
    /// What it demands of an endpoint's metadata; what the mesh file says if absent.
    pub metadata_match: Option<MetadataMatch>,
}

impl PickLine {
    /// The ready hash, else XXH64 of the key, else of the client's address without its port: Envoy's hash policies for a header and
    /// for the source.
    pub fn hash(&self) -> Option<u64> {
        let of = |text: &str| xxh64(text.as_bytes(), 0);
        let ready = self.hash.as_ref().map(|hash| hash.0);
        let key = || self.key.as_deref().map(of);
        let source = || self.source.as_deref().map(|address| of(&without_port(address)));
        ready.or_else(key).or_else(source)
    }

    /// The client's address, with or without a port; a key that is an address stands for it.
    pub fn source(&self) -> Option<IpAddr> {
        let text = self.source.as_deref().or(self.key.as_deref())?;
        let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
        text.parse().or_else(|_| with_port()).ok()
    }
}

fn without_port(address: &str) -> Cow<'_, str> {
    match address.parse::<SocketAddr>() {
        Ok(address) => address.ip().to_string().into(),
        Err(_) => address.into(),
    }
}

/// A 64-bit value, as a decimal text since not every JSON writer can write it as a number.
struct Hash(u64);

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Hash;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a 64-bit value as a decimal text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hash, E> {
                text.parse()
                    .map(Hash)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Hash, E> {
                Ok(Hash(value))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// An attempt ended.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoneLine {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "t")]
    _t: IgnoredAny,
    pub endpoint: String,
    status: Option<u16>,
    /// Seconds; since its pick if absent.
    pub latency: Option<f64>,
    local_origin: Option<LocalOrigin>,
    /// What the endpoint says of itself.
    pub load: Option<LoadLine>,
    /// Whether the answer had Envoy's header of that name.
    #[serde(default, alias = "x-envoy-immediate-health-check-fail")]
    pub immediate_health_check_fail: bool,
    /// When the answer asks to come again, in seconds from now; less than 0: never.
    retry_after: Option<f64>,
}

/// What an endpoint says of itself: an ORCA report, and what research policies ask for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoadLine {
    #[serde(alias = "rps")]
    rps_fractional: f64,
    eps: f64,
    application_utilization: f64,
    #[serde(alias = "cpu")]
    cpu_utilization: f64,
    /// Other requests at the endpoint.
    in_flight: u32,
    /// Seconds.
    service_time: f64,
    /// Seconds.
    latency: f64,
}

impl LoadLine {
    /// As the policies see it.
    pub fn report(&self) -> Result<LoadReport, String> {
        let numbers = [
            ("rps_fractional", self.rps_fractional),
            ("eps", self.eps),
            ("application_utilization", self.application_utilization),
            ("cpu_utilization", self.cpu_utilization),
            ("service_time", self.service_time),
            ("latency", self.latency),
        ];
        for (name, value) in numbers {
            if !(0.0..=3e9).contains(&value) {
                return Err(format!("`{name}` of a load must be from 0 to 3e9, not {value}"));
            }
        }
        Ok(LoadReport {
            rps_fractional: self.rps_fractional,
            eps: self.eps,
            application_utilization: self.application_utilization,
            cpu_utilization: self.cpu_utilization,
            in_flight: self.in_flight,
            service_time: Duration::from_secs_f64(self.service_time),
            latency: Duration::from_secs_f64(self.latency),
        })
    }
}

/// An endpoint answers a probe.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeLine {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "t")]
    _t: IgnoredAny,
    pub endpoint: String,
    #[serde(default)]
    pub load: LoadLine,
}

/// What a health check has found.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckLine {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "t")]
    _t: IgnoredAny,
    pub endpoint: String,
    status: Option<u16>,
    #[serde(default)]
    timeout: bool,
    local_origin: Option<LocalOrigin>,
    #[serde(default, alias = "x-envoy-immediate-health-check-fail")]
    immediate_health_check_fail: bool,
}

impl CheckLine {
    /// As the policies see it; a line that says nothing is an answer with 200.
    pub fn finding(&self) -> Result<Finding, String> {
        if self.immediate_health_check_fail {
            return Ok(Finding::ImmediateFailure);
        }
        match (self.timeout, self.local_origin, self.status) {
            (true, ..) | (_, Some(LocalOrigin::Timeout), _) => Ok(Finding::Timeout),
            (_, Some(LocalOrigin::ConnectFailure | LocalOrigin::Reset), _) => Ok(Finding::NetworkFailure),
            (false, None, None) => Ok(Finding::Status(200)),
            (false, None, Some(status @ 100..600)) => Ok(Finding::Status(status)),
            (false, None, Some(status)) => Err(format!("`status` must be an HTTP status, not {status}")),
        }
    }
}

/// An end that the caller saw without an answer.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LocalOrigin {
    ConnectFailure,
    Timeout,
    Reset,
}

impl DoneLine {
    /// How the attempt ended; 200 if the line does not say.
    pub fn answer(&self) -> Result<Answer, String> {
        Ok(match (self.local_origin, self.status) {
            (Some(LocalOrigin::ConnectFailure), _) => Answer::ConnectFailure,
            (Some(LocalOrigin::Timeout), _) => Answer::PerTryTimeout,
            (Some(LocalOrigin::Reset), _) => Answer::Reset,
            (None, None) => Answer::Status(200),
            (None, Some(status @ 100..600)) => Answer::Status(status),
            (None, Some(status)) => return Err(format!("`status` must be an HTTP status, not {status}")),
        })
    }
}

impl DoneLine {
    /// When the answer asks to come again.
    pub fn retry_after(&self) -> Result<Option<Duration>, String> {
        Ok(match self.retry_after {
            None => None,
            Some(seconds) if seconds < 0.0 => Some(Duration::MAX),
            Some(seconds) if seconds <= 3e9 => Some(Duration::from_secs_f64(seconds)),
            Some(seconds) => return Err(format!("`retry_after` must be at most 3e9 seconds, not {seconds}")),
        })
    }
}

/// Whether an answer is a failure of its own, whatever the retry policy says.
pub fn is_failure(answer: Answer) -> bool {
    !matches!(answer, Answer::Status(0..500))
}

/// How a pick ends that is done at once.
pub fn success(attempts: u32) -> Outcome {
    Outcome {
        answer: Answer::Status(200),
        latency: Duration::ZERO,
        attempts,
        load: None,
        retry_after: None,
    }
}

/// An endpoint's health changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthLine {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "t")]
    _t: IgnoredAny,
    pub endpoint: String,
    pub health: Health,
}

/// Time passes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TickLine {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "t")]
    _t: IgnoredAny,
}

/// Who picks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerLine {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "t")]
    _t: IgnoredAny,
    #[serde(default)]
    region: String,
    #[serde(default)]
    zone: String,
    #[serde(default)]
    sub_zone: String,
    #[serde(default)]
    local_hosts: BTreeMap<String, u32>,
    #[serde(default)]
    instance: u32,
    instances: Option<u32>,
}

impl CallerLine {
    /// As the policies see it.
    pub fn info(&self) -> Result<CallerInfo, String> {
        let peers = self.local_hosts.values().sum::<u32>();
        let instances = self.instances.unwrap_or(peers.max(self.instance + 1));
        if self.instance >= instances {
            return Err(format!(
                "`instance` must be below `instances`, {instances}, not {}",
                self.instance
            ));
        }
        Ok(CallerInfo {
            instance: self.instance,
            instances,
            region: self.region.clone(),
            zone: self.zone.clone(),
            sub_zone: self.sub_zone.clone(),
            local_hosts: self.local_hosts.iter().map(|(zone, count)| (zone.clone(), *count)).collect(),
        })
    }
}
