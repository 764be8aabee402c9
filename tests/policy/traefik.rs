//! What shows that the balancers of `traefik` are the real ones.

use super::evidence::Evidence;

pub const EVIDENCE: &[Evidence] = &[];
