#!/usr/bin/env python3
"""A sweep on Dask distributed: a scheduler and two workers on loopback, one of which is killed while it is busy.

    run_dask.py MESHSIM

Some shard must be started twice, none may be lost, and what is merged must be, byte for byte, what one machine gives.
Then a shard is torn and one is put in another's place: `status` must name them, and `merge` refuse them.
"""

import filecmp
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

SHARDS = 12
HERE = pathlib.Path(__file__).resolve().parent
PATIENCE_SECONDS = 300


def main(meshsim):
    with tempfile.TemporaryDirectory(prefix="meshsim-dask-") as name:
        folder = pathlib.Path(name)
        (folder / "bin").mkdir()
        (folder / "bin" / "meshsim").symlink_to(pathlib.Path(meshsim).resolve())
        (folder / "sweep.yaml").write_text((HERE / "sweep.yaml").read_text())
        environment = dict(os.environ, PATH=f"{folder / 'bin'}:{os.environ['PATH']}")
        run = lambda *words, **more: subprocess.run(words, cwd=folder, env=environment, text=True, **more)
        well = lambda *words: run(*words, check=True, capture_output=True).stdout
        well("meshsim", "sweep", "run", "sweep.yaml", "--shards", "1", "-o", "whole", "--quiet")
        well("meshsim", "sweep", "merge", "whole", "-o", "expected", "--quiet")
        driver = folder / "driver.py"
        driver.write_text(
            well("meshsim", "sweep", "emit", "--engine", "dask", "sweep.yaml", "--shards", str(SHARDS), "-o", "shards")
        )
        with_dask(folder, environment, driver)
        twice = [shard for shard, attempts in by_shard(folder / "shards").items() if len(attempts) > 1]
        assert twice, "no shard was started twice"
        assert same(folder / "expected", folder / "merged"), "what Dask ran differs from what one machine ran"
        print(f"dask: {SHARDS} shards, a worker killed, shards {twice} started again, merged to the same bytes")

        shards = folder / "shards"
        torn, foreign = shards / "shard-00004.bin", shards / "shard-00007.bin"
        torn.write_bytes(torn.read_bytes()[:-100])
        foreign.write_bytes((shards / "shard-00002.bin").read_bytes())
        status = run("meshsim", "sweep", "status", "shards", "--format", "json", capture_output=True)
        named = json.loads(status.stdout)
        assert status.returncode == 3 and named["array"] == "4,7", status.stdout
        assert named["corrupt"][0]["file"] == torn.name and named["foreign"][0]["file"] == foreign.name, status.stdout
        refused = run("meshsim", "sweep", "merge", "shards", "-o", "never", capture_output=True)
        assert refused.returncode == 3 and torn.name in refused.stderr and foreign.name in refused.stderr, refused.stderr
        assert not (folder / "never").exists()
        print("dask: a torn and a foreign shard were named and refused")


def by_shard(shards):
    """The attempts at each shard."""
    found = {}
    for path in sorted((shards / "provenance").glob("*.json")):
        attempt = json.loads(path.read_text())
        found.setdefault(attempt["shard"], []).append(attempt)
    return found


def done(folder):
    """How many shards are there."""
    return len(list((folder / "shards").glob("shard-*.bin")))


def hold(number, shards):
    """Stops a process, so that it cannot end before it is killed. Whether it is in the middle of a shard; else it goes on."""
    try:
        os.kill(number, signal.SIGSTOP)
        if is_under_way(number, shards):
            return True
        os.kill(number, signal.SIGCONT)
    except (ProcessLookupError, FileNotFoundError):
        pass
    return False


def is_under_way(number, shards):
    """Whether a process that was told to stop has begun a shard, and has not ended it."""
    process = pathlib.Path(f"/proc/{number}")
    state = lambda: (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
    while state() in "RSD":
        time.sleep(0.001)
    words = (process / "cmdline").read_bytes().decode().split("\0")
    settings = dict(line.split("=", 1) for line in (process / "environ").read_bytes().decode().split("\0") if "=" in line)
    if state() != "T" or "sweep" not in words:
        return False
    shard = words[words.index("--shard") + 1].split("/")[0] if "--shard" in words else settings["SLURM_ARRAY_TASK_ID"]
    return int(shard) in by_shard(shards) and not (shards / f"shard-{int(shard):05}.bin").exists()


def with_dask(folder, environment, driver):
    """Runs the driver on two workers, and kills the first that is busy."""
    started = []

    def start(*words):
        # One that is killed leaves its children behind, so each is a group of its own.
        process = subprocess.Popen(words, cwd=folder, env=environment, start_new_session=True,
                                   stdout=open(folder / "dask.log", "a"), stderr=subprocess.STDOUT)
        started.append(process)
        return process

    try:
        contact = folder / "scheduler.json"
        start(sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
              "--no-dashboard", "--scheduler-file", str(contact))
        until(contact.exists, "the scheduler")
        until(lambda: contact.read_text().strip().endswith("}"), "the scheduler's file")
        workers = [
            start(sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(contact), "--nworkers", "1",
                  "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1", "--name", name)
            for name in ("first", "second")
        ]
        from distributed import Client

        with Client(scheduler_file=str(contact)) as client:
            client.wait_for_workers(2, timeout=PATIENCE_SECONDS)
            address = json.loads(contact.read_text())["address"]
            run = start(sys.executable, str(driver), "--scheduler", address, "--merge", "merged")

            def busy():
                """Whether the first worker is in the middle of a shard, which is a child of its process, and another is done."""
                listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(workers[0].pid)], capture_output=True, text=True)
                return done(folder) >= 1 and any(hold(int(child), folder / "shards") for child in listed.stdout.split())

            until(busy, "a busy worker")
            # The whole group: a machine that is lost takes the process of the shard along.
            os.killpg(workers[0].pid, signal.SIGKILL)
            code = run.wait(timeout=PATIENCE_SECONDS)
            assert code == 0, (folder / "dask.log").read_text()
    finally:
        for process in reversed(started):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def until(holds, what):
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.02)


def same(a, b):
    """Whether two folders hold the same files with the same bytes."""
    files = lambda root: sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    names = files(a)
    return names == files(b) and all(filecmp.cmp(a / name, b / name, shallow=False) for name in names)


if __name__ == "__main__":
    main(sys.argv[1])
