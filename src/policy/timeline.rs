//! The views of an upstream that its callers have come to, in the order in which they did: where a caller whose view changes looks
//! for one that another caller has already.
//!
//! A list that is only ever added to, so that nobody needs a lock. A caller keeps its place in it, somewhat before the end, and never
//! goes back, so that each looks at few entries. An entry does not keep its view alive; it costs some 250 bytes while a caller has not
//! come past it.

use std::sync::{Arc, OnceLock, Weak};

/// One entry: a view, by the fingerprint of what it follows from.
#[derive(Debug)]
pub(crate) struct Moment<V> {
    fingerprint: u64,
    view: Weak<V>,
    next: OnceLock<Arc<Moment<V>>>,
}

impl<V> Moment<V> {
    /// The beginning.
    pub fn first(fingerprint: u64, view: &Arc<V>) -> Arc<Moment<V>> {
        Arc::new(Moment {
            fingerprint,
            view: Arc::downgrade(view),
            next: OnceLock::new(),
        })
    }

    /// The first view at or after `place` that is the wanted one, else a new one from `make` at the end; `place` follows.
    pub fn find_or_add(
        place: &mut Arc<Moment<V>>,
        fingerprint: u64,
        is_wanted: impl Fn(&V) -> bool,
        make: impl FnOnce() -> V,
    ) -> Arc<V> {
        let mut walk = Walk {
            at: Arc::clone(place),
            behind: place,
            steps: 0,
        };
        loop {
            if walk.at.fingerprint == fingerprint
                && let Some(view) = walk.at.view.upgrade().filter(|view| is_wanted(view))
            {
                return view;
            }
            match walk.at.next.get().map(Arc::clone) {
                Some(next) => walk.step(next),
                None => break,
            }
        }
        let view = Arc::new(make());
        // If another thread is faster, this view is found by nobody, which costs no more than room.
        walk.at.next.get_or_init(|| Moment::first(fingerprint, &view));
        view
    }
}

/// How far before the end a caller's place stays: what others came to lately may be wanted next.
const BEHIND: usize = 4096;

/// A walk along the list, with the caller's place following.
struct Walk<'a, V> {
    at: Arc<Moment<V>>,
    behind: &'a mut Arc<Moment<V>>,
    steps: usize,
}

impl<V> Walk<'_, V> {
    fn step(&mut self, next: Arc<Moment<V>>) {
        self.at = next;
        self.steps += 1;
        if self.steps > BEHIND {
            let next = self.behind.next.get().map(Arc::clone);
            *self.behind = next.expect("it is before the end");
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
        // In whatever order they come to it.
        assert!(Arc::ptr_eq(&find(&mut other, 5), &five));
        // Nobody has it any more, so it is made anew.
        drop(five);
        let mut third = first;
        let five = find(&mut third, 5);
        assert!(Arc::ptr_eq(&find(&mut other, 5), &five));
    }

    #[test]
    fn callers_that_learn_in_different_orders_meet_again() {
        let start = Arc::new(0);
        let first = Moment::first(0, &start);
        let mut places = vec![first; 1000];
        let mut last = Vec::new();
        // Each learns of one of two changes first, then of the other.
        for (number, place) in places.iter_mut().enumerate() {
            find(place, if number % 2 == 0 { 8 } else { 9 });
            last.push(find(place, 89));
        }
        assert!(last.iter().all(|view| Arc::ptr_eq(view, &last[0])));
    }

    #[test]
    fn places_follow_the_end() {
        let mut place = Moment::first(0, &Arc::new(0));
        for wanted in 1..10_000 {
            find(&mut place, wanted);
        }
        assert!(place.fingerprint > 5000, "{}", place.fingerprint);
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
