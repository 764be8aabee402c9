//! Envoy's outlier detection: failures in a row take an endpoint out at once; sweeps judge rates, and let endpoints back in.
//!
//! `source/common/upstream/outlier_detection_impl.cc`. Real Envoy has two quirks that are kept here. An endpoint that both its rates
//! speak against in one sweep is taken out twice: its next times out grow twice, and one more is counted as out for ever. And what
//! counts as out is compared with all endpoints, whatever their priority.

use super::envoy_options::Options;
use super::rates::{Bucket, success_rate_threshold};
use crate::policy::watch::{Decision, Decisions, Notice, Reason, Watcher};
use crate::policy::{Answer, EndpointIndex};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// Counts with and without an answer are kept by themselves: the first is of what endpoints say, the second of what the caller sees.
const EXTERNAL: usize = 0;
const LOCAL: usize = 1;

const MILLISECOND: u64 = 1_000_000;

/// What is known of an endpoint.
#[derive(Clone, Debug, Default)]
struct Host {
    is_listed: bool,
    consecutive_5xx: u32,
    consecutive_gateway_failure: u32,
    consecutive_local_origin_failure: u32,
    // Of this interval and of the last, by origin.
    current: [Bucket; 2],
    finished: [Bucket; 2],
    ejected: Option<Time>,
    unejected: Option<Time>,
    // How many base times it stays out, with jitter beside.
    backoff: u32,
    jitter: Duration,
}

/// The detector of one caller and upstream.
#[derive(Debug)]
pub(crate) struct Detector {
    options: Options,
    // By endpoint.
    hosts: Vec<Host>,
    listed: u32,
    // As Envoy counts them.
    active: u32,
    sweep_at: Time,
    // Whether attempts without an answer are known to have had a connection, which Envoy counts as a success of its own.
    ends_are_connected: bool,
}

impl Detector {
    pub fn new(options: &Options, now: Time) -> Detector {
        Detector {
            sweep_at: now + options.interval,
            options: options.clone(),
            hosts: Vec::new(),
            listed: 0,
            active: 0,
            ends_are_connected: false,
        }
    }

    /// The first sweep comes after this share of the interval.
    pub fn set_phase(&mut self, share: f64, now: Time) {
        self.sweep_at = now + Duration::from_nanos_f64(self.options.interval.0 as f64 * share);
    }

    /// From now on attempts that time out or break are known to have had a connection.
    pub fn expect_connections(&mut self) {
        self.ends_are_connected = true;
    }

    pub fn on_added(&mut self, endpoint: EndpointIndex) {
        if self.hosts.len() <= endpoint.at() {
            self.hosts.resize(endpoint.at() + 1, Host::default());
        }
        self.on_removed(endpoint);
        self.hosts[endpoint.at()].is_listed = true;
        self.listed += 1;
    }

    pub fn on_removed(&mut self, endpoint: EndpointIndex) {
        let host = std::mem::take(&mut self.hosts[endpoint.at()]);
        self.listed -= u32::from(host.is_listed);
        self.active -= u32::from(host.ejected.is_some());
    }

    /// An attempt has ended.
    #[inline]
    pub fn on_finished(&mut self, endpoint: EndpointIndex, answer: Answer, now: Time, rng: &mut Rng, decisions: &mut Decisions) {
        let mut round = Round { now, rng, decisions };
        if self.options.split_external_local_origin_errors {
            self.count_split(endpoint, answer, &mut round);
            return;
        }
        match answer {
            Answer::Status(status) => self.count(endpoint, status, &mut round),
            Answer::ConnectFailure | Answer::Reset => self.count(endpoint, 503, &mut round),
            Answer::PerTryTimeout | Answer::Timeout => self.count(endpoint, 504, &mut round),
            Answer::Cancelled => {}
        }
    }

    fn count_split(&mut self, endpoint: EndpointIndex, answer: Answer, round: &mut Round<'_>) {
        match answer {
            Answer::Status(status) => {
                self.count_local(endpoint, true, round);
                self.count(endpoint, status, round);
            }
            Answer::ConnectFailure => self.count_local(endpoint, false, round),
            Answer::Reset | Answer::PerTryTimeout | Answer::Timeout => {
                // Envoy's router reports the connection before it reports what became of the request, so that such ends in a row are
                // never more than one.
                if self.ends_are_connected {
                    self.count_local(endpoint, true, round);
                }
                self.count_local(endpoint, false, round);
            }
            Answer::Cancelled => {}
        }
    }

    /// Counts an answer, or what stands for one.
    #[inline]
    fn count(&mut self, endpoint: EndpointIndex, status: u16, round: &mut Round<'_>) {
        let host = &mut self.hosts[endpoint.at()];
        let is_success = status < 500;
        host.current[EXTERNAL].count(is_success);
        if is_success {
            host.consecutive_5xx = 0;
            host.consecutive_gateway_failure = 0;
            return;
        }
        host.consecutive_5xx += 1;
        // Equal, not above: an endpoint that is out goes on counting, and does not trip again.
        let trips_5xx = host.consecutive_5xx == self.options.consecutive_5xx;
        if matches!(status, 502..=504) {
            host.consecutive_gateway_failure += 1;
            if host.consecutive_gateway_failure == self.options.consecutive_gateway_failure {
                self.trip(endpoint, Reason::ConsecutiveGatewayFailure, round);
            }
        } else {
            host.consecutive_gateway_failure = 0;
        }
        if trips_5xx {
            self.trip(endpoint, Reason::Consecutive5xx, round);
        }
    }

    fn count_local(&mut self, endpoint: EndpointIndex, is_success: bool, round: &mut Round<'_>) {
        let host = &mut self.hosts[endpoint.at()];
        host.current[LOCAL].count(is_success);
        if is_success {
            host.consecutive_local_origin_failure = 0;
            return;
        }
        host.consecutive_local_origin_failure += 1;
        if host.consecutive_local_origin_failure == self.options.consecutive_local_origin_failure {
            self.trip(endpoint, Reason::ConsecutiveLocalOriginFailure, round);
        }
    }

    /// So many failures in a row were there.
    fn trip(&mut self, endpoint: EndpointIndex, reason: Reason, round: &mut Round<'_>) {
        if self.hosts[endpoint.at()].ejected.is_some() {
            return;
        }
        self.eject(endpoint, reason, round);
        // Where it was not obeyed it is detected again after as many more.
        let host = &mut self.hosts[endpoint.at()];
        match reason {
            Reason::ConsecutiveGatewayFailure => host.consecutive_gateway_failure = 0,
            Reason::ConsecutiveLocalOriginFailure => host.consecutive_local_origin_failure = 0,
            _ => host.consecutive_5xx = 0,
        }
    }

    /// Takes an endpoint out, if that is allowed and obeyed.
    fn eject(&mut self, endpoint: EndpointIndex, reason: Reason, round: &mut Round<'_>) {
        if !self.may_eject() || !round.obeys(self.enforcing(reason)) {
            round.decide(endpoint, Decision::Spared { reason });
            return;
        }
        self.active += 1;
        let host = &mut self.hosts[endpoint.at()];
        host.ejected = Some(round.now);
        let jitter_max = self.options.max_ejection_time_jitter.0 / MILLISECOND;
        host.jitter = match jitter_max {
            0 => Duration::ZERO,
            _ => Duration::from_millis(round.rng.below(jitter_max + 1)),
        };
        let base = u128::from(self.options.base_ejection_time.0);
        let longest = u128::from(self.options.longest_ejection().0);
        if u128::from(host.backoff) * base < longest + base {
            host.backoff += 1;
        }
        let until = Some(round.now + self.time_out(endpoint));
        round.decide(endpoint, Decision::Out { reason, until });
    }

    /// Whether one more endpoint may be out.
    fn may_eject(&self) -> bool {
        may_eject(
            self.listed,
            self.active,
            self.options.max_ejection_percent,
            self.options.always_eject_one_host,
        )
    }

    /// The share of detections that are obeyed, in per cent.
    fn enforcing(&self, reason: Reason) -> u32 {
        let options = &self.options;
        match reason {
            Reason::ConsecutiveGatewayFailure => options.enforcing_consecutive_gateway_failure,
            Reason::ConsecutiveLocalOriginFailure => options.enforcing_consecutive_local_origin_failure,
            Reason::SuccessRate => options.enforcing_success_rate,
            Reason::SuccessRateLocalOrigin => options.enforcing_local_origin_success_rate,
            Reason::FailurePercentage => options.enforcing_failure_percentage,
            Reason::FailurePercentageLocalOrigin => options.enforcing_failure_percentage_local_origin,
            _ => options.enforcing_consecutive_5xx,
        }
    }

    /// How long an endpoint that is out stays so at least.
    fn time_out(&self, endpoint: EndpointIndex) -> Duration {
        let host = &self.hosts[endpoint.at()];
        let grown = self.options.base_ejection_time.0.saturating_mul(u64::from(host.backoff));
        Duration(grown.min(self.options.longest_ejection().0)) + host.jitter
    }

    fn uneject(&mut self, endpoint: EndpointIndex, now: Time, decisions: &mut Decisions) {
        self.active -= 1;
        let host = &mut self.hosts[endpoint.at()];
        host.ejected = None;
        host.unejected = Some(now);
        host.consecutive_5xx = 0;
        host.consecutive_gateway_failure = 0;
        host.consecutive_local_origin_failure = 0;
        decisions.push_back(Notice {
            endpoint,
            watcher: Watcher::OutlierDetection,
            decision: Decision::In,
        });
    }

    /// An active health check says that an endpoint is well.
    pub fn on_check_passed(&mut self, endpoint: EndpointIndex, now: Time, decisions: &mut Decisions) {
        if self.options.successful_active_health_check_uneject_host && self.hosts[endpoint.at()].ejected.is_some() {
            self.uneject(endpoint, now, decisions);
        }
    }

    /// Whether an endpoint is out.
    pub fn is_ejected(&self, endpoint: EndpointIndex) -> bool {
        self.hosts[endpoint.at()].ejected.is_some()
    }

    /// When the next sweep is due.
    #[inline]
    pub fn next_timer(&self) -> Time {
        self.sweep_at
    }

    /// A sweep.
    pub fn on_timer(&mut self, now: Time, rng: &mut Rng, decisions: &mut Decisions) {
        self.sweep_at = now + self.options.interval;
        for at in 0..self.hosts.len() {
            let endpoint = EndpointIndex(at as u32);
            let host = &mut self.hosts[at];
            host.finished = std::mem::take(&mut host.current);
            if let Some(since) = host.ejected
                && now.since(since) >= self.time_out(endpoint)
            {
                self.uneject(endpoint, now, decisions);
            }
        }
        let mut round = Round { now, rng, decisions };
        self.judge_rates(EXTERNAL, &mut round);
        if self.options.split_external_local_origin_errors {
            self.judge_rates(LOCAL, &mut round);
        }
        for host in &mut self.hosts {
            let is_quiet = host.unejected.is_some_and(|since| now.since(since) >= self.options.interval);
            if host.ejected.is_none() && is_quiet {
                host.backoff = host.backoff.saturating_sub(1);
            }
        }
    }

    /// Takes out whose rate of success is an outlier, or whose share of failures is above the limit.
    fn judge_rates(&mut self, origin: usize, round: &mut Round<'_>) {
        let options = &self.options;
        let (rate_hosts, failure_hosts) = (options.success_rate_minimum_hosts, options.failure_percentage_minimum_hosts);
        if self.listed < rate_hosts.min(failure_hosts) {
            return;
        }
        // Both are judged by who was in when the sweep began to judge this origin. Nobody comes in meanwhile, so who is out with
        // this sweep's time has gone since.
        let gone_before = |host: &Host| host.ejected.is_some();
        let limit = {
            let volume = options.success_rate_request_volume;
            let rates = self
                .hosts
                .iter()
                .filter(|host| !gone_before(host) && is_judged(host, origin, volume))
                .map(|host| host.finished[origin].rate_of(100.0));
            let enough = rates.clone().count() >= rate_hosts as usize;
            success_rate_threshold(rates, options.success_rate_stdev_factor).filter(|_| enough)
        };
        let failure_volume = options.failure_percentage_request_volume;
        let judged = self
            .hosts
            .iter()
            .filter(|host| !gone_before(host) && is_judged(host, origin, failure_volume));
        let judges_failures = judged.count() >= failure_hosts as usize;
        let (by_rate, by_failures) = match origin {
            EXTERNAL => (Reason::SuccessRate, Reason::FailurePercentage),
            _ => (Reason::SuccessRateLocalOrigin, Reason::FailurePercentageLocalOrigin),
        };
        // Who goes by its rate of success is still judged by its failures, and may go twice.
        let first = round.decisions.len();
        if let Some((_, limit)) = limit {
            for at in 0..self.hosts.len() {
                let host = &self.hosts[at];
                let is_in = host.ejected.is_none() && is_judged(host, origin, self.options.success_rate_request_volume);
                if is_in && host.finished[origin].rate_of(100.0) < limit {
                    self.eject(EndpointIndex(at as u32), by_rate, round);
                }
            }
        }
        if judges_failures {
            for at in 0..self.hosts.len() {
                let endpoint = EndpointIndex(at as u32);
                let host = &self.hosts[at];
                let was_in = host.ejected.is_none() || round.took_out(endpoint, first);
                let failures = 100.0 - host.finished[origin].rate_of(100.0);
                if was_in
                    && is_judged(host, origin, failure_volume)
                    && failures >= f64::from(self.options.failure_percentage_threshold)
                {
                    self.eject(endpoint, by_failures, round);
                }
            }
        }
    }
}

/// Whether there were enough answers in the last interval.
fn is_judged(host: &Host, origin: usize, volume: u32) -> bool {
    let total = host.finished[origin].total;
    host.is_listed && total > 0 && total >= volume
}

/// Whether one more of `hosts` may be out, where `active` are.
pub fn may_eject(hosts: u32, active: u32, max_ejection_percent: u32, always_eject_one_host: bool) -> bool {
    let share = 100.0 * f64::from(active + 1) / f64::from(hosts);
    share <= f64::from(max_ejection_percent) || always_eject_one_host && active == 0
}

/// What decisions are made with.
struct Round<'a> {
    now: Time,
    rng: &'a mut Rng,
    decisions: &'a mut Decisions,
}

impl Round<'_> {
    fn decide(&mut self, endpoint: EndpointIndex, decision: Decision) {
        self.decisions.push_back(Notice {
            endpoint,
            watcher: Watcher::OutlierDetection,
            decision,
        });
    }

    /// Whether a detection is obeyed, of which so many per cent are.
    fn obeys(&mut self, percent: u32) -> bool {
        match percent {
            0 => false,
            100.. => true,
            _ => self.rng.below(100) < u64::from(percent),
        }
    }

    /// Whether a decision since the `first` has taken an endpoint out.
    fn took_out(&self, endpoint: EndpointIndex, first: usize) -> bool {
        let is_out = |notice: &Notice| notice.endpoint == endpoint && matches!(notice.decision, Decision::Out { .. });
        self.decisions.range(first..).any(is_out)
    }
}
