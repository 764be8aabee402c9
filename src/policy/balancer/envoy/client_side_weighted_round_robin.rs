//! Envoy's client-side weighted round robin: ROUND_ROBIN by weights that the endpoints' own load reports give.
//!
//! What the real one does on a timer is done here when the next pick or report finds that its time has passed, with what was known at
//! that time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::wrapped_number::{self, Number};
use crate::policy::balancer::common::{OobReports, PerSet, Schedules, SlowStartConfig};
use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, LoadReport, Outcome};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// What Envoy's `ClientSideWeightedRoundRobin` message holds.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Whether reports come on a stream of their own too, and not only with the answers.
    #[schemars(extend("x-upstream" = "ClientSideWeightedRoundRobin.enable_oob_load_report"))]
    pub enable_oob_load_report: bool,
    /// How often reports come on that stream.
    #[schemars(extend("x-upstream" = "ClientSideWeightedRoundRobin.oob_reporting_period"))]
    pub oob_reporting_period: Duration,
    /// An endpoint must have reported for this long before its weight is used.
    #[schemars(extend("x-upstream" = "ClientSideWeightedRoundRobin.blackout_period"))]
    pub blackout_period: Duration,
    /// A weight is no longer used when the last report is older than this.
    #[schemars(extend("x-upstream" = "ClientSideWeightedRoundRobin.weight_expiration_period"))]
    pub weight_expiration_period: Duration,
    /// How often the weights are computed, at least 1ms. (Envoy's documentation promises a least period of 100ms; 1.40 has none.)
    #[schemars(extend("x-upstream" = "ClientSideWeightedRoundRobin.weight_update_period"))]
    pub weight_update_period: Duration,
    /// How much the share of errors adds to the utilization, at least 0. (Envoy's documentation gives 1 as the default; that of 1.40
    /// is 0.)
    #[serde(deserialize_with = "wrapped_number::value")]
    #[schemars(with = "Number", extend("x-upstream" = "ClientSideWeightedRoundRobin.error_utilization_penalty"))]
    pub error_utilization_penalty: f64,
    /// How the weight of a new endpoint grows; not at all, it has it at once, if absent.
    #[schemars(extend("x-upstream" = "ClientSideWeightedRoundRobin.slow_start_config"))]
    pub slow_start_config: SlowStartConfig,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            enable_oob_load_report: false,
            oob_reporting_period: Duration::from_secs(10),
            blackout_period: Duration::from_secs(10),
            weight_expiration_period: Duration::from_secs(180),
            weight_update_period: Duration::from_secs(1),
            error_utilization_penalty: 0.0,
            slow_start_config: SlowStartConfig::default(),
        }
    }
}

impl Options {
    /// Whether the options are in the ranges that Envoy admits.
    ///
    /// # Errors
    /// A sentence about the option that is not.
    pub fn check(&self) -> Result<(), String> {
        let penalty = self.error_utilization_penalty;
        if !(penalty >= 0.0 && penalty.is_finite()) {
            return Err(format!("`error_utilization_penalty` must be at least 0, not {penalty}"));
        }
        if self.enable_oob_load_report && self.oob_reporting_period == Duration::ZERO {
            return Err("`oob_reporting_period` must be longer than 0".to_string());
        }
        if self.weight_update_period < Duration::from_millis(1) {
            return Err(format!(
                "`weight_update_period` must be at least 1ms, not {}",
                self.weight_update_period
            ));
        }
        self.slow_start_config.check()
    }
}

/// The weight of an endpoint that reports this; `None`: the report says nothing, and is ignored.
pub fn orca_weight(report: &LoadReport, error_utilization_penalty: f64) -> Option<u32> {
    let rate = report.rps_fractional;
    if rate <= 0.0 {
        return None;
    }
    let application = report.application_utilization;
    let utilization = if application > 0.0 {
        application
    } else {
        report.cpu_utilization
    };
    let utilization = utilization + error_utilization_penalty * report.eps / rate;
    // The cast cuts off, and ends at the largest number.
    (utilization > 0.0).then(|| (rate / utilization) as u32)
}

/// One caller's rotation and what endpoints reported to it.
#[derive(Clone, Debug)]
pub struct Balancer {
    options: Options,
    seed: u64,
    cursors: PerSet<u64>,
    schedules: Schedules,
    hosts: Vec<Host>,
    // The endpoints of each level, whatever their health, once they are known.
    levels: PerSet<Option<Vec<EndpointIndex>>>,
    born: Time,
    next_update: Time,
    reports: OobReports,
    // Room for the weights of which the median is taken.
    scratch: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Host {
    // What it is picked by; 0: what discovery says.
    weight: u32,
    reported: u32,
    last_update: Time,
    non_empty_since: Option<Time>,
}

const UNREPORTED: Host = Host {
    weight: 0,
    reported: 0,
    last_update: Time::ZERO,
    non_empty_since: None,
};

impl Host {
    /// What it reported, if that can be used at this time.
    fn valid_weight(&mut self, now: Time, options: &Options) -> Option<u32> {
        let since = self.non_empty_since?;
        if now.since(since) < options.blackout_period {
            return None;
        }
        if now.since(self.last_update) > options.weight_expiration_period {
            self.non_empty_since = None;
            return None;
        }
        Some(self.reported)
    }

    /// Gives it a weight; whether that is another one than before.
    fn set_weight(&mut self, weight: u32) -> bool {
        let is_new = self.weight != weight;
        // A weight of 0 is asked for again and again, as in Envoy.
        self.weight = weight.max(1);
        is_new
    }
}

/// The middle one of weights, or the mean of the middle two; 1 if there is none.
fn median(weights: &mut [u32]) -> u32 {
    weights.sort_unstable();
    let middle = weights.len() / 2;
    match weights.len() {
        0 => 1,
        n if n % 2 == 1 => weights[middle],
        _ => ((u64::from(weights[middle - 1]) + u64::from(weights[middle])) / 2) as u32,
    }
}

impl Balancer {
    /// Computes the weights whose time has come.
    #[inline]
    fn catch_up(&mut self, now: Time) {
        if now >= self.next_update {
            self.update_in_time(now);
        }
    }

    #[cold]
    fn update_in_time(&mut self, now: Time) {
        let period = self.options.weight_update_period.0;
        // Nothing was reported between the updates that were missed, so only the last one counts.
        let last = self.next_update + Duration(now.since(self.next_update).0 / period * period);
        self.next_update = last + Duration(period);
        self.update_weights(last);
    }

    fn update_weights(&mut self, now: Time) {
        let mut is_changed = false;
        for level in self.levels.iter_mut().flatten() {
            is_changed |= update_level(level, &mut self.hosts, &self.options, &mut self.scratch, now);
        }
        if is_changed {
            self.schedules.forget(now);
        }
    }

    /// Takes the weights of discovery until there are others.
    fn list(&mut self, endpoints: &Endpoints<'_>, level: u32, members: Vec<EndpointIndex>) {
        for &endpoint in &members {
            let host = &mut self.hosts[endpoint.at()];
            if host.weight == 0 {
                host.weight = endpoints.weights[endpoint.at()];
            }
        }
        *self.levels.of(level as usize) = Some(members);
    }

    /// A level that has been the same since the start is used for the first time.
    #[cold]
    fn list_at_last(&mut self, endpoints: &Endpoints<'_>, level: u32) {
        let all = (0..endpoints.infos.len() as u32).map(EndpointIndex);
        let members = all.filter(|endpoint| endpoints.infos[endpoint.at()].priority == level);
        self.list(endpoints, level, members.collect());
        let period = self.options.weight_update_period;
        if self.next_update > self.born + period {
            let last = Time(self.next_update.0 - period.0);
            self.update_weights(last);
        }
    }

    fn report(&mut self, endpoint: EndpointIndex, report: &LoadReport, now: Time) {
        self.catch_up(now);
        if let Some(weight) = orca_weight(report, self.options.error_utilization_penalty) {
            let host = &mut self.hosts[endpoint.at()];
            host.reported = weight;
            host.last_update = now;
            host.non_empty_since.get_or_insert(now);
        }
    }
}

/// Gives all endpoints of a level their weights; whether any of them is new.
fn update_level(level: &[EndpointIndex], hosts: &mut [Host], options: &Options, scratch: &mut Vec<u32>, now: Time) -> bool {
    scratch.clear();
    let mut is_changed = false;
    for endpoint in level {
        let host = &mut hosts[endpoint.at()];
        if let Some(weight) = host.valid_weight(now, options) {
            scratch.push(weight);
            is_changed |= host.set_weight(weight);
        }
    }
    if scratch.len() < level.len() {
        let default = median(scratch);
        for endpoint in level {
            let host = &mut hosts[endpoint.at()];
            if host.valid_weight(now, options).is_none() {
                is_changed |= host.set_weight(default);
            }
        }
    }
    is_changed
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "One after the other by weights from the endpoints' own load reports";
    const SOURCE: &'static str = "envoyproxy/envoy source/extensions/load_balancing_policies/common/orca_weight_manager.cc, client_side_weighted_round_robin/client_side_weighted_round_robin_lb.cc";
    const CHECKED: &'static str = "shares of Envoy 1.40 with reporting endpoints";
    const DIFFERENCES: &'static str = "Reports hold no named metrics; out-of-band reports of all endpoints come at the same time";
    const RULES: Rules = Rules::Envoy;
    const WANTS: Wants = Wants {
        load_reports: true,
        probes: true,
        ..Wants::NOTHING
    };

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            seed: 0,
            cursors: PerSet::default(),
            schedules: Schedules::new(&options.slow_start_config),
            hosts: Vec::new(),
            levels: PerSet::default(),
            born: Time::ZERO,
            next_update: Time::MAX,
            reports: OobReports::new(options.enable_oob_load_report.then_some(options.oob_reporting_period)),
            scratch: Vec::new(),
            options: options.clone(),
        }
    }

    fn start(&mut self, rng: &mut Rng) {
        self.seed = rng.next_u64();
        self.schedules.start(self.seed);
    }

    fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        if self.hosts.is_empty() {
            self.born = now;
            self.next_update = now + self.options.weight_update_period;
            self.reports.start(now);
        }
        if endpoint.at() >= self.hosts.len() {
            self.hosts.resize(endpoint.at() + 1, UNREPORTED);
        }
        self.hosts[endpoint.at()] = UNREPORTED;
        self.schedules.on_added(endpoint, now);
    }

    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        self.catch_up(now);
        if set.is_whole_level()
            && let Some(first) = set.iter().next()
        {
            let level = endpoints.infos[first.at()].priority;
            self.list(endpoints, level, set.iter().collect());
            // The first list is there before the weights begin to be computed.
            if now > self.born {
                self.update_weights(now);
            }
        }
        let hosts = &self.hosts;
        let weight = |endpoint: EndpointIndex| f64::from(hosts[endpoint.at()].weight);
        self.schedules.update(set, are_equal(set, hosts), weight, now);
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        now: Time,
        _: &mut Rng,
    ) -> Option<EndpointIndex> {
        self.reports.poll(set, now);
        self.catch_up(now);
        let level = endpoints.infos[set.get(0).at()].priority;
        if self.levels.of(level as usize).is_none() {
            self.list_at_last(endpoints, level);
        }
        let hosts = &self.hosts;
        let weight = |endpoint: EndpointIndex| f64::from(hosts[endpoint.at()].weight);
        let scheduled = self.schedules.pick(set, || are_equal(set, hosts), weight, now);
        scheduled.or_else(|| {
            let cursor = self.cursors.of(set.number());
            let place = self.seed.wrapping_add(*cursor) % u64::from(set.len());
            *cursor = cursor.wrapping_add(1);
            Some(set.get(place as u32))
        })
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        if let Some(load) = &outcome.load {
            self.report(endpoint, load, now);
        }
    }

    #[inline]
    fn next_probe(&mut self) -> Option<EndpointIndex> {
        self.reports.next_probe()
    }

    fn on_probed(&mut self, endpoint: EndpointIndex, report: &LoadReport, now: Time) {
        self.report(endpoint, report, now);
    }
}

fn are_equal(set: CandidateSet<'_>, hosts: &[Host]) -> bool {
    let mut weights = set.iter().map(|endpoint| hosts[endpoint.at()].weight);
    let first = weights.next();
    weights.all(|weight| Some(weight) == first)
}
