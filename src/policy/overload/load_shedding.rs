//! Load shedding by criticality: a filling endpoint turns the less important requests away first.
//!
//! Source of the criticalities: Site Reliability Engineering (Beyer et al., 2016), chapter 21, "Criticality". Where each begins to be turned away is a
//! setting; the book names none.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};

use super::values::Part;

/// How important a request is. What it calls is as important, unless a step says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// May often fail: batch work.
    Sheddable,
    /// May sometimes fail: batch work with a retry in a while.
    SheddablePlus,
    /// Users see it fail: the default.
    #[default]
    Critical,
    /// Failing is serious for users.
    CriticalPlus,
}

const WORDS: &[&str] = &["sheddable", "sheddable_plus", "critical", "critical_plus"];

impl<'de> Deserialize<'de> for Criticality {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Criticality, D::Error> {
        let word = String::deserialize(deserializer)?;
        Ok(match word.to_lowercase().replace('-', "_").as_str() {
            "sheddable" => Criticality::Sheddable,
            "sheddable_plus" => Criticality::SheddablePlus,
            "critical" => Criticality::Critical,
            "critical_plus" => Criticality::CriticalPlus,
            _ => return Err(de::Error::unknown_variant(&word, WORDS)),
        })
    }
}

impl JsonSchema for Criticality {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Criticality".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": WORDS})
    }
}

/// From which share of an endpoint's room on each criticality is answered 503.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LoadShedding")]
pub struct Options {
    /// The room: requests that an endpoint serves or keeps waiting. Its slots and the places of its queue if absent.
    pub capacity: Option<u32>,
    /// The share for `sheddable`.
    pub sheddable: Part,
    /// The share for `sheddable_plus`.
    pub sheddable_plus: Part,
    /// The share for `critical`.
    pub critical: Part,
    /// The share for `critical_plus`.
    pub critical_plus: Part,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            capacity: None,
            sheddable: Part(0.5),
            sheddable_plus: Part(0.7),
            critical: Part(0.9),
            critical_plus: Part(1.0),
        }
    }
}

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if self.capacity == Some(0) {
            return Err("`capacity` must be at least 1".to_string());
        }
        let shares = [self.sheddable, self.sheddable_plus, self.critical, self.critical_plus];
        if shares.windows(2).any(|pair| pair[0].0 > pair[1].0) {
            return Err("a share must not be above that of a higher criticality".to_string());
        }
        Ok(())
    }

    /// How many requests there may be before one of each criticality comes, the least critical first, where there is room for `room`.
    pub fn limits(&self, room: u32) -> [u32; 4] {
        let room = f64::from(self.capacity.unwrap_or(room));
        let limit = |share: Part| (share.0 * room).ceil() as u32;
        [
            limit(self.sheddable),
            limit(self.sheddable_plus),
            limit(self.critical),
            limit(self.critical_plus),
        ]
    }
}
