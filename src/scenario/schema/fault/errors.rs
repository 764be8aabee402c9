//! Endpoints that answer some requests with an error, or not at all.

use super::target::targeted;
use crate::policy::retry;
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
        grpc_code: Option<Field<retry::Code>>,
    }
}

targeted! {
    /// Endpoints that never answer some requests: one of `endpoint`, `service`, `zone`, `node` and `all`.
    pub struct HangShare by endpoint_share {
        /// The share of the requests; all if absent.
        share: Option<Field<Share>>,
    }
}
