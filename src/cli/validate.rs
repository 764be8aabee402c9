//! `meshsim validate`: reads and checks scenarios, runs nothing, and reports every problem of every file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::overrides::OverrideArgs;
use super::{Exit, colored, in_github_actions, print};
use meshsim::scenario::{Diagnostics, Grid, Overrides, Scenario, Source, load};

/// The arguments.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Scenario files; `-` is standard input
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<PathBuf>,

    #[command(flatten)]
    overrides: OverrideArgs,

    /// How to write the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How to write the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: problems on stderr, a line for each valid scenario on stdout
    Text,
    /// For programs: one document on stdout
    Json,
}

/// Reads and checks scenarios.
///
/// # Errors
/// If the result cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let overrides = args.overrides.overrides();
    let mut files = Vec::new();
    let mut all_valid = true;
    for path in &args.scenarios {
        let (scenario, diagnostics, points) = load_points(path, &overrides);
        all_valid &= scenario.is_some();
        match args.format {
            Format::Text => {
                report(&diagnostics)?;
                if let Some(scenario) = &scenario {
                    print(&summary(path, scenario, points))?;
                }
            }
            Format::Json => files.push(json(path, scenario.as_ref(), &diagnostics)),
        }
    }
    if args.format == Format::Json {
        let document = serde_json::json!({"schema": "meshsim/validate/v1", "valid": all_valid, "files": files});
        print(&format!("{document:#}\n"))?;
    }
    Ok(if all_valid { Exit::Success } else { Exit::Usage })
}

/// Loads a file; what keeps it from being read is a diagnostic like any other.
pub fn load_file(path: &Path, overrides: &Overrides) -> (Option<Scenario>, Diagnostics) {
    match Source::read(path) {
        Ok(source) => load(&source, overrides),
        Err(diagnostics) => (None, diagnostics),
    }
}

/// As [`load_file`], but where the file has a `sweep:`, its points are loaded too.
fn load_points(path: &Path, overrides: &Overrides) -> (Option<Scenario>, Diagnostics, usize) {
    let source = match Source::read(path) {
        Ok(source) => source,
        Err(diagnostics) => return (None, diagnostics, 0),
    };
    let (scenario, diagnostics) = load(&source, overrides);
    let (grid, mut of_grid) = Grid::open(&source, overrides, &[]);
    let Some(mut grid) = grid.filter(|grid| scenario.is_some() && !grid.axes().is_empty()) else {
        return (scenario, diagnostics, 0);
    };
    match grid.load_all(&mut of_grid, |_, _| ()) {
        true => (scenario, diagnostics, grid.points()),
        false => (None, of_grid, 0),
    }
}

/// Writes problems to stderr, in GitHub Actions as annotations too.
///
/// # Errors
/// If stderr cannot be written.
pub fn report(diagnostics: &Diagnostics) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    let color = colored(&stderr);
    stderr.write_all(diagnostics.render(color).as_bytes())?;
    if in_github_actions() {
        stderr.write_all(diagnostics.render_github().as_bytes())?;
    }
    Ok(())
}

fn summary(path: &Path, scenario: &Scenario, points: usize) -> String {
    let variants: Vec<&str> = scenario.variants.iter().map(|variant| variant.name.as_str()).collect();
    let sweep = if points > 0 {
        format!("; sweep: {points} points")
    } else {
        String::new()
    };
    format!(
        "{}: valid; variants: {}; {}{sweep}\n",
        path.display(),
        variants.join(", "),
        scenario.estimate
    )
}

fn json(path: &Path, scenario: Option<&Scenario>, diagnostics: &Diagnostics) -> serde_json::Value {
    let about = scenario.map(|scenario| {
        let variants: Vec<&str> = scenario.variants.iter().map(|variant| variant.name.as_str()).collect();
        let estimate = &scenario.estimate;
        serde_json::json!({
            "name": scenario.name,
            "digest": format!("{:016x}", scenario.digest),
            "variants": variants,
            "replications": scenario.replications,
            "estimate": {
                "runs_total": estimate.cells,
                "requests_total": estimate.requests,
                "calls_total": estimate.calls,
                "events_total": estimate.events,
                "memory_bytes": estimate.memory_bytes + estimate.cell_bytes,
            },
        })
    });
    serde_json::json!({
        "file": path.display().to_string(),
        "valid": scenario.is_some(),
        "scenario": about,
        "problems": diagnostics.to_json(),
    })
}
