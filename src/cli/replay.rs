//! `meshsim replay`: drives one policy by a script and prints its decisions.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::Exit;
use meshsim::policy::ClusterConfig;
use meshsim::replay::{self, Error, setup};

/// Drives one policy by a script of JSON lines and prints its decisions, one line each
///
/// The script, one JSON object a line, each with `"t": SECONDS` if time passes:
///   {"op": "endpoints", "endpoints": [{"id": "10.0.0.1:80", "weight": 2, "zone": "a", "priority": 0}]}
///   {"op": "pick", "key": "user-17"}
///   {"op": "pick", "count": 100, "auto_done": true}
///   {"op": "done", "endpoint": "10.0.0.1:80", "status": 503, "latency": 0.012}
///   {"op": "health", "endpoint": "10.0.0.1:80", "health": "unhealthy"}
///   {"op": "tick"}
///
/// A pick is in flight until a `done` for its endpoint. Where the mesh file has `retry`, a pick is the oldest retry
/// that was granted and not yet made; `"attempt": 0` on it makes it a new call.
///
/// Where the mesh file has `hedging`, or `hedge_policy` and `per_try_timeout`, further attempts of a call are made as
/// time passes, and are in flight like picks: {"t": 0.1, "hedge": "10.0.0.2:80"}. When one of them is answered for good
/// the others are given up: {"t": 0.2, "cancel": "10.0.0.1:80"}. An attempt with `auto_done` or `attempt` stays alone.
#[derive(clap::Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The policy's name, such as `envoy/ring_hash`; `meshsim policies` lists them
    policy: String,
    /// The script; standard input if absent or `-`
    events: Option<PathBuf>,
    /// Sets an option of the policy, such as `minimum_ring_size=1024`
    #[arg(long = "set", value_name = "OPTION=VALUE")]
    settings: Vec<setup::Setting>,
    /// A YAML or JSON file with a `mesh:` block: what is around the balancer
    #[arg(long, value_name = "FILE")]
    mesh: Option<PathBuf>,
    /// What the policy's randomness follows from
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// Runs the subcommand.
///
/// # Errors
/// Files that cannot be read or written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let config = match config(args)? {
        Ok(config) => config,
        Err(message) => return Ok(misuse(&message)),
    };
    let output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let result = match args.events.as_deref().filter(|path| *path != Path::new("-")) {
        // Whoever writes it may want each answer before going on.
        None => replay::converse(config, args.seed, io::stdin(), output),
        Some(path) => match File::open(path) {
            Ok(file) => replay::run(config, args.seed, BufReader::with_capacity(1 << 16, file), output),
            Err(error) => return Ok(misuse(&format!("cannot open {}: {error}", path.display()))),
        },
    };
    match result {
        Ok(()) => Ok(Exit::Success),
        Err(error @ Error::Script { .. }) => Ok(misuse(&error.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn config(args: &Args) -> anyhow::Result<Result<ClusterConfig, String>> {
    let Some(path) = &args.mesh else {
        return Ok(setup::cluster(&args.policy, &args.settings, None));
    };
    let document = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.display().to_string();
    Ok(setup::cluster(&args.policy, &args.settings, Some((&name, &document))))
}

fn misuse(message: &str) -> Exit {
    eprintln!("error: {message}");
    Exit::Usage
}
