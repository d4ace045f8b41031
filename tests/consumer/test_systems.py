"""Parts of a kind that is nowhere in scorelab's tree, as strangers build them: a condition of tokens, an objective with a network of its own, a loss
of a whole batch, a moving average to learn from, and a teacher's teacher."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import h5py
import numpy as np
import pytest

HERE = pathlib.Path(__file__).resolve().parent
PLUGINS = ["token-sums", "bag-of-tokens", "shadow", "contrast", "mean-teacher", "distil"]


class Systems:
    def __init__(self, prefix, plugins, folder):
        self.program, self.plugins, self.folder, self.results = prefix / "bin/scorelab", plugins, folder, folder / "results"

    def manifest(self, name, text):
        file = self.folder / f"{name}.toml"
        file.write_text(f'name = "{name}"\nplugins = ["{self.plugins}"]\nrun = {{ device = "cpu", threads = 1, chunk = 64 }}\n' + text)
        return file

    def call(self, *arguments):
        environment = dict(os.environ, SCORELAB_CACHE=str(self.folder / "cache"), XDG_CONFIG_HOME=str(self.folder / "config"), NO_COLOR="1",
                           OMP_NUM_THREADS="1")
        return subprocess.Popen([str(self.program), *map(str, arguments)], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def start(self, file, *arguments):
        return self.call("run", file, *arguments)

    def run(self, name, text, *arguments, code=0):
        process = self.start(self.manifest(name, text), "--results", str(self.results), *arguments)
        said = process.communicate(timeout=300)[0]
        assert process.returncode == code, said[-3000:]
        return said

    def samples(self, name):
        with h5py.File(self.results / name / "run.h5") as f:
            return {key: f["samples"][key][()] for key in f["samples"]}

    def checkpoint(self, name):
        """The groups of the experiment's training, each as name -> array."""
        stages = json.loads((self.results / name / "experiment.json").read_text())["replicates"][0]["stages"]
        key = next(s["key"] for s in stages if s["kind"] == "train")
        out = {}
        with h5py.File(next((self.results / ".stages").glob(f"{key[:24]}*")) / "checkpoint.h5") as f:
            def visit(path, item):
                if isinstance(item, h5py.Dataset):
                    group, _, leaf = path.rpartition("/")
                    out.setdefault(group, {})[leaf] = item[()]
            f.visititems(visit)
        return out


@pytest.fixture(scope="module")
def plugins(together, tmp_path_factory):
    project = tmp_path_factory.mktemp("systems") / "source"
    shutil.copytree(HERE / "systems", project)
    shutil.copy(HERE.parent / "comparisons/stand_ins/distil.cpp", project)
    for plugin in PLUGINS:
        file = together.built(project, plugin)
    return file.parent


@pytest.fixture
def systems(prefix, plugins, tmp_path):
    return Systems(prefix, plugins, tmp_path)


TOKENS = """\
dataset   = "token-sums"
scheduler = "flow"
network   = { plugin = "bag-of-tokens", width = 64, depth = 2 }
output    = { predict = "velocity" }
objective = "flow-matching"
train     = { steps = 2500, batch = 128, lr = 3e-3, decay = 0.3, drop_condition = 0.2 }
sampler   = { plugin = "pf-ode", steps = 24 }
sample    = { count = 500, ema = 0.99 }
"""
STEPS = np.array([[1, 0], [0, 1], [-1, 0], [0, 0]])


def test_a_condition_of_tokens_and_a_vector(systems):
    systems.run("told", TOKENS)
    told = systems.samples("told")
    assert told["tokens"].shape == (500, 4) and told["tokens"].dtype == np.int64 and told["offset"].shape == (500, 2)
    assert set(told["tokens"].flatten()) == {-1, 0, 1, 2} and (told["tokens"][:, 0] >= 0).all()
    place = STEPS[np.where(told["tokens"] < 0, 3, told["tokens"])].sum(1) + told["offset"]
    off = told["x"] - place
    assert np.sqrt((off**2).mean()) < 0.3, "a sample lies where its sentence says: the spread there is 0.1, and 3 without it"
    systems.run("bare", TOKENS, "-s", 'sample.condition="none"', "-s", 'name="bare"')
    bare = systems.samples("bare")
    assert (bare["tokens"] == -1).all() and (bare["offset"] == -9).all(), "each condition has its network's null"
    assert 2 < bare["x"].std(0).min() and bare["x"].std(0).max() < 4, "without it samples are of all places"
    said = systems.run("class", TOKENS, "-s", "sample.condition=1", code=1)
    assert "sample.condition = 1 sets only the class `label`, not the condition" in said
    # what is told is the sample's own, whatever their number
    systems.run("more", TOKENS, "-s", "sample.count=600", "-s", 'name="more"')
    more = systems.samples("more")
    np.testing.assert_array_equal(more["x"][:500], told["x"])
    np.testing.assert_array_equal(more["tokens"][:500], told["tokens"])


def test_a_condition_that_the_data_lack(systems):
    said = systems.run("lacks", TOKENS.replace('"token-sums"', '{ plugin = "gaussian", dim = 2 }'), code=2)
    assert "bag-of-tokens" in said and "it takes the condition `offset`, and the data set gives none" in said


SHADOW = """\
dataset   = { plugin = "gaussian", dim = 2, std = [0.5] }
scheduler = "vp"
network   = { plugin = "mlp", width = 16, depth = 1 }
objective = { plugin = "shadow", shadow = { plugin = "mlp", width = 12, depth = 1 }, shadow_lr = 1e-3, shadow_updates = 1, weight = 1.0 }
train     = { steps = 1, batch = 32, lr = 1e-3, log_every = 1 }
sampler   = { plugin = "pf-ode", steps = 8 }
sample    = { count = 16, ema = 0 }
"""


def largest(a, b):
    return max(np.abs(a[name] - b[name]).max() for name in a)


def test_an_objective_s_own_network(systems):
    """Adam's first step moves a parameter by the learning rate, whatever its gradient: so many of these are made as the manifest says."""
    def shadow(name, *changes):
        text = SHADOW
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        systems.run(name, text)
        return systems.checkpoint(name)

    still = shadow("still", ("shadow_lr = 1e-3", "shadow_lr = 1e-12"))
    begun = still["objective/shadow/parameters"]
    assert begun["time.weight"].shape == (12, 64) and still["parameters"]["time.weight"].shape == (16, 64)
    one = shadow("one")
    assert abs(largest(one["objective/shadow/parameters"], begun) - 1e-3) < 1e-6
    three = shadow("three", ("shadow_updates = 1", "shadow_updates = 3"), ("lr = 1e-3, log", "lr = 2e-3, log"))
    assert 2.3e-3 < largest(three["objective/shadow/parameters"], begun) < 3.3e-3, "three updates"
    assert {"objective/shadow/optimizer/exp_avg", "objective/shadow/optimizer/exp_avg_sq"} <= set(three)
    # The model's loss, whose graph holds the other network, sends it no gradient.
    alone = shadow("alone", ("weight = 1.0", "weight = 0.0"))
    assert largest(one["objective/shadow/parameters"], alone["objective/shadow/parameters"]) == 0
    assert largest(one["parameters"], alone["parameters"]) > 1e-4
    with h5py.File(systems.results / "three/run.h5") as f:
        assert np.isfinite(f["metrics/train/loss_shadow"][()]).all() and f["metrics/train/loss_shadow"].shape == (1,)


def test_it_starts_from_a_model_s_weights(systems):
    teacher = ('[models.teacher]\nnetwork = { plugin = "mlp", width = 12, depth = 1 }\nobjective = "denoising-score-matching"\n'
               'train = { steps = 20, batch = 8 }\nema = 0.9\n')
    changed = SHADOW.replace("shadow_lr = 1e-3", 'shadow_lr = 1e-12, shadow_from = "teacher"')
    systems.run("from", changed + teacher)
    own = systems.checkpoint("from")["objective/shadow/parameters"]
    systems.run("teacher", changed.split("objective")[0].replace("width = 16", "width = 12") +
                'objective = "denoising-score-matching"\ntrain = { steps = 20, batch = 8 }\nsampler = "pf-ode"\nsample = { count = 4, ema = 0.9 }\n')
    assert largest(own, systems.checkpoint("teacher")["ema/0.9"]) < 1e-9


def test_what_it_learns_is_learnt_from_it(systems):
    long = SHADOW.replace("steps = 1,", "steps = 3000, decay = 0.5,").replace("count = 16", "count = 2000").replace("log_every = 1", "log_every = 100")
    long = long.replace("width = 16, depth = 1", "width = 32, depth = 2").replace("width = 12, depth = 1", "width = 32, depth = 2").replace("steps = 8", "steps = 16")
    systems.run("learnt", long.replace("lr = 1e-3, log", "lr = 3e-3, log").replace("shadow_lr = 1e-3", "shadow_lr = 3e-3"))
    x = systems.samples("learnt")["x"]
    assert np.abs(x.mean(0)).max() < 0.1 and np.abs(x.std(0) - 0.5).max() < 0.1, "the data's law: mean 0, standard deviation 0.5"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_stopped_training_goes_on_with_it(systems, how):
    """Also one that is asked to stop within a step, when the other network is updated already and the model is not."""
    long = SHADOW.replace("steps = 1,", "steps = 3000, checkpoint_every = 100,").replace("log_every = 1", "log_every = 500")
    systems.run("undisturbed", long)
    file = systems.manifest("killed", long)
    results = systems.folder / "other"
    process = systems.start(file, "--results", str(results))
    while process.poll() is None and not list((results / ".stages").glob("*/checkpoint.h5")):
        time.sleep(0.01)
    os.killpg(process.pid, how)
    process.communicate()
    systems.results = results
    systems.run("killed", long)
    events = [line for journal in (results / ".stages").glob("*/journal.jsonl") for line in journal.read_text().splitlines() if '"resume"' in line]
    killed = systems.checkpoint("killed")
    systems.results = systems.folder / "results"
    undisturbed = systems.checkpoint("undisturbed")
    assert events, "it was killed too late, or began again"
    for group in undisturbed:
        if group:
            assert largest(undisturbed[group], killed[group]) == 0, group


def test_its_network_takes_what_the_data_give(systems):
    classes = SHADOW.replace('{ plugin = "gaussian", dim = 2, std = [0.5] }', '{ plugin = "gaussian-mixture", modes = 4 }')
    said = systems.run("few", classes.replace("width = 12, depth = 1", "width = 12, depth = 1, classes = 2"), code=1)
    assert "objective `shadow`, its network `shadow`" in said and "it knows 2 classes of `label`, and the data set has 4" in said
    told = classes.replace("width = 12, depth = 1", "width = 12, depth = 1, classes = 4").replace("log_every = 1", "log_every = 1, drop_condition = 0.5")
    systems.run("told", told)  # dropping has an effect, on the objective's network alone
    said = systems.run("exact", SHADOW.replace('shadow = { plugin = "mlp", width = 12, depth = 1 }', 'shadow = "exact-gaussian"'), code=2)
    assert "an objective's own network learns" in said


@pytest.mark.parametrize("plugin", ["shadow", "contrast", "mean-teacher"])
def test_they_are_certified(systems, plugin):
    process = systems.call("certify", systems.plugins / f"{plugin}.so")
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said


CONTRAST = SHADOW[: SHADOW.index("objective")] + 'output = { predict = "x0" }\nobjective = "contrast"\n' + SHADOW[SHADOW.index("train "):]


def test_a_loss_of_the_whole_batch(systems):
    """Where all clean samples are one point, they cannot be told apart: the loss is log(batch), whatever the network says."""
    systems.run("one-point", CONTRAST.replace("std = [0.5]", "std = [0.0]"))
    with h5py.File(systems.results / "one-point/run.h5") as f:
        assert abs(f["metrics/train/loss"][0] - np.log(32)) < 1e-5
    systems.run("apart", CONTRAST.replace("std = [0.5]", "std = [3.0]").replace("steps = 1,", "steps = 500,").replace("lr = 1e-3", "lr = 3e-3").replace("log_every = 1", "log_every = 50"))
    with h5py.File(systems.results / "apart/run.h5") as f:
        loss = f["metrics/train/loss"][()]
    assert loss[-1] < 0.8 * loss[0], loss
    said = systems.run("parts", CONTRAST.replace("batch = 32", "batch = 32, accumulate = 2"), code=2)
    assert "`accumulate` does not go with objective `contrast`" in said
    said = systems.run("weighted", CONTRAST.replace('"contrast"', '{ plugin = "contrast", times = "importance" }'), code=1)
    assert 'times = "uniform"' in said


def test_a_moving_average_to_learn_from(systems):
    """After one step it is mu times the first weights and 1 - mu times the new ones."""
    def weights(mu, steps=1):
        name = f"mu{mu}-{steps}"
        systems.run(name, CONTRAST.replace('"contrast"', f'{{ plugin = "mean-teacher", mu = {mu} }}').replace("steps = 1,", f"steps = {steps},"))
        found = systems.checkpoint(name)
        return found["objective/average"], found["parameters"]

    first, after = weights(1.0)
    assert largest(first, after) > 5e-4
    half, now = weights(0.75)
    for name in half:
        np.testing.assert_allclose(half[name], 0.75 * first[name] + 0.25 * now[name], rtol=0, atol=1e-7)
    own, now = weights(0.0, 5)
    assert largest(own, now) == 0, "mu = 0: the weights themselves"
    same, _ = weights(1.0, 5)
    assert largest(same, first) == 0, "mu = 1: the first weights"


GRAPH = """\
dataset   = { plugin = "gaussian", dim = 2, std = [0.5] }
scheduler = "vp"
network   = { plugin = "mlp", width = 8, depth = 1 }
objective = { plugin = "distil", teacher = "second" }
train     = { steps = 30, batch = 8 }
sampler   = { plugin = "pf-ode", steps = 3 }
sample    = { count = 8 }
metrics   = ["moments"]
[models.second]
network   = { plugin = "mlp", width = 9, depth = 1 }
objective = { plugin = "distil", teacher = "first" }
train     = { steps = 30, batch = 8 }
[models.first]
network   = { plugin = "mlp", width = 10, depth = 1 }
objective = "denoising-score-matching"
train     = { steps = 30, batch = 8 }
"""


def test_a_teacher_s_teacher(systems):
    said = systems.run("graph", GRAPH.replace('teacher = "first" }', 'teacher = "first" }\nseed = 3'))
    order = [said.index(f"train {name}") for name in ("first", "second")]
    assert order == sorted(order), "each is trained after what it learns from"
    once = systems.samples("graph")["x"]
    process = systems.call("reproduce", systems.results / "graph/run.h5", "--plugins", systems.plugins)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0 and "reproduced to the last bit" in said, said
    # the first one's seed is a setting of the last one's training, two models away
    systems.run("seed", GRAPH.replace('teacher = "first" }', 'teacher = "first" }\nseed = 3') + "seed = 1\n", "-s", 'name="seed"')
    assert not np.array_equal(once, systems.samples("seed")["x"])
    said = systems.run("circle", GRAPH.replace('"denoising-score-matching"', '{ plugin = "distil", teacher = "second" }'), code=2)
    assert "the model `second` is to be trained before itself" in said and "second -> first -> second" in said
