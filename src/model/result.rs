//! What one cell (a plan under one seed) leaves behind: counts, integrals and histograms, by index. No names, no time of day.

use crate::measure::{Histogram, Series, SeriesHistogram};

/// The result of one cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunResult {
    /// A hash over every event handled.
    pub digest: u64,
    /// How many events were handled.
    pub events_total: u64,
    /// Nanoseconds simulated, the drain included.
    pub simulated_nanos: u64,
    /// Nanoseconds of the measured window: from the end of the warm-up to `duration`.
    pub measured_nanos: u64,
    /// By client.
    pub clients: Vec<ClientResult>,
    /// By edge of the plan.
    pub edges: Vec<EdgeResult>,
    /// By service.
    pub services: Vec<ServiceResult>,
    /// By endpoint of the plan.
    pub endpoints: Vec<EndpointResult>,
    /// Root requests in the system: the time integral (request-nanoseconds) in each of [`PILOT_BUCKETS`] equal parts of
    /// `duration`. Filled only in a pilot run (warm-up `auto`).
    pub in_system: Vec<u128>,
}

/// Parts of a pilot run.
pub const PILOT_BUCKETS: usize = 1000;

/// The requests of one client that it intended to send within the measured window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientResult {
    /// Requests, however they ended.
    pub requests: u64,
    /// Failures by cause.
    pub failures: Failures,
    /// Attempts that the root calls made.
    pub attempts: u64,
    /// Nanoseconds from the intended start to the end, of requests that succeeded.
    pub latency: Histogram,
    /// The same of requests that failed (without the unfinished).
    pub failed_latency: Histogram,
    /// Latency of successes by the bucket of the intended start, over the whole run, warm-up included.
    pub latency_over_time: SeriesHistogram,
    /// Requests by the bucket of the intended start, over the whole run.
    pub requests_over_time: Series,
    /// Failures by the bucket of the intended start, over the whole run.
    pub failures_over_time: Series,
}

/// The calls of one edge that were started within the measured window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EdgeResult {
    /// Calls.
    pub calls: u64,
    /// Attempts.
    pub attempts: u64,
    /// Failed calls by cause.
    pub failures: Failures,
    /// Nanoseconds from the start of a call to its end, of calls that succeeded.
    pub latency: Histogram,
}

/// The attempts that reached a service within the measured window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceResult {
    /// Attempts that arrived at an endpoint that was up, refused ones (full queue) included.
    pub attempts: u64,
    /// Of those, answered with a status of 400 and more, or never.
    pub failures: Failures,
    /// Nanoseconds from arrival to the end of the answer, of attempts that succeeded.
    pub latency: Histogram,
    /// Nanoseconds in the queue before the first service, of attempts that were served.
    pub queue_wait: Histogram,
    /// Of those, how many waited at all.
    pub waited: u64,
    /// Time integral of requests at its endpoints (queued, served, waiting for their calls), in request-nanoseconds, over the window.
    pub in_flight_nanos: u128,
    /// How often a caller's policy took an endpoint out of balancing, within the measured window.
    pub ejections: u64,
    /// Nanoseconds from a change of an endpoint to a caller that believes it, each caller by itself, where the change lies within the
    /// measured window.
    pub belief_delay: Histogram,
    /// Attempts that were sent to an endpoint that was gone or down while the caller took it to be there.
    pub stale_requests: u64,
    /// Pairs of a caller and an endpoint between which there was an attempt, over the whole run.
    pub connections: u64,
    /// Attempts by the bucket of their arrival, over the whole run.
    pub attempts_over_time: Series,
    /// Failures by the bucket of their arrival, over the whole run.
    pub failures_over_time: Series,
    /// Integral of requests at its endpoints by bucket, in request-nanoseconds, over the whole run.
    pub in_flight_over_time: Series,
}

/// The attempts that reached one endpoint within the measured window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointResult {
    /// Attempts that arrived, refused ones included.
    pub attempts: u64,
    /// Of those, failed.
    pub failures: u64,
    /// Attempts that were served, for the mean of the wait.
    pub served: u64,
    /// Sum of their nanoseconds in the queue.
    pub queue_wait_nanos: u128,
    /// Busy slots (under processor sharing: busy cores) integrated over the window, in nanoseconds.
    pub busy_nanos: u128,
    /// Attempts by the bucket of their arrival, over the whole run; empty where the plan has more than
    /// [`ENDPOINT_SERIES_MAX`] endpoints.
    pub attempts_over_time: Series,
}

/// The most endpoints whose load over time is kept.
pub const ENDPOINT_SERIES_MAX: usize = 1024;

/// Failures by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// The overall timeout passed.
    pub timeout: u64,
    /// The last attempt ran into the per-try timeout.
    pub per_try_timeout: u64,
    /// The last attempt found no connection.
    pub connect_failure: u64,
    /// The connection of the last attempt broke.
    pub reset: u64,
    /// There was no endpoint to send to.
    pub no_endpoint: u64,
    /// A circuit breaker was at its limit.
    pub overflow: u64,
    /// A breaker in the application was open.
    pub circuit_open: u64,
    /// The caller held itself back.
    pub throttled: u64,
    /// Not finished when the drain ended, or lost in a crash.
    pub unfinished: u64,
    /// Answers with a status of 400 and more: (status, count), by status.
    pub statuses: Vec<(u16, u64)>,
}

impl Failures {
    /// All of them.
    pub fn total(&self) -> u64 {
        let causes = [
            self.timeout,
            self.per_try_timeout,
            self.connect_failure,
            self.reset,
            self.no_endpoint,
            self.overflow,
            self.circuit_open,
            self.throttled,
            self.unfinished,
        ];
        causes.iter().sum::<u64>() + self.statuses.iter().map(|&(_, count)| count).sum::<u64>()
    }

    /// Counts an answer with `status`.
    pub fn add_status(&mut self, status: u16) {
        match self.statuses.binary_search_by_key(&status, |&(s, _)| s) {
            Ok(at) => self.statuses[at].1 += 1,
            Err(at) => self.statuses.insert(at, (status, 1)),
        }
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Failures) {
        self.timeout += other.timeout;
        self.per_try_timeout += other.per_try_timeout;
        self.connect_failure += other.connect_failure;
        self.reset += other.reset;
        self.no_endpoint += other.no_endpoint;
        self.overflow += other.overflow;
        self.circuit_open += other.circuit_open;
        self.throttled += other.throttled;
        self.unfinished += other.unfinished;
        for &(status, count) in &other.statuses {
            match self.statuses.binary_search_by_key(&status, |&(s, _)| s) {
                Ok(at) => self.statuses[at].1 += count,
                Err(at) => self.statuses.insert(at, (status, count)),
            }
        }
    }

    /// Cause (or status) and count of each that occurred, in a fixed order.
    pub fn by_cause(&self) -> Vec<(String, u64)> {
        let named = [
            ("timeout", self.timeout),
            ("per_try_timeout", self.per_try_timeout),
            ("connect_failure", self.connect_failure),
            ("reset", self.reset),
            ("no_endpoint", self.no_endpoint),
            ("overflow", self.overflow),
            ("circuit_open", self.circuit_open),
            ("throttled", self.throttled),
            ("unfinished", self.unfinished),
        ];
        let named = named.into_iter().map(|(cause, count)| (cause.to_string(), count));
        let statuses = self.statuses.iter().map(|&(status, count)| (status.to_string(), count));
        named.chain(statuses).filter(|&(_, count)| count > 0).collect()
    }
}
