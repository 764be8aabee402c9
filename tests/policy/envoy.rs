//! What shows that the balancers of `envoy` are the real ones.

use super::evidence::Evidence;

pub const EVIDENCE: &[Evidence] = &[];
