"""Runs the program with calls that fail (faulty.c), holds it at a call, and compares what is there with an undisturbed run."""

import dataclasses
import errno
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import h5py
import pytest

from lab import TIMED, alive, bits, children, program, until

PLAIN = """\
name      = "plain"
seeds     = [3]
dataset   = { plugin = "gaussian", dim = 2 }
scheduler = "vp"
network   = "exact-gaussian"
sampler   = { plugin = "euler-maruyama", steps = 8 }
sample    = { count = 96, trace = 4 }
metrics   = ["moments"]
run       = { chunk = 32, device = "cpu", threads = 1 }
"""
TRAINED = """\
name      = "trained"
seeds     = [3]
dataset   = { plugin = "gaussian-mixture", modes = 4 }
scheduler = "vp"
network   = { plugin = "mlp", width = 8, depth = 1, time_features = 8 }
objective = "denoising-score-matching"
train     = { steps = 40, batch = 16, log_every = 5, checkpoint_every = 10, evaluate_every = 20, preview_every = 20, preview_count = 4 }
sampler   = { plugin = "euler-maruyama", steps = 8 }
sample    = { count = 64, ema = 0.9 }
metrics   = ["moments"]
run       = { chunk = 32, device = "cpu", threads = 1 }
"""
FILES = {  # kind: parts of its paths; a word of it that a message names
    "samples": ("/samples/", "samples"),
    "trace": ("trace.h5", "trace"),
    "checkpoint": ("checkpoint", "checkpoint"),
    "preview": ("/previews/", "preview"),
    "stage.json": ("stage.json", "stage.json"),
    "spec.json": ("spec.json", "spec.json"),
    "resolved.json": ("resolved.json", "resolved.json"),
    "journal": ("journal.jsonl", "journal"),
    "run.h5": ("run.h5", "run.h5"),
    "run.jsonl": ("run.jsonl", "run.jsonl"),
    "experiment.json": ("experiment.json", "experiment.json"),
    "plugin": ("/.plugins/", ".plugins"),
}
ONLY_TRAINED = {"checkpoint", "preview"}
HASTY = re.compile(
    r"internal|a fault in (its|scorelab)|terminate called|called exit|std::|what\(\)|SIGABRT|core dumped"
    r"|failed: \w+ `[^`]+`: (cannot (?!be )|HDF5|filesystem)"
)
ADVICE = re.compile(r"see |again|same command|goes on|next run|free|make room|raise|limit|permission|remove|mount|another|give", re.I)


def slow(*values):
    """A parameter that is tried with SCORELAB_SLOW=1."""
    return pytest.param(*values, marks=pytest.mark.slow)


@dataclasses.dataclass
class Fault:
    calls: str
    path: str
    what: str
    first: int = 1
    times: int = 1
    program: str = ""

    def __str__(self):
        return f"{self.calls}:{self.path}:{self.first}:{self.times}:{self.what}:{self.program}"


@dataclasses.dataclass
class Ended:
    code: int
    out: str
    err: str
    hits: int

    def __str__(self):
        return f"exit {self.code}, {self.hits} hits\n{self.err[-3000:]}"


class Bench:
    """A folder with manifests and results."""

    library = None  # faulty.c, built

    def __init__(self, folder, **manifests):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.results = self.folder / "results"
        for name, text in manifests.items():
            self.manifest(name, text)

    def manifest(self, name, text):
        (self.folder / f"{name}.toml").write_text(text)

    def copy(self, folder):
        shutil.copytree(self.folder, folder, symlinks=True)
        return Bench(folder)

    def environment(self, faults=(), more=None):
        out = {**os.environ, "OMP_NUM_THREADS": "1", **(more or {})}
        if faults:
            number = len(list(self.folder.glob("counts.*")))
            counts, log = self.folder / f"counts.{number}", self.folder / f"calls.{number}"
            counts.write_bytes(b"\0" * 4096)
            log.touch()
            out |= {
                "LD_PRELOAD": str(Bench.library),
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
                "FAULTY": ";".join(map(str, faults)),
                "FAULTY_COUNT": str(counts),
                "FAULTY_LOG": str(log),
            }
        return out

    def calls(self, number=-1):
        """Of a run with faults: (rule, count, hit, function, path) of each call that matched one."""
        logs = sorted(self.folder.glob("calls.*"), key=lambda f: int(f.suffix[1:]))
        if not logs:
            return []
        return [
            (int(a), int(b), c == "hit", d, e) for a, b, c, d, e in (line.split(" ", 4) for line in logs[number].read_text().splitlines())
        ]

    def call(self, *arguments, faults=(), more=None, limit=120, **how):
        """Runs it to its end; the limit is there for those that have none."""
        how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        command, environment = [str(program()), *map(str, arguments)], self.environment(faults, more)
        try:
            done = subprocess.run(command, cwd=self.folder, env=environment, timeout=limit, **how)
        except subprocess.TimeoutExpired as e:
            raise AssertionError(f"it has not ended after {limit} s\n{(e.stderr or b'').decode(errors='replace')[-2000:]}") from None
        text = [(t or b"").decode(errors="replace") for t in (done.stdout, done.stderr)]
        assert "HDF5-DIAG" not in text[1], "failures are said in our words, on every thread"
        return Ended(done.returncode, *text, sum(c[2] for c in self.calls()) if faults else 0)

    def run(self, name, *more, code=None, **how):
        done = self.call("run", f"{name}.toml", *more, **how)
        assert code is None or done.code == code, f"expected exit {code}, got {done}"
        return done

    def start(self, *arguments, faults=(), more=None, **how):
        return Live(self, arguments, self.environment(faults, more), **how)

    # What is there.
    def stages(self, kind=None, name=None, label=""):
        """The folders of the stages of an experiment, in the order of its replicates."""
        experiment = json.loads(next(self.results.glob(f"{name or '[!.]*'}/experiment.json")).read_text())
        found = [s for r in experiment["replicates"] for s in r["stages"]]
        return [
            next((self.results / ".stages").glob(s["key"][:24] + "*")) for s in found if kind in (None, s["kind"]) and label in s["label"]
        ]

    def metrics(self, name):
        """What `export` says of each run, without what depends on the clock; nothing where it refuses."""
        said = self.call("export", name, "--json")
        assert not HASTY.search(said.err), said
        if said.code != 0:
            return None
        return {run["run"]: run.get("metrics", {}) for run in json.loads(said.out)["runs"]}

    def outcome(self, name):
        """Every number that must be that of the undisturbed run."""
        out = {f"metrics of {k}": v for k, v in self.metrics(name).items()}
        for file in sorted((self.results / name).rglob("run.h5")):
            where = str(file.parent.relative_to(self.results))
            with h5py.File(file) as f:
                f.visititems(lambda path, item: note(out, where, path, item))
        for file in sorted(self.results.glob(".stages/*/checkpoint.h5")):
            place = f"{file.parent.name} parameters/"
            try:
                with h5py.File(file) as f:
                    out[place + "step"] = int(f.attrs["step"])
                    f["parameters"].visititems(lambda path, item: out.update({place + path: bits(item[()])}))
            except (OSError, RuntimeError, KeyError):
                out[place + "step"] = "unreadable"
        return out

    def leftovers(self):
        return [str(f.relative_to(self.folder)) for f in self.results.rglob("*") if f.name.endswith(".tmp") or ".new." in f.name]


def note(out, where, path, item):
    kept = path.split("/")[0] in ("samples", "metrics", "arrays") and path.split("/")[-1] not in TIMED
    if kept and isinstance(item, h5py.Dataset):
        out[f"{where} {path}"] = bits(item[()])


def differences(a, b):
    return sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))


def told(text, name, *causes):
    """A message that names the file, says the cause in words and what to do, and blames nobody."""
    wrong = []
    if HASTY.search(text):
        wrong.append(f"it says `{HASTY.search(text).group()}`")
    if name and name not in text:
        wrong.append(f"it does not name {name}")
    if causes and not any(c.lower() in text.lower() for c in causes):
        wrong.append(f"it does not say {' or '.join(causes)}")
    if not ADVICE.search(re.sub(r"(/|results/)\S+", " ", text)):
        wrong.append("it does not say what to do")
    return wrong


def endures(bench, name, reference, faults, word=None, causes=None, **how):
    """A disturbed run fails with a good message or ends right, no number ever differs, the next run ends right and leaves no file."""
    first = bench.run(name, faults=faults, **how)
    wrong = []
    if first.code not in (0, 1):
        wrong.append(f"exit code {first.code}")
    if HASTY.search(first.err):
        wrong.append(f"its message says `{HASTY.search(first.err).group()}`")
    if first.code == 1:
        wrong += told(first.err, word, *(causes or [os.strerror(getattr(errno, f.what)) for f in faults if hasattr(errno, f.what)]))
    shown = bench.metrics(name) if first.code in (0, 1) else None
    for run, metrics in (shown or {}).items():
        of_reference = reference.get(f"metrics of {run}", {})
        wrong += [f"{m} of {run} is {v}, undisturbed {of_reference.get(m)}" for m, v in metrics.items() if v != of_reference.get(m)]
    if first.code == 0 and (lacks := differences(bench.outcome(name), reference)):
        wrong.append(f"it ended with 0, and these differ: {lacks[:6]}")
    second = bench.run(name)
    if second.code != 0:
        wrong.append(f"the next run ended with {second}")
    elif lacks := differences(bench.outcome(name), reference):
        wrong.append(f"after the next run these differ: {lacks[:6]}")
    if left := bench.leftovers():
        wrong.append(f"the next run left {left[:4]}")
    return first, wrong


class Live:
    """A program that runs; it is held where a fault STOPs it, and whoever it started ends with it."""

    def __init__(self, bench, arguments, environment, **how):
        self.log = bench.folder / f"stderr.{len(list(bench.folder.glob('stderr.*')))}"
        with open(self.log, "wb") as err:
            self.process = subprocess.Popen(
                [str(program()), *map(str, arguments)],
                cwd=bench.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=err,
                start_new_session=True,
                **how,
            )
        self.started = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self.family():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def family(self):
        self.started |= {p for p in children(self.process.pid) if p != self.process.pid}
        return [p for p in self.started if alive(p)] + ([self.process.pid] if self.process.poll() is None else [])

    def stderr(self):
        return self.log.read_text(errors="replace")

    def ended(self):
        return self.process.poll() is not None

    def held(self, limit=120):
        """Waits until one of its processes is stopped; gives its pid."""
        until(lambda: self.ended() or any(state(p) == "T" for p in self.family()), limit, what=f"a stop\n{self.stderr()[-1000:]}")
        found = [p for p in self.family() if state(p) == "T"]
        assert found, f"it ended with {self.process.returncode} before the call\n{self.stderr()[-2000:]}"
        return found[0]

    def settles(self, limit=120):
        """Waits until it has ended, is held, or waits for a lock that another holds."""
        until(
            lambda: self.ended() or any(state(p) == "T" or waits_for_a_lock(p) for p in self.family()),
            limit,
            what=f"a stop or a lock\n{self.stderr()[-1000:]}",
        )

    def go_on(self):
        for pid in self.family():
            if state(pid) == "T":
                os.kill(pid, signal.SIGCONT)

    def says(self, text, limit=120):
        until(lambda: self.ended() or text in self.stderr(), limit, what=f"`{text}`\n{self.stderr()[-1000:]}")

    def wait(self, limit=120):
        """Its exit code; what stops meanwhile goes on."""
        end = time.monotonic() + limit
        while not self.ended():
            self.go_on()
            if time.monotonic() > end:
                raise AssertionError(f"it does not end\n{self.stderr()[-2000:]}")
            time.sleep(0.01)
        return self.process.returncode


def state(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def waits_for_a_lock(pid):
    """/proc/locks: `1: -> FLOCK  ADVISORY  WRITE PID ..`"""
    return any(
        f[1] == "->" and f[5] == str(pid) for f in map(str.split, pathlib.Path("/proc/locks").read_text().splitlines()) if len(f) > 5
    )
