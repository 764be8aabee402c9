//! Endpoints that answer some requests with an error, or not at all.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};

use super::target::targeted;
use crate::random::Share;
use crate::scenario::decode::Field;

targeted! {
    /// Endpoints that answer with an error as soon as a request arrives: one of `endpoint`, `service`, `zone`, `node` and `all`.
    pub struct Errors by endpoint_share {
        /// The share of the requests; all if absent.
        share: Option<Field<Share>>,
        /// The HTTP status of the answer; 503 if absent.
        #[schemars(extend("minimum" = 400, "maximum" = 599))]
        status: Option<Field<u16>>,
        /// The gRPC code of the answer, by name or number, in place of `status`: counted as the HTTP status that Envoy takes it for.
        grpc_code: Option<Field<GrpcCode>>,
    }
}

targeted! {
    /// Endpoints that never answer some requests: one of `endpoint`, `service`, `zone`, `node` and `all`.
    pub struct HangShare by endpoint_share {
        /// The share of the requests; all if absent.
        share: Option<Field<Share>>,
    }
}

/// A code of gRPC other than `OK`, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcCode(u8);

/// Each code from 1 on with its name and the HTTP status that Envoy's outlier detection takes it for
/// (source/common/grpc/status.cc, `grpcToHttpStatus`).
const GRPC_CODES: [(&str, u16); 16] = [
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

impl GrpcCode {
    /// The HTTP status that it is taken for.
    pub fn http_status(self) -> u16 {
        GRPC_CODES[usize::from(self.0) - 1].1
    }

    fn named(text: &str) -> Option<GrpcCode> {
        let at = GRPC_CODES.iter().position(|(name, _)| text.eq_ignore_ascii_case(name))?;
        Some(GrpcCode(at as u8 + 1))
    }
}

impl<'de> Deserialize<'de> for GrpcCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<GrpcCode, D::Error> {
        struct CodeVisitor;
        impl de::Visitor<'_> for CodeVisitor {
            type Value = GrpcCode;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a gRPC code such as `UNAVAILABLE`, or its number from 1 to 16")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<GrpcCode, E> {
                match u8::try_from(number) {
                    Ok(code @ 1..=16) => Ok(GrpcCode(code)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<GrpcCode, E> {
                GrpcCode::named(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(CodeVisitor)
    }
}

impl JsonSchema for GrpcCode {
    fn schema_name() -> Cow<'static, str> {
        "GrpcCode".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = GRPC_CODES.iter().map(|code| code.0).collect();
        json_schema!({
            "description": "A gRPC code by name, or by number from 1 to 16.",
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 16},
                {"type": "string", "pattern": format!("^(?i:{})$", names.join("|"))}
            ]
        })
    }
}
