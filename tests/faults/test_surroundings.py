"""A host that cannot start, a file system without locks, outputs that are full or closed, signals, folders that may only be read."""

import errno
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile

import h5py
import pytest

from disturbed import HASTY, PLAIN, TRAINED, Bench, Fault, alive, differences, slow, told, until
from lab import program

# A host that cannot start.


@pytest.fixture()
def cannot_load(tmp_path):
    """A LibTorch that does not load."""
    (tmp_path / "torch/lib").mkdir(parents=True)
    (tmp_path / "torch/lib/libtorch_cpu.so").touch()
    return {"SCORELAB_TORCH": str(tmp_path / "torch")}


def ends_at_once(bench, live, words):
    """Ends with 4 after one host or two, with the loader's words on stderr."""
    with live:
        until(lambda: live.ended() or live.stderr().count(words) > 2, 120, what=f"the end\n{live.stderr()[-1000:]}")
        assert live.ended(), f"it starts the host again and again\n{live.stderr()[-2000:]}"
        said = live.stderr()
        assert live.process.returncode == 4, f"exit {live.process.returncode}\n{said}"
        assert 1 <= said.count(words) <= 2, said
        assert not HASTY.search(said), said


@pytest.mark.parametrize("hosts", [slow(1), 2])
def test_a_host_that_cannot_load_libtorch(tmp_path, plain, cannot_load, hosts):
    """The plugins' schemas are known by then (case 06-host-loop)."""
    bench = Bench(tmp_path / "bench", plain=PLAIN)
    ends_at_once(bench, bench.start("run", "plain.toml", "-j", hosts, more=cannot_load), "file too short")
    bench.run("plain", code=0)
    assert not differences(bench.outcome("plain"), plain.numbers)


def test_a_host_that_cannot_load_libtorch_where_nothing_is_known(tmp_path, cannot_load):
    bench = Bench(tmp_path / "bench", plain=PLAIN)
    ends_at_once(bench, bench.start("run", "plain.toml", more={**cannot_load, "SCORELAB_CACHE": str(tmp_path / "cold")}), "file too short")


def test_a_host_for_which_memory_is_too_short(tmp_path, plain):
    if b"__asan_init" in program().read_bytes():
        pytest.skip("the address sanitizer needs more memory than this")
    bench = Bench(tmp_path / "bench", plain=PLAIN)
    done = bench.run("plain", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20)), limit=120)
    assert done.code == 4 and not HASTY.search(done.err), done
    assert 1 <= done.err.count("libtorch") <= 2 or "memory" in done.err.lower(), done
    bench.run("plain", code=0)
    assert not differences(bench.outcome("plain"), plain.numbers)


@pytest.mark.parametrize("most", [8, *(slow(n) for n in range(4, 24))])
def test_a_limit_on_open_files(tmp_path, plain, most):
    """Too low for the program, for its host, for a file: each says so."""
    if b"__asan_init" in program().read_bytes():
        pytest.skip("the sanitizers open files themselves")
    bench = Bench(tmp_path / "bench", plain=PLAIN)
    done = bench.run("plain", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)), limit=120)
    assert done.code in (0, 1, 4), done
    if done.code != 0:
        wrong = told(done.err, None, os.strerror(errno.EMFILE))
        assert not wrong, f"{wrong}\n{done}"
        bench.run("plain", code=0)
    assert not differences(bench.outcome("plain"), plain.numbers)


# A file system without locks.


@pytest.mark.parametrize("user", ["/scorelab-host", slow("/scorelab"), ""])
def test_a_file_system_without_locks(tmp_path, plain, user):
    bench = Bench(tmp_path / "bench", plain=PLAIN)
    with bench.start("run", "plain.toml", faults=[Fault("lock", "lock", "ENOLCK", 1, 0, user)]) as live:
        until(lambda: live.ended() or "at work in another run" in live.stderr(), 120, what=f"the end\n{live.stderr()[-1000:]}")
        said = live.stderr()
        assert "at work in another run" not in said, said
        assert live.process.returncode == 1, f"exit {live.process.returncode}\n{said}"
        assert not told(said, "lock", "No locks available") and "file system" in said, said
    bench.run("plain", code=0)
    assert not differences(bench.outcome("plain"), plain.numbers)


# Outputs.

OUTPUTS = {
    "stderr is full": "2>/dev/full",
    "stdout is full": ">/dev/full",
    "both are full": ">/dev/full 2>&1",
    "stderr is closed": "2>&-",
    "stdout is closed": ">&-",
    "all are closed": "<&- >&- 2>&-",
    "its reader goes": "2>&1 | head -1",
    "its reader has gone": "2>&1 | true",
}


@pytest.mark.parametrize(
    "case", [c if c in ("both are full", "stderr is closed", "all are closed", "its reader goes") else slow(c) for c in OUTPUTS]
)
def test_the_work_goes_on_where_its_output_cannot(tmp_path, plain, case):
    bench = Bench(tmp_path / "bench", plain=PLAIN)
    script = f'"$1" run plain.toml {OUTPUTS[case]}; exit 0'
    done = subprocess.run(
        ["bash", "-c", script, "bash", str(program())],
        cwd=bench.folder,
        env=bench.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
    )
    assert not HASTY.search((done.stdout + done.stderr).decode()), done
    assert (bench.results / "plain/run.h5").exists(), "the run did not end"
    assert not differences(bench.outcome("plain"), plain.numbers), done
    listed = json.loads(bench.call("ls", "--json").out)["runs"]
    assert [r["state"] for r in listed] == ["done"]
    for journal in bench.results.rglob("*.jsonl"):
        assert all(
            line.startswith("{") and line.endswith("}") for line in journal.read_text().splitlines()
        ), f"something was written into {journal}"
    for lock in bench.results.rglob("lock"):
        assert lock.stat().st_size == 0, f"something was written into {lock}"


@pytest.mark.parametrize(
    "what", ["export plain", "export plain --json", "ls", "ls --json", "compare plain", "show plain", "list", "plan plain.toml", "gc -n"]
)
def test_a_table_that_is_lost_is_no_success(plain, what):
    done = subprocess.run(
        ["bash", "-c", f'"$1" {what} >/dev/full', "bash", str(program())],
        cwd=plain.bench.folder,
        env=plain.bench.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    said = done.stderr.decode()
    assert done.returncode == 1, f"exit {done.returncode}\n{said}"
    assert "stdout" in said and not HASTY.search(said), said


def test_a_reader_that_has_had_enough_is_no_failure(tmp_path):
    """Of more than is collected before it is written."""
    bench = Bench(tmp_path / "bench", many=PLAIN.replace("seeds     = [3]", "seeds     = 1000"))
    script = '"$1" plan many.toml --json | head -c 1; echo "${PIPESTATUS[0]}"'
    done = subprocess.run(["bash", "-c", script, "bash", str(program())], cwd=bench.folder, env=bench.environment(),
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    assert len(bench.call("plan", "many.toml", "--json").out) > 1 << 18, "it fits into a pipe"
    assert done.stdout[1:] == b"0\n" and not done.stderr, done


# Signals.

SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
@pytest.mark.parametrize("path", ["plain.toml", slow(".stages")])
def test_a_signal_while_planning(tmp_path, plain, path, number):
    bench = plain.bench.copy(tmp_path / "bench")
    if path == ".stages":
        for file in (bench.results / ".stages").glob("*/stage.json"):
            file.unlink()
    with bench.start("run", "plain.toml", faults=[Fault("open", path, "STOP", 1, 1, "/scorelab")]) as live:
        live.held()
        os.kill(live.process.pid, number)
        assert live.wait() == 75, live.stderr()
    bench.run("plain", code=0)
    assert not differences(bench.outcome("plain"), plain.numbers)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
def test_a_signal_in_a_training(tmp_path, trained, number):
    """The host is held at a row; it goes on when the front end has told that it stops."""
    bench = Bench(tmp_path / "bench", trained=TRAINED)
    with bench.start("run", "trained.toml", faults=[Fault("write", "results/,journal.jsonl", "STOP", 12, 1, "/scorelab-host")]) as live:
        host = live.held()
        os.kill(live.process.pid, number)
        live.says("stopping")
        assert live.wait() == 75, live.stderr()
        until(lambda: not alive(host), what="the host's end")
    train = bench.stages("train")[0]
    last = max(
        json.loads(line).get("step", 0)
        for line in (train / "journal.jsonl").read_text().splitlines()
        if '"loss"' in line and '"column"' not in line
    )
    with h5py.File(train / "checkpoint.h5") as f:
        assert int(f.attrs["step"]) >= last > 0, "what was reported last is not in the checkpoint"
    bench.run("trained", code=0)
    assert not differences(bench.outcome("trained"), trained.numbers)


LEARNT = TRAINED.replace('"trained"', '"learnt"').replace('"vp"', '{ plugin = "ddpm-linear", T = 4, beta_end = 0.5 }')
LEARNT = LEARNT.replace('"denoising-score-matching"', '{ plugin = "ddpm", times = "loss-second-moment" }')
LEARNT = LEARNT.replace('{ plugin = "euler-maruyama", steps = 8 }', '"ancestral"')


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("learnt") / "bench", learnt=LEARNT)
    bench.run("learnt", code=0, faults=[Fault("write", "results/,journal.jsonl", "NOTHING", 1, 0, "/scorelab-host")])
    return bench


def test_a_signal_in_an_evaluation_loses_nothing_that_was_learnt(tmp_path, learnt):
    """The host is held at the row before the evaluation of step 20, so that this is where it finds that it is to stop."""
    journal = learnt.stages("train")[0] / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    row = next(i for i, line in enumerate(lines) if line.get("stream") == "train" and line.get("step") == 20)
    bench = Bench(tmp_path / "bench", learnt=LEARNT)
    with bench.start("run", "learnt.toml", faults=[Fault("write", "results/,journal.jsonl", "STOP", row + 1, 1, "/scorelab-host")]) as live:
        live.held()
        os.kill(live.process.pid, signal.SIGTERM)
        live.says("stopping")
        assert live.wait() == 75, live.stderr()
    with h5py.File(bench.stages("train")[0] / "checkpoint.h5") as f:
        assert int(f.attrs["step"]) == 20 and f["training/objective.loss_history"].shape == (4, 11)
    bench.run("learnt", code=0)
    assert not differences(bench.outcome("learnt"), learnt.outcome("learnt"))


def test_a_signal_that_was_ignored_from_the_start_stays_so(tmp_path, trained):
    """nohup, which does so, is how a run outlives its terminal."""
    bench = Bench(tmp_path / "bench", trained=TRAINED)
    held = Fault("write", "results/,journal.jsonl", "STOP", 12, 1, "/scorelab-host")
    with bench.start("run", "trained.toml", faults=[held], preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as live:
        live.held()
        os.kill(live.process.pid, signal.SIGHUP)
        assert live.wait() == 0, live.stderr()
    assert not differences(bench.outcome("trained"), trained.numbers)


def test_two_signals_at_once_stop_the_hosts_too(tmp_path, trained):
    """A terminal that closes and a service manager send two: HUP and TERM."""
    bench = Bench(tmp_path / "bench", trained=TRAINED)
    with bench.start("run", "trained.toml", faults=[Fault("write", "results/,journal.jsonl", "STOP", 12, 1, "/scorelab-host")]) as live:
        live.held()
        os.kill(live.process.pid, signal.SIGSTOP)
        os.kill(live.process.pid, signal.SIGHUP)
        os.kill(live.process.pid, signal.SIGTERM)
        os.kill(live.process.pid, signal.SIGCONT)
        live.says("stopping")
        assert live.wait() == 75, live.stderr()
    assert not (bench.stages("train")[0] / "stage.json").exists(), "the training went on to its end"
    bench.run("trained", code=0)
    assert not differences(bench.outcome("trained"), trained.numbers)


# Readers.

READERS = ["show plain", "ls", "ls --json", "compare plain", "export plain", "export plain --json", "gc -n", "plan plain.toml"]


@pytest.fixture(scope="module")
def read_only(plain):
    """What may only be read: a done run and one that was stopped, in a folder of another user where we are root."""
    as_other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    if as_other and not shutil.which("setpriv"):
        pytest.skip("root may write anywhere, and there is no setpriv")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="faults-"))
    bench = plain.bench.copy(folder / "bench")
    bench.manifest("begun", PLAIN.replace('"plain"', '"begun"').replace("[3]", "[6]"))
    bench.run("begun", faults=[Fault("write", "/samples/", "KILL", 7)])
    subprocess.run(["chmod", "-R", "a+rX,a-w", str(folder)], check=True)
    yield bench, as_other
    subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
    shutil.rmtree(folder)


@pytest.mark.parametrize("what", READERS)
def test_readers_need_no_permission_to_write(plain, read_only, what):
    bench, as_other = read_only
    environment = {
        **bench.environment(),
        "HOME": "/nonexistent",
        "SCORELAB_CACHE": "/nonexistent/cache",
        "XDG_CONFIG_HOME": "/nonexistent/config",
    }
    may = subprocess.run(
        [*as_other, str(program()), "--version"], cwd=bench.folder, env=environment, capture_output=True, stdin=subprocess.DEVNULL
    )
    if may.returncode != 0:
        pytest.skip(f"another user may not run the program: {may.stderr.decode()}")
    done = subprocess.run(
        [*as_other, str(program()), *what.split()],
        cwd=bench.folder,
        env=environment,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    said = done.stderr.decode()
    assert done.returncode == 0, f"exit {done.returncode}\n{said}"
    assert "Permission denied" not in said and not HASTY.search(said), said
    if what != "gc -n":
        own = bench.call(*what.split())
        assert done.stdout.decode() == own.out, "another user sees something else"


def test_a_run_where_nothing_may_be_written(plain, read_only):
    """Says so, and changes nothing."""
    bench, as_other = read_only
    environment = {**bench.environment(), "HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent/config"}
    environment["SCORELAB_CACHE"] = "/nonexistent/cache"
    done = subprocess.run(
        [*as_other, str(program()), "run", "begun.toml"],
        cwd=bench.folder,
        env=environment,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    said = done.stderr.decode()
    assert done.returncode == 1 and not told(said, "results", "Permission denied"), f"exit {done.returncode}\n{said}"
