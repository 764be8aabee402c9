//! Plain polling: a caller asks its registry for the whole list again and again.
//!
//! After `source/extensions/config_subscription/rest/http_subscription_impl.cc` of Envoy: the next question comes `refresh_delay` and a random
//! part of the jitter after an answer; one that is not answered changes nothing.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Records, at_least_a_millisecond, kubernetes};
use crate::random::{DistributionConfig, Rng};
use crate::time::Duration;

/// What a user may write.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "PollDiscovery")]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// From an answer to the next question; 30s if absent, as in Spring Cloud.
    #[serde(alias = "refresh_delay")]
    pub interval: Duration,
    /// Up to so much is added to each interval at random; nothing if absent.
    pub jitter: Duration,
    /// How long an answer takes; no time if absent.
    pub latency: DistributionConfig,
    /// Who keeps the list; `instant` if absent.
    pub records: Records,
    /// The pods, where Kubernetes keeps the list.
    pub kubernetes: kubernetes::Options,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            interval: Duration::from_secs(30),
            jitter: Duration::ZERO,
            latency: DistributionConfig::constant(Duration::ZERO),
            records: Records::Instant,
            kubernetes: kubernetes::Options::default(),
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), String> {
        at_least_a_millisecond(self.interval, "interval")?;
        self.kubernetes.check()
    }

    /// How long after an answer the next question comes.
    pub fn next(&self, rng: &mut Rng) -> Duration {
        match self.jitter {
            Duration::ZERO => self.interval,
            jitter => self.interval + Duration(rng.below(jitter.0)),
        }
    }
}
