//! How results are compared with earlier ones.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::random::Share;
use crate::scenario::decode::{Field, Named};

/// What `meshsim check --baseline` compares with earlier results, and how much worse it may be.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct Baseline {
    /// By how much a time, rate or count may be worse than it was; 2% if absent. Shares such as `availability` have 0.1 percentage
    /// points unless `tolerances` names them.
    pub tolerance: Option<Field<Share>>,
    /// The same for single metrics, such as `p99: 5%`; of a share in percentage points.
    pub tolerances: Option<Field<Named<Share>>>,
    /// What is compared, of each variant: metrics as in `expect`, without a variant, such as `p99(web)` or
    /// `availability during crash`. `availability`, `mean`, `p50` and `p99` of every client if absent.
    pub metrics: Option<Field<Vec<Field<String>>>>,
}
