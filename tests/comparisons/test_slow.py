"""A hundred small runs killed ten times, and 32 programs on one results folder. Slow: SCORELAB_SLOW=1 runs it."""
import json
import os
import random
import signal

import pytest

from comparing import EXACT, SOLVERS, TRAINED, Lab

pytestmark = pytest.mark.skipif(not os.environ.get("SCORELAB_SLOW"), reason="slow: SCORELAB_SLOW=1 runs it")
HUNDRED = TRAINED.replace("steps = 20, batch = 8", "steps = 150, batch = 8, log_every = 10, checkpoint_every = 25") + "seeds = 25\n" + SOLVERS  # 25 trainings, 100 runs


def hosts_of(pid):
    out = []
    for folder in os.listdir("/proc"):
        if not folder.isdigit():
            continue
        try:
            with open(f"/proc/{folder}/stat") as f, open(f"/proc/{folder}/cmdline", "rb") as c:
                if int(f.read().rsplit(")", 1)[1].split()[1]) == pid and b"\0work\0" in c.read():
                    out.append(int(folder))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return out


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def rows(lab):
    """Every whole row on disk: (stage, stream, step) -> what it says, the time that it took aside."""
    out = {}
    for file in lab.results.glob(".stages/*/journal.jsonl"):
        data = file.read_text()
        for line in data[: data.rfind("\n") + 1].splitlines():
            row = json.loads(line)
            if "stream" in row and "step" in row and "event" not in row:
                out[file.parent.name, row["stream"], row["step"]] = {k: v for k, v in row.items() if k not in ("wall", "seconds", "rate")}
    return out


@pytest.mark.parametrize("seed", [1])
def test_a_sweep_of_a_hundred_runs_killed_ten_times_ends_complete(lab, seed):
    dice = random.Random(seed)
    undisturbed = Lab(lab.folder / "undisturbed")
    undisturbed.folder.mkdir()
    undisturbed.run(HUNDRED)
    expected = rows(undisturbed)
    total = len(lab.plan(HUNDRED).stages)
    assert total == 25 + 100 + 100
    made, seen, run = {}, {}, None
    for kill in range(10):
        run = run or lab.start("run", "m.toml", "-j", "2")
        target = len(made) + dice.randint(5, total // 15)
        while run.poll() is None and (len(lab.made()) < target or not hosts_of(run.pid)):
            pass
        if run.poll() is not None:  # a stage whose host was killed is a failed one; what else there was is done
            run = lab.start("run", "m.toml", "-j", "2")
            while run.poll() is None and not hosts_of(run.pid):
                pass
        assert run.poll() is None, f"nothing was left for kill {kill}"
        hosts = hosts_of(run.pid)
        who = dice.choice(["hosts", "front", "all"])
        for pid in {"hosts": hosts, "front": [run.pid], "all": [*hosts, run.pid]}[who]:
            os.killpg(pid, signal.SIGKILL)
        if who != "hosts":  # a front end that lost its hosts starts others
            run.communicate(timeout=120)
            run = None
            while any(alive(host) for host in hosts):  # they end by themselves when their front end is gone
                pass
        now, lines = lab.made(), rows(lab)
        assert all(now.get(key) == then for key, then in made.items()), "a stage that was done was done again"
        assert all(lines.get(key) == row for key, row in seen.items()), "a row that was reported is gone"
        made, seen = now, lines
    if run:
        run.communicate(timeout=300)
    lab.run()
    assert lab.plan().to_do() == {} and len(lab.made()) == total
    assert all(lab.made()[key] == then for key, then in made.items())
    assert rows(lab) == expected


def test_32_programs_on_one_results_folder(lab):
    lab.write(EXACT + "seeds = 20\n" + SOLVERS)
    total = len(lab.plan().stages)
    runs = [lab.start("run", "m.toml") for _ in range(32)]
    for run in runs:
        out, err = run.communicate(timeout=600)
        assert run.returncode == 0, err[-2000:]
        assert "lock" not in err, err[-2000:]
    assert len(lab.made()) == total and lab.plan().to_do() == {}
    done = {}
    for key in lab.plan().keys():
        begun = [line for line in lab.journal(key) if line.get("event") == "resume"]
        done[key] = len(begun)
    assert not any(done.values()), "a stage was begun twice"
