#!/usr/bin/env python3
"""A sweep as a Slurm job array: slurmctld and two slurmd on loopback, one of which is lost in the middle with all that it runs.

    run_slurm.py MESHSIM

Slurm must start its shards again elsewhere, and what is merged must be, byte for byte, what one machine gives.
Needs root, and the Debian packages `slurm-wlm` and `munge`. Every daemon has its own folder for keys, spool, logs and process numbers,
so nothing of a Slurm that the machine may have is touched.
"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

from run_dask import by_shard, done, hold, same

SHARDS = 12
NODES = ("n1", "n2")
HERE = pathlib.Path(__file__).resolve().parent
PATIENCE_SECONDS = 240


def main(meshsim):
    with tempfile.TemporaryDirectory(prefix="meshsim-slurm-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        (folder / "bin").mkdir()
        (folder / "bin" / "meshsim").symlink_to(pathlib.Path(meshsim).resolve())
        (folder / "sweep.yaml").write_text((HERE / "sweep.yaml").read_text())
        environment = dict(os.environ, PATH=f"{folder / 'bin'}:{os.environ['PATH']}", SLURM_CONF=str(folder / "slurm.conf"))
        well = lambda *words: subprocess.run(words, cwd=folder, env=environment, text=True, check=True,
                                             capture_output=True).stdout
        well("meshsim", "sweep", "run", "sweep.yaml", "--shards", "1", "-o", "whole", "--quiet")
        well("meshsim", "sweep", "merge", "whole", "-o", "expected", "--quiet")
        script = folder / "array.sh"
        script.write_text(
            well("meshsim", "sweep", "emit", "--engine", "slurm", "sweep.yaml", "--shards", str(SHARDS), "-o", "shards")
        )
        daemons = []
        try:
            start(folder, environment, daemons)
            array(folder, well, script, daemons)
        except BaseException:
            for log in sorted(folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text()[-3000:]}", file=sys.stderr)
            raise
        finally:
            for process in reversed(daemons):
                if process.poll() is None:
                    process.terminate()
                    try:
                        process.wait(timeout=20)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()
            for node in NODES:
                kill_all(below(folder, node))
        twice = [shard for shard, attempts in by_shard(folder / "shards").items() if len(attempts) > 1]
        assert twice, "no shard was started twice"
        well("meshsim", "sweep", "merge", "shards", "-o", "merged", "--quiet")
        assert same(folder / "expected", folder / "merged"), "what Slurm ran differs from what one machine ran"
        print(f"slurm: {SHARDS} shards, a node lost, shards {twice} started again, merged to the same bytes")


def start(folder, environment, daemons):
    """munged, slurmctld and the slurmd of each node."""
    user, host = os.environ.get("USER", "root"), socket.gethostname().split(".")[0]
    munge = folder / "munge"
    munge.mkdir(mode=0o755)
    key = munge / "key"
    key.write_bytes(os.urandom(64))
    key.chmod(0o400)
    ports = free_ports(1 + len(NODES))
    nodes = "\n".join(
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=1024 State=UNKNOWN"
        for node, port in zip(NODES, ports[1:])
    )
    (folder / "slurm.conf").write_text(f"""\
ClusterName=meshsim
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={munge}/socket
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool.%n
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdLogFile={folder}/slurmd.%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdTimeout=6
ReturnToService=2
JobRequeue=1
KillWait=2
SchedulerParameters=sched_interval=2,bf_interval=2
{nodes}
PartitionName=main Nodes={",".join(NODES)} Default=YES MaxTime=INFINITE State=UP
""")
    (folder / "state").mkdir()
    for node in NODES:
        (folder / f"spool.{node}").mkdir()
    run = lambda *words: daemons.append(subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.DEVNULL,
                                                         stderr=open(folder / "daemons.log", "a"), start_new_session=True))
    run("munged", "--foreground", "--force", f"--socket={munge}/socket", f"--key-file={key}", f"--pid-file={munge}/pid",
        f"--log-file={munge}/munged.log", f"--seed-file={munge}/seed")
    until((munge / "socket").exists, "munged")
    run("slurmctld", "-D", "-f", str(folder / "slurm.conf"))
    for node in NODES:
        run("slurmd", "-D", "-N", node, "-f", str(folder / "slurm.conf"))
    idle = lambda: subprocess.run(["sinfo", "-h", "-N", "-o", "%T"], env=environment, text=True,
                                  capture_output=True).stdout.split() == ["idle"] * len(NODES)
    until(idle, "the nodes")


def array(folder, well, script, daemons):
    """Submits the array, loses the first node while it is busy, and waits for the last task."""
    job = well("sbatch", "--parsable", str(script)).strip()

    def busy():
        """Whether the first node is in the middle of a shard, and others are done."""
        there = [number for number, name in below(folder, NODES[0]) if name == "meshsim"]
        return done(folder) >= 2 and any(hold(number, folder / "shards") for number in there)

    until(busy, "a busy node")
    # What a machine runs is lost with it.
    first = daemons[2]
    first.kill()
    first.wait()
    lost = below(folder, NODES[0])
    assert [name for _, name in lost].count("slurmstepd") == 1, lost
    kill_all(lost)

    def ended():
        # A task that lost its node waits two minutes before it may start again, for the sake of nodes that are slow to clean up.
        for line in well("squeue", "-h", "-r", "-j", job, "-o", "%A %T %r").splitlines() if listed() else []:
            number, state, reason = line.split(maxsplit=2)
            if state == "PENDING" and reason == "BeginTime":
                subprocess.run(["scontrol", "update", f"JobId={number}", "StartTime=now"], env=well_environment(folder),
                               capture_output=True)
        return not listed()

    def listed():
        queue = subprocess.run(["squeue", "-h", "-r", "-j", job, "-o", "%A"], env=well_environment(folder), text=True,
                               capture_output=True)
        return queue.stdout.split()

    until(ended, "the end of the array", pause=1)


def well_environment(folder):
    return dict(os.environ, SLURM_CONF=str(folder / "slurm.conf"))


def below(folder, node):
    """The processes of a node's tasks, (number, name), and first the slurmstepd that watch them. They outlive slurmd, and are known by
    what they inherit."""
    tasks, parents = [], set()
    for entry in pathlib.Path("/proc").iterdir():
        try:
            environment = (entry / "environ").read_bytes().split(b"\0") if entry.name.isdigit() else []
            if f"SLURM_CONF={folder}/slurm.conf".encode() in environment and f"SLURMD_NODENAME={node}".encode() in environment:
                tasks.append((int(entry.name), (entry / "comm").read_text().strip()))
                parents.add(int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]))
        except OSError:
            continue
    watchers = [(number, "slurmstepd") for number in parents if is_watcher(number)]
    return watchers + tasks


def is_watcher(number):
    try:
        return pathlib.Path(f"/proc/{number}/comm").read_text().strip() == "slurmstepd"
    except OSError:
        return False


def kill_all(processes):
    for number, _ in processes:
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            pass


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def until(holds, what, pause=0.05):
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(pause)


if __name__ == "__main__":
    main(sys.argv[1])
