//! Consistent hashing with bounded loads: a key goes to the first endpoint clockwise that is not full.
//!
//! Mirrokni, Thorup and Zadimoghaddam (SODA 2018, arXiv 1608.01350): with m requests in flight, the new one included, an endpoint
//! is full at (1 + epsilon) times its share of them. Envoy and HAProxy bound loads too, but look for another endpoint otherwise.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{HashFunction, HashRing, Lookup, RingSize, Tables, weighted_hosts};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

/// The bound and the ring.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How far above the average an endpoint may be loaded, as a share of it; above 0.
    pub epsilon: f64,
    /// How many points on the ring an endpoint of the least weight has, from 1 to 1000; the paper has 1.
    pub points: u32,
    /// What places endpoints on the ring.
    pub hash_function: HashFunction,
    /// Whether the names of endpoints are hashed rather than their addresses.
    pub use_hostname_for_hashing: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            epsilon: 0.25,
            points: 100,
            hash_function: HashFunction::XxHash,
            use_hostname_for_hashing: false,
        }
    }
}

impl Options {
    /// Whether the options make sense.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if !(self.epsilon > 0.0 && self.epsilon <= 1000.0) {
            return Err(format!("`epsilon` must be above 0 and at most 1000, not {}", self.epsilon));
        }
        if !(1..=1000).contains(&self.points) {
            return Err(format!("`points` must be from 1 to 1000, not {}", self.points));
        }
        Ok(())
    }
}

/// How many requests an endpoint may have that has this share of the weights, of `total` requests in flight.
pub fn capacity(epsilon: f64, total: u64, share: f64) -> f64 {
    ((1.0 + epsilon) * total as f64 * share).ceil()
}

#[derive(Clone, Debug)]
struct Table {
    ring: HashRing,
    // Shares of the weights, by the place in the set.
    shares: Vec<f64>,
}

/// One caller's rings, shared with others while they believe the same.
#[derive(Clone, Debug)]
pub struct Balancer {
    options: Options,
    tables: Tables<Table>,
}

impl Table {
    fn new(options: &Options, endpoints: &Endpoints<'_>, set: CandidateSet<'_>) -> Table {
        let hosts = weighted_hosts(endpoints, set, options.use_hostname_for_hashing);
        let shares: Vec<f64> = hosts.iter().map(|host| host.weight).collect();
        let least = shares.iter().copied().fold(1.0, f64::min);
        // So large that the lightest endpoint has its points.
        let size = (f64::from(options.points) / least).ceil() as u64;
        let size = RingSize { min: size, max: size };
        Table {
            ring: HashRing::new(&hosts, size, options.hash_function),
            shares,
        }
    }
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str =
        "A key sticks to an endpoint on a ring of hashes, or goes to the first one clockwise that is not full";
    const SOURCE: &'static str = "Mirrokni, Thorup and Zadimoghaddam, SODA 2018 (arXiv 1608.01350)";
    const CHECKED: &'static str = "No endpoint exceeds its capacity; Picks computed from its definition";
    const DIFFERENCES: &'static str = "Every endpoint may have the rounded-up average, where in the paper some have the rounded-down \
        one; loads are the caller's own, and requests that are placed do not move";
    const RULES: Rules = Rules::EnvoyHash;

    fn new(options: &Options, set_count: usize) -> Balancer {
        Balancer {
            options: options.clone(),
            tables: Tables::new(set_count),
        }
    }

    fn update(&mut self, _: &Endpoints<'_>, set: CandidateSet<'_>, _: Time) {
        self.tables.forget(set.number());
    }

    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        _: Time,
        _: &mut Rng,
    ) -> Option<EndpointIndex> {
        let options = &self.options;
        let table = self.tables.get(set.number(), || Table::new(options, endpoints, set));
        // Only the requests of this set count; where it is the only one, as mostly, they are all.
        let total = match set.is_prefix() && set.len() as usize == endpoints.active.len() {
            true => endpoints.active_total,
            false => set.iter().map(|endpoint| u64::from(endpoints.active[endpoint.at()])).sum(),
        };
        let has_room = |place: u32| {
            let active = endpoints.active[set.get(place).at()];
            f64::from(active) < capacity(options.epsilon, total + 1, table.shares[place as usize])
        };
        // Capacities add up to more than what is in flight, so somebody has room.
        let points = table.ring.points().len() as u32;
        let mut clockwise = (0..points).filter_map(|step| table.ring.find(hints.hash, step));
        clockwise.find(|&place| has_room(place)).map(|place| set.get(place))
    }
}
