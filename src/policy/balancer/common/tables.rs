//! Lookup tables that callers share while they believe the same of an upstream: a mesh has many callers, and a table is large.

use std::sync::{Arc, OnceLock};

/// One table for each candidate set, built when it is first needed.
///
/// A balancer that passes on [`Balance::renew`](crate::policy::balancer::Balance::renew) and
/// [`Balance::share`](crate::policy::balancer::Balance::share) shares them with all callers of the same view. One that calls `forget`
/// has those tables to itself.
#[derive(Clone, Debug)]
pub struct Tables<T> {
    // Those of the view.
    shared: Arc<[Slot<T>]>,
    // In place of the shared one, for each set that is no longer what it was.
    own: Vec<Option<Slot<T>>>,
}

type Slot<T> = Arc<OnceLock<T>>;

impl<T> Tables<T> {
    /// No table yet, for sets with numbers below `set_count`.
    pub fn new(set_count: usize) -> Tables<T> {
        Tables {
            shared: (0..set_count).map(|_| Slot::default()).collect(),
            own: Vec::new(),
        }
    }

    /// On those of a prototype: these sets are new in its view. The others keep what they have, built or to be built.
    pub fn renew(&mut self, sets: &[usize], set_count: usize) {
        let mut slots = self.shared.to_vec();
        slots.resize_with(set_count, Slot::default);
        for &number in sets {
            slots[number] = Slot::default();
        }
        self.shared = slots.into();
    }

    /// The tables are from now on those of `prototype`.
    pub fn share(&mut self, prototype: &Tables<T>) {
        self.shared = Arc::clone(&prototype.shared);
        self.own.clear();
    }

    /// How many sets there are in the view.
    pub fn set_count(&self) -> usize {
        self.shared.len()
    }

    /// Set `number` changed for this caller.
    pub fn forget(&mut self, number: usize) {
        if number >= self.own.len() {
            self.own.resize_with(number + 1, || None);
        }
        self.own[number] = Some(Slot::default());
    }

    /// The table of set `number` if it is built and still right.
    pub fn built(&self, number: usize) -> Option<&T> {
        self.slot(number)?.get()
    }

    /// The table of set `number`.
    #[inline]
    pub fn get(&self, number: usize, build: impl FnOnce() -> T) -> &T {
        let slot = self.slot(number).expect("there is a slot for every set");
        slot.get_or_init(build)
    }

    #[inline]
    fn slot(&self, number: usize) -> Option<&Slot<T>> {
        match self.own.get(number) {
            Some(Some(own)) => Some(own),
            _ => self.shared.get(number),
        }
    }
}
