//! Netflix's Eureka: instances renew leases, a server drops those that do not, unless so many do not that the fault may be its own.
//!
//! After `eureka-core/src/main/java/com/netflix/eureka/registry/AbstractInstanceRegistry.java`, `PeerAwareInstanceRegistryImpl.java`,
//! `ResponseCacheImpl.java` and `lease/Lease.java` of Netflix/eureka, with its quirk that a renewal stores the end of the lease where the lease
//! itself is added once more: a silent instance stays for twice as long.

use schemars::JsonSchema;
use serde::Deserialize;

use super::at_least_a_millisecond;
use super::values::seconds;
use crate::random::{DistributionConfig, Rng, Share};
use crate::time::{Duration, Time};

/// What a user may write; the names are those of Netflix's properties.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "EurekaDiscovery")]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// From one heartbeat of an instance to the next; 30s if absent. A new one is registered with its first.
    #[serde(alias = "lease_renewal_interval_in_seconds", deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub lease_renewal_interval: Duration,
    /// How long a lease lasts; 90s if absent.
    #[serde(alias = "lease_expiration_duration_in_seconds", deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub lease_expiration_duration: Duration,
    /// How often the server looks for leases that have ended; 60s if absent.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub eviction_interval_timer: Duration,
    /// Whether the server keeps everybody while too many renewals are missing; if absent, it does.
    pub enable_self_preservation: bool,
    /// The share of the expected renewals of which there must be more, and of the instances that one look leaves at least; 85% if absent.
    pub renewal_percent_threshold: Share,
    /// How often the server expects an instance to renew; 30s if absent.
    #[serde(alias = "expected_client_renewal_interval_seconds", deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub expected_client_renewal_interval: Duration,
    /// How often the threshold is made anew of the instances that are there; 15m if absent.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub renewal_threshold_update_interval: Duration,
    /// Whether clients are answered from a copy that is made now and then; if absent, they are.
    pub use_read_only_response_cache: bool,
    /// How often that copy is made; 30s if absent.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub response_cache_update_interval: Duration,
    /// How often a client fetches what has changed; 30s if absent.
    #[serde(alias = "registry_fetch_interval_seconds", deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub registry_fetch_interval: Duration,
    /// How often Ribbon takes the client's list; 30s if absent, 0s: the balancer goes by the client itself.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub server_list_refresh_interval: Duration,
    /// How long an answer takes; no time if absent.
    pub latency: DistributionConfig,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            lease_renewal_interval: Duration::from_secs(30),
            lease_expiration_duration: Duration::from_secs(90),
            eviction_interval_timer: Duration::from_secs(60),
            enable_self_preservation: true,
            renewal_percent_threshold: Share::new(0.85).expect("a share"),
            expected_client_renewal_interval: Duration::from_secs(30),
            renewal_threshold_update_interval: Duration::from_secs(15 * 60),
            use_read_only_response_cache: true,
            response_cache_update_interval: Duration::from_secs(30),
            registry_fetch_interval: Duration::from_secs(30),
            server_list_refresh_interval: Duration::from_secs(30),
            latency: DistributionConfig::constant(Duration::ZERO),
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), String> {
        at_least_a_millisecond(self.lease_renewal_interval, "lease_renewal_interval")?;
        at_least_a_millisecond(self.eviction_interval_timer, "eviction_interval_timer")?;
        at_least_a_millisecond(self.expected_client_renewal_interval, "expected_client_renewal_interval")?;
        at_least_a_millisecond(self.renewal_threshold_update_interval, "renewal_threshold_update_interval")?;
        at_least_a_millisecond(self.response_cache_update_interval, "response_cache_update_interval")?;
        at_least_a_millisecond(self.registry_fetch_interval, "registry_fetch_interval")?;
        match self.server_list_refresh_interval {
            Duration::ZERO => Ok(()),
            interval => at_least_a_millisecond(interval, "server_list_refresh_interval"),
        }
    }
}

/// The renewals a minute of which there must be more: a whole number, cut off.
pub fn renewals_threshold(expected_clients: u32, renewal_interval: Duration, percent: f64) -> u64 {
    let each = 60.0 / renewal_interval.as_secs_f64();
    (f64::from(expected_clients) * each * percent) as u64
}

/// How many of the leases that have ended one look drops: no more than leave the share of the registry.
pub fn eviction_count(registry_size: u32, expired: u32, percent: f64) -> u32 {
    let threshold = (f64::from(registry_size) * percent) as u32;
    expired.min(registry_size - threshold)
}

/// One lease.
#[derive(Clone, Copy, Debug)]
struct Lease {
    // What the code calls the last update; after a renewal it lies ahead.
    updated: Time,
}

/// The registry of a server.
#[derive(Clone, Debug)]
pub struct Server {
    options: Options,
    // By instance.
    leases: Vec<Option<Lease>>,
    size: u32,
    expected_clients: u32,
    threshold: u64,
    // Renewals of the last whole minute, and of the present one.
    last_minute: u64,
    this_minute: u64,
    expired: Vec<u32>,
}

impl Server {
    /// A server of `instances`, all of them unknown to it.
    pub fn new(options: &Options, instances: usize) -> Server {
        Server {
            options: options.clone(),
            leases: vec![None; instances],
            size: 0,
            expected_clients: 0,
            threshold: 0,
            last_minute: 0,
            this_minute: 0,
            expired: Vec::new(),
        }
    }

    /// How it was at the start if `renewals` came in the minute before, and so many in the present one.
    pub fn set_renewals(&mut self, last_minute: u64, this_minute: u64) {
        self.last_minute = last_minute;
        self.this_minute = this_minute;
    }

    fn update_threshold(&mut self) {
        let percent = self.options.renewal_percent_threshold.value();
        self.threshold = renewals_threshold(self.expected_clients, self.options.expected_client_renewal_interval, percent);
    }

    /// Whether an instance has a lease.
    pub fn has(&self, instance: u32) -> bool {
        self.leases[instance as usize].is_some()
    }

    /// An instance registers; true if it was not there.
    pub fn register(&mut self, instance: u32, now: Time) -> bool {
        let is_new = self.leases[instance as usize].replace(Lease { updated: now }).is_none();
        if is_new {
            self.size += 1;
            self.expected_clients += 1;
            self.update_threshold();
        }
        is_new
    }

    /// An instance says that it goes; true if it was there.
    pub fn cancel(&mut self, instance: u32) -> bool {
        let was_there = self.leases[instance as usize].take().is_some();
        if was_there {
            self.size -= 1;
            self.expected_clients = self.expected_clients.saturating_sub(1);
            self.update_threshold();
        }
        was_there
    }

    /// An instance renews its lease; false if it has none (404), upon which it registers.
    pub fn renew(&mut self, instance: u32, now: Time) -> bool {
        let Some(lease) = &mut self.leases[instance as usize] else {
            return false;
        };
        lease.updated = now + self.options.lease_expiration_duration;
        self.this_minute += 1;
        true
    }

    /// The last sign of an instance was longer ago by `span`.
    pub fn age(&mut self, instance: u32, span: Duration) {
        if let Some(lease) = &mut self.leases[instance as usize] {
            lease.updated = Time(lease.updated.0.saturating_sub(span.0));
        }
    }

    /// A minute is over, for the count of renewals.
    pub fn on_minute(&mut self) {
        self.last_minute = std::mem::take(&mut self.this_minute);
    }

    /// Time to make the threshold anew: what is there is expected, unless so much is missing that it may be the network.
    pub fn on_threshold_update(&mut self) {
        let percent = self.options.renewal_percent_threshold.value();
        if f64::from(self.size) > percent * f64::from(self.expected_clients) || !self.options.enable_self_preservation {
            self.expected_clients = self.size;
            self.update_threshold();
        }
    }

    /// Whether it keeps everybody because too many renewals are missing.
    pub fn is_self_preserving(&self) -> bool {
        self.options.enable_self_preservation && !(self.threshold > 0 && self.last_minute > self.threshold)
    }

    /// Looks for leases that have ended, and drops some of them at random; `late`: by how much this look comes too late. They are told
    /// to `dropped`.
    pub fn evict(&mut self, late: Duration, now: Time, rng: &mut Rng, mut dropped: impl FnMut(u32)) {
        if self.is_self_preserving() {
            return;
        }
        let lasts = self.options.lease_expiration_duration + late;
        let has_ended = |lease: &Option<Lease>| lease.is_some_and(|lease| now > lease.updated + lasts);
        let mut expired = std::mem::take(&mut self.expired);
        expired.clear();
        expired.extend(
            (0..)
                .zip(&self.leases)
                .filter(|(_, lease)| has_ended(lease))
                .map(|(instance, _)| instance),
        );
        let percent = self.options.renewal_percent_threshold.value();
        let count = eviction_count(self.size, expired.len() as u32, percent) as usize;
        for place in 0..count {
            let other = place + rng.below((expired.len() - place) as u64) as usize;
            expired.swap(place, other);
            self.cancel(expired[place]);
            dropped(expired[place]);
        }
        self.expired = expired;
    }
}
