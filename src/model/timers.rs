//! Timeouts that almost never fire: one list and one armed event for each length of time.
//!
//! Equal timeouts expire in the order in which they were started, so a list in that order is sorted; only its head needs an
//! event. The timers of a call are links in a column beside the calls: starting and stopping one costs a few stores. Where an armed
//! event fires for a timer that was stopped meanwhile, it is armed again for the head. Each timer has a sequence number of its
//! own, reserved when it is started, so the order of equal times is that of timers with an event each (`Elision::Off`).

use crate::engine::{Agenda, Sequence};
use crate::model::Elision;
use crate::model::call::Call;
use crate::model::event::Event;
use crate::model::table::Table;
use crate::time::{Duration, Time};

const NIL: u32 = u32::MAX;

/// Which timer of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The overall timeout.
    Call = 0,
    /// The per-try timeout.
    Attempt = 1,
}

/// A call's place in a list.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// The number of the timer; [`Sequence::NONE`]: it does not run.
    sequence: Sequence,
    previous: u32,
    next: u32,
}

impl Link {
    /// A timer that does not run.
    const IDLE: Link = Link {
        sequence: Sequence::NONE,
        previous: NIL,
        next: NIL,
    };
}

/// All timers of one length and kind.
#[derive(Clone, Copy, Debug)]
struct List {
    timer: Timer,
    length: Duration,
    head: u32,
    tail: u32,
    armed: bool,
}

/// The lists.
#[derive(Debug)]
pub(crate) struct Timers {
    lists: Vec<List>,
    /// The timers of each call, by its row.
    links: Vec<[Link; 2]>,
    elision: Elision,
}

impl Timers {
    pub fn new(elision: Elision) -> Timers {
        Timers {
            lists: Vec::new(),
            links: Vec::new(),
            elision,
        }
    }

    /// The list of timers of this kind and length; `NIL` for a length without end.
    pub fn list(&mut self, timer: Timer, length: Duration) -> u32 {
        if length == Duration::MAX {
            return NIL;
        }
        let known = self
            .lists
            .iter()
            .position(|list| list.timer == timer && list.length == length);
        let index = known.unwrap_or_else(|| {
            self.lists.push(List {
                timer,
                length,
                head: NIL,
                tail: NIL,
                armed: false,
            });
            self.lists.len() - 1
        });
        index as u32
    }

    /// Reads the timers of a call; see [`crate::engine::World::touch`].
    #[inline]
    pub fn touch(&self, call: u32) -> u64 {
        self.links.get(call as usize).map_or(0, |links| links[0].sequence.0)
    }

    /// Starts a timer of `list` for a call; nothing for `NIL`.
    #[inline]
    pub fn start(&mut self, list: u32, call: u32, now: Time, agenda: &mut Agenda<Event>) {
        if list != NIL {
            self.start_in(list, call, now, agenda);
        }
    }

    fn start_in(&mut self, list: u32, call: u32, now: Time, agenda: &mut Agenda<Event>) {
        let sequence = agenda.reserve(1);
        if self.links.len() <= call as usize {
            self.links.resize(call as usize + 1, [Link::IDLE; 2]);
        }
        let this = &mut self.lists[list as usize];
        let timer = this.timer as usize;
        if self.elision == Elision::Off {
            self.links[call as usize][timer].sequence = sequence;
            let event = match this.timer {
                Timer::Call => Event::CallTimeout { call },
                Timer::Attempt => Event::AttemptTimeout { call },
            };
            agenda.at_reserved(now + this.length, sequence, event);
            return;
        }
        self.links[call as usize][timer] = Link {
            sequence,
            previous: this.tail,
            next: NIL,
        };
        if this.tail == NIL {
            this.head = call;
        } else {
            self.links[this.tail as usize][timer].next = call;
        }
        this.tail = call;
        if !this.armed {
            this.armed = true;
            agenda.at_reserved(now + this.length, sequence, Event::TimerFires { list });
        }
    }

    /// Starts a timer of a call that has an event and a number of its own.
    pub fn start_own(&mut self, timer: Timer, call: u32, (at, sequence): (Time, Sequence), agenda: &mut Agenda<Event>) {
        if self.links.len() <= call as usize {
            self.links.resize(call as usize + 1, [Link::IDLE; 2]);
        }
        self.links[call as usize][timer as usize] = Link { sequence, ..Link::IDLE };
        let event = match timer {
            Timer::Call => Event::CallTimeout { call },
            Timer::Attempt => Event::AttemptTimeout { call },
        };
        agenda.at_reserved(at, sequence, event);
    }

    /// Stops such a timer.
    pub fn stop_own(&mut self, timer: Timer, call: u32) {
        self.links[call as usize][timer as usize] = Link::IDLE;
    }

    /// Stops a timer if it runs.
    #[inline]
    pub fn stop(&mut self, list: u32, call: u32) {
        if list != NIL {
            self.stop_in(list, call);
        }
    }

    fn stop_in(&mut self, list: u32, call: u32) {
        let this = &mut self.lists[list as usize];
        let timer = this.timer as usize;
        let Some(row) = self.links.get_mut(call as usize) else {
            return;
        };
        let link = std::mem::replace(&mut row[timer], Link::IDLE);
        if link.sequence == Sequence::NONE || self.elision == Elision::Off {
            return;
        }
        match link.previous {
            NIL => this.head = link.next,
            previous => self.links[previous as usize][timer].next = link.next,
        }
        match link.next {
            NIL => this.tail = link.previous,
            next => self.links[next as usize][timer].previous = link.previous,
        }
    }

    /// Whether the timer of a call that has number `sequence` runs; if so, it stops.
    pub fn take(&mut self, timer: Timer, call: u32, sequence: Sequence) -> bool {
        let link = &mut self.links[call as usize][timer as usize];
        let runs = link.sequence == sequence;
        if runs {
            *link = Link::IDLE;
        }
        runs
    }

    /// Handles the armed event of `list`: arms the next, and names the call whose timer is due, if it still runs.
    pub fn fire(
        &mut self,
        list: u32,
        sequence: Sequence,
        calls: &Table<Call>,
        agenda: &mut Agenda<Event>,
    ) -> Option<(u32, Timer)> {
        let List { head, timer, length, .. } = self.lists[list as usize];
        let due = head != NIL && self.links[head as usize][timer as usize].sequence == sequence;
        if due {
            self.stop_in(list, head);
        }
        let next = self.lists[list as usize].head;
        self.lists[list as usize].armed = next != NIL;
        if next != NIL {
            let started = match timer {
                Timer::Call => calls[next].start,
                Timer::Attempt => calls[next].sent,
            };
            let sequence = self.links[next as usize][timer as usize].sequence;
            agenda.at_reserved(started + length, sequence, Event::TimerFires { list });
        }
        due.then_some((head, timer))
    }
}
