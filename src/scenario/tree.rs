//! A document as a tree of nodes that know their places: what patches work on, before anything has a type.
//!
//! Scalars stay text with a mark whether they were quoted; [`Scalar::resolve`] reads them by YAML 1.2's core schema. `parse.rs` makes
//! trees.

use super::source::Span;

/// Collections within collections, aliases expanded. The passes behind this one may recurse so deep.
pub const DEPTH_MAX: usize = 128;
/// Nodes of one tree, aliases expanded: three times what 1,000 services with 100 named endpoints each have.
pub const NODES_MAX: usize = 2_000_000;

/// A value and the best place to point at when something is wrong with it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it is: a scalar or a flow collection itself, a block collection's key or its first line.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// One piece of text.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file, without duplicate keys.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// Its value.
    pub value: Node,
}

/// A key with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The text, quotes removed.
    pub text: Box<str>,
    /// Where it stands.
    pub span: Span,
}

/// A scalar as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text, quotes removed.
    pub text: Box<str>,
    /// Whether it stood without quotes, so that `1` is a number and `~` is null.
    pub plain: bool,
}

/// What a scalar means under YAML 1.2's core schema.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resolved<'a> {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A negative whole number.
    Negative(i64),
    /// Any other number; may be infinite or NaN.
    Float(f64),
    /// Anything else.
    Text(&'a str),
}

impl Scalar {
    /// A scalar that reads as itself.
    pub fn plain(text: &str) -> Scalar {
        Scalar {
            text: text.into(),
            plain: true,
        }
    }

    /// What the scalar means (YAML 1.2.2, section 10.3.2).
    pub fn resolve(&self) -> Resolved<'_> {
        if !self.plain {
            return Resolved::Text(&self.text);
        }
        match &*self.text {
            "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
            "true" | "True" | "TRUE" => Resolved::Bool(true),
            "false" | "False" | "FALSE" => Resolved::Bool(false),
            ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
            text => number(text).unwrap_or(Resolved::Text(text)),
        }
    }
}

/// `-1`, `0x1F`, `0o17`, `1.5e3`, `.inf`; not Rust's `inf`, `NaN` or `1_000`.
fn number(text: &str) -> Option<Resolved<'static>> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        return Some(Resolved::Float(sign * f64::INFINITY));
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !unsigned.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Ok(number) = text.parse() {
            return Some(Resolved::Unsigned(number));
        }
        if let Ok(number) = text.parse() {
            return Some(Resolved::Negative(number));
        }
    }
    // Beyond 64 bits a whole number is a float; Rust's grammar is the core schema's once names and underscores are out.
    text.parse().ok().map(Resolved::Float)
}

fn radix(digits: &str, radix: u32) -> Option<Resolved<'static>> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some(u64::from_str_radix(digits, radix).map_or(Resolved::Float(f64::INFINITY), Resolved::Unsigned))
}

impl Node {
    /// Nothing, at `span`.
    pub fn null(span: Span) -> Node {
        Node {
            span,
            value: Value::Scalar(Scalar::plain("")),
        }
    }

    /// Whether it is a null scalar.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.resolve() == Resolved::Null)
    }

    /// The value under `key`, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| &*entry.key.text == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// How many nodes it is made of, itself included.
    pub fn count(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 1,
            Value::List(items) => 1 + items.iter().map(Node::count).sum::<usize>(),
            Value::Map(entries) => 1 + entries.iter().map(|entry| 1 + entry.value.count()).sum::<usize>(),
        }
    }

    /// How many collections are within each other, itself included.
    pub fn depth(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => 1 + items.iter().map(Node::depth).max().unwrap_or(0),
            Value::Map(entries) => 1 + entries.iter().map(|entry| entry.value.depth()).max().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Resolved, Scalar};

    /// The examples of YAML 1.2.2, section 10.3.2, and what only YAML 1.1 or Rust would take for something else than text.
    #[test]
    fn scalars_are_read_by_the_core_schema() {
        for (text, meaning) in [
            ("", Resolved::Null),
            ("~", Resolved::Null),
            ("NULL", Resolved::Null),
            ("True", Resolved::Bool(true)),
            ("FALSE", Resolved::Bool(false)),
            ("0", Resolved::Unsigned(0)),
            ("0o7", Resolved::Unsigned(7)),
            ("0x3A", Resolved::Unsigned(58)),
            ("-19", Resolved::Negative(-19)),
            ("+12", Resolved::Unsigned(12)),
            ("0.", Resolved::Float(0.0)),
            ("-0.0", Resolved::Float(-0.0)),
            (".5", Resolved::Float(0.5)),
            ("+12e03", Resolved::Float(12_000.0)),
            ("-2E+05", Resolved::Float(-200_000.0)),
            (".inf", Resolved::Float(f64::INFINITY)),
            ("-.Inf", Resolved::Float(f64::NEG_INFINITY)),
            ("18446744073709551615", Resolved::Unsigned(u64::MAX)),
            ("18446744073709551616", Resolved::Float(18_446_744_073_709_551_616.0)),
            ("yes", Resolved::Text("yes")),
            ("inf", Resolved::Text("inf")),
            ("NaN", Resolved::Text("NaN")),
            ("infinity", Resolved::Text("infinity")),
            ("1_000", Resolved::Text("1_000")),
            ("1e", Resolved::Text("1e")),
            (".", Resolved::Text(".")),
            ("0x", Resolved::Text("0x")),
            ("0xG", Resolved::Text("0xG")),
            ("5ms", Resolved::Text("5ms")),
        ] {
            assert_eq!(Scalar::plain(text).resolve(), meaning, "{text}");
        }
        let quoted = Scalar {
            text: "1".into(),
            plain: false,
        };
        assert_eq!(quoted.resolve(), Resolved::Text("1"));
        assert!(matches!(Scalar::plain(".NaN").resolve(), Resolved::Float(nan) if nan.is_nan()));
    }
}
