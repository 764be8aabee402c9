//! gRPC's outlier detection: everything happens in sweeps, by the answers of the interval that ends with it.
//!
//! gRFC A50 and grpc-go's `internal/xds/balancer/outlierdetection/balancer.go`. As there, whether somebody more may go is asked before
//! one goes (so at least one may, however few there are), and an endpoint that is out and is detected again, by the other kind or by
//! answers that came late, goes out anew: its time begins again and grows, and one more is counted as out for ever.

use super::grpc_options::{Options, SuccessRateEjection};
use super::rates::{Bucket, success_rate_threshold};
use crate::policy::watch::{Decision, Decisions, Notice, Reason, Watcher};
use crate::policy::{Answer, EndpointIndex};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// What is known of an endpoint.
#[derive(Clone, Debug, Default)]
struct Host {
    is_listed: bool,
    current: Bucket,
    finished: Bucket,
    ejected: Option<Time>,
    multiplier: u32,
}

/// The detector of one caller and upstream.
#[derive(Debug)]
pub(crate) struct Detector {
    options: Options,
    // By endpoint.
    hosts: Vec<Host>,
    listed: u32,
    ejected: u32,
    sweep_at: Time,
}

impl Detector {
    pub fn new(options: &Options, now: Time) -> Detector {
        let mut options = options.clone();
        if options.success_rate_ejection.is_none() && options.failure_percentage_ejection.is_none() {
            options.success_rate_ejection = Some(SuccessRateEjection::default());
        }
        Detector {
            sweep_at: now + options.interval,
            options,
            hosts: Vec::new(),
            listed: 0,
            ejected: 0,
        }
    }

    /// The first sweep comes after this share of the interval.
    pub fn set_phase(&mut self, share: f64, now: Time) {
        self.sweep_at = now + Duration::from_nanos_f64(self.options.interval.0 as f64 * share);
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
        self.ejected -= u32::from(host.ejected.is_some());
    }

    /// An attempt has ended.
    #[inline]
    pub fn on_finished(&mut self, endpoint: EndpointIndex, answer: Answer) {
        let is_success = match answer {
            // gRPC statuses are written as HTTP statuses here, and only OK is one below 400.
            Answer::Status(status) => status < 400,
            // There is no call on a subchannel that has no connection.
            Answer::ConnectFailure => return,
            Answer::Reset | Answer::PerTryTimeout | Answer::Timeout | Answer::Cancelled => false,
        };
        self.hosts[endpoint.at()].current.count(is_success);
    }

    /// When the next sweep is due.
    #[inline]
    pub fn next_timer(&self) -> Time {
        self.sweep_at
    }

    /// A sweep.
    pub fn on_timer(&mut self, now: Time, rng: &mut Rng, decisions: &mut Decisions) {
        self.sweep_at = now + self.options.interval;
        for host in &mut self.hosts {
            host.finished = std::mem::take(&mut host.current);
        }
        self.judge_rates(now, rng, decisions);
        self.judge_failures(now, rng, decisions);
        for at in 0..self.hosts.len() {
            let longest = self.options.longest_ejection();
            let host = &mut self.hosts[at];
            let Some(since) = host.ejected else {
                host.multiplier = host.multiplier.saturating_sub(1);
                continue;
            };
            let grown = self.options.base_ejection_time.0.saturating_mul(u64::from(host.multiplier));
            if now.since(since) > Duration(grown).min(longest) {
                host.ejected = None;
                self.ejected -= 1;
                decide(decisions, EndpointIndex(at as u32), Decision::In);
            }
        }
    }

    /// Takes out whose rate of success is an outlier.
    fn judge_rates(&mut self, now: Time, rng: &mut Rng, decisions: &mut Decisions) {
        let Some(ejection) = self.options.success_rate_ejection.clone() else {
            return;
        };
        let rates = self
            .hosts
            .iter()
            .filter(|host| is_judged(host, ejection.request_volume))
            .map(|host| host.finished.rate_of(1.0));
        if rates.clone().count() < ejection.minimum_hosts as usize {
            return;
        }
        let Some((_, limit)) = success_rate_threshold(rates, ejection.stdev_factor) else {
            return;
        };
        for at in 0..self.hosts.len() {
            let host = &self.hosts[at];
            if is_judged(host, ejection.request_volume) && host.finished.rate_of(1.0) < limit {
                let is_obeyed = obeys(ejection.enforcement_percentage, rng);
                self.eject(EndpointIndex(at as u32), Reason::SuccessRate, is_obeyed, now, decisions);
            }
        }
    }

    /// Takes out whose share of failures is above the limit.
    fn judge_failures(&mut self, now: Time, rng: &mut Rng, decisions: &mut Decisions) {
        let Some(ejection) = self.options.failure_percentage_ejection.clone() else {
            return;
        };
        let judged = self.hosts.iter().filter(|host| is_judged(host, ejection.request_volume));
        if judged.count() < ejection.minimum_hosts as usize {
            return;
        }
        for at in 0..self.hosts.len() {
            let host = &self.hosts[at];
            let failures = f64::from(host.finished.total - host.finished.successes) / f64::from(host.finished.total) * 100.0;
            if is_judged(host, ejection.request_volume) && failures > f64::from(ejection.threshold) {
                let is_obeyed = obeys(ejection.enforcement_percentage, rng);
                self.eject(EndpointIndex(at as u32), Reason::FailurePercentage, is_obeyed, now, decisions);
            }
        }
    }

    /// Takes an endpoint out, if that is allowed and obeyed.
    fn eject(&mut self, endpoint: EndpointIndex, reason: Reason, is_obeyed: bool, now: Time, decisions: &mut Decisions) {
        if !is_obeyed || !may_eject(self.listed, self.ejected, self.options.max_ejection_percent) {
            decide(decisions, endpoint, Decision::Spared { reason });
            return;
        }
        self.ejected += 1;
        let host = &mut self.hosts[endpoint.at()];
        host.ejected = Some(now);
        host.multiplier += 1;
        let grown = self.options.base_ejection_time.0.saturating_mul(u64::from(host.multiplier));
        let until = Some(now + Duration(grown).min(self.options.longest_ejection()));
        decide(decisions, endpoint, Decision::Out { reason, until });
    }
}

fn decide(decisions: &mut Decisions, endpoint: EndpointIndex, decision: Decision) {
    decisions.push_back(Notice {
        endpoint,
        watcher: Watcher::OutlierDetection,
        decision,
    });
}

/// Whether there were enough answers in the last interval.
fn is_judged(host: &Host, volume: u32) -> bool {
    host.is_listed && host.finished.total > 0 && host.finished.total >= volume
}

/// Whether a detection is obeyed, of which so many per cent are.
fn obeys(percent: u32, rng: &mut Rng) -> bool {
    match percent {
        0 => false,
        100.. => true,
        _ => rng.below(100) < u64::from(percent),
    }
}

/// Whether one more of `endpoints` may be out, where `ejected` are.
pub fn may_eject(endpoints: u32, ejected: u32, max_ejection_percent: u32) -> bool {
    f64::from(ejected) / f64::from(endpoints) * 100.0 < f64::from(max_ejection_percent)
}
