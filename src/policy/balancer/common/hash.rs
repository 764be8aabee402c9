//! Hash functions of the hash policies, and what they hash.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

use crate::policy::EndpointInfo;
use crate::policy::balancer::common::words_schema;

/// Which function places endpoints on a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HashFunction {
    /// XXH64 with seed 0.
    #[serde(alias = "XX_HASH")]
    XxHash,
    /// The 64-bit MurmurHash2 that libstdc++ has in `std::hash<string>`.
    #[serde(rename = "murmur_hash_2", alias = "MURMUR_HASH_2")]
    MurmurHash2,
}

impl JsonSchema for HashFunction {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HashFunction".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        words_schema(&["xx_hash", "murmur_hash_2"])
    }
}

/// The seed that libstdc++ gives its hash of strings.
const STD_HASH_SEED: u64 = 0xC70F_6907;

impl HashFunction {
    /// The hash of `bytes`.
    pub fn hash(self, bytes: &[u8]) -> u64 {
        match self {
            HashFunction::XxHash => xxh64(bytes, 0),
            HashFunction::MurmurHash2 => murmur_hash_2(bytes, STD_HASH_SEED),
        }
    }
}

/// MurmurHash2 for 64-bit words (Austin Appleby's MurmurHash64A, in the variant of libstdc++'s `_Hash_bytes`).
fn murmur_hash_2(bytes: &[u8], seed: u64) -> u64 {
    const MULTIPLIER: u64 = 0xC6A4_A793_5BD1_E995;
    let shift_mix = |word: u64| word ^ (word >> 47);
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let word = shift_mix(u64::from_le_bytes(*word).wrapping_mul(MULTIPLIER)).wrapping_mul(MULTIPLIER);
        hash = (hash ^ word).wrapping_mul(MULTIPLIER);
    }
    if !tail.is_empty() {
        let mut word = [0; 8];
        word[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    }
    shift_mix(shift_mix(hash).wrapping_mul(MULTIPLIER))
}

/// What Envoy's hash policies hash of an endpoint: its hash key, else its name if `use_hostname`, else its address. An endpoint
/// without a name has its address here, where Envoy would hash an empty text.
pub fn key(info: &EndpointInfo, use_hostname: bool) -> &str {
    let non_empty = |text: &'_ &String| !text.is_empty();
    let hostname = info.hostname.as_ref().filter(|_| use_hostname);
    let chosen = info.hash_key.as_ref().filter(non_empty).or(hostname.filter(non_empty));
    chosen.unwrap_or(&info.address)
}
