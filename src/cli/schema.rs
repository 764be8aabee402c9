//! `meshsim schema`: the JSON Schema of a scenario file, for editors.

use super::{Exit, print};
use meshsim::scenario::schema::json_schema;

/// The arguments.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Prints the schema.
///
/// # Errors
/// If stdout cannot be written.
pub fn run(_: &Args) -> anyhow::Result<Exit> {
    let schema = serde_json::to_string_pretty(&json_schema())?;
    print(&format!("{schema}\n"))?;
    Ok(Exit::Success)
}
