//! What shows that the balancers of `kube_proxy` are the real ones.

use super::evidence::Evidence;

pub const EVIDENCE: &[Evidence] = &[];
