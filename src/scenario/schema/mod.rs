//! The document: what a scenario file may hold, with the defaults, and its JSON Schema from the same comments.
//!
//! These types say what was written, with places, and nothing of what it means; `check` asks whether it makes sense and
//! `compile` makes a plan of it.

pub mod baseline;
pub mod client;
pub mod fault;
pub mod mesh;
pub mod statistics;
pub mod topology;
pub mod values;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::decode::{Field, Named};
use crate::random::Share;
use crate::time::Duration;

use baseline::Baseline;
use client::Client;
use fault::Fault;
use mesh::Mesh;
use statistics::Statistics;
use topology::Topology;
use values::{GridValues, Patch, Warmup};

/// What `apiVersion` must say.
pub const API_VERSION: &str = "meshsim/v1";

/// Keys that the contract names and this version does not have yet, by the struct they would belong to.
pub(crate) const FUTURE_KEYS: &[(&str, &str)] = &[
    ("Document", "profile"),
    ("Document", "kubernetes"),
    ("Service", "kubernetes"),
    ("Service", "autoscaler"),
    ("Mesh", "hedge"),
    ("Mesh", "slow_start"),
];

/// A scenario for meshsim: an application, the traffic on it, what goes wrong, and the variants to compare.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Scenario")]
pub struct Document {
    /// The version of this format: `meshsim/v1`.
    #[serde(rename = "apiVersion")]
    #[schemars(extend("const" = API_VERSION))]
    pub api_version: Field<String>,
    /// The scenario's name, and that of its folder of results; the file's name if absent.
    pub name: Option<Field<String>>,
    /// The question that the scenario asks.
    pub description: Option<Field<String>>,
    /// All randomness follows from it; 1 if absent.
    pub seed: Option<Field<u64>>,
    /// How long clients send, in simulated time.
    pub duration: Field<Duration>,
    /// What is left out of the measures at the start: a duration, or `auto` to find it by MSER-5; 0s if absent.
    pub warmup: Option<Field<Warmup>>,
    /// How many independent runs each variant gets; replication r of every variant sees the same traffic. 10 if absent.
    pub replications: Option<Field<u32>>,
    /// How long after `duration` what is in flight may still finish; 1m if absent.
    pub drain: Option<Field<Duration>>,
    /// The services, where their endpoints are, and the network between them.
    pub topology: Field<Topology>,
    /// Who sends requests, by name.
    pub clients: Field<Named<Client>>,
    /// What is done with every call; `services.NAME.mesh` and a step's `mesh` override it key by key.
    pub mesh: Option<Field<Mesh>>,
    /// What goes wrong, and when.
    pub faults: Option<Field<Vec<Field<Fault>>>>,
    /// What is compared: each is a patch on the scenario (maps are merged, other values replaced, `null` removes a key). One variant
    /// named `default` if absent.
    pub variants: Option<Field<Named<Patch>>>,
    /// What `meshsim sweep` runs: values by path, such as `mesh.retry.num_retries: [0, 1, 2]` or `seed: 1..5`; every combination is a
    /// point. `run` and `check` leave it aside; `sweep` leaves `precision` and `statistics.select` aside.
    pub sweep: Option<Field<Named<GridValues>>>,
    /// What `meshsim check` decides, such as `p99(least_request) < 250ms`, `time_to_recover < 20s`, `availability > 99% during crash` or
    /// `p50(a) == p50(b) within 2%`; docs/expectations.md has all of it.
    pub expect: Option<Field<Vec<Field<String>>>>,
    /// How `meshsim check --baseline` compares with earlier results.
    pub baseline: Option<Field<Baseline>>,
    /// How well figures are to be known: `{p99(least_request): 2%}` adds replications until half the width of its 95 % interval is at most
    /// 2 % of it. A metric that names no variant means all of them.
    pub precision: Option<Field<Named<Share>>>,
    /// How results are judged.
    pub statistics: Option<Field<Statistics>>,
}

/// Keys that a struct must have, so that all missing ones are reported at once. (Serde stops at the first; a test holds this against the
/// JSON Schema.)
pub(crate) const REQUIRED_KEYS: &[(&str, &[&str])] = &[
    ("Document", &["apiVersion", "duration", "topology", "clients"]),
    ("Topology", &["services"]),
    ("Link", &["from", "to"]),
    ("Service", &["operations"]),
    ("Arm", &["steps"]),
    ("Churn", &["every"]),
    ("Client", &["call", "arrivals"]),
    ("Random", &["mttf", "mttr"]),
    ("ColdStart", &["factor"]),
];

/// The JSON Schema (draft 2020-12) of a scenario file.
pub fn json_schema() -> Schema {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Document>();
    close_objects(schema.as_object_mut().expect("a struct's schema is an object"));
    schema
}

/// Forbids keys that a struct does not name: loading refuses them too.
fn close_objects(schema: &mut serde_json::Map<String, serde_json::Value>) {
    if schema.contains_key("properties") && !schema.contains_key("additionalProperties") {
        schema.insert("additionalProperties".to_string(), false.into());
    }
    for value in schema.values_mut() {
        close_within(value);
    }
}

fn close_within(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => close_objects(map),
        serde_json::Value::Array(items) => items.iter_mut().for_each(close_within),
        _ => {}
    }
}
