//! What a user may write of gRPC's outlier detection: the fields of gRFC A50's `OutlierDetectionLoadBalancingConfig`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::whole_number::{self, WholeNumber};
use crate::time::Duration;

/// The options of gRFC A50, with its defaults. Where neither kind of ejection is written there is that by success rate, as xDS makes of
/// an empty message.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "GrpcOutlierDetection")]
pub struct Options {
    /// Time between two sweeps, which take endpoints out and let them back in.
    pub interval: Duration,
    /// How long an endpoint stays out the first time; the second time twice as long, and so on. It comes back with the next sweep.
    #[serde(alias = "baseEjectionTime")]
    pub base_ejection_time: Duration,
    /// The longest time out; the longer of 300s and `base_ejection_time` if absent.
    #[serde(alias = "maxEjectionTime")]
    pub max_ejection_time: Option<Duration>,
    /// Nobody more is taken out while this share of all endpoints is out, in per cent.
    #[serde(alias = "maxEjectionPercent", deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub max_ejection_percent: u32,
    /// By success rates that are below those of the others; not if absent.
    #[serde(alias = "successRateEjection")]
    pub success_rate_ejection: Option<SuccessRateEjection>,
    /// By shares of failures above a limit; not if absent.
    #[serde(alias = "failurePercentageEjection")]
    pub failure_percentage_ejection: Option<FailurePercentageEjection>,
}

/// Ejection by success rates that are below those of the others.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SuccessRateEjection {
    /// An endpoint is out whose rate is below the mean less this many thousandths of a standard deviation.
    #[serde(alias = "stdevFactor", deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub stdev_factor: u32,
    /// The share of detections that are obeyed, in per cent.
    #[serde(alias = "enforcementPercentage", deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub enforcement_percentage: u32,
    /// Rates are compared among at least so many endpoints.
    #[serde(alias = "minimumHosts", deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub minimum_hosts: u32,
    /// An endpoint's rate counts with so many answers in an interval.
    #[serde(alias = "requestVolume", deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub request_volume: u32,
}

/// Ejection by shares of failures above a limit.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FailurePercentageEjection {
    /// An endpoint is out of whose answers in an interval more than this many per cent are failures.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub threshold: u32,
    /// The share of detections that are obeyed, in per cent.
    #[serde(alias = "enforcementPercentage", deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub enforcement_percentage: u32,
    /// That is judged with at least so many endpoints.
    #[serde(alias = "minimumHosts", deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub minimum_hosts: u32,
    /// An endpoint's share counts with so many answers in an interval.
    #[serde(alias = "requestVolume", deserialize_with = "whole_number::read")]
    #[schemars(with = "WholeNumber")]
    pub request_volume: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: None,
            max_ejection_percent: 10,
            success_rate_ejection: None,
            failure_percentage_ejection: None,
        }
    }
}

impl Default for SuccessRateEjection {
    fn default() -> SuccessRateEjection {
        SuccessRateEjection {
            stdev_factor: 1900,
            enforcement_percentage: 100,
            minimum_hosts: 5,
            request_volume: 100,
        }
    }
}

impl Default for FailurePercentageEjection {
    fn default() -> FailurePercentageEjection {
        FailurePercentageEjection {
            threshold: 85,
            enforcement_percentage: 100,
            minimum_hosts: 5,
            request_volume: 50,
        }
    }
}

impl Options {
    /// The longest time out.
    pub fn longest_ejection(&self) -> Duration {
        let longest = self.max_ejection_time.unwrap_or(Duration::from_secs(300));
        longest.max(self.base_ejection_time)
    }

    /// Whether gRPC would take them.
    ///
    /// # Errors
    /// A sentence about the option that it would not take.
    pub fn check(&self) -> Result<(), String> {
        let rates = self.success_rate_ejection.as_ref();
        let failures = self.failure_percentage_ejection.as_ref();
        let percentages = [
            ("max_ejection_percent", Some(self.max_ejection_percent)),
            (
                "success_rate_ejection.enforcement_percentage",
                rates.map(|rates| rates.enforcement_percentage),
            ),
            (
                "failure_percentage_ejection.threshold",
                failures.map(|failures| failures.threshold),
            ),
            (
                "failure_percentage_ejection.enforcement_percentage",
                failures.map(|failures| failures.enforcement_percentage),
            ),
        ];
        for (name, percent) in percentages {
            if let Some(percent @ 101..) = percent {
                return Err(format!("`{name}` must be from 0 to 100 per cent, not {percent}"));
            }
        }
        let least = Duration::from_millis(1);
        if self.interval < least {
            return Err(format!("`interval` must be at least {least}, not {}", self.interval));
        }
        Ok(())
    }
}
