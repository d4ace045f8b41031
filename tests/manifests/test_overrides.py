"""`-s key=value`: what wins, what a value is, where a problem is shown. What a manifest came to is read from what `run` writes at its launch."""

import json

import pytest
from program import GOOD, scorelab

MANIFEST = """dataset   = "gaussian"
scheduler = "vp"
network   = "exact-gaussian"
sampler   = { plugin = "ancestral", steps = 3 }
sample    = { count = 4 }
run       = { device = "cpu", threads = 1 }
"""


@pytest.fixture
def manifest(tmp_path):
    file = tmp_path / "m.toml"
    file.write_text(MANIFEST)
    return file


def sets(*overrides):
    return [word for o in overrides for word in ("-s", o)]


def check(manifest, *overrides):
    done = scorelab("check", manifest.name, "--json", *sets(*overrides), cwd=manifest.parent)
    return done.returncode, json.loads(done.stdout)["problems"]


def resolved(manifest, *overrides):
    """What was launched, under the manifest's own name."""
    done = scorelab("run", manifest.name, *sets(*overrides, "name=m"), cwd=manifest.parent)
    assert done.returncode == 0, done.stderr
    experiment = json.loads((manifest.parent / "results/m/experiment.json").read_text())
    return experiment | {"resolved": experiment["cells"][0]["resolved"]}


def stages(manifest, *overrides):
    return [s["key"] for cell in resolved(manifest, *overrides)["replicates"] for s in cell["stages"]]


def test_the_last_one_wins_over_the_manifest(manifest):
    out = resolved(manifest, "sample.count=7", "sampler.steps=5", "sample.count=2")["resolved"]
    assert out["sample"]["count"] == 2
    assert out["sampler"]["params"]["steps"] == 5


def test_what_is_not_overridden_stays(manifest):
    out = resolved(manifest, "sampler.spacing=quadratic")["resolved"]
    assert out["sampler"]["params"]["steps"] == 3
    assert out["sampler"]["params"]["spacing"] == "quadratic"


def test_a_bare_plugin_then_its_parameter(manifest):
    out = resolved(manifest, "sampler=pf-ode", "sampler.steps=5", "sampler.solver=euler")["resolved"]
    assert out["sampler"]["plugin"] == "pf-ode"
    assert (out["sampler"]["params"]["steps"], out["sampler"]["params"]["solver"]) == (5, "euler")


def test_a_parameter_of_a_bare_name_in_the_manifest(manifest):
    assert resolved(manifest, "dataset.dim=3")["resolved"]["dataset"]["params"]["dim"] == 3


def test_a_slots_plugin_then_its_parameter(manifest):
    out = resolved(manifest, "sampler=predictor-corrector", "sampler.steps=2", "sampler.corrector=langevin", "sampler.corrector.snr=0.1")["resolved"]
    assert out["sampler"]["params"]["corrector"]["params"]["snr"] == 0.1


def test_a_bare_plugin_keeps_what_both_declare(manifest):
    assert resolved(manifest, "sampler=pf-ode")["resolved"]["sampler"]["params"]["steps"] == 3


def test_a_plugin_by_its_key_keeps_the_rest(manifest):
    out = resolved(manifest, "sampler.plugin=euler-maruyama")["resolved"]
    assert (out["sampler"]["plugin"], out["sampler"]["params"]["steps"]) == ("euler-maruyama", 3)


@pytest.mark.parametrize("value, want", [("why not?", "why not?"), ("'7'", "7"), ('"a b"', "a b"), ("a=b=c", "a=b=c"), ("[1, 2", "[1, 2"), ("x # y", "x # y"), ("größer σ²", "größer σ²")])
def test_what_does_not_parse_is_a_string(manifest, value, want):
    assert resolved(manifest, f"question={value}")["question"] == want


@pytest.mark.parametrize("value, kind", [("7", "an integer"), ("7.5", "a number"), ("true", "a boolean"), ("[1]", "an array"), ("{ a = 1 }", "a table")])
def test_what_parses_is_no_string(manifest, value, kind):
    code, found = check(manifest, f"question={value}")
    assert (code, found[0]["message"]) == (2, f"`question` is {kind}")


def test_a_table_and_a_list(manifest):
    out = resolved(manifest, 'dataset={ plugin = "gaussian", dim = 2 }', "dataset.mean=[1, 2.5]", 'metrics=["moments"]', "seeds=[3, 1]")
    assert out["resolved"]["dataset"]["params"]["mean"] == [1, 2.5]
    assert [r["sample_seed"] for r in out["replicates"]] == [3, 1]
    assert list(out["resolved"]["metrics"]) == ["moments"]


def test_a_number_is_one_key_however_it_is_written(manifest):
    """Contract 8: numbers enter a key in their declared type."""
    keys = {o: stages(manifest, f"scheduler.t_min={o}") for o in ("1e-4", "0.0001", "1E-4", "1.0e-04")}
    assert len({tuple(k) for k in keys.values()}) == 1, keys
    assert stages(manifest, "scheduler.beta_max=15") == stages(manifest, "scheduler.beta_max=15.0")


def test_the_default_said_aloud_is_the_same_key(manifest):
    assert stages(manifest, "scheduler.beta_max=20.0") == stages(manifest)


def test_two_values_are_two_keys(manifest):
    assert stages(manifest, "scheduler.t_min=1e-4") != stages(manifest, "scheduler.t_min=2e-4")


def test_a_problem_is_shown_at_the_override(manifest):
    code, found = check(manifest, "sampler.steps=4", "sampler.steps=4.5", "run.chunk=0")
    assert code == 2
    assert [(p["file"], p["line"], p["column"]) for p in found] == [("command line, -s sampler.steps=4.5", 1, 15), ("command line, -s run.chunk=0", 1, 11)]


def test_an_override_mends_a_manifest(manifest):
    manifest.write_text(MANIFEST.replace('"vp"', '"vpp"'))
    assert check(manifest)[0] == 2
    assert check(manifest, "scheduler=vp") == (0, [])


def test_every_good_manifest_takes_an_override():
    for file in GOOD.glob("*.toml"):
        assert scorelab("check", file.name, *sets("run.device=cpu", "run.chunk=16"), cwd=GOOD).returncode == 0, file


@pytest.mark.parametrize("override", [b"dataset={plugin='idx', set='\xff'}", b"\xff=3", b"name=\xff"])
def test_bytes_that_are_no_utf8_are_refused(manifest, override):
    assert scorelab("check", manifest.name, "-s", override.decode("utf-8", "surrogateescape"), "--json", cwd=manifest.parent).returncode == 2


def test_a_value_is_one_value(manifest):
    assert scorelab("check", manifest.name, "-s", "sample.count=3\nfoo = 4", cwd=manifest.parent).returncode == 2


@pytest.mark.parametrize("override", ["sampler.to=-1.0", "run.threads=1.5"])
def test_a_number_that_cannot_be_is_refused(manifest, override):
    assert check(manifest, override)[0] == 2
