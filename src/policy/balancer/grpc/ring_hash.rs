//! gRPC's ring_hash: Envoy's ring over the endpoints in the order of their keys, walked on from the point of a key to the first
//! endpoint that is not known to be down.

use core::hash::Hasher;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::Xxh64;

use crate::policy::balancer::common::{HashFunction, HashRing, RingSize, Subchannels, Tables, WeightedHost, hash};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Health, Outcome};
use crate::random::Rng;
use crate::time::Time;

/// What a service config says of `ring_hash_experimental`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// At least so many points, up to 8388608, of which no more than 4096 are made.
    #[serde(alias = "minRingSize")]
    #[schemars(extend("x-upstream" = "ring_hash_experimental.minRingSize"))]
    pub min_ring_size: u64,
    /// At most so many points, up to 8388608, of which no more than 4096 are made.
    #[serde(alias = "maxRingSize")]
    #[schemars(extend("x-upstream" = "ring_hash_experimental.maxRingSize"))]
    pub max_ring_size: u64,
    /// The request header that is hashed. Its name changes nothing here: a request's key is that header's value.
    #[serde(alias = "requestHashHeader")]
    #[schemars(extend("x-upstream" = "ring_hash_experimental.requestHashHeader"))]
    pub request_hash_header: String,
}

/// The largest sizes that gRPC admits.
const RING_SIZE_MAX: u64 = 8 * 1024 * 1024;
/// The largest ring that it makes (`envconfig.RingHashCap`).
const RING_SIZE_CAP: u64 = 4096;

impl Default for Options {
    fn default() -> Options {
        Options {
            min_ring_size: 1024,
            max_ring_size: 4096,
            request_hash_header: String::new(),
        }
    }
}

impl Options {
    /// Whether gRPC would take them.
    ///
    /// # Errors
    /// A sentence about the option that it would not take.
    pub fn check(&self) -> Result<(), String> {
        let (min, max) = self.sizes();
        for (name, size) in [("min_ring_size", min), ("max_ring_size", max)] {
            if size > RING_SIZE_MAX {
                return Err(format!("`{name}` must be at most {RING_SIZE_MAX}, not {size}"));
            }
        }
        if min > max {
            return Err(format!("`min_ring_size` {min} is above `max_ring_size` {max}"));
        }
        if self.request_hash_header.to_lowercase().ends_with("-bin") {
            return Err("`request_hash_header` must not end with `-bin`".to_string());
        }
        Ok(())
    }

    /// As in gRPC, 0 stands for the default.
    fn sizes(&self) -> (u64, u64) {
        let or_default = |size: u64, default: u64| if size == 0 { default } else { size };
        let default = Options::default();
        (
            or_default(self.min_ring_size, default.min_ring_size),
            or_default(self.max_ring_size, default.max_ring_size),
        )
    }
}

/// One caller's rings, shared with others while they believe the same.
#[derive(Clone, Debug)]
pub struct Balancer {
    size: RingSize,
    rings: Tables<Ring>,
    subchannels: Subchannels,
}

#[derive(Clone, Debug)]
struct Ring {
    ring: HashRing,
    // Whom the ring's places stand for.
    endpoints: Vec<EndpointIndex>,
    fingerprint: u64,
}

impl Ring {
    fn new(endpoints: &Endpoints<'_>, set: CandidateSet<'_>, size: RingSize) -> Ring {
        let key = |endpoint: EndpointIndex| hash::key(&endpoints.infos[endpoint.at()], false);
        let mut sorted: Vec<EndpointIndex> = set.iter().collect();
        sorted.sort_by_key(|&endpoint| key(endpoint));
        let weight = |endpoint: EndpointIndex| f64::from(endpoints.weights[endpoint.at()]);
        let sum: f64 = sorted.iter().map(|&endpoint| weight(endpoint)).sum();
        let hosts: Vec<WeightedHost<'_>> = sorted
            .iter()
            .map(|&endpoint| WeightedHost {
                key: key(endpoint),
                weight: weight(endpoint) / sum,
            })
            .collect();
        Ring {
            ring: HashRing::new(&hosts, size, HashFunction::XxHash),
            endpoints: sorted,
            fingerprint: fingerprint(endpoints, set),
        }
    }

    /// The endpoints from the point of a hash on, each as often as it has points.
    fn walk(&self, hash: u64) -> impl Iterator<Item = EndpointIndex> + '_ {
        self.ring.walk(hash).map(|place| self.endpoints[place as usize])
    }
}

/// Changes when the ring does.
fn fingerprint(endpoints: &Endpoints<'_>, set: CandidateSet<'_>) -> u64 {
    let mut hasher = Xxh64::new(0);
    for endpoint in set.iter() {
        hasher.write_u32(endpoint.0);
        hasher.write_u32(endpoints.weights[endpoint.at()]);
        hasher.write(hash::key(&endpoints.infos[endpoint.at()], false).as_bytes());
        hasher.write_u8(0);
    }
    hasher.finish()
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str =
        "A key sticks to an endpoint on a ring of hashes while that can be reached; without a key it is random";
    const SOURCE: &'static str = "grpc/grpc-go balancer/ringhash/ring.go, picker.go, config.go; grpc/proposal A42, A76";
    const CHECKED: &'static str = "the ring of its own test; walks that its source gives";
    const DIFFERENCES: &'static str = "Endpoints count as connected from the start, where a real channel connects to one when a key first falls on it; a lost connection is made anew by a call, which may fail";
    const RULES: Rules = Rules::Any;

    fn new(options: &Options, set_count: usize) -> Balancer {
        let (min, max) = options.sizes();
        Balancer {
            size: RingSize {
                min: min.min(RING_SIZE_CAP),
                max: max.min(RING_SIZE_CAP),
            },
            rings: Tables::new(set_count),
            subchannels: Subchannels::new(),
        }
    }

    fn start(&mut self, rng: &mut Rng) {
        self.subchannels.start(rng);
    }

    fn on_added(&mut self, endpoint: EndpointIndex, _: Time) {
        self.subchannels.on_added(endpoint);
    }

    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, _: Time) {
        // A change of health alone leaves the ring as it is.
        let known = self.rings.built(set.number()).map(|ring| ring.fingerprint);
        if known != Some(fingerprint(endpoints, set)) {
            self.rings.forget(set.number());
        }
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        now: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        self.subchannels.poll(now);
        let size = self.size;
        let ring = self.rings.get(set.number(), || Ring::new(endpoints, set, size));
        let subchannels = &self.subchannels;
        let is_up = |endpoint: EndpointIndex| matches!(set.health(endpoint), Health::Healthy | Health::Degraded);
        match hints.call.hash {
            // A key waits for the connection that is being made.
            Some(hash) => ring
                .walk(hash)
                .find(|&endpoint| is_up(endpoint) && !subchannels.has_failed(endpoint)),
            None => ring
                .walk(rng.next_u64())
                .find(|&endpoint| is_up(endpoint) && subchannels.is_ready(endpoint)),
        }
    }

    #[inline]
    fn on_started(&mut self, endpoint: EndpointIndex, _: Time) {
        self.subchannels.on_started(endpoint);
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        self.subchannels.on_finished(endpoint, outcome.answer, now);
    }
}
