//! Endpoints that go down: alone, with their node, zone or service; and how they come back.

use schemars::JsonSchema;
use serde::Deserialize;

use super::target::{Names, Target, targeted};
use crate::scenario::decode::Field;
use crate::time::Duration;

targeted! {
    /// Endpoints that go down: one of `endpoint`, `service`, `zone`, `node` and `all`.
    pub struct Crash by share {
        /// `refuse` connections and reset what is in flight (the default), `hang`, or `reset` requests.
        mode: Option<Field<CrashMode>>,
        /// How slow they are when they come back; not at all if absent.
        cold_start: Option<Field<ColdStart>>,
    }
}

targeted! {
    /// Endpoints that go down for a while, `for` or `down`, and come back slow: one of `endpoint`, `service`, `zone`, `node` and `all`.
    pub struct Restart by share {
        /// `refuse` connections and reset what is in flight (the default), `hang`, or `reset` requests.
        mode: Option<Field<CrashMode>>,
        /// How long they are down, in place of the fault's `for`.
        down: Option<Field<Duration>>,
        /// How slow they are when they come back; not at all if absent.
        cold_start: Option<Field<ColdStart>>,
    }
}

/// A service all of whose endpoints go down.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct DependencyOutage {
    /// The service, or several.
    pub service: Option<Field<Names>>,
    /// `refuse` connections and reset what is in flight (the default), `hang`, or `reset` requests.
    pub mode: Option<Field<CrashMode>>,
}

/// A node that goes down with all endpoints on it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct NodeLoss {
    /// The node, or several.
    pub node: Option<Field<Names>>,
    /// `hang` (the default: nobody is left to say anything), `refuse` connections and reset what is in flight, or `reset` requests.
    pub mode: Option<Field<CrashMode>>,
}

/// A zone that goes down with all endpoints in it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct ZoneLoss {
    /// The zone, or several.
    pub zone: Option<Field<Names>>,
    /// `hang` (the default: nobody is left to say anything), `refuse` connections and reset what is in flight, or `reset` requests.
    pub mode: Option<Field<CrashMode>>,
}

/// How endpoints are down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CrashMode {
    /// They refuse connections and reset what is in flight.
    Refuse,
    /// They take requests and never answer.
    Hang,
    /// They accept connections and reset them when a request comes, and what is in flight.
    Reset,
}

/// Endpoints that come back: work takes `factor` times as long at first, and less and less so in a straight line.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct ColdStart {
    /// How many times as long work takes at first.
    #[schemars(extend("minimum" = 1))]
    pub factor: Field<f64>,
    /// After how long it is as usual; with `requests` whichever comes first.
    #[serde(rename = "for")]
    pub lasts: Option<Field<Duration>>,
    /// After how many requests it is as usual: caches that warm up.
    #[schemars(extend("minimum" = 1))]
    pub requests: Option<Field<u32>>,
}

impl DependencyOutage {
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            service: self.service.as_ref(),
            ..Target::default()
        }
    }
}

impl NodeLoss {
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            node: self.node.as_ref(),
            ..Target::default()
        }
    }
}

impl ZoneLoss {
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            zone: self.zone.as_ref(),
            ..Target::default()
        }
    }
}
