//! What shows that the balancers of `grpc` are the real ones.

use super::evidence::Evidence;

pub const EVIDENCE: &[Evidence] = &[];
