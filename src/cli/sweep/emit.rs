//! `meshsim sweep emit`: the driver for an engine.

use std::path::Path;

use clap::ValueEnum;
use meshsim::sweep::Sweep;
use meshsim::sweep::emit::{self, Site};

use crate::cli::sweep::SweepArgs;
use crate::cli::{Exit, print};

/// Arguments of `sweep emit`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    sweep: SweepArgs,

    /// The engine that runs the shards
    #[arg(long, value_enum)]
    engine: Engine,

    /// The folder of the shards, as the driver's commands name it [default: shards/<scenario name>]
    #[arg(long, short, value_name = "DIR")]
    output: Option<String>,

    /// Threads for a shard
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    cpus: u16,

    /// The container image with `meshsim` in its path
    #[arg(long, value_name = "IMAGE", default_value = concat!("meshsim:", env!("CARGO_PKG_VERSION")))]
    image: String,

    /// The volume for the shards: a PersistentVolumeClaim of Kubernetes, a bucket of Google Cloud
    #[arg(long, value_name = "NAME", default_value = "meshsim")]
    volume: String,
}

/// What can run a command n times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// A Slurm job array
    Slurm,
    /// A Kubernetes Indexed Job
    Kubernetes,
    /// A script for Dask distributed
    Dask,
    /// An array job of AWS Batch
    AwsBatch,
    /// A job of Google Cloud Batch
    GcpBatch,
}

impl Engine {
    fn of_library(self) -> emit::Engine {
        match self {
            Engine::Slurm => emit::Engine::Slurm,
            Engine::Kubernetes => emit::Engine::Kubernetes,
            Engine::Dask => emit::Engine::Dask,
            Engine::AwsBatch => emit::Engine::AwsBatch,
            Engine::GcpBatch => emit::Engine::GcpBatch,
        }
    }
}

/// Prints the driver.
///
/// # Errors
/// If stdout cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    if args.sweep.file == Path::new("-") {
        eprintln!("error: a driver must name its scenario file, so it cannot be standard input");
        return Ok(Exit::Usage);
    }
    let Some(source) = args.sweep.source()? else {
        return Ok(Exit::Usage);
    };
    let overrides = args.sweep.overrides.overrides();
    let Some(Sweep { plan, .. }) = args.sweep.plan(&source, &overrides, None)? else {
        return Ok(Exit::Usage);
    };
    let site = Site {
        file: args.sweep.file.display().to_string(),
        folder: args.output.clone().unwrap_or_else(|| format!("shards/{}", plan.scenario)),
        cpus: args.cpus,
        image: args.image.clone(),
        volume: args.volume.clone(),
    };
    match emit::emit(args.engine.of_library(), &plan, &site) {
        Ok(driver) => print(&driver)?,
        Err(problem) => {
            eprintln!("error: {problem}");
            return Ok(Exit::Usage);
        }
    }
    Ok(Exit::Success)
}
