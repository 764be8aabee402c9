//! gRPC's retry policy and its throttle (gRFC A6).

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::policy::retry::Denial;
use crate::policy::{Answer, Outcome};
use crate::random::Rng;
use crate::time::Duration;

/// gRPC's retry policy of a method. All but the throttle must be written, as there.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Attempts of a call, the first included: at least 2; more than 5 are 5.
    #[serde(alias = "maxAttempts")]
    #[schemars(extend("x-upstream" = "maxAttempts"))]
    pub max_attempts: Option<u32>,
    /// The pause before the first retry, which varies by 20 %.
    #[serde(alias = "initialBackoff")]
    #[schemars(extend("x-upstream" = "initialBackoff"))]
    pub initial_backoff: Option<Duration>,
    /// Where pauses end to grow.
    #[serde(alias = "maxBackoff")]
    #[schemars(extend("x-upstream" = "maxBackoff"))]
    pub max_backoff: Option<Duration>,
    /// How many times as long each pause is as the one before, above 0.
    #[serde(alias = "backoffMultiplier")]
    #[schemars(extend("x-upstream" = "backoffMultiplier"))]
    pub backoff_multiplier: Option<f64>,
    /// Which statuses are worth another attempt: gRPC's names or numbers. An HTTP status stands for the gRPC statuses that map to it, and
    /// no answer for UNAVAILABLE.
    #[serde(alias = "retryableStatusCodes")]
    #[schemars(extend("x-upstream" = "retryableStatusCodes"))]
    pub retryable_status_codes: Codes,
    /// Holds all retries of a caller back while too many calls fail; it does not if absent.
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
        let missing = |name: &str| format!("`{name}` must be written: gRPC has no default for it");
        match self.max_attempts {
            None => return Err(missing("max_attempts")),
            Some(0 | 1) => return Err("`max_attempts` must be at least 2: it counts the first attempt".to_string()),
            Some(_) => {}
        }
        for (name, pause) in [("initial_backoff", self.initial_backoff), ("max_backoff", self.max_backoff)] {
            match pause {
                None => return Err(missing(name)),
                Some(Duration::ZERO) => return Err(format!("`{name}` must be longer than 0")),
                Some(_) => {}
            }
        }
        match self.backoff_multiplier {
            None => return Err(missing("backoff_multiplier")),
            Some(factor) if factor > 0.0 && factor <= 1e6 => {}
            Some(factor) => return Err(format!("`backoff_multiplier` must be above 0, not {factor}")),
        }
        if self.retryable_status_codes == Codes::default() {
            return Err("`retryable_status_codes` must hold a status such as UNAVAILABLE".to_string());
        }
        self.retry_throttling.as_ref().map_or(Ok(()), RetryThrottling::check)
    }

    pub(super) fn throttle(&self) -> Option<Throttle> {
        self.retry_throttling.as_ref().map(Throttle::new)
    }

    /// The longest and the shortest pause before retry `k`, counted from 1, are 20 % from this.
    pub fn mean_pause(&self, k: u32) -> Duration {
        let max = self.max_backoff.unwrap_or_default().0 as f64;
        let factor = self.backoff_multiplier.unwrap_or(1.0);
        let mut pause = self.initial_backoff.unwrap_or_default().0 as f64;
        for _ in 1..k {
            pause = (pause * factor).min(max);
        }
        Duration::from_nanos_f64(pause.min(max))
    }

    /// The pause before another attempt.
    pub(super) fn ask(&self, throttle: &mut Option<Throttle>, outcome: &Outcome, rng: &mut Rng) -> Result<Duration, Denial> {
        let is_retryable = self.retryable_status_codes.hold(outcome.answer);
        let forbidden = outcome.retry_after == Some(Duration::MAX);
        let allowed = match throttle {
            None => true,
            Some(throttle) => throttle.on_ended(outcome.answer, is_retryable || forbidden),
        };
        if !is_retryable || forbidden {
            return Err(Denial::NotRetriable);
        }
        if outcome.attempts >= self.max_attempts.unwrap_or(1).min(ATTEMPTS_MAX) {
            return Err(Denial::LimitExceeded);
        }
        if !allowed {
            return Err(Denial::Budget);
        }
        if let Some(after) = outcome.retry_after {
            return Ok(after);
        }
        let pause = self.mean_pause(outcome.attempts).0 as f64;
        Ok(Duration::from_nanos_f64(pause * (0.8 + 0.4 * rng.unit())))
    }
}

/// Tokens that failures take and successes give.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryThrottling {
    /// So many tokens are there at the start and at most: above 0, at most 1000. There are retries while more than half are there.
    #[serde(alias = "maxTokens")]
    #[schemars(extend("x-upstream" = "maxTokens"))]
    pub max_tokens: f64,
    /// What a success gives, above 0; three decimals count. A failure takes 1.
    #[serde(alias = "tokenRatio")]
    #[schemars(extend("x-upstream" = "tokenRatio"))]
    pub token_ratio: f64,
}

impl RetryThrottling {
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(self.max_tokens > 0.0 && self.max_tokens <= 1000.0) {
            return Err(format!(
                "`max_tokens` must be above 0 and at most 1000, not {}",
                self.max_tokens
            ));
        }
        if !(self.token_ratio > 0.0 && self.token_ratio <= 1000.0) {
            return Err(format!(
                "`token_ratio` must be above 0 and at most 1000, not {}",
                self.token_ratio
            ));
        }
        Ok(())
    }
}

/// The throttle of one caller and upstream. Tokens are counted in thousandths.
#[derive(Clone, Debug)]
pub struct Throttle {
    max: u64,
    ratio: u64,
    tokens: u64,
}

impl Throttle {
    /// A full one.
    pub fn new(options: &RetryThrottling) -> Throttle {
        let max = (options.max_tokens * 1000.0).round() as u64;
        Throttle {
            max,
            ratio: (options.token_ratio * 1000.0).round() as u64,
            tokens: max,
        }
    }

    /// Thousandths of tokens that are there.
    pub fn thousandths(&self) -> u64 {
        self.tokens
    }

    /// Whether there may be retries.
    pub fn allows(&self) -> bool {
        self.tokens > self.max / 2
    }

    /// An attempt has ended, by a failure that counts or not; whether there may be retries then.
    pub fn on_ended(&mut self, answer: Answer, is_failure: bool) -> bool {
        if is_failure {
            self.tokens = self.tokens.saturating_sub(1000);
        } else if matches!(answer, Answer::Status(..400)) {
            self.tokens = (self.tokens + self.ratio).min(self.max);
        }
        self.allows()
    }
}

/// A status of gRPC's that is not OK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(u8);

/// The names by number, each with the HTTP status that google/rpc/code.proto gives it, and that Envoy's outlier detection takes it for
/// (source/common/grpc/status.cc, `grpcToHttpStatus`).
const CODES: [(&str, u16); 17] = [
    ("OK", 200),
    ("CANCELLED", 499),
    ("UNKNOWN", 500),
    ("INVALID_ARGUMENT", 400),
    ("DEADLINE_EXCEEDED", 504),
    ("NOT_FOUND", 404),
    ("ALREADY_EXISTS", 409),
    ("PERMISSION_DENIED", 403),
    ("RESOURCE_EXHAUSTED", 429),
    ("FAILED_PRECONDITION", 400),
    ("ABORTED", 409),
    ("OUT_OF_RANGE", 400),
    ("UNIMPLEMENTED", 501),
    ("INTERNAL", 500),
    ("UNAVAILABLE", 503),
    ("DATA_LOSS", 500),
    ("UNAUTHENTICATED", 401),
];

impl Code {
    /// The HTTP status that it is taken for.
    pub fn http_status(self) -> u16 {
        CODES[usize::from(self.0)].1
    }
}

/// A set of gRPC statuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codes {
    bits: u32,
}

impl Codes {
    /// Whether an attempt ended by one of them.
    pub fn hold(self, answer: Answer) -> bool {
        let status = match answer {
            Answer::Status(status) => status,
            Answer::ConnectFailure | Answer::Reset => 503,
            Answer::PerTryTimeout => 504,
            Answer::Timeout | Answer::Cancelled => return false,
        };
        // gRPC over HTTP takes a gateway's 502 for UNAVAILABLE too.
        let status = if status == 502 { 503 } else { status };
        CODES
            .iter()
            .enumerate()
            .any(|(number, (_, http))| self.bits & (1 << number) != 0 && *http == status)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Code;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a gRPC code such as `UNAVAILABLE`, or its number from 1 to 16")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Code, E> {
                let plain = text.trim().to_uppercase().replace('-', "_");
                let place = CODES.iter().position(|(name, _)| *name == plain).filter(|&place| place > 0);
                place
                    .map(|place| Code(place as u8))
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Code, E> {
                match number {
                    1..=16 => Ok(Code(number as u8)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Code {
    fn schema_name() -> Cow<'static, str> {
        "GrpcCode".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = CODES[1..].iter().map(|(name, _)| *name).collect();
        json_schema!({
            "description": "A gRPC code by name, or by number from 1 to 16.",
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 16},
                {"type": "string", "pattern": format!("^(?i:{})$", names.join("|"))}
            ]
        })
    }
}

impl<'de> Deserialize<'de> for Codes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Codes, D::Error> {
        let codes: Vec<Code> = Vec::deserialize(deserializer)?;
        Ok(Codes {
            bits: codes.iter().fold(0, |bits, code| bits | 1 << code.0),
        })
    }
}

impl Serialize for Codes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let held = CODES.iter().enumerate().filter(|(number, _)| self.bits & (1 << number) != 0);
        serializer.collect_seq(held.map(|(_, (name, _))| name))
    }
}

impl JsonSchema for Codes {
    fn schema_name() -> Cow<'static, str> {
        "GrpcStatusCodes".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "array", "items": generator.subschema_for::<Code>()})
    }
}
