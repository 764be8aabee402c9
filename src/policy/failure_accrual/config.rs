//! Reading failure accrual from a document: a name, or a map from the name to its options.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::{finagle, linkerd};

/// The names of the kinds there are.
pub const NAMES: &[&str] = &[
    "linkerd/consecutive",
    "linkerd/unified",
    "finagle/hybrid",
    "finagle/consecutive_failures",
    "finagle/success_rate",
    "finagle/success_rate_within_duration",
];

/// Whose failure accrual, and how it is set.
#[derive(Clone, Debug, PartialEq)]
pub enum Config {
    /// `linkerd/consecutive`
    LinkerdConsecutive(linkerd::Consecutive),
    /// `linkerd/unified`
    LinkerdUnified(linkerd::Unified),
    /// `finagle/hybrid`
    FinagleHybrid(finagle::Hybrid),
    /// `finagle/consecutive_failures`
    FinagleConsecutiveFailures(finagle::ConsecutiveFailures),
    /// `finagle/success_rate`
    FinagleSuccessRate(finagle::SuccessRate),
    /// `finagle/success_rate_within_duration`
    FinagleSuccessRateWithinDuration(finagle::SuccessRateWithinDuration),
}

impl Config {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Config::LinkerdConsecutive(options) => options.check(),
            Config::LinkerdUnified(options) => options.check(),
            Config::FinagleHybrid(options) => finagle::Rules::from(options).check(),
            Config::FinagleConsecutiveFailures(options) => finagle::Rules::from(options).check(),
            Config::FinagleSuccessRate(options) => finagle::Rules::from(options).check(),
            Config::FinagleSuccessRateWithinDuration(options) => finagle::Rules::from(options).check(),
        }
    }

    /// Whether it is Finagle's.
    pub fn is_finagles(&self) -> bool {
        !matches!(self, Config::LinkerdConsecutive(_) | Config::LinkerdUnified(_))
    }

    /// The kind of that name, with its options from `source`.
    fn read<'de, S: Source<'de>>(name: &str, source: S) -> Result<Config, S::Error> {
        match name {
            "linkerd/unified" => source.options().map(Config::LinkerdUnified),
            "finagle/hybrid" => source.options().map(Config::FinagleHybrid),
            "finagle/consecutive_failures" => source.options().map(Config::FinagleConsecutiveFailures),
            "finagle/success_rate" => source.options().map(Config::FinagleSuccessRate),
            "finagle/success_rate_within_duration" => source.options().map(Config::FinagleSuccessRateWithinDuration),
            _ => source.options().map(Config::LinkerdConsecutive),
        }
    }
}

/// Where the options come from once the name is known.
trait Source<'de> {
    type Error;
    fn options<T: Default + Deserialize<'de>>(self) -> Result<T, Self::Error>;
}

/// Nothing is written about them.
struct Defaults<E>(std::marker::PhantomData<E>);

impl<E> Source<'_> for Defaults<E> {
    type Error = E;
    fn options<T: Default>(self) -> Result<T, E> {
        Ok(T::default())
    }
}

/// They are the next value of a map.
struct Entry<'a, A>(&'a mut A);

impl<'de, A: MapAccess<'de>> Source<'de> for Entry<'_, A> {
    type Error = A::Error;
    fn options<T: Default + Deserialize<'de>>(self) -> Result<T, A::Error> {
        // An empty value means the defaults.
        Ok(self.0.next_value::<Option<T>>()?.unwrap_or_default())
    }
}

/// The name that a text is, or is short for.
fn known_name(text: &str) -> Option<&'static str> {
    let plain = text.replace('-', "_");
    match plain.as_str() {
        "linkerd/failure_accrual" | "linkerd/consecutive_failures" | "consecutive" => Some("linkerd/consecutive"),
        "unified" => Some("linkerd/unified"),
        "finagle/failure_accrual" | "hybrid" => Some("finagle/hybrid"),
        plain => NAMES.iter().find(|name| **name == plain).copied(),
    }
}

/// A name. A type of its own, so that an unknown one is an error of the key and not of the whole map.
struct Name(&'static str);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name such as `linkerd/consecutive`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
                known_name(text).map(Name).ok_or_else(|| E::unknown_variant(text, NAMES))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Config, D::Error> {
        struct ConfigVisitor;
        impl<'de> Visitor<'de> for ConfigVisitor {
            type Value = Config;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, such as `linkerd/consecutive`, or with options `{linkerd/consecutive: {max_failures: 7}}`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Config, E> {
                let name = known_name(text).ok_or_else(|| E::unknown_variant(text, NAMES))?;
                Config::read(name, Defaults(std::marker::PhantomData))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
                let Name(name) = map.next_key()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let config = Config::read(name, Entry(&mut map))?;
                match map.next_key::<Name>()? {
                    None => Ok(config),
                    Some(Name(second)) => Err(A::Error::custom(format!(
                        "one failure accrual is wanted, here are two: `{name}` and `{second}`"
                    ))),
                }
            }
        }
        deserializer.deserialize_any(ConfigVisitor)
    }
}

impl JsonSchema for Config {
    fn schema_name() -> Cow<'static, str> {
        "FailureAccrual".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut options = linkerd_schemas(generator);
        options.extend(finagle_schemas(generator));
        json_schema!({
            "description": "A breaker for each endpoint: a name, or a map from it to its options.",
            "anyOf": [
                {"type": "string", "enum": NAMES},
                {
                    "type": "object",
                    "properties": options,
                    "additionalProperties": false,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ],
        })
    }
}

type Schemas = serde_json::Map<String, serde_json::Value>;

/// The schemas of Linkerd's kinds, by name.
pub(crate) fn linkerd_schemas(generator: &mut SchemaGenerator) -> Schemas {
    let schemas = [
        ("linkerd/consecutive", linkerd::Consecutive::json_schema(generator)),
        ("linkerd/unified", linkerd::Unified::json_schema(generator)),
    ];
    schemas
        .map(|(name, schema)| (name.to_string(), schema.into()))
        .into_iter()
        .collect()
}

/// The schemas of Finagle's kinds, by name.
pub(crate) fn finagle_schemas(generator: &mut SchemaGenerator) -> Schemas {
    let schemas = [
        ("finagle/hybrid", finagle::Hybrid::json_schema(generator)),
        (
            "finagle/consecutive_failures",
            finagle::ConsecutiveFailures::json_schema(generator),
        ),
        ("finagle/success_rate", finagle::SuccessRate::json_schema(generator)),
        (
            "finagle/success_rate_within_duration",
            finagle::SuccessRateWithinDuration::json_schema(generator),
        ),
    ];
    schemas
        .map(|(name, schema)| (name.to_string(), schema.into()))
        .into_iter()
        .collect()
}
