//! Hedging: several attempts of one call at a time, the first good answer of which counts. Envoy's, when an attempt takes longer than it
//! should (`source/common/router/router.cc`: `onPerTryTimeout`), and gRPC's, by a fixed delay (gRFC A6).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::retry::{Codes, RetryThrottling, Throttle};
use crate::policy::{Answer, ClusterConfig};
use crate::time::Duration;

/// Envoy's hedge policy of a route.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HedgePolicy {
    /// An attempt whose `per_try_timeout` passes goes on, and a retry is made beside it.
    pub hedge_on_per_try_timeout: bool,
}

/// gRPC's hedging policy of a method. It takes the place of retries.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Attempts of a call: at least 2; more than 5 are 5.
    #[serde(alias = "maxAttempts")]
    #[schemars(extend("x-upstream" = "maxAttempts"))]
    pub max_attempts: Option<u32>,
    /// How long after an attempt the next one is made, if there is no answer; 0s: all at once.
    #[serde(alias = "hedgingDelay")]
    #[schemars(extend("x-upstream" = "hedgingDelay"))]
    pub hedging_delay: Duration,
    /// After an answer with one of these the next attempt is made at once; any other failure is the answer of the call.
    #[serde(alias = "nonFatalStatusCodes")]
    #[schemars(extend("x-upstream" = "nonFatalStatusCodes"))]
    pub non_fatal_status_codes: Codes,
    /// Holds further attempts back while too many fail; it does not if absent.
    #[serde(alias = "retryThrottling")]
    #[schemars(extend("x-upstream" = "retryThrottling"))]
    pub retry_throttling: Option<RetryThrottling>,
}

/// Above this more attempts are taken for so many.
const ATTEMPTS_MAX: u32 = 5;

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        match self.max_attempts {
            None => return Err("`max_attempts` must be written: gRPC has no default for it".to_string()),
            Some(0 | 1) => return Err("`max_attempts` must be at least 2: it counts the first attempt".to_string()),
            Some(_) => {}
        }
        self.retry_throttling.as_ref().map_or(Ok(()), RetryThrottling::check)
    }
}

/// What is to become of a call when one of its attempts has been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is its answer.
    Stands,
    /// Others may still succeed.
    Others {
        /// Whether another one may be made now.
        another: bool,
    },
}

/// How a caller hedges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As Envoy: by retries beside attempts that take too long.
    OnPerTryTimeout,
    /// As gRPC: one attempt after another at this distance, so many in all.
    Fixed {
        /// The distance.
        delay: Duration,
        /// How many.
        attempts: u32,
    },
}

impl Way {
    /// What the configuration asks for.
    pub fn of(config: &ClusterConfig) -> Option<Way> {
        if let Some(hedging) = &config.hedging {
            return Some(Way::Fixed {
                delay: hedging.hedging_delay,
                attempts: hedging.max_attempts.unwrap_or(1).min(ATTEMPTS_MAX),
            });
        }
        let policy = config.hedge_policy.as_ref()?;
        (policy.hedge_on_per_try_timeout && config.retry.is_some()).then_some(Way::OnPerTryTimeout)
    }
}

/// The hedging of one caller and upstream.
#[derive(Debug)]
pub(crate) struct Hedger {
    non_fatal: Codes,
    throttle: Option<Throttle>,
}

impl Hedger {
    pub fn new(options: &Options) -> Hedger {
        Hedger {
            non_fatal: options.non_fatal_status_codes,
            throttle: options.retry_throttling.as_ref().map(Throttle::new),
        }
    }

    /// Whether further attempts may be made.
    pub fn allows(&self) -> bool {
        self.throttle.as_ref().is_none_or(Throttle::allows)
    }

    /// What an attempt's answer means.
    pub fn on_answer(&mut self, answer: Answer) -> Fate {
        let is_non_fatal = self.non_fatal.hold(answer);
        let another = match &mut self.throttle {
            None => true,
            Some(throttle) => throttle.on_ended(answer, is_non_fatal),
        };
        match is_non_fatal {
            true => Fate::Others { another },
            false => Fate::Stands,
        }
    }
}
