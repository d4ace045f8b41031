"""The table `train`."""
import json

import h5py
import numpy as np
import pytest

from comparing import TRAINED

IN_PARTS = TRAINED.replace("train     = { steps = 20, batch = 8 }", "train     = { steps = 20, batch = 10, log_every = 1, accumulate = 1 }").replace(
    'objective = "denoising-score-matching"', 'objective = { plugin = "denoising-score-matching", times = "stratified" }').replace(
    "threads = 1", 'precision = "float64", threads = 1')


@pytest.mark.parametrize("parts", [2, 3, 10])
def test_a_batch_in_parts_is_the_same_batch(lab, parts):
    """The same draws, and a gradient that is the sum of the parts': the same training but for rounding."""
    losses = []
    for n in (1, parts):
        lab.run(IN_PARTS.replace("accumulate = 1", f"accumulate = {n}").replace('"trained"', f'"in-{n}"'))
        with h5py.File(lab.results / f"in-{n}/run.h5") as f:
            losses.append(f["metrics/train/loss"][:])
    assert len(losses[0]) == 20 and losses[0][0] != losses[0][-1]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-10)


def test_a_part_holds_a_sample(lab):
    said = lab.wrong(IN_PARTS.replace("accumulate = 1", "accumulate = 11"))
    assert "`accumulate` is beyond the 10 samples of a batch" in said


def evaluated(lab, name, text):
    lab.run(text.replace('"trained"', f'"{name}"'))
    with h5py.File(lab.results / f"{name}/run.h5") as f:
        return f["metrics/evaluate/loss"][:]


STILL = TRAINED.replace("train     = { steps = 20, batch = 8 }", "train     = { steps = 2, batch = 8, evaluate_every = 1, lr = 1e-12, drop_condition = 0.0 }")


@pytest.mark.parametrize("of, network, change", [
    ("gaussian-mixture", '{ plugin = "mlp", width = 8, depth = 1, classes = 8 }', ("drop_condition = 0.0", "drop_condition = 0.9")),
    ("digits", '{ plugin = "ddpm-unet", channels = 8, groups = 4, dropout = 0.0 }', ("dropout = 0.0", "dropout = 0.5"))])
def test_an_evaluation_drops_nothing(lab, of, network, change):
    """With a learning rate of next to nothing the weights stay, and so does the evaluated loss, whatever training drops."""
    text = STILL.replace('{ plugin = "gaussian", dim = 2, std = [0.5] }', f'"{of}"').replace('{ plugin = "mlp", width = 8, depth = 1 }', network)
    text = text[: text.index("sampler ")] + 'run       = { device = "cpu", threads = 1 }\n'
    np.testing.assert_allclose(evaluated(lab, "without", text.replace(*change)), evaluated(lab, "with", text), rtol=1e-6)


FROM = TRAINED.replace("train     = { steps = 20, batch = 8 }", 'train     = { steps = 2, batch = 8, lr = 1e-12, from = "first" }') + """\
seeds     = 2
[models.first]
network   = { plugin = "mlp", width = 8, depth = 1 }
objective = "denoising-score-matching"
train     = { steps = 30, batch = 8 }
ema       = 0.9
"""


def weights(lab, stage):
    file = next((lab.results / ".stages").glob(f"{stage[:24]}*/checkpoint.h5"))
    with h5py.File(file) as f:
        return {group: {name: f[group][name][()] for name in f[group]} for group in ("parameters", "ema/0.9", "ema/0.999") if group in f}


def test_a_training_starts_from_a_model_s_weights(lab):
    """At a learning rate of next to nothing it ends where it began: at the average that the model names, of its one training."""
    lab.run(FROM)
    p = lab.plan(file="m.toml")
    first = [s["key"] for s in p.stages if s["label"].startswith("train first")]
    students = [s["key"] for s in p.stages if s["kind"] == "train" and s["key"] not in first]
    assert len(first) == 1 and len(students) == 2
    begun = weights(lab, first[0])["ema/0.9"]
    for key in students:
        for group in ("parameters", "ema/0.999"):
            for name, value in weights(lab, key)[group].items():
                np.testing.assert_allclose(value, begun[name], rtol=0, atol=1e-7)
    # its settings are part of the student's key
    assert not any(s["done"] for s in lab.plan(FROM.replace("steps = 30", "steps = 31")).stages)


def test_what_cannot_be_started_from_is_said(lab):
    assert "did you mean `first`" in lab.wrong(FROM.replace('from = "first"', 'from = "frist"'))
    exact = FROM[: FROM.index("[models")] + '[models.first]\nnetwork = "exact-gaussian"\n'
    assert "which has no weights" in lab.wrong(exact)
    lab.write(FROM.replace('[models.first]\nnetwork   = { plugin = "mlp", width = 8', '[models.first]\nnetwork   = { plugin = "mlp", width = 9'))
    done = lab.call("run", "m.toml")
    assert done.returncode == 1 and 'train.from = "first"' in done.stdout + done.stderr, done.stderr


def test_weights_to_start_from_may_come_from_other_units(lab):
    """Nobody asks that model: its weights are read, and its data set may have another range."""
    digits = FROM.replace('{ plugin = "gaussian", dim = 2, std = [0.5] }', '{ plugin = "digits", range = [-1.0, 1.0] }')
    lab.run(digits + 'dataset   = { plugin = "digits", range = [0.0, 1.0] }\n')


BFLOAT = TRAINED.replace("steps = 20, batch = 8", "steps = 20, batch = 8, lr = 1e-6, log_every = 1").replace("threads = 1", 'precision = "bf16", threads = 1')


def test_bfloat16_keeps_weights_in_float32(lab):
    """20 steps of 1e-6 are far below what bfloat16 resolves of weights near 0.1: they are kept, so that the masters are float32."""
    def trained(name, text):
        lab.run(text.replace('"trained"', f'"{name}"'))
        stages = json.loads((lab.results / name / "experiment.json").read_text())["replicates"][0]["stages"]
        with h5py.File(lab.results / name / "run.h5") as f:
            loss, x = f["metrics/train/loss"][:], f["samples/x"][:]
        return weights(lab, next(s["key"] for s in stages if s["kind"] == "train"))["parameters"], loss, x

    begun, _, _ = trained("still", BFLOAT.replace("lr = 1e-6", "lr = 1e-12"))
    after, loss, x = trained("bf16", BFLOAT)
    exact, exact_loss, exact_x = trained("float32", BFLOAT.replace('"bf16"', '"float32"'))
    moved = {name: np.abs(after[name] - begun[name]).max() for name in after}
    assert all(v.dtype == np.float32 for v in after.values()) and 5e-6 < max(moved.values()) < 3e-5, moved
    assert x.dtype == np.float32 and not np.array_equal(x, exact_x), "it is rounded, and is another run"
    np.testing.assert_allclose(loss, exact_loss, rtol=0.02)
    np.testing.assert_allclose(x, exact_x, atol=0.05 * np.abs(exact_x).max())


def test_tf32_is_of_gpus(lab):
    said = lab.wrong(BFLOAT.replace('"bf16"', '"tf32"'))
    assert '`precision` is "tf32", and `device` is "cpu"' in said and "float32, bf16 or float64" in said
    lab.write(BFLOAT.replace('"bf16"', '"tf32"').replace('device = "cpu"', 'device = "auto"'))
    done = lab.call("run", "m.toml")
    if done.returncode:  # there is no GPU
        assert done.returncode == 4 and 'run.precision = "tf32" is a GPU\'s' in done.stdout + done.stderr, done.stderr


@pytest.mark.parametrize("projections", [1, 5])
def test_sliced_score_matching_evaluates_once_for_all_projections(lab, projections):
    """The score at the batch's points serves them all; what a projection costs is a product with the Jacobian."""
    objective = f'{{ plugin = "sliced-score-matching", projections = {projections} }}'
    lab.run(TRAINED.replace('"denoising-score-matching"', objective).replace('"trained"', f'"sliced-{projections}"'))
    done, = (stage for stage in map(json.loads, (file.read_text() for file in lab.results.glob(".stages/*/stage.json"))) if stage["stage"] == "train")
    assert done["evaluations"] == 20 * 8
    assert done["vjps"] + done["jvps"] == 20 * 8 * projections
