//! The words of `retry_on`: which answers are worth another attempt, in Envoy's words.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::policy::Answer;

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

    /// Those of these words.
    pub const fn of(conditions: &[Condition]) -> Conditions {
        let (mut bits, mut i) = (0, 0);
        while i < conditions.len() {
            bits |= 1 << conditions[i] as u32;
            i += 1;
        }
        Conditions { bits }
    }

    /// Whether an attempt that ended so is to be tried again; `statuses` are those that `retriable-status-codes` stands for.
    pub fn hold(self, answer: Answer, statuses: &[u16]) -> bool {
        let on = |condition| self.holds(condition);
        match answer {
            Answer::Status(status) => self.hold_status(status, statuses),
            Answer::ConnectFailure => on(Condition::ConnectFailure) || on(Condition::ResetBeforeRequest) || self.hold_silence(),
            // When it expires Envoy resets the attempt.
            Answer::Reset | Answer::PerTryTimeout => self.hold_silence(),
            Answer::Timeout | Answer::Cancelled => false,
        }
    }

    /// Whether an attempt without any answer is tried again.
    fn hold_silence(self) -> bool {
        [Condition::FiveXx, Condition::GatewayError, Condition::Reset]
            .iter()
            .any(|&condition| self.holds(condition))
    }

    fn hold_status(self, status: u16, statuses: &[u16]) -> bool {
        let on = |condition| self.holds(condition);
        let by_http = match status {
            502..=504 => on(Condition::FiveXx) || on(Condition::GatewayError),
            500..=599 => on(Condition::FiveXx),
            409 => on(Condition::Retriable4xx),
            _ => false,
        };
        by_http || on(Condition::RetriableStatusCodes) && statuses.contains(&status) || grpc_condition(status).is_some_and(on)
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
