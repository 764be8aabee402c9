//! A latency estimate that jumps up at once and decays slowly: tower's peak EWMA.
//!
//! Two quirks are tower's (`tower/src/load/peak_ewma.rs`): a new peak is compared with the estimate before it decays, and reading
//! the load decays it for good, as if a request of no latency had ended.

use crate::math;
use crate::time::{Duration, Time};

/// The estimate for one endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeakEwma {
    rtt: f64,
    updated: Time,
}

impl PeakEwma {
    /// An estimate before there is any measurement; `rtt` in nanoseconds.
    pub fn new(rtt: f64, now: Time) -> PeakEwma {
        PeakEwma { rtt, updated: now }
    }

    /// A request ended after `latency`; `decay` is the mean lifetime of a measurement in nanoseconds.
    #[inline]
    pub fn observe(&mut self, latency: Duration, decay: f64, now: Time) {
        let latency = latency.0 as f64;
        if self.rtt < latency {
            self.rtt = latency;
        } else {
            let kept = math::exp(-(now.since(self.updated).0 as f64) / decay);
            self.rtt = self.rtt * kept + latency * (1.0 - kept);
        }
        self.updated = now;
    }

    /// The estimate times one more than the requests in flight.
    #[inline]
    pub fn load(&mut self, pending: u32, decay: f64, now: Time) -> f64 {
        self.observe(Duration::ZERO, decay, now);
        self.rtt * (f64::from(pending) + 1.0)
    }
}
