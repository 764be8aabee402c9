#!/usr/bin/env bash
# Sweeps on real engines, each with a part of it killed in the middle: Dask in a virtual environment, Slurm where its packages install,
# and the command of the Kubernetes manifest. What a machine lacks is skipped with a line that says so.
#
#     all.sh MESHSIM
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
meshsim=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skipped() {
    printf 'SKIPPED: %s\n' "$*" >&2
}

if ! python3 -m venv "$work/venv" >"$work/log" 2>&1; then
    skipped "Dask, Kubernetes, analysis: no python3 with venv"
else
    python=$work/venv/bin/python
    install() {
        "$python" -m pip install --quiet --disable-pip-version-check "$@" >"$work/log" 2>&1
    }
    if install distributed; then
        "$python" "$here/run_dask.py" "$meshsim"
    else
        skipped "Dask: pip cannot install distributed: $(tail -1 "$work/log")"
    fi
    if install kubernetes-validate pyyaml; then
        "$python" "$here/run_kubernetes.py" "$meshsim"
    else
        skipped "Kubernetes: pip cannot install kubernetes-validate: $(tail -1 "$work/log")"
    fi
    if install pandas; then
        "$python" "$here/run_analysis.py" "$meshsim"
    else
        skipped "analysis: pip cannot install pandas: $(tail -1 "$work/log")"
    fi
fi

have_slurm() {
    command -v slurmctld && command -v slurmd && command -v munged
}
if [ "$(id -u)" != 0 ]; then
    skipped "Slurm: its daemons need root"
elif ! have_slurm >"$work/log" 2>&1 && ! {
    apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends slurm-wlm munge
} >"$work/log" 2>&1; then
    skipped "Slurm: apt-get cannot install slurm-wlm and munge: $(tail -1 "$work/log")"
elif ! have_slurm >"$work/log" 2>&1; then
    skipped "Slurm: slurmctld, slurmd and munged are not in the path"
else
    python3 "$here/run_slurm.py" "$meshsim"
fi
