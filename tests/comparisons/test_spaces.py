"""`space`: what stands between the data and the model. Principal components come from numpy here."""
import gzip
import pathlib

import h5py
import numpy as np
import pytest

from comparing import BUILD, STAND_INS, WITH_STAND_INS


def digits_file():
    for line in (BUILD / "CMakeCache.txt").read_text().splitlines():
        if line.startswith("SCORELAB_DIGITS:"):
            return pathlib.Path(line.split("=", 1)[1])


IN_COMPONENTS = """\
name      = "components"
dataset   = "digits"
space     = { plugin = "pca", rank = 6 }
scheduler = "vp"
network   = { plugin = "mlp", width = 8, depth = 1 }
objective = "denoising-score-matching"
train     = { steps = 20, batch = 8 }
sampler   = { plugin = "ddim", steps = 3 }
sample    = { count = 32, trace = 4 }
metrics   = ["moments"]
run       = { device = "cpu", threads = 1, chunk = 16 }
"""


@pytest.fixture
def components():
    """Mean and basis of the digits, by a singular value decomposition."""
    file = digits_file()
    if not file or not file.exists():
        pytest.skip("no digits.csv.gz")
    with gzip.open(file) as f:
        x = np.loadtxt(f, delimiter=",")[:, :64] / 16
    return x.mean(0), np.linalg.svd(x - x.mean(0), full_matrices=False)[2]


def test_samples_lie_in_the_components(lab, components):
    mean, basis = components
    lab.run(IN_COMPONENTS)
    with h5py.File(lab.results / "components/run.h5") as f:
        assert f["samples/x"].shape == (32, 1, 8, 8)
        x = f["samples/x"][:].reshape(32, 64) - mean
    inside, outside = x @ basis[:6].T, x @ basis[6:].T
    assert np.abs(outside).max() < 1e-5 and np.abs(inside).std(0).min() > 0.01


def test_a_space_is_part_of_the_key(lab):
    plain = IN_COMPONENTS.replace('space     = { plugin = "pca", rank = 6 }\n', "")

    def keys(text):
        return [s["key"] for s in lab.plan(text).stages]

    assert keys(plain) == keys('space = "none"\n' + plain)
    others = [keys(plain), keys(IN_COMPONENTS), keys(IN_COMPONENTS.replace("rank = 6", "rank = 7"))]
    assert len({k for own in others for k in own}) == sum(map(len, others))
    assert keys(IN_COMPONENTS.replace("rank = 6", "rank = 8")) == keys(IN_COMPONENTS.replace(", rank = 6", ""))


def test_what_needs_the_data_s_own_space_is_refused(lab):
    def refused(key, text):
        said = lab.wrong(text)
        assert "does not go with space `pca`" in said and key in said, said

    refused("ddpm-unet", IN_COMPONENTS.replace('{ plugin = "mlp", width = 8, depth = 1 }', '"ddpm-unet"'))
    refused("nll-ode", IN_COMPONENTS.replace('["moments"]', '["nll-ode"]'))
    refused("uniform", IN_COMPONENTS.replace("trace = 4", 'initial = "uniform"'))
    assert "an item has 64 elements" in lab.wrong(IN_COMPONENTS.replace("rank = 6", "rank = 65"))
    assert "did you mean `pca`" in lab.wrong(IN_COMPONENTS.replace('"pca"', '"pcaa"'))
    assert "`items`" in lab.wrong(IN_COMPONENTS.replace('"digits"', '"gaussian"'))


MODEL = """\
[models.other]
space     = "none"
network   = NETWORK
objective = OBJECTIVE
train     = { steps = 20, batch = 8 }
"""


def test_features_are_those_of_a_classifier_in_its_own_space(lab):
    """A metric's classifier sees pixels, and is the one that an experiment in pixels trains."""
    classifier = MODEL.replace("NETWORK", '{ plugin = "mlp-classifier", width = 8 }').replace("OBJECTIVE", '"cross-entropy"')
    measured = IN_COMPONENTS.replace('["moments"]', '{ f = { plugin = "frechet", features = "other" } }') + classifier
    lab.run(measured)
    pixels = measured.replace('space     = { plugin = "pca", rank = 6 }\n', "").replace('space     = "none"\n', "")
    assert [s["done"] for s in lab.plan(pixels).stages if s["label"].startswith("train other")] == [True]
    assert np.isfinite(lab.values("f", "components")[""]).all()


@pytest.mark.skipif(not (STAND_INS / "follow.so").exists(), reason="no follow.so: ninja tests builds it")
def test_a_guide_s_model_works_in_the_same_space(lab):
    guided = WITH_STAND_INS + IN_COMPONENTS.replace('metrics  ', 'guides = { f = { plugin = "follow", teacher = "other" } }\nmetrics  ')
    teacher = MODEL.replace("NETWORK", '{ plugin = "mlp", width = 8, depth = 1 }').replace("OBJECTIVE", '"denoising-score-matching"')
    lab.write(guided + teacher)
    done = lab.call("run", "m.toml")
    assert done.returncode == 1 and "the model `other` works in the data's own range" in done.stderr + done.stdout, done.stderr
    lab.run(guided + teacher.replace('space     = "none"\n', ""))


def test_reproduce_knows_the_space(lab):
    lab.run(IN_COMPONENTS)
    done = lab.call("reproduce", lab.results / "components/run.h5", "--results", "again")
    assert done.returncode == 0 and "reproduced to the last bit" in done.stdout, done.stdout + done.stderr
