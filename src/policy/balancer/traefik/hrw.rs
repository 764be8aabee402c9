//! Traefik's hrw: rendezvous hashing of a client's address with each server's URL, by weight.

use core::net::IpAddr;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math;
use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{CallInfo, EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

/// What the hash needs beside addresses.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The scheme of the servers' URLs, which are `scheme://address`. An endpoint whose id has a scheme of its own keeps it, and with
    /// an empty scheme ids are hashed as they are.
    #[schemars(extend("x-upstream" = "loadBalancer.servers[].url"))]
    pub scheme: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            scheme: "http".to_string(),
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

/// It remembers nothing.
#[derive(Clone, Debug)]
pub struct Balancer {
    // What a URL begins with.
    prefix: String,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "Rendezvous hashing of the client's address, by weight";
    const SOURCE: &'static str = "traefik/traefik pkg/server/service/loadbalancer/hrw/hrw.go";
    const CHECKED: &'static str = "Picks computed from its source";
    const RULES: Rules = Rules::Ready;
    const WANTS: Wants = Wants {
        key: true,
        ..Wants::NOTHING
    };

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            prefix: match options.scheme.as_str() {
                "" => String::new(),
                scheme => format!("{scheme}://"),
            },
        }
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
        let client = client(hints.call);
        let sum = |endpoint: EndpointIndex| {
            let address = &endpoints.infos[endpoint.at()].address;
            let prefix = if address.contains("://") { "" } else { self.prefix.as_str() };
            client.and(prefix.as_bytes()).and(address.as_bytes()).0
        };
        let is_weighted = !set.has_equal_weights();
        let score = |endpoint: EndpointIndex| {
            let unit = sum(endpoint) as f64 / TWO_TO_64;
            // The score grows with its hash, so equal weights need no logarithm.
            if is_weighted {
                1.0 / -math::ln(unit) * f64::from(endpoints.weights[endpoint.at()])
            } else {
                unit
            }
        };
        let mut best = (0.0, None);
        for endpoint in set.iter() {
            let score = score(endpoint);
            if score > best.0 {
                best = (score, Some(endpoint));
            }
        }
        best.1
    }
}

const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// The hash of the client: of its address as text, or of the key where that is no address.
fn client(call: &CallInfo<'_>) -> Fnv {
    match (call.source, call.key) {
        (Some(address), _) => Fnv::START.and_address(address),
        (None, key) => Fnv::START.and(key.unwrap_or("").as_bytes()),
    }
}

/// FNV-1a of 64 bits.
#[derive(Clone, Copy, Debug)]
struct Fnv(u64);

impl Fnv {
    const START: Fnv = Fnv(0xCBF2_9CE4_8422_2325);

    fn and(self, bytes: &[u8]) -> Fnv {
        let next = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        Fnv(bytes.iter().fold(self.0, next))
    }

    fn and_address(mut self, address: IpAddr) -> Fnv {
        write!(self, "{address}").expect("hashing does not fail");
        self
    }
}

impl std::fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        *self = self.and(text.as_bytes());
        Ok(())
    }
}
