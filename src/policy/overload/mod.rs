//! Overload protection: who holds requests back before they make things worse.
//!
//! A caller has a `Guard` for an upstream, asked once for each call: what it holds back never leaves. An endpoint has a [`Shield`] in front of its
//! queue, asked for each attempt that arrives: what it holds back is answered at once.

pub mod adaptive_concurrency;
pub mod adaptive_throttling;
pub mod admission_control;
pub mod codel;
mod guard;
pub mod load_shedding;
pub mod local_rate_limit;
pub mod nack_admission_filter;
mod quantile;
mod shield;
mod values;

pub(crate) use guard::Guard;
pub use guard::GuardOptions;
pub use load_shedding::Criticality;
pub use shield::{Shield, ShieldOptions};
