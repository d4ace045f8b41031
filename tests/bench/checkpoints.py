"""How long a checkpoint stops a training, and what it adds to the memory: a network of 36 million parameters, against the same training without
checkpoints and against a plain write of as many bytes.

    python3 tests/bench/checkpoints.py            # SCORELAB names the program, by default build/bin/scorelab
"""
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("SCORELAB") or ROOT / "build/bin/scorelab").resolve()
MANIFEST = """\
name      = "large"
dataset   = {{ plugin = "gaussian", dim = 2 }}
scheduler = "vp"
network   = {{ plugin = "mlp", width = 3456, depth = 4 }}
objective = "denoising-score-matching"
train     = {{ steps = 160, batch = 1, log_every = 1, checkpoint_every = {every} }}
sampler   = {{ plugin = "pf-ode", steps = 1 }}
sample    = {{ count = 1, ema = 0.999 }}
run       = {{ device = "cpu", threads = 1 }}
"""


def trained(folder, every):
    """Seconds of each step, and the stage's record."""
    file = pathlib.Path(folder) / f"every-{every}.toml"
    file.write_text(MANIFEST.format(every=every))
    subprocess.run([PROGRAM, "run", file, "--results", f"{folder}/{every}"], check=True, capture_output=True)
    stage = next(s for s in pathlib.Path(folder, str(every), ".stages").iterdir() if json.loads((s / "stage.json").read_text())["stage"] == "train")
    rows = [json.loads(line) for line in (stage / "journal.jsonl").read_text().splitlines()]
    wall = {r["step"]: r["wall"] for r in rows if r.get("stream") == "train" and "step" in r}
    return {n: wall[n] - wall[n - 1] for n in wall if n - 1 in wall}, json.loads((stage / "stage.json").read_text()), stage / "checkpoint.h5"


def main():
    with tempfile.TemporaryDirectory() as folder:
        steps, without, _ = trained(folder, 1000)
        usual = statistics.median(steps.values())
        steps, with_them, file = trained(folder, 40)
        # The step after a checkpoint began with it. The first checkpoint is left out: it takes the memory that the others use again.
        stall = statistics.median([steps[n] - usual for n in (81, 121)])
        size = file.stat().st_size
        one, other = bytearray(size), bytearray(size)
        begin = time.perf_counter()
        other[:] = one
        copied = time.perf_counter() - begin
        del one, other
        begin = time.perf_counter()
        with open(f"{folder}/plain", "wb") as out:
            out.write(bytes(size))
            os.fsync(out.fileno())
        plain = time.perf_counter() - begin
        print(f"state {size / 1e6:.0f} MB, a step {usual:.3f} s")
        print(f"stall of a checkpoint {stall:.3f} s: {stall / usual:.2f} steps, {stall / copied:.2f} copies of its bytes in memory ({copied:.3f} s), {stall / plain:.2f} plain writes of them ({plain:.3f} s)")
        print(f"slowest step while it is written {max(steps.values()):.3f} s: {max(steps.values()) / usual:.2f} steps")
        print(f"memory it adds: {(with_them['peak_memory'] - without['peak_memory']) / size:.2f} of the state (the last checkpoint of a training is in both)")


main()
