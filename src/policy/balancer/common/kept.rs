//! Tables by candidate set that outlive changes of health, for proxies in which a server that is down keeps its place.

use std::hash::Hasher;
use std::sync::Arc;

use xxhash_rust::xxh64::Xxh64;

use crate::policy::balancer::common::Tables;
use crate::policy::{CandidateSet, Endpoints};

/// A table and what it was built of.
#[derive(Debug)]
struct Entry<T> {
    fingerprint: u64,
    table: T,
}

/// Tables that follow from the servers and their weights alone: views in which these are the same share them.
#[derive(Clone, Debug)]
pub struct Kept<T> {
    tables: Tables<Arc<Entry<T>>>,
    // By set: the table of the view before.
    last: Vec<Option<Arc<Entry<T>>>>,
}

impl<T> Kept<T> {
    /// No table yet, for sets with numbers below `set_count`.
    pub fn new(set_count: usize) -> Kept<T> {
        Kept {
            tables: Tables::new(set_count),
            last: Vec::new(),
        }
    }

    /// As [`Balance::renew`](crate::policy::balancer::Balance::renew).
    pub fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.tables.renew(sets, set_count);
    }

    /// As [`Balance::share`](crate::policy::balancer::Balance::share).
    pub fn share(&mut self, prototype: &Kept<T>) {
        self.last.resize(self.last.len().max(self.tables.set_count()), None);
        for (number, last) in self.last.iter_mut().enumerate() {
            if let Some(built) = self.tables.built(number) {
                *last = Some(Arc::clone(built));
            }
        }
        self.tables.share(&prototype.tables);
    }

    /// The table of a set.
    #[inline]
    pub fn get(&self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, build: impl FnOnce() -> T) -> &T {
        let entry = self.tables.get(set.number(), || {
            let fingerprint = fingerprint(endpoints, set);
            let last = self.last.get(set.number()).and_then(Option::as_ref);
            match last.filter(|last| last.fingerprint == fingerprint) {
                Some(last) => Arc::clone(last),
                None => Arc::new(Entry {
                    fingerprint,
                    table: build(),
                }),
            }
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
