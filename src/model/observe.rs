//! The only place that writes results. Everything recorded is a sum of integers, so neither the order of events nor leaving
//! some of them out can change it.

use crate::measure::{Grid, Series, SeriesHistogram};
use crate::model::call::End;
use crate::model::plan::Plan;
use crate::model::result::{
    ClientResult, ENDPOINT_SERIES_MAX, EdgeResult, EndpointResult, PILOT_BUCKETS, RunResult, ServiceResult,
};
use crate::policy::{Answer, Decision, Notice};
use crate::time::{Duration, Time};

/// The recorder of one run.
#[derive(Debug)]
pub(crate) struct Observe {
    result: RunResult,
    window_start: u64,
    window_length: u64,
    grid: Grid,
    endpoint_series: bool,
    pilot_bucket: u64,
}

/// The sums of one endpoint. They lie in its row, so that a visit goes to one place in memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EndpointSums {
    queue_wait_nanos: u128,
    busy_nanos: u128,
    attempts: u64,
    failures: u64,
    served: u64,
}

impl EndpointSums {
    /// Reads the sums; see [`crate::engine::World::touch`].
    #[inline]
    pub fn touch(&self) -> u64 {
        self.attempts
    }
}

/// One attempt's stay at an endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stay {
    pub service: u32,
    pub endpoint: u32,
    pub arrived: Time,
    /// The bucket of `arrived` in every series.
    bucket: usize,
}

impl Observe {
    /// A recorder for `plan` whose measured window starts after `warmup`.
    pub fn new(plan: &Plan, warmup: Duration, pilot: bool) -> Observe {
        let series = || Series::new(plan.duration, plan.interval);
        let client = || ClientResult {
            latency_over_time: SeriesHistogram::new(plan.duration, plan.interval),
            requests_over_time: series(),
            failures_over_time: series(),
            ..ClientResult::default()
        };
        let service = || ServiceResult {
            attempts_over_time: series(),
            failures_over_time: series(),
            in_flight_over_time: series(),
            ..ServiceResult::default()
        };
        let endpoint_series = plan.endpoints.len() <= ENDPOINT_SERIES_MAX;
        let endpoint = || EndpointResult {
            attempts_over_time: if endpoint_series { series() } else { Series::default() },
            ..EndpointResult::default()
        };
        Observe {
            window_start: warmup.0,
            window_length: (plan.duration - warmup).0,
            grid: Grid::new(plan.duration, plan.interval),
            endpoint_series,
            pilot_bucket: if pilot {
                plan.duration.0.div_ceil(PILOT_BUCKETS as u64).max(1)
            } else {
                0
            },
            result: RunResult {
                measured_nanos: (plan.duration - warmup).0,
                clients: plan.clients.iter().map(|_| client()).collect(),
                edges: vec![EdgeResult::default(); plan.edges.len()],
                services: plan.services.iter().map(|_| service()).collect(),
                endpoints: plan.endpoints.iter().map(|_| endpoint()).collect(),
                in_system: vec![0; if pilot { PILOT_BUCKETS } else { 0 }],
                ..RunResult::default()
            },
        }
    }

    /// Gives the result away, with what follows from what was recorded: the edge of a client is the client seen as a caller; a
    /// request over time is a latency or a failure; a service's attempts are those of its endpoints.
    pub fn finish(
        mut self,
        plan: &Plan,
        endpoints: impl Iterator<Item = EndpointSums>,
        digest: u64,
        events: u64,
        simulated: Time,
    ) -> RunResult {
        let buckets = plan.duration.0.div_ceil(plan.interval.0) as usize;
        for client in &mut self.result.clients {
            for bucket in 0..buckets {
                let successes = client.latency_over_time.histograms()[bucket].count();
                let failures = client.failures_over_time.sums()[bucket];
                client.requests_over_time.add_in(bucket, successes + failures);
            }
        }
        for (sums, result) in endpoints.zip(&mut self.result.endpoints) {
            result.attempts = sums.attempts;
            result.failures = sums.failures;
            result.served = sums.served;
            result.queue_wait_nanos = sums.queue_wait_nanos;
            result.busy_nanos = sums.busy_nanos;
        }
        for (endpoint, result) in plan.endpoints.iter().zip(&self.result.endpoints) {
            let service = &mut self.result.services[endpoint.service as usize];
            for (bucket, &attempts) in result.attempts_over_time.sums().iter().enumerate() {
                service.attempts_over_time.add_in(bucket, attempts);
            }
        }
        for service in &mut self.result.services {
            service.waited = service.queue_wait.count() - service.queue_wait.zeros();
        }
        for (client, result) in plan.clients.iter().zip(&self.result.clients) {
            let edge = plan.sites[client.site as usize].edge;
            self.result.edges[edge as usize] = EdgeResult {
                calls: result.requests,
                attempts: result.attempts,
                failures: result.failures.clone(),
                latency: result.latency.clone(),
            };
        }
        RunResult {
            digest,
            events_total: events,
            simulated_nanos: simulated.0,
            ..self.result
        }
    }

    /// The stay of an attempt that arrives at `arrived`.
    #[inline]
    pub fn stay(&self, service: u32, endpoint: u32, arrived: Time) -> Stay {
        Stay {
            service,
            endpoint,
            arrived,
            bucket: self.grid.find(arrived),
        }
    }

    #[inline]
    fn measured(&self, at: Time) -> bool {
        at.0.wrapping_sub(self.window_start) < self.window_length
    }

    /// The nanoseconds of `from..to` within the measured window.
    #[inline]
    pub fn overlap(&self, from: Time, to: Time) -> u64 {
        let end = self.window_start + self.window_length;
        to.0.min(end).saturating_sub(from.0.max(self.window_start))
    }

    /// A caller's policy has decided something about an endpoint.
    pub fn noticed(&mut self, service: u32, _: u32, notice: &Notice, now: Time) {
        if matches!(notice.decision, Decision::Out { .. }) && self.measured(now) {
            self.result.services[service as usize].ejections += 1;
        }
    }

    /// A caller has come to believe what has been true of an endpoint since `since`.
    pub fn learnt(&mut self, service: u32, since: Time, now: Time) {
        if self.measured(since) {
            self.result.services[service as usize].belief_delay.record(now.since(since).0);
        }
    }

    /// An attempt was sent to an endpoint that is gone or down.
    #[cold]
    pub fn sent_in_vain(&mut self, service: u32, now: Time) {
        if self.measured(now) {
            self.result.services[service as usize].stale_requests += 1;
        }
    }

    /// A service's call was opened.
    #[inline]
    pub fn call_opened(&mut self, edge: u32, now: Time) {
        if self.measured(now) {
            self.result.edges[edge as usize].calls += 1;
        }
    }

    /// An attempt of a call was started; `start` is that of the call.
    #[inline]
    pub fn attempt_started(&mut self, edge: u32, start: Time) {
        if self.measured(start) {
            self.result.edges[edge as usize].attempts += 1;
        }
    }

    /// A service's call has ended.
    #[inline]
    pub fn call_completed(&mut self, edge: u32, start: Time, now: Time, end: End) {
        if !self.measured(start) {
            return;
        }
        let edge = &mut self.result.edges[edge as usize];
        if end.is_success() {
            edge.latency.record(now.since(start).0);
        } else {
            end.count(&mut edge.failures);
        }
    }

    /// A client's request has ended.
    #[inline]
    pub fn request_completed(&mut self, client: u32, start: Time, now: Time, end: End, attempts: u16) {
        let measured = self.measured(start);
        let client = &mut self.result.clients[client as usize];
        let latency = now.since(start).0;
        let bucket = self.grid.find(start);
        if end.is_success() {
            client.latency_over_time.record_in(bucket, latency);
        } else {
            client.failures_over_time.add_in(bucket, 1);
        }
        if self.pilot_bucket > 0 {
            add_to_pilot(&mut self.result.in_system, self.pilot_bucket, start, now);
        }
        if !measured {
            return;
        }
        client.requests += 1;
        client.attempts += u64::from(attempts);
        if end.is_success() {
            client.latency.record(latency);
        } else {
            end.count(&mut client.failures);
            if end != End::Answer(Answer::Cancelled) {
                client.failed_latency.record(latency);
            }
        }
    }

    /// An attempt reached an endpoint that is up.
    #[inline]
    pub fn attempt_arrived(&mut self, sums: &mut EndpointSums, stay: Stay) {
        let service = &mut self.result.services[stay.service as usize];
        if self.endpoint_series {
            self.result.endpoints[stay.endpoint as usize]
                .attempts_over_time
                .add_in(stay.bucket, 1);
        } else {
            service.attempts_over_time.add_in(stay.bucket, 1);
        }
        if stay.arrived.0.wrapping_sub(self.window_start) < self.window_length {
            service.attempts += 1;
            sums.attempts += 1;
        }
    }

    /// An attempt's first service begins.
    #[inline]
    pub fn service_started(&mut self, sums: &mut EndpointSums, stay: Stay, start: Time) {
        if !self.measured(stay.arrived) {
            return;
        }
        let wait = start.since(stay.arrived).0;
        let service = &mut self.result.services[stay.service as usize];
        service.queue_wait.record(wait);
        sums.served += 1;
        sums.queue_wait_nanos += u128::from(wait);
    }

    /// An attempt leaves an endpoint: answered at `now`, or killed, or left over (`end` says which).
    #[inline]
    pub fn attempt_left(&mut self, sums: &mut EndpointSums, stay: Stay, now: Time, end: End) {
        let overlap = self.overlap(stay.arrived, now);
        let measured = self.measured(stay.arrived);
        let service = &mut self.result.services[stay.service as usize];
        service.in_flight_nanos += u128::from(overlap);
        service.in_flight_over_time.add_overlap_from(stay.bucket, stay.arrived, now);
        if end.is_success() {
            if measured {
                service.latency.record(now.since(stay.arrived).0);
            }
            return;
        }
        service.failures_over_time.add_in(stay.bucket, 1);
        if measured {
            end.count(&mut service.failures);
            sums.failures += 1;
        }
    }

    /// An attempt whose stay is settled: served from `start` to `end` with a status.
    #[inline]
    pub fn visited(&mut self, sums: &mut EndpointSums, stay: Stay, start: Time, end: Time, status: u16) {
        let inside = self.measured(stay.arrived) && end.0 <= self.window_start + self.window_length;
        if !inside || status >= 400 {
            self.service_started(sums, stay, start);
            self.busy(sums, 1, start, end);
            return self.attempt_left(sums, stay, end, End::Answer(Answer::Status(status)));
        }
        let (wait, sojourn) = (start.since(stay.arrived).0, end.since(stay.arrived).0);
        let service = &mut self.result.services[stay.service as usize];
        service.queue_wait.record(wait);
        service.in_flight_nanos += u128::from(sojourn);
        service.in_flight_over_time.add_overlap_from(stay.bucket, stay.arrived, end);
        service.latency.record(sojourn);
        sums.served += 1;
        sums.queue_wait_nanos += u128::from(wait);
        sums.busy_nanos += u128::from(end.since(start).0);
    }

    /// `slots` slots (or cores) of an endpoint were busy from `from` to `to`.
    #[inline]
    pub fn busy(&mut self, sums: &mut EndpointSums, slots: u32, from: Time, to: Time) {
        let overlap = self.overlap(from, to);
        sums.busy_nanos += u128::from(overlap) * u128::from(slots);
    }
}

/// Adds the stay of a request to each bucket that it touches.
fn add_to_pilot(buckets: &mut [u128], width: u64, start: Time, end: Time) {
    let mut from = start.0;
    while from < end.0 {
        let bucket = (from / width) as usize;
        let Some(sum) = buckets.get_mut(bucket) else { return };
        let to = end.0.min((bucket as u64 + 1) * width);
        *sum += u128::from(to - from);
        from = to;
    }
}
