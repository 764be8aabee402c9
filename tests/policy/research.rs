//! What shows that the balancers of `research` are the real ones.

use super::evidence::Evidence;

pub const EVIDENCE: &[Evidence] = &[];
