//! Faults: what goes wrong, when, and with whom.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::random::{DistributionConfig, Share};
use crate::scenario::decode::Field;
use crate::time::Duration;

/// A fault: one of `crash` and `slow`, and when.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Fault {
    /// When it begins, from the start of the run.
    pub at: Field<Duration>,
    /// How long it lasts; to the end if absent.
    #[serde(rename = "for")]
    pub lasts: Option<Field<Duration>>,
    /// Endpoints go down.
    pub crash: Option<Field<Crash>>,
    /// Endpoints work slower.
    pub slow: Option<Field<Slow>>,
}

/// Endpoints that go down: one of `endpoint`, `service` and `zone`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Crash {
    /// One endpoint: `service/endpoint`.
    pub endpoint: Option<Field<String>>,
    /// The endpoints of a service.
    pub service: Option<Field<String>>,
    /// The share of the service's endpoints, drawn by the seed, at least one of them; all if absent.
    pub share: Option<Field<Share>>,
    /// All endpoints in a zone.
    pub zone: Option<Field<String>>,
    /// Whether they refuse connections and reset what is in flight (`refuse`, the default), or take requests and never answer (`hang`).
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
}

/// Endpoints that work slower: one of `endpoint`, `service` and `zone`, and one of `factor` and `add`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Slow {
    /// One endpoint: `service/endpoint`.
    pub endpoint: Option<Field<String>>,
    /// The endpoints of a service.
    pub service: Option<Field<String>>,
    /// The share of the service's endpoints, drawn by the seed, at least one of them; all if absent.
    pub share: Option<Field<Share>>,
    /// All endpoints in a zone.
    pub zone: Option<Field<String>>,
    /// Work takes this many times as long.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub factor: Option<Field<f64>>,
    /// Each piece of work takes this much longer.
    pub add: Option<Field<DistributionConfig>>,
}

/// Whom a fault strikes, as it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) endpoint: Option<&'a Field<String>>,
    pub(crate) service: Option<&'a Field<String>>,
    pub(crate) share: Option<&'a Field<Share>>,
    pub(crate) zone: Option<&'a Field<String>>,
}

impl Crash {
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            endpoint: self.endpoint.as_ref(),
            service: self.service.as_ref(),
            share: self.share.as_ref(),
            zone: self.zone.as_ref(),
        }
    }
}

impl Slow {
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            endpoint: self.endpoint.as_ref(),
            service: self.service.as_ref(),
            share: self.share.as_ref(),
            zone: self.zone.as_ref(),
        }
    }
}

impl Fault {
    /// Whom it strikes, whatever it does.
    pub(crate) fn target(&self) -> Option<Target<'_>> {
        let crash = self.crash.as_ref().and_then(Field::get).map(Crash::target);
        crash.or_else(|| self.slow.as_ref().and_then(Field::get).map(Slow::target))
    }
}
