//! The only place that writes results. Everything recorded is a sum of integers, so neither the order of events nor leaving
//! some of them out can change it.

use crate::measure::{Grid, Series, SeriesHistogram};
use crate::model::call::End;
use crate::model::incident::Incidents;
use crate::model::plan::Plan;
use crate::model::result::{
    ANSWERERS, BeliefsOverTime, ClientResult, ENDPOINT_SERIES_MAX, EdgeResult, EndpointResult, PILOT_BUCKETS, RunResult,
    ServiceResult,
};
use crate::model::windows::{Held, Stretch, Windows};
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
    pub(super) windows: Windows,
    /// The moment of the event being handled.
    pub(super) now: Time,
    pub(super) incidents: Incidents,
}

/// What a caller that watches its endpoints believes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Belief {
    /// Endpoints that it keeps out of balancing.
    pub out: u32,
    /// Endpoints that it knows of.
    pub known: u32,
    /// Whether it uses endpoints whatever their health.
    pub panic: bool,
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
    /// When it was sent.
    pub sent: Time,
    /// Whether it is a request's; else a health check's, of which only the busy slots are counted.
    pub counts: bool,
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
            attempts_over_time: series(),
            answerers_over_time: ANSWERERS.iter().map(|_| series()).collect(),
            ..ClientResult::default()
        };
        let service = |watched: bool| ServiceResult {
            beliefs_over_time: match watched {
                true => BeliefsOverTime {
                    out: series(),
                    known: series(),
                    panic: series(),
                    callers: series(),
                },
                false => BeliefsOverTime::default(),
            },
            attempts_over_time: series(),
            failures_over_time: series(),
            in_flight_over_time: series(),
            ..ServiceResult::default()
        };
        let is_watched = |service: u32| {
            let mut clusters = plan.clusters.iter();
            clusters.any(|cluster| cluster.service == service && cluster.config.is_active())
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
            windows: Windows::new(plan),
            now: Time::ZERO,
            incidents: Incidents::default(),
            result: RunResult {
                measured_nanos: (plan.duration - warmup).0,
                clients: plan.clients.iter().map(|_| client()).collect(),
                edges: vec![EdgeResult::default(); plan.edges.len()],
                services: (0..plan.services.len() as u32)
                    .map(|number| service(is_watched(number)))
                    .collect(),
                endpoints: plan.endpoints.iter().map(|_| endpoint()).collect(),
                in_system: vec![0; if pilot { PILOT_BUCKETS } else { 0 }],
                ..RunResult::default()
            },
        }
    }

    /// A fault of the plan begins or ends.
    pub fn fault_turned(&mut self, fault: u32, on: bool, now: Time, plan: &Plan) {
        self.windows.fault_turned(fault, on, now, plan);
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
            self.result.edges[edge as usize] = result.as_edge();
        }
        let (from, to) = (Time(self.window_start), Time(self.window_start + self.window_length));
        let warmup = Duration(self.window_start);
        RunResult {
            windows: self.windows.finish(plan, from, to),
            incidents: self.incidents.finish(plan, warmup, &self.result.clients),
            digest,
            events_total: events,
            simulated_nanos: simulated.0,
            ..self.result
        }
    }

    /// The stay of an attempt that arrives at `arrived`.
    #[inline]
    pub fn stay(&self, service: u32, endpoint: u32, (sent, arrived): (Time, Time), counts: bool) -> Stay {
        Stay {
            service,
            endpoint,
            arrived,
            sent,
            counts,
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
    pub fn noticed(&mut self, service: u32, notice: &Notice, now: Time) {
        if !self.measured(now) {
            return;
        }
        let count = |service: &mut ServiceResult| match notice.decision {
            Decision::Out { .. } => service.ejections += 1,
            Decision::Spared { .. } => service.ejections_spared += 1,
            Decision::In => {}
        };
        count(&mut self.result.services[service as usize]);
        if let Some(window) = self.windows.at(now) {
            count(&mut window.services[service as usize]);
        }
    }

    /// A caller of a service has believed this from `from` to `to`.
    pub fn believed(&mut self, service: u32, belief: Belief, from: Time, to: Time) {
        let Belief { out, known, panic } = belief;
        let result = &mut self.result.services[service as usize];
        let over_time = &mut result.beliefs_over_time;
        over_time.out.add_overlap_times(u64::from(out), from, to);
        over_time.known.add_overlap_times(u64::from(known), from, to);
        over_time.panic.add_overlap_times(u64::from(panic), from, to);
        over_time.callers.add_overlap_times(1, from, to);
        let (start, end) = self.clipped(from, to);
        let add = |result: &mut ServiceResult, nanos: u64| {
            let nanos = u128::from(nanos);
            result.beliefs.out_nanos += nanos * u128::from(out);
            result.beliefs.known_nanos += nanos * u128::from(known);
            result.beliefs.panic_nanos += nanos * u128::from(panic);
            result.beliefs.caller_nanos += nanos;
        };
        add(&mut self.result.services[service as usize], end.0.saturating_sub(start.0));
        self.windows
            .spread(start, end, |window, nanos| add(&mut window.services[service as usize], nanos));
    }

    /// The part of `from..to` within the measured window.
    fn clipped(&self, from: Time, to: Time) -> (Time, Time) {
        let end = Time(self.window_start + self.window_length);
        (from.max(Time(self.window_start)), to.min(end))
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
            if let Some(window) = self.windows.at(now) {
                window.edges[edge as usize].calls += 1;
            }
        }
    }

    /// An attempt of a call was started; `start` is that of the call.
    #[inline]
    pub fn attempt_started(&mut self, edge: u32, start: Time) {
        if self.measured(start) {
            self.result.edges[edge as usize].attempts += 1;
            if let Some(window) = self.windows.at(start) {
                window.edges[edge as usize].attempts += 1;
            }
        }
    }

    /// A service's call has ended.
    #[inline]
    pub fn call_completed(&mut self, edge: u32, start: Time, now: Time, end: End) {
        if !self.measured(start) {
            return;
        }
        let count = |edge: &mut EdgeResult| match end.is_success() {
            true => edge.latency.record(now.since(start).0),
            false => end.count(&mut edge.failures),
        };
        count(&mut self.result.edges[edge as usize]);
        if let Some(window) = self.windows.at(start) {
            count(&mut window.edges[edge as usize]);
        }
    }

    /// A client's request has ended.
    #[inline]
    pub fn request_completed(&mut self, client: u32, start: Time, now: Time, end: End, attempts: u16) {
        let measured = self.measured(start);
        let result = &mut self.result.clients[client as usize];
        let latency = now.since(start).0;
        let bucket = self.grid.find(start);
        result.attempts_over_time.add_in(bucket, u64::from(attempts));
        if end.is_success() {
            result.latency_over_time.record_in(bucket, latency);
        } else {
            result.failures_over_time.add_in(bucket, 1);
            result.answerers_over_time[end.answerer()].add_in(bucket, 1);
        }
        self.incidents.request_completed(start, end.is_success());
        if self.pilot_bucket > 0 {
            add_to_pilot(&mut self.result.in_system, self.pilot_bucket, start, now);
        }
        if !measured {
            return;
        }
        count_request(&mut self.result.clients[client as usize], end, latency, attempts);
        if !self.windows.is_empty() {
            self.request_completed_in_window(client, start, end, latency, attempts);
        }
    }

    #[inline(never)]
    fn request_completed_in_window(&mut self, client: u32, start: Time, end: End, latency: u64, attempts: u16) {
        if let Some(window) = self.windows.at(start) {
            count_request(&mut window.clients[client as usize], end, latency, attempts);
        }
    }

    /// For an attempt sent at `sent` this much work is done.
    #[inline]
    pub fn worked(&mut self, service: u32, sent: Time, work: Duration) {
        if self.measured(sent) {
            let work = u128::from(work.0);
            self.result.services[service as usize].work_nanos += work;
            if let Some(window) = self.windows.at(sent) {
                window.services[service as usize].work_nanos += work;
            }
        }
    }

    /// Of the work done for attempts, this was for nothing: nobody waits for the answer of an attempt sent at `sent`.
    pub fn wasted(&mut self, service: u32, sent: Time, work: Duration) {
        if self.measured(sent) {
            let work = u128::from(work.0);
            self.result.services[service as usize].wasted_nanos += work;
            if let Some(window) = self.windows.at(sent) {
                window.services[service as usize].wasted_nanos += work;
            }
        }
    }

    /// An attempt reached an endpoint that is up.
    #[inline]
    pub fn attempt_arrived(&mut self, sums: &mut EndpointSums, stay: Stay) {
        if !stay.counts {
            return;
        }
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
            if let Some(window) = self.windows.at(stay.sent) {
                window.services[stay.service as usize].attempts += 1;
                window.endpoints[stay.endpoint as usize].attempts += 1;
            }
        }
    }

    /// An attempt's first service begins.
    #[inline]
    pub fn service_started(&mut self, sums: &mut EndpointSums, stay: Stay, start: Time) {
        if !stay.counts || !self.measured(stay.arrived) {
            return;
        }
        let wait = start.since(stay.arrived).0;
        let service = &mut self.result.services[stay.service as usize];
        service.queue_wait.record(wait);
        sums.served += 1;
        sums.queue_wait_nanos += u128::from(wait);
        if let Some(window) = self.windows.at(stay.sent) {
            window.services[stay.service as usize].queue_wait.record(wait);
            let endpoint = &mut window.endpoints[stay.endpoint as usize];
            endpoint.served += 1;
            endpoint.queue_wait_nanos += u128::from(wait);
        }
    }

    /// An attempt leaves an endpoint: answered at `now`, or killed, or left over (`end` says which).
    #[inline]
    pub fn attempt_left(&mut self, sums: &mut EndpointSums, stay: Stay, now: Time, end: End) {
        if !stay.counts {
            return;
        }
        let overlap = self.overlap(stay.arrived, now);
        let measured = self.measured(stay.arrived);
        let service = &mut self.result.services[stay.service as usize];
        service.in_flight_nanos += u128::from(overlap);
        service.in_flight_over_time.add_overlap_from(stay.bucket, stay.arrived, now);
        if !self.windows.is_empty() {
            self.left_in_windows(stay, now, end);
        }
        let service = &mut self.result.services[stay.service as usize];
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

    #[inline(never)]
    fn left_in_windows(&mut self, stay: Stay, now: Time, end: End) {
        self.hold(Held::Requests { service: stay.service }, 1, stay.arrived, now);
        if !self.measured(stay.arrived) {
            return;
        }
        if let Some(window) = self.windows.at(stay.sent) {
            let service = &mut window.services[stay.service as usize];
            match end.is_success() {
                true => service.latency.record(now.since(stay.arrived).0),
                false => {
                    end.count(&mut service.failures);
                    window.endpoints[stay.endpoint as usize].failures += 1;
                }
            }
        }
    }

    /// An attempt whose stay is settled: served from `start` to `end` with a status.
    #[inline]
    pub fn visited(&mut self, sums: &mut EndpointSums, stay: Stay, start: Time, end: Time, status: u16) {
        let inside = self.measured(stay.arrived) && end.0 <= self.window_start + self.window_length;
        if !inside || status >= 400 || !stay.counts || !self.windows.is_empty() {
            self.service_started(sums, stay, start);
            self.busy(sums, (stay.endpoint, 1), start, end);
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
    pub fn busy(&mut self, sums: &mut EndpointSums, (endpoint, slots): (u32, u32), from: Time, to: Time) {
        let overlap = self.overlap(from, to);
        sums.busy_nanos += u128::from(overlap) * u128::from(slots);
        if !self.windows.is_empty() {
            self.hold(Held::Slots { endpoint }, slots, from, to);
        }
    }

    fn hold(&mut self, what: Held, count: u32, from: Time, to: Time) {
        let (from, to) = self.clipped(from, to);
        self.windows.hold(Stretch { from, to, what, count }, self.now);
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

/// Counts a request of a client.
#[inline]
fn count_request(client: &mut ClientResult, end: End, latency: u64, attempts: u16) {
    client.requests += 1;
    client.attempts += u64::from(attempts);
    if end.is_success() {
        return client.latency.record(latency);
    }
    end.count(&mut client.failures);
    if end != End::Answer(Answer::Cancelled) {
        client.failed_latency.record(latency);
    }
}
