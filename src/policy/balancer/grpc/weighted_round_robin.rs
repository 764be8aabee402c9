//! gRPC's weighted_round_robin: connected endpoints by the weights that their own load reports give, on a static stride schedule.
//!
//! What the real one does on a timer is done here when the next pick or report finds that its time has passed, with what was known at
//! that time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{Change, OobReports, PerSet, ReadyList, Subchannels};
use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Health, LoadReport, Outcome};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// What a service config says of `weighted_round_robin`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Whether reports come on a stream of their own rather than with the answers.
    #[serde(alias = "enableOobLoadReport")]
    #[schemars(extend("x-upstream" = "weighted_round_robin.enableOobLoadReport"))]
    pub enable_oob_load_report: bool,
    /// How often reports come on that stream.
    #[serde(alias = "oobReportingPeriod")]
    #[schemars(extend("x-upstream" = "weighted_round_robin.oobReportingPeriod"))]
    pub oob_reporting_period: Duration,
    /// An endpoint must have reported for this long before its weight is used.
    #[serde(alias = "blackoutPeriod")]
    #[schemars(extend("x-upstream" = "weighted_round_robin.blackoutPeriod"))]
    pub blackout_period: Duration,
    /// A weight is no longer used when the last report is this old.
    #[serde(alias = "weightExpirationPeriod")]
    #[schemars(extend("x-upstream" = "weighted_round_robin.weightExpirationPeriod"))]
    pub weight_expiration_period: Duration,
    /// How often the schedule is made anew; less than 100ms counts as 100ms.
    #[serde(alias = "weightUpdatePeriod")]
    #[schemars(extend("x-upstream" = "weighted_round_robin.weightUpdatePeriod"))]
    pub weight_update_period: Duration,
    /// How much the share of errors adds to the utilization, at least 0.
    #[serde(alias = "errorUtilizationPenalty")]
    #[schemars(extend("x-upstream" = "weighted_round_robin.errorUtilizationPenalty"))]
    pub error_utilization_penalty: f64,
}

/// The shortest `weight_update_period` that is obeyed.
const UPDATE_PERIOD_MIN: Duration = Duration::from_millis(100);

impl Default for Options {
    /// The defaults of gRFC A58.
    fn default() -> Options {
        Options {
            enable_oob_load_report: false,
            oob_reporting_period: Duration::from_secs(10),
            blackout_period: Duration::from_secs(10),
            weight_expiration_period: Duration::from_secs(180),
            weight_update_period: Duration::from_secs(1),
            error_utilization_penalty: 1.0,
        }
    }
}

impl Options {
    /// Whether gRPC would take them.
    ///
    /// # Errors
    /// A sentence about the option that it would not take.
    pub fn check(&self) -> Result<(), String> {
        let penalty = self.error_utilization_penalty;
        if !(penalty >= 0.0 && penalty.is_finite()) {
            return Err(format!("`error_utilization_penalty` must be at least 0, not {penalty}"));
        }
        if self.enable_oob_load_report && self.oob_reporting_period == Duration::ZERO {
            return Err("`oob_reporting_period` must be longer than 0".to_string());
        }
        Ok(())
    }
}

/// The weight of an endpoint that reports this; `None`: the report says nothing, and is ignored.
pub fn orca_weight(report: &LoadReport, error_utilization_penalty: f64) -> Option<f64> {
    let mut utilization = report.application_utilization;
    if utilization == 0.0 {
        utilization = report.cpu_utilization;
    }
    if utilization == 0.0 || report.rps_fractional == 0.0 {
        return None;
    }
    let error_rate = report.eps / report.rps_fractional;
    Some(report.rps_fractional / (utilization + error_rate * error_utilization_penalty))
}

/// The static stride schedule: a counter walks over the endpoints again and again, and each one takes its turn in so many of its rounds
/// as its weight is of the largest one's.
#[derive(Clone, Debug, Default)]
pub struct StaticStride {
    // Scaled so that the largest is `WEIGHT_MAX`; empty: plain round robin.
    scaled: Vec<u16>,
    len: u32,
}

const WEIGHT_MAX: u64 = u16::MAX as u64;

impl StaticStride {
    /// Takes these weights, of which 0 stands for one that is not known and counts as the mean of the others.
    pub fn set_weights(&mut self, weights: &[f64]) {
        self.len = weights.len() as u32;
        self.scaled.clear();
        let zeros = weights.iter().filter(|&&weight| weight == 0.0).count();
        if zeros + 1 >= weights.len() {
            return;
        }
        let largest = weights.iter().copied().fold(0.0, f64::max);
        let scale = WEIGHT_MAX as f64 / largest;
        let sum: f64 = weights.iter().sum();
        let mean = (scale * (sum / (weights.len() - zeros) as f64)).round() as u16;
        let scaled = weights.iter().map(|&weight| match weight {
            0.0 => mean,
            _ => (scale * weight).round() as u16,
        });
        self.scaled.extend(scaled);
        if self.scaled.iter().all(|&weight| weight == mean) {
            self.scaled.clear();
        }
    }

    /// The place of the next endpoint, of which there must be one.
    #[inline]
    pub fn next(&self, counter: &mut u32) -> u32 {
        loop {
            *counter = counter.wrapping_add(1);
            let place = *counter % self.len;
            let Some(&weight) = self.scaled.get(place as usize) else {
                return place;
            };
            let round = u64::from(*counter / self.len);
            let weight = u64::from(weight);
            // The offset by half of the range keeps neighbours of the same weight from missing the same rounds.
            let phase = (weight * round + u64::from(place) * (WEIGHT_MAX / 2)) % WEIGHT_MAX;
            if phase >= WEIGHT_MAX - weight {
                return place;
            }
        }
    }

    /// The weights as they are scaled; `None`: plain round robin.
    pub fn scaled(&self) -> Option<&[u16]> {
        (!self.scaled.is_empty()).then_some(&self.scaled)
    }
}

/// One caller's schedules and what endpoints reported to it.
#[derive(Clone, Debug)]
pub struct Balancer {
    options: Options,
    subchannels: Subchannels,
    weights: Vec<Weight>,
    pickers: PerSet<Picker>,
    // The earliest time at which a schedule is to be made anew.
    due: Time,
    born: Time,
    reports: OobReports,
    // Room for the weights of a schedule.
    scratch: Vec<f64>,
}

/// What an endpoint reported.
#[derive(Clone, Copy, Debug)]
struct Weight {
    value: f64,
    last_updated: Option<Time>,
    non_empty_since: Option<Time>,
    // Whether health lets it take traffic.
    is_ready: bool,
}

const NO_WEIGHT: Weight = Weight {
    value: 0.0,
    last_updated: None,
    non_empty_since: None,
    is_ready: true,
};

impl Weight {
    /// A new connection: what was reported over the last one no longer holds.
    fn clear(&mut self) {
        self.last_updated = None;
        self.non_empty_since = None;
    }

    /// The weight to use at a time; 0: none is known.
    fn at(&mut self, now: Time, options: &Options) -> f64 {
        let Some(last_updated) = self.last_updated else { return 0.0 };
        if now.since(last_updated) >= options.weight_expiration_period {
            self.non_empty_since = None;
            return 0.0;
        }
        let blackout = options.blackout_period;
        let is_usable = |since: Option<Time>| since.is_some_and(|since| now.since(since) >= blackout);
        if blackout > Duration::ZERO && !is_usable(self.non_empty_since) {
            return 0.0;
        }
        self.value
    }
}

/// What gRPC's picker holds.
#[derive(Clone, Debug, Default)]
struct Picker {
    list: ReadyList,
    // None: it begins at a random place.
    counter: Option<u32>,
    stride: StaticStride,
    // When the set last changed, where that was after the start.
    changed: Option<Time>,
    next_update: Time,
}

impl Picker {
    fn reschedule(&mut self, weights: &mut [Weight], options: &Options, scratch: &mut Vec<f64>, now: Time) {
        scratch.clear();
        let ready = self.list.ready().iter();
        scratch.extend(ready.map(|endpoint| weights[endpoint.at()].at(now, options)));
        self.stride.set_weights(scratch);
    }
}

impl Balancer {
    /// Makes the schedules anew whose time has come.
    #[inline]
    fn catch_up(&mut self, now: Time) {
        if now >= self.due {
            self.update_weights(now);
        }
    }

    #[cold]
    fn update_weights(&mut self, now: Time) {
        let period = self.options.weight_update_period.0;
        self.due = Time::MAX;
        for picker in self.pickers.iter_mut().filter(|picker| picker.list.is_known()) {
            if picker.next_update <= now {
                // Nothing was reported between the updates that were missed, so only the last one counts.
                let missed = now.since(picker.next_update).0 / period;
                let last = picker.next_update + Duration(missed * period);
                picker.reschedule(&mut self.weights, &self.options, &mut self.scratch, last);
                picker.next_update = last + Duration(period);
            }
            self.due = self.due.min(picker.next_update);
        }
    }

    /// Every change of the connections makes new pickers.
    #[cold]
    fn renew(&mut self, now: Time) {
        for picker in self.pickers.iter_mut().filter(|picker| picker.list.is_known()) {
            picker.list.refresh(&self.subchannels);
            picker.counter = None;
            picker.reschedule(&mut self.weights, &self.options, &mut self.scratch, now);
            picker.next_update = now + self.options.weight_update_period;
            self.due = self.due.min(picker.next_update);
        }
    }

    /// The picker of a set that is used for the first time since it changed.
    #[cold]
    fn fill(&mut self, set: CandidateSet<'_>, now: Time) {
        let picker = self.pickers.of(set.number());
        picker.list.fill(set, &self.subchannels);
        // Its schedule is as old as the set.
        picker.next_update = picker.changed.unwrap_or(self.born);
        self.due = self.due.min(picker.next_update);
        self.update_weights(now);
    }

    fn report(&mut self, endpoint: EndpointIndex, report: &LoadReport, now: Time) {
        if let Some(value) = orca_weight(report, self.options.error_utilization_penalty) {
            let weight = &mut self.weights[endpoint.at()];
            weight.value = value;
            weight.last_updated = Some(now);
            weight.non_empty_since.get_or_insert(now);
        }
    }
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "By weights from the endpoints' own load reports, on a static stride schedule";
    const SOURCE: &'static str = "grpc/grpc-go balancer/weightedroundrobin/scheduler.go, balancer.go; grpc/proposal A58";
    const CHECKED: &'static str = "vectors computed from grpc-go's scheduler; periods that its source gives";
    const DIFFERENCES: &'static str = "The cycle is in the order of the endpoint list, where grpc-go's is that of a Go map; a lost connection is made anew by a call, which may fail; out-of-band reports of all endpoints come at the same time";
    const RULES: Rules = Rules::Ready;
    const WANTS: Wants = Wants {
        load_reports: true,
        probes: true,
        ..Wants::NOTHING
    };

    fn new(options: &Options, _: usize) -> Balancer {
        let mut options = options.clone();
        options.weight_update_period = options.weight_update_period.max(UPDATE_PERIOD_MIN);
        let period = options.enable_oob_load_report.then_some(options.oob_reporting_period);
        Balancer {
            options,
            subchannels: Subchannels::new(),
            weights: Vec::new(),
            pickers: PerSet::default(),
            due: Time::MAX,
            born: Time::ZERO,
            reports: OobReports::new(period),
            scratch: Vec::new(),
        }
    }

    fn start(&mut self, rng: &mut Rng) {
        self.subchannels.start(rng);
    }

    fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        if self.weights.is_empty() {
            self.born = now;
            self.reports.start(now);
        }
        self.subchannels.on_added(endpoint);
        if endpoint.at() >= self.weights.len() {
            self.weights.resize(endpoint.at() + 1, NO_WEIGHT);
        }
        self.weights[endpoint.at()] = NO_WEIGHT;
    }

    fn update(&mut self, _: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        for endpoint in set.iter() {
            let weight = &mut self.weights[endpoint.at()];
            let is_ready = matches!(set.health(endpoint), Health::Healthy | Health::Degraded);
            if is_ready && !weight.is_ready {
                weight.clear();
            }
            weight.is_ready = is_ready;
        }
        let picker = self.pickers.of(set.number());
        picker.changed = Some(now);
        picker.counter = None;
        if picker.list.is_known() {
            // Reports may come before the next pick, and the schedule must not know of them.
            picker.list.fill(set, &self.subchannels);
            picker.reschedule(&mut self.weights, &self.options, &mut self.scratch, now);
            picker.next_update = now + self.options.weight_update_period;
            self.due = self.due.min(picker.next_update);
        }
    }

    #[inline]
    fn pick(
        &mut self,
        _: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        now: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        if self.subchannels.poll(now) {
            self.renew(now);
        }
        self.reports.poll(set, now);
        self.catch_up(now);
        if !self.pickers.of(set.number()).list.is_known() {
            self.fill(set, now);
        }
        let picker = self.pickers.of(set.number());
        let ready = picker.list.ready();
        if ready.is_empty() {
            return None;
        }
        let counter = picker.counter.get_or_insert_with(|| rng.next_u64() as u32);
        Some(ready[picker.stride.next(counter) as usize])
    }

    #[inline]
    fn on_started(&mut self, endpoint: EndpointIndex, now: Time) {
        if self.subchannels.on_started(endpoint) {
            self.renew(now);
        }
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        self.catch_up(now);
        let change = self.subchannels.on_finished(endpoint, outcome.answer, now);
        if change == Change::Connected {
            self.weights[endpoint.at()].clear();
        }
        if change != Change::None {
            self.renew(now);
        }
        match &outcome.load {
            Some(load) if !self.options.enable_oob_load_report => self.report(endpoint, load, now),
            _ => {}
        }
    }

    #[inline]
    fn next_probe(&mut self) -> Option<EndpointIndex> {
        self.reports.next_probe()
    }

    fn on_probed(&mut self, endpoint: EndpointIndex, report: &LoadReport, now: Time) {
        if self.options.enable_oob_load_report {
            self.catch_up(now);
            self.report(endpoint, report, now);
        }
    }
}
