//! What one cell (a plan under one seed) leaves behind: counts, integrals and histograms, by index. No names, no time of day.

use crate::measure::{Histogram, Series, SeriesHistogram};
use crate::time::Time;

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
    /// By window of the plan.
    pub windows: Vec<WindowResult>,
    /// What faults did, in the order in which they began.
    pub incidents: Vec<IncidentResult>,
    /// Root requests in the system: the time integral (request-nanoseconds) in each of [`PILOT_BUCKETS`] equal parts of
    /// `duration`. Filled only in a pilot run (warm-up `auto`).
    pub in_system: Vec<u128>,
    /// When which fault of the plan was active, in the order of the begins: from, to (at most the run's `duration`). A random fault with
    /// times by endpoint or zone has windows that overlap.
    pub fault_windows: Vec<(u32, Time, Time)>,
}

/// Parts of a pilot run.
pub const PILOT_BUCKETS: usize = 1000;

/// What belongs to one window of the plan and to the measured window: the same figures, without values over time. Requests and calls belong
/// to it by their start, attempts at a service by the moment at which they were sent; requests in flight and busy slots are those of
/// its time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowResult {
    /// Nanoseconds of it that were measured.
    pub measured_nanos: u64,
    /// By client.
    pub clients: Vec<ClientResult>,
    /// By edge.
    pub edges: Vec<EdgeResult>,
    /// By service.
    pub services: Vec<ServiceResult>,
    /// By endpoint of the plan, without series over time.
    pub endpoints: Vec<EndpointResult>,
}

impl WindowResult {
    /// Adds what `other`, of the same plan, holds.
    pub fn merge(&mut self, other: &WindowResult) {
        self.measured_nanos += other.measured_nanos;
        let clients = self.clients.iter_mut().zip(&other.clients);
        clients.for_each(|(ours, theirs)| ours.merge(theirs));
        let edges = self.edges.iter_mut().zip(&other.edges);
        edges.for_each(|(ours, theirs)| ours.merge(theirs));
        let services = self.services.iter_mut().zip(&other.services);
        services.for_each(|(ours, theirs)| ours.merge(theirs));
        for (ours, theirs) in self.endpoints.iter_mut().zip(&other.endpoints) {
            ours.merge_sums(theirs);
        }
    }
}

/// One occurrence of a fault, and how the callers of those whom it struck went through it. Times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentResult {
    /// The fault in the plan.
    pub fault: u32,
    /// How many endpoints it struck.
    pub struck: u32,
    /// Whether there were requests before it that tell how clients fare without it.
    pub has_base: bool,
    /// When it began.
    pub began: u64,
    /// When it ended, at most the plan's duration.
    pub ended: u64,
    /// Callers that sent an attempt to anybody of the services struck while it lasted, and that watch their endpoints.
    pub callers: u32,
    /// Of those, how many took an endpoint struck out while it lasted.
    pub detected: u32,
    /// The sum over these of the time from the begin to the first such decision.
    pub detect_nanos: u64,
    /// From the begin to the moment at which the last of the callers had all endpoints struck out; `None`: some never had.
    pub eject: Option<u64>,
    /// From the begin to the last attempt sent to an endpoint struck before their share fell below [`SHIFTED_SHARE`]; `None`: it did not.
    pub shift: Option<u64>,
    /// From the end until every client was as well off as before; `None`: not within the run, or the fault lasts to its end.
    pub recover: Option<u64>,
    /// Whether it lasts as long as requests are sent.
    pub lasts_to_the_end: bool,
    /// Requests that were meant to be sent while it lasted.
    pub requests: u64,
    /// Of those, failed; and failed ones that it met in flight.
    pub failures: u64,
    /// Failures that a fault-free run of the same length would have had, in millionths, by the share of failures before it.
    pub failures_expected_micros: u64,
}

/// Attempts have shifted away from endpoints that get less than one in so many.
pub const SHIFTED_SHARE: u64 = 100;

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
    /// Attempts of the root calls by the bucket of the intended start, over the whole run.
    pub attempts_over_time: Series,
    /// Failures by the bucket of the intended start for each of [`ANSWERERS`], over the whole run.
    pub answerers_over_time: Vec<Series>,
}

impl ClientResult {
    /// Adds what `other`, of the same client, holds.
    pub fn merge(&mut self, other: &ClientResult) {
        self.requests += other.requests;
        self.failures.merge(&other.failures);
        self.attempts += other.attempts;
        self.latency.merge(&other.latency);
        self.failed_latency.merge(&other.failed_latency);
        self.latency_over_time.merge(&other.latency_over_time);
        self.requests_over_time.merge(&other.requests_over_time);
        self.failures_over_time.merge(&other.failures_over_time);
        self.attempts_over_time.merge(&other.attempts_over_time);
        merge_each(&mut self.answerers_over_time, &other.answerers_over_time);
    }
}

/// Adds the series of `theirs` to those of `ours`, of which there may be none yet.
pub fn merge_each(ours: &mut Vec<Series>, theirs: &[Series]) {
    ours.resize_with(ours.len().max(theirs.len()), Series::default);
    ours.iter_mut().zip(theirs).for_each(|(ours, theirs)| ours.merge(theirs));
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

impl EdgeResult {
    /// Adds what `other`, of the same edge, holds.
    pub fn merge(&mut self, other: &EdgeResult) {
        self.calls += other.calls;
        self.attempts += other.attempts;
        self.failures.merge(&other.failures);
        self.latency.merge(&other.latency);
    }
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
    /// Nanoseconds of work that attempts sent within the measured window asked for, as far as it was begun.
    pub work_nanos: u128,
    /// Of those, for attempts whose answer nobody waited for.
    pub wasted_nanos: u128,
    /// How often a caller's policy took an endpoint out of balancing, within the measured window.
    pub ejections: u64,
    /// How often one would have but for a limit, or because that is not enforced.
    pub ejections_spared: u64,
    /// What callers that watch its endpoints believed.
    pub beliefs: Beliefs,
    /// The same by bucket of time, over the whole run; empty where nobody watches.
    pub beliefs_over_time: BeliefsOverTime,
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

impl ServiceResult {
    /// Adds what `other`, of the same service, holds.
    pub fn merge(&mut self, other: &ServiceResult) {
        self.attempts += other.attempts;
        self.failures.merge(&other.failures);
        self.latency.merge(&other.latency);
        self.queue_wait.merge(&other.queue_wait);
        self.waited += other.waited;
        self.in_flight_nanos += other.in_flight_nanos;
        self.work_nanos += other.work_nanos;
        self.wasted_nanos += other.wasted_nanos;
        self.ejections += other.ejections;
        self.ejections_spared += other.ejections_spared;
        self.beliefs.merge(&other.beliefs);
        self.beliefs_over_time.merge(&other.beliefs_over_time);
        self.connections += other.connections;
        self.attempts_over_time.merge(&other.attempts_over_time);
        self.failures_over_time.merge(&other.failures_over_time);
        self.in_flight_over_time.merge(&other.in_flight_over_time);
    }
}

/// Time integrals of what callers that watch a service's endpoints believe of them, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beliefs {
    /// Endpoints that a caller keeps out of balancing, over all callers.
    pub out_nanos: u128,
    /// Endpoints that a caller knows of, over all callers.
    pub known_nanos: u128,
    /// Callers that use endpoints whatever their health, because too few are well.
    pub panic_nanos: u128,
    /// Callers.
    pub caller_nanos: u128,
}

impl Beliefs {
    fn merge(&mut self, other: &Beliefs) {
        self.out_nanos += other.out_nanos;
        self.known_nanos += other.known_nanos;
        self.panic_nanos += other.panic_nanos;
        self.caller_nanos += other.caller_nanos;
    }
}

/// [`Beliefs`] by bucket of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BeliefsOverTime {
    /// See [`Beliefs::out_nanos`].
    pub out: Series,
    /// See [`Beliefs::known_nanos`].
    pub known: Series,
    /// See [`Beliefs::panic_nanos`].
    pub panic: Series,
    /// See [`Beliefs::caller_nanos`].
    pub callers: Series,
}

impl BeliefsOverTime {
    /// Adds the sums of `other`.
    pub fn merge(&mut self, other: &BeliefsOverTime) {
        self.out.merge(&other.out);
        self.known.merge(&other.known);
        self.panic.merge(&other.panic);
        self.callers.merge(&other.callers);
    }
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

impl EndpointResult {
    /// Adds the counts and integrals of `other`.
    fn merge_sums(&mut self, other: &EndpointResult) {
        self.attempts += other.attempts;
        self.failures += other.failures;
        self.served += other.served;
        self.queue_wait_nanos += other.queue_wait_nanos;
        self.busy_nanos += other.busy_nanos;
    }
}

/// The most endpoints whose load over time is kept.
pub const ENDPOINT_SERIES_MAX: usize = 1024;

/// Who or what ended a request that failed.
pub const ANSWERERS: [&str; 9] = [
    "endpoint",
    "proxy_overflow",
    "no_healthy_upstream",
    "circuit_open",
    "throttled",
    "timeout",
    "reset",
    "connect_failure",
    "unfinished",
];

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

    /// How many each of [`ANSWERERS`] ended.
    pub fn by_answerer(&self) -> [u64; ANSWERERS.len()] {
        [
            self.statuses.iter().map(|&(_, count)| count).sum(),
            self.overflow,
            self.no_endpoint,
            self.circuit_open,
            self.throttled,
            self.timeout + self.per_try_timeout,
            self.reset,
            self.connect_failure,
            self.unfinished,
        ]
    }

    /// How many have a cause of [`Failures::by_cause`], are ended by one of [`ANSWERERS`], or have a status of a class such as `5xx`.
    pub fn of(&self, cause: &str) -> u64 {
        let answerers = ANSWERERS.iter().zip(self.by_answerer());
        let statuses = self.statuses.iter();
        match cause.strip_suffix("xx").and_then(|class| class.parse::<u16>().ok()) {
            Some(class) => statuses
                .filter(|&&(status, _)| status / 100 == class)
                .map(|&(_, count)| count)
                .sum(),
            None => {
                let causes = self.by_cause();
                let of_answerer = answerers.filter(|(name, _)| **name == cause).map(|(_, count)| count).next();
                // `timeout` is both: as an answerer it holds that of an attempt too.
                let of_cause = causes.iter().find(|(name, _)| name == cause).map(|&(_, count)| count);
                of_answerer.or(of_cause).unwrap_or(0)
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
