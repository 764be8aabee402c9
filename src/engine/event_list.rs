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
//! `benches/event_list.rs` compares it with heaps.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::engine::Sequence;
use crate::time::Time;

const NIL: u32 = u32::MAX;
const LEVELS: usize = 8;
/// How many events are taken between two looks at the width of a bucket.
const ADAPT_EVERY: u32 = 1 << 14;

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
    until_adapt: u32,
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
            until_adapt: ADAPT_EVERY,
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
        self.until_adapt -= 1;
        if self.until_adapt == 0 {
            self.adapt();
        }
        while self.due.is_empty() {
            let (level, slot) = self.next_slot();
            let below = 8 * (level as u32 + 1);
            let kept = if below >= 64 { 0 } else { self.present >> below << below };
            self.present = kept | ((slot as u64) << (8 * level));
            self.unload(level, slot);
        }
        if self.due.len() > 1 {
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

    /// Widens or narrows the buckets where far fewer or more than one event falls into each. Depends on simulated time alone.
    #[cold]
    fn adapt(&mut self) {
        self.until_adapt = ADAPT_EVERY;
        let now = self.present << self.shift;
        let buckets_passed = (now - self.adapted_at) >> self.shift;
        self.adapted_at = now;
        // Each advance makes one bucket due, so `ADAPT_EVERY` buckets were occupied of `buckets_passed`.
        let per_bucket = buckets_passed / u64::from(ADAPT_EVERY);
        let shift = match per_bucket {
            8.. => self.shift + (64 - per_bucket.leading_zeros()) - 2,
            0..2 => self.shift.saturating_sub(2),
            _ => return,
        };
        let shift = shift.min(40);
        if shift != self.shift {
            self.rebuild(shift);
        }
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
