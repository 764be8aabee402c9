//! A Slurm job array.

use crate::sweep::emit::{Driver, shell};

/// What Slurm allows where nobody has set `MaxArraySize`.
const ARRAY_MAX: usize = 1001;

pub(super) fn script(driver: &Driver<'_>) -> String {
    let Driver {
        job,
        shards,
        memory_mib,
        limit_seconds,
        plan,
        site,
    } = driver;
    let (cpus, last, folder) = (site.cpus, shards - 1, shell(std::slice::from_ref(&site.folder)));
    let command = shell(&driver.command(&site.file, &site.folder));
    let (hours, minutes, seconds) = (limit_seconds / 3600, limit_seconds / 60 % 60, limit_seconds % 60);
    let large = match *shards > ARRAY_MAX {
        true => format!(
            "# {shards} tasks: a cluster whose MaxArraySize is {ARRAY_MAX}, as Slurm's default is, takes fewer. Cut into fewer shards there.\n"
        ),
        false => String::new(),
    };
    format!(
        "#!/bin/bash
# {name}: {runs} runs in {shards} shards, plan {digest}.
# Submit it with `sbatch` in the folder that holds {file}. A shard that is complete is kept, so anything may be submitted again:
#   sbatch --array=\"$(meshsim sweep status {folder} --format json | jq -r .array)\" this-script
# When all are complete:
#   {merge}
{large}#SBATCH --job-name={job}
#SBATCH --array=0-{last}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task={cpus}
#SBATCH --mem={memory_mib}M
#SBATCH --time={hours:02}:{minutes:02}:{seconds:02}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={job}-%A_%a.log

set -euo pipefail
# Which shard it is, Slurm says in SLURM_ARRAY_TASK_ID.
exec {command}
",
        name = plan.scenario,
        runs = plan.runs_total,
        digest = plan.digest,
        file = site.file,
        merge = shell(&driver.merge()),
    )
}
