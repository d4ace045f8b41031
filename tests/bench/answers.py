"""How soon `check` answers, as ratios within one run: warm (schemas and verdicts are kept) and cold, against the bare start of the program.

    python3 tests/bench/answers.py            # SCORELAB names the program, by default build/bin/scorelab
"""
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("SCORELAB") or ROOT / "build/bin/scorelab").resolve()
MANIFESTS = ROOT / "tests/manifests/good"


def seconds(arguments, cache):
    begin = time.perf_counter()
    subprocess.run([PROGRAM, *arguments], cwd=MANIFESTS, env=dict(os.environ, SCORELAB_CACHE=cache), check=True, capture_output=True)
    return time.perf_counter() - begin


def main():
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'manifest':<20} {'bare start':>10} {'warm':>10} {'cold':>10} {'warm/bare':>10} {'cold/warm':>10}")
        for name in ("exact-slots", "trained-levels", "trained-ode"):
            rounds = []
            for i in range(7):  # in turn, so that a machine that is busy for a while is busy for all three
                cache = f"{folder}/{name}{i}"
                check = ["check", f"{name}.toml"]
                rounds.append((seconds(["--version"], cache), seconds(check, cache), seconds(check, cache)))
            bare, cold, warm = (statistics.median(column) for column in zip(*rounds))
            print(f"{name:<20} {bare:>9.3f}s {warm:>9.3f}s {cold:>9.3f}s {warm / bare:>10.1f} {cold / warm:>10.1f}")


main()
