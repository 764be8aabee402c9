//! Retries: which answers are worth another attempt, and after which pause.
//!
//! Envoy's (`source/common/router/retry_state_impl.cc`, `source/common/common/backoff_strategy.cc`). Retry budgets and host
//! predicates are not here.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::policy::{Answer, Outcome, Verdict};
use crate::random::Rng;
use crate::time::Duration;

/// Envoy's retry policy of a route.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How often to try again after the first attempt.
    pub num_retries: u32,
    /// Which answers are worth another attempt: a list of Envoy's words, or one text with commas. Without any there is no retry.
    pub retry_on: Conditions,
    /// The statuses that the word `retriable-status-codes` stands for.
    pub retriable_status_codes: Vec<u16>,
    /// Time for one attempt; none if absent.
    pub per_try_timeout: Option<Duration>,
    /// The pause before a retry.
    pub back_off: BackOff,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            num_retries: 1,
            retry_on: Conditions::default(),
            retriable_status_codes: Vec::new(),
            per_try_timeout: None,
            back_off: BackOff::default(),
        }
    }
}

/// Why a call is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No word of `retry_on` is about its answer.
    NotRetriable,
    /// `num_retries` is used up.
    LimitExceeded,
}

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if let Some(status) = self
            .retriable_status_codes
            .iter()
            .find(|status| !(100..600).contains(*status))
        {
            return Err(format!("`retriable_status_codes` holds {status}, which is no HTTP status"));
        }
        if self.per_try_timeout == Some(Duration::ZERO) {
            return Err("`per_try_timeout` must be longer than 0; leave it out for none".to_string());
        }
        self.back_off.check()
    }

    /// What is to become of a call whose attempt ended so.
    #[inline]
    pub fn verdict(&self, outcome: &Outcome, rng: &mut Rng) -> Verdict {
        match self.denial(outcome) {
            Some(_) => Verdict::Done,
            None => Verdict::Retry {
                after: self.back_off.draw(outcome.attempts, rng),
            },
        }
    }

    /// Why there is no retry after an attempt that ended so; `None`: there is one.
    #[inline]
    pub fn denial(&self, outcome: &Outcome) -> Option<Denial> {
        if !self.is_retriable(outcome.answer) {
            Some(Denial::NotRetriable)
        } else if outcome.attempts > self.num_retries {
            Some(Denial::LimitExceeded)
        } else {
            None
        }
    }

    fn is_retriable(&self, answer: Answer) -> bool {
        let on = |condition| self.retry_on.holds(condition);
        match answer {
            Answer::Status(status) => self.is_retriable_status(status),
            Answer::ConnectFailure => {
                on(Condition::ConnectFailure) || on(Condition::ResetBeforeRequest) || self.retries_silence()
            }
            // When it expires Envoy resets the attempt.
            Answer::Reset | Answer::PerTryTimeout => self.retries_silence(),
            Answer::Timeout | Answer::Cancelled => false,
        }
    }

    /// Whether an attempt without any answer is tried again.
    fn retries_silence(&self) -> bool {
        [Condition::FiveXx, Condition::GatewayError, Condition::Reset]
            .iter()
            .any(|&condition| self.retry_on.holds(condition))
    }

    fn is_retriable_status(&self, status: u16) -> bool {
        let on = |condition| self.retry_on.holds(condition);
        let by_http = match status {
            502..=504 => on(Condition::FiveXx) || on(Condition::GatewayError),
            500..=599 => on(Condition::FiveXx),
            409 => on(Condition::Retriable4xx),
            _ => false,
        };
        by_http
            || on(Condition::RetriableStatusCodes) && self.retriable_status_codes.contains(&status)
            || grpc_condition(status).is_some_and(on)
    }
}

/// The gRPC word for an answer: gRPC statuses are written as the HTTP statuses that google/rpc/code.proto gives them.
fn grpc_condition(status: u16) -> Option<Condition> {
    match status {
        429 => Some(Condition::ResourceExhausted),
        499 => Some(Condition::Cancelled),
        500 => Some(Condition::Internal),
        503 => Some(Condition::Unavailable),
        504 => Some(Condition::DeadlineExceeded),
        _ => None,
    }
}

/// A word of `retry_on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Condition {
    /// Any 5xx, or no answer at all.
    FiveXx,
    /// 502, 503, 504, or no answer at all.
    GatewayError,
    /// No answer at all.
    Reset,
    /// A reset before the request was sent.
    ResetBeforeRequest,
    /// No connection.
    ConnectFailure,
    /// An answer of a rate limiter; no answer here is marked as one.
    EnvoyRatelimited,
    /// 409.
    Retriable4xx,
    /// HTTP/2's REFUSED_STREAM; nothing here refuses streams.
    RefusedStream,
    /// A status in `retriable_status_codes`.
    RetriableStatusCodes,
    /// Answers by header; answers here have none.
    RetriableHeaders,
    /// HTTP/3 failing after the connection; there is no HTTP/3 here.
    Http3PostConnectFailure,
    /// gRPC status 1, written as 499.
    Cancelled,
    /// gRPC status 4, written as 504.
    DeadlineExceeded,
    /// gRPC status 13, written as 500.
    Internal,
    /// gRPC status 8, written as 429.
    ResourceExhausted,
    /// gRPC status 14, written as 503.
    Unavailable,
}

/// The words in the order of [`Condition`].
pub const WORDS: &[&str] = &[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// The words of `retry_on`, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    bits: u32,
}

impl Conditions {
    /// Whether `condition` is among them.
    #[inline]
    pub fn holds(self, condition: Condition) -> bool {
        self.bits & (1 << condition as u32) != 0
    }

    fn add<E: de::Error>(&mut self, word: &str) -> Result<(), E> {
        let place = WORDS.iter().position(|known| *known == word);
        let place = place.ok_or_else(|| E::unknown_variant(word, WORDS))?;
        self.bits |= 1 << place;
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Conditions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Conditions, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Conditions;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("retry conditions such as `[5xx, connect-failure]`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Conditions, E> {
                let mut conditions = Conditions::default();
                for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                    conditions.add(word)?;
                }
                Ok(conditions)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Conditions, A::Error> {
                let mut conditions = Conditions::default();
                while let Some(Word(one)) = seq.next_element()? {
                    conditions.bits |= one.bits;
                }
                Ok(conditions)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// One word of a list. A type of its own, so that an unknown one is an error of the item and not of the whole list.
struct Word(Conditions);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Word;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a retry condition such as `5xx`")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<Word, E> {
                let mut conditions = Conditions::default();
                conditions.add(word)?;
                Ok(Word(conditions))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl Serialize for Conditions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..WORDS.len()).filter(|i| self.bits & (1 << i) != 0).map(|i| WORDS[i]))
    }
}

impl JsonSchema for Conditions {
    fn schema_name() -> Cow<'static, str> {
        "RetryOn".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "array", "items": {"type": "string", "enum": WORDS}}, {"type": "string"}]})
    }
}

/// Envoy's exponential back-off with full jitter: before retry k a uniform share of an interval that doubles up to a maximum.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BackOff {
    /// The interval before the first retry. Pauses are whole milliseconds, as in Envoy; below 1 ms, which Envoy raises to 1 ms,
    /// they are whole nanoseconds.
    pub base_interval: Duration,
    /// Where the interval ends to grow; 10 times the base if absent.
    pub max_interval: Option<Duration>,
}

impl Default for BackOff {
    fn default() -> BackOff {
        BackOff {
            base_interval: Duration::from_millis(25),
            max_interval: None,
        }
    }
}

impl BackOff {
    fn check(&self) -> Result<(), String> {
        if self.base_interval == Duration::ZERO {
            return Err("`base_interval` must be longer than 0".to_string());
        }
        match self.max_interval {
            Some(max) if max < self.base_interval => Err(format!(
                "`max_interval` {max} is shorter than `base_interval` {}",
                self.base_interval
            )),
            _ => Ok(()),
        }
    }

    /// What pauses are multiples of.
    fn grain(&self) -> u64 {
        const MILLISECOND: u64 = 1_000_000;
        if self.base_interval.0 < MILLISECOND { 1 } else { MILLISECOND }
    }

    /// The pause before retry `k`, counted from 1, is shorter than this.
    pub fn bound(&self, k: u32) -> Duration {
        let grain = self.grain();
        let max = self.max_interval.map_or(self.base_interval.0.saturating_mul(10), |max| max.0) / grain;
        let mut bound = self.base_interval.0 / grain;
        for _ in 1..k {
            if bound >= max {
                break;
            }
            bound = if bound < max / 2 { bound * 2 } else { max };
        }
        Duration(bound * grain)
    }

    /// The pause before retry `k`, counted from 1.
    pub fn draw(&self, k: u32, rng: &mut Rng) -> Duration {
        let grain = self.grain();
        Duration(rng.below(self.bound(k).0 / grain) * grain)
    }
}
