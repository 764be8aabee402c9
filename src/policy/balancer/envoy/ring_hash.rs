//! Envoy's RING_HASH: a key sticks to an endpoint, and few keys move when endpoints come or go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{HashFunction, HashPolicy, HashPolicyOptions, HashRing, RingSize};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

/// What Envoy's `RingHash` message and its `consistent_hashing_lb_config` hold.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// At least so many points, so that shares come close to the weights.
    #[schemars(extend("x-upstream" = "RingHash.minimum_ring_size"))]
    pub minimum_ring_size: u64,
    /// At most so many points, up to 8388608.
    #[schemars(extend("x-upstream" = "RingHash.maximum_ring_size"))]
    pub maximum_ring_size: u64,
    /// What places endpoints on the ring.
    #[schemars(extend("x-upstream" = "RingHash.hash_function"))]
    pub hash_function: HashFunction,
    /// Whether the names of endpoints are hashed rather than their addresses.
    #[schemars(extend("x-upstream" = "ConsistentHashingLbConfig.use_hostname_for_hashing"))]
    pub use_hostname_for_hashing: bool,
    /// No endpoint gets more than this many per cent of the average load; 0: no bound. Costs O(endpoints) when it binds.
    #[schemars(extend("x-upstream" = "ConsistentHashingLbConfig.hash_balance_factor"))]
    pub hash_balance_factor: u32,
}

/// Envoy's limit on both sizes, 8M.
const RING_SIZE_MAX: u64 = 8 * 1024 * 1024;

impl Default for Options {
    fn default() -> Options {
        Options {
            minimum_ring_size: 1024,
            maximum_ring_size: RING_SIZE_MAX,
            hash_function: HashFunction::XxHash,
            use_hostname_for_hashing: false,
            hash_balance_factor: 0,
        }
    }
}

impl Options {
    /// Whether the options are in the ranges that Envoy admits.
    ///
    /// # Errors
    /// A sentence about the option that is not.
    pub fn check(&self) -> Result<(), String> {
        let sizes = [
            ("minimum_ring_size", self.minimum_ring_size),
            ("maximum_ring_size", self.maximum_ring_size),
        ];
        for (name, size) in sizes {
            if !(1..=RING_SIZE_MAX).contains(&size) {
                return Err(format!("`{name}` must be from 1 to {RING_SIZE_MAX}, not {size}"));
            }
        }
        if self.minimum_ring_size > self.maximum_ring_size {
            return Err(format!(
                "`minimum_ring_size` {} is above `maximum_ring_size` {}",
                self.minimum_ring_size, self.maximum_ring_size
            ));
        }
        self.hash_policy().check()
    }

    fn hash_policy(&self) -> HashPolicyOptions {
        HashPolicyOptions {
            use_hostname_for_hashing: self.use_hostname_for_hashing,
            hash_balance_factor: self.hash_balance_factor,
        }
    }
}

/// One caller's rings, shared with others while they believe the same.
#[derive(Clone, Debug)]
pub struct Balancer {
    size: RingSize,
    function: HashFunction,
    policy: HashPolicy<HashRing>,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "A key sticks to an endpoint on a ring of hashes; without a key it is random";
    const SOURCE: &'static str = "envoyproxy/envoy source/extensions/load_balancing_policies/ring_hash/ring_hash_lb.cc";
    const CHECKED: &'static str = "Recordings of Envoy 1.40; vectors of its ring hash test; Recorded latencies of the real proxy";
    const RULES: Rules = Rules::EnvoyHash;

    fn new(options: &Options, set_count: usize) -> Balancer {
        Balancer {
            size: RingSize {
                min: options.minimum_ring_size,
                max: options.maximum_ring_size,
            },
            function: options.hash_function,
            policy: HashPolicy::new(options.hash_policy(), set_count),
        }
    }

    fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.policy.renew(sets, set_count);
    }

    fn share(&mut self, prototype: &Balancer) {
        self.policy.share(&prototype.policy);
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        _: Time,
        _: &mut Rng,
    ) -> Option<EndpointIndex> {
        let (size, function) = (self.size, self.function);
        self.policy
            .pick(endpoints, set, hints, |hosts| HashRing::new(hosts, size, function))
    }
}
