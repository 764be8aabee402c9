//! The connections of one caller to the endpoints of one upstream: which request needs a new one, and when it is there.
//!
//! HTTP/2 carries many requests over one connection; requests that come while it is being set up wait for it. HTTP/1.1 carries one
//! request at a time: a request takes the connection that was used last, or opens a new one. Connections are kept in places: where a
//! balancer chooses for each request, each endpoint is a place of its own; where it chooses for each connection, all are in one.

use crate::policy::Answer;
use crate::random::Rng;
use crate::time::{Duration, Time};

const NIL: u32 = u32::MAX;

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// One request at a time.
    Http1,
    /// Many requests at a time.
    Http2,
}

/// How connections are used and closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What a connection carries.
    pub protocol: Protocol,
    /// A connection without requests for longer is closed.
    pub idle_timeout: Duration,
    /// So many requests share a connection of HTTP/2 at a time, at least 1; further ones open another.
    pub max_concurrent_streams: u32,
    /// A connection is closed after so many requests, at least 1.
    pub max_requests_per_connection: u32,
    /// A connection is closed at this age, which varies by 10 %, when its requests have ended; [`Duration::MAX`]: at none.
    pub max_connection_duration: Duration,
    /// A connection that is not there after this is given up; [`Duration::MAX`]: none is. It takes effect in pools with limits.
    pub connect_timeout: Duration,
}

/// By what share the age at which a connection is closed varies: that of gRPC's `MAX_CONNECTION_AGE` (gRFC A9).
const AGE_JITTER: f64 = 0.1;

impl Options {
    /// Each request has a connection of its own.
    pub const PER_REQUEST: Options = Options {
        protocol: Protocol::Http1,
        idle_timeout: Duration::ZERO,
        max_concurrent_streams: 1,
        max_requests_per_connection: 1,
        max_connection_duration: Duration::MAX,
        connect_timeout: Duration::MAX,
    };
}

impl Default for Options {
    /// HTTP/2 with Envoy's idle timeout, and as many streams as RFC 9113 section 6.5.2 recommends at least.
    fn default() -> Options {
        Options {
            protocol: Protocol::Http2,
            idle_timeout: Duration::from_secs(3600),
            max_concurrent_streams: 100,
            max_requests_per_connection: u32::MAX,
            max_connection_duration: Duration::MAX,
            connect_timeout: Duration::MAX,
        }
    }
}

/// What is written of `max_requests_per_connection` as a number of them: as in Envoy, 0 is no limit.
pub fn requests(written: Option<u32>) -> u32 {
    written.filter(|&requests| requests > 0).unwrap_or(u32::MAX)
}

/// What a request finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// An open connection.
    Open,
    /// One that is being set up and will be open at this time.
    OpenAt(Time),
    /// None: one is set up, by [`ConnectionPool::open`], and the driver says when it will be open by [`ConnectionPool::opening`].
    New,
}

/// One connection.
#[derive(Clone, Copy, Debug)]
struct Row {
    endpoint: u32,
    /// The life of the endpoint that it belongs to.
    incarnation: u32,
    open_at: Time,
    /// When a request last used it.
    used_at: Time,
    expires: Time,
    /// Requests on it.
    active: u32,
    /// Requests that it may still take.
    left: u32,
    /// The next one of its list.
    next: u32,
}

/// The pool.
#[derive(Debug)]
pub struct ConnectionPool {
    options: Options,
    rows: Vec<Row>,
    free: u32,
    /// By place. HTTP/1.1: the idle connections, the one used last first. HTTP/2: all, the oldest first.
    lists: Vec<u32>,
    /// HTTP/1.1, by endpoint: the busy connections, the one that has been so for longest first; first and last.
    busy: Vec<(u32, u32)>,
    /// The connections to each endpoint.
    counts: Vec<u32>,
    /// The one that the last request got.
    last: u32,
    rng: Rng,
}

impl ConnectionPool {
    /// A pool without connections, of so many places; `rng` is for the ages at which connections are closed.
    pub fn new(options: Options, places: u32, rng: Rng) -> ConnectionPool {
        ConnectionPool {
            options,
            rows: Vec::new(),
            free: NIL,
            lists: vec![NIL; places as usize],
            busy: Vec::new(),
            counts: Vec::new(),
            last: NIL,
            rng,
        }
    }

    /// Open connections to `endpoint`, those that are being set up included.
    #[inline]
    pub fn count(&self, endpoint: u32) -> u32 {
        self.counts.get(endpoint as usize).copied().unwrap_or(0)
    }

    /// The same for all endpoints; shorter than there are endpoints, while the last ones have none.
    #[inline]
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Makes room for endpoints below `count`.
    pub fn reserve(&mut self, count: usize) {
        if count > self.counts.len() {
            self.counts.resize(count, 0);
            self.busy.resize(count, (NIL, NIL));
        }
    }

    /// Takes a connection of `place` for a request, if there is one that can take it, and gives its endpoint; `closed` hears of the
    /// endpoints of connections that are found to have been closed. Those of another life than `incarnation` are gone.
    #[inline]
    pub fn acquire(&mut self, place: u32, incarnation: u32, now: Time, closed: impl FnMut(u32)) -> Option<(u32, Connection)> {
        match self.options.protocol {
            Protocol::Http1 => self.take_idle(place, incarnation, now, closed),
            Protocol::Http2 => self.share(place, incarnation, now, closed),
        }
    }

    fn share(&mut self, place: u32, incarnation: u32, now: Time, mut closed: impl FnMut(u32)) -> Option<(u32, Connection)> {
        let (mut before, mut index) = (NIL, self.lists[place as usize]);
        while index != NIL {
            let row = &mut self.rows[index as usize];
            let next = row.next;
            let is_idle = row.active == 0 && row.open_at < now && now.since(row.used_at) > self.options.idle_timeout;
            let is_over = row.incarnation != incarnation || row.expires <= now || row.left == 0;
            if is_over && row.active > 0 {
                // It is closed when its requests have ended.
                row.left = 0;
            } else if is_over || is_idle {
                closed(row.endpoint);
                self.remove(place, before, index);
                index = next;
                continue;
            } else if row.active < self.options.max_concurrent_streams {
                row.active += 1;
                row.left -= 1;
                row.used_at = now;
                self.last = index;
                let open = if row.open_at <= now {
                    Connection::Open
                } else {
                    Connection::OpenAt(row.open_at)
                };
                return Some((row.endpoint, open));
            }
            (before, index) = (index, next);
        }
        None
    }

    fn take_idle(&mut self, place: u32, incarnation: u32, now: Time, mut closed: impl FnMut(u32)) -> Option<(u32, Connection)> {
        loop {
            let index = self.lists[place as usize];
            let row = self.rows.get(index as usize)?;
            let endpoint = row.endpoint;
            if row.incarnation != incarnation || row.expires <= now || now.since(row.used_at) > self.options.idle_timeout {
                closed(endpoint);
                self.remove(place, NIL, index);
                continue;
            }
            self.lists[place as usize] = row.next;
            self.rows[index as usize].left -= 1;
            self.make_busy(endpoint, index);
            self.last = index;
            return Some((endpoint, Connection::Open));
        }
    }

    /// A new connection to `endpoint` for a request that found none.
    pub fn open(&mut self, place: u32, endpoint: u32, incarnation: u32, now: Time) {
        self.reserve(endpoint as usize + 1);
        let row = Row {
            endpoint,
            incarnation,
            open_at: now,
            used_at: now,
            expires: self.expires(now),
            active: 1,
            left: self.options.max_requests_per_connection - 1,
            next: NIL,
        };
        let index = if self.free == NIL {
            self.rows.push(row);
            (self.rows.len() - 1) as u32
        } else {
            let index = self.free;
            self.free = self.rows[index as usize].next;
            self.rows[index as usize] = row;
            index
        };
        self.counts[endpoint as usize] += 1;
        self.last = index;
        match self.options.protocol {
            Protocol::Http1 => self.make_busy(endpoint, index),
            Protocol::Http2 => self.append(place, index),
        }
    }

    fn expires(&mut self, now: Time) -> Time {
        match self.options.max_connection_duration {
            Duration::MAX => Time::MAX,
            age => {
                let factor = 1.0 + AGE_JITTER * (2.0 * self.rng.unit() - 1.0);
                now + Duration::from_nanos_f64(age.0 as f64 * factor)
            }
        }
    }

    /// The connection that the last request opened will be open at `at`.
    pub fn opening(&mut self, at: Time) {
        let row = &mut self.rows[self.last as usize];
        row.open_at = at;
        row.used_at = at;
    }

    fn make_busy(&mut self, endpoint: u32, index: u32) {
        self.rows[index as usize].next = NIL;
        self.rows[index as usize].active = 1;
        let (first, last) = self.busy[endpoint as usize];
        if first == NIL {
            self.busy[endpoint as usize] = (index, index);
        } else {
            self.rows[last as usize].next = index;
            self.busy[endpoint as usize].1 = index;
        }
    }

    fn append(&mut self, place: u32, index: u32) {
        let mut last = self.lists[place as usize];
        if last == NIL {
            self.lists[place as usize] = index;
            return;
        }
        while self.rows[last as usize].next != NIL {
            last = self.rows[last as usize].next;
        }
        self.rows[last as usize].next = index;
    }

    /// Takes a connection out of the list of its place; `before` is the one before it, if there is one.
    fn remove(&mut self, place: u32, before: u32, index: u32) {
        let next = self.rows[index as usize].next;
        match before {
            NIL => self.lists[place as usize] = next,
            before => self.rows[before as usize].next = next,
        }
        self.discard(index);
    }

    fn discard(&mut self, index: u32) {
        let row = &mut self.rows[index as usize];
        self.counts[row.endpoint as usize] -= 1;
        row.next = self.free;
        self.free = index;
    }

    /// A request on a connection to `endpoint` has ended; of several the one that has been used for longest. Under HTTP/1.1 an answered
    /// request leaves an idle connection, and one that was given up closes it; under HTTP/2 only a broken connection is gone.
    #[inline]
    pub fn released(&mut self, place: u32, endpoint: u32, answer: Answer, now: Time, mut closed: impl FnMut(u32)) {
        let broken = matches!(answer, Answer::ConnectFailure | Answer::Reset);
        match self.options.protocol {
            Protocol::Http1 => self.release_busy(place, endpoint, answer, now, &mut closed),
            Protocol::Http2 => self.release_stream(place, endpoint, broken, now, &mut closed),
        }
        if broken {
            self.drop_idle(place, endpoint, closed);
        }
    }

    fn release_busy(&mut self, place: u32, endpoint: u32, answer: Answer, now: Time, closed: &mut impl FnMut(u32)) {
        let Some(&(index, last)) = self.busy.get(endpoint as usize) else {
            return;
        };
        let Some(row) = self.rows.get_mut(index as usize) else {
            return;
        };
        self.busy[endpoint as usize] = if index == last { (NIL, NIL) } else { (row.next, last) };
        row.active = 0;
        if matches!(answer, Answer::Status(_)) && row.left > 0 && row.expires > now {
            row.used_at = now;
            row.next = self.lists[place as usize];
            self.lists[place as usize] = index;
        } else {
            closed(endpoint);
            self.discard(index);
        }
    }

    fn release_stream(&mut self, place: u32, endpoint: u32, broken: bool, now: Time, closed: &mut impl FnMut(u32)) {
        let (mut before, mut index) = (NIL, self.lists[place as usize]);
        while index != NIL {
            let row = &mut self.rows[index as usize];
            if row.endpoint == endpoint && row.active > 0 {
                row.active -= 1;
                row.used_at = row.used_at.max(now);
                if broken {
                    row.left = 0;
                }
                if row.active == 0 && (row.left == 0 || row.expires <= now) {
                    closed(endpoint);
                    self.remove(place, before, index);
                }
                return;
            }
            (before, index) = (index, row.next);
        }
    }

    /// Closes the connections of `place` to `endpoint` that no request is on, and takes no more requests on the others: it has crashed,
    /// or is gone.
    pub fn lose(&mut self, place: u32, endpoint: u32, closed: impl FnMut(u32)) {
        for row in &mut self.rows {
            if row.endpoint == endpoint {
                row.left = 0;
            }
        }
        self.drop_idle(place, endpoint, closed);
    }

    fn drop_idle(&mut self, place: u32, endpoint: u32, mut closed: impl FnMut(u32)) {
        let (mut before, mut index) = (NIL, self.lists[place as usize]);
        while index != NIL {
            let row = &self.rows[index as usize];
            let next = row.next;
            if row.endpoint == endpoint && row.active == 0 {
                closed(endpoint);
                self.remove(place, before, index);
            } else {
                before = index;
            }
            index = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Time = |ms| Time(ms * 1_000_000);
    const OK: Answer = Answer::Status(200);

    fn options(protocol: Protocol) -> Options {
        Options {
            protocol,
            idle_timeout: Duration::from_secs(1),
            max_concurrent_streams: 100,
            max_requests_per_connection: u32::MAX,
            max_connection_duration: Duration::MAX,
            connect_timeout: Duration::MAX,
        }
    }

    /// One pool of one place, whose new connections go to the endpoints that the test says.
    struct Bench {
        pool: ConnectionPool,
        closed: Vec<u32>,
    }

    impl Bench {
        fn new(options: Options) -> Bench {
            Bench {
                pool: ConnectionPool::new(options, 1, Rng::new(1)),
                closed: Vec::new(),
            }
        }

        /// What a request finds; a new connection goes to `endpoint`.
        fn request(&mut self, endpoint: u32, now: Time) -> (u32, Connection) {
            let closed = &mut self.closed;
            self.pool
                .acquire(0, 0, now, |endpoint| closed.push(endpoint))
                .unwrap_or_else(|| {
                    self.pool.open(0, endpoint, 0, now);
                    (endpoint, Connection::New)
                })
        }

        fn released(&mut self, endpoint: u32, answer: Answer, now: Time) {
            let closed = &mut self.closed;
            self.pool.released(0, endpoint, answer, now, |endpoint| closed.push(endpoint));
        }
    }

    #[test]
    fn http2_sets_up_one_connection_that_all_share() {
        let mut bench = Bench::new(options(Protocol::Http2));
        assert_eq!(bench.request(7, MS(0)), (7, Connection::New));
        bench.pool.opening(MS(4));
        assert_eq!(bench.request(0, MS(1)), (7, Connection::OpenAt(MS(4))));
        assert_eq!(bench.request(0, MS(4)), (7, Connection::Open));
        for _ in 0..3 {
            bench.released(7, OK, MS(9));
        }
        assert_eq!(bench.request(0, MS(1009)), (7, Connection::Open));
        bench.released(7, OK, MS(1010));
        assert_eq!(
            bench.request(3, MS(2011)),
            (3, Connection::New),
            "idle for more than a second"
        );
        assert_eq!((bench.closed, bench.pool.count(7), bench.pool.count(3)), (vec![7], 0, 1));
    }

    #[test]
    fn http2_opens_another_when_streams_run_out() {
        let mut bench = Bench::new(Options {
            max_concurrent_streams: 2,
            ..options(Protocol::Http2)
        });
        let found: Vec<_> = (0..5).map(|endpoint| bench.request(endpoint, MS(0)).0).collect();
        assert_eq!(found, [0, 0, 2, 2, 4]);
        bench.released(2, OK, MS(1));
        assert_eq!(bench.request(9, MS(1)).0, 2, "4 has one stream left too, but 2 is older");
        assert_eq!(bench.request(9, MS(1)).0, 4);
    }

    #[test]
    fn http1_uses_the_youngest_idle_connection() {
        let mut bench = Bench::new(options(Protocol::Http1));
        assert_eq!(bench.request(1, MS(0)), (1, Connection::New));
        assert_eq!(bench.request(2, MS(0)), (2, Connection::New), "the first one is taken");
        bench.released(1, OK, MS(1));
        bench.released(2, Answer::PerTryTimeout, MS(2));
        assert_eq!(bench.closed, [2], "a request that was given up closes its connection");
        assert_eq!(bench.request(0, MS(3)), (1, Connection::Open));
        assert_eq!(bench.request(3, MS(3)), (3, Connection::New));
        bench.released(3, Answer::Status(503), MS(4));
        bench.released(1, OK, MS(5));
        assert_eq!(bench.request(0, MS(6)), (1, Connection::Open));
        assert_eq!(bench.request(0, MS(6)), (3, Connection::Open));
        bench.released(3, OK, MS(7));
        assert_eq!(
            bench.request(5, MS(1008)),
            (5, Connection::New),
            "idle for more than a second"
        );
    }

    #[test]
    fn a_reset_leaves_no_idle_connection_to_its_endpoint() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let mut bench = Bench::new(Options {
                max_concurrent_streams: 1,
                ..options(protocol)
            });
            for endpoint in [1, 2, 1, 1] {
                bench.request(endpoint, MS(0));
            }
            bench.released(1, OK, MS(1));
            bench.released(2, OK, MS(1));
            bench.released(1, Answer::Reset, MS(2));
            assert_eq!(bench.pool.count(1), 1, "{protocol:?}: one has a request on it");
            assert_eq!(bench.request(9, MS(3)), (2, Connection::Open), "{protocol:?}");
            assert_eq!(bench.request(9, MS(3)), (9, Connection::New), "{protocol:?}");
            bench.released(1, Answer::Reset, MS(4));
            assert_eq!(bench.pool.count(1), 0, "{protocol:?}");
        }
    }

    #[test]
    fn a_lost_endpoint_gets_no_more_requests() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let mut bench = Bench::new(options(protocol));
            bench.request(1, MS(0));
            bench.pool.lose(0, 1, |_| {});
            assert_eq!(bench.request(2, MS(1)), (2, Connection::New), "{protocol:?}");
            bench.released(1, OK, MS(2));
            assert_eq!((bench.pool.count(1), bench.pool.count(2)), (0, 1), "{protocol:?}");
        }
    }

    #[test]
    fn a_restart_leaves_no_connection() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let mut pool = ConnectionPool::new(options(protocol), 3, Rng::new(1));
            assert_eq!(pool.acquire(2, 0, MS(0), |_| {}), None);
            pool.open(2, 2, 0, MS(0));
            pool.released(2, 2, OK, MS(2), |_| {});
            assert_eq!(pool.acquire(2, 1, MS(3), |_| {}), None, "{protocol:?}: another life");
        }
    }

    #[test]
    fn connections_are_closed_after_so_many_requests_and_at_an_age() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let mut bench = Bench::new(Options {
                max_requests_per_connection: 3,
                ..options(protocol)
            });
            let found: Vec<_> = (0..7)
                .map(|i| {
                    let (endpoint, _) = bench.request(i, MS(u64::from(i)));
                    bench.released(endpoint, OK, MS(u64::from(i)));
                    endpoint
                })
                .collect();
            assert_eq!(found, [0, 0, 0, 3, 3, 3, 6], "{protocol:?}");

            let mut bench = Bench::new(Options {
                max_connection_duration: Duration::from_secs(10),
                ..options(protocol)
            });
            let mut ages = Vec::new();
            let mut opened = 0;
            for ms in 0..2_000_000 / 50 {
                let now = MS(ms * 50);
                let (endpoint, found) = bench.request(0, now);
                bench.released(endpoint, OK, now);
                if found == Connection::New {
                    ages.push(ms * 50 - opened);
                    opened = ms * 50;
                }
            }
            assert!(
                ages.len() > 190 && ages[1..].iter().all(|age| (9_000..=11_050).contains(age)),
                "{ages:?}"
            );
        }
    }
}
