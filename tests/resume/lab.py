"""Drives the program from outside: starts runs, waits for what the disk shows, kills, and reads results with h5py alone."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import zlib

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMED = {"wall", "rate", "seconds"}  # the columns that say how long something took

MANIFEST = """\
name      = "mixture"
question  = "Is a run that was killed the same run?"
seeds     = [3]
dataset   = { plugin = "gaussian-mixture", modes = 4 }
scheduler = "vp"
network   = { plugin = "mlp", width = 32, depth = 2, time_features = 16 }
objective = "denoising-score-matching"
train     = { steps = 3000, batch = 64, lr = 2e-3, warmup = 20, decay = 0.2, clip = 1.0, log_every = 10, checkpoint_every = 37, evaluate_every = 250, preview_every = 500, preview_count = 16 }
sampler   = { plugin = "predictor-corrector", steps = 250, predictor = "reverse-diffusion", corrector = { plugin = "langevin", snr = 0.16 } }
sample    = { count = 500, ema = 0.99 }
metrics   = ["moments"]
run       = { chunk = 32 }
"""
ROWS = 300  # of the stream `train`


def program():
    path = pathlib.Path(os.environ.get("SCORELAB", "build/bin/scorelab"))
    return path if path.is_absolute() else ROOT / path


def until(condition, seconds=120, every=0.001, what="a condition"):
    """Polls; the limit is there for hangs only."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(every)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid):
    found = []
    for task in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if int((task / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(task.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


class Live:
    """A front end that is running, in its own process group."""

    def __init__(self, lab, process, log):
        self.lab, self.process, self.log = lab, process, log

    @property
    def pid(self):
        return self.process.pid

    def ended(self):
        return self.process.poll() is not None

    def host(self):
        """The host that works, once it is there; None when the run ended before."""
        def look():
            for pid in children(self.pid):
                try:
                    if b"\0work\0" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                        return pid
                except (FileNotFoundError, ProcessLookupError):
                    pass
            return -1 if self.ended() else 0
        pid = until(look, what="a working host")
        return None if pid < 0 else pid

    def wait(self, seconds=180):
        return self.process.wait(seconds)

    def stderr(self):
        return pathlib.Path(self.log).read_text(errors="replace")

    def kill(self, who, host):
        """SIGKILL to the front end, to the host's group, or to both; returns when every one of them is gone."""
        groups = [self.pid] * (who in ("front", "both") and not self.ended()) + [host] * (who in ("host", "both") and host is not None)
        for group in groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it had ended
        code = self.wait()
        if host:
            until(lambda: not alive(host), what="the end of the host")
        return code


class Lab:
    """A folder with a manifest and its results."""

    def __init__(self, folder, manifest=MANIFEST):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "m.toml").write_text(manifest)
        self.name = re.search(r'^name\s*=\s*"([^"]+)"', manifest, re.M).group(1)
        self.results = self.folder / "results"
        self.started = 0

    def command(self, *more):
        arguments = [str(program()), "run", "m.toml", "-s", f"name={self.name}", "-s", "run.device=cpu", "-s", "run.threads=1"]
        return arguments + [str(m) for m in more]

    def start(self, *more, **environment):
        self.started += 1
        log = self.folder / f"stderr.{self.started}"
        with open(log, "wb") as err:
            process = subprocess.Popen(self.command(*more), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err, start_new_session=True, env={**os.environ, **environment})
        return Live(self, process, log)

    def run(self, *more, code=0):
        done = subprocess.run(self.command(*more), cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        assert done.returncode == code, f"exit {done.returncode}, expected {code}\n{done.stderr[-3000:]}"
        return done

    def show(self, *more):
        return subprocess.run([str(program()), "show", self.name, *more], cwd=self.folder, capture_output=True, text=True, timeout=120)

    def copy(self, folder):
        shutil.copytree(self.folder, folder)
        out = Lab.__new__(Lab)
        out.folder, out.name, out.results, out.started = pathlib.Path(folder), self.name, pathlib.Path(folder) / "results", self.started
        return out

    # What is on the disk.
    def experiment(self):
        return json.loads((self.results / self.name / "experiment.json").read_text())

    def stages(self, cell=0):
        """kind or label -> folder; evaluate stages by their label."""
        out = {}
        for s in self.experiment()["replicates"][cell]["stages"]:
            label = s["label"].rsplit(" s", 1)[0]
            out[label] = self.results / ".stages" / s["key"][:24]
        return out

    def h5(self):
        return next((self.results / self.name).rglob("run.h5"))

    def stage_files(self):
        """stage.json and journals, with what changes when a stage is run: inode, time and bytes."""
        out = {}
        for pattern in ("stage.json", "journal.jsonl", "checkpoint.h5", "samples/*.h5"):
            for file in sorted((self.results / ".stages").glob("*/" + pattern)):
                s = file.stat()
                out[str(file.relative_to(self.results))] = (s.st_ino, s.st_mtime_ns, file.read_bytes())
        return out


def lines(journal):
    """The whole lines of a journal, parsed; a torn last line is left out."""
    try:
        data = pathlib.Path(journal).read_bytes()
    except FileNotFoundError:
        return []
    return [without_sum(json.loads(line)) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def write_record(file, record):
    """A JSON record with its checksum, over its compact text with sorted keys."""
    record = {name: value for name, value in record.items() if name != "checksum"}
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    file.write_text(json.dumps(record | {"checksum": hashlib.sha256(text.encode()).hexdigest()[:32]}))


def without_sum(row):
    return {name: value for name, value in row.items() if name != "crc"}


def signed(row):
    """A line of a journal: its last member is the CRC-32 of what stands before it."""
    text = json.dumps(row)[:-1]
    return f'{text},"crc":"{zlib.crc32(text.encode()):08x}"}}'


def rows(journal, stream=None):
    return [j for j in lines(journal) if "event" not in j and "column" not in j and (stream is None or j["stream"] == stream)]


def events(journal):
    return [j for j in lines(journal) if "event" in j]


def bits(a):
    a = np.asarray(a)
    return (str(a.dtype), a.shape, a.tobytes())


def tree(group, path=""):
    out = {}
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            out.update(tree(item, f"{path}/{name}"))
        else:
            out[f"{path}/{name}"] = bits(item[()])
    return out


def checkpoint(file):
    with h5py.File(file) as f:
        return int(f.attrs["step"]), tree(f)


def outcome(lab):
    """Everything that must not depend on when a run was interrupted: name -> bits."""
    out = {}
    stages = lab.stages()
    if "train" in stages:
        step, arrays = checkpoint(stages["train"] / "checkpoint.h5")
        out["checkpoint step"] = step
        out.update({"checkpoint" + k: v for k, v in arrays.items()})
        for file in sorted((stages["train"] / "previews").glob("*/*.h5")):
            with h5py.File(file) as f:
                out[f"preview {file.parent.name} x"] = bits(f["x"][()])
    for file in sorted((stages["sample"] / "samples").glob("*.h5")):
        with h5py.File(file) as f:
            out[f"samples {file.name} x"], out[f"samples {file.name} nfe"] = bits(f["x"][()]), bits(f["nfe"][()])
    with h5py.File(lab.h5()) as f:
        out["run.h5 x"], out["run.h5 nfe"] = bits(f["samples/x"][()]), bits(f["samples/nfe"][()])
        for stream, group in f["metrics"].items():
            for name, column in group.items():
                if name not in TIMED:
                    out[f"metrics/{stream}/{name}"] = bits(column[()])
    return out


def differences(a, b):
    return sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))


def same(lab, reference):
    wrong = differences(outcome(lab), reference)
    assert not wrong, f"{len(wrong)} differ from the uninterrupted run: {wrong[:12]}"
