//! `meshsim policies`: which policies there are, where they come from, and what can be set.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::cli::{self, Exit};
use meshsim::policy::balancer::{ENTRIES, Entry, known_name};
use meshsim::policy::catalog;
use meshsim::replay::setup::unknown_policy;
use meshsim::scenario::schema::fault;

/// Lists the policies, or the options of one
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The policy to tell about, such as `envoy/least_request`; `faults` lists the faults, `faults/crash` tells about one
    name: Option<String>,
}

/// Runs the subcommand.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let text = match &args.name {
        None => overview(),
        Some(name) if name == "faults" => faults(),
        Some(name) if name.starts_with("faults/") => match fault_details(&name["faults/".len()..]) {
            Some(text) => text,
            None => {
                eprintln!("error: there is no fault `{name}`; `meshsim policies faults` lists them");
                return Ok(Exit::Usage);
            }
        },
        Some(name) => match find(name) {
            Some(entry) => details(entry),
            None => {
                eprintln!("error: {}", unknown_policy(name));
                return Ok(Exit::Usage);
            }
        },
    };
    cli::print(&format!("{text}\n"))?;
    Ok(Exit::Success)
}

/// The policy of that name: a balancer, or a part around one.
fn find(name: &str) -> Option<&'static Entry> {
    let balancer = ENTRIES.iter().find(|entry| Some(entry.name) == known_name(name));
    balancer.or_else(|| catalog::part(name))
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

fn overview() -> String {
    let mut table = table(["name", "family", "what it does", "source", "checked against"]);
    for entry in ENTRIES.iter().chain(catalog::PARTS) {
        table.add_row([entry.name, entry.family, entry.about, entry.source, entry.checked]);
    }
    table.trim_fmt()
}

/// All kinds of faults, one line each.
fn faults() -> String {
    let mut table = table(["fault", "what happens", "options"]);
    for kind in fault::KINDS {
        let Some(schema) = fault::kind_schema(kind) else { continue };
        let options: Vec<&str> = schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect();
        let about = schema["description"].as_str().unwrap_or_default();
        table.add_row([kind.to_string(), about.to_string(), options.join(", ")]);
    }
    let times = "With each fault `name`, and when it comes: `at`, `after`, `for`, `every`, `until` or `random: {mttf, mttr, correlated}`.";
    format!("{}\n\n{times}", table.trim_fmt())
}

/// One kind of fault with its options, if there is such a one.
fn fault_details(kind: &str) -> Option<String> {
    let schema = fault::kind_schema(kind)?;
    let text = format!("faults/{kind}: {}\n", schema["description"].as_str().unwrap_or_default());
    let mut rows = Vec::new();
    collect_options(&schema, &schema, "", &mut rows);
    if rows.is_empty() {
        return Some(text + "\nIt has no options.");
    }
    let mut table = table(["option", "type", "what it is"]);
    // Defaults are in the words: `; 1s if absent`.
    table.add_rows(rows.into_iter().map(|[name, kind, _, about, _]| [name, kind, about]));
    Some(format!("{text}\n{}", table.trim_fmt()))
}

fn details(entry: &Entry) -> String {
    let Entry {
        name,
        about,
        source,
        checked,
        differences,
        ..
    } = entry;
    let mut text = format!("{name}: {about}\nSource: {source}\nChecked against: {checked}\n");
    if !differences.is_empty() {
        text += &format!("Differs from the real one: {differences}\n");
    }
    let schema = Value::from(entry.options_schema());
    let mut rows = Vec::new();
    collect_options(&schema, &schema, "", &mut rows);
    if rows.is_empty() {
        return text + "\nIt has no options.";
    }
    let mut table = table(["option", "type", "default", "what it is", "upstream name"]);
    table.add_rows(rows);
    format!("{text}\n{}", table.trim_fmt())
}

/// The rows of a schema's options; those of an option that is a map follow it, with dots in their names as `--set` wants them.
fn collect_options(root: &Value, schema: &Value, prefix: &str, rows: &mut Vec<[String; 5]>) {
    for (name, option) in schema["properties"].as_object().into_iter().flatten() {
        let text = |key: &str| option[key].as_str().unwrap_or_default().to_string();
        let inner = resolve(root, option);
        let is_map = inner["properties"].is_object();
        let default = match &option["default"] {
            Value::Null => "none".to_string(),
            Value::Object(_) if is_map => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let kind = if is_map { "map".to_string() } else { kind(option) };
        let name = format!("{prefix}{name}");
        let below = format!("{name}.");
        rows.push([name, kind, default, text("description"), text("x-upstream")]);
        if is_map {
            collect_options(root, inner, &below, rows);
        }
    }
}

/// The schema that an option refers to: its own, one of the definitions, or that of an option that may be absent.
fn resolve<'s>(root: &'s Value, option: &'s Value) -> &'s Value {
    if let Some(name) = option["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return &root["$defs"][name];
    }
    let present = |other: &&Value| other["type"] != "null";
    match option["anyOf"].as_array().and_then(|options| options.iter().find(present)) {
        Some(other) => resolve(root, other),
        None => option,
    }
}

/// The type of an option, from its schema.
fn kind(option: &Value) -> String {
    if let Some(words) = option["enum"].as_array() {
        // Every word is there in capitals too, which says nothing new.
        let words = words
            .iter()
            .filter_map(Value::as_str)
            .filter(|word| word.to_lowercase() == *word);
        return words.collect::<Vec<_>>().join(" | ");
    }
    match &option["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .filter(|kind| *kind != "null")
            .collect(),
        _ => {
            let present = |other: &&Value| other["type"] != "null";
            let other = option["anyOf"].as_array().and_then(|options| options.iter().find(present));
            match (option["$ref"].as_str(), other) {
                (Some(path), _) => path.rsplit('/').next().unwrap_or("any").to_lowercase(),
                (None, Some(other)) => kind(other),
                (None, None) => "any".to_string(),
            }
        }
    }
}
