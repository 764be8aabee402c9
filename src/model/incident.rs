//! Incidents: how callers and clients go through a fault. When a caller notices, when its endpoints are out of balancing, when traffic
//! has moved away, when clients are as well off as before, and how many requests the fault cost.

use crate::measure::Histogram;
use crate::model::plan::Plan;
use crate::model::result::{ClientResult, IncidentResult, SHIFTED_SHARE};
use crate::model::trace::Trace;
use crate::model::world::World;
use crate::policy::{Decision, EndpointIndex, Health, Notice};
use crate::time::{Duration, Time};

/// Incidents of a run that are followed; further ones are not.
const INCIDENTS_MAX: usize = 64;
/// Attempts by which one sees that the share of those struck has fallen, and how many do where the fault ends before.
const SHIFT_ATTEMPTS: u64 = 500;
const SHIFT_ATTEMPTS_MIN: u64 = 100;
/// Buckets of time at most in which they are counted.
const SHIFT_BUCKETS: u64 = 10_000;

/// Clients are as well off as before when, in so many buckets of time in a row taken together, their availability is at most this much
/// below, and the 90th percentile of their latency at most this many times, what it was before.
const RECOVERY_BUCKETS: usize = 3;
const RECOVERY_AVAILABILITY: f64 = 0.01;
const RECOVERY_LATENCY: f64 = 1.25;
const RECOVERY_QUANTILE: f64 = 0.9;

/// All incidents of a run so far.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    all: Vec<Incident>,
    open: u32,
}

/// One of them.
#[derive(Debug)]
struct Incident {
    result: IncidentResult,
    /// Which part of the fault it is.
    strand: u32,
    is_open: bool,
    /// Failed requests that it met in flight.
    met_in_flight: u64,
    /// The endpoints struck, ascending, and their services.
    targets: Vec<u32>,
    services: Vec<u32>,
    width: u64,
    buckets: Vec<Bucket>,
    /// By row in the world's callers.
    callers: Vec<CallerState>,
}

/// Attempts in one bucket of time.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// To the services struck.
    sent: u64,
    /// To the endpoints struck.
    struck: u64,
    /// When the last of these was sent, from the begin.
    last: u64,
}

/// What a caller has done about it; times from the begin.
#[derive(Clone, Copy, Debug, Default)]
struct CallerState {
    sent: bool,
    noticed: Option<u64>,
    /// All endpoints struck are out: since when.
    ejected: Option<u64>,
}

impl Incident {
    fn knows(&self, service: u32) -> bool {
        self.services.contains(&service)
    }

    fn strikes(&self, endpoint: u32) -> bool {
        self.targets.binary_search(&endpoint).is_ok()
    }

    fn close(&mut self, now: Time) {
        self.is_open = false;
        self.result.ended = now.0.max(self.result.began);
        let involved = self.callers.iter().filter(|caller| caller.sent || caller.noticed.is_some());
        for caller in involved {
            self.result.callers += 1;
            self.result.detected += u32::from(caller.noticed.is_some());
            self.result.detect_nanos += caller.noticed.unwrap_or(0);
        }
        let mut senders = self.callers.iter().filter(|caller| caller.sent).peekable();
        self.result.eject = match senders.peek() {
            Some(_) => senders.try_fold(0, |last: u64, caller| Some(last.max(caller.ejected?))),
            None => None,
        };
        self.result.shift = shift(
            &self.buckets,
            (self.result.ended - self.result.began).div_ceil(self.width) as usize,
        );
        self.callers = Vec::new();
        self.buckets = Vec::new();
    }
}

/// The last attempt sent to an endpoint struck before their share fell.
fn shift(buckets: &[Bucket], count: usize) -> Option<u64> {
    let buckets = &buckets[..count.min(buckets.len())];
    // Sums up to each bucket, so that a run of buckets costs two look-ups.
    let mut sums = vec![(0, 0)];
    for bucket in buckets {
        let (sent, struck) = *sums.last().expect("there is a first");
        sums.push((sent + bucket.sent, struck + bucket.struck));
    }
    let &(all, all_struck) = sums.last().expect("there is a first");
    let mut end = 0;
    for (begin, &(sent, struck)) in sums.iter().enumerate().take(buckets.len()) {
        if buckets[begin].sent == 0 {
            continue;
        }
        while end < sums.len() && sums[end].0.saturating_sub(sent) < SHIFT_ATTEMPTS {
            end += 1;
        }
        let (later, later_struck) = sums.get(end).copied().unwrap_or((all, all_struck));
        let (sent, struck) = (later - sent, later_struck - struck);
        if sent >= SHIFT_ATTEMPTS_MIN && struck * SHIFTED_SHARE < sent {
            return Some(buckets[..=begin].iter().map(|bucket| bucket.last).max().unwrap_or(0));
        }
    }
    None
}

impl Incidents {
    /// Whether any fault lasts.
    #[inline]
    pub fn any_open(&self) -> bool {
        self.open > 0
    }

    /// A request that was meant to be sent at `start` has ended.
    #[inline]
    pub fn request_completed(&mut self, start: Time, success: bool) {
        if !self.all.is_empty() {
            self.count_request(start, success);
        }
    }

    fn count_request(&mut self, start: Time, success: bool) {
        for incident in &mut self.all {
            if start.0 < incident.result.began {
                // It ends after the begin, or the incident would not be here.
                incident.met_in_flight += u64::from(!success);
            } else if incident.is_open || start.0 < incident.result.ended {
                incident.result.requests += 1;
                incident.result.failures += u64::from(!success);
            }
        }
    }

    /// An attempt was sent by a caller to an endpoint of the plan.
    fn sent(&mut self, caller: (u32, bool), service: u32, endpoint: u32, now: Time) {
        for incident in self.all.iter_mut().filter(|incident| incident.is_open) {
            if !incident.knows(service) {
                continue;
            }
            let since = now.0 - incident.result.began;
            let strikes = incident.strikes(endpoint);
            if let Some(bucket) = incident.buckets.get_mut((since / incident.width) as usize) {
                bucket.sent += 1;
                if strikes {
                    bucket.struck += 1;
                    bucket.last = since;
                }
            }
            if let Some(state) = incident.callers.get_mut(caller.0 as usize).filter(|_| caller.1) {
                state.sent = true;
            }
        }
    }

    /// Closes what is open, and says what became of all.
    pub fn finish(mut self, plan: &Plan, warmup: Duration, clients: &[ClientResult]) -> Vec<IncidentResult> {
        let end = Time::ZERO + plan.duration;
        self.all
            .iter_mut()
            .filter(|incident| incident.is_open)
            .for_each(|incident| incident.close(end));
        let spans: Vec<(u64, u64)> = self
            .all
            .iter()
            .map(|incident| (incident.result.began, incident.result.ended))
            .collect();
        let series = Buckets {
            interval: plan.interval.0,
            duration: plan.duration.0,
            clients,
        };
        for incident in &mut self.all {
            let result = &mut incident.result;
            let quiet = |from: u64, to: u64| {
                from >= warmup.0 && to <= result.began && spans.iter().all(|&(began, ended)| to <= began || from >= ended)
            };
            let base = series.base(quiet);
            let (requests, failures) = base.iter().fold((0, 0), |(requests, failures), base| {
                (requests + base.requests, failures + base.failures)
            });
            let failures = failures.saturating_sub(incident.met_in_flight);
            result.has_base = requests > 0;
            if requests > 0 {
                let expected = u128::from(failures) * u128::from(result.requests) * 1_000_000 / u128::from(requests);
                result.failures_expected_micros = expected as u64;
            }
            result.failures += incident.met_in_flight;
            result.lasts_to_the_end = result.ended >= plan.duration.0;
            if !result.lasts_to_the_end && requests > 0 {
                result.recover = series.recovery(&base, result.ended);
            }
        }
        self.all.into_iter().map(|incident| incident.result).collect()
    }
}

/// What clients went through, by bucket of time.
struct Buckets<'a> {
    interval: u64,
    duration: u64,
    clients: &'a [ClientResult],
}

/// What a client went through in some buckets of time.
#[derive(Default)]
struct Stretch {
    requests: u64,
    failures: u64,
    latency: Histogram<5>,
}

impl Stretch {
    fn add(&mut self, client: &ClientResult, bucket: usize) {
        self.requests += client.requests_over_time.sums()[bucket];
        self.failures += client.failures_over_time.sums()[bucket];
        self.latency.merge(&client.latency_over_time.histograms()[bucket]);
    }

    fn availability(&self) -> f64 {
        1.0 - self.failures as f64 / self.requests as f64
    }

    /// Whether a client that goes through this is as well off as through `base`.
    fn is_as_good_as(&self, base: &Stretch) -> bool {
        if self.requests == 0 || base.requests == 0 {
            return true;
        }
        let latency = |stretch: &Stretch| stretch.latency.quantile(RECOVERY_QUANTILE);
        let is_fast = match (latency(self), latency(base)) {
            (Some(now), Some(before)) => now <= before * RECOVERY_LATENCY,
            _ => true,
        };
        is_fast && self.availability() >= base.availability() - RECOVERY_AVAILABILITY
    }
}

impl Buckets<'_> {
    fn count(&self) -> usize {
        self.duration.div_ceil(self.interval) as usize
    }

    /// What each client went through in the buckets that lie in quiet time.
    fn base(&self, quiet: impl Fn(u64, u64) -> bool) -> Vec<Stretch> {
        let is_quiet = |&bucket: &usize| {
            let from = bucket as u64 * self.interval;
            quiet(from, (from + self.interval).min(self.duration))
        };
        let buckets: Vec<usize> = (0..self.count()).filter(is_quiet).collect();
        let of_client = |client| {
            let mut stretch = Stretch::default();
            buckets.iter().for_each(|&bucket| stretch.add(client, bucket));
            stretch
        };
        self.clients.iter().map(of_client).collect()
    }

    /// From `ended` to the first moment from which on all clients are as well off as in `base`. The bucket that the fault ends in
    /// counts too: where even that is good, it took no time.
    fn recovery(&self, base: &[Stretch], ended: u64) -> Option<u64> {
        let first = (ended / self.interval) as usize;
        let is_good = |begin: usize| {
            let end = begin + RECOVERY_BUCKETS;
            end <= self.count()
                && self.clients.iter().zip(base).all(|(client, base)| {
                    let mut stretch = Stretch::default();
                    (begin..end).for_each(|bucket| stretch.add(client, bucket));
                    // The bucket alone too, or a good one behind would hide a bad one.
                    let mut alone = Stretch::default();
                    alone.add(client, begin);
                    stretch.is_as_good_as(base) && alone.is_nearly_as_good_as(base)
                })
        };
        let begin = (first..self.count()).find(|&begin| is_good(begin))?;
        Some((begin as u64 * self.interval).saturating_sub(ended))
    }
}

impl Stretch {
    /// As [`Stretch::is_as_good_as`], for so few requests that chance plays a part: four standard deviations of the number of failures
    /// are let pass, and latency is not looked at.
    fn is_nearly_as_good_as(&self, base: &Stretch) -> bool {
        if self.requests == 0 || base.requests == 0 {
            return true;
        }
        let share = 1.0 - base.availability() + RECOVERY_AVAILABILITY;
        let expected = share * self.requests as f64;
        self.failures as f64 <= expected + 4.0 * expected.sqrt()
    }
}

impl<T: Trace> World<'_, T> {
    /// A fault begins, or the part of it that strikes these endpoints (in ascending order).
    pub(super) fn incident_begins(&mut self, (fault, strand): (u32, u32), targets: Vec<u32>, now: Time) {
        let plan = self.plan;
        self.observe.fault_turned(fault, true, now, plan);
        let left = plan.duration.0.saturating_sub(now.0);
        let incidents = &mut self.observe.incidents;
        if left == 0 || incidents.all.len() >= INCIDENTS_MAX {
            return;
        }
        let mut services: Vec<u32> = targets
            .iter()
            .map(|&target| plan.endpoints[target as usize].service)
            .collect();
        services.dedup();
        let width = plan.interval.0.min(Duration::from_secs(1).0).max(left / SHIFT_BUCKETS).max(1);
        incidents.open += 1;
        incidents.all.push(Incident {
            result: IncidentResult {
                fault,
                struck: targets.len() as u32,
                began: now.0,
                ended: plan.duration.0,
                ..IncidentResult::default()
            },
            strand,
            is_open: true,
            met_in_flight: 0,
            buckets: vec![
                Bucket::default();
                if services.is_empty() {
                    0
                } else {
                    left.div_ceil(width) as usize
                }
            ],
            callers: vec![CallerState::default(); self.callers.len()],
            targets,
            services,
            width,
        });
    }

    /// A fault ends, or a part of it.
    pub(super) fn incident_ends(&mut self, (fault, strand): (u32, u32), now: Time) {
        let end = now.min(Time::ZERO + self.plan.duration);
        self.observe.fault_turned(fault, false, now, self.plan);
        let incidents = &mut self.observe.incidents;
        for incident in &mut incidents.all {
            if incident.is_open && incident.strand == strand {
                incident.close(end);
                incidents.open -= 1;
            }
        }
    }

    /// The present attempt of a call has been placed while a fault lasts.
    #[cold]
    pub(super) fn sent_in_incident(&mut self, call: u32, now: Time) {
        let row = &self.calls[call];
        let caller = &self.callers[row.cluster as usize];
        let endpoint = caller.first_endpoint + row.endpoint;
        self.observe
            .incidents
            .sent((row.cluster, caller.is_active), caller.service, endpoint, now);
    }

    /// A caller has decided something while a fault lasts.
    pub(super) fn noticed_in_incident(&mut self, caller: u32, notice: &Notice, now: Time) {
        let row = &self.callers[caller as usize];
        let plan = &self.plan.services[row.service as usize];
        let range = plan.first_endpoint..plan.first_endpoint + plan.endpoint_count;
        let endpoint = row.first_endpoint + notice.endpoint.0;
        for incident in self.observe.incidents.all.iter_mut().filter(|incident| incident.is_open) {
            if !incident.knows(row.service) || !incident.strikes(endpoint) {
                continue;
            }
            let mut theirs = incident.targets.iter().filter(|target| range.contains(target));
            let is_out = |target: u32| row.cluster.health(EndpointIndex(target - row.first_endpoint)) == Health::Unhealthy;
            let all_out = theirs.all(|&target| is_out(target));
            let Some(state) = incident.callers.get_mut(caller as usize) else {
                continue;
            };
            let since = now.0 - incident.result.began;
            if matches!(notice.decision, Decision::Out { .. }) {
                state.noticed.get_or_insert(since);
            }
            if all_out {
                state.ejected.get_or_insert(since);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred attempts in each bucket of a second, so many of them to endpoints struck, the last one at its end.
    fn buckets(struck: &[u64]) -> Vec<Bucket> {
        let bucket = |(second, &struck): (u64, &u64)| Bucket {
            sent: 100,
            struck,
            last: if struck > 0 { second * 1000 + 999 } else { 0 },
        };
        (0..).zip(struck).map(bucket).collect()
    }

    #[test]
    fn traffic_has_shifted_at_the_last_attempt_before_a_share_below_a_hundredth() {
        let mut seconds = vec![10, 10, 7];
        seconds.extend([0; 20]);
        assert_eq!(shift(&buckets(&seconds), 23), Some(2999));
        // Four strays among five hundred are less than a hundredth, five are not.
        let stray = [10, 10, 2, 1, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(shift(&buckets(&stray), 11), Some(2999));
        let strays = [10, 10, 3, 1, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(shift(&buckets(&strays), 11), Some(3999));
        // Nobody was ever sent there; everybody always is; the fault ends too soon to tell.
        assert_eq!(shift(&buckets(&[0; 10]), 10), Some(0));
        assert_eq!(shift(&buckets(&[10; 10]), 10), None);
        assert_eq!(shift(&buckets(&[10, 10, 0, 0]), 2), None);
        // Two quiet seconds up to the end are enough, as nothing else is known.
        assert_eq!(shift(&buckets(&[10, 10, 0, 0]), 4), Some(1999));
        assert_eq!(shift(&[], 5), None);
    }

    #[test]
    fn clients_have_recovered_when_they_are_as_well_off_as_before() {
        use crate::measure::{Series, SeriesHistogram};
        let (duration, interval) = (Duration::from_secs(40), Duration::from_secs(1));
        let series = || Series::new(duration, interval);
        let mut client = ClientResult {
            requests_over_time: series(),
            failures_over_time: series(),
            latency_over_time: SeriesHistogram::new(duration, interval),
            ..ClientResult::default()
        };
        // Down from 10 s to 20 s; then slow until 23 s, then failing a little until 26 s.
        for second in 0..40_u64 {
            let failures = match second {
                10..20 => 100,
                23..26 => 20,
                _ => 0,
            };
            client.requests_over_time.add_in(second as usize, 100);
            client.failures_over_time.add_in(second as usize, failures);
            for _ in failures..100 {
                let latency = if (20..23).contains(&second) { 50_000_000 } else { 10_000_000 };
                client.latency_over_time.record_in(second as usize, latency);
            }
        }
        let clients = [client];
        let buckets = Buckets {
            interval: interval.0,
            duration: duration.0,
            clients: &clients,
        };
        let base = buckets.base(|_, to| to <= 10_000_000_000);
        assert_eq!((base[0].requests, base[0].failures), (1000, 0));
        assert_eq!(buckets.recovery(&base, 20_000_000_000), Some(6_000_000_000));
        // It takes no time where the bucket in which the fault ends is good already.
        assert_eq!(buckets.recovery(&base, 30_500_000_000), Some(0));
        // What is left of the run is too short to tell.
        assert_eq!(buckets.recovery(&base, 39_000_000_000), None);
    }
}
