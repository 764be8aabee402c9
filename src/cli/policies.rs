//! `meshsim policies`: which policies there are, where they come from, and what can be set.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::cli::{self, Exit};
use meshsim::policy::balancer::{ENTRIES, Entry, known_name};
use meshsim::replay::setup::unknown_policy;

/// Lists the policies, or the options of one
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The policy to tell about, such as `envoy/least_request`
    name: Option<String>,
}

/// Runs the subcommand.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let text = match &args.name {
        None => overview(),
        Some(name) => match ENTRIES.iter().find(|entry| Some(entry.name) == known_name(name)) {
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

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

fn overview() -> String {
    let mut table = table(["name", "family", "what it does", "source"]);
    for entry in ENTRIES {
        table.add_row([entry.name, entry.family, entry.about, entry.source]);
    }
    table.trim_fmt()
}

fn details(entry: &Entry) -> String {
    let head = format!("{}: {}\nSource: {}\n", entry.name, entry.about, entry.source);
    let schema = Value::from(entry.options_schema());
    match schema["properties"].as_object() {
        Some(options) if !options.is_empty() => format!("{head}\n{}", options_table(options)),
        _ => format!("{head}\nIt has no options."),
    }
}

fn options_table(options: &serde_json::Map<String, Value>) -> String {
    let mut table = table(["option", "type", "default", "what it is", "upstream name"]);
    for (name, option) in options {
        let text = |key: &str| option[key].as_str().unwrap_or_default().to_string();
        let default = match &option["default"] {
            Value::Null => "none".to_string(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        table.add_row([name.clone(), kind(option), default, text("description"), text("x-upstream")]);
    }
    table.trim_fmt()
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
        _ => option["$ref"].as_str().map_or("any".to_string(), |path| {
            path.rsplit('/').next().unwrap_or("any").to_lowercase()
        }),
    }
}
