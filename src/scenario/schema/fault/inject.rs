//! What callers' proxies do to calls: faults injected as Istio and Envoy do, and configuration that is wrong.

use schemars::JsonSchema;
use serde::Deserialize;

use super::network::Party;
use super::target::Names;
use crate::policy::candidates::Percent;
use crate::policy::retry;
use crate::random::{DistributionConfig, Share};
use crate::scenario::decode::Field;
use crate::time::Duration;

/// Callers whose proxies hold up calls before they try for the first time. The wait counts in the call's `timeout`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Delay {
    /// Whose calls; everybody's if absent.
    pub from: Option<Field<Party>>,
    /// Calls to this service, or to several; all if absent.
    pub to: Option<Field<Names>>,
    /// The share of the callers, drawn by the seed; all if absent.
    pub share: Option<Field<Share>>,
    /// The share of their calls; all if absent.
    pub percentage: Option<Field<Percent>>,
    /// How long they are held up.
    pub fixed_delay: Option<Field<DistributionConfig>>,
}

/// Callers whose proxies answer calls at once.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Abort {
    /// Whose calls; everybody's if absent.
    pub from: Option<Field<Party>>,
    /// Calls to this service, or to several; all if absent.
    pub to: Option<Field<Names>>,
    /// The share of the callers, drawn by the seed; all if absent.
    pub share: Option<Field<Share>>,
    /// The share of their calls; all if absent.
    pub percentage: Option<Field<Percent>>,
    /// The HTTP status of the answer; 503 if absent.
    #[schemars(extend("minimum" = 400, "maximum" = 599))]
    pub http_status: Option<Field<u16>>,
    /// The gRPC code of the answer, in place of `http_status`.
    pub grpc_status: Option<Field<retry::Code>>,
}

/// A wrong configuration that a share of the callers has: `timeout`, `delay`, `abort` or several of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct BadConfig {
    /// Whose calls; everybody's if absent.
    pub from: Option<Field<Party>>,
    /// Calls to this service, or to several; all if absent.
    pub to: Option<Field<Names>>,
    /// The share of the callers that have it, drawn by the seed; all if absent.
    pub share: Option<Field<Share>>,
    /// Calls have this timeout, if it is shorter than their own.
    pub timeout: Option<Field<Duration>>,
    /// Calls are held up.
    pub delay: Option<Field<DelayBody>>,
    /// Calls are answered at once.
    pub abort: Option<Field<AbortBody>>,
}

/// How calls are held up.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct DelayBody {
    /// The share of the calls; all if absent.
    pub percentage: Option<Field<Percent>>,
    /// How long they are held up.
    pub fixed_delay: Option<Field<DistributionConfig>>,
}

/// How calls are answered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct AbortBody {
    /// The share of the calls; all if absent.
    pub percentage: Option<Field<Percent>>,
    /// The HTTP status of the answer; 503 if absent.
    #[schemars(extend("minimum" = 400, "maximum" = 599))]
    pub http_status: Option<Field<u16>>,
    /// The gRPC code of the answer, in place of `http_status`.
    pub grpc_status: Option<Field<retry::Code>>,
}

/// A share and how long.
type DelayParts<'a> = (Option<&'a Field<Percent>>, Option<&'a Field<DistributionConfig>>);
/// A share, and a status or a code.
type AbortParts<'a> = (
    Option<&'a Field<Percent>>,
    Option<&'a Field<u16>>,
    Option<&'a Field<retry::Code>>,
);

/// Any of these, as it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Injection<'a> {
    pub(crate) from: Option<&'a Field<Party>>,
    pub(crate) to: Option<&'a Field<Names>>,
    pub(crate) share: Option<&'a Field<Share>>,
    pub(crate) timeout: Option<&'a Field<Duration>>,
    pub(crate) delay: Option<DelayParts<'a>>,
    pub(crate) abort: Option<AbortParts<'a>>,
}

impl Delay {
    pub(crate) fn injection(&self) -> Injection<'_> {
        Injection {
            from: self.from.as_ref(),
            to: self.to.as_ref(),
            share: self.share.as_ref(),
            timeout: None,
            delay: Some((self.percentage.as_ref(), self.fixed_delay.as_ref())),
            abort: None,
        }
    }
}

impl Abort {
    pub(crate) fn injection(&self) -> Injection<'_> {
        Injection {
            from: self.from.as_ref(),
            to: self.to.as_ref(),
            share: self.share.as_ref(),
            timeout: None,
            delay: None,
            abort: Some((self.percentage.as_ref(), self.http_status.as_ref(), self.grpc_status.as_ref())),
        }
    }
}

impl BadConfig {
    pub(crate) fn injection(&self) -> Injection<'_> {
        let delay = self.delay.as_ref().and_then(Field::get);
        let abort = self.abort.as_ref().and_then(Field::get);
        Injection {
            from: self.from.as_ref(),
            to: self.to.as_ref(),
            share: self.share.as_ref(),
            timeout: self.timeout.as_ref(),
            delay: delay.map(|delay| (delay.percentage.as_ref(), delay.fixed_delay.as_ref())),
            abort: abort.map(|abort| {
                (
                    abort.percentage.as_ref(),
                    abort.http_status.as_ref(),
                    abort.grpc_status.as_ref(),
                )
            }),
        }
    }
}
