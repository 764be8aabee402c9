//! `meshsim explain`: the story of single requests.

use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use meshsim::explain::{self, Explanation, Which};
use meshsim::report::write;
use meshsim::scenario::{Scenario, Variant};

use crate::cli::overrides::OverrideArgs;
use crate::cli::{Exit, colored, interrupt, print, validate};

/// Tells the story of single requests
#[derive(clap::Args, Debug)]
#[command(
    after_help = "A request's number counts the requests that its client sends in one run, from 1, in the order of their intended start.\n\
        --slowest and --failed look among the requests that are measured, and print each one's number."
)]
pub struct Args {
    /// The scenario file; `-` is standard input
    #[arg(value_name = "SCENARIO")]
    file: PathBuf,

    #[command(flatten)]
    overrides: OverrideArgs,

    /// The client's N-th request, from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["slowest", "failed"])]
    request: Option<u64>,

    /// The N slowest requests that succeeded
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    slowest: Option<u32>,

    /// N requests that failed, of different causes as far as there are such, the first of each
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    failed: Option<u32>,

    /// Whose requests [default: the only client; with --slowest and --failed any]
    #[arg(long, value_name = "NAME")]
    client: Option<String>,

    /// Which replication, from 1
    #[arg(long, value_name = "R", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    replication: u32,

    /// What to print on stdout
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,

    /// Writes the requests as a trace, which Jaeger or Perfetto opens
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// What kind of trace [default: chrome where the file's name ends in .chrome.json, .perfetto.json or .trace, else otlp]
    #[arg(long, value_enum, value_name = "KIND", requires = "trace")]
    trace_format: Option<TraceFormat>,

    /// Says nothing but the stories and errors
    #[arg(long, short)]
    quiet: bool,
}

/// What is printed on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people.
    Text,
    /// Everything that is known, with times in nanoseconds since the intended start.
    Json,
}

/// What kind of trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TraceFormat {
    /// OpenTelemetry's OTLP in JSON: Jaeger imports it.
    Otlp,
    /// Chrome's trace events: Perfetto and chrome://tracing open them.
    Chrome,
}

impl TraceFormat {
    fn of(path: &Path) -> TraceFormat {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        let is_chrome = [".chrome.json", ".perfetto.json", ".trace", ".pftrace"]
            .iter()
            .any(|end| name.ends_with(end));
        if is_chrome { TraceFormat::Chrome } else { TraceFormat::Otlp }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// Gives what cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    if args.request.is_none() && args.slowest.is_none() && args.failed.is_none() {
        eprintln!("error: say which requests: `--request N`, `--slowest N` or `--failed N`");
        return Ok(Exit::Usage);
    }
    let overrides = args.overrides.overrides();
    let (scenario, diagnostics) = validate::load_file(&args.file, &overrides);
    validate::report(&diagnostics)?;
    let Some(scenario) = scenario else {
        return Ok(Exit::Usage);
    };
    let variants = chosen(args, &scenario, !overrides.variants.is_empty());
    if args.trace.is_some() && variants.len() > 1 {
        eprintln!("error: a trace is of one variant: name one with `--variant`");
        return Ok(Exit::Usage);
    }
    let mut explanations = Vec::new();
    for variant in &variants {
        match explain::explain(&scenario, variant, args.replication, &which(args)) {
            Ok(explanation) => explanations.push(explanation),
            Err(unknown) => {
                eprintln!("error: {unknown}");
                return Ok(Exit::Usage);
            }
        }
    }
    tell_nothing_found(args, &explanations);
    if let (Some(path), Some(explanation)) = (&args.trace, explanations.first()) {
        let text = match args.trace_format.unwrap_or_else(|| TraceFormat::of(path)) {
            TraceFormat::Otlp => explain::otlp(explanation),
            TraceFormat::Chrome => explain::chrome(explanation),
        };
        write_file(path, text)?;
        if !args.quiet {
            eprintln!("trace in {}", path.display());
        }
    }
    print(&rendered(args, &explanations))?;
    Ok(Exit::Success)
}

/// Writes a file beside its place, then puts it there.
fn write_file(path: &Path, text: String) -> anyhow::Result<()> {
    let Some(name) = path.file_name() else {
        anyhow::bail!("cannot write `{}`: it is no file", path.display());
    };
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let _writing = interrupt::uninterrupted();
    write::write_folder(folder, &[(name.to_string_lossy().into_owned(), text.into_bytes())])?;
    Ok(())
}

fn which(args: &Args) -> Which {
    match args.request {
        Some(number) => Which::Number {
            client: args.client.clone(),
            number,
        },
        None => Which::Search {
            client: args.client.clone(),
            slowest: args.slowest.unwrap_or(0) as usize,
            failed: args.failed.unwrap_or(0) as usize,
        },
    }
}

/// The variants named on the command line; else the first.
fn chosen<'a>(args: &Args, scenario: &'a Scenario, are_named: bool) -> Vec<&'a Variant> {
    if are_named || scenario.variants.len() == 1 {
        return scenario.variants.iter().collect();
    }
    if !args.quiet {
        let names: Vec<&str> = scenario.variants.iter().map(|variant| variant.name.as_str()).collect();
        eprintln!("variant {} of {}; --variant names another", names[0], names.join(", "));
    }
    scenario.variants.iter().take(1).collect()
}

fn tell_nothing_found(args: &Args, explanations: &[Explanation]) {
    for explanation in explanations {
        let failed = explanation.stories.iter().filter(|story| !story.success).count();
        if args.failed.is_some() && failed == 0 {
            eprintln!(
                "variant {}: no request that is measured failed in replication {}",
                explanation.variant, args.replication
            );
        }
        if args.slowest.is_some() && failed == explanation.stories.len() {
            eprintln!(
                "variant {}: no request that is measured succeeded in replication {}",
                explanation.variant, args.replication
            );
        }
    }
}

fn rendered(args: &Args, explanations: &[Explanation]) -> String {
    match args.format {
        Format::Text => {
            let color = colored(&io::stdout());
            let texts: Vec<String> = explanations
                .iter()
                .map(|explanation| explain::text(explanation, color))
                .collect();
            texts.join("\n")
        }
        Format::Json => {
            let text = match explanations {
                [one] => serde_json::to_string_pretty(one),
                all => serde_json::to_string_pretty(all),
            };
            text.expect("an explanation is always writable") + "\n"
        }
    }
}
