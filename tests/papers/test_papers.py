"""The experiments that this repository ships: each states its question, its claims and a figure, and the short ones end here with every
claim passed. SCORELAB_SLOW=1 runs all of them."""
import json
import os
import pathlib
import subprocess
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("SCORELAB") or ROOT / "build/bin/scorelab").resolve()
ALL = {str(f.relative_to(ROOT / "experiments")): tomllib.loads(f.read_text()) for f in sorted(ROOT.glob("experiments/*/**/*.toml"))}
TRAINED_IN_CI = {"papers/ddpm-2020/table2-roll.toml", "papers/edm-2022/preconditioning.toml", "papers/ncsn-2019/scores.toml"}
LONG = {  # more than a minute on two cores
    "exact/samplers.toml",
    "papers/ddim-2021/table1.toml",
    "papers/score-sde-2021/table1.toml",
    "papers/score-sde-2021/table1-1000.toml",
}


def trains(manifest):
    return "objective" in manifest or any("objective" in v for v in manifest.get("variants", {}).values()) or "models" in manifest


def runs_here(name):
    return os.environ.get("SCORELAB_SLOW") == "1" or name in TRAINED_IN_CI or not (trains(ALL[name]) or name in LONG)


def scorelab(*arguments, results=None):
    results = ["--results", results] if results else []
    return subprocess.run([PROGRAM, *arguments, *results], cwd=ROOT, capture_output=True, text=True, timeout=1800, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.mark.parametrize("name", ALL)
def test_it_is_whole(name):
    """It checks, asks a question, claims something and draws something; a paper's folder cites the paper."""
    done = scorelab("check", f"experiments/{name}")
    assert done.returncode == 0, done.stderr
    manifest = ALL[name]
    assert "?" in manifest["question"] and manifest["claims"] and manifest["figures"]
    if name.startswith("papers/"):
        comments = [line for line in (ROOT / "experiments" / name).read_text().splitlines() if line.startswith("#")]
        year = name.split("/")[1].rsplit("-", 1)[1]
        assert any(year in line for line in comments), f"its comments cite no paper of {year}"
        for paper in manifest.get("paper", {}).values():
            assert year in paper["cite"]


def test_names_are_those_of_files():
    for name, manifest in ALL.items():
        file = pathlib.Path(name)
        assert manifest["name"] == (f"{file.parent.name}-{file.stem}" if name.startswith("papers/") else file.stem)


@pytest.mark.parametrize("name", [n for n in ALL if runs_here(n)])
def test_every_claim_passes(name, results):
    done = scorelab("run", f"experiments/{name}", "-q", "-j2", results=results)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    verdicts = json.loads(scorelab("compare", ALL[name]["name"], "--json", results=results).stdout)["claims"]
    assert {v["outcome"] for v in verdicts} == {"pass"}


def test_an_index_of_what_ran(results):
    ran = [ALL[n]["name"] for n in ALL if runs_here(n) and (results / ALL[n]["name"] / "experiment.json").exists()]
    done = scorelab("report", *ran, results=results)
    assert done.returncode == 0 and "figure " not in done.stderr, done.stderr
    lines = (results / "index.md").read_text().splitlines()[2:]
    assert len(lines) == sum(len(m["claims"]) for m in ALL.values() if m["name"] in ran)
    assert all(line.split(" | ")[2] == "pass" for line in lines)
