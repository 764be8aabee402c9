//! How Finagle's balancers weigh health: the better of two nodes wins, and after some unlucky pairs the next pick is taken as it is.
//!
//! `finagle-core/src/main/scala/com/twitter/finagle/loadbalancer/{Balancer,PanicMode}.scala` and `finagle/Status.scala`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::policy::{CandidateSet, EndpointIndex, Health};

/// What Finagle knows of a node, the better the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It takes nothing.
    Closed,
    /// It should have nothing now.
    Busy,
    /// It takes requests.
    Open,
}

impl Status {
    /// The status of a member of `set`.
    #[inline]
    pub fn of(set: CandidateSet<'_>, endpoint: EndpointIndex) -> Status {
        match set.health(endpoint) {
            Health::Healthy => Status::Open,
            Health::Degraded => Status::Busy,
            Health::Unhealthy | Health::Excluded => Status::Closed,
        }
    }
}

/// How many endpoints may be unhealthy before one request in a hundred is sent to an unhealthy one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PanicMode {
    /// One try: 10 %.
    #[serde(alias = "TenPercentUnhealthy")]
    TenPercentUnhealthy,
    /// Two tries: 30 %.
    #[serde(alias = "ThirtyPercentUnhealthy")]
    ThirtyPercentUnhealthy,
    /// Three tries: 40 %.
    #[serde(alias = "FortyPercentUnhealthy")]
    FortyPercentUnhealthy,
    /// Four tries: 50 %.
    #[default]
    #[serde(alias = "FiftyPercentUnhealthy")]
    FiftyPercentUnhealthy,
    /// Five tries: about 60 %.
    #[serde(alias = "MajorityUnhealthy")]
    MajorityUnhealthy,
}

impl JsonSchema for PanicMode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PanicMode".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let ours =
            ["ten_percent", "thirty_percent", "forty_percent", "fifty_percent", "majority"].map(|how| format!("{how}_unhealthy"));
        let theirs =
            ["TenPercent", "ThirtyPercent", "FortyPercent", "FiftyPercent", "Majority"].map(|how| format!("{how}Unhealthy"));
        let all: Vec<String> = ours.into_iter().chain(theirs).collect();
        json_schema!({"type": "string", "enum": all})
    }
}

impl PanicMode {
    /// How many picks are made in search of an open node.
    pub fn max_effort(self) -> u32 {
        match self {
            PanicMode::TenPercentUnhealthy => 1,
            PanicMode::ThirtyPercentUnhealthy => 2,
            PanicMode::FortyPercentUnhealthy => 3,
            PanicMode::FiftyPercentUnhealthy => 4,
            PanicMode::MajorityUnhealthy => 5,
        }
    }

    /// The first open node that `pick` gives in as many tries; `None`: panic.
    #[inline]
    pub fn search(self, set: CandidateSet<'_>, mut pick: impl FnMut() -> EndpointIndex) -> Option<EndpointIndex> {
        (0..self.max_effort())
            .map(|_| pick())
            .find(|&endpoint| Status::of(set, endpoint) == Status::Open)
    }
}
