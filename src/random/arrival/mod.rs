//! Arrival processes: when a client intends to send.

use crate::random::Rng;
use crate::time::Time;

/// An arrival process as a scenario writes it.
#[derive(Clone, Debug)]
pub struct ArrivalConfig;

/// An arrival process ready to run.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// Poisson arrivals.
    Poisson {
        /// Mean gap in nanoseconds.
        gap: f64,
    },
}

impl Arrival {
    /// The next instant at or after `now`, and how many requests are sent then; `None`: no more.
    pub fn next(&mut self, now: Time, rng: &mut Rng) -> Option<(Time, u32)> {
        match self {
            Arrival::Poisson { gap } => {
                let gap = -crate::math::ln(rng.unit()) * *gap;
                Some((now + crate::time::Duration::from_nanos_f64(gap), 1))
            }
        }
    }
}
