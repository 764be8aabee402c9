//! `proxy_next_upstream`: which answers make nginx turn to another server, and count as a server's failure.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

use crate::policy::Answer;

/// What may be listed, in nginx's order.
const WORDS: [&str; 12] = [
    "error",
    "timeout",
    "invalid_header",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_403",
    "http_404",
    "http_429",
    "non_idempotent",
    "off",
];

/// A list of nginx's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextUpstream {
    // Bit i is word i.
    listed: u16,
}

impl Default for NextUpstream {
    /// `error timeout`, as nginx has it.
    fn default() -> NextUpstream {
        NextUpstream { listed: 0b11 }
    }
}

impl NextUpstream {
    fn of<'a>(words: impl Iterator<Item = &'a str>) -> Result<NextUpstream, String> {
        let mut listed = 0;
        for word in words {
            match WORDS.iter().position(|known| *known == word) {
                Some(bit) => listed |= 1 << bit,
                None => return Err(format!("unknown word `{word}`, expected some of {}", WORDS.join(", "))),
            }
        }
        Ok(NextUpstream { listed })
    }

    fn words(self) -> impl Iterator<Item = &'static str> {
        let is_listed = move |&(bit, _): &(usize, &&str)| self.listed & (1 << bit) != 0;
        WORDS.iter().enumerate().filter(is_listed).map(|(_, word)| *word)
    }

    /// Whether nginx counts this end of an attempt as the server's failure. Connections that fail and timeouts always count; a
    /// status counts if it is listed and there is another server to turn to; 403 and 404 never count.
    pub fn is_failure(self, answer: Answer, others_are_left: bool) -> bool {
        match answer {
            Answer::ConnectFailure | Answer::Reset | Answer::PerTryTimeout | Answer::Timeout => true,
            Answer::Cancelled | Answer::Status(403 | 404) => false,
            Answer::Status(status) => others_are_left && self.lists(status),
        }
    }

    fn lists(self, status: u16) -> bool {
        let bit = match status {
            500 => 3,
            502 => 4,
            503 => 5,
            504 => 6,
            429 => 9,
            _ => return false,
        };
        self.listed & (1 << bit) != 0
    }

    /// Whether this end makes nginx turn to another server without counting it as a failure.
    pub fn passes_on(self, answer: Answer, others_are_left: bool) -> bool {
        let bit = match answer {
            Answer::Status(403) => 7,
            Answer::Status(404) => 8,
            _ => return false,
        };
        others_are_left && self.listed & (1 << bit) != 0
    }
}

impl<'de> Deserialize<'de> for NextUpstream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NextUpstream, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            List(Vec<String>),
        }
        let written = Written::deserialize(deserializer).map_err(|_| D::Error::custom("not a text or a list of words"))?;
        match &written {
            Written::Text(text) => NextUpstream::of(text.split_whitespace()),
            Written::List(words) => NextUpstream::of(words.iter().map(String::as_str)),
        }
        .map_err(D::Error::custom)
    }
}

impl serde::Serialize for NextUpstream {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.words())
    }
}

impl JsonSchema for NextUpstream {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NextUpstream".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string", "enum": WORDS}},
        ]})
    }
}
