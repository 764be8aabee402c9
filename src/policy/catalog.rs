//! What there is besides balancers: the policies around them, by name, for whoever lists them.

use crate::policy::balancer::Entry;

/// The policies around a balancer, in the order in which they are listed. A `mesh` sets each by the key that is its last name.
pub const PARTS: &[Entry] = &[];

/// The part of that name.
pub fn part(name: &str) -> Option<&'static Entry> {
    PARTS.iter().find(|part| part.name == name)
}
