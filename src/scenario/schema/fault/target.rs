//! Whom faults strike: endpoints by name, service, zone or node; and one or several names of each.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::random::Share;
use crate::scenario::decode::{Field, LIST_OR_ONE};

/// A name, or a list of names.
#[derive(Clone, Debug, Default)]
pub struct Names(pub Vec<Field<String>>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Names, D::Error> {
        struct NamesVisitor;
        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or a list of names")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Names, D::Error> {
                Field::deserialize(deserializer).map(|name| Names(vec![name]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = items.next_element()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_newtype_struct(LIST_OR_ONE, NamesVisitor)
    }
}

impl JsonSchema for Names {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Names".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A name, or a list of names.",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
        })
    }
}

/// Whom a fault strikes, as it was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Target<'a> {
    pub(crate) endpoint: Option<&'a Field<Names>>,
    pub(crate) service: Option<&'a Field<Names>>,
    /// The share of each service's endpoints, with the name of its key.
    pub(crate) share: Option<(&'a Field<Share>, &'static str)>,
    pub(crate) count: Option<&'a Field<u32>>,
    pub(crate) zone: Option<&'a Field<Names>>,
    pub(crate) node: Option<&'a Field<Names>>,
    pub(crate) all: Option<&'a Field<bool>>,
}

/// Declares the options of a fault that strikes endpoints. `share` is that of the endpoints; where it is that of the requests, the
/// endpoints have `endpoint_share`.
macro_rules! targeted {
    ($(#[$meta:meta])* pub struct $name:ident by $share:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
        pub struct $name {
            /// One endpoint, `service/endpoint`, or a list of them.
            pub endpoint: Option<Field<$crate::scenario::schema::fault::target::Names>>,
            /// The endpoints of a service, or of several.
            pub service: Option<Field<$crate::scenario::schema::fault::target::Names>>,
            /// The share of the service's endpoints, drawn by the seed, at least one of them; all if absent.
            pub $share: Option<Field<$crate::random::Share>>,
            /// How many of the service's endpoints, drawn by the seed; all if absent.
            #[schemars(extend("minimum" = 1))]
            pub count: Option<Field<u32>>,
            /// All endpoints in a zone, or in several.
            pub zone: Option<Field<$crate::scenario::schema::fault::target::Names>>,
            /// All endpoints on a node, or on several: those whose `node` it is.
            pub node: Option<Field<$crate::scenario::schema::fault::target::Names>>,
            /// Whether it is all endpoints of all services.
            pub all: Option<Field<bool>>,
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl $name {
            pub(crate) fn target(&self) -> $crate::scenario::schema::fault::target::Target<'_> {
                $crate::scenario::schema::fault::target::Target {
                    endpoint: self.endpoint.as_ref(),
                    service: self.service.as_ref(),
                    share: self.$share.as_ref().map(|share| (share, stringify!($share))),
                    count: self.count.as_ref(),
                    zone: self.zone.as_ref(),
                    node: self.node.as_ref(),
                    all: self.all.as_ref(),
                }
            }
        }
    };
}

pub(super) use targeted;
