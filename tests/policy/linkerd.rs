//! What shows that the balancers of `linkerd` are the real ones.

use super::evidence::Evidence;

pub const EVIDENCE: &[Evidence] = &[];
