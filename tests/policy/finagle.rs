//! What shows that the balancers of `finagle` are the real ones.

use super::evidence::Evidence;

pub const EVIDENCE: &[Evidence] = &[];
