"""run.h5 and run.jsonl as anyone reads them: h5py, h5dump, xarray, json. No flag, no h5clear, at any time."""
import hashlib
import json
import os
import shutil
import subprocess
import threading

import h5py
import numpy as np
import pytest
import xarray
from lab import MANIFEST, Lab, lines, rows, signed, until

GOALS = {"min", "max", "none"}


def read_all(file):
    """Everything in it, through h5py; how many values there were."""
    n = 0
    with h5py.File(file) as f:
        def visit(_, item):
            nonlocal n
            n += len(item.attrs.items())
            if isinstance(item, h5py.Dataset):
                n += np.asarray(item[()]).size
        f.visititems(visit)
        assert f.attrs["format"] == "scorelab-run"
        return n, f["status"].attrs["state"], f["metrics/train/step"].size if "metrics/train" in f else 0


def dump(file):
    done = subprocess.run(["h5dump", "-H", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1000:]
    assert 'GROUP "metrics"' in done.stdout


def with_xarray(file):
    with xarray.open_dataset(file, group="metrics/train", engine="h5netcdf") as data:
        assert "step" in data.coords and data.sizes["step"] == data["loss"].size
        return float(data["loss"].sum())


class Writer(threading.Thread):
    """Lets the program write the view again and again."""

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.lab, self.stop, self.failed, self.times = lab, threading.Event(), [], 0

    def run(self):
        while not self.stop.is_set():
            os.utime(self.lab.results / self.lab.name / "experiment.json")  # a view that is newer than its sources is left as it is
            done = self.lab.show()
            self.times += 1
            if done.returncode != 0:
                self.failed.append(done.stderr)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.join()


def test_everyone_reads_a_run_that_is_live(tmp_path):
    lab = Lab(tmp_path / "lab", MANIFEST.replace("steps = 3000", "steps = 6000"))
    live = lab.start()
    file = lab.results / lab.name / "run.h5"
    until(lambda: live.ended() or (file.exists() and (lab.results / lab.name / "experiment.json").exists()), what="run.h5")
    assert file.exists()
    states, lengths, reads = set(), set(), 0
    with Writer(lab) as writer:
        while not live.ended():
            n, state, length = read_all(file)
            assert n > 50
            states.add(state), lengths.add(length)
            if length:
                with_xarray(file)
            if reads % 10 == 0:
                dump(file)
            reads += 1
    assert live.wait() == 0, live.stderr()[-2000:]
    assert writer.failed == []
    assert "running" in states and len(lengths) > 2, (states, lengths)
    print(f"{reads} reads of a live run, {len(lengths)} lengths of metrics/train, {writer.times} views written")
    assert read_all(file)[1] == "done"
    with_xarray(file), dump(file)


def test_200_reads_while_views_are_written(done, tmp_path):
    lab = done.copy(tmp_path / "lab")
    file, files, reads = lab.h5(), set(), 0
    expected = with_xarray(file)
    with Writer(lab) as writer:
        while reads < 200 or len(files) < 8:
            files.add((file.stat().st_ino, file.stat().st_mtime_ns))
            assert read_all(file)[1] == "done"
            assert with_xarray(file) == expected
            for line in (lab.results / lab.name / "run.jsonl").read_text().splitlines():
                json.loads(line)
            reads += 1
    assert writer.failed == []
    assert not list((lab.results / lab.name).glob(".*tmp"))
    print(f"{reads} reads, {len(files)} different files")


def test_a_reader_that_holds_the_file_open_keeps_what_it_opened(done, tmp_path):
    lab = done.copy(tmp_path / "lab")
    with h5py.File(lab.h5()) as f:
        before = f["metrics/train/loss"][()]
        assert lab.show().returncode == 0  # the writer needs no lock of the reader
        assert f["metrics/train/loss"][()].tobytes() == before.tobytes()


def test_the_format_is_superblock_2_everywhere(done):
    """The signature, then the version."""
    files = {f: 0 for f in done.results.rglob("*.h5")}
    assert len(files) > 10
    for file, at in files.items():
        head = file.read_bytes()[at : at + 12]
        assert head[:8] == b"\x89HDF\r\n\x1a\n" and head[8] == 2, file
        assert head[11] == 0, f"{file}: flags of an open writer are set"


def test_every_metric_says_unit_goal_name_and_has_its_steps(done):
    with h5py.File(done.h5()) as f:
        assert set(f["metrics"]) == {"train", "evaluate", "sample", "metrics"}
        for stream, group in f["metrics"].items():
            assert "step" in group and "wall" in group
            assert group["step"].is_scale and group["step"].dtype == np.int64 and (np.diff(group["step"][()]) > 0).all()
            for name, column in group.items():
                if name == "step":
                    assert column.attrs["units"] and column.attrs["long_name"]
                    continue
                assert column.shape == group["step"].shape and column.dtype == np.dtype("<f8"), (stream, name)
                for attribute in ("units", "goal", "long_name"):
                    assert isinstance(column.attrs[attribute], str) and column.attrs[attribute], (stream, name, attribute)
                assert column.attrs["goal"] in GOALS
                assert len(column.dims[0]) == 1 and column.dims[0][0] == group["step"], (stream, name)
        goals = {n: f["metrics/train"][n].attrs["goal"] for n in ("loss", "lr", "grad_norm", "rate")}
        assert goals == {"loss": "min", "lr": "none", "grad_norm": "none", "rate": "none"}
        assert f["metrics/train/wall"].attrs["units"] == "s" and f["metrics/train/rate"].attrs["units"] == "1/s"


@pytest.mark.parametrize("stream", ["train", "evaluate", "sample", "metrics"])
def test_xarray_has_the_coordinate_and_no_phony_dimension(done, stream):
    with xarray.open_dataset(done.h5(), group=f"metrics/{stream}", engine="h5netcdf") as data:
        assert set(data.dims) == {"step"} and set(data.coords) == {"step"}
        for name, column in data.items():
            assert column.dims == ("step",) and {"units", "goal", "long_name"} <= set(column.attrs), name
            assert not isinstance(column.attrs["units"], bytes)
        if stream == "train":
            assert list(data["step"].values) == list(range(10, 401, 10))
            assert float(data["lr"].sel(step=200)) == 2e-3  # by the coordinate; from the manifest, between warm-up and decay


def test_the_configuration_is_typed(done):
    expected = {  # from the manifest
        "dataset.plugin": "gaussian-mixture", "dataset.modes": 4, "dataset.separation": 1.0, "network.plugin": "mlp", "network.width": 32,
        "network.activation": "silu", "train.steps": 400, "train.lr": 2e-3, "train.ema_warmup": 1, "train.log_every": 10, "train.optimizer": "adam",
        "sampler.plugin": "predictor-corrector", "sampler.steps": 20, "sampler.predictor.plugin": "reverse-diffusion",
        "sampler.corrector.plugin": "langevin", "sampler.corrector.snr": 0.16, "sample.count": 500, "sample.ema": 0.99, "run.chunk": 32, "run.precision": "float32",
        "run.device": "cpu", "name": "mixture", "scheduler.plugin": "vp", "scheduler.beta_max": 20.0, "metrics.moments.plugin": "moments",
        "run.threads": 1}
    kinds = {str: "string", bool: "u1", int: "i8", float: "f8"}
    with h5py.File(done.h5()) as f:
        flat = f["config/flat"].attrs
        for key, value in expected.items():
            assert flat[key] == value, key
            if isinstance(value, str):
                assert type(flat[key]) is str, key
            elif key not in ("train.ema_warmup", "run.threads"):
                assert flat[key].dtype == np.dtype(kinds[type(value)]), (key, flat[key].dtype)
        assert flat["train.ema_warmup"].dtype == np.uint8
        assert np.asarray(flat["dataset.std"]).tolist() == [0.1]
        assert flat["run.threads"] == 1
        assert f["config"].attrs["source"] == (done.folder / "m.toml").read_text()
        assert json.loads(f["config"].attrs["resolved"])["train"]["steps"] == 400
        assert f.attrs["format_version"] == "1.0" and int(f.attrs["seed"]) == 3 and f.attrs["experiment"] == "mixture"


def test_every_string_comes_back_as_a_string(done):
    found = 0
    with h5py.File(done.h5()) as f:
        def look(_, item):
            nonlocal found
            for name, value in item.attrs.items():
                if name in ("CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST"):  # HDF5's own
                    continue
                assert not isinstance(value, (bytes, np.bytes_)), (item.name, name)
                if isinstance(value, str):
                    found += 1
                    assert h5py.check_string_dtype(item.attrs.get_id(name).dtype).encoding == "utf-8"
            if isinstance(item, h5py.Dataset) and item.dtype == object:
                assert h5py.check_string_dtype(item.dtype).encoding == "utf-8", item.name
        f.visititems(look)
    assert found > 60


def test_a_name_outside_ascii_survives(tmp_path):
    question = "Wie viel \\u00fcbrig? \\u03bb\\u2192\\U0001F3B2"
    lab = Lab(tmp_path / "lab", MANIFEST.replace("Is a run that was killed the same run?", question).replace("steps = 3000", "steps = 20").replace("count = 500", "count = 10").replace("steps = 250,", "steps = 5,"))
    lab.run()
    with h5py.File(lab.h5()) as f:
        assert f["config/flat"].attrs["question"] == "Wie viel \u00fcbrig? \u03bb\u2192\U0001f3b2"


def test_samples_are_those_of_the_stage(done):
    x, nfe = [], []
    for file in sorted((done.stages()["sample"] / "samples").glob("0*.h5")):
        with h5py.File(file) as f:
            assert int(f.attrs["first"]) == sum(map(len, x)) == int(file.stem)
            x.append(f["x"][()]), nfe.append(f["nfe"][()])
    with h5py.File(done.h5()) as f:
        assert f["samples/x"].dtype == np.float32 and f["samples/x"].shape == (500, 2)
        assert f["samples/x"][()].tobytes() == np.concatenate(x).tobytes()
        assert f["samples/nfe"][()].tolist() == np.concatenate(nfe).tolist() == [2 * 20 - 1] * 500
        assert f["samples/x"].attrs["units"] and f["samples/x"].attrs["long_name"]


def test_run_jsonl_is_the_journals(done):
    text = (done.results / done.name / "run.jsonl").read_text()
    assert text.endswith("\n")
    mine = [json.loads(line) for line in text.splitlines()]
    assert all("stage" in j for j in mine)
    for j in mine:
        j.pop("stage")
    theirs = [j for folder in done.stages().values() for j in lines(folder / "journal.jsonl")]
    assert mine == theirs and len(mine) > 60
    with h5py.File(done.h5()) as f:
        for j in mine:
            if "step" in j and "event" not in j:
                at = list(f[f"metrics/{j['stream']}/step"]).index(j["step"])
                for name in set(j) - {"stream", "step"}:
                    assert f[f"metrics/{j['stream']}/{name}"][at] == j[name], (j, name)


def summary_by_numpy(f):
    """NAME.last, and where there is a direction, NAME.best and where it was; a value that is not a number is not the best."""
    out = {}
    for stream, group in f["metrics"].items():
        for name, column in group.items():
            if name in ("step", "wall"):
                continue
            values = column[()]
            out[f"{stream}.{name}.last"] = values[-1]
            goal = column.attrs["goal"]
            if goal != "none" and values.size > 1:
                best = int(np.nanargmin(values) if goal == "min" else np.nanargmax(values))
                out[f"{stream}.{name}.best"], out[f"{stream}.{name}.best_step"] = values[best], group["step"][best]
    return out


def test_the_summary_is_right(done):
    with h5py.File(done.h5()) as f:
        expected, attrs = summary_by_numpy(f), dict(f["summary"].attrs)
        assert {"train.loss.best", "train.loss.best_step", "evaluate.loss.last", "metrics.moments.mean.last"} <= set(expected)
        for key, value in expected.items():
            assert attrs[key] == value, key

        assert int(attrs["train.steps"]) == 400 and int(attrs["sample.count"]) == 500 and float(attrs["sample.nfe"]) == 39


def test_the_number_of_parameters_is_that_of_the_network(done):
    """Weights and biases of 2 -> 32 -> 32 -> 2 and of the time's 16 -> 32; no padding."""
    with h5py.File(done.stages()["train"] / "checkpoint.h5") as f:
        stored = sum(v.size for v in f["parameters"].values())
    assert stored == 2 * 32 + 32 + 32 * 32 + 32 + 32 * 2 + 2 + 16 * 32 + 32
    with h5py.File(done.h5()) as f:
        assert int(f["summary"].attrs["train.parameters"]) == stored


def journal_rows(done, folder, new):
    """A copy whose training journal says other losses."""
    lab = done.copy(folder)
    with open(lab.stages()["train"] / "journal.jsonl", "a") as f:
        for row in new:
            f.write(signed(row) + "\n")
    assert lab.show().returncode == 0
    return lab


def test_rows_that_are_not_finite_survive(done, tmp_path):
    new = [{"stream": "train", "step": 410, "wall": 9.0, "loss": "nan", "grad_norm": "inf", "lr": "-inf", "rate": 1.5}]
    lab = journal_rows(done, tmp_path / "lab", new)
    with h5py.File(lab.h5()) as f:
        t = f["metrics/train"]
        assert t["step"][-1] == 410 and np.isnan(t["loss"][-1]) and t["grad_norm"][-1] == np.inf and t["lr"][-1] == -np.inf and t["rate"][-1] == 1.5
        assert np.isfinite(t["loss"][:-1]).all()
        assert np.isnan(f["summary"].attrs["train.loss.last"])
        assert f["summary"].attrs["train.loss.best"] == np.nanmin(t["loss"][()])


def test_a_first_row_that_is_not_a_number_is_not_the_best(done, tmp_path):
    new = [{"stream": "train", "step": 5, "wall": 0.0, "loss": "nan", "grad_norm": 1.0, "lr": 1.0}]
    lab = journal_rows(done, tmp_path / "lab", new)
    with h5py.File(lab.h5()) as f:
        assert f["metrics/train/step"][0] == 5 and np.isnan(f["metrics/train/loss"][0])
        assert f["summary"].attrs["train.loss.best"] == np.nanmin(f["metrics/train/loss"][()])
        assert int(f["summary"].attrs["train.loss.best_step"]) == int(f["metrics/train/step"][int(np.nanargmin(f["metrics/train/loss"][()]))])


def test_a_run_that_overflows_reports_it_as_a_string(tmp_path):
    """One step at an absurd learning rate through many layers: the next loss is no float32."""
    manifest = MANIFEST.replace("steps = 3000", "steps = 2").replace("lr = 2e-3, warmup = 20, decay = 0.2, clip = 1.0", "lr = 100").replace("depth = 2", "depth = 24").replace(
        "log_every = 10", "log_every = 1").replace("evaluate_every = 250, preview_every = 500", "evaluate_every = 1, preview_every = 0")
    lab = Lab(tmp_path / "lab", manifest)
    done = lab.run(code=1)
    assert "diverged at step 2" in done.stderr
    evaluated = rows(lab.stages()["train"] / "journal.jsonl", "evaluate")
    assert evaluated[0]["step"] == 1 and evaluated[0]["loss"] in ("nan", "inf")
    with h5py.File(lab.h5()) as f:
        assert not np.isfinite(f["metrics/evaluate/loss"][0])
        assert f["status"].attrs["state"] == "failed"


def test_provenance_says_where_a_run_came_from(tmp_path):
    """In a git repository of its own, with a change that is not committed."""
    lab = Lab(tmp_path / "lab", MANIFEST.replace("steps = 3000", "steps = 20").replace("count = 500", "count = 10").replace("steps = 250,", "steps = 5,"))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(lab.folder)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "m.toml"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "m"], check=True)
    sha = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    with open(lab.folder / "m.toml", "a") as f:
        f.write("# a change\n")
    lab.run("-s", "sample.count=12")
    with h5py.File(lab.h5()) as f:
        p = dict(f["provenance"].attrs)
    assert p["git_sha"] == sha and "+# a change" in p["git_diff"]
    assert p["host"] == os.uname().nodename and os.uname().release in p["system"] and p["cpu"]
    assert p["scorelab"] and p["libtorch"].startswith("2.") and p["compiler"] and p["launched"].endswith("Z")
    assert p["command"].startswith("scorelab run m.toml") and "-s sample.count=12" in p["command"]
    plugins = json.loads(p["plugins"]) if isinstance(p["plugins"], str) else p["plugins"]
    assert {name.split("/")[1] for name in plugins} == {"gaussian-mixture", "vp", "mlp", "denoising-score-matching", "predictor-corrector", "reverse-diffusion", "langevin", "prior", "moments"}
    frozen = {hashlib.sha256(so.read_bytes()).hexdigest() for so in (lab.results / ".plugins").glob("*.so")}
    for name, plugin in plugins.items():
        own, version = plugin["id"].split("@")
        assert own == name.split("/")[1] and version.count(".") == 2 and plugin["file"].endswith(f"{own}.so"), plugin
        assert plugin["sha256"] in frozen, f"{name}: no frozen file has this sum"


def test_a_view_can_be_deleted_and_comes_back(done, tmp_path):
    lab = done.copy(tmp_path / "lab")
    with h5py.File(lab.h5()) as f:
        before = {n: f["metrics/train"][n][()].tobytes() for n in f["metrics/train"]}
    for name in ("run.h5", "run.jsonl"):
        (lab.results / lab.name / name).unlink()
    shutil.rmtree(lab.results / lab.name / "previews", ignore_errors=True)
    assert lab.show().returncode == 0
    with h5py.File(lab.h5()) as f:
        assert {n: f["metrics/train"][n][()].tobytes() for n in f["metrics/train"]} == before


def test_two_seeds_have_a_view_each(tmp_path):
    lab = Lab(tmp_path / "lab", MANIFEST.replace("seeds     = [3]", "seeds     = [3, 4]").replace("steps = 3000", "steps = 40").replace("count = 500", "count = 10").replace("steps = 250,", "steps = 5,"))
    lab.run()
    files = sorted((lab.results / lab.name).rglob("run.h5"))
    seeds, losses = [], []
    for file in files:
        with h5py.File(file) as f:
            seeds.append(int(f.attrs["seed"])), losses.append(f["metrics/train/loss"][()].tobytes())
    assert seeds == [3, 4] and losses[0] != losses[1]
