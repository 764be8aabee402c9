//! Randomness: streams named by purpose, keyed draws, distributions and arrival processes.
//!
//! Nothing here knows a clock or the world. A draw is either *keyed*, a pure function of (seed, replication, purpose,
//! request, step, k), so that variants of a scenario see the same traffic and the same work; or it comes from a *stream*
//! of its own, where a sequence is drawn (the arrivals of a client, one cluster's policy).

pub mod arrival;
pub mod distribution;
pub mod quantity;
mod stream;
mod ziggurat;

pub use arrival::{Arrival, ArrivalConfig};
pub use distribution::{Distribution, DistributionConfig};
pub use quantity::{Quantity, Rate, Share, Unit};
pub use stream::{Draws, Key, Purpose, Rng, Streams};
