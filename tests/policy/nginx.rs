//! What shows that the balancers of `nginx` are the real ones.

use super::evidence::Evidence;

pub const EVIDENCE: &[Evidence] = &[];
