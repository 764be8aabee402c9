//! Clients whose traffic changes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::target::Names;
use crate::random::Share;
use crate::scenario::decode::Field;

/// Clients that send more, or less. What a client sends anyway stays as it is; users of a closed loop think for a shorter or longer time.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Spike {
    /// The client, or several; all if absent.
    pub client: Option<Field<Names>>,
    /// How many times as many requests.
    #[schemars(extend("minimum" = 0))]
    pub factor: Option<Field<f64>>,
}

/// Requests that all want one key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct HotKey {
    /// The client, or several, whose `key` is `uniform` or `zipf`; all such if absent.
    pub client: Option<Field<Names>>,
    /// The share of the requests; all if absent.
    pub share: Option<Field<Share>>,
    /// The number of the key, from 0; 0 if absent.
    pub key: Option<Field<u32>>,
}
