//! Earliest-deadline-first scheduling: weighted round robin with weights read anew at each pick.
//!
//! As Envoy does it (`source/common/upstream/edf_scheduler.h`, `createWithPicks`), down to the order of floating-point operations,
//! since the rounding decides ties.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::policy::EndpointIndex;

/// The schedule of one candidate set, or of what else takes turns by weight.
#[derive(Clone, Debug)]
pub struct Schedule<T = EndpointIndex> {
    queue: BinaryHeap<Reverse<Entry<T>>>,
    now: f64,
    order: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry<T> {
    // The bits of a float that is not negative: they sort as it does.
    deadline: u64,
    order: u64,
    item: T,
}

/// Added to the weights while the past is computed, so that a share that is a whole number does not fall short of it.
const EPSILON: f64 = 1e-13;

impl<T: Copy + Ord> Schedule<T> {
    /// The schedule of `items` as it stands after `picks` picks. Costs O(n log n), whatever `picks`.
    pub fn with_picks(items: impl ExactSizeIterator<Item = T> + Clone, picks: u32, weight: impl Fn(T) -> f64) -> Schedule<T> {
        let mut schedule = Schedule {
            queue: BinaryHeap::with_capacity(items.len()),
            now: 0.0,
            order: 0,
        };
        let sum: f64 = items.clone().map(|item| weight(item) + EPSILON).sum();
        let picks_per_weight = f64::from(picks) / sum;
        let mut picked = 0;
        for item in items {
            let weight = weight(item) + EPSILON;
            let mut count = (weight * f64::from(picks) / sum) as u32;
            if count > 0 && f64::from(count) / weight >= picks_per_weight {
                count -= 1;
            }
            picked += count;
            schedule.now = schedule.now.max(f64::from(count) / weight);
            schedule.push(item, f64::from(count + 1) / weight);
        }
        for _ in picked..picks {
            schedule.pick(&weight);
        }
        schedule
    }

    fn push(&mut self, item: T, deadline: f64) {
        self.queue.push(Reverse(Entry {
            deadline: deadline.to_bits(),
            order: self.order,
            item,
        }));
        self.order += 1;
    }

    /// Takes the item with the earliest deadline, and puts it back with the weight it has now.
    #[inline]
    pub fn pick(&mut self, weight: impl Fn(T) -> f64) -> T {
        let mut first = self.queue.peek_mut().expect("a schedule is not empty");
        self.now = f64::from_bits(first.0.deadline);
        let item = first.0.item;
        first.0.deadline = (self.now + 1.0 / weight(item)).to_bits();
        first.0.order = self.order;
        self.order += 1;
        drop::<PeekMut<'_, _>>(first);
        item
    }
}

/// Pre-picks come from a seed of 32 bits, less than this many of them.
const PRE_PICKS_END: u32 = 429_496_729;

/// How many picks a schedule with this seed has behind it.
pub fn pre_picks(seed: u64) -> u32 {
    seed as u32 % PRE_PICKS_END
}
