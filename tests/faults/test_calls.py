"""A call that fails, once or from then on, at each file and each kind of call."""

import errno
import os
import resource
import shutil
import subprocess

import h5py
import pytest

from disturbed import FILES, ONLY_TRAINED, PLAIN, TRAINED, Bench, Fault, differences, endures, slow, told
from lab import program

FAILS = {
    "open": ["EACCES", "EMFILE", "ENOSPC", "EIO", "EDQUOT"],
    "write": ["ENOSPC", "EIO", "EDQUOT"],
    "sync": ["EIO", "ENOSPC", "EDQUOT"],
    "close": ["EIO", "EDQUOT", "ENOSPC"],
    "rename": ["ENOSPC", "EIO", "EACCES", "EDQUOT"],
    "mkdir": ["ENOSPC", "EACCES", "EDQUOT", "EIO"],
}


def reference_of(kind, request):
    return request.getfixturevalue("trained" if kind in ONLY_TRAINED else "plain")


def tried(tmp_path, request, kind, calls, what, first=1, times=1, needed=True, program=""):
    """Disturbs the `first`-th of these calls (as a share of all: 0 .. 1 where it is no integer)."""
    reference = reference_of(kind, request)
    count = reference.count(kind, calls)
    if count == 0 and not needed:
        pytest.skip(f"no {calls} of {kind}")
    n = first if isinstance(first, int) else 1 + round(first * (count - 1))
    bench = Bench(tmp_path / "bench", **{reference.name: TRAINED if reference.name == "trained" else PLAIN})
    fault = Fault(calls, f"results/,{FILES[kind][0]}", what, n, times, program)
    done, wrong = endures(bench, reference.name, reference.numbers, [fault], FILES[kind][1])
    assert done.hits > 0 or not needed, f"the {n}th {calls} of {kind} never came"
    assert not wrong, "\n".join(wrong) + f"\n{fault}\n{done}"


@pytest.mark.parametrize(
    "kind, calls, what, first",
    [
        ("samples", "write", "ENOSPC", 7),
        ("samples", "write", "EIO", 1.0),
        slow("samples", "write", "EIO", 1),
        slow("samples", "close", "EIO", 0.5),
        ("trace", "write", "EIO", 2),
        ("checkpoint", "write", "EIO", 0.4),
        slow("checkpoint", "write", "ENOSPC", 1.0),
        ("stage.json", "write", "ENOSPC", 1),
        slow("spec.json", "write", "EIO", 1),
        ("journal", "write", "ENOSPC", 0.5),
        slow("journal", "sync", "EIO", 1.0),
        ("run.h5", "write", "EIO", 0.5),
    ],
)
def test_a_call_that_fails_once(tmp_path, request, kind, calls, what, first):
    tried(tmp_path, request, kind, calls, what, first)


@pytest.mark.parametrize(
    "kind, calls, what",
    [
        ("samples", "open", "EMFILE"),
        slow("trace", "rename", "EDQUOT"),
        ("checkpoint", "sync", "EIO"),
        slow("stage.json", "open", "EACCES"),
        ("resolved.json", "write", "EDQUOT"),
        ("experiment.json", "rename", "ENOSPC"),
        slow("journal", "open", "EACCES"),
        ("plugin", "write", "ENOSPC"),
        slow("run.jsonl", "open", "EACCES"),
    ],
)
def test_calls_that_fail_from_the_first_on(tmp_path, request, kind, calls, what):
    tried(tmp_path, request, kind, calls, what, 1, 0)


@pytest.mark.parametrize("kind, what", [("spec.json", "EMFILE"), *(slow(k, w) for k in FILES for w in ("EMFILE", "EIO"))])
def test_a_host_that_cannot_open_a_file(tmp_path, request, kind, what):
    """What the front end has written."""
    tried(tmp_path, request, kind, "open", what, 1, 0, needed=False, program="/scorelab-host")


@pytest.mark.parametrize("n", [1, 2, slow(3), slow(4)])
def test_a_journal_that_cannot_be_opened_now_keeps_its_rows(tmp_path, trained, n):
    bench = Bench(tmp_path / "bench", trained=TRAINED)
    bench.run("trained", faults=[Fault("write", "results/,journal.jsonl", "KILL", 14, 1, "/scorelab-host")])
    first, wrong = endures(bench, "trained", trained.numbers, [Fault("open", "journal.jsonl", "EMFILE", n, 1, "/scorelab-host")], "journal")
    assert not wrong, f"{wrong}\n{first}"


@pytest.mark.parametrize("kind", ["samples", slow("journal")])
def test_short_writes_change_nothing(tmp_path, request, kind):
    reference = reference_of(kind, request)
    bench = Bench(tmp_path / "bench", plain=PLAIN)
    done, wrong = endures(bench, "plain", reference.numbers, [Fault("write", f"results/,{FILES[kind][0]}", "SHORT", 1, 0)])
    assert done.code == 0 and not wrong, f"{wrong}\n{done}"


@pytest.mark.slow
@pytest.mark.parametrize("calls", FAILS)
@pytest.mark.parametrize("kind", FILES)
def test_every_call_that_fails_from_the_first_on(tmp_path, request, kind, calls):
    for what in FAILS[calls]:
        tried(tmp_path / what, request, kind, calls, what, 1, 0, needed=False)


@pytest.mark.slow
@pytest.mark.parametrize("share", [k / 10 for k in range(11)])
@pytest.mark.parametrize("calls, what", [("write", "EIO"), ("sync", "EIO"), ("close", "ENOSPC")])
@pytest.mark.parametrize("kind", FILES)
def test_a_call_anywhere_that_fails_once(tmp_path, request, kind, calls, share, what):
    tried(tmp_path, request, kind, calls, what, share, needed=False)


@pytest.mark.slow
@pytest.mark.parametrize("n", range(1, 16))
def test_every_write_of_samples_that_fails_once(tmp_path, request, n):
    tried(tmp_path, request, "samples", "write", "ENOSPC", n)


@pytest.mark.parametrize("share", [0.3, *(slow(k / 20) for k in range(20))])
def test_killed_at_a_write_the_next_run_ends_right_and_leaves_nothing(tmp_path, trained, share):
    bench = Bench(tmp_path / "bench", trained=TRAINED)
    writes = sum(f in ("write", "pwrite", "writev", "pwrite64") for _, _, _, f, _ in trained.calls)
    killed = bench.run("trained", faults=[Fault("write", "results/", "KILL", 1 + round(share * writes))])
    assert killed.hits > 0
    bench.run("trained", code=0)
    assert not differences(bench.outcome("trained"), trained.numbers)
    assert not bench.leftovers()


def test_what_killed_writers_left_goes_with_the_next_run(tmp_path, plain):
    """What a process that lives is writing stays."""
    bench = plain.bench.copy(tmp_path / "bench")
    sample = bench.stages("sample")[0]
    folders = [sample, sample / "samples", bench.stages("evaluate")[0], bench.results / "plain", bench.results / ".plugins"]
    for folder in folders:
        (folder / "stage.json").unlink(missing_ok=True)
        (folder / ".lost.4194304.tmp").write_bytes(b"x" * 512)
    (sample / f".new.{os.getpid()}.tmp").touch()
    bench.run("plain", code=0)
    assert bench.leftovers() == [str((sample / f".new.{os.getpid()}.tmp").relative_to(bench.folder))]
    assert not differences(bench.outcome("plain"), plain.numbers)


def resumed(bench, reference):
    """The next run goes on from a checkpoint that is right."""
    done = bench.run("trained", code=0)
    assert not differences(bench.outcome("trained"), reference.numbers), done
    text = (bench.stages("train")[0] / "journal.jsonl").read_text()
    assert '"resume"' in text and '"restart"' not in text, f"no checkpoint was left\n{text}"


@pytest.mark.parametrize("what, calls", [("ENOSPC", "write"), slow("EIO", "close"), slow("EDQUOT", "sync")])
def test_a_disk_that_is_full_now_and_then_leaves_a_checkpoint_that_is_right(tmp_path, trained, what, calls):
    """A failing call near the end of the second checkpoint, and of the third and of the fourth, should it come to that."""
    bench = Bench(tmp_path / "bench", trained=TRAINED)
    each = trained.count("checkpoint", calls) / 4
    path = f"results/,{FILES['checkpoint'][0]}"
    done = bench.run("trained", faults=[Fault(calls, path, what, max(1, round(k * each) - 2)) for k in (2, 3, 4)])
    assert done.hits > 0 and done.code == 1, done
    wrong = told(done.err, "checkpoint", os.strerror(getattr(errno, what)))
    assert not wrong, f"{wrong}\n{done}"
    files = sorted(next(bench.results.glob(".stages/*/checkpoint*.h5")).parent.glob("checkpoint*.h5"))
    assert any(opens(f) for f in files), files
    resumed(bench, trained)


@pytest.mark.parametrize("what", ["EMFILE", slow("EIO"), slow("EACCES")])
def test_a_checkpoint_that_cannot_be_opened_now_is_not_taken_for_damaged(tmp_path, trained, what):
    bench = Bench(tmp_path / "bench", trained=TRAINED)
    bench.run("trained", faults=[Fault("rename", "results/,stage.json", "KILL")])
    checkpoint = bench.stages("train")[0] / "checkpoint.h5"
    before = checkpoint.read_bytes()
    done = bench.run("trained", faults=[Fault("open", "results/,checkpoint", what, 1, 0, "/scorelab-host")])
    assert done.hits > 0 and done.code == 1, done
    assert checkpoint.exists() and checkpoint.read_bytes() == before, f"{os.listdir(checkpoint.parent)}\n{done}"
    wrong = told(done.err, "checkpoint", os.strerror(getattr(errno, what)))
    assert not wrong, f"{wrong}\n{done}"
    resumed(bench, trained)


def opens(file):
    try:
        with h5py.File(file) as f:
            return int(f.attrs["step"]) > 0 and all(item[()] is not None for item in f["parameters"].values())
    except Exception:
        return False


QUOTA = """
mount -t tmpfs -o size=$1k tmpfs "$2" || exit 99
cd "$2" && cp ../trained.toml . && "$3" run trained.toml >../out 2>../err
code=$?
cp -r results ../results
exit $code
"""


@pytest.mark.slow
@pytest.mark.parametrize("free", range(500, 1000, 20))
def test_a_small_file_system(tmp_path, trained, free):
    if not shutil.which("unshare"):
        pytest.skip("no unshare for a mount of one's own")
    bench = Bench(tmp_path / "bench", trained=TRAINED)
    (bench.folder / "disk").mkdir()
    user = [] if os.geteuid() == 0 else ["-r"]
    done = subprocess.run(
        ["unshare", *user, "-m", "sh", "-c", QUOTA, "sh", str(free), "disk", str(program())],
        cwd=bench.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=bench.environment(),
        timeout=300,
    )
    if done.returncode == 99 or b"unshare" in done.stderr:
        pytest.skip("mounts are not allowed here")
    said = (bench.folder / "err").read_text()
    assert done.returncode in (0, 1), said
    if done.returncode == 1:
        wrong = told(said, None, os.strerror(errno.ENOSPC))
        assert not wrong, f"{wrong}\n{said}"
    bench.run("trained", code=0)
    assert not differences(bench.outcome("trained"), trained.numbers)


@pytest.mark.parametrize("size", [slow(1024), slow(4096), 16000, 33000, slow(40000)])
def test_a_limit_on_the_size_of_files(tmp_path, trained, size):
    """SIGXFSZ where a program does not ignore it."""
    bench = trained.bench.copy(tmp_path / "bench")
    for folder in [bench.results / "trained", *(bench.results / ".stages").iterdir()]:
        shutil.rmtree(folder)
    _, wrong = endures(
        bench,
        "trained",
        trained.numbers,
        [],
        None,
        [os.strerror(errno.EFBIG), "size of files", "file size limit"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    assert not wrong, "\n".join(wrong)
