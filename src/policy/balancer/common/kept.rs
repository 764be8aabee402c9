//! Tables by candidate set that outlive changes of health, for proxies in which a server that is down keeps its place.

use std::hash::Hasher;

use xxhash_rust::xxh64::Xxh64;

use crate::policy::balancer::common::Tables;
use crate::policy::{CandidateSet, Endpoints};

/// A table and what it was built of.
#[derive(Clone, Debug)]
struct Entry<T> {
    fingerprint: u64,
    table: T,
}

/// Tables that follow from the servers and their weights alone.
#[derive(Clone, Debug)]
pub struct Kept<T> {
    tables: Tables<Entry<T>>,
}

impl<T> Kept<T> {
    /// No table yet, for sets with numbers below `set_count`.
    pub fn new(set_count: usize) -> Kept<T> {
        Kept {
            tables: Tables::new(set_count),
        }
    }

    /// Something about a set is no longer what it was; its table is forgotten if it is not the same with it.
    pub fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>) {
        let built = self.tables.built(set.number());
        if built.is_none_or(|entry| entry.fingerprint != fingerprint(endpoints, set)) {
            self.tables.forget(set.number());
        }
    }

    /// The table of a set.
    #[inline]
    pub fn get(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, build: impl FnOnce() -> T) -> &T {
        let entry = self.tables.get(set.number(), || Entry {
            fingerprint: fingerprint(endpoints, set),
            table: build(),
        });
        &entry.table
    }
}

/// A hash of all that tables are built of.
fn fingerprint(endpoints: &Endpoints<'_>, set: CandidateSet<'_>) -> u64 {
    let mut hasher = Xxh64::new(0);
    for endpoint in set.iter() {
        let info = &endpoints.infos[endpoint.at()];
        hasher.write_u32(endpoint.0);
        hasher.write_u32(endpoints.weights[endpoint.at()]);
        for text in [Some(&info.address), info.hostname.as_ref(), info.hash_key.as_ref()] {
            hasher.write_u8(0xFF);
            hasher.write(text.map_or(&[], |text| text.as_bytes()));
        }
    }
    hasher.finish()
}
