"""What a second run does: nothing, or only what is new."""
import os
import shutil

import h5py
import pytest

from lab import MANIFEST, Lab, checkpoint, events, outcome, rows, same, until


TRAINS = """\
name      = "trains"
dataset   = { plugin = "gaussian-mixture", modes = 4 }
scheduler = "vp"
network   = { plugin = "mlp", width = 8, depth = 1 }
objective = "denoising-score-matching"
train     = { steps = 20, batch = 8, log_every = 10 }
"""


def samples(lab):
    with h5py.File(lab.h5()) as f:
        return f["samples/x"][()]


def test_a_finished_run_starts_nothing(tmp_path, whole):
    lab = whole.copy(tmp_path / "lab")
    before = lab.stage_files()
    assert any("stage.json" in f for f in before) and any("journal" in f for f in before)
    done = lab.run()
    assert lab.stage_files() == before
    assert "0 to do" in done.stderr


def test_a_training_without_a_sampler_has_a_view(tmp_path):
    lab = Lab(tmp_path / "lab", TRAINS)
    lab.run()
    with h5py.File(lab.h5()) as f:
        assert f["status"].attrs["state"] == "done" and len(f["metrics/train/loss"]) == 2
        assert "samples" not in f and f.attrs["checkpoint_step"] == 20


def test_two_runs_at_once_do_each_stage_once(tmp_path, reference):
    lab = Lab(tmp_path / "lab")
    first, second = lab.start(), lab.start()
    codes = first.wait(), second.wait()
    assert codes == (0, 0), first.stderr()[-1500:] + "\n--- the other:\n" + second.stderr()[-1500:]
    for label, folder in lab.stages().items():
        kept = [(r["stream"], r["step"]) for r in rows(folder / "journal.jsonl")]
        assert len(kept) == len(set(kept)), f"{label} was done twice"
        assert events(folder / "journal.jsonl") == []
    same(lab, reference)


def test_a_run_that_planned_before_another_finished_does_nothing_again(tmp_path, whole):
    """The second run has its plan (everything to do) and is held, in the call of git for the provenance, until the first has finished."""
    lab = whole.copy(tmp_path / "lab")
    done = lab.stage_files()
    shutil.move(lab.results, lab.folder / "aside")
    (lab.folder / ".git/objects").mkdir(parents=True)
    (lab.folder / ".git/HEAD").write_text("a" * 40 + "\n")
    (lab.folder / "bin").mkdir()
    (lab.folder / "bin" / "git").write_text(f"#!/bin/sh\ntouch '{lab.folder}/planned'\nwhile [ ! -e '{lab.folder}/go' ]; do sleep 0.02; done\nexit 1\n")
    (lab.folder / "bin" / "git").chmod(0o755)
    second = lab.start(PATH=f"{lab.folder}/bin:{os.environ['PATH']}")
    until(lambda: second.ended() or (lab.folder / "planned").exists(), what="the plan")
    assert not second.ended(), second.stderr()
    shutil.rmtree(lab.results, ignore_errors=True)
    shutil.move(lab.folder / "aside", lab.results)  # the first has finished
    (lab.folder / "go").touch()
    assert second.wait() == 0, second.stderr()[-2000:]
    assert [f for f, v in lab.stage_files().items() if done.get(f) != v] == [], "what was done was done again"


def test_a_second_run_that_asks_for_more_samples_at_the_same_time(tmp_path):
    """One asks for 64 samples, one for 160, of the same stage: each has what it asked for in the end."""
    manifest = MANIFEST.replace("steps = 3000", "steps = 1500")
    lab = Lab(tmp_path / "lab", manifest)
    first = lab.start("-s", "sample.count=160")
    until(lambda: (lab.results / lab.name / "experiment.json").exists(), what="the launch")
    second = lab.start("-s", "sample.count=64")
    codes = first.wait(), second.wait()
    assert codes == (0, 0), first.stderr()[-1500:] + "\n--- the other:\n" + second.stderr()[-1500:]
    drawn = sum(h5py.File(f)["nfe"].shape[0] for f in (lab.stages()["sample"] / "samples").glob("0*.h5"))
    assert drawn >= 160, "the run that asked for 160 samples said that it was done"


def test_more_samples_are_only_the_new_ones(tmp_path, whole):
    lab = whole.copy(tmp_path / "lab")
    folder = lab.stages()["sample"] / "samples"
    old = samples(lab)
    full = {f: (f.stat().st_ino, f.stat().st_mtime_ns) for f in folder.glob("0*.h5") if h5py.File(f)["nfe"].shape[0] == 32}
    train = lab.stages()["train"] / "journal.jsonl"
    trained = train.read_bytes()
    lab.run("-s", "sample.count=600")
    assert len(full) == 15 and all((f.stat().st_ino, f.stat().st_mtime_ns) == then for f, then in full.items())
    assert train.read_bytes() == trained
    new = samples(lab)
    assert new.shape == (600, 2) and new[:500].tobytes() == old.tobytes()
    with h5py.File(lab.h5()) as f:
        assert f["samples/nfe"].shape == (600,)
        assert int(f["config/flat"].attrs["sample.count"]) == 600


def test_fewer_samples_are_shown_where_fewer_are_asked_for(tmp_path, whole):
    lab = whole.copy(tmp_path / "lab")
    old = samples(lab)
    lab.run("-s", "sample.count=40")
    with h5py.File(lab.h5()) as f:
        assert int(f["config/flat"].attrs["sample.count"]) == 40
    assert samples(lab).shape == (40, 2), "run.h5 says that 40 samples were asked for, its metrics are of 40, and it holds others"
    assert samples(lab).tobytes() == old[:40].tobytes()


@pytest.mark.parametrize("count", [10, 64, 100])
def test_a_sample_does_not_depend_on_how_many_are_drawn(tmp_path, whole, count):
    """The trained network of the whole run, samples drawn from nothing."""
    lab = whole.copy(tmp_path / "lab")
    expected = samples(lab)
    shutil.rmtree(lab.stages()["sample"])
    lab.run("-s", f"sample.count={count}")
    got = samples(lab)
    assert got.shape == (count, 2)
    assert got.tobytes() == expected[:count].tobytes()


REPORTING = [
    ("train.evaluate_every=0", "train.preview_every=0"),
    ("train.log_every=7", "train.checkpoint_every=1000"),
    ("train.evaluate_every=31", "train.preview_every=333", "train.preview_count=5", "train.log_every=1", "train.checkpoint_every=3000"),
]


@pytest.mark.parametrize("settings", REPORTING, ids=lambda s: " ".join(x.split(".")[1] for x in s))
def test_reporting_changes_no_bit_and_no_key(tmp_path, whole, reference, settings):
    lab = Lab(tmp_path / "lab")
    lab.run(*[a for s in settings for a in ("-s", s)])
    assert {k: f.name for k, f in lab.stages().items()} == {k: f.name for k, f in whole.stages().items()}
    step, arrays = checkpoint(lab.stages()["train"] / "checkpoint.h5")
    assert step == 3000
    names = list(arrays)
    assert any(n.startswith("/ema/0.99/") for n in names) and any(n.startswith("/optimizer/exp_avg_sq/") for n in names)
    assert [n for n in names if arrays[n] != reference["checkpoint" + n]] == []
    with h5py.File(lab.h5()) as f:
        assert ("evaluate" in f["metrics"]) == ("train.evaluate_every=0" not in settings)
    mine = outcome(lab)
    assert mine["run.h5 x"] == reference["run.h5 x"]


def test_reporting_changed_afterwards_starts_nothing(tmp_path, whole):
    lab = whole.copy(tmp_path / "lab")
    before = lab.stage_files()
    for settings in REPORTING:
        lab.run(*[a for s in settings for a in ("-s", s)])
        assert lab.stage_files() == before


def test_reporting_changed_in_the_middle_changes_no_bit(tmp_path, whole, reference):
    lab = Lab(tmp_path / "lab")
    live = lab.start()
    host = live.host()
    journal = lab.results / whole.stages()["train"].relative_to(whole.results) / "journal.jsonl"
    until(lambda: live.ended() or len(rows(journal, "train")) >= 100, what="rows")
    live.kill("both", host)
    lab.run("-s", "train.log_every=25", "-s", "train.evaluate_every=0", "-s", "train.preview_every=0", "-s", "train.checkpoint_every=211")
    step, arrays = checkpoint(lab.stages()["train"] / "checkpoint.h5")
    assert [n for n, v in arrays.items() if v != reference["checkpoint" + n]] == []


def test_another_average_asked_for_later_keeps_the_first(tmp_path, whole, reference):
    """sample.ema is no part of training's key; the training that is made again for it has the same parameters, and keeps what it had."""
    lab = whole.copy(tmp_path / "lab")
    lab.run("-s", "sample.ema=0.9")
    with h5py.File(lab.stages()["train"] / "checkpoint.h5") as f:
        rates = set(f["ema"])
        for name in f["parameters"]:
            assert (str(f["parameters"][name].dtype), f["parameters"][name].shape, f["parameters"][name][()].tobytes()) == reference["checkpoint/parameters/" + name]
    assert "0.9" in rates
    assert rates == {"0.9", "0.99"}, "going back to the first average would train a third time"


def test_a_run_that_does_nothing_leaves_the_provenance_of_what_was_done(tmp_path, whole):
    lab = whole.copy(tmp_path / "lab")
    with h5py.File(lab.h5()) as f:
        then = {k: v for k, v in f["provenance"].attrs.items() if k in ("launched", "command")}
    lab.run("-s", "train.log_every=20")
    with h5py.File(lab.h5()) as f:
        assert {k: v for k, v in f["provenance"].attrs.items() if k in ("launched", "command")} == then
