//! A figure with its interval, how that was made, or why there is none.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};

use crate::measure::Estimate;

/// A figure, with what is known of its precision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// The figure; null where it cannot be known.
    #[serde(serialize_with = "plain_number")]
    pub value: Option<f64>,
    /// Its 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci95: Option<[f64; 2]>,
    /// Replications behind the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<usize>,
    /// How the interval was made: `t`, `ratio`, `jackknife`, `sectioning`, `order_statistics`, `bootstrap_t`, `wilson`, `rule_of_three`,
    /// `paired_t`, `paired_log_ratio`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Cow<'static, str>>,
    /// Why there is no figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many values the figure would need, where there are too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<u64>,
}

/// Whole numbers are written without a fraction.
fn plain_number<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match *value {
        Some(value) if value.fract() == 0.0 && value.abs() < EXACT => serializer.serialize_i64(value as i64),
        Some(value) => serializer.serialize_f64(value),
        None => serializer.serialize_none(),
    }
}

impl Value {
    /// A figure that is exact.
    pub fn exact(value: f64) -> Value {
        Value {
            value: Some(value),
            ..Value::default()
        }
    }

    /// No figure, and why.
    pub fn missing(reason: impl Into<String>) -> Value {
        Value {
            reason: Some(reason.into()),
            ..Value::default()
        }
    }

    /// No figure, because it needs `needed` values and there are `count`.
    pub fn too_few(needed: u64, count: u64) -> Value {
        Value {
            needs: Some(needed),
            ..Value::missing(format!("needs {needed} values, has {count}"))
        }
    }

    /// An estimate, or why there is none.
    pub(in crate::report) fn of(estimate: Option<Estimate>, reason: &str) -> Value {
        estimate.map_or_else(|| Value::missing(reason), |estimate| Value::divided(&estimate, 1.0))
    }

    /// An estimate in a unit that is `divisor` times as large. (Multiplying by 1e-9 would leave digits that mean nothing.)
    pub(in crate::report) fn divided(estimate: &Estimate, divisor: f64) -> Value {
        let interval = estimate.interval;
        Value {
            value: Some(estimate.value / divisor),
            ci95: interval.map(|interval| [interval.low / divisor, interval.high / divisor]),
            n: interval.map(|_| estimate.n),
            method: interval.map(|_| Cow::Borrowed(estimate.method.name())),
            ..Value::default()
        }
    }

    /// With the interval kept within what is possible.
    pub(in crate::report) fn within(mut self, low: f64, high: f64) -> Value {
        self.ci95 = self.ci95.map(|[a, b]| [a.clamp(low, high), b.clamp(low, high)]);
        self
    }
}
