//! Envoy's adaptive concurrency: how many requests an endpoint may have at once, found from how latency grows with them.
//!
//! Source: envoyproxy/envoy `source/extensions/filters/http/adaptive_concurrency/controller/gradient_controller.cc`, API
//! `adaptive_concurrency.proto`. Its two timers do nothing that could be seen between two requests, so here they catch up when one comes or goes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::local_rate_limit::Status;
use super::quantile::Latencies;
use super::values::{Number, Part};
use crate::policy::balancer::Entry;
use crate::random::Rng;
use crate::time::{Duration, Time};

/// Whose controller, and what is answered above its limit.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "AdaptiveConcurrency")]
pub struct Options {
    /// Whether it is on.
    pub enabled: bool,
    /// The controller.
    pub gradient_controller_config: GradientController,
    /// The status of what is turned away; 503 if absent.
    pub concurrency_limit_exceeded_status: Option<Status>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            enabled: true,
            gradient_controller_config: GradientController::default(),
            concurrency_limit_exceeded_status: None,
        }
    }
}

/// The gradient controller.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GradientController {
    /// Which quantile of a window's latencies stands for them.
    pub sample_aggregate_percentile: Part,
    /// How the limit moves.
    pub concurrency_limit_params: LimitParams,
    /// How the latency without queueing is found.
    pub min_rtt_calc_params: MinRttParams,
}

impl Default for GradientController {
    fn default() -> GradientController {
        GradientController {
            sample_aggregate_percentile: Part(0.5),
            concurrency_limit_params: LimitParams::default(),
            min_rtt_calc_params: MinRttParams::default(),
        }
    }
}

/// How the limit moves.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitParams {
    /// The limit is never larger.
    pub max_concurrency_limit: Number,
    /// How often it is set anew. Envoy demands a value.
    pub concurrency_update_interval: Duration,
}

impl Default for LimitParams {
    fn default() -> LimitParams {
        LimitParams {
            max_concurrency_limit: Number(1000.0),
            concurrency_update_interval: Duration::from_millis(100),
        }
    }
}

/// How the latency without queueing is found.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MinRttParams {
    /// How long after one measurement the next begins. Envoy demands a value.
    pub interval: Duration,
    /// That latency, if it is known: then it is never measured.
    pub fixed_value: Option<Duration>,
    /// So many requests are measured.
    pub request_count: Number,
    /// A random part of this share of the interval is added to it.
    pub jitter: Part,
    /// The limit while it is measured, and the smallest at all.
    pub min_concurrency: Number,
    /// So much more is not yet taken for queueing.
    pub buffer: Part,
}

impl Default for MinRttParams {
    fn default() -> MinRttParams {
        MinRttParams {
            interval: Duration::from_secs(60),
            fixed_value: None,
            request_count: Number(50.0),
            jitter: Part(0.15),
            min_concurrency: Number(3.0),
            buffer: Part(0.25),
        }
    }
}

/// What it is, for whoever lists policies.
pub const ENTRY: Entry = Entry {
    name: "envoy/adaptive_concurrency",
    family: "envoy",
    about: "A limit of the requests that an endpoint has at once, found from how latency grows with them",
    source: "envoyproxy/envoy source/extensions/filters/http/adaptive_concurrency",
    checked: "Limits from the upstream formula; The fixed point of the gradient",
    differences: "One proxy thread, so no request slips through while the limit changes",
    schema: <Options as JsonSchema>::json_schema,
};

/// The gradient, and the limit that follows from it.
pub fn new_limit(min_rtt_us: u64, sample_rtt_us: u64, limit: u32, buffer: f64, (least, most): (u32, u32)) -> (f64, u32) {
    let buffered = min_rtt_us as f64 + min_rtt_us as f64 * buffer;
    let gradient = (buffered / sample_rtt_us.max(1) as f64).clamp(0.5, 2.0);
    let moved = f64::from(limit) * gradient;
    (gradient, ((moved + moved.sqrt()) as u32).min(most).max(least))
}

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        let GradientController {
            concurrency_limit_params: limit,
            min_rtt_calc_params: rtt,
            ..
        } = &self.gradient_controller_config;
        for (name, number) in [
            ("max_concurrency_limit", limit.max_concurrency_limit),
            ("request_count", rtt.request_count),
            ("min_concurrency", rtt.min_concurrency),
        ] {
            if !(1.0..=1e9).contains(&number.0) {
                return Err(format!("`{name}` must be from 1 to 1000000000"));
            }
        }
        for (name, duration) in [
            ("concurrency_update_interval", Some(limit.concurrency_update_interval)),
            ("interval", Some(rtt.interval)),
            ("fixed_value", rtt.fixed_value),
        ] {
            if duration.is_some_and(|duration| duration < Duration::from_millis(1)) {
                return Err(format!("`{name}` must be at least 1ms"));
            }
        }
        self.concurrency_limit_exceeded_status.map_or(Ok(()), Status::check)
    }

    /// What is answered to those turned away.
    pub fn status(&self) -> u16 {
        self.concurrency_limit_exceeded_status.map_or(503, Status::code)
    }
}

/// The limit is at its minimum for so many updates before the latency is measured anew.
const MINIMA: u32 = 5;

/// The controller of one endpoint.
#[derive(Debug)]
pub(super) struct Controller {
    limit: u32,
    outstanding: u32,
    min_rtt_us: u64,
    /// The limit before the measurement that is under way.
    deferred: Option<u32>,
    /// Requests that came before this are not measured.
    epoch: Time,
    minima: u32,
    next_measurement: Time,
    next_update: Time,
    latencies: Latencies,
}

impl Controller {
    pub fn new(options: &Options, now: Time) -> Controller {
        let config = &options.gradient_controller_config;
        let mut controller = Controller {
            limit: config.min_rtt_calc_params.min_concurrency.whole(),
            outstanding: 0,
            min_rtt_us: 0,
            deferred: None,
            epoch: now,
            minima: 0,
            next_measurement: Time::MAX,
            next_update: now + config.concurrency_limit_params.concurrency_update_interval,
            latencies: Latencies::new(),
        };
        match config.min_rtt_calc_params.fixed_value {
            Some(fixed) => controller.min_rtt_us = fixed.0 / 1000,
            None => controller.begin_measurement(options, now),
        }
        controller
    }

    #[cfg(test)]
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether a request may pass.
    pub fn admits(&mut self, options: &Options, now: Time) -> bool {
        self.catch_up(options, now);
        let passes = self.outstanding < self.limit;
        self.outstanding += u32::from(passes);
        passes
    }

    /// A request that passed has ended, and was answered or not.
    pub fn ended(&mut self, options: &Options, arrived: Time, answered: bool, now: Time, rng: &mut Rng) {
        self.catch_up(options, now);
        self.outstanding = self.outstanding.saturating_sub(1);
        if !answered || arrived < self.epoch {
            return;
        }
        self.latencies.record(now.since(arrived).0 / 1000);
        let wanted = options.gradient_controller_config.min_rtt_calc_params.request_count.whole();
        if self.deferred.is_some() && self.latencies.count() >= wanted {
            self.end_measurement(options, now, rng);
        }
    }

    /// Does what the timers would have done by now.
    fn catch_up(&mut self, options: &Options, now: Time) {
        loop {
            let next = self.next_measurement.min(self.next_update);
            if next > now {
                return;
            }
            if self.next_measurement <= self.next_update {
                self.next_measurement = Time::MAX;
                self.begin_measurement(options, next);
            } else {
                self.update(options, now);
            }
        }
    }

    fn begin_measurement(&mut self, options: &Options, now: Time) {
        if self.deferred.is_some() {
            return;
        }
        self.deferred = Some(self.limit);
        let least = options.gradient_controller_config.min_rtt_calc_params.min_concurrency.whole();
        self.set_limit(options, least, now);
        self.latencies.clear();
        self.epoch = now;
        // It goes on with the end of the measurement.
        self.next_update = Time::MAX;
    }

    fn end_measurement(&mut self, options: &Options, now: Time, rng: &mut Rng) {
        let config = &options.gradient_controller_config;
        self.min_rtt_us = self.latencies.take(config.sample_aggregate_percentile.0);
        let limit = self.deferred.unwrap_or(self.limit);
        // As upstream, the limit is set before the measurement is over, so this is no minimum in a row.
        self.set_limit(options, limit, now);
        self.deferred = None;
        let params = &config.min_rtt_calc_params;
        let jitter = (params.interval.0 as f64 / 1e6 * params.jitter.0).ceil() as u64;
        let part = if jitter == 0 { 0 } else { rng.below(jitter) };
        self.next_measurement = now + params.interval + Duration::from_millis(part);
        self.next_update = now + config.concurrency_limit_params.concurrency_update_interval;
    }

    /// The timer of updates.
    fn update(&mut self, options: &Options, now: Time) {
        let config = &options.gradient_controller_config;
        let interval = config.concurrency_limit_params.concurrency_update_interval;
        let at = self.next_update;
        if self.latencies.count() == 0 {
            // Windows in which nothing came change nothing.
            let until = now.min(self.next_measurement);
            let windows = 1 + until.since(at).0 / interval.0;
            self.next_update = at + Duration(interval.0.saturating_mul(windows));
            return;
        }
        self.next_update = at + interval;
        let sample = self.latencies.take(config.sample_aggregate_percentile.0);
        let params = &config.min_rtt_calc_params;
        let range = (
            params.min_concurrency.whole(),
            config.concurrency_limit_params.max_concurrency_limit.whole(),
        );
        let (_, limit) = new_limit(self.min_rtt_us, sample, self.limit, params.buffer.0, range);
        self.set_limit(options, limit, at);
    }

    fn set_limit(&mut self, options: &Options, limit: u32, now: Time) {
        let params = &options.gradient_controller_config.min_rtt_calc_params;
        let least = params.min_concurrency.whole();
        let was = std::mem::replace(&mut self.limit, limit);
        self.minima = if self.deferred.is_none() && was == least && limit == least {
            self.minima + 1
        } else {
            0
        };
        if self.minima >= MINIMA && params.fixed_value.is_none() {
            self.next_measurement = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With latencies that do not grow the limit grows by its headroom; with latencies twice the buffered minimum it falls to where
    /// the headroom makes up for it.
    #[test]
    fn the_limit_settles_where_gradient_and_headroom_balance() {
        let options: Options = serde_json::from_value(serde_json::json!({"gradient_controller_config": {
            "min_rtt_calc_params": {"request_count": 10, "min_concurrency": 3, "interval": "1h", "jitter": {"value": 0}}
        }}))
        .expect("it is right");
        let mut rng = Rng::new(1);
        let mut now = Time::ZERO;
        let mut controller = Controller::new(&options, now);
        // Latency is 10 ms up to 50 at once and grows in proportion beyond: Little's law at a station with a fixed rate.
        for _ in 0..400 {
            let start = now;
            let mut passed = 0_u32;
            while controller.admits(&options, now) {
                passed += 1;
            }
            assert_eq!(passed, controller.limit());
            now += Duration::from_micros(10_000 * u64::from(passed.max(50)) / 50);
            for _ in 0..passed {
                controller.ended(&options, start, true, now, &mut rng);
            }
            now += Duration::from_millis(100);
        }
        // L = L g + sqrt(L g) with g = 1.25 * 50 / L: 62.5 + sqrt(62.5) = 70.4; as latencies have two digits, it goes round
        // between 71 and 75.
        let limit = controller.limit();
        assert!((70..=76).contains(&limit), "the limit is {limit}");
    }
}
