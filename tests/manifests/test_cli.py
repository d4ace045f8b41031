"""The command line's promises: exit codes, suggestions, JSON, streams, and how soon `check` answers."""

import json
import os
import pty
import re
import shutil
import subprocess

import pytest
from program import BAD, CACHE, GOOD, PROGRAM, environment, scorelab

VERBS = ("check", "run", "show", "ls", "list", "doctor")
TINY = """name      = "tiny"
question  = "Does it run?"
dataset   = "gaussian"
scheduler = "vp"
network   = "exact-gaussian"
sampler   = { plugin = "ancestral", steps = 3 }
sample    = { count = 8 }
metrics   = ["moments"]
run       = { device = "cpu", threads = 1 }
"""
ESCAPE = "\x1b"


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ran")
    (folder / "tiny.toml").write_text(TINY)
    return folder, scorelab("run", "tiny.toml", cwd=folder)


# --- exit codes

def test_exit_0(ran):
    folder, done = ran
    assert done.returncode == 0, done.stderr
    assert list((folder / "results/tiny").rglob("run.h5"))


@pytest.mark.parametrize("arguments, code", [
    (["check", "good/one-level.toml"], 0), (["--help"], 0), (["--version"], 0), (["check", "--help"], 0), (["list"], 0), (["list", "sampler/pf-ode"], 0), (["list", "pf-ode"], 0), (["list", "train"], 0),
    (["check", "bad/key-run.toml"], 2), (["run", "bad/key-run.toml"], 2), ([], 2), (["chek"], 2), (["check"], 2), (["check", "good/one-level.toml", "--jso"], 2), (["list", "nothing"], 2),
    (["list", "sampler/nothing"], 5), (["ls", "--results", "/nonexistent"], 5), (["show", "nothing", "--results", "/nonexistent"], 5)])
def test_exit_codes(arguments, code):
    assert scorelab(*arguments).returncode == code


def test_exit_4_device(tiny):
    done = scorelab("run", "tiny.toml", "-s", "run.device=cuda:99", cwd=tiny)
    assert done.returncode == 4, done.stderr
    assert "cuda:99" in done.stderr and "run.device" in done.stderr
    assert done.stdout == ""


def test_exit_4_plugin(tiny):
    (tiny / "mine").mkdir()
    (tiny / "mine/broken.so").write_text("this is no library")
    (tiny / "tiny.toml").write_text('plugins = ["mine"]\n' + TINY.replace('"vp"', '"broken"'))
    done = scorelab("check", "tiny.toml", cwd=tiny)
    assert done.returncode == 4, done.stderr
    assert "scheduler `broken` cannot be used" in done.stderr and "mine/broken.so" in done.stderr
    (tiny / "tiny.toml").write_text('plugins = ["mine"]\n' + TINY.replace('"vp"', '"broken"').replace("chunk", "chnk").replace('"ancestral"', '"ancestrall"'))
    assert scorelab("check", "tiny.toml", cwd=tiny).returncode == 2, "a mistake in the manifest comes before what is unavailable"


def test_a_broken_file_does_not_stop_the_others(tiny):
    (tiny / "mine").mkdir()
    (tiny / "mine/broken.so").write_text("")
    (tiny / "tiny.toml").write_text('plugins = ["mine"]\n' + TINY)
    assert scorelab("check", "tiny.toml", cwd=tiny).returncode == 0
    assert scorelab("list", "--plugins", "mine", cwd=tiny).returncode == 0


def test_nothing_is_started_by_a_wrong_manifest(tiny):
    (tiny / "tiny.toml").write_text(TINY + "wibble = 1\n")
    assert scorelab("run", "tiny.toml", cwd=tiny).returncode == 2
    assert not (tiny / "results").exists()
    assert scorelab("check", "tiny.toml", cwd=tiny).stderr.rstrip().endswith("1 error; nothing was started")


# --- help and suggestions

def test_a_walk_that_does_not_go_down_is_found_before_anything_starts(tiny):
    done = scorelab("run", "tiny.toml", "-s", "sampler.from=0.1", "-s", "sampler.to=0.5", cwd=tiny)
    assert done.returncode == 2 and "step `ancestral` cannot be used here" in done.stderr and "tiny.toml:6:" in done.stderr
    assert "no steps go down from `from` = 0.1 to `to` = 0.5" in done.stderr and not (tiny / "results").exists()


def test_help_lists_verbs_and_exit_codes():
    text = scorelab("--help").stdout
    for verb in VERBS:
        assert re.search(rf"^  {verb}\b", text, re.M), verb
    assert "Exit codes: 0 done" in text
    assert scorelab("--help").stderr == ""


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb(verb):
    done = scorelab(verb, "--help")
    assert done.returncode == 0 and "--" in done.stdout and done.stderr == ""


@pytest.mark.parametrize("typed, meant", [("chekc", "check"), ("rnu", "run"), ("shwo", "show"), ("lits", "list"), ("docter", "doctor"), ("checks", "check")])
def test_nearest_verb(typed, meant):
    done = scorelab(typed, "x.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"there is no command `{typed}`; did you mean `{meant}`?" in done.stderr


@pytest.mark.parametrize("typed, meant", [("check x.toml --jsn", "--json"), ("run x.toml --result r", "--results"), ("run x.toml --quite", "--quiet"), ("list --plugin p", "--plugins"), ("check x.toml --ste a=1", "--set")])
def test_nearest_flag(typed, meant):
    done = scorelab(*typed.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert f"did you mean `{meant}`?" in done.stderr


def test_a_far_verb_gets_no_suggestion():
    done = scorelab("frobnicate")
    assert done.returncode == 2 and "did you mean" not in done.stderr and "scorelab --help" in done.stderr


def test_nearest_experiment(ran):
    done = scorelab("show", "tinny", cwd=ran[0])
    assert done.returncode == 5 and "did you mean `tiny`?" in done.stderr


# --- JSON

@pytest.mark.parametrize("arguments", [["check", "good/one-level.toml", "--json"], ["check", "bad/several.toml", "--json"], ["check", "bad/toml-no-equals.toml", "--json"], ["check", "nothing.toml", "--json"],
                                       ["list", "--json"], ["list", "sampler", "--json"], ["list", "step/langevin", "--json"], ["doctor", "--json"], ["ls", "--json"]], ids=" ".join)
def test_json(arguments):
    done = scorelab(*arguments)
    out = json.loads(done.stdout)
    assert out["schema"] == 1
    assert done.stderr == ""


@pytest.mark.parametrize("table", ["output", "train", "sample", "run"])
def test_json_of_a_table(table):
    assert json.loads(scorelab("list", table, "--json").stdout)["schema"] == 1


def test_json_of_problems():
    done = scorelab("check", "several.toml", "--json", cwd=BAD)
    out = json.loads(done.stdout)
    assert done.returncode == 2 and out["ok"] is False
    lines = [(p["line"], p["column"]) for p in out["problems"]]
    assert lines == sorted(lines) and len(lines) == 9
    assert all(p["file"] == "several.toml" and p["message"] for p in out["problems"])


def test_json_of_what_was_run(ran):
    folder, _ = ran
    runs = json.loads(scorelab("ls", "--json", cwd=folder).stdout)
    assert runs["schema"] == 1 and runs["runs"][0]["experiment"] == "tiny" and runs["runs"][0]["state"] == "done"
    shown = json.loads(scorelab("show", "tiny", "--json", cwd=folder).stdout)
    assert shown["schema"] == 1
    again = scorelab("run", "tiny.toml", "--json", cwd=folder)
    assert json.loads(again.stdout)["schema"] == 1


# --- streams and colours

def test_results_on_stdout_and_progress_on_stderr(ran):
    folder, done = ran
    assert "moments" in done.stdout
    assert "to do" not in done.stdout and "to do" in done.stderr
    quiet = scorelab("run", "tiny.toml", "-q", "--results", "other", cwd=folder)
    assert quiet.returncode == 0 and quiet.stderr == "" and "moments" in quiet.stdout


def test_no_escape_codes_in_a_pipe(ran):
    folder, done = ran
    for d in (done, scorelab("check", "bad/several.toml"), scorelab("list"), scorelab("list", "sampler/pf-ode"), scorelab("show", "tiny", cwd=folder), scorelab("ls", cwd=folder), scorelab("--help")):
        assert ESCAPE not in d.stdout + d.stderr


def on_a_terminal(*arguments, cwd, **changes):
    """What it writes to a terminal as stdout and stderr."""
    here, there = pty.openpty()
    child = subprocess.Popen([str(PROGRAM), *arguments], cwd=cwd, env=environment(TERM="xterm", **changes), stdin=subprocess.DEVNULL, stdout=there, stderr=there)
    os.close(there)
    out = b""
    try:
        while chunk := os.read(here, 65536):
            out += chunk
    except OSError:  # the terminal's other end is closed
        pass
    os.close(here)
    child.wait(60)
    return out.decode()


@pytest.mark.parametrize("arguments", [["check", "several.toml"], ["list", "sampler/pf-ode"]], ids=" ".join)
def test_colours_on_a_terminal_unless_no_color(arguments):
    assert ESCAPE in on_a_terminal(*arguments, cwd=BAD)
    assert ESCAPE not in on_a_terminal(*arguments, cwd=BAD, NO_COLOR="1")
    assert ESCAPE in on_a_terminal(*arguments, cwd=BAD, NO_COLOR=""), "no-color.org: present and not empty"


# --- with what

@pytest.fixture
def copied(tmp_path):
    """A copy of the program, which finds its folder by where it lies, among links to all that lies about it."""
    root = tmp_path / "program"
    folder = root / PROGRAM.parent.name
    folder.mkdir(parents=True)
    for item in PROGRAM.parents[1].iterdir():
        if item != PROGRAM.parent:
            (root / item.name).symlink_to(item)
    for item in PROGRAM.parent.iterdir():
        if item != PROGRAM:
            (folder / item.name).symlink_to(item)
    return shutil.copy2(PROGRAM, folder / PROGRAM.name)


def test_a_warm_check_starts_no_host(copied):
    manifests = sorted(GOOD.glob("*.toml")) + [BAD / "several.toml", BAD / "relation-vp.toml", BAD / "plugin-metric.toml"]

    def check():
        # The host takes its own folder for that of the link's target: both are told where the data lie.
        data = str(PROGRAM.parents[1] / "share/scorelab/data")
        done = [scorelab("check", m.name, cwd=m.parent, program=copied, SCORELAB_DATA=data) for m in manifests]
        return [(m.name, d.returncode, d.stdout, d.stderr) for m, d in zip(manifests, done)]

    warm = check()
    assert {m: code for m, code, _, _ in warm} == {m.name: 0 if m.parent == GOOD else 2 for m in manifests}
    (copied.parent / "scorelab-host").unlink()
    assert check() == warm


def test_a_cold_check_needs_the_host(copied, tmp_path):
    """The test above proves something."""
    (copied.parent / "scorelab-host").unlink()
    cold = scorelab("check", "one-level.toml", cwd=GOOD, program=copied, SCORELAB_CACHE=str(tmp_path / "cold"))
    assert cold.returncode != 0 and "scorelab-host" in cold.stderr and "Traceback" not in cold.stderr


def test_a_missing_host_is_unavailable(copied, tmp_path):
    (copied.parent / "scorelab-host").unlink()
    assert scorelab("check", "one-level.toml", cwd=GOOD, program=copied, SCORELAB_CACHE=str(tmp_path / "cold")).returncode == 4


@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_a_check_loads_no_cuda(cache, tmp_path):
    scorelab("check", "exact-slots.toml", cwd=GOOD)
    where = CACHE if cache == "warm" else str(tmp_path / "cache")
    scorelab("check", "exact-slots.toml", cwd=GOOD, SCORELAB_CACHE=where, LD_DEBUG="files", LD_DEBUG_OUTPUT=str(tmp_path / "ld"))
    files = list(tmp_path.glob("ld.*"))
    loaded = "".join(f.read_text(errors="replace") for f in files)
    assert "libc.so" in loaded
    assert "libcuda.so" not in loaded and "libtorch_cuda" not in loaded
    if cache == "warm":
        assert len(files) == 1 and "libtorch" not in loaded, "one process, without LibTorch"
    else:
        assert "libtorch_cpu" in loaded, "the host was seen too"


def test_a_plugin_is_listed_by_its_name():
    assert scorelab("list", "pf-ode").stdout == scorelab("list", "sampler/pf-ode").stdout != ""
    assert "did you mean `pf-ode`?" in scorelab("list", "pf-od").stderr
    assert scorelab("list", "train").stdout.startswith("[train]")
