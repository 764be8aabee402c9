//! Discrete events: the loop, the list of future events and the digest. It has never heard of a mesh.
//!
//! Events are handled in the order of (time, sequence). A sequence number is given when an event is scheduled, or earlier,
//! when it becomes certain that it will be ([`Agenda::reserve`]): that keeps the order of equal times the same whether the
//! steps between are events of their own or left out. A number is never given twice, so it also serves as the generation by
//! which a handler recognises an event that is no longer wanted.

mod digest;
mod event_list;

pub use digest::Digest;
pub use event_list::EventList;

use crate::time::Time;

/// A sequence number: unique in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The number of no event.
    pub const NONE: Sequence = Sequence(u64::MAX);

    /// A number that the world gives itself, from what the event is about: it comes after all numbers of an [`Agenda`], and is the same
    /// whether events before it were left out or not. `number` must be below 2^63 - 1.
    #[inline]
    pub fn own(number: u64) -> Sequence {
        debug_assert!(number < u64::MAX >> 1);
        Sequence(number | 1 << 63)
    }

    /// Whether it is one of [`Sequence::own`].
    #[inline]
    pub fn is_own(self) -> bool {
        self.0 >> 63 == 1
    }

    /// The next number, where several were reserved together.
    #[inline]
    #[must_use]
    pub fn next(self) -> Sequence {
        Sequence(self.0 + 1)
    }
}

/// What can happen. A small `Copy` value, matched once.
pub trait Event: Copy {
    /// The event as a word, for the digest.
    fn word(self) -> u64;
}

/// What events happen to.
pub trait World {
    /// Its events.
    type Event: Event;

    /// Reads the rows that an event will need, and returns anything of them: events that are due together are told of together,
    /// so that a processor can fetch their rows side by side. Changes nothing.
    fn touch(&self, event: Self::Event) -> u64;

    /// Handles one event; `sequence` is its own number.
    fn handle(&mut self, event: Self::Event, sequence: Sequence, now: Time, agenda: &mut Agenda<Self::Event>);
}

/// What is going to happen: the event list and the numbers it gives.
#[derive(Debug)]
pub struct Agenda<E> {
    list: EventList<E>,
    next: Sequence,
    now: Time,
}

impl<E: Copy> Default for Agenda<E> {
    fn default() -> Self {
        Agenda {
            list: EventList::new(),
            next: Sequence(0),
            now: Time::ZERO,
        }
    }
}

impl<E: Copy> Agenda<E> {
    /// Schedules `event` for `time`, which must not be in the past, and returns its number.
    #[inline]
    pub fn at(&mut self, time: Time, event: E) -> Sequence {
        let sequence = self.reserve(1);
        self.at_reserved(time, sequence, event);
        sequence
    }

    /// Reserves `count` consecutive numbers and returns the first.
    #[inline]
    pub fn reserve(&mut self, count: u64) -> Sequence {
        let first = self.next;
        self.next = Sequence(first.0 + count);
        first
    }

    /// Schedules `event` under a reserved number, or under one of the world's own.
    #[inline]
    pub fn at_reserved(&mut self, time: Time, sequence: Sequence, event: E) {
        debug_assert!(time >= self.now, "an event in the past");
        debug_assert!(sequence < self.next || sequence.is_own(), "a number that nobody reserved");
        self.list.push(time, sequence, event);
    }

    /// Takes the next event if it is not after `until`.
    #[inline]
    pub fn pop_until(&mut self, until: Time) -> Option<(Time, Sequence, E)> {
        let (time, sequence, event) = self.list.pop_until(until)?;
        debug_assert!(time >= self.now, "time went back");
        self.now = time;
        Some((time, sequence, event))
    }
}

/// Handles events in order until none is left or the next is after `until`; returns how many.
pub fn run<W: World>(world: &mut W, agenda: &mut Agenda<W::Event>, until: Time, digest: &mut Digest) -> u64 {
    let mut events = 0;
    while let Some((now, sequence, event)) = agenda.pop_until(until) {
        let touched = agenda.list.newly_due().fold(0, |sum, event| sum ^ world.touch(event));
        std::hint::black_box(touched);
        digest.absorb(now, event.word());
        world.handle(event, sequence, now, agenda);
        events += 1;
    }
    events
}
