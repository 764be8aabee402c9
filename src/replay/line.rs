//! The lines of a script: what each may hold, and what it means to the policy library.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny};
use xxhash_rust::xxh64::xxh64;

use crate::policy::{self, Answer, EndpointInfo, Outcome, PRIORITY_MAX};
use crate::replay::setup::explain;
use crate::time::Duration;

/// A line without its time.
pub enum Line {
    Endpoints(Vec<EndpointLine>),
    Pick(PickLine),
    Done(DoneLine),
    Health(HealthLine),
    Tick,
    Caller,
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
        Op::Caller => {
            read::<CallerLine>(text)?;
            Line::Caller
        }
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
    priority: u32,
    health: Option<Health>,
    #[serde(default)]
    excluded: bool,
    // For locality-weighted balancing, which no policy here does.
    #[serde(default, rename = "locality_weight")]
    _locality_weight: Option<u32>,
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
            hash_key: self.hash_key.clone(),
            weight: self.weight,
            region: self.region.clone(),
            zone: self.zone.clone(),
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
    key: Option<String>,
    hash: Option<Hash>,
    source: Option<String>,
    #[serde(default = "one")]
    pub count: u64,
    #[serde(default)]
    pub auto_done: bool,
    /// Which attempt of its call this is, from 0. Without it a pick is the oldest retry that has been granted and not yet made,
    /// else the first attempt of a new call.
    pub attempt: Option<u32>,
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
    // An ORCA report, which no policy here reads.
    #[serde(default, rename = "load")]
    _load: IgnoredAny,
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

/// Who picks: for zone-aware routing, which no policy here does.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerLine {
    #[serde(rename = "op")]
    _op: IgnoredAny,
    #[serde(default, rename = "t")]
    _t: IgnoredAny,
    #[serde(default, rename = "zone")]
    _zone: Option<String>,
    #[serde(default, rename = "local_hosts")]
    _local_hosts: Option<BTreeMap<String, u32>>,
}
