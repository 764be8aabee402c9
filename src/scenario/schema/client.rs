//! Clients: who sends requests, when, and with which keys.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::policy::overload::Criticality;
use crate::random::{ArrivalConfig, DistributionConfig, Share};
use crate::scenario::decode::Field;
use crate::time::Duration;

/// Who sends requests.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Client {
    /// The operation it calls: `service/operation`.
    pub call: Field<String>,
    /// When it sends.
    pub arrivals: Field<ArrivalConfig>,
    /// The key that each request carries, for balancers that hash; none if absent.
    pub key: Option<Field<KeySource>>,
    /// How many proxies send for it, each with balancer state of its own; 1 if absent.
    #[schemars(extend("minimum" = 1))]
    pub callers: Option<Field<u32>>,
    /// The zone of its callers; they are spread over the zones in order if absent.
    pub zone: Option<Field<String>>,
    /// How long it waits for an answer at most, besides the `timeout` of `mesh`.
    pub timeout: Option<Field<Duration>>,
    /// How important its requests are, for services that shed load: `sheddable`, `sheddable_plus`, `critical` or `critical_plus`; `critical` if
    /// absent.
    pub criticality: Option<Field<Criticality>>,
    /// What is promised to it: how fast failures use up its error budget is measured against this.
    pub slo: Option<Field<Slo>>,
    /// Bytes of a request; none if absent.
    pub request_size: Option<Field<DistributionConfig>>,
    /// Bytes of an answer; none if absent.
    pub response_size: Option<Field<DistributionConfig>>,
}

/// A service level objective.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Slo {
    /// The share of requests that is to succeed, below 100 %; 99.9 % if absent.
    pub availability: Option<Field<Share>>,
}

/// Which key a request carries. Key `k`, from 0, is the text `key-k`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// All keys are equally likely.
    Uniform(Uniform),
    /// Key `k` is likely in proportion to `(k + 1)^-s`.
    Zipf(Zipf),
    /// Always this text.
    Fixed(String),
}

/// All keys are equally likely.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
pub struct Uniform {
    /// How many keys there are.
    #[schemars(extend("minimum" = 1))]
    pub keys: u32,
}

/// A few keys are common and many are rare.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
pub struct Zipf {
    /// How many keys there are.
    #[schemars(extend("minimum" = 1))]
    pub keys: u32,
    /// The exponent: 0 is uniform, 1 is Zipf's law.
    #[schemars(extend("minimum" = 0))]
    pub s: f64,
}
