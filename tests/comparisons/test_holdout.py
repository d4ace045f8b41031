"""`holdout`: data that trainings do not see, for evaluations and for the metrics that ask for it."""
import h5py
import numpy as np
import pytest

from comparing import EXACT, TRAINED

STILL = TRAINED.replace("train     = { steps = 20, batch = 8 }", "train     = { steps = 2, batch = 8, evaluate_every = 1, log_every = 1, lr = 1e-12 }")
OTHER = 'holdout   = { plugin = "gaussian", dim = 2, std = [1.5], mean = [3.0, 3.0] }\n'


def losses(lab, name, text):
    lab.run(text.replace('"trained"', f'"{name}"'))
    with h5py.File(lab.results / f"{name}/run.h5") as f:
        return f["metrics/train/loss"][:], f["metrics/evaluate/loss"][:]


def test_evaluations_are_of_other_data(lab):
    """With a learning rate of next to nothing weights stay: an evaluation is that of an experiment whose data the held-out ones are."""
    train, evaluate = losses(lab, "without", STILL)
    train_held, evaluate_held = losses(lab, "held", STILL + OTHER)
    _, of_other = losses(lab, "other", STILL.replace('{ plugin = "gaussian", dim = 2, std = [0.5] }', OTHER.partition("= ")[2].strip()))
    np.testing.assert_array_equal(train_held, train)
    np.testing.assert_array_equal(evaluate_held, of_other)
    assert abs(evaluate_held[0] - evaluate[0]) > 0.01 * evaluate[0]


def test_a_share_is_left_out_of_the_training(lab):
    digits = STILL.replace('{ plugin = "gaussian", dim = 2, std = [0.5] }', '"digits"')
    train, evaluate = losses(lab, "whole", digits)
    train_part, evaluate_part = losses(lab, "part", digits + "holdout = 0.5\n")
    assert not np.array_equal(train, train_part) and not np.array_equal(evaluate, evaluate_part)
    # It is part of the training's key, and of nothing else's where it is not asked for.
    assert {s["kind"] for s in lab.plan(digits + "holdout = 0.25\n").stages if not s["done"]} == {"train", "sample", "evaluate"}
    assert all(s["done"] for s in lab.plan((digits + "holdout = 0.5\n").replace('"trained"', '"part"')).stages)


def test_metrics_that_ask_for_it_measure_against_it(lab):
    text = EXACT.replace('metrics   = ["moments"]', 'metrics   = { held = { plugin = "moments", reference = "holdout" }, seen = "moments" }') + OTHER
    lab.run(text)
    with h5py.File(lab.results / "cmp/run.h5") as f:
        x, values = f["samples/x"][:].astype(float), dict(f["summary"].attrs)
    assert abs(values["metrics.held.mean.last"] - np.linalg.norm(x.mean(0) - 3)) < 1e-6
    assert abs(values["metrics.seen.mean.last"] - np.linalg.norm(x.mean(0))) < 1e-6


def test_a_model_may_see_what_the_experiment_holds_out(lab):
    """`holdout = "none"` of a model is recorded, so that it is trained again as it was; in components of the data both hold out the same share."""
    digits = TRAINED.replace('{ plugin = "gaussian", dim = 2, std = [0.5] }', '"digits"').replace('"denoising-score-matching"', '"ddpm"') + "holdout = 0.5\n"
    model = '[models.first]\nnetwork = { plugin = "mlp", width = 8, depth = 1 }\nobjective = "denoising-score-matching"\ntrain = { steps = 5, batch = 8 }\n'
    text = digits.replace("steps = 20, batch = 8", 'steps = 20, batch = 8, from = "first"') + model + 'holdout = "none"\n'
    lab.run(text)
    done = lab.call("reproduce", lab.results / "trained/run.h5")
    assert done.returncode == 0 and "reproduced to the last bit" in done.stdout + done.stderr, done.stdout + done.stderr


def test_held_out_data_come_with_what_a_network_takes(lab):
    text = TRAINED.replace('{ plugin = "gaussian", dim = 2, std = [0.5] }', '{ plugin = "gaussian-mixture", modes = 3 }').replace("depth = 1 }", "depth = 1, classes = 3 }")
    lab.write(text + 'holdout = { plugin = "gaussian", dim = 2 }\n')
    done = lab.call("check", "m.toml")
    assert done.returncode == 2 and "of the held-out data: it takes the condition `label`, and the data set gives none" in done.stderr, done.stderr
    lab.write(text + 'holdout = { plugin = "gaussian-mixture", modes = 4 }\n')
    done = lab.call("check", "m.toml")
    assert done.returncode == 2 and "it knows 3 classes of `label`, and the data set has 4" in done.stderr, done.stderr


@pytest.mark.parametrize("change, said", [
    (lambda t: t.replace('metrics   = ["moments"]', 'metrics   = { m = { plugin = "moments", reference = "holdout" } }'), "nothing is held out"),
    (lambda t: t + "holdout = 1.5\n", "`holdout` is 1.5"),
    (lambda t: t + "holdout = 2\n", "expected a share between 0 and 1, \"none\", or a data set"),
    (lambda t: t + "holdout = 0.1\n", "draws afresh for ever"),
    (lambda t: t + 'holdout = { plugin = "gaussian", dim = 3 }\n', "its items are [3], and the data set's [2]"),
    (lambda t: t.replace('metrics   = ["moments"]', 'metrics   = { nll = { plugin = "true-nll", reference = "holdout" } }') + 'holdout = "two-moons"\n',
     "it needs a holdout with `density`"),
    (lambda t: t + 'holdout = "vp"\n', "`vp` is a scheduler"),
])
def test_what_cannot_be_held_out_is_said(lab, change, said):
    lab.write(change(EXACT))
    done = lab.call("check", "m.toml")
    assert done.returncode == 2 and said in done.stderr, done.stderr
