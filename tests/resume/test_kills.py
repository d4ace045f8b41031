"""kill -9 at any moment, then the same command again: the same bits as without."""
import fcntl
import os
import random
import shutil

import h5py
import pytest

from lab import ROWS, Lab, alive, lines, rows, same, until

WHO = ("host", "both", "front")
PHASES = ("train", "sample", "write")
HIT = {}  # (phase, who) -> how often a kill landed there


def temporaries(lab, folders, pids=None):
    """Files that a writer has begun and not yet renamed: their names end in its pid."""
    found = []
    for folder in folders:
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            continue
        found += [f"{folder.name}/{n}" for n in names if n.endswith(".tmp") and (pids is None or int(n.split(".")[-2]) in pids)]
    return found


def places(lab, whole, who):
    """Where a kill of `who` interrupts a writer: the front end writes the view, the host the stages' files."""
    s = {k: lab.results / f.relative_to(whole.results) for k, f in whole.stages().items()}
    view = [lab.results / lab.name]
    stage = [s["train"], s["sample"] / "samples", s["sample"], s["evaluate moments"]]
    return s, view if who == "front" else stage if who == "host" else stage + view


def trigger(lab, live, whole, phase, who, rng):
    """Waits until the disk shows that the phase has come to a random point; False when the run ended first."""
    s, written = places(lab, whole, who)
    if phase == "train":
        journal = s["train"] / "journal.jsonl"
        before = len(rows(journal, "train"))
        last = max([r["step"] for r in rows(journal, "train")], default=0)
        target = before + rng.randint(1, max(1, ROWS - last // 10 - 2))
        def ready():
            return len(rows(journal, "train")) >= target
    elif phase == "sample":
        folder = s["sample"] / "samples"
        target = rng.randint(0, 14)
        def ready():
            return (s["sample"] / "journal.jsonl").exists() and sum(not n.startswith(".") for n in (os.listdir(folder) if folder.exists() else ())) >= target
    else:
        # The n-th file that is being written; a random one of them.
        seen, target = set(), rng.randint(1, 4 if who == "front" else 60)
        def ready():
            now = temporaries(lab, written)
            fresh = [n for n in now if n not in seen or target <= len(seen)]
            seen.update(now)
            return bool(now) and len(seen) >= min(target, 3) and (len(seen) >= target or rng.random() < 0.02) and bool(fresh)
    until(lambda: live.ended() or ready(), every=0 if phase == "write" else 0.0005, what=f"the phase {phase}")
    return not live.ended()


def phase_of(lab, whole, who, pids):
    """Where the kill landed, by what it left on the disk."""
    s, written = places(lab, whole, who)
    if temporaries(lab, written, pids):
        return "write"
    if not (s["train"] / "stage.json").exists():
        return "train" if rows(s["train"] / "journal.jsonl", "train") else "start"
    if not (s["sample"] / "stage.json").exists():
        return "sample" if (s["sample"] / "journal.jsonl").exists() else "between"
    return "end"


def reported(lab):
    return {(label, r["stream"], r["step"]): r for label, f in lab.stages().items() for r in rows(f / "journal.jsonl")} if (lab.results / lab.name / "experiment.json").exists() else {}


def kept(lab, before):
    """Every row that was reported before the kill is in run.h5, with its values."""
    with h5py.File(lab.h5()) as f:
        for (_, stream, step), row in before.items():
            steps = list(f[f"metrics/{stream}/step"][()])
            assert step in steps, f"the row {step} of {stream}, reported before the kill, is gone"
            for name, value in row.items():
                if name not in ("stream", "step", "wall", "rate", "seconds"):
                    assert f[f"metrics/{stream}/{name}"][steps.index(step)] == value, (stream, step, name)


def kill_and_go_on(folder, whole, reference, phase, who, seed):
    rng = random.Random(seed)
    lab, history = Lab(folder), []
    for attempt in range(30):
        live = lab.start()
        host = live.host()
        came = host is not None and trigger(lab, live, whole, phase, who, rng)
        code = live.kill(who, host)
        if not came:
            shutil.rmtree(lab.results, ignore_errors=True)  # it was faster than we: once more from the beginning
            continue
        landed = phase_of(lab, whole, who, {live.pid, host})
        history.append(landed)
        HIT[landed, who] = HIT.get((landed, who), 0) + 1
        if who == "host" and landed != "end":
            assert code == 1 and "SIGKILL" in live.stderr(), live.stderr()[-2000:]
        if landed == phase:
            break
        if landed == "end" or (phase == "train" and landed != "train"):
            shutil.rmtree(lab.results)  # the phase is over: once more from the beginning
    assert history and history[-1] == phase, f"no kill of {who} landed in {phase}: {history}"
    before = reported(lab)
    lab.run()
    print(f"kill -9 of {who}: landed in {history}; {len(before)} rows had been reported")
    kept(lab, before)
    same(lab, reference)


@pytest.mark.parametrize("phase, who, seed", [("train", "host", 1), ("sample", "both", 2), ("write", "both", 3)])
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, whole, reference, phase, who, seed):
    kill_and_go_on(tmp_path / "lab", whole, reference, phase, who, seed)


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("seed", (101, 102, 103))
def test_a_killed_run_goes_on_to_the_same_bits_slow(tmp_path, whole, reference, phase, who, seed):
    kill_and_go_on(tmp_path / "lab", whole, reference, phase, who, 1000 * seed + 10 * PHASES.index(phase) + WHO.index(who))


def test_the_kills_landed_in_every_phase():
    if not HIT:
        pytest.skip("needs the tests above")
    print("kills by (phase, who):", dict(sorted(HIT.items())), "in all", sum(HIT.values()))
    assert {p for p, _ in HIT} >= set(PHASES)


def test_a_run_killed_again_and_again_goes_on_to_the_same_bits(tmp_path, whole, reference):
    """Ten kills of one run, each a few rows after the last resume."""
    rng = random.Random(7)
    lab = Lab(tmp_path / "lab")
    before = {}
    for kill in range(10):
        live = lab.start()
        host = live.host()
        journal = lab.results / whole.stages()["train"].relative_to(whole.results) / "journal.jsonl"
        size, more = len(lines(journal)), rng.randint(1, 24)
        until(lambda: live.ended() or len(lines(journal)) >= size + more, what="more rows")
        assert not live.ended(), "the experiment is too small for ten kills"
        live.kill(rng.choice(("host", "both", "front")), host)
        before.update(reported(lab))
    lab.run()
    kept(lab, before)
    same(lab, reference)


def test_a_front_end_killed_leaves_a_host_that_ends_after_a_checkpoint(tmp_path, whole, reference):
    lab = Lab(tmp_path / "lab")
    live = lab.start()
    host = live.host()
    train = lab.results / whole.stages()["train"].relative_to(whole.results)
    until(lambda: len(rows(train / "journal.jsonl", "train")) >= 41, what="41 rows")
    live.kill("front", None)
    until(lambda: not alive(host), what="the host's own end")
    assert not (train / "stage.json").exists(), "the host finished the stage: it did not notice"
    with h5py.File(train / "checkpoint.h5") as f:
        step = int(f.attrs["step"])
    assert step >= max(r["step"] for r in rows(train / "journal.jsonl", "train")), "no checkpoint was written at the stop"
    lab.run()
    same(lab, reference)


def test_a_run_waits_for_a_stage_that_another_host_has(tmp_path, whole, reference):
    """The stage's lock is held, as by the host of a front end that was killed a moment ago: what needs the stage is not begun before it is done."""
    lab = Lab(tmp_path / "lab")
    train = lab.results / whole.stages()["train"].relative_to(whole.results)
    train.mkdir(parents=True)
    shutil.copy(whole.stages()["train"] / "spec.json", train)
    with open(train / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        live = lab.start()
        until(lambda: live.ended() or "waiting for it" in live.stderr(), what="the host that finds the stage taken")
    code = live.wait()
    assert code == 0, live.stderr()[-2000:]
    same(lab, reference)
