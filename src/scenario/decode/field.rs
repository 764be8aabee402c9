//! Values with their places: what the types of `schema` are built of, so that checks can point at them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::scenario::source::Span;

/// The struct name by which a decoder knows that a span is asked for.
pub(super) const SPANNED: &str = "$meshsim::Spanned";

/// A value with its place. Empty if it could not be read, which the diagnostics say: the rest of the document is read on.
#[derive(Clone, Debug)]
pub struct Field<T> {
    /// Where it is.
    pub span: Span,
    /// What it is; in a box, since steps hold steps and a document may be deep.
    pub value: Option<Box<T>>,
}

impl<T> Field<T> {
    /// The value, if it could be read.
    pub fn get(&self) -> Option<&T> {
        self.value.as_deref()
    }

    /// The value of a document that has passed all checks.
    pub(crate) fn checked(&self) -> &T {
        self.value.as_deref().expect("a document without errors has all its values")
    }
}

/// A key that the user chose, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Where it is.
    pub span: Span,
}

/// A map from names that the user chose, in the order of the file.
#[derive(Clone, Debug)]
pub struct Named<T>(pub Vec<(Name, Field<T>)>);

impl<T> Named<T> {
    /// The names and values, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Field<T>)> {
        self.0.iter().map(|(name, field)| (name, field))
    }

    /// The names, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.text.as_str())
    }
}

impl<T> Default for Named<T> {
    fn default() -> Named<T> {
        Named(Vec::new())
    }
}

/// A span and the value at it, as a decoder gives them.
struct SpannedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SpannedVisitor<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a scenario")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field<T>, A::Error> {
        let span = Span {
            source: map.next_value()?,
            start: map.next_value()?,
            end: map.next_value()?,
        };
        // The decoder has reported the error.
        let value = map.next_value().ok().map(Box::new);
        Ok(Field { span, value })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Field<T>, D::Error> {
        deserializer.deserialize_struct(SPANNED, &[], SpannedVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        let field: Field<String> = Field::deserialize(deserializer)?;
        Ok(Name {
            text: *field.value.expect("a key is always text"),
            span: field.span,
        })
    }
}

struct NamedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(name) = map.next_key()? {
            entries.push((name, map.next_value()?));
        }
        Ok(Named(entries))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Named<T>, D::Error> {
        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("MapOf{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<T>();
        schemars::json_schema!({"type": "object", "additionalProperties": values})
    }
}
