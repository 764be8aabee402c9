//! What shows that the balancers of `haproxy` are the real ones.

use super::evidence::Evidence;

pub const EVIDENCE: &[Evidence] = &[];
