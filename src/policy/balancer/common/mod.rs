//! Parts that several balancers are made of.

mod edf;
mod per_set;

pub use edf::{Schedule, Schedules};
pub use per_set::PerSet;

use schemars::Schema;

/// The schema of an option that takes one of Envoy's words, in Envoy's capitals or in small letters.
pub(crate) fn words_schema(words: &[&str]) -> Schema {
    let capitals = words.iter().map(|word| word.to_uppercase());
    let all: Vec<String> = words.iter().map(|word| word.to_string()).chain(capitals).collect();
    schemars::json_schema!({"type": "string", "enum": all})
}
