//! Drivers for existing engines: each starts the same command so many times, with an index in its environment. They are short, to be
//! read and changed by whoever knows the cluster.

mod batch;
mod dask;
mod kubernetes;
mod slurm;

use crate::sweep::plan::{Input, Plan};

/// An engine that can run a command n times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A Slurm job array.
    Slurm,
    /// A Kubernetes Indexed Job.
    Kubernetes,
    /// A script for Dask distributed.
    Dask,
    /// An array job of AWS Batch.
    AwsBatch,
    /// A job of Google Cloud Batch.
    GcpBatch,
}

/// What a driver says of the place where it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The scenario file, as the command is to name it.
    pub file: String,
    /// The folder of the shards, as the command is to name it.
    pub folder: String,
    /// Threads for a shard.
    pub cpus: u16,
    /// The container image with `meshsim` in its path.
    pub image: String,
    /// The volume that the shards are written to: a PersistentVolumeClaim, or a bucket.
    pub volume: String,
}

/// What all drivers are made of.
struct Driver<'a> {
    plan: &'a Plan,
    site: &'a Site,
    /// The scenario's name, as names of jobs may be.
    job: String,
    shards: usize,
    /// Room for one process.
    memory_mib: u64,
    /// The longest that a shard may take.
    limit_seconds: u64,
}

/// The driver for `engine`.
///
/// # Errors
/// Says what the engine cannot do.
pub fn emit(engine: Engine, plan: &Plan, site: &Site) -> Result<String, String> {
    let driver = Driver::new(plan, site);
    Ok(match engine {
        Engine::Slurm => slurm::script(&driver),
        Engine::Kubernetes => kubernetes::manifest(&driver)?,
        Engine::Dask => dask::script(&driver),
        Engine::AwsBatch => batch::aws(&driver)?,
        Engine::GcpBatch => batch::google(&driver),
    })
}

/// A machine may be slower than the one that the estimate was made on, and busy.
const TIME_RESERVE: f64 = 10.0;
/// No shard gets less time than this.
const LIMIT_SECONDS_MIN: u64 = 600;
/// What a process needs whatever it runs.
const BASE_MIB: u64 = 256;

impl<'a> Driver<'a> {
    fn new(plan: &'a Plan, site: &'a Site) -> Driver<'a> {
        let longest = plan.shards.iter().map(|shard| shard.core_seconds).fold(0.0, f64::max);
        let runs = plan.estimate.memory_bytes.div_ceil(1 << 20) * u64::from(site.cpus);
        Driver {
            plan,
            site,
            job: job_name(&plan.scenario),
            shards: plan.shards.len(),
            memory_mib: (BASE_MIB + runs).next_multiple_of(64),
            limit_seconds: ((longest * TIME_RESERVE) as u64).max(LIMIT_SECONDS_MIN),
        }
    }

    /// The command without the index, which is in the environment.
    fn command(&self, file: &str, folder: &str) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        let mut command = words(&["meshsim", "sweep", "run", file]);
        command.extend(changes(&self.plan.input));
        command.extend(words(&["--shards", &self.shards.to_string(), "-o", folder]));
        command.extend(words(&["--threads", &self.site.cpus.to_string(), "--quiet"]));
        command
    }

    fn merge(&self) -> Vec<String> {
        let results = format!("results/{}", self.plan.scenario);
        ["meshsim", "sweep", "merge", &self.site.folder, "-o", &results]
            .map(String::from)
            .to_vec()
    }
}

/// The options that change the scenario.
fn changes(input: &Input) -> Vec<String> {
    let mut options = Vec::new();
    let mut add = |option: &str, value: String| options.extend([option.to_string(), value]);
    input
        .set
        .iter()
        .for_each(|(path, value)| add("--set", format!("{path}={value}")));
    input.variants.iter().for_each(|variant| add("--variant", variant.clone()));
    input.seed.iter().for_each(|seed| add("--seed", seed.to_string()));
    input.replications.iter().for_each(|n| add("--replications", n.to_string()));
    input
        .duration
        .iter()
        .for_each(|duration| add("--duration", duration.to_string()));
    input
        .indifference
        .iter()
        .for_each(|indifference| add("--indifference", indifference.clone()));
    input.interval.iter().for_each(|interval| add("--interval", interval.clone()));
    input.grid.iter().for_each(|grid| add("--grid", grid.clone()));
    options.extend(input.force.then(|| "--force".to_string()));
    options
}

/// A label of RFC 1123, which Kubernetes wants and the others take: lower case, digits, `-`; at most 50 characters.
fn job_name(scenario: &str) -> String {
    let proper = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = scenario.chars().map(proper).take(41).collect();
    format!("meshsim-{}", name.trim_matches('-'))
        .trim_end_matches('-')
        .to_string()
}

/// Words as a POSIX shell reads them.
fn shell(words: &[String]) -> String {
    let quote = |word: &String| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:%+@".contains(c);
        match !word.is_empty() && word.chars().all(is_plain) {
            true => word.clone(),
            false => format!("'{}'", word.replace('\'', "'\\''")),
        }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        let words = ["a b", "it's", "", "x=1", "$HOME", "`id`"].map(String::from);
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("printf '%s\\n' {}", shell(&words))])
            .output()
            .expect("there is a shell");
        assert_eq!(
            String::from_utf8(output.stdout).expect("text"),
            "a b\nit's\n\nx=1\n$HOME\n`id`\n"
        );
    }

    #[test]
    fn jobs_have_names_that_engines_take() {
        assert_eq!(job_name("Zone_Outage.2"), "meshsim-zone-outage-2");
        assert_eq!(job_name(&"x".repeat(99)).len(), 49);
        assert_eq!(job_name("é"), "meshsim");
    }
}
