//! What Envoy's hash policies have in common: a table for each candidate set, and a bound on the load.

use crate::policy::balancer::Hints;
use crate::policy::balancer::common::bounded_load;
use crate::policy::balancer::common::hash;
use crate::policy::balancer::common::tables::Tables;
use crate::policy::balancer::common::weighted_hosts::{WeightedHost, shares};
use crate::policy::{CandidateSet, EndpointIndex, Endpoints};

/// From a hash to a member of the set, by its place.
pub trait Lookup: Clone {
    /// The place for `hash` when `reselection` picks have been rejected; `None`: the table is empty.
    fn find(&self, hash: u64, reselection: u32) -> Option<u32>;
}

/// What both policies let a user write beside the table's own options.
#[derive(Clone, Copy, Debug)]
pub struct HashPolicyOptions {
    /// Whether names are hashed rather than addresses.
    pub use_hostname_for_hashing: bool,
    /// The bound in per cent of the average load; 0: none.
    pub hash_balance_factor: u32,
}

impl HashPolicyOptions {
    /// Whether they are in the ranges that Envoy admits.
    ///
    /// # Errors
    /// A sentence about the option that is not.
    pub fn check(&self) -> Result<(), String> {
        match self.hash_balance_factor {
            1..100 => Err(format!(
                "`hash_balance_factor` is in per cent of the average load and must be at least 100, or 0 for no bound, not {}",
                self.hash_balance_factor
            )),
            _ => Ok(()),
        }
    }
}

/// One caller's tables.
#[derive(Clone, Debug)]
pub struct HashPolicy<L> {
    tables: Tables<Table<L>>,
    options: HashPolicyOptions,
    // Room for the bound's order of probing.
    order: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Table<L> {
    lookup: L,
    // What the lookup finds places in.
    hosts: Vec<EndpointIndex>,
    // The share of each; empty where there is no bound.
    weights: Vec<f64>,
}

impl<L: Lookup> HashPolicy<L> {
    /// No table yet.
    pub fn new(options: HashPolicyOptions, set_count: usize) -> HashPolicy<L> {
        HashPolicy {
            tables: Tables::new(set_count),
            options,
            order: Vec::new(),
        }
    }

    /// As [`Balance::renew`](crate::policy::balancer::Balance::renew).
    pub fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.tables.renew(sets, set_count);
    }

    /// As [`Balance::share`](crate::policy::balancer::Balance::share).
    pub fn share(&mut self, prototype: &HashPolicy<L>) {
        self.tables.share(&prototype.tables);
    }

    /// Where the hash sends the call, or where the bound on the load does.
    #[inline]
    pub fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        build: impl FnOnce(&[WeightedHost<'_>]) -> L,
    ) -> Option<EndpointIndex> {
        let options = self.options;
        let table = self.tables.get(set.number(), || Table::new(endpoints, set, options, build));
        let first = table.lookup.find(hints.hash, hints.reselection)?;
        if options.hash_balance_factor == 0 {
            return Some(table.hosts[first as usize]);
        }
        let overload = |place: u32| {
            let active = endpoints.active[table.hosts[place as usize].at()];
            let weight = table.weights[place as usize];
            bounded_load::overload(active, endpoints.active_total, options.hash_balance_factor, weight)
        };
        let count = table.hosts.len() as u32;
        let place = bounded_load::choose(first, count, hints.hash, overload, &mut self.order);
        Some(table.hosts[place as usize])
    }
}

impl<L> Table<L> {
    fn new(
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        options: HashPolicyOptions,
        build: impl FnOnce(&[WeightedHost<'_>]) -> L,
    ) -> Table<L> {
        let shares = shares(endpoints, set);
        let hosts: Vec<WeightedHost<'_>> = shares
            .iter()
            .map(|&(endpoint, weight)| WeightedHost {
                key: hash::key(&endpoints.infos[endpoint.at()], options.use_hostname_for_hashing),
                weight,
            })
            .collect();
        let bounded = shares.iter().filter(|_| options.hash_balance_factor > 0);
        Table {
            lookup: build(&hosts),
            weights: bounded.map(|share| share.1).collect(),
            hosts: shares.iter().map(|share| share.0).collect(),
        }
    }
}
