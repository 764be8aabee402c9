#!/usr/bin/env python3
"""Runs the commands and the Python of docs/analysis.md, as a reader would, one block after another.

    run_analysis.py MESHSIM
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def main(meshsim):
    page = (HERE.parent.parent / "docs" / "analysis.md").read_text()
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    with tempfile.TemporaryDirectory(prefix="meshsim-analysis-") as name:
        folder = pathlib.Path(name)
        (folder / "bin").mkdir()
        (folder / "bin" / "meshsim").symlink_to(pathlib.Path(meshsim).resolve())
        (folder / "sweep.yaml").write_text((HERE / "sweep.yaml").read_text())
        environment = dict(os.environ, PATH=f"{folder / 'bin'}:{os.environ['PATH']}")
        for kind, text in blocks:
            if kind == "sh":
                subprocess.run(["sh", "-ec", text], cwd=folder, env=environment, check=True, capture_output=True)
        script = "\n".join(text for kind, text in blocks if kind == "python")
        ran = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, check=True, capture_output=True,
                             text=True)
    for word in ("least_request", "t_seconds", "share of requests within 20 ms"):
        assert word in ran.stdout, ran.stdout
    print(f"analysis: {len(blocks)} blocks of docs/analysis.md ran")


if __name__ == "__main__":
    main(sys.argv[1])
