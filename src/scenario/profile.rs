//! Profiles: `mesh: {profile: istio}` has every default as that system ships it. What is written beside it wins.
//!
//! A profile is a text like a scenario's `mesh`, with its sources beside each line. It is merged on the tree, before anything has a type, so
//! that an error in what is written beside it points at that.

use std::sync::Arc;

use super::decode::Field;
use super::diagnostic::Diagnostics;
use super::source::{Source, Span};
use super::tree::{Entry, Key, Node, Value};
use super::{parse, patch};

/// A system as it is shipped.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// The `mesh` that it comes to, as YAML with the source of each line.
    pub text: &'static str,
}

impl Profile {
    /// Which version of what it is, in one line.
    pub fn about(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches("# ")
    }
}

macro_rules! profiles {
    ($($name:literal),*) => {
        &[$(Profile { name: $name, text: include_str!(concat!("profiles/", $name, ".yaml")) }),*]
    };
}

/// All profiles.
pub const PROFILES: &[Profile] = profiles![
    "istio",
    "envoy",
    "linkerd",
    "grpc",
    "kube_proxy",
    "nginx",
    "haproxy",
    "finagle"
];

const NAMES: &[&str] = &[
    "istio",
    "envoy",
    "linkerd",
    "grpc",
    "kube_proxy",
    "nginx",
    "haproxy",
    "finagle",
];

/// The profile of that name.
pub fn profile(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

/// The name of a profile, as a scenario writes it. Loading has put the profile in its place before anybody asks.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Name(#[expect(dead_code, reason = "it is there for the schema")] String);

impl schemars::JsonSchema for Name {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Profile".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"enum": NAMES})
    }
}

/// The value of the key, for the schema.
pub(crate) type ProfileField = Option<Field<Name>>;

/// Puts the profiles that a scenario names in their places: wherever a map has the key `mesh`.
pub(crate) fn expand(node: &mut Node, diagnostics: &mut Diagnostics) {
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::List(items) => items.iter_mut().for_each(|item| expand(item, diagnostics)),
        Value::Map(entries) => {
            for entry in entries {
                if &*entry.key.text == "mesh" {
                    expand_mesh(&mut entry.value, diagnostics);
                } else {
                    expand(&mut entry.value, diagnostics);
                }
            }
        }
    }
}

fn expand_mesh(mesh: &mut Node, diagnostics: &mut Diagnostics) {
    let span = mesh.span;
    let Value::Map(entries) = &mut mesh.value else { return };
    let Some(at) = entries.iter().position(|entry| &*entry.key.text == "profile") else {
        return;
    };
    let named = entries.remove(at);
    if named.value.is_null() {
        return;
    }
    let Some(name) = named.value.text() else {
        return diagnostics.mismatch(named.value.span, "the name of a profile such as `istio`", None);
    };
    let Some(profile) = profile(name) else {
        return diagnostics.unknown_choice(named.value.span, name, NAMES);
    };
    // What is switched off beside a profile stays off, whatever is around.
    let off: Vec<Entry> = entries.iter().filter(|entry| entry.value.is_null()).cloned().collect();
    let beside = Node {
        span,
        value: std::mem::replace(&mut mesh.value, Value::Map(Vec::new())),
    };
    let source = Source::from_text(&format!("profiles/{name}"), profile.text.to_string());
    let number = diagnostics.add_source(Arc::new(source.clone()));
    let Some(mut whole) = parse::parse(&source, number, diagnostics) else {
        return;
    };
    patch::merge(&mut whole, &within_mesh(beside, span));
    let Value::Map(mut top) = whole.value else { return };
    let Some(mut merged) = top.pop().map(|entry| entry.value) else {
        return;
    };
    if let Value::Map(entries) = &mut merged.value {
        entries.extend(off);
    }
    *mesh = Node { span, ..merged };
}

/// A scenario that is nothing but this mesh: paths begin there.
fn within_mesh(mesh: Node, span: Span) -> Node {
    let key = Key {
        text: "mesh".into(),
        span,
    };
    Node {
        span,
        value: Value::Map(vec![Entry { key, value: mesh }]),
    }
}
