"""SIGTERM and Ctrl-C: a checkpoint first, then the exit code that says that the same command goes on."""
import os
import random
import signal

import h5py
import pytest

from lab import MANIFEST, ROWS, Lab, alive, outcome, rows, same, until

SLOW_PREVIEW = MANIFEST.replace("preview_every = 500, preview_count = 16", "preview_every = 60, preview_count = 16").replace(
    "steps = 3000", "steps = 120").replace("evaluate_every = 250", "evaluate_every = 60").replace("steps = 250,", "steps = 4000,").replace("count = 500", "count = 32")


def stage(lab, whole, label):
    return lab.results / whole.stages()[label].relative_to(whole.results)


def stopped_in_training(lab, whole, number, seed):
    live = lab.start()
    train = stage(lab, whole, "train")
    target = random.Random(seed).randint(3, ROWS - 60)
    until(lambda: live.ended() or len(rows(train / "journal.jsonl", "train")) >= target, what="rows")
    live.process.send_signal(number)
    return live, live.wait(), train


def checkpointed(train):
    last = max(r["step"] for r in rows(train / "journal.jsonl", "train"))
    with h5py.File(train / "checkpoint.h5") as f:
        assert int(f.attrs["step"]) >= last, "what was reported last is not in the checkpoint"


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_signal_checkpoints_and_the_next_run_goes_on(tmp_path, whole, reference, number, code, seed):
    lab = Lab(tmp_path / "lab")
    live, got, train = stopped_in_training(lab, whole, number, seed)
    assert got == code, live.stderr()[-2000:]
    checkpointed(train)
    lab.run()
    same(lab, reference)


LEARNED = MANIFEST.replace('scheduler = "vp"', 'scheduler = { plugin = "ddpm-linear", T = 20, beta_end = 0.4 }\noutput    = { variance = "learned-range" }').replace(
    'objective = "denoising-score-matching"', 'objective = { plugin = "ddpm", weight = "elbo", times = "loss-second-moment" }').replace(
    '{ plugin = "predictor-corrector", steps = 250, predictor = "reverse-diffusion", corrector = { plugin = "langevin", snr = 0.16 } }',
    '{ plugin = "ancestral", variance = "learned" }')


def test_the_losses_that_times_are_drawn_by_are_part_of_the_checkpoint(tmp_path):
    whole = Lab(tmp_path / "whole", LEARNED)
    whole.run()
    lab = Lab(tmp_path / "lab", LEARNED)
    live, got, train = stopped_in_training(lab, whole, signal.SIGTERM, 1)
    assert got == 75, live.stderr()[-2000:]
    with h5py.File(train / "checkpoint.h5") as f:
        assert f["training/objective.loss_history"].shape == (20, 11)
        assert (f["training/objective.loss_history"][:, 10] == 10).all(), "ten of each level by then"
    lab.run()
    same(lab, outcome(whole))


def test_sigterm_in_sampling(tmp_path, whole, reference):
    lab = Lab(tmp_path / "lab")
    live = lab.start()
    folder = stage(lab, whole, "sample") / "samples"
    until(lambda: live.ended() or len(list(folder.glob("0*.h5"))) >= 4, what="samples")
    live.process.send_signal(signal.SIGTERM)
    assert live.wait() == 75, live.stderr()[-2000:]
    before = {f.name: f.stat().st_mtime_ns for f in folder.glob("0*.h5")}
    assert 4 <= len(before) < 16
    lab.run()
    assert all((folder / name).stat().st_mtime_ns == then for name, then in before.items()), "samples that were there were drawn again"
    same(lab, reference)


def test_sigint_twice_ends_at_once_and_is_resumable(tmp_path, whole, reference):
    """The host cannot stop by itself (it is held): the second Ctrl-C must end it."""
    lab = Lab(tmp_path / "lab")
    live = lab.start()
    host = live.host()
    train = stage(lab, whole, "train")
    until(lambda: live.ended() or len(rows(train / "journal.jsonl", "train")) >= 50, what="rows")
    os.kill(host, signal.SIGSTOP)
    live.process.send_signal(signal.SIGINT)
    until(lambda: "stopping" in live.stderr(), what="the word that it is stopping")
    assert alive(host) and not live.ended()
    live.process.send_signal(signal.SIGINT)
    assert live.wait(30) == 130
    until(lambda: not alive(host), 10, what="the host's end")
    lab.run()
    same(lab, reference)


@pytest.mark.parametrize("at", [60, 120])
def test_sigterm_in_a_preview_loses_no_preview(tmp_path, at):
    """The preview of a step begins after its row of `evaluate`; it takes long here, so the signal finds it there."""
    whole = Lab(tmp_path / "whole", SLOW_PREVIEW)
    whole.run()
    lab = Lab(tmp_path / "lab", SLOW_PREVIEW)
    live = lab.start()
    train = stage(lab, whole, "train")
    until(lambda: live.ended() or any(r["step"] == at for r in rows(train / "journal.jsonl", "evaluate")), what="the evaluation")
    live.process.send_signal(signal.SIGTERM)
    assert live.wait() == 75, live.stderr()[-2000:]
    assert not (train / "previews" / f"{at:08}" / "00000000.h5").exists(), "the preview was too quick for this test"
    lab.run()
    same(lab, outcome(whole))


LONG_EVALUATION = MANIFEST.replace("steps = 3000, batch = 64", "steps = 8, batch = 16384").replace("log_every = 10", "log_every = 1").replace(
    "evaluate_every = 250, preview_every = 500", "evaluate_every = 1, preview_every = 0").replace("steps = 250,", "steps = 5,").replace("count = 500", "count = 32")


@pytest.mark.parametrize("at", [3, 8])
def test_sigterm_in_an_evaluation_loses_no_row(tmp_path, at):
    """The evaluation of a step begins after its row of `train`; with so large a batch the signal finds it there."""
    whole = Lab(tmp_path / "whole", LONG_EVALUATION)
    whole.run()
    lab = Lab(tmp_path / "lab", LONG_EVALUATION)
    live = lab.start()
    train = stage(lab, whole, "train")
    until(lambda: live.ended() or any(r["step"] == at for r in rows(train / "journal.jsonl", "train")), what="the step")
    live.process.send_signal(signal.SIGTERM)
    assert live.wait() == 75, live.stderr()[-2000:]
    lab.run()
    same(lab, outcome(whole))
