//! Envoy's slow start: a new endpoint's weight grows over a window, so that it is not flooded while it is cold
//! (`source/extensions/load_balancing_policies/common/load_balancer_impl.cc`: `EdfLoadBalancerBase`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math;
use crate::policy::balancer::common::wrapped_number::{self, Number};
use crate::policy::{CandidateSet, EndpointIndex, Health};
use crate::time::{Duration, Time};

/// What Envoy's `SlowStartConfig` message holds.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SlowStartConfig {
    /// How long an endpoint is in slow start from when it joins, or passes its health check again; 0: no slow start.
    #[schemars(extend("x-upstream" = "SlowStartConfig.slow_start_window"))]
    pub slow_start_window: Duration,
    /// How fast the weight grows: with the elapsed share of the window to the power of 1 / aggression. Above 0; at 1 it grows
    /// linearly.
    #[serde(deserialize_with = "wrapped_number::runtime_double")]
    #[schemars(with = "Number", extend("x-upstream" = "SlowStartConfig.aggression"))]
    pub aggression: f64,
    /// The least share of its weight that an endpoint begins with, from 0 to 100 per cent.
    #[serde(deserialize_with = "wrapped_number::value")]
    #[schemars(with = "Number", extend("x-upstream" = "SlowStartConfig.min_weight_percent"))]
    pub min_weight_percent: f64,
}

impl Default for SlowStartConfig {
    fn default() -> SlowStartConfig {
        SlowStartConfig {
            slow_start_window: Duration::ZERO,
            aggression: 1.0,
            min_weight_percent: 10.0,
        }
    }
}

impl SlowStartConfig {
    /// Whether they are in the ranges that Envoy admits.
    ///
    /// # Errors
    /// A sentence about the option that is not.
    pub fn check(&self) -> Result<(), String> {
        if !(self.aggression > 0.0 && self.aggression.is_finite()) {
            return Err(format!("`aggression` must be above 0, not {}", self.aggression));
        }
        if !(0.0..=100.0).contains(&self.min_weight_percent) {
            return Err(format!(
                "`min_weight_percent` must be from 0 to 100, not {}",
                self.min_weight_percent
            ));
        }
        Ok(())
    }

    /// The window in whole milliseconds, which is what Envoy counts in.
    fn window(&self) -> u64 {
        self.slow_start_window.0 / MILLISECOND
    }

    /// The weight of a healthy endpoint that has been so for `age`.
    pub fn weight(&self, weight: f64, age: Duration) -> f64 {
        let (age, window) = (age.0 / MILLISECOND, self.window());
        if age >= window {
            return weight;
        }
        let time_factor = age.max(1) as f64 / window as f64;
        let grown = if self.aggression == 1.0 {
            time_factor
        } else {
            math::pow(time_factor, 1.0 / self.aggression)
        };
        weight * grown.max(self.min_weight_percent / 100.0)
    }
}

const MILLISECOND: u64 = 1_000_000;

/// Since when the endpoints of one caller are healthy.
#[derive(Clone, Debug)]
pub struct SlowStart {
    config: SlowStartConfig,
    // None: its health check failed, so that it begins anew when it passes.
    healthy_since: Vec<Option<Time>>,
    // When the last endpoint came that began in slow start.
    latest: Time,
}

impl SlowStart {
    /// No endpoint is known yet.
    pub fn new(config: &SlowStartConfig) -> SlowStart {
        SlowStart {
            config: config.clone(),
            healthy_since: Vec::new(),
            latest: Time::ZERO,
        }
    }

    /// A new endpoint. Those of the start begin in slow start all together, which changes nothing between them.
    pub fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        // A mesh has many callers, and most of them no slow start: they remember nothing of endpoints.
        if !self.is_enabled() {
            return;
        }
        if self.healthy_since.is_empty() {
            self.latest = now;
        }
        if endpoint.at() >= self.healthy_since.len() {
            self.healthy_since.resize(endpoint.at() + 1, None);
        }
        self.healthy_since[endpoint.at()] = Some(now);
    }

    /// A set changed.
    pub fn update(&mut self, set: CandidateSet<'_>, now: Time) {
        if !self.is_enabled() {
            return;
        }
        for endpoint in set.iter() {
            let since = &mut self.healthy_since[endpoint.at()];
            match set.health(endpoint) {
                Health::Unhealthy | Health::Excluded => *since = None,
                Health::Degraded => *since = since.or(Some(now)),
                Health::Healthy => {
                    let healthy = *since.get_or_insert(now);
                    if healthy > self.latest && whole_milliseconds(now, healthy) <= self.config.window() {
                        self.latest = healthy;
                    }
                }
            }
        }
    }

    fn is_enabled(&self) -> bool {
        self.config.window() > 0
    }

    /// Whether any endpoint may be in slow start.
    #[inline]
    pub fn is_active(&self, now: Time) -> bool {
        self.is_enabled() && whole_milliseconds(now, self.latest) <= self.config.window()
    }

    /// The weight to schedule a member of a set by.
    #[inline]
    pub fn weight(&self, weight: f64, set: CandidateSet<'_>, endpoint: EndpointIndex, now: Time) -> f64 {
        if !self.is_active(now) || set.health(endpoint) != Health::Healthy {
            return weight;
        }
        match self.healthy_since[endpoint.at()] {
            Some(healthy) => self.config.weight(weight, now.since(healthy)),
            None => weight,
        }
    }
}

fn whole_milliseconds(now: Time, since: Time) -> u64 {
    now.since(since).0 / MILLISECOND
}
