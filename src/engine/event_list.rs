//! The future events in the order of (time, sequence): a hierarchical wheel of radix 256.
//!
//! Digits of a time, eight bits each above the width of a bucket, name a slot on a level; an event lies on the level of the
//! highest digit in which it differs from the present (Ahuja, Mehlhorn, Orlin and Tarjan's radix heap with wide digits;
//! Varghese and Lauck's wheel). Reaching a slot moves its events one or more levels down; the slot that is due is sorted and
//! taken from its end. Every event moves down at most eight times, commonly once or twice, and nothing is compared before its
//! bucket is due. Slots are lists of chunks within one arena: memory follows the largest number of pending events and no more,
//! and a slot is read in stretches rather than by one cache miss an event.
//!
//! The width of a bucket follows the density of events, which changes nothing but the cost: the order is total.
//! `benches/event_list.rs` compares it with heaps; nanoseconds to take one event and add one, medians of one run:
//!
//! | pending | wheel | 4-ary heap | `BinaryHeap` |
//! | --- | --- | --- | --- |
//! | 16 | 21 | 27 | 34 |
//! | 100 | 24 | 61 | 45 |
//! | 1,000 | 22 | 97 | 74 |
//! | 10,000 | 22 | 149 | 125 |
//! | 100,000 | 29 | 208 | 302 |
//! | 1,000,000 | 53 | 881 | 1,970 |

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::engine::Sequence;
use crate::time::Time;

const NIL: u32 = u32::MAX;
const LEVELS: usize = 8;
/// How many events become due between two looks at the width of a bucket.
const ADAPT_EVERY: u64 = 1 << 14;
/// So many pending events are more than a cache holds: their rows are worth fetching several at a time.
const MANY: usize = 1 << 13;

/// One pending event.
#[derive(Clone, Copy, Debug)]
struct Entry<E> {
    time: u64,
    sequence: u64,
    event: E,
}

impl<E> Entry<E> {
    #[inline]
    fn key(&self) -> u128 {
        (u128::from(self.time) << 64) | u128::from(self.sequence)
    }
}

// A max-heap must yield the smallest key, so the order of entries is the reverse of the order of keys.
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}
impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl<E> Eq for Entry<E> {}

/// Events in a chunk: three cache lines.
const CHUNK: usize = 8;

/// A slot's list of chunks: all are full but the first.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The first chunk.
    chunk: u32,
    /// Events in it.
    len: u32,
}

const EMPTY: Slot = Slot { chunk: NIL, len: 0 };

/// The future events. See the module's text.
#[derive(Debug)]
pub struct EventList<E> {
    /// The bucket that is due, latest first.
    due: Vec<Entry<E>>,
    /// Events that fell into the due bucket after it was sorted.
    late: BinaryHeap<Entry<E>>,
    /// `time >> shift` of the due bucket.
    present: u64,
    /// A bucket is 2^shift nanoseconds wide.
    shift: u32,
    slots: [[Slot; 256]; LEVELS],
    occupied: [[u64; 4]; LEVELS],
    /// Chunk `c` is the [`CHUNK`] entries from `c * CHUNK` on.
    entries: Vec<Entry<E>>,
    /// The chunk after each: in its slot's list, or in that of the free ones.
    next: Vec<u32>,
    free: u32,
    /// Events in the slots.
    waiting: usize,
    /// Whether a bucket with several events has become due that [`EventList::newly_due`] has not told of.
    turned: bool,
    /// Events that became due since the last look.
    became_due: u64,
    adapted_at: u64,
}

impl<E: Copy> Default for EventList<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Copy> EventList<E> {
    /// An empty list.
    pub fn new() -> EventList<E> {
        EventList {
            due: Vec::new(),
            late: BinaryHeap::new(),
            present: 0,
            shift: 10,
            slots: [[EMPTY; 256]; LEVELS],
            occupied: [[0; 4]; LEVELS],
            entries: Vec::new(),
            next: Vec::new(),
            free: NIL,
            waiting: 0,
            turned: false,
            became_due: 0,
            adapted_at: 0,
        }
    }

    /// How many events are pending.
    pub fn len(&self) -> usize {
        self.due.len() + self.late.len() + self.waiting
    }

    /// Whether none is pending.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an event. Its time must not be before that of the event taken last.
    #[inline]
    pub fn push(&mut self, time: Time, sequence: Sequence, event: E) {
        let entry = Entry {
            time: time.0,
            sequence: sequence.0,
            event,
        };
        let bucket = time.0 >> self.shift;
        if bucket <= self.present {
            self.became_due += 1;
            self.late.push(entry);
            return;
        }
        self.put(entry, bucket);
    }

    /// Takes the first event if its time is not after `until`.
    #[inline]
    pub fn pop_until(&mut self, until: Time) -> Option<(Time, Sequence, E)> {
        if !self.late.is_empty() {
            return self.pop_with_late(until);
        }
        if self.due.is_empty() && !self.advance() {
            return None;
        }
        let first = self.due.pop_if(|first| first.time <= until.0)?;
        Some((Time(first.time), Sequence(first.sequence), first.event))
    }

    /// As [`EventList::pop_until`], where events came into the due bucket after it was sorted.
    fn pop_with_late(&mut self, until: Time) -> Option<(Time, Sequence, E)> {
        let late = *self.late.peek().expect("the caller has looked");
        let first = match self.due.last() {
            Some(due) if due.key() < late.key() => *due,
            _ => late,
        };
        if first.time > until.0 {
            return None;
        }
        if first.sequence == late.sequence {
            self.late.pop();
        } else {
            self.due.pop();
        }
        Some((Time(first.time), Sequence(first.sequence), first.event))
    }

    /// Puts an event into the slot of `bucket`, which must be later than the present.
    #[inline]
    fn put(&mut self, entry: Entry<E>, bucket: u64) {
        // At most seven, as the compiler can see by the remainder.
        let level = (63 - (bucket ^ self.present).leading_zeros()) as usize / 8 % LEVELS;
        let index = usize::from((bucket >> (8 * level)) as u8);
        let mut slot = self.slots[level][index];
        if slot.chunk == NIL || slot.len as usize == CHUNK {
            slot = Slot {
                chunk: self.allocate(entry, slot.chunk),
                len: 0,
            };
            self.occupied[level][index / 64] |= 1 << (index % 64);
        }
        self.entries[slot.chunk as usize * CHUNK + slot.len as usize] = entry;
        slot.len += 1;
        self.slots[level][index] = slot;
        self.waiting += 1;
    }

    /// A free chunk, with `next` after it. New ones are filled with `entry` until they have events of their own.
    #[inline]
    fn allocate(&mut self, entry: Entry<E>, next: u32) -> u32 {
        if self.free == NIL {
            return self.grow(entry, next);
        }
        let chunk = self.free;
        self.free = std::mem::replace(&mut self.next[chunk as usize], next);
        chunk
    }

    #[cold]
    fn grow(&mut self, entry: Entry<E>, next: u32) -> u32 {
        self.entries.extend([entry; CHUNK]);
        self.next.push(next);
        u32::try_from(self.next.len() - 1).expect("fewer than 2^32 chunks")
    }

    /// Makes the next occupied bucket the due one; false if nothing is pending.
    fn advance(&mut self) -> bool {
        if self.waiting == 0 {
            return false;
        }
        if self.became_due >= ADAPT_EVERY {
            self.adapt();
        }
        while self.due.is_empty() {
            let (level, slot) = self.next_slot();
            let below = 8 * (level as u32 + 1);
            let kept = if below >= 64 { 0 } else { self.present >> below << below };
            self.present = kept | ((slot as u64) << (8 * level));
            self.unload(level, slot);
        }
        self.became_due += self.due.len() as u64;
        if self.due.len() > 1 {
            self.turned = true;
            self.due.sort_unstable();
        }
        true
    }

    /// Empties a slot into the due bucket and the levels below.
    #[inline]
    fn unload(&mut self, level: usize, slot: usize) {
        let Slot { mut chunk, mut len } = std::mem::replace(&mut self.slots[level][slot], EMPTY);
        self.occupied[level][slot / 64] &= !(1 << (slot % 64));
        while chunk != NIL {
            self.waiting -= len as usize;
            for at in chunk as usize * CHUNK..chunk as usize * CHUNK + len as usize {
                let entry = self.entries[at];
                let bucket = entry.time >> self.shift;
                if bucket == self.present {
                    self.due.push(entry);
                } else {
                    self.put(entry, bucket);
                }
            }
            let next = std::mem::replace(&mut self.next[chunk as usize], self.free);
            self.free = chunk;
            chunk = next;
            len = CHUNK as u32;
        }
    }

    /// The first occupied slot: the lowest level has the earliest events.
    #[inline]
    fn next_slot(&self) -> (usize, usize) {
        for (level, words) in self.occupied.iter().enumerate() {
            for (word, &bits) in words.iter().enumerate() {
                if bits != 0 {
                    return (level, word * 64 + bits.trailing_zeros() as usize);
                }
            }
        }
        unreachable!("an event waits in some slot")
    }

    /// Fits the width of the buckets to the mean gap between events. Depends on simulated time alone.
    #[cold]
    fn adapt(&mut self) {
        let now = self.present << self.shift;
        let gap = ((now - self.adapted_at) / self.became_due).max(1);
        self.adapted_at = now;
        self.became_due = 0;
        // Few events: a quarter of a gap, so that a bucket commonly holds one. Many: eight gaps, so that the world can be told
        // of several at a time.
        let width = if self.waiting < MANY { gap / 4 } else { gap.saturating_mul(8) };
        let shift = width.max(1).ilog2().min(40);
        if shift.abs_diff(self.shift) > 1 {
            self.rebuild(shift);
        }
    }

    /// The events of the bucket that has just become due, if one has since the last call; otherwise none.
    #[inline]
    pub fn newly_due(&mut self) -> impl Iterator<Item = E> + '_ {
        let len = if std::mem::take(&mut self.turned) { self.due.len() } else { 0 };
        self.due[..len].iter().map(|entry| entry.event)
    }

    fn rebuild(&mut self, shift: u32) {
        let mut pending = Vec::with_capacity(self.waiting);
        for slot in self.slots.iter().flatten() {
            let Slot { mut chunk, len } = *slot;
            let mut len = len as usize;
            while chunk != NIL {
                let first = chunk as usize * CHUNK;
                pending.extend_from_slice(&self.entries[first..first + len]);
                chunk = self.next[chunk as usize];
                len = CHUNK;
            }
        }
        let now = self.present << self.shift;
        self.slots = [[EMPTY; 256]; LEVELS];
        self.occupied = [[0; 4]; LEVELS];
        self.entries.clear();
        self.next.clear();
        self.free = NIL;
        self.waiting = 0;
        self.shift = shift;
        // Nothing is due during an advance, so the present may move to the start of the wider bucket.
        self.present = now >> shift;
        for entry in pending {
            let bucket = entry.time >> shift;
            if bucket == self.present {
                self.due.push(entry);
            } else {
                self.put(entry, bucket);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the list must do, done plainly.
    #[derive(Default)]
    struct Naive(Vec<(u64, u64, u32)>);

    impl Naive {
        fn pop_until(&mut self, until: u64) -> Option<(u64, u64, u32)> {
            let first = *self.0.iter().min()?;
            (first.0 <= until).then(|| {
                self.0.retain(|&entry| entry != first);
                first
            })
        }
    }

    /// One step of a script.
    #[derive(Clone, Debug)]
    enum Step {
        /// Adds events so long after the last one taken; the flag asks for a number reserved earlier.
        Push(Vec<(u64, bool)>),
        /// Takes so many.
        Pop(usize),
        /// Takes all that are due so long after the last one taken.
        PopWithin(u64),
    }

    fn gap() -> impl Strategy<Value = u64> {
        // Ties, neighbours, and every level of the wheel.
        prop_oneof![
            Just(0),
            0..3_u64,
            0..2_000_u64,
            0..10_000_000_u64,
            (0..44_u32).prop_flat_map(|bits| 0..(1_u64 << bits)),
            Just(1 << 56),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => prop::collection::vec((gap(), any::<bool>()), 1..40).prop_map(Step::Push),
            3 => (0..60_usize).prop_map(Step::Pop),
            1 => gap().prop_map(Step::PopWithin),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn events_come_in_the_order_of_time_and_sequence(steps in prop::collection::vec(step(), 1..60)) {
            let (mut list, mut naive) = (EventList::new(), Naive::default());
            let (mut now, mut next, mut reserved) = (0_u64, 0_u64, Vec::new());
            for step in steps {
                let (count, until) = match step {
                    Step::Push(gaps) => {
                        for (gap, early) in gaps {
                            let sequence = if early { reserved.pop() } else { None };
                            let sequence = sequence.unwrap_or_else(|| {
                                reserved.push(next);
                                next += 2;
                                next - 1
                            });
                            let event = sequence as u32;
                            list.push(Time(now + gap), Sequence(sequence), event);
                            naive.0.push((now + gap, sequence, event));
                        }
                        (0, 0)
                    }
                    Step::Pop(count) => (count, u64::MAX),
                    Step::PopWithin(gap) => (usize::MAX, now + gap),
                };
                prop_assert_eq!(list.len(), naive.0.len());
                for _ in 0..count {
                    let got = list.pop_until(Time(until)).map(|(time, sequence, event)| (time.0, sequence.0, event));
                    prop_assert_eq!(got, naive.pop_until(until));
                    let Some((time, ..)) = got else { break };
                    now = time;
                }
            }
            prop_assert_eq!(list.is_empty(), naive.0.is_empty());
        }
    }

    /// The width of the buckets follows the density of events, and the order does not notice.
    #[test]
    fn the_order_survives_a_change_of_width() {
        for gap in [1_u64, 50, 1 << 20, 1 << 34] {
            let mut list = EventList::new();
            for i in 0..64_u64 {
                list.push(Time(i * gap), Sequence(i), ());
            }
            let first_shift = list.shift;
            let mut last = (Time(0), Sequence(0));
            for i in 64..200_000_u64 {
                let (time, sequence, ()) = list.pop_until(Time::MAX).expect("64 events are pending");
                assert!(i == 64 || (time, sequence) > last, "{time:?} {sequence:?} after {last:?}");
                last = (time, sequence);
                // Uneven gaps, the same on average.
                list.push(Time(time.0 + gap * (1 + (i * 7919) % 127)), Sequence(i), ());
            }
            assert!(
                gap == 50 || list.shift != first_shift,
                "the width has not followed a gap of {gap} ns"
            );
        }
    }
}
