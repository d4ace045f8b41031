"""Arrays that metrics measure: in run.h5, in figures, in words; and exact paths beside a sampler's."""
import json
import math
import struct
import subprocess

import h5py
import numpy as np
import pytest
import xarray
from philox import Noise

from comparing import BUILD, EXACT, EXACTLY, MEASURED, STAND_INS, TRAINED, WITH_STAND_INS

stand_ins = pytest.mark.skipif(not (STAND_INS / "asks.so").exists(), reason=f"no asks.so in {STAND_INS}: ninja tests builds it")
FIGURE = '[figures.error]\nkind = "array"\ny = "se.by-t"\nscale = "log-log"\n'
TWO = '[variants]\nshort = { train = { steps = 10 } }\nlong = {}\n'


def arrays(run, what="evaluate se"):
    return {a["name"]: a for a in run[what]["arrays"]}


# --- run.h5

def test_run_h5_has_what_the_stage_has(lab):
    lab.run(MEASURED + "seeds = 2\n")
    for seed, run in enumerate(lab.shown("model")):
        (name, own), = arrays(run).items()
        file = lab.results / f"model/s{seed}/run.h5"
        with h5py.File(file) as f:
            assert list(f["arrays"]) == ["se.by-t"] == [name]
            group = f["arrays/se.by-t"]
            assert set(group) == {"t", "value"}
            assert group["t"][()].tolist() == own["at"] and group["value"][()].tolist() == own["values"]
            assert group["value"].dims[0][0] == group["t"], "t is its scale"
            assert {k: group["value"].attrs[k] for k in ("units", "long_name", "goal")} == {
                "units": "1", "long_name": "mean squared error of the model's score, an element", "goal": "min"}
        with xarray.open_dataset(file, group="arrays/se.by-t", engine="h5netcdf") as data:
            assert list(data.coords) == ["t"] and data["value"].dims == ("t",)
            assert data["t"].values.tolist() == own["at"] and data["value"].values.tolist() == own["values"]
            assert data["value"].sel(t=1.0).item() == own["values"][-1]


def test_arrays_of_two_metrics_stand_beside_a_trace(lab):
    lab.run(MEASURED.replace("metrics   = { ", 'sampler = { plugin = "pf-ode", steps = 3 }\nsample = { count = 16, trace = 4 }\nmetrics = { other = { plugin = "score-error", times = 2 }, '))
    with h5py.File(lab.results / "model/run.h5") as f:
        assert set(f["arrays"]) == {"se.by-t", "other.by-t", "trace"}
        assert len(f["arrays/other.by-t/t"]) == 2 and len(f["arrays/se.by-t/t"]) == 5


@stand_ins
def test_values_that_are_no_numbers_are_kept(lab):
    lab.run(WITH_STAND_INS + EXACTLY.replace('se = {', 'asks = "asks", se = {'))
    own = arrays(lab.shown("model")[0], "evaluate asks")["asks.odd"]
    assert own["values"] == [1.5, "inf", "nan"] and own["along"] == "place" and "value" not in own
    with h5py.File(lab.results / "model/run.h5") as f:
        group = f["arrays/asks.odd"]
        assert set(group) == {"place", "value"} and group["value"].attrs["units"] == "nat" and group["value"].attrs["goal"] == "max"
        np.testing.assert_array_equal(group["value"][()], [1.5, math.inf, math.nan])
        assert "asks.odd" not in f["metrics/metrics"]
    assert "asks.odd" not in {t["quantity"] for t in lab.compared("model")["tables"]}


@stand_ins
def test_an_array_needs_as_many_coordinates_as_values(lab):
    done = lab.run(WITH_STAND_INS + EXACTLY.replace("se = {", 'asks = { plugin = "asks", coordinates = 2 }, se = {'), code=1)
    assert "metric `asks`: the array `asks.odd` has 3 values at 2 coordinates" in done.stderr


# --- the figure

def test_a_figure_of_an_array_is_drawn(lab):
    lab.run(MEASURED + "seeds = 3\n" + TWO + FIGURE)
    figures, said = lab.drawn("model")
    assert said == "" and list(figures) == ["error"]
    folder = lab.results / "model/figures"
    assert (folder / "error.svg").read_text().count("<svg") >= 1 and ">se.by-t<" in (folder / "error.svg").read_text()
    assert (folder / "error.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert (folder / "error.pdf").read_bytes()[:5] == b"%PDF-"
    assert "error" in (lab.results / "model/report.html").read_text()
    runs = lab.shown("model")
    short, long = figures["error"].panels[""]
    for series, own in ((short, runs[:3]), (long, runs[3:])):
        values = np.array([arrays(r)["se.by-t"]["values"] for r in own])
        half = 4.302652729749464 * values.std(0, ddof=1) / math.sqrt(3)  # Student's t, 95 %, 2 degrees of freedom
        rows = np.array(series)
        np.testing.assert_allclose(rows[:, 0], arrays(own[0])["se.by-t"]["at"], rtol=1e-6)
        np.testing.assert_allclose(rows[:, 1], values.mean(0), rtol=1e-6)
        np.testing.assert_allclose(rows[:, 3], values.mean(0) + half, rtol=1e-6)
        low = values.mean(0) - half
        np.testing.assert_allclose(rows[:, 2], np.where(low > 0, low, values.mean(0) / 1000), rtol=1e-6)
    assert "title 'short'" in figures["error"].script and "title 'long'" in figures["error"].script
    assert "set logscale x" in figures["error"].script and "set xlabel 't'" in figures["error"].script


def test_panels_and_places_of_such_a_figure(lab):
    lab.run(MEASURED + TWO + FIGURE + 'panels = ["variant"]\n[figures.one]\nkind = "array"\ny = "se.by-t"\nat = { variant = "long" }\n')
    figures, said = lab.drawn("model")
    assert said == "" and list(figures["error"].panels) == ["short", "long"]
    assert figures["one"].panels[""] == figures["error"].panels["long"] != figures["error"].panels["short"]
    assert "logscale" not in figures["one"].script


def test_a_mistaken_name_is_said_in_the_report(lab):
    """Parts are known once measured: the manifest is right, the figure is not drawn."""
    lab.run(MEASURED + FIGURE.replace("by-t", "by-time"))
    figures, said = lab.drawn("model")
    assert figures == {} and said == "figure error: no run has measured an array `se.by-time`\n"
    assert "no run has measured an array `se.by-time`" in (lab.results / "model/report.html").read_text()


def test_a_mistaken_metric_is_an_error_of_the_manifest(lab):
    assert "`y`: nothing is called `es.by-t`" in lab.wrong(MEASURED + FIGURE.replace("se.by-t", "es.by-t"))
    assert "it needs `y`" in lab.wrong(MEASURED + '[figures]\nf = { kind = "array" }\n')


# --- exact paths

PATHS = EXACT.replace('"gaussian", dim = 2, std = [0.5]', '"gaussian-mixture", modes = 3').replace("exact-gaussian", "exact-gaussian-mixture").replace(
    "threads = 1", 'precision = "float64", threads = 1').replace("count = 16 }", "count = 16, trace = 6 }").replace("steps = 3", 'solver = "euler", steps = 20')
WITH = '[figures.paths]\nkind = "trajectories"\ncount = 5\nwith = ["exact"]\n'


def alpha(t):
    """Of the VP SDE."""
    return math.exp(-0.25 * t**2 * 19.9 - 0.05 * t)


def ends(series):
    """Where each path of a panel ends."""
    paths, path = [], []
    for row in [*series, []]:
        if row:
            path.append(row[:2])
        elif path:
            paths.append(path)
            path = []
    return np.array([p[-1] for p in paths]), np.array([p[0] for p in paths]), [len(p) for p in paths]


def sampled(lab, name):
    with h5py.File(lab.results / name / "run.h5") as f:
        return f["samples/x"][()]


def fine(lab, text, name="fine"):
    """The first samples of the probability-flow ODE in fine steps, from the same seed."""
    lab.run(text.replace('name      = "cmp"', f'name = "{name}"').replace('solver = "euler", steps = 20', 'solver = "rk4", steps = 1000'))
    return sampled(lab, name)


def test_the_exact_panel_ends_where_fine_steps_end(lab):
    lab.run(PATHS + WITH)
    figures, said = lab.drawn("cmp")
    assert said == "" and list(figures["paths"].panels) == ["exact", ""]
    exact, own = figures["paths"].panels.values()
    (last, first, length), (euler_last, euler_first, euler_length) = ends(exact[0]), ends(own[0])
    assert length == euler_length == [21] * 5
    np.testing.assert_allclose(first, euler_first, rtol=1e-7)
    wanted = fine(lab, PATHS)[:5]
    assert np.abs(last - wanted).max() < 1e-6
    assert np.abs(euler_last - wanted).max() > 1e-3, "Euler's are not exact"


@pytest.mark.parametrize("sampler", ['"pf-ode", solver = "rk45", rtol = 1e-3', '"ancestral", steps = 20', '"euler-maruyama", steps = 20',
                                     '"predictor-corrector", steps = 20, predictor = "reverse-diffusion", corrector = "langevin"'])
def test_other_samplers_start_at_the_same_points(lab, sampler):
    """Whatever a sampler's own path and times are, the exact one runs from its start down to t_min."""
    lab.run(PATHS.replace('"pf-ode", solver = "euler", steps = 20', sampler) + WITH)
    figures, said = lab.drawn("cmp")
    assert said == ""
    exact = next(iter(figures["paths"].panels.values()))
    assert np.abs(ends(exact[0])[0] - fine(lab, PATHS)[:5]).max() < 1e-4


def test_exact_paths_beside_a_trained_network_and_one_that_follows_a_model(lab):
    """The exact panel knows the data's law alone; models that guides name are no hindrance."""
    text = TRAINED.replace('name      = "trained"', 'name = "cmp"').replace('"gaussian", dim = 2, std = [0.5]', '"gaussian-mixture", modes = 3').replace(
        "count = 16 }", "count = 16, trace = 6 }").replace("threads = 1", 'precision = "float64", threads = 1').replace("steps = 3", 'solver = "euler", steps = 20')
    guided = '[variants]\nplain = {}\nguided = { guides = { f = { plugin = "follow", teacher = "teacher" } } }\n' + """[models.teacher]
network   = { plugin = "mlp", width = 12, depth = 1 }
objective = "denoising-score-matching"
train     = { steps = 30, batch = 8 }
"""
    lab.run(WITH_STAND_INS + text + guided + WITH + 'at = { variant = "guided" }\n[figures.field]\nkind = "score"\nt = 0.5\n')
    figures, said = lab.drawn("cmp")
    assert said == "" and list(figures["paths"].panels)[0] == "exact" and len(figures["paths"].panels) == 2
    wanted = fine(lab, PATHS)[:5]
    exact, own = figures["paths"].panels.values()
    assert np.abs(ends(exact[0])[0] - wanted).max() < 1e-6 and np.abs(ends(own[0])[0] - wanted).max() > 1e-2
    assert list(figures["field"].panels) == ["exact", "plain", "guided"]


@stand_ins
def test_exact_paths_and_fields_know_the_model_s_units(lab):
    """Data N(1, 0.5^2), seen as 2 y + 3: N(5, 1), where the ODE's map from N(0, 1) is known."""
    text = WITH_STAND_INS + PATHS.replace('{ plugin = "gaussian-mixture", modes = 3 }', '"scaled-gaussian"').replace("exact-gaussian-mixture", "exact-gaussian")
    lab.run(text + WITH + '[figures.field]\nkind = "score"\nt = 0.1\n')
    figures, said = lab.drawn("cmp")
    assert said == ""
    x = Noise(0, "sample/initial").normal(16, 2)  # its law stays N(5 alpha, 1): the deviation is kept
    wanted = ((x - 5 * alpha(1) + 5 * alpha(1e-3)) - 3) / 2
    np.testing.assert_allclose(fine(lab, text), wanted, atol=1e-6)
    np.testing.assert_allclose(ends(figures["paths"].panels["exact"][0])[0], wanted[:5], atol=1e-6)
    exact, own = figures["field"].panels.values()
    np.testing.assert_allclose(exact[0], own[0], rtol=1e-5, atol=1e-7)


def test_paths_that_cannot_be_are_said(lab):
    lab.run(PATHS.replace(", trace = 6", "") + WITH)
    figures, said = lab.drawn("cmp")
    assert figures == {} and said == "figure paths: there are no paths to begin from: ask for them with sample.trace\n"
    two = TRAINED.replace('{ plugin = "gaussian", dim = 2, std = [0.5] }', '"two-moons"').replace("count = 16 }", "count = 16, trace = 6 }")
    lab.run(two + WITH)
    figures, said = lab.drawn("trained")
    assert figures == {} and said == "figure paths: there are no exact paths: the data set states no law\n"
    assert '`with` cannot be `exact` here' in lab.wrong(PATHS + '[figures]\nf = { kind = "samples", with = ["exact"] }\n')


def test_the_host_gives_the_whole_path(lab):
    """At the sampler's own times, in data units."""
    lab.run(PATHS)
    key = next(s["key"] for s in lab.plan().stages if s["kind"] == "sample")
    done = subprocess.run([BUILD / "bin/scorelab-host", "paths"], input=json.dumps({"results": str(lab.results), "key": key, "count": 3}), capture_output=True, text=True, timeout=60)
    answer = json.loads(done.stdout.splitlines()[-1])
    with h5py.File(lab.results / "cmp/run.h5") as f:
        times, x = f["arrays/trace/t"][()], f["arrays/trace/x"][()]
    assert answer["shape"] == [21, 3, 2] and answer["t"] == pytest.approx(times[:, 0].tolist(), rel=1e-12)
    path = np.array(answer["x"]).reshape(21, 3, 2)
    np.testing.assert_allclose(path[0], x[0, :3], rtol=1e-12)
    lab.run(PATHS.replace('"cmp"', '"half"').replace('solver = "euler", steps = 20', f'solver = "rk4", steps = 500, to = {float(times[10, 0])!r}'))
    np.testing.assert_allclose(path[10], sampled(lab, "half")[:3], atol=1e-7)


# --- images

DIGITS = """\
name      = "images"
dataset   = "digits"
scheduler = "vp"
network   = { plugin = "mlp", width = 8, depth = 1 }
objective = "denoising-score-matching"
train     = { steps = 1, batch = 8 }
sampler   = { plugin = "pf-ode", steps = 1 }
sample    = { count = 12, initial = { plugin = "interpolation", points = 4 } }
run       = { device = "cpu", threads = 1, chunk = 5 }
"""


def test_a_grid_has_the_columns_that_it_is_asked_for(lab):
    lab.run(DIGITS + '[figures.pairs]\nkind = "grid"\ncount = 11\ncolumns = 2\n')
    assert lab.call("report", "images").returncode == 0
    picture, = lab.results.glob("images/**/pairs-0.png")
    left_over = picture.with_name("pairs-1.png")
    left_over.write_bytes(picture.read_bytes())
    lab.call("report", "images")
    assert not left_over.exists()
    size = struct.unpack(">II", picture.read_bytes()[16:24])
    assert size == (2 * (6 * 8 + 2) + 2, 6 * (6 * 8 + 2) + 2)  # a pixel is 6 wide, a gap 2
    for wrong in ('kind = "grid"\ncolumns = 0', 'kind = "grid"\ncolumns = "4"', 'kind = "samples"\ncolumns = 4'):
        assert "`columns` is wrong" in lab.wrong(DIGITS + f"[figures.pairs]\n{wrong}\n")
