"""What makes two results different: settings, labels and files are in the names and keys of what is stored."""
import json
import os
import struct

import h5py
import pytest
from comparing import EXACT, TRAINED

MINE = EXACT.replace('{ plugin = "gaussian", dim = 2, std = [0.5] }', '{ plugin = "idx", set = "mine" }').replace('"exact-gaussian"', '{ plugin = "mlp", width = 8, depth = 1 }')
MINE = MINE.replace('sampler   =', 'objective = "denoising-score-matching"\ntrain     = { steps = 4, batch = 8 }\nsampler   =')


def images(lab, seed, count=20, labels=True):
    folder = lab.folder / "data/mine"
    folder.mkdir(parents=True, exist_ok=True)
    values = bytes((seed * 7 + i * 31) % 256 for i in range(count * 16))
    (folder / "train-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, count, 4, 4) + values)
    if labels:
        (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + bytes(i % 10 for i in range(count)))


@pytest.fixture
def data(lab, monkeypatch):
    monkeypatch.setenv("SCORELAB_DATA", str(lab.folder / "data"))
    images(lab, 0)
    return lab


def test_an_override_has_a_name_of_its_own(lab):
    lab.run(EXACT)
    before = lab.made()
    lab.run(None, "-s", "sampler.steps=4")
    names = {r["experiment"] for r in json.loads(lab.call("ls", "--json").stdout)["runs"]}
    assert names == {"cmp", "cmp@sampler.steps=4"}
    assert "nothing to remove" in lab.call("gc", "-n").stdout
    assert before.items() <= lab.made().items()
    for name in names:
        assert lab.call("show", name).returncode == 0 and (lab.results / name / "run.h5").exists()


def test_what_changes_no_result_changes_no_name_and_a_given_name_is_kept(lab):
    lab.run(EXACT, "-s", "run.threads=1")
    lab.run(None, "-s", "sampler.steps=4", "-s", "name=other")
    assert {f.parent.name for f in lab.results.glob("*/experiment.json")} == {"cmp", "other"}


def test_the_order_of_overrides_does_not_matter_and_long_ones_are_cut(lab):
    lab.run(EXACT, "-s", "sampler.steps=4", "-s", "sample.count=8")
    lab.run(None, "-s", "sample.count=8", "-s", "sampler.steps=4")
    names = sorted(f.parent.name for f in lab.results.glob("*/experiment.json"))
    assert names == ["cmp@sample.count=8,sampler.steps=4"]


def test_an_axis_of_one_value_is_no_override(lab):
    lab.run(EXACT, "-s", "sampler.steps=4")
    lab.run(None, "-x", "sampler.steps=4")
    lab.run(None, "-s", "run.device:=cpu")
    names = {f.parent.name for f in lab.results.glob("*/experiment.json")}
    assert names == {"cmp@sampler.steps=4", "cmp@x:sampler.steps=4", "cmp"}


def test_the_order_counts_where_one_override_changes_a_part_of_another(lab):
    whole, part = 'sampler:={ plugin = "pf-ode", steps = 5 }', "sampler.steps=7"
    lab.run(EXACT, "-s", whole, "-s", part)
    lab.run(None, "-s", part, "-s", whole)
    assert len(list(lab.results.glob("*/experiment.json"))) == 2


def test_a_long_name_leaves_room_for_its_changes(lab):
    lab.run(EXACT.replace('"cmp"', '"' + "n" * 150 + '"'), "-s", "sampler.steps=4", "-s", "sample.count=8", "-s", "question=why", "-s", "metrics.moments.plugin=moments")
    (made,) = lab.results.glob("*/experiment.json")
    assert made.parent.name.startswith("n" * 150 + "@") and len(made.parent.name) <= 200


def test_several_manifests_are_reported_under_the_names_that_they_got(lab):
    lab.write(EXACT.replace('"cmp"', '"a"'), "a.toml"), lab.write(EXACT.replace('"cmp"', '"b"'), "b.toml")
    done = lab.call("run", "a.toml", "b.toml", "-s", "sample.count=8")
    assert "next: scorelab report a@sample.count=8 b@sample.count=8" in done.stdout, done.stdout + done.stderr


def noise(lab, shape, value=0.0):
    import numpy as np

    with h5py.File(lab.folder / "noise.h5", "w") as f:
        f["noise"] = np.full(shape, value, "f4")


NOISE = EXACT.replace("count = 16 }", 'count = 16, noise = "noise.h5" }')


def test_a_file_of_noise_that_was_refused_may_be_mended(lab):
    noise(lab, (40, 3, 2))
    assert "noise" in lab.run(NOISE, code=2).stderr
    noise(lab, (40, 16, 2))
    lab.run(None)


def test_noise_that_changes_after_the_plan_is_not_drawn_from(lab):
    """The spec is what a host gets: it holds the file's hash."""
    noise(lab, (40, 16, 2))
    stage = next(s for s in lab.plan(NOISE).stages if s["kind"] == "sample")
    lab.run(None)
    folder = lab.results / ".stages" / stage["key"][:24]
    assert list(json.loads((folder / "spec.json").read_text())["files"]) == [str(lab.folder / "noise.h5")]
    noise(lab, (40, 16, 2), 1.0)
    (folder / "stage.json").unlink()
    for chunk in (folder / "samples").iterdir():
        chunk.unlink()
    from comparing import PROGRAM
    import subprocess

    done = subprocess.run([PROGRAM.parent / "scorelab-host", "work", lab.results, "0", "1", "0"], input=stage["key"] + "\n\n", capture_output=True, text=True, timeout=120)
    assert "was changed since it was planned" in done.stdout, done.stdout + done.stderr


def test_two_axes_of_one_last_name_are_two_axes(lab):
    p = lab.plan(TRAINED, "-x", "sampler.steps=3,4", "-x", "train.steps=7,8")
    assert p.cells == 4 and len(p.own_trainings()) == 2
    assert p.places() == {f"steps={a} train.steps={b}" for a in (3, 4) for b in (7, 8)}


def test_a_range_needs_its_number_of_values(lab):
    wrong = lab.wrong(EXACT + '[sweep.S]\nkey = "sampler.steps"\nvalues = { from = 1, to = 2 }\n')
    assert "has no `n`" in wrong and "m.toml:11:10" in wrong


def test_a_table_is_replaced_whole(lab):
    text = EXACT.replace("steps = 3 }", 'steps = 3, solver = "rk4" }')
    stage = next(s for s in lab.plan(text, "-s", 'sampler:={ plugin = "pf-ode", steps = 5 }').stages if s["kind"] == "sample")
    lab.run(None, "-s", 'sampler:={ plugin = "pf-ode", steps = 5 }', "-s", "name=whole")
    spec = json.loads((lab.results / ".stages" / stage["key"][:24] / "spec.json").read_text())
    assert spec["sampler"]["params"]["solver"] != "rk4" and spec["sampler"]["params"]["steps"] == 5


def test_a_metric_under_another_label_is_measured_under_it(lab):
    lab.run(EXACT)
    lab.run(EXACT.replace('metrics   = ["moments"]', 'metrics   = { m2 = { plugin = "moments" } }')
            + '[claims.c]\nholds = "m2.covariance < 100"\ndecide = "value"\n')
    assert "m2.covariance" in lab.call("export", "cmp").stdout


def test_other_files_of_a_data_set_are_another_training(data):
    lab = data
    lab.run(MINE)
    assert lab.plan().to_do() == {}
    images(lab, 1)
    assert lab.plan().to_do() == {"train": 1, "sample": 1, "evaluate": 1}
    lab.run()
    with h5py.File(lab.results / "cmp/run.h5") as f:
        read = json.loads(f["provenance"].attrs["data"])
    assert {os.path.basename(p) for p in read} == {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"}


def test_the_same_files_in_another_folder_are_the_same_data(data, monkeypatch):
    lab = data
    lab.run(MINE)
    (lab.folder / "data").rename(lab.folder / "elsewhere")
    monkeypatch.setenv("SCORELAB_DATA", str(lab.folder / "elsewhere"))
    assert lab.plan().to_do() == {}


def test_missing_files_are_named_before_anything_starts(data, monkeypatch):
    lab = data
    (lab.folder / "data/mine/train-images-idx3-ubyte").unlink()
    wrong = lab.wrong(MINE)
    assert "reads `mine/train-images-idx3-ubyte`, which is not there" in wrong and "m.toml:2" in wrong and str(lab.folder / "data") in wrong


def test_reproduce_names_inputs_that_are_not_the_same(data):
    lab = data
    lab.run(MINE)
    assert lab.call("reproduce", lab.results / "cmp/run.h5", "-q", "--results", "same").returncode == 0
    images(lab, 2)
    done = lab.call("reproduce", lab.results / "cmp/run.h5", "-q", "--results", "other")
    assert done.returncode == 1 and "train-images-idx3-ubyte" in done.stdout and "not the same inputs" in done.stdout


def test_gc_moves_to_a_trash_that_is_emptied_when_told(lab):
    lab.run(EXACT)
    lab.run(EXACT.replace("steps = 3", "steps = 4"))
    moved = lab.call("gc")
    assert "--empty-trash" in moved.stdout and list((lab.results / ".trash").glob("*/*/stage.json"))
    assert len(lab.made()) == 2
    assert "freed" in lab.call("gc", "--empty-trash").stdout and not list((lab.results / ".trash").glob("*"))


def test_gc_follows_no_link_and_touches_no_other_name(lab):
    lab.run(EXACT)
    outside = lab.folder / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (lab.results / ".stages" / ("a" * 24)).symlink_to(outside)
    (lab.results / ".stages" / "notes").mkdir()
    assert "nothing to remove" in lab.call("gc").stdout
    assert (outside / "kept").exists() and (lab.results / ".stages/notes").exists()


def test_what_may_mislead_is_said_once_and_on_the_page(lab):
    few = EXACT.replace('"vp"', '{ plugin = "ddpm-linear", T = 3 }').replace('["moments"]', '["frechet"]').replace("count = 16", "count = 2")
    done = lab.run(few + "[variants]\na = { sampler = { steps = 2 } }\nb = { sampler = { steps = 3 } }\n")
    said = [line for line in done.stderr.splitlines() if line.startswith("warning:")]
    assert len(said) == 2 and "x_T still shows the data" in done.stderr and "it needs 3 samples at least" in done.stderr, done.stderr
    assert lab.call("report", "cmp").returncode == 0
    page = (lab.results / "cmp/report.html").read_text()
    assert page.count("x_T still shows the data") == 1 and page.count("it needs 3 samples at least") == 1


def test_a_density_of_grey_levels_is_warned_of(data):
    lab = data
    text = MINE.replace('["moments"]', '{ nll = { plugin = "nll-ode", solver = "euler", steps = 2, count = 2 } }')
    lab.write(text)
    assert "dequantise" in lab.call("check", "m.toml").stderr
    lab.write(text.replace('set = "mine"', 'set = "mine", dequantise = true'))
    assert "dequantise" not in lab.call("check", "m.toml").stderr


IMAGES = TRAINED.replace('{ plugin = "gaussian", dim = 2, std = [0.5] }', '"digits"').replace("steps = 20, batch = 8", "steps = 1, batch = 2").replace('metrics   = ["moments"]\n', "")
PRESET = IMAGES.replace('{ plugin = "mlp", width = 8, depth = 1 }', '{ plugin = "song-unet", preset = "edm-ncsnpp-cifar10", channels = 32, multipliers = [1], blocks = 1, attention = [8] }')


def test_a_preset_is_the_values_that_it_sets(lab):
    lab.run(PRESET)
    before = lab.made()
    spelled = 'embedding = "fourier", embedding_features = 2, encoder = "residual", filter = [1, 3, 3, 1], dropout = 0.13'
    lab.run(PRESET.replace('preset = "edm-ncsnpp-cifar10"', spelled))
    assert lab.made() == before
    assert lab.plan(PRESET.replace("edm-ncsnpp", "edm-ddpmpp")).to_do() == {"train": 1, "sample": 1}


def test_a_preset_stays_with_the_plugin_that_has_it(lab):
    lab.write(PRESET)
    done = lab.call("check", "m.toml", "-s", "network=ddpm-unet")
    assert done.returncode == 0, done.stderr
    assert 'left out: `preset` (network `ddpm-unet` has no preset "edm-ncsnpp-cifar10")' in done.stderr
    assert "cannot be" in lab.wrong(PRESET.replace("song-unet", "ddpm-unet"))
