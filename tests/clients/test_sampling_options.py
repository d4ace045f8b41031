"""Guides, starts, budgets, Brownian paths, exact moments and traces through the command line, against the papers' formulas in NumPy and
the noise written again in philox.py."""
import json
import math
import signal

import h5py
import numpy as np
import pytest
from lab import Lab, until, write_record
from philox import Noise

MEAN, STD = np.array([0.7, -1.2, 0.0]), np.array([0.5, 1.0, 2.0])
SEED, T = 3, 100
MANIFEST = """\
name      = "options"
seeds     = [3]
dataset   = { plugin = "gaussian", dim = 3, mean = [0.7, -1.2, 0.0], std = [0.5, 1.0, 2.0] }
scheduler = { plugin = "ddpm-linear", T = 100 }
network   = "exact-gaussian"
sampler   = { plugin = "ancestral" }
sample    = { count = 100 }
metrics   = ["moments"]
run       = { chunk = 32, precision = "float64" }
"""
VP = ("-s", "scheduler=vp")


def settings(*pairs):
    return [word for pair in pairs for word in ("-s", pair)]


def read(lab, name):
    with h5py.File(lab.h5()) as f:
        return f[name][()]


BETA = 1e-4 + (0.02 - 1e-4) * np.arange(T) / (T - 1)
ABAR = np.concatenate([[1], np.cumprod(1 - BETA)])


def predicted_x0(t, x):
    """E[x_0 | x_t] of the Gaussian data."""
    a = math.sqrt(ABAR[t])
    return MEAN + a * STD**2 / (ABAR[t] * STD**2 + 1 - ABAR[t]) * (x - a * MEAN)


def ancestral(x, noise, change=lambda x0: x0):
    """Ho et al. 2020, algorithm 2, variance beta; `change` of the predicted x0 comes before the posterior's mean."""
    path = [x]
    for t in range(T, 0, -1):
        z, beta, before = noise.normal(*x.shape), BETA[t - 1], ABAR[t - 1]
        x0 = change(predicted_x0(t, x))
        x = (math.sqrt(before) * beta * x0 + math.sqrt(1 - beta) * (1 - before) * x) / (1 - ABAR[t]) + (t > 1) * math.sqrt(beta) * z
        path.append(x)
    return np.stack(path)


def predictor():
    return Noise(SEED, "sample").stream("predictor")


class Replayed:
    def __init__(self, draws):
        self.draws = iter(draws)

    def normal(self, *shape):
        return next(self.draws)


def test_recorded_noise_is_replayed(tmp_path):
    """NumPy's normals: the first are the start, each later one a step's, in any chunks."""
    z = np.random.default_rng(5).standard_normal((T + 1, 100, 3))
    with h5py.File(tmp_path / "theirs.h5", "w") as f:
        f["noise"] = z
    lab = Lab(tmp_path, MANIFEST)
    lab.run(*settings('sample.noise="theirs.h5"'))
    np.testing.assert_allclose(read(lab, "samples/x"), ancestral(z[0], Replayed(z[1:]))[-1], rtol=0, atol=1e-10)


def test_a_start_may_take_several_recorded_draws(tmp_path):
    """x_T of the data's own marginal is made of two: the sampler's first is the third."""
    z = np.random.default_rng(5).standard_normal((T + 2, 100, 3))
    with h5py.File(tmp_path / "theirs.h5", "w") as f:
        f["noise"] = z
    lab = Lab(tmp_path, MANIFEST)
    lab.run(*settings('sample.noise="theirs.h5"', "sample.initial=marginal"))
    start = np.sqrt(ABAR[T]) * (MEAN + STD * z[0]) + np.sqrt(1 - ABAR[T]) * z[1]
    np.testing.assert_allclose(read(lab, "samples/x"), ancestral(start, Replayed(z[2:]))[-1], rtol=0, atol=1e-10)


def test_a_budget_is_not_what_a_recording_holds(tmp_path):
    with h5py.File(tmp_path / "theirs.h5", "w") as f:
        f["noise"] = np.zeros((10, 100, 3))
    assert "sample.noise holds 10 draws" in Lab(tmp_path, MANIFEST).run(*settings('sample.noise="theirs.h5"', "sampler.nfe=20"), code=1).stderr


@pytest.mark.parametrize("draws, samples, dim, said", [
    (T, 100, 3, "sample.noise holds 100 draws"), (T + 1, 99, 3, "[101, 99, 3]; expected floats [draws, 100 samples or more, 3]"), (T + 1, 100, 2, "[101, 100, 2]")])
def test_a_recording_that_does_not_fit_is_refused(tmp_path, draws, samples, dim, said):
    with h5py.File(tmp_path / "theirs.h5", "w") as f:
        f["noise"] = np.zeros((draws, samples, dim))
    fits = draws == T  # in shape: that it is too short shows when the last draw is asked for
    assert said in Lab(tmp_path, MANIFEST).run(*settings('sample.noise="theirs.h5"'), code=1 if fits else 2).stderr


def prior(n):
    return Noise(SEED, "sample/initial").normal(n, 3)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("plain"), MANIFEST)
    lab.run()
    return lab


# Guides.

def clip(low, high):
    return lambda x0: np.clip(x0, low, high)


def threshold(quantile, bound):
    def change(x0):
        s = np.maximum(np.quantile(np.abs(x0), quantile, axis=1, keepdims=True), bound)
        return np.clip(x0, -s, s) * bound / s
    return change


CLIP, THRESHOLD = '{ plugin = "clip", low = -2.0, high = 0.5 }', '{ plugin = "threshold", quantile = 1.0, bound = 0.4 }'
GUIDES = {
    '["clip"]': [clip(-1, 1)],
    f"[{CLIP}, {THRESHOLD}]": [clip(-2, 0.5), threshold(1, 0.4)],
    f"[{THRESHOLD}, {CLIP}]": [threshold(1, 0.4), clip(-2, 0.5)],
    f"{{ z = {CLIP}, a = {THRESHOLD} }}": [clip(-2, 0.5), threshold(1, 0.4)],
    '{ wide = { plugin = "clip", low = -5.0, high = 5.0 }, narrow = "clip" }': [clip(-1, 1)],
}


@pytest.mark.parametrize("written", GUIDES)
def test_guides_act_in_the_order_written_at_no_evaluation(tmp_path, written):
    lab = Lab(tmp_path / "lab", MANIFEST)
    lab.run("-s", f"guides={written}")

    def change(x0):
        for guide in GUIDES[written]:
            x0 = guide(x0)
        return x0
    np.testing.assert_allclose(read(lab, "samples/x"), ancestral(prior(100), predictor(), change)[-1], rtol=0, atol=1e-10)
    assert (read(lab, "samples/nfe") == T).all()


def test_guides_and_their_order_make_another_stage_and_labels_do_not(tmp_path):
    lab = Lab(tmp_path / "lab", MANIFEST)
    folders = []
    for guides in (None, f"{{ a = {CLIP} }}", f"{{ b = {CLIP} }}", f"{{ a = {CLIP}, b = {THRESHOLD} }}", f"{{ b = {THRESHOLD}, a = {CLIP} }}"):
        lab.run("-s", "sample.count=32", *([] if guides is None else ["-s", f"guides={guides}"]))
        folders.append(lab.stages()["sample"].name)
    assert folders[1] == folders[2] and len(set(folders)) == 4


def test_run_h5_says_the_order_of_the_guides(tmp_path):
    lab = Lab(tmp_path / "lab", MANIFEST)
    lab.run("-s", f"guides={{ z = {CLIP}, a = {THRESHOLD} }}", "-s", "sample.count=3")
    with h5py.File(lab.h5()) as f:
        assert [(g["label"], g["plugin"]) for g in json.loads(f["config"].attrs["resolved"])["guides"]] == [("z", "clip"), ("a", "threshold")]
        flat = f["config/flat"].attrs
        assert json.loads(flat["guides"]) == ["z", "a"]
        assert (flat["guides.z.plugin"], flat["guides.z.low"], flat["guides.a.plugin"], flat["guides.a.bound"]) == ("clip", -2, "threshold", 0.4)


# Starts.

def test_where_nothing_is_sampled_there_is_no_start(tmp_path):
    lab = Lab(tmp_path / "lab", """name = "trained"
dataset = "gaussian"
scheduler = "vp"
network = "mlp"
objective = "denoising-score-matching"
train = { steps = 1, batch = 2 }
""")
    lab.run()
    with h5py.File(lab.h5()) as f:
        assert "prior" not in f["provenance"].attrs["plugins"] and not [k for k in f["config/flat"].attrs if k.startswith("sample")]


STARTS = {
    "prior": lambda n: prior(n),
    '{ plugin = "uniform", low = -8.0, high = 8.0 }': lambda n: -8 + 16 * Noise(SEED, "sample/initial").uniform(n, 3),
    "uniform": lambda n: Noise(SEED, "sample/initial").uniform(n, 3),
    "data": lambda n: MEAN + STD * Noise(SEED, "sample/initial").stream("data").normal(n, 3),
    '{ plugin = "marginal" }': lambda n: math.sqrt(ABAR[T]) * (MEAN + STD * Noise(SEED, "sample/initial").stream("data").normal(n, 3))
    + math.sqrt(1 - ABAR[T]) * Noise(SEED, "sample/initial").stream("eps").normal(n, 3),
}


@pytest.mark.parametrize("written", STARTS)
def test_a_start_as_a_word_and_as_a_table(tmp_path, written):
    lab = Lab(tmp_path / "lab", MANIFEST)
    lab.run("-s", f"sample.initial={written}")
    np.testing.assert_allclose(read(lab, "samples/x"), ancestral(STARTS[written](100), predictor())[-1], rtol=0, atol=1e-10)


def test_a_uniform_start_of_images_is_in_data_units(tmp_path):
    """Digits in [0, 1] for a model in [-1, 1]: NCSN's start, stored in data units."""
    manifest = MANIFEST.replace('{ plugin = "gaussian", dim = 3, mean = [0.7, -1.2, 0.0], std = [0.5, 1.0, 2.0] }', '{ plugin = "digits", range = [-1.0, 1.0] }').replace(
        '"exact-gaussian"', '{ plugin = "ddpm-unet", channels = 4, multipliers = [1], blocks = 1, groups = 2 }\nobjective = "ddpm"\ntrain = { steps = 1, batch = 2 }')
    lab = Lab(tmp_path / "lab", manifest)
    lab.run(*settings("sampler.steps=2", "sample.count=9", "sample.initial=uniform", "sample.trace=9"))
    np.testing.assert_allclose(read(lab, "arrays/trace/x")[0], Noise(SEED, "sample/initial").uniform(9, 1, 8, 8), rtol=0, atol=1e-14)


# Traces.

def test_a_trace_is_the_whole_path_of_the_first_samples(tmp_path, plain):
    lab = Lab(tmp_path / "lab", MANIFEST)
    lab.run("-s", "sample.trace=5")
    path = ancestral(prior(5), predictor())
    with h5py.File(lab.stages()["sample"] / "trace.h5") as stored, h5py.File(lab.h5()) as view:
        for group in (stored, view["arrays/trace"]):
            assert group["t"].shape == (T + 1, 5) and group["x"].shape == (T + 1, 5, 3)
            np.testing.assert_allclose(group["t"][()], np.repeat(np.arange(T, -1, -1) / T, 5).reshape(T + 1, 5), rtol=0, atol=1e-15)
            np.testing.assert_allclose(group["x"][()], path, rtol=0, atol=1e-10)
        assert view["arrays/trace/x"][-1].tobytes() == view["samples/x"][:5].tobytes()
        assert view["samples/x"][()].tobytes() == read(plain, "samples/x").tobytes(), "a trace changed the samples"


def chunks(lab):
    """file -> (what changes when it is written again, x)."""
    out = {}
    for f in sorted((lab.stages()["sample"] / "samples").glob("*.h5")):
        with h5py.File(f) as h:
            out[f.name] = ((f.stat().st_ino, f.stat().st_mtime_ns), h["x"][()].tobytes())
    return out


def test_a_trace_asked_for_later_draws_its_own_call_again_and_no_other(tmp_path, plain):
    lab = plain.copy(tmp_path / "lab")
    before = chunks(lab)
    lab.run("-s", "sample.trace=7")
    after = chunks(lab)
    assert [n for n in before if after[n][1] != before[n][1]] == []
    assert [n for n in before if after[n][0] != before[n][0]] == [min(before)]
    np.testing.assert_allclose(read(lab, "arrays/trace/x"), ancestral(prior(7), predictor()), rtol=0, atol=1e-10)
    done = lab.stage_files()
    lab.run("-s", "sample.trace=7")
    assert lab.stage_files() == done


def test_more_samples_after_a_trace_are_only_the_new_ones(tmp_path, plain):
    lab = plain.copy(tmp_path / "lab")
    lab.run("-s", "sample.trace=7")
    before, trace = chunks(lab), (lab.stages()["sample"] / "trace.h5").stat().st_ino
    lab.run(*settings("sample.trace=7", "sample.count=150"))
    after = chunks(lab)
    assert [n for n in before if after[n][0] != before[n][0]] == [max(before)], "only the call that was cut short is drawn again"
    assert (lab.stages()["sample"] / "trace.h5").stat().st_ino == trace
    x = read(lab, "samples/x")
    assert x.shape == (150, 3) and x[:100].tobytes() == read(plain, "samples/x").tobytes()
    assert read(lab, "arrays/trace/x").shape == (T + 1, 7, 3)


def test_a_longer_trace_replaces_a_shorter_one_and_fewer_paths_are_shown_where_fewer_are_asked_for(tmp_path, plain):
    lab = plain.copy(tmp_path / "lab")
    for k in (3, 9):
        lab.run("-s", f"sample.trace={k}")
        assert read(lab, "arrays/trace/x").shape == read(lab, "arrays/trace/t").shape + (3,) == (T + 1, k, 3)
    nine, done = read(lab, "arrays/trace/x"), lab.stage_files()
    lab.run("-s", "sample.trace=4")
    assert read(lab, "arrays/trace/x").tobytes() == nine[:, :4].tobytes() and read(lab, "arrays/trace/t").shape == (T + 1, 4)
    lab.run()
    with h5py.File(lab.h5()) as f:
        assert "arrays" not in f
    assert lab.stage_files() == done


# Budgets.

SAMPLERS = {
    "ancestral": [*VP, *settings("sampler=ancestral")],
    "ancestral-levels": settings("sampler=ancestral"),
    "heun": [*VP, *settings('sampler={ plugin = "pf-ode", solver = "heun" }')],
    "rk4": [*VP, *settings('sampler={ plugin = "pf-ode", solver = "rk4", denoise = true }')],
    "predictor-corrector": [*VP, *settings('sampler={ plugin = "predictor-corrector", predictor = "ancestral", corrector = { plugin = "langevin", repeats = 2 } }')],
}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("budget", [5, 48])
def test_a_budget_buys_the_most_steps(tmp_path, name, budget):
    few = settings("sample.count=3")
    lab = Lab(tmp_path / "budget", MANIFEST)
    lab.run(*SAMPLERS[name], *few, "-s", f"sampler.nfe={budget}")
    nfe = set(read(lab, "samples/nfe"))
    assert len(nfe) == 1 and 0 < min(nfe) <= budget
    steps = json.loads((lab.stages()["sample"] / "resolved.json").read_text())["sampler"]["steps"]
    for more, within in ((0, True), (1, False)):
        plainly = Lab(tmp_path / f"steps{more}", MANIFEST)
        plainly.run(*SAMPLERS[name], *few, "-s", f"sampler.steps={steps + more}")
        assert (read(plainly, "samples/nfe")[0] <= budget) == within
        if within:
            assert read(plainly, "samples/x").tobytes() == read(lab, "samples/x").tobytes()


def test_a_budget_that_buys_no_step_fails_and_says_so(tmp_path):
    lab = Lab(tmp_path / "lab", MANIFEST)
    done = lab.run(*SAMPLERS["rk4"], "-s", "sampler.nfe=4", code=1)  # 4 and the mean
    assert "nfe = 4" in done.stderr and "buys no step" in done.stderr


def test_a_budget_of_more_than_the_levels_can_take_is_all_that_they_take(tmp_path):
    """A stride over levels cannot make more steps than there are levels."""
    lab = Lab(tmp_path / "lab", MANIFEST)
    lab.run(*settings("sampler.nfe=150", "sampler.spacing=leading", "sample.count=3"))
    assert set(read(lab, "samples/nfe")) == {T}


def test_a_budget_that_was_resolved_is_kept_by_a_stage_that_goes_on(tmp_path):
    lab = Lab(tmp_path / "lab", MANIFEST)
    few = [*VP, *settings("sampler.nfe=40", "sample.count=2000", "run.chunk=4")]
    live = lab.start(*few)
    stored = until(lambda: live.ended() or next(lab.results.glob(".stages/*/samples/*.h5"), None), what="samples")
    assert stored is not True, live.stderr()
    live.process.send_signal(signal.SIGTERM)
    assert live.wait() == 75, live.stderr()
    resolved = stored.parents[1] / "resolved.json"
    kept = json.loads(resolved.read_text())
    assert kept["sampler"] == {"nfe": 0, "steps": 40}
    kept["sampler"]["steps"] = 7  # what it finds is what it goes on with
    write_record(resolved, kept)
    lab.run(*few)
    nfe = read(lab, "samples/nfe")
    assert nfe.shape == (2000,) and nfe[0] == 40 and nfe[-1] == 7 and json.loads(resolved.read_text())["sampler"] == {"nfe": 0, "steps": 7}


# Brownian paths.

def test_path_noise_follows_one_path_whatever_the_steps(tmp_path):
    def end(noise, steps):
        lab = Lab(tmp_path / f"{noise}{steps}", MANIFEST)
        lab.run(*VP, *settings(f'sampler={{ plugin = "euler-maruyama", steps = {steps}, from = 0.6, to = 0.1 }}', f"run.noise={noise}"))
        return read(lab, "samples/x")
    far = {noise: [np.sqrt(np.mean((end(noise, S) - end(noise, 256)) ** 2)) for S in (16, 64)] for noise in ("path", "independent")}
    assert far["path"][1] < 0.45 * far["path"][0] and far["path"][1] < 0.1 * far["independent"][1]
    assert far["independent"][1] > 0.8 * far["independent"][0]


# Exact moments.

def recursion():
    """Mean and variance after algorithm 2, variance beta, from N(0, 1)."""
    mean, variance = np.zeros(3), np.ones(3)
    for t in range(T, 0, -1):
        v = ABAR[t] * STD**2 + 1 - ABAR[t]
        A, a = (1 - BETA[t - 1] / v) / math.sqrt(1 - BETA[t - 1]), math.sqrt(ABAR[t])
        mean = A * mean + BETA[t - 1] / v * a * MEAN / math.sqrt(1 - BETA[t - 1])
        variance = A**2 * variance + (t > 1) * BETA[t - 1]
    return mean, variance


def test_exact_moments_are_those_of_the_recursion_and_of_their_metric(tmp_path):
    lab = Lab(tmp_path / "lab", MANIFEST)
    lab.run("-s", "sample.moments=exact")
    mean, variance = recursion()
    np.testing.assert_allclose(read(lab, "samples/mean"), mean, rtol=0, atol=1e-10)
    np.testing.assert_allclose(read(lab, "samples/variance"), variance, rtol=0, atol=1e-10)
    np.testing.assert_allclose(read(lab, "metrics/metrics/moments.mean"), [np.linalg.norm(mean - MEAN)], rtol=0, atol=1e-10)
    np.testing.assert_allclose(read(lab, "metrics/metrics/moments.covariance"), [np.linalg.norm(variance - STD**2)], rtol=0, atol=1e-10)
    np.testing.assert_allclose(read(lab, "metrics/metrics/moments.std"), [np.sqrt(variance).mean()], rtol=0, atol=1e-10)
    with h5py.File(lab.h5()) as f:
        assert "x" not in f["samples"]
    assert not (lab.stages()["sample"] / "samples").exists()


MONTE_CARLO = {
    **{name: SAMPLERS[name] for name in ("ancestral", "heun")},
    "reverse-diffusion": settings("sampler=reverse-diffusion"),
    "corrected": [*VP, *settings('sampler={ plugin = "predictor-corrector", steps = 20, corrector = { plugin = "langevin", rule = "fixed", eps = 1e-3 } }', "sample.initial=marginal")],
}


@pytest.mark.parametrize("name", MONTE_CARLO)
def test_exact_moments_are_those_of_the_samples(tmp_path, name):
    n, steps = 20000, settings("sampler.steps=20")
    exact, sampled = Lab(tmp_path / "exact", MANIFEST), Lab(tmp_path / "sampled", MANIFEST)
    exact.run(*MONTE_CARLO[name], *steps, "-s", "sample.moments=exact")
    sampled.run(*MONTE_CARLO[name], *steps, *settings('sample.moments="sampled"', f"sample.count={n}", "run.chunk=5000"))
    x, mean, variance = read(sampled, "samples/x"), read(exact, "samples/mean"), read(exact, "samples/variance")
    assert (np.abs(x.mean(0) - mean) < 5 * np.sqrt(variance / n)).all()
    assert (np.abs(x.var(0) - variance) < 5 * variance * np.sqrt(2 / n)).all()
    nfe = json.loads((exact.stages()["sample"] / "stage.json").read_text())["nfe"]
    assert {nfe} == set(read(sampled, "samples/nfe"))


REFUSED = {
    "rk45": (1, [*VP, *settings('sampler={ plugin = "pf-ode", solver = "rk45" }')], "affine"),
    "group": (1, [*VP, *settings("sample.group=2")], "sample.group"),
    "mixture": (2, settings('dataset={ plugin = "gaussian-mixture", modes = 2 }', "network=exact-gaussian-mixture"), "Gaussian"),
    "start": (2, settings("sample.initial=uniform"), "states no moments"),
    "metric": (2, settings('metrics=["mmd"]'), "measures samples"),
    "clip": (2, settings('guides=["clip"]'), "guide `clip` does not go with sample.moments"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_exact_moments_are_refused_with_the_reason(tmp_path, name):
    code, words, reason = REFUSED[name]
    lab = Lab(tmp_path / "lab", MANIFEST)
    done = lab.run(*words, "-s", "sample.moments=exact", code=code)
    assert reason in done.stderr
    assert code == 1 or not lab.results.exists(), "nothing was to be started"
