//! Envoy's local rate limit: a token bucket.
//!
//! Source: envoyproxy/envoy `source/extensions/filters/common/local_ratelimit/local_ratelimit_impl.cc`, `source/common/common/token_bucket_impl.cc`,
//! API `local_rate_limit.proto`. As there since 2024 tokens come continuously and not at each `fill_interval`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Number;
use crate::policy::balancer::Entry;
use crate::time::{Duration, Time};

/// How much may pass.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LocalRateLimit")]
pub struct Options {
    /// The bucket, which is full at the start; a request takes one token.
    pub token_bucket: TokenBucket,
    /// The status of what an endpoint turns away; 429 if absent. A caller sends nothing then, and no status counts.
    pub status: Option<Status>,
    /// A name for statistics. Without an effect.
    pub stat_prefix: Option<String>,
}

/// A bucket of tokens.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenBucket {
    /// So many fit in.
    pub max_tokens: Number,
    /// So many come in each interval.
    pub tokens_per_fill: Number,
    /// The interval.
    pub fill_interval: Duration,
}

impl Default for TokenBucket {
    fn default() -> TokenBucket {
        TokenBucket {
            max_tokens: Number(1.0),
            tokens_per_fill: Number(1.0),
            fill_interval: Duration::from_secs(1),
        }
    }
}

/// An HTTP status: a number, or Envoy's `{code: 429}`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Status {
    /// A number.
    Plain(u16),
    /// In a wrapper.
    Wrapped {
        /// The number.
        code: u16,
    },
}

impl Status {
    /// The number.
    pub fn code(self) -> u16 {
        match self {
            Status::Plain(code) | Status::Wrapped { code } => code,
        }
    }

    pub(super) fn check(self) -> Result<(), String> {
        match self.code() {
            400..600 => Ok(()),
            other => Err(format!("`status` must be from 400 to 599, not {other}")),
        }
    }
}

/// What it is, for whoever lists policies.
pub const ENTRY: Entry = Entry {
    name: "envoy/local_rate_limit",
    family: "envoy",
    about: "A token bucket in front of an endpoint (429) or at a caller",
    source: "envoyproxy/envoy source/extensions/filters/common/local_ratelimit",
    checked: "The token bucket's formula",
    differences: "One bucket for a caller or an endpoint: no descriptors, no bucket for each connection",
    schema: <Options as JsonSchema>::json_schema,
};

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        let bucket = &self.token_bucket;
        for (name, number) in [("max_tokens", bucket.max_tokens), ("tokens_per_fill", bucket.tokens_per_fill)] {
            if !(1.0..=4e9).contains(&number.0) {
                return Err(format!("`{name}` must be from 1 to 4000000000"));
            }
        }
        // Envoy's own limit.
        if bucket.fill_interval < Duration::from_millis(50) {
            return Err("`fill_interval` must be at least 50ms".to_string());
        }
        self.status.map_or(Ok(()), Status::check)
    }

    /// What is answered to those turned away.
    pub fn status(&self) -> u16 {
        self.status.map_or(429, Status::code)
    }
}

/// A bucket's contents, in whole parts of a token, so that nothing is lost by rounding: a token is `fill_interval` parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    parts: u128,
    since: Time,
}

impl Bucket {
    pub fn new(options: &Options, now: Time) -> Bucket {
        Bucket {
            parts: Bucket::room(options),
            since: now,
        }
    }

    fn room(options: &Options) -> u128 {
        let bucket = &options.token_bucket;
        u128::from(bucket.max_tokens.whole()) * u128::from(bucket.fill_interval.0)
    }

    /// Takes a token, if there is one.
    pub fn admits(&mut self, options: &Options, now: Time) -> bool {
        let bucket = &options.token_bucket;
        let come = u128::from(now.since(self.since).0) * u128::from(bucket.tokens_per_fill.whole());
        self.parts = (self.parts + come).min(Bucket::room(options));
        self.since = now;
        let token = u128::from(bucket.fill_interval.0);
        let is_there = self.parts >= token;
        if is_there {
            self.parts -= token;
        }
        is_there
    }
}
