"""Several at work in one results folder, and what is deleted under a run."""

import shutil

import pytest

from disturbed import HASTY, PLAIN, Bench, Fault, differences, slow

COUNTS = {n: PLAIN.replace('"plain"', f'"count{n}"').replace("count = 96", f"count = {n}") for n in (64, 96, 128, 192, 256)}
VARIANTS = PLAIN.replace('"plain"', '"variants"').replace('sampler   = { plugin = "euler-maruyama", steps = 8 }\n', "") + """
[variants]
first  = { sampler = { plugin = "euler-maruyama", steps = 8 } }
second = { sampler = { plugin = "euler-maruyama", steps = 9 } }
"""


@pytest.fixture(scope="session")
def counted(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("counted") / "bench", **{f"count{n}": text for n, text in COUNTS.items()})
    for n in COUNTS:
        bench.run(f"count{n}", code=0)
    return {"key": bench.stages("sample", "count96")[0].name, **{n: bench.outcome(f"count{n}") for n in COUNTS}}


def differ(bench, n, counted):
    """The stream of the sampling tells of all samples that are stored, as many as the largest count."""
    return [k for k in differences(bench.outcome(f"count{n}"), counted[n]) if " metrics/sample/" not in k]


def all_end_right(bench, lives, counted):
    wrong = []
    for n, live in lives.items():
        code = live.wait(240)
        if code != 0:
            wrong.append(f"count {n} ended with {code}\n{live.stderr()[-1500:]}")
        elif lacks := differ(bench, n, counted):
            wrong.append(f"count {n} differs in {lacks[:5]}\n{live.stderr()[-1500:]}")
    assert not wrong, "\n".join(wrong)
    for n in lives:
        bench.run(f"count{n}", code=0)
        assert not differ(bench, n, counted)


# Where the first run is held while the second begins.
HELD = {
    "in the samples": Fault("write", "/samples/", "STOP", 3, 1, "/scorelab-host"),
    "at stage.json": Fault("rename", "stage.json", "STOP", 1, 1, "/scorelab-host"),
    "before the metric": Fault("open", "samples/00000000.h5", "STOP", 2, 1, "/scorelab-host"),
    "at its spec": Fault("rename", "spec.json", "STOP", 1, 1, "/scorelab"),
    "at the metric's spec": Fault("rename", "spec.json", "STOP", 2, 1, "/scorelab"),
    "at its experiment": Fault("rename", "experiment.json", "STOP", 1, 1, "/scorelab"),
}


@pytest.mark.parametrize(
    "first, second, held",
    [(96, 192, "in the samples"), (192, 96, "at its spec"), (96, 192, "before the metric")]
    + [slow(a, b, h) for h in HELD for a, b in [(96, 192), (192, 96), (64, 256)]],
)
def test_two_runs_ask_one_sampling_for_different_counts(tmp_path, counted, first, second, held):
    bench = Bench(tmp_path / "bench", **{f"count{n}": COUNTS[n] for n in (first, second)})
    with bench.start("run", f"count{first}.toml", faults=[HELD[held]]) as one:
        one.held()
        with bench.start("run", f"count{second}.toml", faults=[Fault("open", "experiment.json", "STOP", 1, 1, "/scorelab")]) as two:
            two.held()
            two.go_on()
            all_end_right(bench, {first: one, second: two}, counted)


def test_a_run_keeps_its_samples_while_another_extends_them(tmp_path, counted):
    bench = Bench(tmp_path / "bench", **{f"count{n}": COUNTS[n] for n in (96, 192)})
    bench.run("count96", code=0)
    with bench.start("run", "count192.toml", faults=[Fault("write", "/samples/", "STOP", 1, 1, "/scorelab-host")]) as other:
        other.held()
        (bench.results / "count96" / "run.h5").unlink()
        assert "0 to do" in bench.run("count96", code=0).err
        assert not differ(bench, 96, counted)
        measured = bench.run("count96", "-s", "metrics=['moments','sliced-wasserstein']", code=0)
        assert "1 to do" in measured.err, measured
    with bench.start("run", "count192.toml", faults=[Fault("write", "/samples/", "STOP", 1, 1, "/scorelab-host")]) as again:
        again.held()  # the other was killed: what it set aside still is
        assert "0 to do" in bench.run("count96", code=0).err
        all_end_right(bench, {192: again}, counted)


@pytest.mark.parametrize("rounds", [1, slow(12)])
def test_many_runs_ask_one_sampling_for_different_counts(tmp_path, counted, rounds):
    for turn in range(rounds):
        bench = Bench(tmp_path / f"bench{turn}", **{f"count{n}": text for n, text in COUNTS.items()})
        lives = {n: bench.start("run", f"count{n}.toml", "-j", 1 + n % 3 // 2) for n in COUNTS}
        try:
            all_end_right(bench, lives, counted)
        finally:
            for live in lives.values():
                live.__exit__()


def test_a_run_that_asks_for_less_takes_nothing_from_one_that_asks_for_more(tmp_path, counted):
    """Between a spec that is handed over and the host that takes it another run hands over its own, again and again."""
    bench = Bench(tmp_path / "bench", **{f"count{n}": COUNTS[n] for n in (192, 256)})
    fault = Fault("open", f"{counted['key']}/lock", "STOP", 1, 0, "/scorelab-host")
    with bench.start("run", "count256.toml", faults=[fault]) as more:
        for _ in range(6):
            more.settles()
            with bench.start("run", "count192.toml", faults=[fault]) as less:
                less.settles()
                more.go_on()
                more.settles()
        all_end_right(bench, {256: more}, counted)


# gc.

MOMENTS = {
    "at its experiment": Fault("rename", "experiment.json", "STOP", 1, 1, "/scorelab"),
    "at its spec": Fault("rename", "spec.json", "STOP", 1, 1, "/scorelab"),
    "at the metric's spec": Fault("rename", "spec.json", "STOP", 2, 1, "/scorelab"),
    "at a plugin": Fault("rename", "/.plugins/", "STOP", 1, 1, "/scorelab"),
    "before its host has a stage": Fault("open", "journal.jsonl", "STOP", 1, 1, "/scorelab-host"),
    "in the samples": Fault("write", "/samples/", "STOP", 8, 1, "/scorelab-host"),
    "between two stages": Fault("rename", "stage.json", "STOP", 1, 1, "/scorelab-host"),
    "at run.h5": Fault("rename", "run.h5", "STOP", 1, 1, "/scorelab"),
}


@pytest.fixture(scope="session")
def littered(tmp_path_factory):
    """A results folder with stages that no experiment refers to, of the sampling that `plain` does too and of another."""
    bench = Bench(
        tmp_path_factory.mktemp("littered") / "bench", plain=PLAIN, gone=PLAIN.replace('"plain"', '"gone"').replace("[3]", "[3, 7]")
    )
    bench.run("gone", code=0)
    shutil.rmtree(bench.results / "gone")
    return bench


@pytest.mark.parametrize(
    "moment, stages",
    [("before its host has a stage", "new"), ("at its experiment", "without an experiment")]
    + [slow(m, s) for m in MOMENTS for s in ("new", "without an experiment")],
)
def test_gc_beside_a_run(tmp_path, plain, littered, moment, stages):
    """What the run uses was made anew, or lay there as what gc would take."""
    bench = littered.copy(tmp_path / "bench") if stages != "new" else Bench(tmp_path / "bench", plain=PLAIN)
    if stages != "new" and moment not in ("at its experiment", "at run.h5"):
        for file in bench.results.glob(".stages/*/stage.json"):
            file.unlink()
    if stages != "new" and moment == "at a plugin":
        pytest.skip("they are there")
    if stages != "new" and moment == "in the samples":
        for file in bench.results.glob(".stages/*/samples/*.h5"):
            file.unlink()
    with bench.start("run", "plain.toml", faults=[MOMENTS[moment]]) as run:
        run.held()
        with bench.start("gc", faults=[Fault("open,rename,unlink", "/.stages/", "STOP", 1, 1, "/scorelab")]) as gc:
            gc.settles()
            gc.go_on()
            run.go_on()
            codes = run.wait(), gc.wait()
        assert codes == (0, 0), f"{codes}\n{run.stderr()}\n{gc.stderr()}"
    assert not differences(bench.outcome("plain"), plain.numbers)
    again = bench.run("plain", code=0)
    assert "0 to do" in again.err, f"gc took what the run has made\n{again}"


@pytest.mark.parametrize("call", ["rename", slow("unlink"), slow("open")])
def test_gc_beside_gc(tmp_path, littered, plain, call):
    bench = littered.copy(tmp_path / "bench")
    bench.run("plain", code=0)
    with bench.start(
        "gc", faults=[Fault(call, ".stages" if call == "open" else "results/", "STOP", 3 if call == "open" else 1, 1, "/scorelab")]
    ) as first:
        try:
            first.held()
        except AssertionError:
            assert call == "unlink", first.stderr()  # it moves, and removes nothing
        with bench.start("gc") as second:
            second.settles()
            first.go_on()
            codes = first.wait(), second.wait()
        assert codes == (0, 0), f"{codes}\n{first.stderr()}\n{second.stderr()}"
        assert not first.stderr() and not second.stderr()
    assert "nothing to remove" in bench.call("gc", "-n").out
    assert not differences(bench.outcome("plain"), plain.numbers)


# Deleted during a run.


@pytest.fixture(scope="session")
def variants(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("variants") / "bench", variants=VARIANTS)
    bench.run("variants", code=0)
    return bench, bench.outcome("variants")


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


VICTIMS = {
    "a spec.json to come": ("evaluate", "spec.json"),
    "a stage to come": ("evaluate", "."),
    "the spec.json at work": ("sample", "spec.json"),
    "the stage at work": ("sample", "."),
    "its samples": ("sample", "samples"),
    "its journal": ("sample", "journal.jsonl"),
    "its resolved.json": ("sample", "resolved.json"),
}


@pytest.mark.parametrize(
    "victim, moment",
    [("a spec.json to come", "in the samples"), ("the stage at work", "in the samples"), ("a stage to come", "at stage.json")]
    + [slow(v, m) for v in VICTIMS for m in ("in the samples", "at stage.json")],
)
def test_deleted_during_a_run(tmp_path, variants, victim, moment):
    """That stage is not done, or is made again; the other variant goes on; the next run repairs."""
    bench = Bench(tmp_path / "bench", variants=VARIANTS)
    kind, file = VICTIMS[victim]
    with bench.start(
        "run",
        "variants.toml",
        faults=[Fault("rename", "/samples/" if moment == "in the samples" else "stage.json", "STOP", 1, 1, "/scorelab-host")],
    ) as live:
        live.held()
        remove((bench.stages(kind, label="first")[0] / file).resolve())
        code = live.wait()
        said = live.stderr()
    assert code in (0, 1) and not HASTY.search(said), f"exit {code}\n{said}"
    found = bench.metrics("variants") or {}
    right = {k.removeprefix("metrics of "): v for k, v in variants[1].items() if k.startswith("metrics of ")}
    assert all(right[run].get(m) == v for run, metrics in found.items() for m, v in metrics.items()), f"{found}\n{said}"
    assert all(found.get(run) == metrics for run, metrics in right.items() if "second" in run), f"the other variant did not go on\n{said}"
    if code == 0:
        assert not differences(bench.outcome("variants"), variants[1]), said
    again = bench.run("variants")
    assert again.code == 0 and not differences(bench.outcome("variants"), variants[1]), again


@pytest.mark.parametrize("moment", ["in the samples", slow("at stage.json"), slow("at its spec"), slow("at its experiment")])
def test_all_results_are_deleted_during_a_run(tmp_path, plain, moment):
    bench = Bench(tmp_path / "bench", plain=PLAIN)
    with bench.start("run", "plain.toml", faults=[HELD[moment]]) as live:
        live.held()
        shutil.rmtree(bench.results)
        code = live.wait()
        said = live.stderr()
    assert code in (0, 1) and not HASTY.search(said), f"exit {code}\n{said}"
    if code == 0:
        assert not differences(bench.outcome("plain"), plain.numbers), said
    again = bench.run("plain")
    assert again.code == 0 and not differences(bench.outcome("plain"), plain.numbers), again
