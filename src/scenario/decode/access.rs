//! How serde walks through lists, maps, enums and spanned values of the tree.

use serde::de::value::{MapAccessDeserializer, StrDeserializer, U64Deserializer};
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::error::DecodeError;
use super::{Context, Decoder, field};
use crate::scenario::source::Span;
use crate::scenario::tree::{Entry, Key, Node, Value};

/// The items of a list, one after another.
pub(super) struct ListDecoder<'de, 'c> {
    items: std::slice::Iter<'de, Node>,
    context: &'c Context<'c>,
}

impl<'de, 'c> ListDecoder<'de, 'c> {
    pub(super) fn new(items: &'de [Node], context: &'c Context<'c>) -> ListDecoder<'de, 'c> {
        ListDecoder {
            items: items.iter(),
            context,
        }
    }
}

impl<'de> SeqAccess<'de> for ListDecoder<'de, '_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let value = seed.deserialize(Decoder::new(node, self.context));
        value.map(Some).map_err(|error| error.or_at(node.span))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// The name of a struct and its fields.
pub(super) type Struct = (&'static str, &'static [&'static str]);

/// The entries of a map, one after another; of a struct only those that it knows, and empty values for those that it lacks.
pub(super) struct MapDecoder<'de, 'c> {
    entries: std::slice::Iter<'de, Entry>,
    known: Option<Struct>,
    missing: Vec<&'c str>,
    value: Option<&'de Node>,
    span: Span,
    context: &'c Context<'c>,
}

impl<'de, 'c> MapDecoder<'de, 'c> {
    pub(super) fn new(entries: &'de [Entry], known: Option<Struct>, span: Span, context: &'c Context<'c>) -> MapDecoder<'de, 'c> {
        let required = known.and_then(|(name, _)| context.keys.required.iter().find(|(of, _)| *of == name));
        let is_there = |key: &str| entries.iter().any(|entry| &*entry.key.text == key);
        let required = required.map_or(&[][..], |(_, keys)| keys);
        MapDecoder {
            entries: entries.iter(),
            known,
            missing: required.iter().copied().filter(|key| !is_there(key)).rev().collect(),
            value: None,
            span,
            context,
        }
    }

    /// Nothing at all, for a bare name.
    fn empty(span: Span, context: &'c Context<'c>) -> MapDecoder<'de, 'c> {
        MapDecoder::new(&[], None, span, context)
    }

    /// Whether the struct takes the key; else the user is told.
    fn takes(&self, key: &Key) -> bool {
        let Some((name, fields)) = self.known else { return true };
        if fields.contains(&&*key.text) {
            return true;
        }
        let mut diagnostics = self.context.diagnostics.borrow_mut();
        if self.context.keys.future.contains(&(name, &*key.text)) {
            diagnostics.not_supported_yet(key.span, &key.text);
        } else {
            diagnostics.unknown_key(key.span, &key.text, fields);
        }
        false
    }
}

impl<'de> MapAccess<'de> for MapDecoder<'de, '_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        while let Some(entry) = self.entries.next() {
            if self.takes(&entry.key) {
                self.value = Some(&entry.value);
                let key = seed.deserialize(KeyDecoder(&entry.key));
                return key.map(Some).map_err(|error| error.or_at(entry.key.span));
            }
        }
        let Some(key) = self.missing.pop() else { return Ok(None) };
        self.context.diagnostics.borrow_mut().missing_key(self.span, key);
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let Some(node) = self.value.take() else {
            return seed.deserialize(MissingDecoder(self.span));
        };
        let value = seed.deserialize(Decoder::new(node, self.context));
        value.map_err(|error| error.or_at(node.span))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A key: text with a place.
#[derive(Clone, Copy)]
struct KeyDecoder<'de>(&'de Key);

impl<'de> Deserializer<'de> for KeyDecoder<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(&self.0.text)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name == field::SPANNED {
            return visitor.visit_map(SpannedDecoder::key(self));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The value of a key that is missing, which has been reported: an empty field.
struct MissingDecoder(Span);

impl<'de> Deserializer<'de> for MissingDecoder {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError::reported())
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name == field::SPANNED {
            return visitor.visit_map(SpannedDecoder::missing(self.0));
        }
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A span and then the value at it, as [`field::Spanned`] asks for them.
pub(super) struct SpannedDecoder<'de, 'c> {
    /// The three numbers of the span that are still to come, the last first.
    numbers: Vec<u32>,
    of: Of<'de, 'c>,
}

enum Of<'de, 'c> {
    Value(Decoder<'de, 'c>),
    Key(KeyDecoder<'de>),
    Missing,
}

impl<'de, 'c> SpannedDecoder<'de, 'c> {
    pub(super) fn value(decoder: Decoder<'de, 'c>) -> SpannedDecoder<'de, 'c> {
        SpannedDecoder {
            numbers: numbers(decoder.node.span),
            of: Of::Value(decoder),
        }
    }

    fn missing(span: Span) -> SpannedDecoder<'de, 'c> {
        SpannedDecoder {
            numbers: numbers(span),
            of: Of::Missing,
        }
    }

    fn key(decoder: KeyDecoder<'de>) -> SpannedDecoder<'de, 'c> {
        SpannedDecoder {
            numbers: numbers(decoder.0.span),
            of: Of::Key(decoder),
        }
    }
}

fn numbers(span: Span) -> Vec<u32> {
    vec![span.end, span.start, span.source]
}

impl<'de> MapAccess<'de> for SpannedDecoder<'de, '_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        seed.deserialize(StrDeserializer::new("")).map(Some)
    }

    /// Reports what is wrong with the value here, so that who asked may take the error for an empty field.
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        if let Some(number) = self.numbers.pop() {
            let number: U64Deserializer<DecodeError> = u64::from(number).into_deserializer();
            return seed.deserialize(number);
        }
        match self.of {
            Of::Missing => Err(DecodeError::reported()),
            Of::Key(key) => seed.deserialize(key),
            Of::Value(decoder) => seed.deserialize(decoder).map_err(|error| {
                let error = error.or_at(decoder.node.span);
                error.report(&mut decoder.context.diagnostics.borrow_mut())
            }),
        }
    }
}

/// A name, or a map with one key: the name and what belongs to it.
pub(super) struct EnumDecoder<'de, 'c> {
    name: Name<'de>,
    value: Option<&'de Node>,
    span: Span,
    context: &'c Context<'c>,
}

enum Name<'de> {
    Scalar(&'de str),
    Key(&'de Key),
}

impl<'de, 'c> EnumDecoder<'de, 'c> {
    /// `None` if `decoder` is at something else.
    pub(super) fn new(decoder: Decoder<'de, 'c>) -> Option<EnumDecoder<'de, 'c>> {
        let (name, value) = match &decoder.node.value {
            Value::Scalar(scalar) if !decoder.node.is_null() => (Name::Scalar(&scalar.text), None),
            Value::Map(entries) => match entries.as_slice() {
                [entry] => (Name::Key(&entry.key), Some(&entry.value)),
                _ => return None,
            },
            _ => return None,
        };
        Some(EnumDecoder {
            name,
            value,
            span: decoder.node.span,
            context: decoder.context,
        })
    }
}

impl<'de, 'c> EnumAccess<'de> for EnumDecoder<'de, 'c> {
    type Error = DecodeError;
    type Variant = VariantDecoder<'de, 'c>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, VariantDecoder<'de, 'c>), DecodeError> {
        let value = match self.name {
            Name::Scalar(text) => seed
                .deserialize(StrDeserializer::new(text))
                .map_err(|error: DecodeError| error.or_at(self.span)),
            Name::Key(key) => seed.deserialize(KeyDecoder(key)).map_err(|error| error.or_at(key.span)),
        };
        let variant = VariantDecoder {
            value: self.value,
            span: self.span,
            context: self.context,
        };
        Ok((value?, variant))
    }
}

/// What belongs to the name of an enum's variant.
pub(super) struct VariantDecoder<'de, 'c> {
    value: Option<&'de Node>,
    span: Span,
    context: &'c Context<'c>,
}

impl<'de> VariantDecoder<'de, '_> {
    /// A bare name stands for one with an empty map.
    fn map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.value {
            Some(node) => Decoder::new(node, self.context).deserialize_map(visitor),
            None => {
                let empty = MapDecoder::empty(self.span, self.context);
                visitor.visit_map(empty).map_err(|error| error.or_at(self.span))
            }
        }
    }
}

impl<'de> VariantAccess<'de> for VariantDecoder<'de, '_> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        let Some(node) = self.value else { return Ok(()) };
        let is_empty = node.is_null() || matches!(&node.value, Value::Map(entries) if entries.is_empty());
        if is_empty {
            return Ok(());
        }
        Err(Decoder::new(node, self.context).mismatch(&"nothing: there are no options"))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeError> {
        match self.value {
            Some(node) => {
                let value = seed.deserialize(Decoder::new(node, self.context));
                value.map_err(|error| error.or_at(node.span))
            }
            None => {
                let empty = MapAccessDeserializer::new(MapDecoder::empty(self.span, self.context));
                seed.deserialize(empty).map_err(|error| error.or_at(self.span))
            }
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        match self.value {
            Some(node) => Decoder::new(node, self.context).deserialize_seq(visitor),
            None => Err(DecodeError::mismatch(super::Found("a bare name".to_string()), &visitor).or_at(self.span)),
        }
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, DecodeError> {
        self.map(visitor)
    }
}
