"""A folder with manifests, and scorelab run in it; what a plan says, and what the stages on disk say."""
import json
import os
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("SCORELAB") or ROOT / "build/bin/scorelab").resolve()
BUILD = pathlib.Path(os.environ.get("SCORELAB_BUILD") or ROOT / "build").resolve()

STAND_INS = BUILD / "tests/stand_ins"  # plugins of these tests: ninja tests builds them
WITH_STAND_INS = f'plugins = ["{STAND_INS}"]\n'

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


# Nothing is sampled: a metric of the model alone.
MEASURED = """\
name      = "model"
dataset   = { plugin = "gaussian", dim = 2, mean = [1.0, -0.5], std = [0.5, 2.0] }
scheduler = "vp"
network   = { plugin = "mlp", width = 8, depth = 1, time_features = 16 }
objective = "denoising-score-matching"
train     = { steps = 20, batch = 8 }
metrics   = { se = { plugin = "score-error", weights = 0.9, count = 50, times = 5 } }
run       = { device = "cpu", precision = "float64", threads = 1, chunk = 16 }
"""
EXACTLY = MEASURED.replace('{ plugin = "mlp", width = 8, depth = 1, time_features = 16 }', '"exact-gaussian"').replace(
    'objective = "denoising-score-matching"\ntrain     = { steps = 20, batch = 8 }\n', "").replace("weights = 0.9, ", "")


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

    def shown(self, name):
        """What its runs measured and cost: stage.json of each stage by its kind and what it is, such as `evaluate se`, run by run."""
        runs = json.loads(self.call("show", name, "--json").stdout)["runs"]
        what = {s["key"]: s["what"] for r in json.loads((self.results / name / "experiment.json").read_text())["replicates"] for s in r["stages"]}
        return [{what[s["key"]]: s["result"] for s in r["stages"]} for r in runs]

    def drawn(self, name):
        """Reports, and gives what gnuplot was told of each figure, and what stderr says."""
        folder = self.folder / "told"
        if not folder.exists():
            folder.mkdir()
            (folder / "gnuplot").write_text(f"""#!/bin/sh
cat > "{folder}/script"
name=$(sed -n 's/.* name "\\([^"]*\\)"$/\\1/p' "{folder}/script" | head -1)
cp "{folder}/script" "{folder}/$name.gp"
exec "{shutil.which("gnuplot")}" "$@" < "{folder}/script"
""")
            (folder / "gnuplot").chmod(0o755)
        done = subprocess.run([PROGRAM, "report", name], cwd=self.folder, capture_output=True, text=True, timeout=120, env=dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}"))
        assert done.returncode == 0, (done.returncode, done.stderr)
        return {f.stem: Drawing(f.read_text()) for f in folder.glob("*.gp")}, done.stderr

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


class Drawing:
    """A script for gnuplot: panels by their titles, each a list of series, each of these a list of rows x, y, low, high; [] is a gap."""

    def __init__(self, script):
        self.script = script.split("\nreset\n")[0]  # the same for each kind of file
        rows = {name: [[float(v) for v in line.split()] for line in body.splitlines()] for name, body in re.findall(r"\$d(\S+) << EOD\n(.*?)EOD\n", self.script, re.S)}
        titles = re.findall(r"^(?:set title '(.*?)'|unset title)", self.script, re.M)
        self.panels = {title: [rows[f"{p}_{i}"] for i in range(len(rows)) if f"{p}_{i}" in rows] for p, title in enumerate(titles)}


class Plan:
    def __init__(self, j):
        self.json, self.cells, self.stages, self.pending, self.searches = j, j["cells"], j["stages"], j["pending"], j["searches"]
        self.replicates, self.left_out = j["replicates"], j["left_out"]

    def count(self, kind):
        return sum(s["kind"] == kind for s in self.stages)

    def own_trainings(self):
        """The keys of all but those that are of a model alone."""
        own = {key for r in self.replicates for key in r["stages"] if key not in r["models"].values()}
        models = {key for r in self.replicates for key in r["models"].values()}
        return {s["key"] for s in self.stages if s["kind"] == "train"} - (models - own)

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
