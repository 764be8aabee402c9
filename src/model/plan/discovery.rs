//! Discovery as the model needs it: how callers learn of endpoints, and which of these come and go.

use crate::policy::discovery::{Config, STAGES};
use crate::random::Distribution;
use crate::time::{Duration, Time};

/// In [`crate::model::plan::ClusterPlan::discovery`]: the callers know all endpoints from the start.
pub const STATIC: u32 = u32::MAX;

/// How callers learn of endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct DiscoveryPlan {
    /// By what.
    pub config: Config,
    /// Its delays in nanoseconds, by [`crate::policy::discovery::Stage`].
    pub delays: [Distribution; STAGES],
}

/// When an endpoint is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// When it begins to serve.
    pub joins: Time,
    /// When it is told to go: registries hear of it, and it serves on for a while.
    pub leaves: Time,
    /// For how long it serves on.
    pub drain: Duration,
}

impl Membership {
    /// It is there for the whole run.
    pub const ALWAYS: Membership = Membership {
        joins: Time::ZERO,
        leaves: Time::MAX,
        drain: Duration::ZERO,
    };
}
