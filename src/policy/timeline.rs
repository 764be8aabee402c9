//! The views of an upstream that its callers have come to, in the order in which they did: where a caller whose view changes looks
//! for one that another caller has already.
//!
//! A list that is only ever added to, so that nobody needs a lock. A caller keeps its place in it, which is where it last found a view,
//! or not too far behind the end. An entry does not keep its view alive, and costs some 100 bytes, as long as a caller has not come
//! past it.

use std::sync::{Arc, OnceLock, Weak};

/// One entry: a view, by the fingerprint of what it follows from.
#[derive(Debug)]
pub(crate) struct Moment<V> {
    fingerprint: u64,
    view: Weak<V>,
    next: OnceLock<Arc<Moment<V>>>,
}

/// A place is at most so far behind the end when nothing is found from there on.
const PASSED_MAX: usize = 4096;

impl<V> Moment<V> {
    /// The beginning.
    pub fn first(fingerprint: u64, view: &Arc<V>) -> Arc<Moment<V>> {
        Arc::new(Moment {
            fingerprint,
            view: Arc::downgrade(view),
            next: OnceLock::new(),
        })
    }

    /// The first view at or after `place` that is the wanted one, to which `place` moves; else a new one from `make` at the end. Then
    /// `place` stays, since what comes next may be there already: callers that learn of two changes in different orders meet again.
    pub fn find_or_add(
        place: &mut Arc<Moment<V>>,
        fingerprint: u64,
        is_wanted: impl Fn(&V) -> bool,
        make: impl FnOnce() -> V,
    ) -> Arc<V> {
        let begin = Arc::clone(place);
        let (found, passed) = Moment::find(place, fingerprint, &is_wanted);
        if let Some(view) = found {
            return view;
        }
        let view = Arc::new(make());
        // Another thread may have been faster; its views are then found the next time.
        let end = Arc::clone(place.next.get_or_init(|| Moment::first(fingerprint, &view)));
        *place = if passed < PASSED_MAX { begin } else { end };
        view
    }

    /// Moves `place` to the first entry with a wanted view that somebody has, or to the end, and counts the entries passed.
    fn find(place: &mut Arc<Moment<V>>, fingerprint: u64, is_wanted: impl Fn(&V) -> bool) -> (Option<Arc<V>>, usize) {
        let mut passed = 0;
        loop {
            if place.fingerprint == fingerprint
                && let Some(view) = place.view.upgrade().filter(|view| is_wanted(view))
            {
                return (Some(view), passed);
            }
            let Some(next) = place.next.get() else { return (None, passed) };
            *place = Arc::clone(next);
            passed += 1;
        }
    }
}

impl<V> Drop for Moment<V> {
    /// One after the other: a long list must not use up the stack.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(moment) = next {
            next = Arc::into_inner(moment).and_then(|mut moment| moment.next.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(place: &mut Arc<Moment<u64>>, wanted: u64) -> Arc<u64> {
        Moment::find_or_add(place, wanted, |view| *view == wanted, || wanted)
    }

    #[test]
    fn callers_that_come_to_the_same_share_it() {
        let start = Arc::new(0);
        let first = Moment::first(0, &start);
        let (mut one, mut other) = (Arc::clone(&first), Arc::clone(&first));
        assert!(Arc::ptr_eq(&find(&mut one, 0), &start));
        let (five, six) = (find(&mut one, 5), find(&mut one, 6));
        assert!(Arc::ptr_eq(&find(&mut other, 5), &five));
        assert!(Arc::ptr_eq(&find(&mut other, 6), &six));
        // Nobody has it any more, so it is made anew.
        drop(five);
        let mut third = first;
        assert_eq!(*find(&mut third, 5), 5);
        assert_eq!(*find(&mut other, 5), 5);
    }

    #[test]
    fn callers_that_learn_in_different_orders_meet_again() {
        let start = Arc::new(0);
        let first = Moment::first(0, &start);
        let mut goals = Vec::new();
        for caller in 0..100 {
            let mut place = Arc::clone(&first);
            // Nobody keeps what is on the way.
            drop(find(&mut place, if caller % 2 == 0 { 8 } else { 9 }));
            goals.push(find(&mut place, 89));
        }
        assert!(goals.iter().all(|goal| Arc::ptr_eq(goal, &goals[0])));
    }

    #[test]
    fn a_long_list_is_dropped_without_a_deep_stack() {
        let first = Moment::first(0, &Arc::new(0));
        let mut place = Arc::clone(&first);
        for wanted in 1..100_000 {
            find(&mut place, wanted);
        }
        drop(place);
        drop(first);
    }
}
