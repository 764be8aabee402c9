//! `hash-type`: how HAProxy turns a key into a server, in one line of words or option by option.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

use crate::policy::balancer::haproxy::functions::{Function, avalanche};

/// What may follow `hash-type`: `map-based` or `consistent`, perhaps a function, perhaps `avalanche`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashType {
    /// Whether it is `consistent`.
    pub consistent: bool,
    /// The function, if it is written.
    pub function: Option<Function>,
    /// Whether `avalanche` is written.
    pub avalanche: bool,
}

impl Default for HashType {
    /// `map-based`, as HAProxy has it.
    fn default() -> HashType {
        HashType {
            consistent: false,
            function: None,
            avalanche: false,
        }
    }
}

impl HashType {
    fn parse(text: &str) -> Result<HashType, String> {
        let expected = "expected `map-based` or `consistent`, then perhaps a function and `avalanche`";
        let mut words = text.split_whitespace();
        let consistent = match words.next() {
            Some("consistent") => true,
            Some("map-based" | "map_based") => false,
            Some(word) => return Err(format!("unknown hash type `{word}`, {expected}")),
            None => return Err(format!("the hash type is empty, {expected}")),
        };
        let function = match words.next() {
            None => None,
            Some(word) => {
                let unknown = || format!("unknown hash function `{word}`, expected one of sdbm, djb2, wt6, crc32, none");
                Some(Function::named(word).ok_or_else(unknown)?)
            }
        };
        let avalanche = match words.next() {
            None => false,
            Some("avalanche") => true,
            Some(word) => return Err(format!("unknown modifier `{word}`, expected `avalanche`")),
        };
        match words.next() {
            None => Ok(HashType {
                consistent,
                function,
                avalanche,
            }),
            Some(word) => Err(format!("`{word}` is too much after `avalanche`")),
        }
    }
}

impl std::fmt::Display for HashType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.consistent { "consistent" } else { "map-based" })?;
        if let Some(function) = self.function {
            write!(f, " {}", function.name())?;
        }
        if self.avalanche {
            f.write_str(" avalanche")?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for HashType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HashType, D::Error> {
        let text = String::deserialize(deserializer)?;
        HashType::parse(&text).map_err(D::Error::custom)
    }
}

impl serde::Serialize for HashType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for HashType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HashType".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = r"^\s*(map[-_]based|consistent)(\s+(sdbm|djb2|wt6|crc32|none)(\s+avalanche)?)?\s*$";
        json_schema!({"type": "string", "pattern": pattern})
    }
}

/// How a key is hashed, once all that is written about it is put together.
#[derive(Clone, Copy, Debug)]
pub struct Hasher {
    function: Function,
    avalanche: bool,
}

impl Hasher {
    /// Of `hash_type` and of what the other options say. HAProxy adds the avalanche to a `consistent` without a function.
    pub fn new(hash_type: HashType, function: Option<Function>, avalanche: Option<bool>) -> Hasher {
        let written = hash_type.function.or(function);
        let implied = hash_type.avalanche || (hash_type.consistent && written.is_none());
        Hasher {
            function: written.unwrap_or(Function::Sdbm),
            avalanche: avalanche.unwrap_or(implied),
        }
    }

    /// The hash of a text.
    #[inline]
    pub fn text(self, key: &[u8]) -> u32 {
        self.word(self.function.hash(key))
    }

    /// The hash of what is a word already.
    #[inline]
    pub fn word(self, word: u32) -> u32 {
        if self.avalanche { avalanche(word) } else { word }
    }
}
