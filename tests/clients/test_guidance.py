"""Labels, classifier-free guidance, inpainting and inverse problems through the command line, and what run.h5 keeps of them."""
import h5py
import numpy as np
import pytest
from lab import Lab

CLASSES = """\
name      = "classes"
seeds     = [1]
dataset   = { plugin = "gaussian-mixture", modes = 4, separation = 2.0, std = [0.2] }
scheduler = "vp"
network   = { plugin = "mlp", width = 64, classes = 4 }
objective = "denoising-score-matching"
train     = { steps = 1500, lr = 2e-3, drop_condition = 0.2 }
sampler   = { plugin = "ddim", steps = 25 }
sample    = { count = 402, condition = "balanced" }
run       = { chunk = 100 }
"""
GAUSSIAN = """\
name      = "observed"
seeds     = [1]
dataset   = { plugin = "gaussian", dim = 4, mean = [0.7, -1.2, 0.0, 0.3], std = [0.5, 1.0, 2.0, 0.8] }
scheduler = "vp"
network   = "exact-gaussian"
sampler   = { plugin = "ancestral", steps = 40 }
sample    = { count = 300 }
run       = { chunk = 128, precision = "float64" }
"""


def samples(lab, *settings):
    lab.run(*(word for s in settings for word in ("-s", s)))
    with h5py.File(lab.h5()) as f:
        return {name: f["samples"][name][()] for name in f["samples"]}


def modes(x):
    """Which of the four modes of the ring each sample is at."""
    return np.round(np.degrees(np.arctan2(x[:, 1], x[:, 0])) / 90).astype(int) % 4


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return Lab(tmp_path_factory.mktemp("classes"), CLASSES)


def test_a_conditional_network_learns_its_classes_and_the_whole(classes):
    told = samples(classes)
    assert told["label"].dtype == np.int64 and (told["label"] == np.arange(402) % 4).all()
    assert (modes(told["x"]) == told["label"]).mean() > 0.98
    one = samples(classes, "sample.condition=2")
    assert (one["label"] == 2).all() and (modes(one["x"]) == 2).mean() > 0.98
    bare = samples(classes, "sample.condition=none")
    assert (bare["label"] == -1).all()
    share = np.bincount(modes(bare["x"]), minlength=4) / 402
    assert (share > 0.1).all() and (share < 0.45).all()  # all four
    drawn = samples(classes, "sample.condition=data")
    assert (modes(drawn["x"]) == drawn["label"]).mean() > 0.98 and len(set(drawn["label"])) == 4


def test_guidance_costs_an_evaluation_more_and_narrows_a_class(classes):
    told = samples(classes)
    same = samples(classes, "guides=[{ plugin = \"classifier-free\", scale = 1.0 }]")
    assert (same["x"] == told["x"]).all() and (same["nfe"] == 25).all()
    more = samples(classes, "guides=[{ plugin = \"classifier-free\", scale = 4.0 }]")
    assert (more["nfe"] == 50).all()

    def outwards(of):  # how far from the middle of all classes
        return np.linalg.norm(of["x"], axis=1).mean()
    assert outwards(more) > outwards(told) + 0.05
    away = samples(classes, "guides=[{ plugin = \"classifier-free\", scale = 0.0 }]")
    bare = samples(classes, "sample.condition=none")
    assert (away["x"] == bare["x"]).all() and (away["nfe"] == 25).all()


def test_dropping_labels_is_another_training_and_labels_another_sampling(classes, tmp_path):
    classes.run()
    first = classes.stages()
    classes.run("-s", "sample.condition=data")
    assert classes.stages()["train"] == first["train"] and classes.stages()["sample"] != first["sample"]
    lab = classes.copy(tmp_path / "copy")
    lab.run("-s", "train.drop_condition=0.0", "-s", "train.steps=20", "-s", "sample.count=4")
    dropped = lab.stages()["train"]
    lab.run("-s", "train.drop_condition=0.5", "-s", "train.steps=20", "-s", "sample.count=4")
    assert lab.stages()["train"] != dropped


def test_too_few_classes_are_refused(tmp_path):
    done = Lab(tmp_path / "lab", CLASSES.replace("classes = 4 }", "classes = 3 }")).run(code=2)
    assert "network `mlp` cannot be used here" in done.stderr and "it knows 3 classes of `label`, and the data set has 4; raise `classes`" in done.stderr
    done = Lab(tmp_path / "other", CLASSES).run("-s", "train.steps=5", "-s", "sample.condition=4", code=2)
    assert "`condition` is beyond the network's 4 classes" in done.stderr


@pytest.mark.parametrize("method", ["replacement", "score-sde"])
def test_what_is_observed_is_kept_and_recorded(tmp_path, method):
    lab = Lab(tmp_path / "lab", GAUSSIAN)
    free = samples(lab)
    assert "clean" not in free and "label" not in free
    kept = samples(lab, f"guides=[{{ plugin = \"replacement\", observe = \"first\", method = \"{method}\" }}]")
    assert kept["clean"].shape == (300, 4)
    np.testing.assert_allclose(kept["x"][:, :2], kept["clean"][:, :2], rtol=0, atol=1e-12)
    np.testing.assert_allclose(kept["x"][:, 2:], free["x"][:, 2:], rtol=0, atol=1e-9)  # independent of what is observed
    z = (kept["clean"] - [0.7, -1.2, 0.0, 0.3]) / [0.5, 1.0, 2.0, 0.8]
    assert abs(z.mean()) < 5 / np.sqrt(1200) and abs(z.var() - 1) < 5 * np.sqrt(2 / 1200)


def test_an_observation_given_by_value_has_exact_moments(tmp_path):
    """Known to 0.25 with noise 0.5: N(m + k (y - m), ..) in the observed half, whatever the other half is; y itself has the noise."""
    text = GAUSSIAN.replace('steps = 40', 'steps = 2000, spacing = "log-snr"').replace("std = [0.5, 1.0, 2.0, 0.8]", "std = [0.8]")
    text += 'guides = [{ plugin = "posterior", observe = "first", noise = 0.5, data_std = 0.8, values = [0.25, 0.25, 9.0, 9.0] }]\n'
    moments = samples(Lab(tmp_path / "lab", text), "sample.moments=exact")
    gain = 0.64 / (0.64 + 0.25)
    np.testing.assert_allclose(moments["mean"], [0.7 + gain * (0.25 - 0.7), -1.2 + gain * (0.25 + 1.2), 0.0, 0.3], atol=2e-3)
    known = 0.64 * (1 - gain) + gain**2 * 0.25
    np.testing.assert_allclose(moments["variance"], [known, known, 0.64, 0.64], rtol=5e-3)


def test_exact_moments_need_the_values(tmp_path):
    lab = Lab(tmp_path / "lab", GAUSSIAN)
    done = lab.run("-s", "sample.moments=exact", "-s", "guides=[{ plugin = \"replacement\", observe = \"first\" }]", code=1)
    assert "give guides the observed `values`" in done.stderr


def test_a_trained_network_is_guided_whatever_the_threads(tmp_path):
    """The number of threads is measured before the first call, where there is nothing to observe yet."""
    text = CLASSES.replace("steps = 1500", "steps = 20").replace("count = 402", "count = 20") + 'guides = [{ plugin = "replacement", observe = "first", method = "score-sde" }]\n'
    lab = Lab(tmp_path / "lab", text)
    lab.run("-s", "run.threads=auto")
    with h5py.File(lab.h5()) as f:
        np.testing.assert_allclose(f["samples/x"][:, 0], f["samples/clean"][:, 0], rtol=0, atol=1e-5)
