"""`scorelab certify`: every plugin of scorelab's own passes; a planted fault fails the check that shows it."""
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("SCORELAB") or ROOT / "build/bin/scorelab").resolve()
BUILD = pathlib.Path(os.environ.get("SCORELAB_BUILD") or ROOT / "build").resolve()
FAULTY = BUILD / "tests/faulty"
SLOW = pytest.mark.skipif(not os.environ.get("SCORELAB_SLOW"), reason="slow: SCORELAB_SLOW=1 runs it")

# fault -> the check that must fail
FAULTS = {
    "skips-the-first": "grid",
    "skips-the-last": "grid",
    "asks-at-the-end": "grid",
    "tells-nothing": "grid",
    "starts-elsewhere": "grid",
    "noise-scale": "gaussian",
    "sigma-for-its-square": "gaussian",
    "ignored-parameter": "effect",
    "state-between-calls": "repeatable",
    "own-generator": "repeatable",
    "constant-generator": "chunks",
    "default-generator": "generators",
    "couples-rows": "chunks",
    "swallows-stop": "cancel",
    "not-finite-at-the-end": "finite",
    "spends-on-batches": "budget",
    "wrong-dtype": "shape",
    "no-text": "parameters",
    "default-out-of-bounds": "parameters",
    "exports": "library",
    "crashes": "shape",
    "noise-grows": "strong",
    "off-the-path": "strong",
    "stream-for-each-step": "strong",
    "off-the-path-when-asked": "strong",
}
# The same of the other kinds: faulty_KIND.cpp.
FAULTS_OF = {
    "scheduler": {
        "sigma-falls": "marginals,kernels",
        "wrong-prior": "marginals",
        "infinite-conditioning": "marginals",
        "no-slope": "slopes",
        "wrong-slope": "slopes",
        "no-inverse": "inverse",
    },
    "network": {
        "wrong-dtype": "shape",
        "wrong-shape": "shape",
        "state-between-calls": "repeatable",
        "batch-norm": "chunks",
        "sees-those-before": "chunks",
        "default-generator": "generators",
        "detached": "gradients",
        "unused-parameter": "gradients",
    },
    "objective": {
        "batch-mean": "loss",
        "mean-for-each": "loss",
        "infinite": "loss",
        "state-between-calls": "repeatable",
        "default-generator": "generators",
        "detached": "gradients",
    },
    "guide": {
        "wrong-dtype": "shape",
        "not-finite": "shape",
        "state-between-calls": "repeatable",
        "couples-rows": "chunks",
        "constant-noise": "chunks",
        "default-generator": "generators",
    },
    "initial": {
        "wrong-dtype": "shape",
        "own-generator": "repeatable",
        "constant-generator": "chunks",
        "rows-share": "chunks",
        "default-generator": "generators",
        "wrong-variance": "moments",
        "wrong-mean": "moments",
        "states-a-point": "moments",
        "elements-share": "moments",
    },
    "dataset": {
        "wrong-shape": "shape",
        "not-finite": "shape",
        "integers": "shape",
        "own-generator": "repeatable",
        "depends-on-neighbours": "chunks",
        "default-generator": "generators",
        "wrong-std": "law",
        "wrong-mean": "law",
    },
    "space": {
        "wrong-shape": "shape",
        "decodes-to-rows": "shape",
        "not-finite": "shape",
        "own-generator": "repeatable",
        "couples-rows": "chunks",
        "decodes-together": "chunks",
        "default-generator": "generators",
        "wrong-scale": "affine",
        "undoes-nothing": "affine",
        "says-nothing": "affine",
        "forgets": "reconstruction",
    },
    "metric": {
        "nan": "finite",
        "no-such-goal": "finite",
        "no-unit": "finite",
        "no-name": "finite",
        "state-between-calls": "repeatable",
        "default-generator": "generators",
        "weighs-the-first": "order",
        "counts-neighbours": "order",
        "wrong-goal": "goal",
    },
}
KINDS = {kind: sorted(f.stem for f in (ROOT / "plugins" / kind).glob("*.cpp"))
         for kind in ("schedulers", "networks", "objectives", "guides", "initials", "datasets", "spaces", "metrics", "samplers")}
# Quick ones for every run; the others take half a minute each.
SAMPLERS = ["ddim", "langevin"]
NEEDS_FILES = {"cifar10", "idx", "image-folder", "array", "image-array", "inception-v3", "torchscript"}


def certify(what, *arguments, timeout=900):
    done = subprocess.run([PROGRAM, "certify", what, "--json", *map(str, arguments)], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    assert done.stdout.startswith("{"), done.stderr
    certificate = json.loads(done.stdout)
    assert (done.returncode == 0) == (failed(certificate) == {})
    return certificate


def failed(certificate):
    return {c["check"]: c["detail"] for c in certificate["checks"] if c["outcome"] == "fail"}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_planted_fault_is_named(fault):
    assert failed(certify(FAULTY / f"{fault}.so", "--only", FAULTS[fault])).keys() == {FAULTS[fault]}


@pytest.mark.parametrize("kind, fault", [(kind, fault) for kind, faults in FAULTS_OF.items() for fault in faults])
def test_a_planted_fault_of_another_kind_is_named(kind, fault):
    checks = FAULTS_OF[kind][fault]
    assert failed(certify(FAULTY / f"{kind}-{fault}.so", "--only", checks)).keys() == set(checks.split(","))


@pytest.mark.parametrize("kind", sorted(FAULTS_OF))
def test_another_kind_without_a_fault_passes(kind):
    certificate = certify(FAULTY / f"{kind}-none.so")
    assert failed(certificate) == {} and certificate["certified"]


def test_without_a_fault_it_passes():
    certificate = certify(FAULTY / "none.so")
    assert failed(certificate) == {} and certificate["certified"]


LARGE = ["adm-classifier", "adm-unet", "song-unet"]  # 65, 296 and 62 million parameters by default: minutes


@pytest.mark.parametrize("name", [pytest.param(n, marks=SLOW) if n in LARGE else n
                                  for kind, names in KINDS.items() if kind != "samplers" for n in names if n not in NEEDS_FILES])
def test_our_own(name):
    kind = next(k for k, names in KINDS.items() if name in names)[:-1]
    assert failed(certify(f"{kind}/{name}")) == {}


def test_what_cannot_be_made_from_its_defaults_is_not_certified():
    certificate = certify("inception-score")
    assert not certificate["certified"]
    said = {c["check"]: c["detail"] for c in certificate["checks"] if c["outcome"] == "skip"}
    assert len(said) == 5 and all("`classifier` has no default" in detail for detail in said.values())


@pytest.mark.parametrize("name", [n if n in SAMPLERS else pytest.param(n, marks=SLOW) for n in KINDS["samplers"]])
def test_our_own_samplers(name):
    certificate = certify(name)
    assert failed(certificate) == {}
    assert {c["check"] for c in certificate["checks"]} >= {"library", "effect", "repeatable", "chunks", "grid", "budget", "cancel", "gaussian", "mixture", "moments", "order", "strong"}


@SLOW
def test_a_costly_sampler_is_shortened_and_the_certificate_says_so():
    said = {c["check"]: (c["outcome"], c["detail"]) for c in certify("annealed-langevin", "--only", "grid,mixture")["checks"]}
    assert said["grid"] == ("pass", "from t_max to the end; with T = 10")
    outcome, detail = said["mixture"]  # of samples as they are: all of its steps, fewer of them
    assert outcome == "pass" and "(500 samples)" in detail and "(1000 samples)" in detail and "T = 10" not in detail


def test_a_sampler_without_a_grid_that_costs_little_is_checked_as_it_is():
    assert "; with" not in certify("adaptive-sde", "--only", "finite")["checks"][0]["detail"]


@pytest.mark.parametrize("name, settings", [
    (FAULTY / "on-the-path-when-asked.so", {"eta = 0.5": (0.9, 1.1)}), ("ddim", {"eta = 0.5": (0.75, 1.1), 'sigma = "hat"': (0.9, 1.1)}),
    ("dpm-solver-pp", {"sde = true": (0.9, 2)}), ("edm-heun", {"S_churn = 3.0": (0.45, 1)})], ids=["on-the-path", "ddim", "dpm-solver-pp", "edm-heun"])
def test_the_strong_order_is_measured_where_a_parameter_brings_the_noise(name, settings):
    """1, as g does not depend on x: Euler and Maruyama's method is Milstein's then (Kloeden & Platen 1992, 10.3). Churn has 1/2: it stops at
    the process's end, so that the first step lacks its noise, which is of the size of the step's root."""
    found = certify(name, "--only", "strong")["checks"][0]["strong_order"]
    assert found.keys() == {f"{process} with {setting}" for process in ("vp", "ve", "sub-vp") for setting in settings}
    for key, p in found.items():
        low, high = settings[key.split(" with ")[1]]
        assert low < p < high, key


def test_noise_of_no_path_has_no_strong_order():
    check = certify(FAULTY / "says-fresh-noise.so", "--only", "strong")["checks"][0]
    assert (check["outcome"], check["detail"]) == ("skip", "by its `fresh-noise` its draws follow no path with eta = 0.5")


def test_a_sampler_that_draws_nothing_has_no_strong_order():
    assert certify("unipc", "--only", "strong")["checks"][0]["detail"] == "it draws nothing: deterministic, see `order`"


def test_a_certificate_with_its_figure(tmp_path):
    certify("ddim", "--only", "grid", "-o", tmp_path / "c")
    assert {f.name for f in (tmp_path / "c").iterdir()} == {"certificate.json", "error.svg", "error.png", "error.pdf"}
    text = (tmp_path / "c/error.svg").read_text()
    assert "ddim" in text and "euler-maruyama" in text


def test_mistakes(tmp_path):
    def said(*arguments):
        done = subprocess.run([PROGRAM, "certify", *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        return done.stderr

    assert "did you mean `ddim`" in said("dimm")
    assert "there is no check `gird`" in said("ddim", "--only", "gird")
    (tmp_path / "x.so").write_bytes(b"no library")
    assert "is not an ELF file" in said(str(tmp_path / "x.so"))
