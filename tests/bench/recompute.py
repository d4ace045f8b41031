"""What `recompute = true` saves of a U-Net's memory in training and what it costs in time, as ratios of the same training without it.

    python3 tests/bench/recompute.py              # SCORELAB names the program, by default build/bin/scorelab
"""
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("SCORELAB") or ROOT / "build/bin/scorelab").resolve()
MANIFEST = """\
name      = "unet"
seeds     = [{seed}]
dataset   = {{ plugin = "disks", side = 32 }}
scheduler = "ddpm-linear"
network   = {{ plugin = "ddpm-unet", channels = 64, multipliers = [1, 2, 2], recompute = {recompute} }}
objective = "ddpm"
train     = {{ steps = {steps}, batch = 32, log_every = 1, checkpoint_every = 1000 }}
run       = {{ device = "cpu", threads = 1 }}
"""


def trained(folder, recompute, steps, seed):
    """Seconds of each step but the first, and the peak memory in bytes."""
    name = f"{recompute}-{steps}-{seed}"
    file = pathlib.Path(folder) / f"{name}.toml"
    file.write_text(MANIFEST.format(recompute=str(recompute).lower(), steps=steps, seed=seed))
    subprocess.run([PROGRAM, "run", file, "--results", f"{folder}/{name}"], check=True, capture_output=True)
    stage = next(pathlib.Path(folder, name, ".stages").iterdir())
    rows = [json.loads(line) for line in (stage / "journal.jsonl").read_text().splitlines()]
    wall = {r["step"]: r["wall"] for r in rows if r.get("stream") == "train" and "step" in r}
    return [wall[n] - wall[n - 1] for n in wall if n - 1 in wall], json.loads((stage / "stage.json").read_text())["peak_memory"]


def main():
    with tempfile.TemporaryDirectory() as folder:
        seconds, memory = {False: [], True: []}, {}
        for seed in range(2):  # in turn: the machine may change its speed
            for recompute in (False, True):
                more, memory[recompute] = trained(folder, recompute, 5, seed)
                seconds[recompute] += more
        kept, again = (statistics.median(seconds[r]) for r in (False, True))
        print(f"a step {kept:.2f} s, with recompute {again:.2f} s: {again / kept:.2f} times")
        print(f"peak memory {memory[False] / 1e6:.0f} MB, with recompute {memory[True] / 1e6:.0f} MB: {memory[True] / memory[False]:.2f} times")


if __name__ == "__main__":
    main()
