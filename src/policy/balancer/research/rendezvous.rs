//! Rendezvous hashing (highest random weight): each endpoint hashes the key, and the one with the highest hash has it.
//!
//! When an endpoint goes, only its keys move; when one comes, it takes its share from all others alike. A weighted endpoint scores
//! -w / ln(u), with u its hash as a number in (0, 1), which gives it a share in proportion to its weight (Schindelhauer and
//! Schomaker, SPAA 2005).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math;
use crate::policy::balancer::common::{HashFunction, hash};
use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

/// What is hashed, and how.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// What hashes the endpoint followed by the key.
    pub hash_function: HashFunction,
    /// Whether the names of endpoints are hashed rather than their addresses.
    pub use_hostname_for_hashing: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            hash_function: HashFunction::XxHash,
            use_hostname_for_hashing: false,
        }
    }
}

impl Options {
    /// Nothing can be wrong.
    ///
    /// # Errors
    /// None.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// It has no state but room for a text.
#[derive(Clone, Debug)]
pub struct Balancer {
    options: Options,
    text: Vec<u8>,
}

/// The score of an endpoint that has hashed the key: the highest wins.
pub fn score(hash: u64, weight: u32) -> f64 {
    // The last cells of the unit interval round to 1, whose logarithm is 0.
    let unit = ((hash as f64 + 0.5) / 18_446_744_073_709_551_616.0).min(1.0 - f64::EPSILON / 2.0);
    -f64::from(weight) / math::ln(unit)
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "A key sticks to the endpoint with the highest hash of both; without a key it is random";
    const SOURCE: &'static str = "Thaler and Ravishankar, IEEE/ACM Transactions on Networking 6 (1998)";
    const CHECKED: &'static str =
        "Vectors computed from its definition; Shares of weighted endpoints; Only the keys of an endpoint that goes move";
    const RULES: Rules = Rules::EnvoyHash;
    const WANTS: Wants = Wants {
        key: true,
        ..Wants::NOTHING
    };

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            options: options.clone(),
            text: Vec::new(),
        }
    }

    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        _: Time,
        _: &mut Rng,
    ) -> Option<EndpointIndex> {
        let ready = hints.hash.to_le_bytes();
        let key = hints.call.key.map_or(&ready[..], str::as_bytes);
        let (options, text) = (&self.options, &mut self.text);
        let mut hash = |endpoint: EndpointIndex| {
            text.clear();
            text.extend_from_slice(hash::key(&endpoints.infos[endpoint.at()], options.use_hostname_for_hashing).as_bytes());
            text.extend_from_slice(key);
            options.hash_function.hash(text)
        };
        if set.has_equal_weights() {
            // All 64 bits count, and no logarithm is needed.
            return set.iter().max_by_key(|&endpoint| hash(endpoint));
        }
        let mut best = (f64::NEG_INFINITY, set.get(0));
        for endpoint in set.iter() {
            let found = score(hash(endpoint), endpoints.weights[endpoint.at()]);
            if found > best.0 {
                best = (found, endpoint);
            }
        }
        Some(best.1)
    }
}
