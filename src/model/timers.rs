//! Timeouts that almost never fire: one list and one armed event for each length of time.
//!
//! Equal timeouts expire in the order in which they were started, so a list in that order is sorted; only its head needs an
//! event. The timers of a call are links within the call's row: starting and stopping one costs a few stores. Where an armed
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
pub(crate) struct Link {
    /// The number of the timer; [`Sequence::NONE`]: it does not run.
    pub sequence: Sequence,
    previous: u32,
    next: u32,
}

impl Link {
    /// A timer that does not run.
    pub const IDLE: Link = Link {
        sequence: Sequence::NONE,
        previous: NIL,
        next: NIL,
    };
}

/// All timers of one length and kind.
#[derive(Debug)]
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
    elision: Elision,
}

impl Timers {
    pub fn new(elision: Elision) -> Timers {
        Timers {
            lists: Vec::new(),
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

    /// Starts a timer of `list` for a call; nothing for `NIL`.
    #[inline]
    pub fn start(&mut self, list: u32, call: u32, calls: &mut Table<Call>, now: Time, agenda: &mut Agenda<Event>) {
        if list == NIL {
            return;
        }
        let sequence = agenda.reserve(1);
        let this = &mut self.lists[list as usize];
        let timer = this.timer;
        if self.elision == Elision::Off {
            calls[call].timers[timer as usize].sequence = sequence;
            let event = match timer {
                Timer::Call => Event::CallTimeout { call },
                Timer::Attempt => Event::AttemptTimeout { call },
            };
            agenda.at_reserved(now + this.length, sequence, event);
            return;
        }
        calls[call].timers[timer as usize] = Link {
            sequence,
            previous: this.tail,
            next: NIL,
        };
        if this.tail == NIL {
            this.head = call;
        } else {
            calls[this.tail].timers[timer as usize].next = call;
        }
        this.tail = call;
        if !this.armed {
            this.armed = true;
            agenda.at_reserved(now + this.length, sequence, Event::TimerFires { list });
        }
    }

    /// Stops a timer if it runs.
    #[inline]
    pub fn stop(&mut self, list: u32, call: u32, calls: &mut Table<Call>) {
        if list == NIL {
            return;
        }
        let this = &mut self.lists[list as usize];
        let timer = this.timer as usize;
        let link = calls[call].timers[timer];
        if link.sequence == Sequence::NONE {
            return;
        }
        calls[call].timers[timer] = Link::IDLE;
        if self.elision == Elision::Off {
            return;
        }
        match link.previous {
            NIL => this.head = link.next,
            previous => calls[previous].timers[timer].next = link.next,
        }
        match link.next {
            NIL => this.tail = link.previous,
            next => calls[next].timers[timer].previous = link.previous,
        }
    }

    /// Handles the armed event of `list`: arms the next, and names the call whose timer is due, if it still runs.
    pub fn fire(
        &mut self,
        list: u32,
        sequence: Sequence,
        calls: &mut Table<Call>,
        agenda: &mut Agenda<Event>,
    ) -> Option<(u32, Timer)> {
        let head = self.lists[list as usize].head;
        let timer = self.lists[list as usize].timer;
        let due = head != NIL && calls[head].timers[timer as usize].sequence == sequence;
        if due {
            self.stop(list, head, calls);
        }
        let this = &mut self.lists[list as usize];
        this.armed = this.head != NIL;
        if this.armed {
            let call = &calls[this.head];
            let started = match timer {
                Timer::Call => call.start,
                Timer::Attempt => call.sent,
            };
            let sequence = call.timers[timer as usize].sequence;
            agenda.at_reserved(started + this.length, sequence, Event::TimerFires { list });
        }
        due.then_some((head, timer))
    }
}
