#!/usr/bin/env python3
"""The Kubernetes manifest: held against the API's own schema, and its very command run for every index.

    run_kubernetes.py MESHSIM

The schemas are those of the PyPI package `kubernetes-validate`, which carries the Kubernetes project's for each of its versions.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

from run_dask import same

HERE = pathlib.Path(__file__).resolve().parent
SHARDS = 4
# The version that made Indexed Jobs with a limit for each index stable.
VERSION = "1.33"


def main(meshsim):
    with tempfile.TemporaryDirectory(prefix="meshsim-kubernetes-") as name:
        folder = pathlib.Path(name)
        (folder / "bin").mkdir()
        (folder / "bin" / "meshsim").symlink_to(pathlib.Path(meshsim).resolve())
        (folder / "sweep.yaml").write_text((HERE / "sweep.yaml").read_text())
        environment = dict(os.environ, PATH=f"{folder / 'bin'}:{os.environ['PATH']}")
        small = ["--replications", "2", "--duration", "16s", "--set", "faults[0].at=5s"]
        run = lambda words, **more: subprocess.run(words, cwd=folder, env=environment, text=True, check=True,
                                                   capture_output=True, **more).stdout
        manifest = run(["meshsim", "sweep", "emit", "--engine", "kubernetes", "sweep.yaml", *small,
                        "--shards", str(SHARDS), "-o", "shards"])
        objects = list(yaml.safe_load_all(manifest))
        assert [object["kind"] for object in objects] == ["ConfigMap", "Job"], manifest
        for object in objects:
            kubernetes_validate.validate(object, VERSION, strict=True)
        try:
            kubernetes_validate.validate({**objects[1], "spec": {"completion": 3}}, VERSION, strict=True)
        except kubernetes_validate.ValidationError:
            pass
        else:
            raise AssertionError("the schema takes anything")

        config, job = objects
        spec = job["spec"]
        assert spec["completionMode"] == "Indexed" and spec["completions"] == SHARDS
        pod = spec["template"]["spec"]
        assert pod["restartPolicy"] == "Never", "podFailurePolicy needs it"
        container = pod["containers"][0]
        # What a pod would see: its working directory with the ConfigMap and the volume mounted where the manifest says.
        root = folder / "pod"
        place = lambda path: root / path.lstrip("/")
        mounts = {mount["name"]: place(mount["mountPath"]) for mount in container["volumeMounts"]}
        for mount in mounts.values():
            mount.mkdir(parents=True)
        for file, text in config["data"].items():
            (mounts["scenario"] / file).write_text(text)
        assert (mounts["scenario"] / "sweep.yaml").read_text() == (HERE / "sweep.yaml").read_text()
        for index in range(SHARDS):
            subprocess.run(container["command"], cwd=place(container["workingDir"]), check=True, stdout=subprocess.DEVNULL,
                           env=dict(environment, JOB_COMPLETION_INDEX=str(index)))
        run(["meshsim", "sweep", "merge", str(mounts["shards"]), "-o", "merged", "--quiet"])
        run(["meshsim", "sweep", "run", "sweep.yaml", *small, "--shards", "1", "-o", "whole", "--quiet"])
        run(["meshsim", "sweep", "merge", "whole", "-o", "expected", "--quiet"])
        assert same(folder / "expected", folder / "merged"), "what the Job's command ran differs from what one machine ran"
        print(f"kubernetes: the manifest is valid, and its command, run for {SHARDS} indices, merges to the same bytes")


if __name__ == "__main__":
    main(sys.argv[1])
