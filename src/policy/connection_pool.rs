//! The connections of one caller to the endpoints of one upstream: which request needs a new one, and when it is there.
//!
//! HTTP/2 carries any number of requests over one connection per endpoint; requests that come while it is being set up wait
//! for it. HTTP/1.1 carries one request at a time: a request takes the connection that was used last, or opens a new one.
//! A connection belongs to one life of its endpoint (`incarnation`): after a restart it is gone.

use crate::policy::Answer;
use crate::time::{Duration, Time};

const NIL: u32 = u32::MAX;

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// One request at a time.
    Http1,
    /// Any number of requests: one connection per caller and endpoint.
    Http2,
}

/// What a request finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// An open connection.
    Open,
    /// One that is being set up and will be open at this time.
    OpenAt(Time),
    /// None: the driver sets one up and says when it will be open by [`ConnectionPool::opening`].
    New,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// HTTP/2: when the connection is (or was) open. HTTP/1.1: unused.
    open_at: Time,
    /// HTTP/2: when a request last used it.
    used_at: Time,
    /// The life of the endpoint that the connections belong to.
    incarnation: u32,
    /// HTTP/1.1: the idle connection used last. HTTP/2: 0 while there is a connection.
    idle: u32,
}

/// An idle HTTP/1.1 connection.
#[derive(Clone, Copy, Debug)]
struct Idle {
    since: Time,
    next: u32,
}

/// The pool.
#[derive(Debug)]
pub struct ConnectionPool {
    protocol: Protocol,
    idle_timeout: Duration,
    slots: Vec<Slot>,
    idle: Vec<Idle>,
    free: u32,
}

impl ConnectionPool {
    /// A pool without connections to `endpoints` endpoints.
    pub fn new(protocol: Protocol, idle_timeout: Duration, endpoints: u32) -> ConnectionPool {
        let slot = Slot {
            open_at: Time::ZERO,
            used_at: Time::ZERO,
            incarnation: 0,
            idle: NIL,
        };
        ConnectionPool {
            protocol,
            idle_timeout,
            slots: vec![slot; endpoints as usize],
            idle: Vec::new(),
            free: NIL,
        }
    }

    /// Takes a connection to `endpoint` for a request.
    pub fn acquire(&mut self, endpoint: u32, incarnation: u32, now: Time) -> Connection {
        if self.slots[endpoint as usize].incarnation != incarnation {
            self.drop_all(endpoint);
            self.slots[endpoint as usize].incarnation = incarnation;
        }
        match self.protocol {
            Protocol::Http1 => self.take_idle(endpoint, now),
            Protocol::Http2 => self.share(endpoint, now),
        }
    }

    fn share(&mut self, endpoint: u32, now: Time) -> Connection {
        let slot = &mut self.slots[endpoint as usize];
        if slot.idle == NIL {
            return Connection::New;
        }
        if now > slot.open_at && now.since(slot.used_at) > self.idle_timeout {
            slot.idle = NIL;
            return Connection::New;
        }
        slot.used_at = now;
        if slot.open_at <= now {
            Connection::Open
        } else {
            Connection::OpenAt(slot.open_at)
        }
    }

    fn take_idle(&mut self, endpoint: u32, now: Time) -> Connection {
        let head = self.slots[endpoint as usize].idle;
        if head == NIL {
            return Connection::New;
        }
        let Idle { since, next } = self.idle[head as usize];
        if now.since(since) > self.idle_timeout {
            // The others have been idle for longer still.
            self.drop_all(endpoint);
            return Connection::New;
        }
        self.slots[endpoint as usize].idle = next;
        self.idle[head as usize].next = self.free;
        self.free = head;
        Connection::Open
    }

    /// A new connection will be open at `at`.
    pub fn opening(&mut self, endpoint: u32, at: Time) {
        let slot = &mut self.slots[endpoint as usize];
        if self.protocol == Protocol::Http2 {
            slot.open_at = at;
            slot.used_at = at;
            slot.idle = 0;
        }
    }

    /// A request on a connection to `endpoint` has ended. Under HTTP/1.1 an answered request leaves an idle connection, and
    /// one that was given up closes it; under HTTP/2 only a broken connection is gone.
    pub fn released(&mut self, endpoint: u32, answer: Answer, now: Time) {
        let broken = matches!(answer, Answer::ConnectFailure | Answer::Reset);
        match self.protocol {
            Protocol::Http2 if broken => self.slots[endpoint as usize].idle = NIL,
            Protocol::Http2 => {
                let slot = &mut self.slots[endpoint as usize];
                slot.used_at = slot.used_at.max(now);
            }
            Protocol::Http1 if matches!(answer, Answer::Status(_)) => self.put_idle(endpoint, now),
            Protocol::Http1 if broken => self.drop_all(endpoint),
            Protocol::Http1 => {}
        }
    }

    fn put_idle(&mut self, endpoint: u32, now: Time) {
        let next = self.slots[endpoint as usize].idle;
        let entry = Idle { since: now, next };
        let index = if self.free == NIL {
            self.idle.push(entry);
            (self.idle.len() - 1) as u32
        } else {
            let index = self.free;
            self.free = self.idle[index as usize].next;
            self.idle[index as usize] = entry;
            index
        };
        self.slots[endpoint as usize].idle = index;
    }

    fn drop_all(&mut self, endpoint: u32) {
        let mut index = std::mem::replace(&mut self.slots[endpoint as usize].idle, NIL);
        if self.protocol == Protocol::Http2 {
            return;
        }
        while index != NIL {
            let next = self.idle[index as usize].next;
            self.idle[index as usize].next = self.free;
            self.free = index;
            index = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Time = |ms| Time(ms * 1_000_000);

    #[test]
    fn http2_sets_up_one_connection_that_all_share() {
        let mut pool = ConnectionPool::new(Protocol::Http2, Duration::from_secs(1), 2);
        assert_eq!(pool.acquire(0, 0, MS(0)), Connection::New);
        pool.opening(0, MS(4));
        assert_eq!(pool.acquire(0, 0, MS(1)), Connection::OpenAt(MS(4)));
        assert_eq!(pool.acquire(1, 0, MS(1)), Connection::New);
        assert_eq!(pool.acquire(0, 0, MS(4)), Connection::Open);
        pool.released(0, Answer::Status(200), MS(9));
        assert_eq!(pool.acquire(0, 0, MS(1009)), Connection::Open);
        pool.released(0, Answer::Status(200), MS(1010));
        assert_eq!(pool.acquire(0, 0, MS(2011)), Connection::New, "idle for more than a second");
    }

    #[test]
    fn http1_uses_the_youngest_idle_connection() {
        let mut pool = ConnectionPool::new(Protocol::Http1, Duration::from_secs(1), 1);
        assert_eq!(pool.acquire(0, 0, MS(0)), Connection::New);
        assert_eq!(pool.acquire(0, 0, MS(0)), Connection::New, "the first one is taken");
        pool.released(0, Answer::Status(200), MS(1));
        pool.released(0, Answer::PerTryTimeout, MS(2));
        assert_eq!(pool.acquire(0, 0, MS(3)), Connection::Open);
        assert_eq!(
            pool.acquire(0, 0, MS(3)),
            Connection::New,
            "a request that was given up closes its connection"
        );
        pool.released(0, Answer::Status(503), MS(4));
        assert_eq!(pool.acquire(0, 0, MS(1005)), Connection::New, "idle for more than a second");
    }

    #[test]
    fn a_restart_or_a_reset_leaves_no_connection() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let mut pool = ConnectionPool::new(protocol, Duration::from_secs(1), 1);
            pool.acquire(0, 0, MS(0));
            pool.opening(0, MS(1));
            pool.released(0, Answer::Status(200), MS(2));
            assert_eq!(pool.acquire(0, 1, MS(3)), Connection::New, "{protocol:?}: another life");
            pool.opening(0, MS(4));
            pool.released(0, Answer::Reset, MS(5));
            assert_eq!(pool.acquire(0, 1, MS(6)), Connection::New, "{protocol:?}: reset");
        }
    }
}
