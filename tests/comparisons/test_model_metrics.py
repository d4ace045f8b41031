"""Metrics of the model itself: what they measure (the network by PyTorch, the draws by NumPy), and where they stand in plans and tables."""
import re

import h5py
import numpy as np
import pytest
import torch
from mlp_torch import Mlp
from philox import Noise

from comparing import EXACTLY, MEASURED, STAND_INS, TRAINED, WITH_STAND_INS

torch.set_num_threads(1)
stand_ins = pytest.mark.skipif(not (STAND_INS / "asks.so").exists(), reason=f"no asks.so in {STAND_INS}: ninja tests builds it")
MEAN, STD = np.array([1.0, -0.5]), np.array([0.5, 2.0])
DATA = '"score-error", against = "data"'


def process(t):
    """alpha and sigma of the VP SDE."""
    log_alpha = -0.25 * t**2 * 19.9 - 0.05 * t
    return np.exp(log_alpha), np.sqrt(-np.expm1(2 * log_alpha))


def law(x, alpha, sigma):
    """grad log p_t of the data in MEASURED."""
    return -(x - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2)


def marginal(score, times=5, seed=0, count=50):
    """The metric with its defaults, for `score(x, t, alpha, sigma)`: its value, and its array."""
    x0 = MEAN + STD * Noise(seed, "reference").stream("data").normal(count, 2)
    at, by_t, value = np.linspace(1e-3, 1, times) if times > 1 else np.array([1e-3]), [], 0
    for i, t in enumerate(at):
        alpha, sigma = process(t)
        x = alpha * x0 + sigma * Noise(seed, "metric").stream("eps", i).normal(count, 2)
        by_t.append(np.mean((score(x, t, alpha, sigma) - law(x, alpha, sigma)) ** 2))
        value += sigma**2 * by_t[-1] / times
    return value, at, by_t


def fisher(score, seed=0, count=50):
    """Against the clean data's score, at t_min."""
    x0 = MEAN + STD * Noise(seed, "reference").stream("data").normal(count, 2)
    return 0.5 * np.mean(np.sum((score(x0, 1e-3, *process(1e-3)) - law(x0, 1, 0)) ** 2, 1))


def trained_score(lab, key, group, predict="eps"):
    """The score of a checkpoint's network, in PyTorch."""
    network = Mlp(2, width=8, depth=1, time_features=16).double()
    with h5py.File(lab.results / ".stages" / key[:24] / "checkpoint.h5") as f:
        network.load_state_dict({name: torch.from_numpy(value[()]) for name, value in f[group].items()})

    def score(x, t, alpha, sigma):
        with torch.no_grad():
            out = network(torch.from_numpy(x), torch.full((len(x),), 999 * t, dtype=torch.float64)).numpy()
        return out if predict == "score" else -out / sigma if predict == "eps" else (alpha * out - x) / sigma**2
    return score


def values(lab, what="evaluate se", name="model"):
    """Its value in each run."""
    return [run[what]["values"][0]["value"] for run in lab.shown(name)]


# --- what it measures

@pytest.mark.parametrize("against", ["marginal", "data"])
@pytest.mark.parametrize("predict", ["eps", "x0", "score"])
def test_a_trained_network_has_the_error_that_pytorch_and_numpy_find(lab, predict, against):
    lab.run(MEASURED.replace('"score-error"', f'"score-error", against = "{against}"').replace(", times = 5" if against == "data" else "none", "")
            + f'output = {{ predict = "{predict}" }}\nseeds = 2\n')
    trainings = {s["label"]: s["key"] for s in lab.plan().stages if s["kind"] == "train"}
    for seed, run in enumerate(lab.shown("model")):
        score = trained_score(lab, trainings[f"train s{seed}"], "ema/0.9", predict)
        own = run["evaluate se"]
        if against == "data":
            assert own["values"][0]["value"] == pytest.approx(fisher(score, seed), rel=1e-9)
            continue
        value, at, by_t = marginal(score, seed=seed)
        assert own["values"][0]["value"] == pytest.approx(value, rel=1e-9)
        np.testing.assert_allclose(own["arrays"][0]["at"], at, rtol=1e-12)
        np.testing.assert_allclose(own["arrays"][0]["values"], by_t, rtol=1e-9)


def test_the_weights_themselves_and_each_average_are_different_networks(lab):
    lab.run(MEASURED + '[sweep.w]\nkey = "metrics.se.weights"\nvalues = [0.0, 0.5, 0.9]\n')
    p = lab.plan()
    assert p.counts() == (3, 1, 0, 3) and p.to_do() == {}
    key = next(s["key"] for s in p.stages if s["kind"] == "train")
    wanted = [marginal(trained_score(lab, key, group))[0] for group in ("parameters", "ema/0.5", "ema/0.9")]
    assert len(set(values(lab))) == 3 and values(lab) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("dtype, bound", [("float64", 1e-10), ("float32", 1e-6)])
@pytest.mark.parametrize("data, network", [("gaussian", "exact-gaussian"), ("gaussian-mixture", "exact-gaussian-mixture")])
def test_an_exact_network_errs_by_rounding_alone(lab, data, network, dtype, bound):
    text = EXACTLY.replace('"exact-gaussian"', f'"{network}"').replace("float64", dtype)
    lab.run(text if data == "gaussian" else text.replace('"gaussian", dim = 2, mean = [1.0, -0.5], std = [0.5, 2.0]', '"gaussian-mixture", modes = 3'))
    (value,), array = values(lab), lab.shown("model")[0]["evaluate se"]["arrays"][0]
    assert 0 <= value < bound
    sigma = process(np.array(array["at"]))[1]
    assert all(sigma**2 * array["values"] < bound)


def test_an_exact_network_against_the_data_errs_by_the_noise_at_t_min(lab):
    """In closed form: it says the score of N(mean, std^2 + sigma^2) at points of N(mean, std^2)."""
    text = EXACTLY.replace('"score-error"', DATA).replace(", times = 5", "")
    lab.run(text)
    assert values(lab) == pytest.approx([fisher(lambda x, t, alpha, sigma: law(x, alpha, sigma))], rel=1e-9)
    lab.run(text.replace('"vp"', '{ plugin = "one-level", sigma = 0.7 }'), "-s", 'name="level"')
    off = Noise(0, "reference").stream("data").normal(50, 2) * STD
    assert values(lab, name="level") == pytest.approx([0.5 * np.mean(np.sum((off / STD**2 - off / (STD**2 + 0.49)) ** 2, 1))], rel=1e-9)
    lab.run(text.replace('"vp"', '{ plugin = "one-level", sigma = 0.0 }'), "-s", 'name="clean"')
    assert values(lab, name="clean") == pytest.approx([0], abs=1e-20)


@stand_ins
def test_a_network_that_says_nothing_errs_by_the_whole_score(lab):
    text = WITH_STAND_INS + EXACTLY.replace('"exact-gaussian"', '"says-nothing"')
    lab.run(text)
    value, at, by_t = marginal(lambda x, t, alpha, sigma: 0 * x)
    assert values(lab) == pytest.approx([value], rel=1e-9)
    np.testing.assert_allclose(lab.shown("model")[0]["evaluate se"]["arrays"][0]["values"], by_t, rtol=1e-9)
    lab.run(text.replace('"score-error"', DATA).replace(", times = 5", ""), "-s", 'name="data"')
    assert values(lab, name="data") == pytest.approx([fisher(lambda x, t, alpha, sigma: 0 * x)], rel=1e-9)


@stand_ins
@pytest.mark.parametrize("against", ["marginal", "data"])
def test_scores_are_those_of_the_model_s_units(lab, against):
    """Data N(1, 0.5^2), seen as 2 y + 3: the model's law is N(5, 1)."""
    text = WITH_STAND_INS + EXACTLY.replace('{ plugin = "gaussian", dim = 2, mean = [1.0, -0.5], std = [0.5, 2.0] }', '"scaled-gaussian"').replace(
        '"score-error"', f'"score-error", against = "{against}"').replace(", times = 5" if against == "data" else "none", "")
    lab.run(text)
    z, (alpha, sigma) = Noise(0, "reference").stream("data").normal(50, 2), process(1e-3)
    own = -(5 + z - 5 * alpha) / (alpha**2 + sigma**2)
    assert values(lab) == pytest.approx([0 if against == "marginal" else 0.5 * np.mean(np.sum((own + z) ** 2, 1))], rel=1e-9, abs=1e-10)
    if against == "data":
        lab.run(text.replace('"exact-gaussian"', '"says-nothing"'), "-s", 'name="nothing"')
        assert values(lab, name="nothing") == pytest.approx([0.5 * np.mean(np.sum(z**2, 1))], rel=1e-9)


def test_fewer_levels_than_times_are_each_measured_once(lab):
    lab.run(EXACTLY.replace('"vp"', '{ plugin = "ddpm-linear", T = 4 }').replace("times = 5", "times = 9"))
    own = lab.shown("model")[0]["evaluate se"]
    assert own["arrays"][0]["at"] == [0.25, 0.5, 0.75, 1] and own["nfe"] == 4
    lab.run(EXACTLY.replace('"vp"', '{ plugin = "ddpm-linear", T = 10 }'), "-s", 'name="more"')
    assert lab.shown("more")[0]["evaluate se"]["arrays"][0]["at"] == [0.1, 0.3, 0.6, 0.8, 1]  # the nearest levels, halves upwards


# --- plans

def test_nothing_is_sampled(lab):
    p = lab.plan(MEASURED + "seeds = 3\n")
    assert p.counts() == (1, 3, 0, 3)
    assert all(len(s["after"]) == 1 for s in p.stages if s["kind"] == "evaluate")
    p = lab.plan(EXACTLY + "seeds = 3\n")
    assert p.counts() == (1, 0, 0, 3)
    lab.run()
    assert not list(lab.results.glob(".stages/*/samples")) and lab.plan().to_do() == {}


def test_each_sampling_seed_has_draws_of_its_own_of_one_training(lab):
    p = lab.plan(MEASURED + "seeds = { train = [4], sample = [1, 2] }\n")
    assert p.counts() == (1, 1, 0, 2)
    lab.run()
    score = trained_score(lab, next(s["key"] for s in p.stages if s["kind"] == "train"), "ema/0.9")
    assert values(lab) == pytest.approx([marginal(score, seed=s)[0] for s in (1, 2)], rel=1e-9)


SAMPLED = MEASURED.replace("metrics   = { ", 'sampler   = { plugin = "pf-ode", steps = 3 }\nsample    = { count = 16, ema = 0.99 }\nmetrics   = { moments = "moments", ')
ALONE = SAMPLED.replace(', se = { plugin = "score-error", weights = 0.9, count = 50, times = 5 }', "")


@pytest.mark.parametrize("kept", ["0.99", "0"])
def test_one_more_trains_nothing_again(lab, kept):
    lab.run(ALONE)
    before = lab.made()
    more = SAMPLED.replace("weights = 0.9,", f"weights = {kept},")
    assert lab.plan(more).to_do() == {"evaluate": 1}
    lab.run()
    assert before.items() <= lab.made().items() and len(lab.made()) == len(before) + 1


def test_an_average_that_was_not_kept_is_trained_again_and_the_plan_says_so(lab):
    lab.run(ALONE)
    before = lab.made()
    p = lab.plan(SAMPLED)
    assert p.to_do() == {"train": 1, "evaluate": 1} and p.reasons("train") == {"the average 0.9 was not kept"}
    assert "the average 0.9 was not kept" in lab.call("plan", "m.toml").stdout
    lab.run()
    made = lab.made()
    training = next(s["key"] for s in p.stages if s["kind"] == "train")
    assert [k for k in before if made[k] != before[k]] == [training[:24]], "the training alone was made again"
    assert sorted(lab.shown("model")[0]["train"]["ema"]) == [0.9, 0.99]
    assert values(lab) == pytest.approx([marginal(trained_score(lab, training, "ema/0.9"))[0]], rel=1e-9)
    assert lab.plan(ALONE).to_do() == {} and lab.plan(SAMPLED).to_do() == {}
    again = lab.values("se", "model")
    lab.run(SAMPLED, "--results", "at-once")
    assert again == lab.values("se", "model", "--results", "at-once"), "trained with both averages from the start"


def test_it_stands_beside_metrics_of_samples(lab):
    lab.run(SAMPLED + "seeds = 2\n")
    assert lab.plan().counts() == (1, 2, 2, 4)
    both = lab.shown("model")
    lab.run(ALONE.replace('"model"', '"sampled"') + "seeds = 2\n")
    lab.run(MEASURED.replace('"model"', '"measured"') + "seeds = 2\n")
    for run, sampled, measured in zip(both, lab.shown("sampled"), lab.shown("measured")):
        assert run["evaluate moments"] == sampled["evaluate moments"] and run["evaluate se"] == measured["evaluate se"]
    assert {q["quantity"] for q in lab.compared("model")["tables"]} == {"moments.mean", "moments.std", "moments.covariance", "se"}
    with h5py.File(lab.results / "model/s1/run.h5") as f:
        assert set(f["metrics/metrics"]) - {"step", "wall"} == {"moments.mean", "moments.std", "moments.covariance", "se"}
        assert f["metrics/metrics/se"][()] == [both[1]["evaluate se"]["values"][0]["value"]]
        assert f["metrics/metrics/se"].attrs["goal"] == "min"


def test_guides_and_samplers_play_no_part(lab):
    lab.run(SAMPLED)
    other = SAMPLED.replace("steps = 3 }", "steps = 4 }") + 'guides = { clip = { plugin = "clip", low = -0.1, high = 0.1 } }\n'
    assert lab.plan(other).to_do() == {"sample": 1, "evaluate": 1}


@pytest.mark.parametrize("change, to_do", [
    (("count = 50", "count = 51"), {"evaluate": 1}), (("times = 5", "times = 6"), {"evaluate": 1}), (("threads = 1", 'threads = "auto"'), {}),
    (("chunk = 16", "chunk = 17"), {"evaluate": 1}), (("steps = 20", "steps = 21"), {"train": 1, "evaluate": 1}), (("se = {", "other = {"), {}),
    (("count = 50", 'count = 50, against = "marginal"'), {})])
def test_what_makes_another_stage(lab, change, to_do):
    lab.run(MEASURED)
    assert lab.plan(MEASURED.replace(*change)).to_do() == to_do


# --- searches

SEARCH = """seeds = 2
[sweep.lr]
key    = "train.lr"
values = [1e-6, 1e-1, 1e-3]
best   = { metric = "se", seeds = [100, 101] }
"""


def test_a_search_by_it_samples_nothing(lab):
    """Candidates are trained and measured; the chosen one is trained and measured on the reported seeds."""
    p = lab.plan(MEASURED + SEARCH)
    assert p.counts() == (1, 6, 0, 6) and p.pending == {"train": 2, "evaluate": 2}
    lab.run()
    p = lab.plan()
    assert p.to_do() == {} and p.pending == {} and p.counts() == (1, 8, 0, 8)
    lab.run(MEASURED.replace('"model"', '"all"') + SEARCH.replace("seeds = 2", "seeds = [100, 101]", 1).split("best")[0])
    every = {place: sum(v) / 2 for place, v in lab.values("se", "all").items()}
    assert p.searches[0]["chosen"] == min(every, key=every.get)
    (row,) = lab.compared("model")["tables"][0]["rows"]
    assert f"{p.searches[0]['chosen']}: best of 3 by se, on other seeds" in row["notes"]


def test_a_search_by_it_samples_no_candidate(lab):
    """The reported cell has a sampler too: only what is chosen is sampled."""
    p = lab.plan(SAMPLED + SEARCH)
    assert p.counts() == (1, 6, 0, 6) and p.pending == {"train": 2, "sample": 2, "evaluate": 4}
    lab.run()
    assert lab.plan().counts() == (1, 8, 2, 6 + 4)
    assert lab.plan().to_do() == {}


def test_a_search_by_samples_with_one_training_waits_for_no_training(lab):
    """What the candidates share is planned already."""
    p = lab.plan(SAMPLED.replace("seeds = 2", "") + """seeds = { train = [7], sample = 3 }
[sweep.S]
key    = "sampler.steps"
values = [2, 3]
best   = { metric = "moments.mean", seeds = [100] }
""")
    assert p.counts() == (1, 1, 2, 2) and p.pending == {"sample": 3, "evaluate": 6}


# --- costs

def test_costs_are_quantities(lab):
    text = MEASURED + """seeds = 2
[sweep.n]
key    = "metrics.se.times"
values = [2, 5]
[compare]
cost = ["se.nfe", "se.seconds"]
[claims]
cost = { holds = "se.nfe = n", decide = "every-seed" }
time = { holds = "se.seconds > 0", decide = "every-seed" }
more = { holds = "se.nfe[n=2] < se.nfe[n=5]", decide = "value" }
[figures.cost]
kind = "line"
x    = "se.nfe"
y    = "se"
"""
    done = lab.run(text)
    assert len(re.findall(r"^claim \w+ +pass", done.stdout, re.M)) == 3, done.stdout
    table = next(t for t in lab.compared("model")["tables"] if t["quantity"] == "se")
    assert [r["costs"]["se.nfe"] for r in table["rows"]] == [2, 5]
    assert all(0 < r["costs"]["se.seconds"] < 60 for r in table["rows"])
    assert "se.nfe" in lab.call("compare", "model").stdout and "se.seconds" in lab.call("compare", "model").stdout
    figures, said = lab.drawn("model")
    (series,) = figures["cost"].panels[""]
    assert said == "" and [row[0] for row in series] == [2, 5]
    assert [row[1] for row in series] == pytest.approx([r["mean"] for r in table["rows"]], rel=1e-6)
    with h5py.File(lab.results / "model/comparison.h5") as f:
        assert f["se.nfe/values"][()].tolist() == [[2, 2], [5, 5]] and f["se.vjps/mean"][()].tolist() == [0, 0]
    assert {"se.nfe", "se.seconds"} <= {line.split(",")[0] for line in (lab.results / "model/comparison.csv").read_text().splitlines()}


def test_a_line_against_a_cost_runs_along_an_axis_of_numbers(lab):
    lab.run(MEASURED + """[variants]
few  = {}
many = { metrics = { se = { count = 60 } } }
[sweep.against]
key    = "metrics.se.weights"
values = { raw = 0.0, mean = 0.9 }
[sweep.n]
key    = "metrics.se.times"
values = [7, 2, 5]
[figures.cost]
kind = "line"
x    = "se.nfe"
y    = "se"
panels = ["against"]
""")
    figures, said = lab.drawn("model")
    assert said == "" and list(figures["cost"].panels) == ["against=raw", "against=mean"]
    for panel in figures["cost"].panels.values():
        assert [[row[0] for row in series] for series in panel] == [[2, 5, 7]] * 2
    assert "title 'few'" in figures["cost"].script and "title 'many'" in figures["cost"].script


def test_a_claim_may_fail_by_a_cost(lab):
    lab.run(MEASURED + '[claims]\nc = { holds = "se.nfe < 5", decide = "value" }\n', code=1)


@stand_ins
def test_a_data_set_may_have_fewer_points_than_are_asked_for(lab):
    """1,797 digits: a cost is that of a point, of those there are."""
    lab.run(WITH_STAND_INS + """name = "asked"
dataset = "digits"
scheduler = "vp"
network = "says-nothing"
metrics = { asks = { plugin = "asks", count = 5000, times = 3 } }
run = { device = "cpu", threads = 1, chunk = 500 }
""")
    own = lab.shown("asked")[0]["evaluate asks"]
    assert {v["name"]: v["value"] for v in own["values"]}["asks.points"] == 1797 and own["nfe"] == 3


@stand_ins
def test_a_part_with_the_name_of_a_cost_is_the_metric_s_own(lab):
    lab.run(WITH_STAND_INS + EXACTLY.replace('se = { plugin = "score-error", count = 50, times = 5 }', 'asks = "asks"') + "seeds = 2\n")
    assert lab.values("asks.seconds", "model") == {"": [-1, -1]}
    assert lab.call("report", "model").returncode == 0
    with h5py.File(lab.results / "model/comparison.h5") as f:
        assert f["asks.seconds/mean"][()].tolist() == [-1] and f["asks.nfe/mean"][()].tolist() == [1]


# --- the same again

@pytest.mark.parametrize("text", [MEASURED, SAMPLED, EXACTLY], ids=["trained", "sampled too", "exact"])
def test_reproduce(lab, text):
    lab.run(text + "seeds = [3]\n")
    done = lab.call("reproduce", lab.results / "model/run.h5", "--results", "again")
    assert done.returncode == 0 and "reproduced to the last bit" in done.stdout, done.stdout + done.stderr
    assert "se " in done.stdout


def test_summary_and_show_say_it(lab):
    done = lab.run(MEASURED)
    assert "evaluate se" in done.stdout and "se.by-t: 5 values along t" in done.stdout
    assert "se.by-t: 5 values along t" in lab.call("show", "model").stdout


def test_a_report_without_figures_of_its_own(lab):
    lab.run(MEASURED + "[variants]\na = {}\nb = { train = { steps = 10 } }\n")
    figures, said = lab.drawn("model")
    assert said == "" and set(figures) == {"se", "training"}


@pytest.mark.parametrize("kind", ["score", 'samples", with = ["data"], says = "'])
def test_a_figure_of_samples_is_refused_where_there_are_none(lab, kind):
    lab.run(MEASURED + f'[figures]\nf = {{ kind = "{kind}" }}\n')
    figures, said = lab.drawn("model")
    assert not figures and "figure f: " in said and "sampl" in said, said
    assert "figure f" in said and "sampl" in (lab.results / "model/report.html").read_text()


def test_what_a_training_says_of_its_losses(lab):
    lab.run(TRAINED.replace("batch = 8", "batch = 8, log_every = 1").replace("steps = 20", "steps = 40"), "-s", "train.checkpoint_every=37", "-s", "name=trained")
    with h5py.File(lab.results / "trained/run.h5") as f:
        losses = f["metrics/train/loss"][()]
    assert len(losses) == 40
    expected = {"train.first_loss": losses[0], "train.loss": losses[-4:].mean(), "train.loss_spread": losses[-4:].std(ddof=1)}
    for name, value in expected.items():
        (measured,), = lab.values(name, "trained", "--metric", name).values()
        assert measured == pytest.approx(value, rel=1e-9), name
