//! Connections under limits, and the requests that wait for one: Envoy's connection pools (`source/common/conn_pool/conn_pool_base.cc`).
//!
//! A request is assigned to an endpoint first and waits in that endpoint's queue, first in, first out. While a connection is being set up
//! its requests wait, and count as such. An endpoint without any connection may always have one, whatever the limits say.

use std::collections::VecDeque;

use crate::policy::circuit_breaker::Limits;
use crate::policy::connection_pool::{Options, Protocol};
use crate::policy::{Answer, EndpointIndex, Refusal, RoutingPriority};
use crate::random::Rng;
use crate::time::{Duration, Time};

const NIL: u32 = u32::MAX;

/// The number of a request that waits, at one caller; used again when it no longer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitIndex(pub u32);

/// A connection that is to be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Where to.
    pub endpoint: EndpointIndex,
    /// Its number at this caller.
    pub connection: u32,
    /// Tells it from others that had the number before.
    pub generation: u32,
    /// Whose requests it is for.
    pub priority: RoutingPriority,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    /// It takes requests.
    Ready,
    /// It takes no more of them.
    Draining,
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    endpoint: u32,
    generation: u32,
    state: State,
    active: u32,
    /// Requests that it may still take.
    left: u32,
    used_at: Time,
    expires: Time,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    endpoint: u32,
    previous: u32,
    next: u32,
    /// Whether it is still in its queue.
    queued: bool,
}

/// What belongs to one endpoint.
#[derive(Clone, Debug)]
struct Host {
    connections: Vec<u32>,
    first: u32,
    last: u32,
    waiting: u32,
}

impl Default for Host {
    fn default() -> Host {
        Host {
            connections: Vec::new(),
            first: NIL,
            last: NIL,
            waiting: 0,
        }
    }
}

/// The connections of one caller to an upstream.
#[derive(Debug)]
pub(crate) struct RequestPool {
    options: Options,
    limits: Limits,
    hosts: Vec<Host>,
    connections: Vec<Connection>,
    free_connections: Vec<u32>,
    waits: Vec<Waiting>,
    free_waits: Vec<u32>,
    open: u32,
    waiting: u32,
    active: u32,
    to_open: VecDeque<Opening>,
    ready: VecDeque<(WaitIndex, Result<(), Refusal>)>,
    failed: VecDeque<WaitIndex>,
    rng: Rng,
}

/// How a request was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It has an open connection.
    Open,
    /// It waits.
    Waiting(WaitIndex),
}

impl RequestPool {
    /// Without connections; `rng` is for the ages at which they are closed.
    pub fn new(options: Options, limits: Limits, endpoints: usize, rng: Rng) -> RequestPool {
        RequestPool {
            options,
            limits,
            hosts: vec![Host::default(); endpoints],
            connections: Vec::new(),
            free_connections: Vec::new(),
            waits: Vec::new(),
            free_waits: Vec::new(),
            open: 0,
            waiting: 0,
            active: 0,
            to_open: VecDeque::new(),
            ready: VecDeque::new(),
            failed: VecDeque::new(),
            rng,
        }
    }

    /// A stream of random numbers for another pool.
    pub fn fork_rng(&mut self) -> Rng {
        Rng::new(self.rng.next_u64())
    }

    /// Makes room for endpoints below `count`.
    pub fn reserve(&mut self, count: usize) {
        if count > self.hosts.len() {
            self.hosts.resize(count, Host::default());
        }
    }

    /// Connections, those being set up included.
    pub fn open(&self) -> u32 {
        self.open
    }

    /// Requests that wait for one.
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// A request for `endpoint`.
    ///
    /// # Errors
    /// A limit is reached.
    pub fn request(&mut self, endpoint: EndpointIndex, now: Time) -> Result<Place, Refusal> {
        self.close_idle(endpoint.at(), now);
        if self.hosts[endpoint.at()].waiting == 0
            && let Some(connection) = self.ready_connection(endpoint.at(), now)
        {
            if self.active >= self.limits.requests {
                return Err(Refusal::Overflow);
            }
            self.attach(connection, now);
            return Ok(Place::Open);
        }
        if self.limits.pools != u32::MAX && !self.may_pool(endpoint.at(), now) {
            return Err(Refusal::NoEndpoint);
        }
        if self.waiting >= self.limits.pending {
            return Err(Refusal::Overflow);
        }
        let wait = self.queue(endpoint.0);
        self.open_as_needed(endpoint.at(), now);
        Ok(Place::Waiting(WaitIndex(wait)))
    }

    /// Whether there may be connections to an endpoint: there are already, or to few enough others.
    /// (`source/common/upstream/conn_pool_map_impl.h`: without a pool a request fails as without an endpoint.)
    #[cold]
    fn may_pool(&mut self, endpoint: usize, now: Time) -> bool {
        let is_used = |host: &Host| !host.connections.is_empty() || host.waiting > 0;
        if is_used(&self.hosts[endpoint]) {
            return true;
        }
        self.close_all_idle(now);
        let used = self.hosts.iter().filter(|host| is_used(host)).count();
        (used as u64) < u64::from(self.limits.pools)
    }

    fn queue(&mut self, endpoint: u32) -> u32 {
        let host = &mut self.hosts[endpoint as usize];
        let row = Waiting {
            endpoint,
            previous: host.last,
            next: NIL,
            queued: true,
        };
        let wait = match self.free_waits.pop() {
            Some(wait) => {
                self.waits[wait as usize] = row;
                wait
            }
            None => {
                self.waits.push(row);
                (self.waits.len() - 1) as u32
            }
        };
        match host.last {
            NIL => host.first = wait,
            last => self.waits[last as usize].next = wait,
        }
        host.last = wait;
        host.waiting += 1;
        self.waiting += 1;
        wait
    }

    fn leave_queue(&mut self, wait: u32) {
        let row = self.waits[wait as usize];
        if !row.queued {
            return;
        }
        self.waits[wait as usize].queued = false;
        let host = &mut self.hosts[row.endpoint as usize];
        match row.previous {
            NIL => host.first = row.next,
            previous => self.waits[previous as usize].next = row.next,
        }
        match row.next {
            NIL => host.last = row.previous,
            next => self.waits[next as usize].previous = row.previous,
        }
        host.waiting -= 1;
        self.waiting -= 1;
    }

    /// The connection of an endpoint that takes the next request: of those that can the one used last.
    fn ready_connection(&self, endpoint: usize, now: Time) -> Option<u32> {
        let streams = match self.options.protocol {
            Protocol::Http1 => 1,
            Protocol::Http2 => self.options.max_concurrent_streams,
        };
        let can = |&&number: &&u32| {
            let row = &self.connections[number as usize];
            row.state == State::Ready && row.active < streams && row.left > 0 && row.expires > now
        };
        let candidates = self.hosts[endpoint].connections.iter().filter(can);
        candidates.copied().max_by_key(|&number| {
            let row = &self.connections[number as usize];
            (row.used_at, std::cmp::Reverse(number))
        })
    }

    fn attach(&mut self, connection: u32, now: Time) {
        let row = &mut self.connections[connection as usize];
        row.active += 1;
        row.left -= 1;
        row.used_at = now;
        if row.left == 0 {
            row.state = State::Draining;
        }
        self.active += 1;
    }

    /// Sets up as many connections as the waiting requests of an endpoint need and the limits allow.
    fn open_as_needed(&mut self, endpoint: usize, now: Time) {
        loop {
            let host = &self.hosts[endpoint];
            let connecting = host
                .connections
                .iter()
                .filter(|&&number| self.connections[number as usize].state == State::Connecting);
            let capacity = match self.options.protocol {
                Protocol::Http1 => 1,
                Protocol::Http2 => self
                    .options
                    .max_concurrent_streams
                    .min(self.options.max_requests_per_connection),
            };
            if u64::from(host.waiting) <= connecting.count() as u64 * u64::from(capacity) {
                return;
            }
            if self.open >= self.limits.connections && !host.connections.is_empty() {
                self.close_all_idle(now);
            }
            let host = &self.hosts[endpoint];
            let within = self.open < self.limits.connections
                && (host.connections.len() as u64) < u64::from(self.limits.connections_per_host);
            if !within && !host.connections.is_empty() {
                return;
            }
            self.open_connection(endpoint as u32, now);
        }
    }

    fn open_connection(&mut self, endpoint: u32, now: Time) {
        let expires = match self.options.max_connection_duration {
            Duration::MAX => Time::MAX,
            age => now + Duration::from_nanos_f64(age.0 as f64 * (0.9 + 0.2 * self.rng.unit())),
        };
        let row = |generation| Connection {
            endpoint,
            generation,
            state: State::Connecting,
            active: 0,
            left: self.options.max_requests_per_connection,
            used_at: now,
            expires,
        };
        let number = match self.free_connections.pop() {
            Some(number) => {
                let last = &mut self.connections[number as usize];
                *last = row(last.generation.wrapping_add(1));
                number
            }
            None => {
                self.connections.push(row(0));
                (self.connections.len() - 1) as u32
            }
        };
        self.hosts[endpoint as usize].connections.push(number);
        self.open += 1;
        self.to_open.push_back(Opening {
            endpoint: EndpointIndex(endpoint),
            connection: number,
            generation: self.connections[number as usize].generation,
            priority: RoutingPriority::Default,
        });
    }

    fn close(&mut self, connection: u32) {
        let row = &mut self.connections[connection as usize];
        row.state = State::Closed;
        let host = &mut self.hosts[row.endpoint as usize];
        let place = host.connections.iter().position(|&number| number == connection);
        host.connections.remove(place.expect("an open connection is its endpoint's"));
        self.free_connections.push(connection);
        self.open -= 1;
    }

    /// Closes the connections of an endpoint that nobody has used for too long, or that are too old.
    fn close_idle(&mut self, endpoint: usize, now: Time) {
        for place in (0..self.hosts[endpoint].connections.len()).rev() {
            let number = self.hosts[endpoint].connections[place];
            let row = &self.connections[number as usize];
            let is_idle = row.active == 0 && row.state != State::Connecting;
            if is_idle && (now.since(row.used_at) > self.options.idle_timeout || row.expires <= now || row.left == 0) {
                self.close(number);
            }
        }
    }

    fn close_all_idle(&mut self, now: Time) {
        for endpoint in 0..self.hosts.len() {
            self.close_idle(endpoint, now);
        }
    }

    /// Gives the ready connections of an endpoint to those that wait.
    fn serve(&mut self, endpoint: usize, now: Time) {
        while self.hosts[endpoint].waiting > 0
            && let Some(connection) = self.ready_connection(endpoint, now)
        {
            let wait = self.hosts[endpoint].first;
            self.leave_queue(wait);
            let admitted = self.active < self.limits.requests;
            if admitted {
                self.attach(connection, now);
            }
            let admitted = if admitted { Ok(()) } else { Err(Refusal::Overflow) };
            self.ready.push_back((WaitIndex(wait), admitted));
        }
        self.open_as_needed(endpoint, now);
    }

    fn is_current(&self, opening: &Opening) -> bool {
        let row = &self.connections[opening.connection as usize];
        row.generation == opening.generation && row.state == State::Connecting
    }

    /// A connection is there.
    pub fn on_connected(&mut self, opening: &Opening, now: Time) {
        if self.is_current(opening) {
            let row = &mut self.connections[opening.connection as usize];
            row.state = State::Ready;
            row.used_at = now;
            self.serve(opening.endpoint.at(), now);
        }
    }

    /// A connection cannot be had: all who wait at that endpoint fail.
    pub fn on_connect_failed(&mut self, opening: &Opening) {
        if self.is_current(opening) {
            self.close(opening.connection);
            while self.hosts[opening.endpoint.at()].waiting > 0 {
                let wait = self.hosts[opening.endpoint.at()].first;
                self.leave_queue(wait);
                self.failed.push_back(WaitIndex(wait));
            }
        }
    }

    /// A connection that is to be set up, until there is none.
    pub fn next_opening(&mut self) -> Option<Opening> {
        self.to_open.pop_front()
    }

    /// Whether [`RequestPool::next_ready`] has any.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A request that no longer waits: it has a connection, or a limit refuses it.
    pub fn next_ready(&mut self) -> Option<(WaitIndex, Result<(), Refusal>)> {
        self.ready.pop_front()
    }

    /// A request that no longer waits, because there is no connection to be had.
    pub fn next_failed(&mut self) -> Option<WaitIndex> {
        self.failed.pop_front()
    }

    /// A request that waited, or had just ceased to, has ended so; its number is used again.
    pub fn give_up(&mut self, wait: WaitIndex, answer: Answer, now: Time) {
        let endpoint = EndpointIndex(self.waits[wait.0 as usize].endpoint);
        self.leave_queue(wait.0);
        self.failed.retain(|&failed| failed != wait);
        if let Some(place) = self.ready.iter().position(|&(ready, _)| ready == wait) {
            let had_one = self.ready.remove(place).is_some_and(|(_, admitted)| admitted.is_ok());
            if had_one {
                self.released(endpoint, answer, now);
            }
        }
        self.free_waits.push(wait.0);
    }

    /// The number of a request that has ceased to wait is used again.
    pub fn forget(&mut self, wait: WaitIndex) {
        self.free_waits.push(wait.0);
    }

    /// A request on a connection to `endpoint` has ended; of several it is that which has been used for longest. Under HTTP/1.1 an answered
    /// request leaves its connection to others, and one that was given up closes it; under HTTP/2 only a broken connection is gone.
    pub fn released(&mut self, endpoint: EndpointIndex, answer: Answer, now: Time) {
        self.active -= 1;
        let rows = &self.connections;
        let used = self.hosts[endpoint.at()].connections.iter().copied();
        let Some(number) = used
            .filter(|&number| rows[number as usize].active > 0)
            .min_by_key(|&number| rows[number as usize].used_at)
        else {
            return;
        };
        let row = &mut self.connections[number as usize];
        row.active -= 1;
        row.used_at = now;
        let broken = matches!(answer, Answer::ConnectFailure | Answer::Reset);
        let given_up = self.options.protocol == Protocol::Http1 && !matches!(answer, Answer::Status(_));
        if broken || given_up || row.left == 0 || row.expires <= now {
            row.state = State::Draining;
        }
        if row.state == State::Draining && row.active == 0 {
            self.close(number);
        }
        self.serve(endpoint.at(), now);
    }

    /// The connections to `endpoint` are gone; requests on them are told by themselves.
    pub fn lose(&mut self, endpoint: EndpointIndex, now: Time) {
        for place in (0..self.hosts[endpoint.at()].connections.len()).rev() {
            let number = self.hosts[endpoint.at()].connections[place];
            let row = &mut self.connections[number as usize];
            if row.state == State::Connecting {
                continue;
            }
            row.state = State::Draining;
            if row.active == 0 {
                self.close(number);
            }
        }
        self.open_as_needed(endpoint.at(), now);
    }
}
