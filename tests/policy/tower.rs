//! What shows that the balancers of `tower` are the real ones.

use super::evidence::Evidence;

pub const EVIDENCE: &[Evidence] = &[];
