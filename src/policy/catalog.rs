//! What there is besides balancers: the policies around them, by name, for whoever lists them.

use crate::policy::balancer::Entry;
use crate::policy::{health_check, overload};

/// The policies around a balancer, in the order in which they are listed. A `mesh` sets each by the key that is its last name.
pub const PARTS: &[Entry] = &[
    health_check::envoy::ENTRY,
    health_check::haproxy::ENTRY,
    overload::admission_control::ENTRY,
    overload::local_rate_limit::ENTRY,
    overload::adaptive_concurrency::ENTRY,
    overload::nack_admission_filter::ENTRY,
    overload::adaptive_throttling::ENTRY,
    overload::codel::ENTRY,
];

/// The part of that name.
pub fn part(name: &str) -> Option<&'static Entry> {
    PARTS.iter().find(|part| part.name == name)
}
