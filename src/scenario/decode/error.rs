//! What can go wrong with one value: serde's kinds of errors, with the place, ready to become a diagnostic.

use std::fmt;

use serde::de::{Expected, Unexpected};

use crate::scenario::diagnostic::{Diagnostics, quote};
use crate::scenario::source::Span;
use crate::scenario::tree::{Resolved, Scalar};

/// What is there instead of what was expected, in words.
#[derive(Debug)]
pub(super) struct Found(pub String);

impl Found {
    pub(super) fn scalar(scalar: &Scalar) -> Found {
        let text = quote(&scalar.text);
        Found(match scalar.resolve() {
            Resolved::Null => "nothing".to_string(),
            Resolved::Bool(_) => text,
            Resolved::Unsigned(_) | Resolved::Negative(_) | Resolved::Float(_) => format!("the number {text}"),
            Resolved::Text(_) => format!("the text {text}"),
        })
    }
}

/// The error of a value. Empty once it has been reported.
#[derive(Debug)]
pub(super) struct DecodeError(Option<Box<Problem>>);

#[derive(Debug)]
struct Problem {
    kind: Kind,
    span: Option<Span>,
}

#[derive(Debug)]
enum Kind {
    /// Something else was expected.
    Mismatch {
        found: Option<Found>,
        expected: String,
    },
    /// The type itself says what is wrong.
    Custom(String),
    NotFinite(String),
    UnknownName {
        name: String,
        known: &'static [&'static str],
    },
    UnknownKey {
        key: String,
        known: &'static [&'static str],
    },
    MissingKey(&'static str),
}

impl DecodeError {
    fn new(kind: Kind) -> DecodeError {
        DecodeError(Some(Box::new(Problem { kind, span: None })))
    }

    /// An error that the diagnostics already hold.
    pub(super) fn reported() -> DecodeError {
        DecodeError(None)
    }

    pub(super) fn mismatch(found: Found, expected: &dyn Expected) -> DecodeError {
        DecodeError::new(Kind::Mismatch {
            found: Some(found),
            expected: plain_words(expected),
        })
    }

    pub(super) fn not_finite(text: &str) -> DecodeError {
        DecodeError::new(Kind::NotFinite(text.to_string()))
    }

    /// The same at `span`, unless an inner value has given it a place.
    pub(super) fn or_at(mut self, span: Span) -> DecodeError {
        if let Some(problem) = &mut self.0 {
            problem.span.get_or_insert(span);
        }
        self
    }

    /// The same with what the text says in place of serde's words for it.
    pub(super) fn or_found(mut self, found: Found) -> DecodeError {
        if let Some(Problem {
            kind: Kind::Mismatch { found: place, .. },
            span: None,
        }) = self.0.as_deref_mut()
        {
            *place = Some(found);
        }
        self
    }

    /// Hands the problem over, once.
    pub(super) fn report(self, diagnostics: &mut Diagnostics) -> DecodeError {
        let Some(problem) = self.0 else { return self };
        let span = problem.span.expect("every decoder gives its errors a place");
        match problem.kind {
            Kind::Mismatch { found, expected } => {
                diagnostics.mismatch(span, &expected, found.as_ref().map(|Found(words)| words.as_str()));
            }
            Kind::Custom(message) => diagnostics.bad_value(span, &message),
            Kind::NotFinite(text) => diagnostics.not_finite(span, &text),
            Kind::UnknownName { name, known } => diagnostics.unknown_choice(span, &name, known),
            Kind::UnknownKey { key, known } => diagnostics.unknown_key(span, &key, known),
            Kind::MissingKey(key) => diagnostics.missing_key(span, key),
        }
        DecodeError::reported()
    }
}

/// What a visitor expects, without Rust's names for types.
fn plain_words(expected: &dyn Expected) -> String {
    let words = expected.to_string();
    match words.as_str() {
        "u8" => "a whole number from 0 to 255".to_string(),
        "u16" => "a whole number from 0 to 65535".to_string(),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => "a whole number, 0 or more".to_string(),
        "i8" | "i16" | "i32" | "i64" => "a whole number".to_string(),
        "f32" | "f64" => "a number".to_string(),
        "a boolean" => "`true` or `false`".to_string(),
        "a string" => "text".to_string(),
        "a sequence" => "a list".to_string(),
        "struct Options" => "a map of options".to_string(),
        _ => match words.strip_prefix("struct ") {
            Some(name) => format!("a map that describes a {}", separate(name)),
            None => words,
        },
    }
}

/// `ConnectionPool` as `connection pool`.
fn separate(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_deref() {
            Some(Problem {
                kind: Kind::Custom(message),
                ..
            }) => f.write_str(message),
            Some(problem) => write!(f, "{:?}", problem.kind),
            None => f.write_str("reported before"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> DecodeError {
        DecodeError::new(Kind::Custom(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> DecodeError {
        DecodeError::new(Kind::Mismatch {
            found: None,
            expected: plain_words(expected),
        })
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> DecodeError {
        DecodeError::invalid_type(unexpected, expected)
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> DecodeError {
        DecodeError::new(Kind::Mismatch {
            found: None,
            expected: plain_words(expected),
        })
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> DecodeError {
        DecodeError::new(Kind::UnknownName {
            name: name.to_string(),
            known,
        })
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> DecodeError {
        DecodeError::new(Kind::UnknownKey {
            key: key.to_string(),
            known,
        })
    }

    fn missing_field(key: &'static str) -> DecodeError {
        DecodeError::new(Kind::MissingKey(key))
    }

    fn duplicate_field(key: &'static str) -> DecodeError {
        DecodeError::new(Kind::Custom(format!("the key `{key}` is there twice")))
    }
}
