//! Lookup tables that callers share while they believe the same of an upstream: a mesh has many callers, and a table is large.

use std::sync::{Arc, OnceLock};

/// One table for each candidate set, built when it is first needed.
#[derive(Clone, Debug)]
pub struct Tables<T> {
    // Those of the candidates as every caller first sees them.
    shared: Arc<[OnceLock<T>]>,
    // In place of the shared one, for each set that is no longer what it was.
    own: Vec<Option<Own<T>>>,
}

#[derive(Clone, Debug)]
enum Own<T> {
    Stale,
    Built(T),
}

impl<T> Tables<T> {
    /// No table yet, for sets with numbers below `set_count`.
    pub fn new(set_count: usize) -> Tables<T> {
        Tables {
            shared: (0..set_count).map(|_| OnceLock::new()).collect(),
            own: Vec::new(),
        }
    }

    /// Set `number` changed for this caller.
    pub fn forget(&mut self, number: usize) {
        if number >= self.own.len() {
            self.own.resize_with(number + 1, || None);
        }
        self.own[number] = Some(Own::Stale);
    }

    /// The table of set `number` if it is built and still right.
    pub fn built(&self, number: usize) -> Option<&T> {
        match self.own.get(number) {
            Some(Some(Own::Built(table))) => Some(table),
            Some(Some(Own::Stale)) => None,
            _ => self.shared.get(number)?.get(),
        }
    }

    /// The table of set `number`.
    #[inline]
    pub fn get(&mut self, number: usize, build: impl FnOnce() -> T) -> &T {
        match self.own.get_mut(number) {
            Some(Some(own)) => own.get(build),
            _ => self.shared[number].get_or_init(build),
        }
    }
}

impl<T> Own<T> {
    fn get(&mut self, build: impl FnOnce() -> T) -> &T {
        if let Own::Stale = self {
            *self = Own::Built(build());
        }
        match self {
            Own::Built(table) => table,
            Own::Stale => unreachable!("it has just been built"),
        }
    }
}
