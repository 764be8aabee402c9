//! Parts that several balancers are made of.

mod alias;
pub mod bare_numbers;
pub mod bounded_load;
mod crc32;
mod cubic_rate;
mod edf;
pub mod hash;
mod hash_policy;
mod hash_ring;
mod kept;
mod least;
pub mod mt19937;
mod oob_reports;
mod panic_mode;
mod peak_ewma;
mod per_set;
mod probe_pool;
mod sample;
mod schedules;
mod service;
mod slow_start;
mod subchannels;
mod tables;
mod topology;
mod two_choices;
mod weighed;
mod weight_classes;
mod weighted_hosts;
pub mod wrapped_number;

pub use alias::Alias;
pub use crc32::{Crc32, crc32};
pub use cubic_rate::{CubicLimits, CubicRate};
pub use edf::{Schedule, pre_picks};
pub use hash::HashFunction;
pub use hash_policy::{HashPolicy, HashPolicyOptions, Lookup};
pub use hash_ring::{HashRing, RingSize};
pub use kept::Kept;
pub use least::{least_of, least_of_draws, least_of_set, least_overhead};
pub use oob_reports::OobReports;
pub use panic_mode::{PanicMode, Status};
pub use peak_ewma::{PeakEwma, PeakEwmas};
pub use per_set::PerSet;
pub use probe_pool::{ProbePool, ProbePoolLimits};
pub use sample::Sample;
pub use schedules::Schedules;
pub use service::{Scheduler, Servers, Service, ServiceOptions};
pub use slow_start::{SlowStart, SlowStartConfig};
pub(super) use subchannels::{Change, ReadyList, Subchannels};
pub use tables::Tables;
pub use two_choices::{two_distinct, two_places};
pub use weighed::Weighed;
pub use weight_classes::WeightClasses;
pub use weighted_hosts::{WeightedHost, weighted_hosts};

use schemars::Schema;

/// The schema of an option that takes one of Envoy's words, in Envoy's capitals or in small letters.
pub(crate) fn words_schema(words: &[&str]) -> Schema {
    let capitals = words.iter().map(|word| word.to_uppercase());
    let all: Vec<String> = words.iter().map(|word| word.to_string()).chain(capitals).collect();
    schemars::json_schema!({"type": "string", "enum": all})
}
