//! Envoy's MAGLEV: a key sticks to an endpoint through a table that spreads evenly and is looked up in one step.
//!
//! The table is that of Eisenbud et al. (NSDI 2016) with Envoy's weights (`maglev_lb.cc`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

use crate::policy::balancer::common::{HashPolicy, HashPolicyOptions, Lookup, WeightedHost};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

/// What Envoy's `Maglev` message and its `consistent_hashing_lb_config` hold.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How many entries the table has: a prime number of at most 5000011.
    #[schemars(extend("x-upstream" = "Maglev.table_size"))]
    pub table_size: u64,
    /// Whether the names of endpoints are hashed rather than their addresses.
    #[schemars(extend("x-upstream" = "ConsistentHashingLbConfig.use_hostname_for_hashing"))]
    pub use_hostname_for_hashing: bool,
    /// No endpoint gets more than this many per cent of the average load; 0: no bound. Costs O(endpoints) when it binds.
    #[schemars(extend("x-upstream" = "ConsistentHashingLbConfig.hash_balance_factor"))]
    pub hash_balance_factor: u32,
}

/// Envoy's limit on `table_size`.
const TABLE_SIZE_MAX: u64 = 5_000_011;

impl Default for Options {
    fn default() -> Options {
        Options {
            table_size: 65_537,
            use_hostname_for_hashing: false,
            hash_balance_factor: 0,
        }
    }
}

impl Options {
    /// Whether the options are in the ranges that Envoy admits.
    ///
    /// # Errors
    /// A sentence about the option that is not.
    pub fn check(&self) -> Result<(), String> {
        if self.table_size > TABLE_SIZE_MAX {
            return Err(format!(
                "`table_size` must be at most {TABLE_SIZE_MAX}, not {}",
                self.table_size
            ));
        }
        if !is_prime(self.table_size) {
            return Err(format!(
                "`table_size` must be a prime number, and {} is none",
                self.table_size
            ));
        }
        self.hash_policy().check()
    }

    fn hash_policy(&self) -> HashPolicyOptions {
        HashPolicyOptions {
            use_hostname_for_hashing: self.use_hostname_for_hashing,
            hash_balance_factor: self.hash_balance_factor,
        }
    }
}

fn is_prime(n: u64) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

/// The table: a member's place in each slot.
#[derive(Clone, Debug)]
pub struct Table {
    slots: Vec<u32>,
}

/// One endpoint's way through the slots while the table is filled.
struct Walker {
    place: u32,
    weight: f64,
    offset: u64,
    skip: u64,
    next: u64,
    target_weight: f64,
}

const EMPTY: u32 = u32::MAX;

impl Table {
    /// The table of `hosts`, whose places in the slice are what a lookup finds.
    pub fn new(hosts: &[WeightedHost<'_>], table_size: u64) -> Table {
        match hosts.len() {
            0 => return Table { slots: Vec::new() },
            1 => return Table { slots: vec![0] },
            _ => {}
        }
        let mut walkers = walkers(hosts, table_size);
        let weight_max = hosts.iter().map(|host| host.weight).fold(0.0, f64::max);
        let mut slots = vec![EMPTY; table_size as usize];
        let mut left = table_size;
        let mut iteration = 1.0;
        while left > 0 {
            for walker in &mut walkers {
                // A lighter endpoint sits out until its turns add up to one of the heaviest.
                if iteration * walker.weight < walker.target_weight {
                    continue;
                }
                walker.target_weight += weight_max;
                walker.take_slot(&mut slots, table_size);
                left -= 1;
                if left == 0 {
                    break;
                }
            }
            iteration += 1.0;
        }
        Table { slots }
    }

    /// The places in the order of the slots.
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }
}

/// In the order of the keys, so that the table does not depend on the order of the list.
fn walkers(hosts: &[WeightedHost<'_>], table_size: u64) -> Vec<Walker> {
    let mut places: Vec<u32> = (0..hosts.len() as u32).collect();
    places.sort_by_key(|&place| hosts[place as usize].key);
    let walker = |place: u32| {
        let host = &hosts[place as usize];
        Walker {
            place,
            weight: host.weight,
            offset: xxh64(host.key.as_bytes(), 0) % table_size,
            // With a table of 2 slots there is but one way to go on.
            skip: xxh64(host.key.as_bytes(), 1) % (table_size - 1) + 1,
            next: 0,
            target_weight: 0.0,
        }
    };
    places.into_iter().map(walker).collect()
}

impl Walker {
    fn take_slot(&mut self, slots: &mut [u32], table_size: u64) {
        loop {
            // Both factors are below 2^23, so the product fits.
            let slot = (self.offset + self.skip * self.next) % table_size;
            self.next += 1;
            if slots[slot as usize] == EMPTY {
                slots[slot as usize] = self.place;
                return;
            }
        }
    }
}

impl Lookup for Table {
    fn find(&self, hash: u64, reselection: u32) -> Option<u32> {
        let hash = match reselection {
            0 => hash,
            // Envoy flips the bits of 2^64 - reselection.
            _ => hash ^ 0_u64.wrapping_sub(u64::from(reselection)),
        };
        let slot = hash.checked_rem(self.slots.len() as u64)?;
        Some(self.slots[slot as usize])
    }
}

/// One caller's tables, shared with others while they believe the same.
#[derive(Clone, Debug)]
pub struct Balancer {
    table_size: u64,
    policy: HashPolicy<Table>,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "A key sticks to an endpoint through an evenly filled table; without a key it is random";
    const SOURCE: &'static str = "envoyproxy/envoy source/extensions/load_balancing_policies/maglev/maglev_lb.cc";
    const CHECKED: &'static str = "Recordings of Envoy 1.40; vectors of its Maglev test";
    const RULES: Rules = Rules::EnvoyHash;

    fn new(options: &Options, set_count: usize) -> Balancer {
        Balancer {
            table_size: options.table_size,
            policy: HashPolicy::new(options.hash_policy(), set_count),
        }
    }

    fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.policy.renew(sets, set_count);
    }

    fn share(&mut self, prototype: &Balancer) {
        self.policy.share(&prototype.policy);
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        _: Time,
        _: &mut Rng,
    ) -> Option<EndpointIndex> {
        let table_size = self.table_size;
        self.policy.pick(endpoints, set, hints, |hosts| Table::new(hosts, table_size))
    }
}
