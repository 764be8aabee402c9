//! What a user may write of Envoy's outlier detection: the fields of its `envoy.config.cluster.v3.OutlierDetection`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::whole_number::{self, WholeNumber};
use crate::time::Duration;

/// The shortest interval between sweeps: Envoy counts it in milliseconds.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// `max_ejection_time` where neither it nor a longer `base_ejection_time` is written.
const MAX_EJECTION_TIME: Duration = Duration::from_secs(300);

/// Envoy's options, with its names and defaults.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "EnvoyOutlierDetection")]
pub struct Options {
    /// So many 5xx in a row take an endpoint out; an attempt without an answer counts as 503 or 504, unless these are split off.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub consecutive_5xx: u32,
    /// The share of those detections that are obeyed, in per cent.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub enforcing_consecutive_5xx: u32,
    /// So many 502, 503 or 504 in a row take an endpoint out.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub consecutive_gateway_failure: u32,
    /// The share of those detections that are obeyed, in per cent: none by default.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub enforcing_consecutive_gateway_failure: u32,
    /// Whether attempts without an answer are counted by themselves, rather than as 503 and 504.
    pub split_external_local_origin_errors: bool,
    /// So many attempts in a row without an answer take an endpoint out, where they are counted by themselves.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub consecutive_local_origin_failure: u32,
    /// The share of those detections that are obeyed, in per cent.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub enforcing_consecutive_local_origin_failure: u32,
    /// Time between two sweeps, which judge rates and let endpoints back in.
    pub interval: Duration,
    /// How long an endpoint stays out the first time; the second time twice as long, and so on. It comes back with the next sweep.
    pub base_ejection_time: Duration,
    /// The longest time out; the longer of 300s and `base_ejection_time` if absent.
    pub max_ejection_time: Option<Duration>,
    /// Each time out is made longer by a random time up to this, in whole milliseconds.
    pub max_ejection_time_jitter: Duration,
    /// How many of all endpoints may be out at once, in per cent: below 10 endpoints the default lets none go.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub max_ejection_percent: u32,
    /// Whether one endpoint may be out whatever `max_ejection_percent` says.
    #[serde(deserialize_with = "whole_number::read_bool")]
    #[schemars(with = "bool")]
    pub always_eject_one_host: bool,
    /// Success rates are compared among at least so many endpoints.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub success_rate_minimum_hosts: u32,
    /// An endpoint's success rate counts with so many answers in an interval.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub success_rate_request_volume: u32,
    /// An endpoint is out whose rate is below the mean less this many thousandths of a standard deviation.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub success_rate_stdev_factor: u32,
    /// The share of those detections that are obeyed, in per cent.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub enforcing_success_rate: u32,
    /// The same for attempts without an answer, where they are counted by themselves.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub enforcing_local_origin_success_rate: u32,
    /// An endpoint is out of whose answers in an interval at least this many per cent are failures.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub failure_percentage_threshold: u32,
    /// That is judged with at least so many endpoints.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub failure_percentage_minimum_hosts: u32,
    /// An endpoint's failure percentage counts with so many answers in an interval.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub failure_percentage_request_volume: u32,
    /// The share of those detections that are obeyed, in per cent: none by default.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub enforcing_failure_percentage: u32,
    /// The same for attempts without an answer, where they are counted by themselves.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub enforcing_failure_percentage_local_origin: u32,
    /// Whether an active health check that passes lets an endpoint back in.
    #[serde(deserialize_with = "whole_number::read_bool")]
    #[schemars(with = "bool")]
    pub successful_active_health_check_uneject_host: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            consecutive_5xx: 5,
            enforcing_consecutive_5xx: 100,
            consecutive_gateway_failure: 5,
            enforcing_consecutive_gateway_failure: 0,
            split_external_local_origin_errors: false,
            consecutive_local_origin_failure: 5,
            enforcing_consecutive_local_origin_failure: 100,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: None,
            max_ejection_time_jitter: Duration::ZERO,
            max_ejection_percent: 10,
            always_eject_one_host: false,
            success_rate_minimum_hosts: 5,
            success_rate_request_volume: 100,
            success_rate_stdev_factor: 1900,
            enforcing_success_rate: 100,
            enforcing_local_origin_success_rate: 100,
            failure_percentage_threshold: 85,
            failure_percentage_minimum_hosts: 5,
            failure_percentage_request_volume: 50,
            enforcing_failure_percentage: 0,
            enforcing_failure_percentage_local_origin: 0,
            successful_active_health_check_uneject_host: true,
        }
    }
}

impl Options {
    /// The longest time out, without jitter.
    pub fn longest_ejection(&self) -> Duration {
        self.max_ejection_time
            .unwrap_or(MAX_EJECTION_TIME.max(self.base_ejection_time))
    }

    /// Whether Envoy would take them.
    ///
    /// # Errors
    /// A sentence about the option that it would not take.
    pub fn check(&self) -> Result<(), String> {
        let percentages = [
            ("enforcing_consecutive_5xx", self.enforcing_consecutive_5xx),
            (
                "enforcing_consecutive_gateway_failure",
                self.enforcing_consecutive_gateway_failure,
            ),
            (
                "enforcing_consecutive_local_origin_failure",
                self.enforcing_consecutive_local_origin_failure,
            ),
            ("max_ejection_percent", self.max_ejection_percent),
            ("enforcing_success_rate", self.enforcing_success_rate),
            (
                "enforcing_local_origin_success_rate",
                self.enforcing_local_origin_success_rate,
            ),
            ("failure_percentage_threshold", self.failure_percentage_threshold),
            ("enforcing_failure_percentage", self.enforcing_failure_percentage),
            (
                "enforcing_failure_percentage_local_origin",
                self.enforcing_failure_percentage_local_origin,
            ),
        ];
        if let Some((name, percent)) = percentages.iter().find(|(_, percent)| *percent > 100) {
            return Err(format!("`{name}` must be from 0 to 100 per cent, not {percent}"));
        }
        if self.interval < INTERVAL_MIN {
            return Err(format!("`interval` must be at least {INTERVAL_MIN}, not {}", self.interval));
        }
        if self.base_ejection_time == Duration::ZERO {
            return Err("`base_ejection_time` must be longer than 0".to_string());
        }
        match self.max_ejection_time {
            Some(longest) if longest < self.base_ejection_time => Err(format!(
                "`max_ejection_time` {longest} is shorter than `base_ejection_time` {}",
                self.base_ejection_time
            )),
            _ => Ok(()),
        }
    }
}
