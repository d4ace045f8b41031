"""[models.NAME]: trained once, with seed 0, before the stages that name it. The guide `follow` says what such a model says."""
import json

import h5py
import numpy as np
import pytest

from comparing import STAND_INS, TRAINED, WITH_STAND_INS

pytestmark = pytest.mark.skipif(not (STAND_INS / "follow.so").exists(), reason=f"no follow.so in {STAND_INS}: ninja tests builds it")
TEACHER = """\
[models.teacher]
network   = { plugin = "mlp", width = 12, depth = 1 }
objective = "denoising-score-matching"
train     = { steps = 30, batch = 8 }
"""
GUIDED = WITH_STAND_INS + TRAINED + 'guides = { f = { plugin = "follow", teacher = "teacher" } }\nseeds = 2\n' + TEACHER


def samples(folder):
    with h5py.File(folder / "run.h5") as f:
        return f["samples/x"][:]


def test_it_is_trained_once_for_all_seeds_and_cells(lab):
    p = lab.plan(GUIDED + '[sweep.S]\nkey = "sampler.steps"\nvalues = [2, 3]\n')
    assert p.cells == 2
    assert p.count("train") == 2 + 1 and p.count("sample") == 4
    of_model = [s for s in p.stages if s["label"] == "train teacher s0"]
    assert len(of_model) == 1
    assert all(of_model[0]["key"] in s["after"] for s in p.stages if s["kind"] == "sample")


def test_what_follows_a_model_samples_what_it_would(lab):
    """The guide hands on the teacher's answer: samples are those of the teacher trained by itself, to the bit."""
    lab.run(GUIDED)
    alone = TRAINED.replace('width = 8', 'width = 12').replace("steps = 20", "steps = 30").replace('"trained"', '"alone"')
    lab.run(alone, file="alone.toml")
    np.testing.assert_array_equal(samples(lab.results / "trained/s0"), samples(lab.results / "alone"))
    assert not np.array_equal(samples(lab.results / "trained/s1"), samples(lab.results / "alone"))
    # and the training of the model is the one that the other manifest asks for
    assert [s["done"] for s in lab.plan(file="alone.toml").stages] == [True] * 3


def test_its_weights_are_chosen(lab):
    lab.run(GUIDED)
    lab.run(GUIDED + "ema = 0\n", "-s", 'name="raw"')
    assert not np.array_equal(samples(lab.results / "trained/s0"), samples(lab.results / "raw/s0"))


def test_its_name_changes_nothing_and_its_settings_do(lab):
    lab.run(GUIDED)
    renamed = GUIDED.replace("models.teacher", "models.master").replace('teacher = "teacher"', 'teacher = "master"')
    assert all(s["done"] for s in lab.plan(renamed).stages)
    p = lab.plan(GUIDED.replace("width = 12", "width = 13"))
    todo = sorted(s["kind"] for s in p.stages if not s["done"])
    assert todo == ["evaluate"] * 2 + ["sample"] * 2 + ["train"]  # the students' trainings stay


def test_it_starts_from_the_cell(lab):
    """Its dataset, scheduler and run are those of the cell that names it."""
    p = lab.plan(GUIDED + '[sweep.d]\nkey = "dataset.std"\nvalues = [[0.5], [0.7]]\n')
    assert sum(s["label"].startswith("train teacher") for s in p.stages) == 2
    p = lab.plan(GUIDED + '[sweep.w]\nkey = "models.teacher.train.steps"\nvalues = [30, 40]\n')
    assert sum(s["label"].startswith("train teacher") for s in p.stages) == 2 and p.count("train") == 4


def test_a_model_may_be_exact(lab):
    exact = GUIDED[: GUIDED.index("[models")] + '[models.teacher]\nnetwork = "exact-gaussian"\n'
    p = lab.plan(exact)
    assert p.count("train") == 2
    lab.run(exact)
    alone = WITH_STAND_INS + TRAINED.replace('{ plugin = "mlp", width = 8, depth = 1 }', '"exact-gaussian"').replace('objective = "denoising-score-matching"\n', "").replace("train     = { steps = 20, batch = 8 }\n", "").replace('"trained"', '"alone"')
    lab.run(alone, file="alone.toml")
    np.testing.assert_allclose(samples(lab.results / "trained/s0"), samples(lab.results / "alone"), rtol=0, atol=1e-5)  # eps of a score: float32


CLASSES = WITH_STAND_INS + """\
name      = "classes"
dataset   = { plugin = "gaussian-mixture", modes = 3, separation = 8.0, std = [0.2] }
scheduler = "vp"
network   = "exact-gaussian-mixture"
guides    = { f = { plugin = "follow", teacher = "teacher" } }
sampler   = { plugin = "pf-ode", steps = 20 }
sample    = { count = 24, condition = LABELS }
metrics   = ["moments"]
run       = { device = "cpu", threads = 1, chunk = 16 }
[models.teacher]
network   = { plugin = "exact-gaussian-mixture", labels = true }
"""


def test_it_is_told_what_the_samples_are_told(lab):
    """The experiment's own network knows no classes; its guide's does: samples of class k lie about the mode k."""
    means = []
    for k in range(3):
        lab.run(CLASSES.replace("LABELS", str(k)).replace('"classes"', f'"class{k}"'))
        x = samples(lab.results / f"class{k}")
        assert x.std(0).max() < 1, "they are of one mode"
        means.append(x.mean(0))
    assert min(np.abs(a - b).max() for i, a in enumerate(means) for b in means[:i]) > 4
    lab.run(CLASSES.replace("LABELS", '"balanced"'))
    x = samples(lab.results / "classes")
    for k in range(3):  # also in a last chunk that is padded
        assert np.abs(x[k::3].mean(0) - means[k]).max() < 1


def test_it_is_frozen_while_another_learns_from_it(lab):
    """The objective `distil` refuses a teacher whose answer has a graph. The teacher's labels are the student's."""
    student = WITH_STAND_INS + TRAINED.replace('"denoising-score-matching"', '{ plugin = "distil", teacher = "teacher" }') + TEACHER
    lab.run(student)
    labelled = student.replace('{ plugin = "gaussian", dim = 2, std = [0.5] }', '{ plugin = "gaussian-mixture", modes = 3 }').replace(
        "network   = {", "network   = { classes = 3,")
    lab.run(labelled.replace('"trained"', '"labelled"'))


def test_a_training_may_be_a_student_s_and_a_model_s(lab):
    """The teacher is what the student is with seed 0: one training, which each replicate calls what it is there."""
    same = GUIDED.replace("width = 12", "width = 8").replace("steps = 30", "steps = 20")
    p = lab.plan(same)
    assert p.count("train") == 2 and [set(r["models"]) for r in p.replicates] == [set(), {"teacher"}]
    lab.run(same)
    said = [[(s["kind"], s["what"]) for s in r["stages"]] for r in json.loads((lab.results / "trained/experiment.json").read_text())["replicates"]]
    assert said[0][0] == ("train", "train") and said[1][:2] == [("train", "train"), ("model", "train teacher")]
    assert lab.values("train.steps", "trained", "--metric", "train.steps") == {"": [20, 20]}
    with h5py.File(lab.results / "trained/s1/run.h5") as f:
        assert {"train", "models.teacher.train"} <= set(f["metrics"])
    with h5py.File(lab.results / "trained/s0/run.h5") as f:
        assert "train" in f["metrics"] and "models.teacher.train" not in f["metrics"]
    # the model first, then the student whose training it is
    lab.run(same.replace("seeds = 2", "seeds = [1, 0]"), "--results", "turned")
    turned = [[(s["kind"], s["what"]) for s in r["stages"]] for r in json.loads((lab.folder / "turned/trained/experiment.json").read_text())["replicates"]]
    assert turned == said[::-1]


def test_only_what_is_named_is_trained(lab):
    two = GUIDED + "[variants]\nguided = {}\nfree = { guides = { f = { teacher = \"none\" } } }\n"
    done = lab.wrong(two)
    assert "`teacher` must name a model" in done  # the guide's own check
    p = lab.plan(TRAINED.replace('name      = "trained"', WITH_STAND_INS + 'name = "trained"') + TEACHER.replace("models.teacher", "models.t")
                 + '[variants]\nplain = {}\nguided = { guides = { f = { plugin = "follow", teacher = "t" } } }\n')
    plain = [r for r in p.replicates if r["at"] == {"variant": "plain"}][0]
    keys = {s["key"]: s["label"] for s in p.stages}
    assert not any("train t" in keys[k] for k in plain["stages"])


def test_records(lab):
    lab.run(GUIDED)
    with h5py.File(lab.results / "trained/s0/run.h5") as f:
        assert f["config/flat"].attrs["models.teacher.network.width"] == 12
        assert f["config/flat"].attrs["guides.f.teacher"] == "teacher"
        assert "models.teacher.train" in f["metrics"] and len(f["metrics/train/loss"]) != 0
    stages = json.loads(lab.call("show", "trained", "--json").stdout)["runs"][0]["stages"]
    assert [s["kind"] for s in stages] == ["train", "model", "sample", "evaluate"]
    lab.run(None, file="m.toml")  # nothing is left
    # the costs of training are the student's
    table = json.loads(lab.call("compare", "trained", "--json").stdout)
    assert "failed" not in json.dumps(table)


def test_reproduce_from_the_file_alone(lab):
    lab.run(GUIDED)
    file = lab.results / "trained/s1/run.h5"
    done = lab.call("reproduce", file, "--results", "again", "--plugins", STAND_INS)
    assert done.returncode == 0 and "reproduced to the last bit" in done.stdout, done.stdout + done.stderr


def test_previews_have_the_guides_models(lab):
    lab.run(GUIDED.replace("batch = 8 }\nsampler", "batch = 8, preview_every = 10, preview_count = 4 }\nsampler"))


@pytest.mark.parametrize(
    "change, said",
    [
        (('teacher = "teacher"', 'teacher = "taecher"'), "there is no model `taecher`\n"),
        (('teacher = "teacher"', "teacher = 3"), "`teacher` is an integer"),
        (('network   = { plugin = "mlp", width = 12, depth = 1 }\n', ""), "model `teacher` names no network"),
        (("[models.teacher]", "[models.techer]"), "did you mean `techer`?"),
        ((TEACHER, ""), "a table [models.teacher] says how it is trained"),
    ],
)
def test_mistakes(lab, change, said):
    assert change[0] in GUIDED
    assert said in lab.wrong(GUIDED.replace(*change))
