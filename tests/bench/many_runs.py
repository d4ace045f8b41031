"""How long `scorelab ls` takes over 10,000 runs: a hundred real ones, and each again under 99 other keys. There is no index to be warm or
deleted; the first call reads what the file system does not hold yet.

    python3 tests/bench/many_runs.py [PROGRAM]"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/resume"))
from lab import write_record  # noqa: E402
PROGRAM = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/bin/scorelab").resolve()
MANIFEST = """\
name      = "r0"
seeds     = 100
dataset   = { plugin = "gaussian", dim = 2, std = [0.5] }
scheduler = "vp"
network   = "exact-gaussian"
sampler   = { plugin = "pf-ode", steps = 3 }
sample    = { count = 16 }
metrics   = ["moments"]
run       = { device = "cpu", threads = 1, chunk = 16 }
"""


def scorelab(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=True).stdout


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    pathlib.Path("m.toml").write_text(MANIFEST)
    scorelab("run", "m.toml")
    results = pathlib.Path("results")
    text = (results / "r0/experiment.json").read_text()
    keys = {s["key"] for r in json.loads(text)["replicates"] for s in r["stages"]}
    for copy in range(1, 100):
        own = text.replace('"name": "r0"', f'"name": "r{copy}"')
        for key in keys:
            other = hashlib.sha256(f"{key} {copy}".encode()).hexdigest()
            own = own.replace(key, other)
            stage = results / ".stages" / other[:24]
            stage.mkdir()
            write_record(stage / "stage.json", json.loads((results / ".stages" / key[:24] / "stage.json").read_text().replace(key, other)))
        (results / f"r{copy}").mkdir()
        write_record(results / f"r{copy}/experiment.json", json.loads(own))
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        print("first call: from a cold file system")
    except OSError:
        print("first call: as the file system was")
    for _ in range(4):
        begin = time.monotonic()
        runs = json.loads(scorelab("ls", "--json"))["runs"]
        print(f"ls over {len(runs)} runs: {time.monotonic() - begin:.2f} s")
    assert len(runs) == 10_000 and all(r["state"] == "done" for r in runs)
