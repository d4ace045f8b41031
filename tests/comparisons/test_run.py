"""Running a comparison: searches, hosts at once, selections, failures, kills, and what is frozen at the start."""
import json
import os
import pathlib
import re
import shutil
import signal
import time

import pytest

from comparing import BUILD, EXACT, SOLVERS, TRAINED

SEARCH = EXACT + """seeds = 3
[variants]
euler = { sampler = { solver = "euler" } }
heun  = { sampler = { solver = "heun" } }
[sweep.S]
key    = "sampler.steps"
values = [1, 2, 8]
only   = ["euler"]
best   = { metric = "moments.covariance", seeds = [100, 101] }
""".replace("sample    = { count = 16 }", "sample    = { count = 256 }")


# --- best

def test_a_search_chooses_on_other_seeds_and_the_rest_follows(lab):
    p = lab.plan(SEARCH)
    assert p.cells == 2 and p.searches == [{"at": "euler", "axis": "S", "metric": "moments.covariance", "candidates": 3, "chosen": ""}]
    assert p.count("sample") == 3 * 2 + 3 and p.pending == {"sample": 3, "evaluate": 3}
    lab.run()
    p = lab.plan()
    assert p.to_do() == {} and p.pending == {} and p.count("sample") == 3 * 2 + 3 + 3
    # Which S is best by the mean over seeds 100 and 101, from comparisons of its own.
    lab.run(SEARCH.replace("seeds = 3", "seeds = [100, 101]").replace('"cmp"', '"all"').split("best")[0])
    every = {place: sum(v) / 2 for place, v in lab.values(name="all").items() if "euler" in place}
    best = min(every, key=every.get)
    chosen = p.searches[0]["chosen"]
    assert chosen == best.split()[0]
    rows = lab.compared()["tables"][0]["rows"]
    assert [r["at"] for r in rows] == [{"variant": "euler"}, {"variant": "heun"}] and [r["n"] for r in rows] == [3, 3]
    assert f"{chosen}: best of 3 by moments.covariance, on other seeds" in rows[0]["notes"]
    assert "best of 3" in lab.call("compare", "cmp").stdout
    experiment = json.loads((lab.results / "cmp/experiment.json").read_text())
    assert all(r["sample_seed"] < 3 for r in experiment["replicates"]) and experiment["cells"][0]["chosen"]["label"] == chosen


def test_what_is_chosen_is_run_though_other_searches_are_undecided(lab):
    lab.run(SEARCH.replace('only   = ["euler"]\n', ""), "--only", "euler")
    p = lab.plan()
    assert [bool(s["chosen"]) for s in p.searches] == [True, False]
    assert p.to_do() == {"sample": 6, "evaluate": 6} and p.pending == {"sample": 3, "evaluate": 3}, "heun's search and what it leaves"


def test_a_search_is_decided_though_its_first_candidate_leaves_nothing_to_plan(lab):
    """Another variant is that candidate."""
    lab.run(SEARCH.replace("heun  = { sampler = { solver = \"heun\" } }", 'one = { sampler = { solver = "euler", steps = 1 } }'))
    p = lab.plan()
    assert p.searches[0]["chosen"] == "S=8" and p.to_do() == {} and p.count("sample") == 3 * 2 + 3 + 3


def test_a_search_on_reported_seeds_is_an_error(lab):
    assert "seed 2 is reported" in lab.wrong(SEARCH.replace("[100, 101]", "[100, 2]"))


# --- hosts

def bits(lab, name="cmp"):
    return {(metric, place): tuple(v) for metric in ("moments.mean", "moments.covariance") for place, v in lab.values(metric, name).items()}


def test_two_hosts_give_the_same_values_as_one(lab):
    lab.run(TRAINED + "seeds = 2\n" + SOLVERS, "--results", "one")
    lab.run(None, "--results", "two", "-j", "2")
    for metric in ("moments.mean", "moments.covariance"):
        assert lab.values(metric, "trained", "--results", "one") == lab.values(metric, "trained", "--results", "two")


@pytest.mark.parametrize("hosts", ["1", "2", "4"])
def test_each_stage_is_told_once(lab, hosts):
    done = lab.run(EXACT.replace('"moments"', '"moments", { plugin = "score-error", count = 20 }') + "seeds = 12\n" + SOLVERS, "-j", hosts)
    labels = [s["label"] for s in lab.plan().stages]
    told = re.findall(r"^\[(\d+)/(\d+)\] (\w.*? s\d+) ", done.stderr, re.M)
    assert len(labels) == 48 + 48 + 12 and [int(n) for n, _, _ in told] == list(range(1, len(labels) + 1))
    assert {of for _, of, _ in told} == {str(len(labels))}
    assert sorted(label for _, _, label in told) == sorted(labels)


@pytest.mark.parametrize("hosts", ["1", "4"])
def test_each_failure_is_told_once(lab, hosts):
    done = lab.run(EXACT.replace("count = 16", "count = 16, max_nfe = 1") + "seeds = 24\n" + SOLVERS, "-j", hosts, code=1)
    labels = [s["label"] for s in lab.plan().stages if s["kind"] == "sample"]
    assert sorted(re.findall(r"error: (sample .*?) failed", done.stderr)) == sorted(labels) and len(labels) == 96


def test_two_runs_at_once_share_the_work(lab):
    lab.write(TRAINED.replace("steps = 20", "steps = 200") + "seeds = 3\n" + SOLVERS)
    runs = [lab.start("run", "m.toml"), lab.start("run", "m.toml", "-j", "2")]
    for run in runs:
        out, err = run.communicate(timeout=120)
        assert run.returncode == 0, err
    p = lab.plan()
    assert p.to_do() == {} and p.counts() == (4, 3, 12, 12)
    for s in p.stages:
        rows = lab.journal(s["key"])
        assert not any(r.get("event") == "resume" for r in rows), s["label"]
        places = [(r["stream"], r["step"]) for r in rows if "step" in r]
        assert len(places) == len(set(places)), f"{s['label']} was made twice"
        assert places


# --- selections

def test_only_some_cells_and_seeds(lab):
    lab.run(EXACT + "seeds = 4\n" + SOLVERS, "--only", "heun, S=4", "--seeds", "1..2")
    p = lab.plan()
    done = {(r["folder"]) for r in p.replicates if all(s["done"] for s in p.stages if s["key"] in r["stages"])}
    assert done == {"heun/S=4/s1", "heun/S=4/s2"}
    lab.run(None, "--only", "S=2|4.0", "--seeds", "0")
    assert lab.plan().to_do() == {"sample": 16 - 2 - 4, "evaluate": 16 - 2 - 4}
    rows = {r["at"]["S"] + r["at"]["variant"]: r for r in lab.compared()["tables"][0]["rows"]}
    assert rows["4heun"]["n"] == 3 and rows["2euler"]["n"] == 1 and "3 not run" in rows["2euler"]["notes"]
    for arguments in (["--only", "hune"], ["--only", "K=3"], ["--seeds", "x"], ["--seeds", "3..1"]):
        assert lab.call("run", "m.toml", *arguments).returncode == 2, arguments
    assert lab.call("run", "m.toml", "--seeds", "77").returncode == 5


# --- failures

FAILING = EXACT + """seeds = 2
[variants]
good   = { sampler = { solver = "euler" } }
bad    = { sampler = { steps = 5 }, sample = { max_nfe = 2 } }
better = { sampler = { solver = "heun" } }
"""


def test_a_failing_cell_stops_no_other_and_is_named(lab):
    done = lab.run(FAILING, code=1)
    assert "sample bad s0 failed" in done.stderr and "sample bad s1 failed" in done.stderr
    rows = {r["at"]["variant"]: r for r in lab.compared()["tables"][0]["rows"]}
    assert [rows[v]["n"] for v in ("good", "bad", "better")] == [2, 0, 2]
    assert re.search(r"2 failed \(seed 0: .*max_nfe", rows["bad"]["notes"][0]), rows["bad"]["notes"]
    assert rows["bad"]["mean"] == "nan"
    assert "2 failed" in lab.call("compare", "cmp").stdout and "2 failed" in done.stdout


BAD = [f"bad{k} = {{ sampler = {{ steps = {5 + k} }}, sample = {{ max_nfe = 2 }} }}\n" for k in range(3)]
LONG = 'long = { sampler = { steps = 20000, solver = "euler" } }\n'  # the word to stop reaches it long before its end


@pytest.mark.parametrize("flags, failures", [(["--fail-fast"], 1), (["--max-fail", "1"], 1), (["--max-fail", "2"], 2)])
def test_after_so_many_failures_nothing_is_begun(lab, flags, failures):
    done = lab.run(EXACT + "[variants]\n" + "".join([*BAD[:failures], LONG, *BAD[failures:]]), *flags, code=1)
    assert f"stopping: {failures} failed" in done.stderr
    assert len(list(lab.results.glob(".stages/*/failure.json"))) == failures
    assert lab.plan().to_do()["sample"] == 4


def test_rerun(lab):
    lab.run(FAILING, code=1)
    before = lab.made()
    done = lab.run(None, "--rerun", "failed", code=1)
    assert done.stderr.count(" failed: ") == 2 and lab.made() == before
    lab.run(None, "--rerun", "all", "--only", "good", "--seeds", "1")
    after = lab.made()
    assert after.keys() == before.keys() and sum(after[k] != before[k] for k in before) == 2
    assert lab.call("run", "m.toml", "--rerun", "failed", "--only", "good").returncode == 5


# --- claims in the exit code

@pytest.mark.parametrize("holds, code, word", [
    ("moments.covariance[heun] >= 0", 0, "pass"), ("moments.covariance[heun] < 0", 1, "fail"), ("moments.mean[heun] = moments.mean[heun]", 0, "pass"),
    ("moments.covariance[heun, S=2] < moments.covariance[heun, S=2] + 1e-300 * moments.mean[heun, S=4]", 1, "fail")])
def test_a_failed_claim_is_exit_1(lab, holds, code, word):
    done = lab.run(EXACT + "seeds = 3\n" + SOLVERS + f'[claims.c]\nsays = "it is so"\nholds = "{holds}"\ndecide = "every-seed"\n', code=code)
    assert re.search(rf"claim c +{word} +it is so", done.stdout), done.stdout
    lab.run(code=code)  # and again, where nothing is to do


def test_an_undecided_claim_is_exit_0(lab):
    done = lab.run(EXACT + SOLVERS + '[claims]\nc = { holds = "moments.mean[heun] < 9" }\n')
    assert re.search(r"claim c +undecided", done.stdout) and "at least two" in done.stdout


# --- frozen

SLOW = TRAINED.replace("steps = 20", "steps = 4000, log_every = 10").replace("sample    = { count = 16 }", "sample    = { count = 64 }")


def begun(lab, run):
    """Waits until a stage has shown a row of its training."""
    end = time.monotonic() + 60
    while not any('"stream":"train"' in f.read_text().replace(" ", "") for f in lab.results.glob(".stages/*/journal.jsonl")):
        assert run.poll() is None and time.monotonic() < end


def test_editing_the_manifest_and_the_plugin_during_a_run_changes_nothing(lab):
    mine = lab.folder / "mine"
    mine.mkdir()
    shutil.copy(BUILD / "plugins/pf-ode.so", mine / "pf-ode.so")
    text = 'plugins = ["mine"]\n' + SLOW + SOLVERS
    lab.run(text, "--results", "undisturbed")
    run = lab.start("run", "m.toml")
    begun(lab, run)
    lab.write("this is no manifest")
    (mine / "pf-ode.so").rename(lab.folder / "away.so")  # as a build replaces it: another file under its name
    (mine / "pf-ode.so").write_text("this is no library")
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    shutil.move(lab.folder / "away.so", mine / "pf-ode.so")
    assert lab.plan(text).to_do() == {}
    assert lab.values(name="trained") == lab.values("moments.covariance", "trained", "--results", "undisturbed")


def test_a_killed_run_goes_on(lab):
    text = SLOW + "seeds = 2\n" + SOLVERS
    lab.run(text, "--results", "undisturbed")
    run = lab.start("run", "m.toml", "-j", "2")
    begun(lab, run)
    os.killpg(run.pid, signal.SIGKILL)  # the hosts notice the end of their pipe, and checkpoint
    run.communicate(timeout=60)
    assert lab.plan().to_do()
    lab.run()
    assert lab.plan().to_do() == {}
    assert lab.values(name="trained") == lab.values("moments.covariance", "trained", "--results", "undisturbed")
