//! A script for Dask distributed: each shard is a pure task that a worker runs as a process, wherever workers come and go.

use serde_json::Value;

use crate::sweep::emit::Driver;

pub(super) fn script(driver: &Driver<'_>) -> String {
    let Driver { shards, plan, site, .. } = driver;
    let words = |words: Vec<String>| Value::from(words).to_string();
    let command = words(driver.command(&site.file, &site.folder));
    let merge = words(["meshsim", "sweep", "merge", &site.folder, "-o"].map(String::from).to_vec());
    format!(
        "#!/usr/bin/env python3
\"\"\"Runs the {shards} shards of a sweep on Dask workers: plan {digest}.

The workers need `meshsim` in their path, and this folder with the scenario and the shards (a shared file system).
A shard that is complete is kept, so a worker that dies costs no more than what it was running, and all may be run again.
\"\"\"

import argparse
import subprocess
import sys

from distributed import Client, as_completed

COMMAND = {command}
MERGE = {merge}
SHARDS = {shards}


def run_shard(index):
    \"\"\"One shard. Dask may start it again, on another worker too: its file appears whole or not at all.\"\"\"
    ended = subprocess.run([*COMMAND, \"--shard\", f\"{{index}}/{{SHARDS}}\"], capture_output=True, text=True)
    if ended.returncode != 0:
        raise RuntimeError(f\"shard {{index}} ended with {{ended.returncode}}: {{ended.stderr.strip()}}\")
    return ended.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(\"--scheduler\", help=\"the scheduler's address [default: a cluster of this machine's cores]\")
    parser.add_argument(\"--merge\", metavar=\"DIR\", help=\"merges into this folder when all shards are complete\")
    arguments = parser.parse_args()
    failed = []
    with Client(arguments.scheduler) as client:
        futures = {{
            client.submit(run_shard, index, key=f\"meshsim-{digest}-{{index}}\", pure=True, retries=3): index
            for index in range(SHARDS)
        }}
        for future in as_completed(futures):
            if future.status == \"finished\":
                print(future.result(), flush=True)
            else:
                failed.append(futures[future])
                print(f\"shard {{futures[future]}}: {{future.exception()}}\", file=sys.stderr, flush=True)
    if failed:
        sys.exit(f\"{{len(failed)}} shards failed: {{sorted(failed)}}\")
    if arguments.merge:
        sys.exit(subprocess.run([*MERGE, arguments.merge]).returncode)


if __name__ == \"__main__\":
    main()
",
        digest = plan.digest,
    )
}
