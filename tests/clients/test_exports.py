"""Samples and settings as files that other programs read."""

import csv
import io
import subprocess

import h5py
import numpy as np
import pytest
from lab import Lab, program
from PIL import Image

POINTS = """\
name      = "points"
seeds     = [0, 1]
dataset   = { plugin = "gaussian-mixture", modes = 4 }
scheduler = "vp"
network   = "exact-gaussian-mixture"
sampler   = { plugin = "euler-maruyama", steps = 8 }
sample    = { count = 50 }
metrics   = ["moments"]
run       = { chunk = 16 }

[sweep.steps]
key    = "sampler.steps"
values = [4, 8]
"""
IMAGES = """\
name      = "images"
dataset   = {{ plugin = "disks", side = 8, channels = {channels} }}
scheduler = "vp"
network   = {{ plugin = "mlp", width = 8, depth = 1 }}
objective = "denoising-score-matching"
train     = {{ steps = 2, batch = 4 }}
sampler   = {{ plugin = "euler-maruyama", steps = 4 }}
sample    = {{ count = 21 }}
run       = {{ chunk = 8 }}
"""


def export(lab, *more, code=0):
    done = subprocess.run([str(program()), "export", lab.name, *more], cwd=lab.folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    return done


def run_h5(lab, run=""):
    return h5py.File(lab.results / lab.name / run / "run.h5")


def test_samples_for_numpy(tmp_path):
    lab = Lab(tmp_path / "lab", POINTS)
    lab.run()
    made = export(lab, "--npz", "out").stdout.split()
    assert len(made) == 4
    for file in made:
        with np.load(lab.folder / file) as z, run_h5(lab, file[len("out/points-") : -len(".npz")].replace("-", "/")) as run:
            np.testing.assert_array_equal(z["arr_0"], run["samples/x"])
            np.testing.assert_array_equal(z["nfe"], run["samples/nfe"])
            assert z["arr_0"].dtype == run["samples/x"].dtype
    before = (lab.folder / made[0]).read_bytes()
    export(lab, "--npz", "out")
    assert (lab.folder / made[0]).read_bytes() == before
    assert not [f for f in (lab.folder / "out").iterdir() if f.suffix != ".npz"]


def test_points_are_no_pictures(tmp_path):
    lab = Lab(tmp_path / "lab", POINTS)
    lab.run()
    refused = export(lab, "--images", "out", code=1)
    assert "no images" in refused.stderr and "--npz" in refused.stderr


def test_every_setting_is_a_column(tmp_path):
    lab = Lab(tmp_path / "lab", POINTS)
    lab.run()
    runs = list(csv.DictReader(io.StringIO(export(lab).stdout)))
    assert len(runs) == 4
    for row in runs:
        assert row["dataset"] == "gaussian-mixture" and row["dataset.modes"] == "4"
        assert row["sampler"] == "euler-maruyama" and row["sampler.steps"] == row["steps"]
        assert float(row["moments.mean"]) >= 0 and row["state"] == "done"
    assert {row["sampler.steps"] for row in runs} == {"4", "8"}
    condition = "sampler.steps = 4 and dataset.modes = 4"
    found = subprocess.run([str(program()), "ls", "--where", condition], cwd=lab.folder, capture_output=True, text=True).stdout
    assert len(found.splitlines()) == 3  # the heading, two seeds


@pytest.mark.parametrize("one_of", [("--npz", "a", "--images", "b"), ("--csv", "--json")])
def test_one_thing_at_a_time(tmp_path, one_of):
    lab = Lab(tmp_path / "lab", POINTS)
    assert "at most 1" in export(lab, *one_of, code=2).stderr


def test_samples_known_by_their_moments_are_left_out(tmp_path):
    lab = Lab(tmp_path / "lab", POINTS.replace("count = 50", 'moments = "exact"').replace("euler-maruyama", "ddim").replace("-mixture\", modes = 4", '"'))
    lab.run()
    assert "by their moments alone" in export(lab, "--npz", "out", code=5).stderr


@pytest.mark.parametrize("channels", [1, 3])
def test_images(tmp_path, channels):
    lab = Lab(tmp_path / "lab", IMAGES.format(channels=channels))
    lab.run()
    with run_h5(lab) as run:
        expected = np.rint(np.clip(run["samples/x"][()], 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    export(lab, "--images", "out")
    files = sorted((lab.folder / "out/images").iterdir())
    assert [f.name for f in files] == [f"{i:06}.png" for i in range(21)]
    for file, image in zip(files, expected, strict=True):
        picture = Image.open(file)
        assert picture.mode == ("L" if channels == 1 else "RGB")
        np.testing.assert_array_equal(np.asarray(picture), image.squeeze(-1) if channels == 1 else image)
    assert "not empty" in export(lab, "--images", "out", code=1).stderr
    export(lab, "--npz", "out")
    with np.load(lab.folder / "out/images.npz") as z:
        np.testing.assert_array_equal(z["arr_0"], expected.repeat(3 // channels, axis=3))
