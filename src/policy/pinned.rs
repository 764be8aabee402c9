//! Connections that are balanced once, when they are opened, and carry all their requests to the same endpoint: what happens where the
//! balancer sees connections and no requests, as kube-proxy does.

use crate::policy::connection_pool::{Connection, ConnectionPool, Options};
use crate::policy::{Answer, EndpointIndex};
use crate::random::Rng;
use crate::time::Time;

/// All connections are as good as each other, wherever they lead.
const PLACE: u32 = 0;
/// Endpoints that restart are told of by [`Pinned::lose`].
const INCARNATION: u32 = 0;

/// One caller's connections to an upstream.
#[derive(Debug)]
pub(crate) struct Pinned {
    pool: ConnectionPool,
    last: Connection,
}

impl Pinned {
    /// No connection yet. Without options each request has one of its own.
    pub fn new(options: Option<Options>, endpoints: usize, rng: Rng) -> Pinned {
        let mut pool = ConnectionPool::new(options.unwrap_or(Options::PER_REQUEST), 1, rng);
        pool.reserve(endpoints);
        Pinned {
            pool,
            last: Connection::New,
        }
    }

    /// Makes room for endpoints below `count`.
    pub fn reserve(&mut self, count: usize) {
        self.pool.reserve(count);
    }

    /// The endpoint of a connection that takes a request; `None`: a new one is to be balanced.
    #[inline]
    pub fn acquire(&mut self, now: Time, mut closed: impl FnMut(EndpointIndex)) -> Option<EndpointIndex> {
        let (endpoint, connection) = self
            .pool
            .acquire(PLACE, INCARNATION, now, |endpoint| closed(EndpointIndex(endpoint)))?;
        self.last = connection;
        Some(EndpointIndex(endpoint))
    }

    /// A new connection was balanced to `endpoint`, for a request.
    pub fn open(&mut self, endpoint: EndpointIndex, now: Time) {
        self.pool.open(PLACE, endpoint.0, INCARNATION, now);
        self.last = Connection::New;
    }

    /// What the last request found.
    pub fn last(&self) -> Connection {
        self.last
    }

    /// The connection that the last request opened will be open at `at`.
    pub fn opening(&mut self, at: Time) {
        self.pool.opening(at);
    }

    /// Open connections by endpoint.
    #[inline]
    pub fn counts(&self) -> &[u32] {
        self.pool.counts()
    }

    /// A request at `endpoint` has ended.
    #[inline]
    pub fn released(&mut self, endpoint: EndpointIndex, answer: Answer, now: Time, mut closed: impl FnMut(EndpointIndex)) {
        self.pool
            .released(PLACE, endpoint.0, answer, now, |endpoint| closed(EndpointIndex(endpoint)));
    }

    /// The connections to `endpoint` are gone.
    pub fn lose(&mut self, endpoint: EndpointIndex, mut closed: impl FnMut(EndpointIndex)) {
        self.pool.lose(PLACE, endpoint.0, |endpoint| closed(EndpointIndex(endpoint)));
    }
}
