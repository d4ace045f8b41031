"""The Python package: what it gives is what the files hold."""

import json
import pathlib
import shutil
import struct
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch
from lab import Lab, program
from mlp_torch import Mlp

PACKAGE = pathlib.Path(__file__).parents[2] / "python"
sys.path.insert(0, str(PACKAGE))
import scorelab  # noqa: E402

MANIFEST = """\
name      = "read"
question  = "Is it read?"
seeds     = [0, 1]
dataset   = { plugin = "gaussian-mixture", modes = 4 }
scheduler = "vp"
network   = { plugin = "mlp", width = 24, depth = 2, time_features = 16 }
objective = "denoising-score-matching"
train     = { steps = 30, batch = 16, log_every = 10 }
sampler   = "euler-maruyama"
sample    = { count = 20, ema = 0.9, trace = 3 }
metrics   = ["moments"]
[sweep.steps]
key    = "sampler.steps"
values = [4, 8]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("read") / "lab", MANIFEST)
    lab.run()
    subprocess.run([str(program()), "report", "read"], cwd=lab.folder, check=True, capture_output=True)
    return lab


def python(lab, *arguments):
    command = [sys.executable, "-W", "error::UserWarning", "-m", "scorelab", *map(str, arguments)]
    return subprocess.run(command, cwd=lab.folder, env={"PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, timeout=120)


@pytest.mark.filterwarnings("error")
def test_a_tree_of_runs(lab):
    tree = scorelab.open(lab.results / "read")
    assert tree.attrs["question"] == "Is it read?"
    assert set(tree["runs"].children) == {f"steps={n}-s{seed}" for n in (4, 8) for seed in (0, 1)}
    for name, run in tree["runs"].children.items():
        file = lab.results / "read" / name.replace("-", "/") / "run.h5"
        with h5py.File(file) as f:
            assert run["samples/x"].dims == ("sample", "element")
            np.testing.assert_array_equal(run["samples/x"], f["samples/x"])
            assert run["samples/nfe"].dims == ("sample",)
            assert run["arrays/trace/x"].dims == ("step", "path", "element")
            np.testing.assert_array_equal(run["arrays/trace/x"], f["arrays/trace/x"])
            np.testing.assert_array_equal(run["metrics/train/loss"], f["metrics/train/loss"])
            assert run["metrics/train/loss"].dims == ("step",) and list(run["metrics/train/step"].values) == [10, 20, 30]
            assert run.attrs["seed"] == f.attrs["seed"] and run.attrs["state"] == "done"
        assert run.attrs["config"]["sampler.steps"] == int(run.attrs["at"]["steps"]) == int(name[6])
        assert not [d for node in run.subtree for d in node.dims if d.startswith("phony")]


def test_the_comparison_has_named_dimensions(lab):
    tree = scorelab.open(lab.results / "read")
    mean = tree["comparison/moments.mean"]
    assert mean["values"].dims == ("cell", "unit") and mean["mean"].dims == ("cell",)
    np.testing.assert_allclose(mean["values"].mean("unit"), mean["mean"])
    assert list(tree["comparison/cells"]["steps"].values) == ["4", "8"]
    for seed in (0, 1):
        measured = [float(tree[f"runs/steps={n}-s{seed}/metrics/metrics/moments.mean"][-1]) for n in (4, 8)]
        assert list(mean["values"].sel(unit=seed).values) == measured


def test_weights_are_those_that_it_samples_with(lab):
    run = lab.results / "read/steps=4/s0"
    module = Mlp(2, 24, 2, 16)
    module.load_state_dict(scorelab.state_dict(run), strict=True)
    subprocess.run([str(program()), "export", "read", "--weights", "w"], cwd=lab.folder, check=True, capture_output=True)
    from safetensors.torch import load_file

    exported = load_file(lab.folder / "w/read-steps=4-s0.safetensors")
    averaged, last = scorelab.state_dict(run / "run.h5", ema=0.9), scorelab.state_dict(run, ema=0)
    for name, value in module.state_dict().items():
        assert torch.equal(value, exported[name]) and torch.equal(value, averaged[name])
    assert any(not torch.equal(value, last[name]) for name, value in averaged.items())
    with pytest.raises(KeyError, match="it holds 0.9"):
        scorelab.state_dict(run, ema=0.5)


def test_weights_of_a_training_that_has_not_ended(lab, tmp_path):
    copy = lab.copy(tmp_path / "copy")
    run = copy.results / "read/steps=4/s0"
    with h5py.File(run / "run.h5") as f:
        checkpoint = run / f.attrs["checkpoint"]
    with h5py.File(checkpoint, "r+") as f:
        f.attrs["step"] = 20
    with pytest.raises(ValueError, match="step 20 of 30"):
        scorelab.state_dict(run)
    assert scorelab.state_dict(run, partial=True).keys() == Mlp(2, 24, 2, 16).state_dict().keys()
    checkpoint.unlink()
    with pytest.raises(FileNotFoundError, match=".stages"):
        scorelab.state_dict(run)
    with pytest.raises(FileNotFoundError, match="one run's folder"):
        scorelab.state_dict(copy.results / "read")


def test_a_damaged_run_is_left_out(lab, tmp_path):
    copy = lab.copy(tmp_path / "copy")
    file = copy.results / "read/steps=4/s0/run.h5"
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.warns(UserWarning, match="run.h5 cannot be read"):
        tree = scorelab.open(copy.results / "read")
    assert len(tree["runs"].children) == 3
    done = python(copy, "tensorboard", "results/read", tmp_path / "events")
    assert done.returncode == 1 and "run.h5 cannot be read" in done.stderr and "Traceback" not in done.stderr


def test_a_copy_without_its_stages_keeps_its_samples(lab, tmp_path):
    copy = lab.copy(tmp_path / "copy")
    file = copy.results / "read/steps=4/s0/run.h5"
    before = file.read_bytes()
    shutil.rmtree(copy.results / ".stages")
    assert ".stages" in copy.show().stderr
    assert file.read_bytes() == before
    assert scorelab.open(copy.results / "read")["runs/steps=4-s0/samples/x"].shape == (20, 2)


def test_no_experiment(tmp_path):
    with pytest.raises(FileNotFoundError, match="results/NAME"):
        scorelab.open(tmp_path)


def records(file):
    """TFRecord: length, its checksum, data, its checksum."""
    data = file.read_bytes()
    while data:
        (n,) = struct.unpack("<Q", data[:8])
        yield data[12 : 12 + n]
        data = data[16 + n :]


def test_events_for_tensorboard(lab, tmp_path):
    from tensorboardX.proto import event_pb2

    done = python(lab, "tensorboard", "results/read", tmp_path / "events")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    (file,) = (tmp_path / "events/read/steps=4/s0").iterdir()
    loss, config = {}, None
    for record in records(file):
        event = event_pb2.Event.FromString(record)
        for value in event.summary.value:
            if value.tag == "train/loss":
                loss[event.step] = value.simple_value
            if value.tag.startswith("config"):
                config = value.tensor.string_val[0].decode()
    with h5py.File(lab.results / "read/steps=4/s0/run.h5") as f:
        assert loss == dict(zip(f["metrics/train/step"][()], f["metrics/train/loss"][()].astype(np.float32), strict=True))
    assert json.loads(config.strip("`\n"))["sampler"]["params"]["steps"] == 4
    again = python(lab, "tensorboard", "results/read", tmp_path / "events")
    assert again.returncode == 1 and "not empty" in again.stderr
    assert python(lab, "tensorboard", "results/none", tmp_path / "other").returncode == 5


def test_it_is_installed_by_pip(tmp_path):
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(tmp_path / "site")]
    source = tmp_path / "python"  # setuptools builds beside the sources
    subprocess.run(["cp", "-r", str(PACKAGE), str(source)], check=True)
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    code = "import scorelab; print(scorelab.__file__)"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True)
    assert str(tmp_path / "site") in done.stdout, done.stderr
    assert (tmp_path / "site/scorelab/py.typed").exists()
