"""A folder with manifests, and scorelab run in it; what a plan says, and what the stages on disk say."""
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("SCORELAB") or ROOT / "build/bin/scorelab").resolve()
BUILD = pathlib.Path(os.environ.get("SCORELAB_BUILD") or ROOT / "build").resolve()

# Exact networks: a stage takes milliseconds.
EXACT = """\
name      = "cmp"
dataset   = { plugin = "gaussian", dim = 2, std = [0.5] }
scheduler = "vp"
network   = "exact-gaussian"
sampler   = { plugin = "pf-ode", steps = 3 }
sample    = { count = 16 }
metrics   = ["moments"]
run       = { device = "cpu", threads = 1, chunk = 16 }
"""
SOLVERS = """\
[variants]
euler = { sampler = { solver = "euler" } }
heun  = { sampler = { solver = "heun" } }
[sweep.S]
key    = "sampler.steps"
values = [2, 4]
"""
TRAINED = """\
name      = "trained"
dataset   = { plugin = "gaussian", dim = 2, std = [0.5] }
scheduler = "vp"
network   = { plugin = "mlp", width = 8, depth = 1 }
objective = "denoising-score-matching"
train     = { steps = 20, batch = 8 }
sampler   = { plugin = "pf-ode", steps = 3 }
sample    = { count = 16 }
metrics   = ["moments"]
run       = { device = "cpu", threads = 1, chunk = 16 }
"""


class Lab:
    def __init__(self, folder):
        self.folder = folder
        self.results = folder / "results"

    def write(self, text, file="m.toml"):
        (self.folder / file).write_text(text)
        return file

    def call(self, *arguments, timeout=120):
        done = subprocess.run([PROGRAM, *map(str, arguments)], cwd=self.folder, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        assert 0 <= done.returncode < 128 and "internal" not in done.stderr, done.stderr
        return done

    def start(self, *arguments):
        return subprocess.Popen([PROGRAM, *map(str, arguments)], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def plan(self, text=None, *arguments, file="m.toml"):
        if text is not None:
            self.write(text, file)
        done = self.call("plan", file, "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return Plan(json.loads(done.stdout))

    def wrong(self, text, *arguments):
        """What stderr says of a manifest that cannot be planned."""
        self.write(text)
        done = self.call("plan", "m.toml", *arguments)
        assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
        return done.stderr

    def run(self, text=None, *arguments, file="m.toml", code=0):
        if text is not None:
            self.write(text, file)
        done = self.call("run", file, *arguments)
        assert done.returncode == code, (done.returncode, done.stderr[-3000:])
        return done

    def journal(self, key):
        """The lines of a stage's journal; none where it keeps none."""
        file = self.results / ".stages" / key[:24] / "journal.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def made(self):
        """What changes when a stage is made again: its file's identity, by key."""
        return {f.parent.name: (f.stat().st_ino, f.stat().st_mtime_ns) for f in self.results.glob(".stages/*/stage.json")}

    def compared(self, name="cmp", *arguments):
        done = self.call("compare", name, "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def values(self, metric="moments.covariance", name="cmp", *arguments):
        """cell in words -> a number a seed."""
        table = next(t for t in self.compared(name, *arguments)["tables"] if t["quantity"] == metric)
        return {" ".join(f"{a}={v}" for a, v in sorted(r["at"].items())): r["values"] for r in table["rows"]}


class Plan:
    def __init__(self, j):
        self.json, self.cells, self.stages, self.pending, self.searches = j, j["cells"], j["stages"], j["pending"], j["searches"]
        self.replicates, self.left_out = j["replicates"], j["left_out"]

    def count(self, kind):
        return sum(s["kind"] == kind for s in self.stages)

    def counts(self):
        return self.cells, self.count("train"), self.count("sample"), self.count("evaluate")

    def keys(self):
        return {s["key"] for s in self.stages}

    def to_do(self):
        out = {}
        for s in self.stages:
            if not s["done"]:
                out[s["kind"]] = out.get(s["kind"], 0) + 1
        return out

    def reasons(self, kind):
        return {s["reason"] for s in self.stages if s["kind"] == kind and not s["done"]}

    def places(self):
        return {" ".join(f"{a}={v}" for a, v in sorted(r["at"].items())) for r in self.replicates}
