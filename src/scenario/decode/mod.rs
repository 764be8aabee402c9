//! From the tree to typed documents: a `serde::Deserializer` over spanned nodes that goes on after an error.
//!
//! Three things make it collect instead of stopping. Unknown keys of a struct are reported and skipped before the struct
//! sees them. A [`Field`] catches the error of the value in it, so the items of a list and the keys of a map fail on their own.
//! And an error that has been reported travels on only as a mark. What the document means is not decided here.

mod access;
mod error;
mod field;

use std::cell::RefCell;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use access::{EnumDecoder, ListDecoder, MapDecoder, SpannedDecoder, Struct};
use error::{DecodeError, Found};

use super::diagnostic::Diagnostics;
use super::tree::{Entry, Node, Resolved, Value};

pub use field::{Field, Name, Named};

/// The newtype name by which a type asks for `visit_seq` at a list and for `visit_newtype_struct` at all else, so that the struct that
/// it then reads has its unknown keys reported like any other.
pub(crate) const LIST_OR_ONE: &str = "$meshsim::ListOrOne";

/// Where the passes of one decoding report to.
pub(crate) struct Context<'a> {
    diagnostics: RefCell<&'a mut Diagnostics>,
    keys: Keys<'a>,
}

/// What serde does not tell about the keys of structs, by the name of the struct.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    /// Keys that a later version will have.
    pub(crate) future: &'a [(&'a str, &'a str)],
    /// Keys that must be there; each struct's values can stand being empty.
    pub(crate) required: &'a [(&'a str, &'a [&'a str])],
}

/// Reads a `T` from `node`. `None` if it could not be read; the diagnostics say why, and may hold problems in any case.
pub(crate) fn decode<'de, T: Deserialize<'de>>(
    node: &'de Node,
    keys: Keys<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Field<T>> {
    let context = Context {
        diagnostics: RefCell::new(diagnostics),
        keys,
    };
    let field: Result<Field<T>, DecodeError> = Field::deserialize(Decoder::new(node, &context));
    field.ok()
}

/// One node, to be read as something.
#[derive(Clone, Copy)]
struct Decoder<'de, 'c> {
    node: &'de Node,
    context: &'c Context<'c>,
}

impl<'de, 'c> Decoder<'de, 'c> {
    fn new(node: &'de Node, context: &'c Context<'c>) -> Decoder<'de, 'c> {
        Decoder { node, context }
    }

    fn found(self) -> Found {
        match &self.node.value {
            Value::List(_) => Found("a list".to_string()),
            Value::Map(_) => Found("a map".to_string()),
            Value::Scalar(scalar) => Found::scalar(scalar),
        }
    }

    fn mismatch(self, expected: &dyn serde::de::Expected) -> DecodeError {
        DecodeError::mismatch(self.found(), expected).or_at(self.node.span)
    }

    /// The entries of a map; none of null, so that `a:` may stand for `a: {}`.
    fn entries(self) -> Option<&'de [Entry]> {
        match &self.node.value {
            Value::Map(entries) => Some(entries),
            _ if self.node.is_null() => Some(&[]),
            _ => None,
        }
    }

    fn map<V: Visitor<'de>>(self, known: Option<Struct>, visitor: V) -> Result<V::Value, DecodeError> {
        let Some(entries) = self.entries() else {
            return Err(self.mismatch(&visitor));
        };
        let map = MapDecoder::new(entries, known, self.node.span, self.context);
        visitor
            .visit_map(map)
            .map_err(|error: DecodeError| error.or_found(self.found()).or_at(self.node.span))
    }
}

impl<'de> Deserializer<'de> for Decoder<'de, '_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let scalar = match &self.node.value {
            Value::List(_) => return self.deserialize_seq(visitor),
            Value::Map(_) => return self.deserialize_map(visitor),
            Value::Scalar(scalar) => scalar,
        };
        let result = match scalar.resolve() {
            Resolved::Null => visitor.visit_unit(),
            Resolved::Bool(value) => visitor.visit_bool(value),
            Resolved::Unsigned(value) => visitor.visit_u64(value),
            Resolved::Negative(value) => visitor.visit_i64(value),
            Resolved::Float(value) if !value.is_finite() => Err(DecodeError::not_finite(&scalar.text)),
            Resolved::Float(value) => visitor.visit_f64(value),
            Resolved::Text(text) => visitor.visit_str(text),
        };
        result.map_err(|error| error.or_found(self.found()).or_at(self.node.span))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            // Where text is wanted `1.10` and `true` are text.
            Value::Scalar(scalar) if !self.node.is_null() => visitor
                .visit_str(&scalar.text)
                .map_err(|error: DecodeError| error.or_found(self.found()).or_at(self.node.span)),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.node.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.value {
            Value::List(_) if name == LIST_OR_ONE => self.deserialize_seq(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let items: &[Node] = match &self.node.value {
            Value::List(items) => items,
            _ if self.node.is_null() => &[],
            _ => return Err(self.mismatch(&visitor)),
        };
        let list = ListDecoder::new(items, self.context);
        visitor
            .visit_seq(list)
            .map_err(|error: DecodeError| error.or_found(self.found()).or_at(self.node.span))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.map(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name == field::SPANNED {
            return visitor.visit_map(SpannedDecoder::value(self));
        }
        self.map(Some((name, fields)), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let Some(choice) = EnumDecoder::new(self) else {
            return Err(self.mismatch(&"one name, or a map with one key"));
        };
        visitor
            .visit_enum(choice)
            .map_err(|error: DecodeError| error.or_found(self.found()).or_at(self.node.span))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
    }
}
