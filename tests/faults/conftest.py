import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "resume"))  # lab.py

from disturbed import FILES, PLAIN, TRAINED, Bench, Fault  # noqa: E402

EVERYTHING = Fault("open,write,sync,close,rename,mkdir,truncate", "results/", "NOTHING")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: every call, file and bit; run with SCORELAB_SLOW=1 or -m slow")


def pytest_collection_modifyitems(config, items):
    if os.environ.get("SCORELAB_SLOW") == "1" or "slow" in (config.getoption("-m") or ""):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="SCORELAB_SLOW=1 or -m slow"))


@pytest.fixture(scope="session", autouse=True)
def library(tmp_path_factory):
    compiler = next((c for c in (os.environ.get("CC"), "cc", "gcc", "clang") if c and shutil.which(c)), None)
    if not compiler:
        pytest.skip("no C compiler for faulty.c")
    built = tmp_path_factory.mktemp("library") / "faulty.so"
    source = pathlib.Path(__file__).with_name("faulty.c")
    made = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-U_FORTIFY_SOURCE", "-o", built, source, "-ldl"],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    Bench.library = built


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    os.environ["SCORELAB_CACHE"] = str(tmp_path_factory.mktemp("cache"))


class Reference:
    """An undisturbed run: the bench, its numbers, and the calls that it made."""

    def __init__(self, folder, name, text):
        self.bench, self.name = Bench(folder, **{name: text}), name
        self.bench.run(name, code=0, faults=[EVERYTHING])
        self.numbers = self.bench.outcome(name)
        self.calls = self.bench.calls()
        assert len(self.calls) > 100, "the library did not see the calls"
        for file in [*self.bench.folder.glob("calls.*"), *self.bench.folder.glob("counts.*")]:
            file.unlink()

    def count(self, kind, calls):
        """How many calls of a kind concern a kind of file."""
        functions = {
            "open": ("open", "fopen"),
            "write": ("write", "pwrite", "send", "copy"),
            "sync": ("fsync", "fdatasync"),
            "close": ("close",),
            "rename": ("rename",),
            "mkdir": ("mkdir",),
            "truncate": ("ftruncate",),
        }[calls]
        return sum(f.startswith(functions) and FILES[kind][0] in path for _, _, _, f, path in self.calls)


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    return Reference(tmp_path_factory.mktemp("plain"), "plain", PLAIN)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    return Reference(tmp_path_factory.mktemp("trained"), "trained", TRAINED)
