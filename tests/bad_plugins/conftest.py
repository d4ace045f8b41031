"""The scorelab under test, the plugins of this folder, built for it, and a run of a tiny experiment with them."""
import json
import os
import pathlib
import resource
import subprocess
import types

import pytest
from tiny import PROGRAM, REPO

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # crashes are meant


@pytest.fixture(scope="session")
def prefix(tmp_path_factory):
    """An installed tree: the program's own, or its build tree installed."""
    root = PROGRAM.parents[1]
    if (root / "lib/cmake/scorelab").exists():
        return root
    out = tmp_path_factory.mktemp("installed")
    subprocess.run(["cmake", "--install", root, "--prefix", out], check=True, capture_output=True)
    return out


@pytest.fixture(scope="session")
def plugins(tmp_path_factory, request):
    """The folder of NAME/NAME.so: $SCORELAB_BAD_PLUGINS, the program's build tree, or built here against the installed tree."""
    for folder in (os.environ.get("SCORELAB_BAD_PLUGINS"), PROGRAM.parents[1] / "tests/bad_plugins"):
        if folder and (pathlib.Path(folder) / "good/good.so").exists():
            return pathlib.Path(folder).absolute()
    build = tmp_path_factory.mktemp("build")
    configure = ["cmake", "-S", REPO / "tests/bad_plugins", "-B", build, f"-DCMAKE_PREFIX_PATH={request.getfixturevalue('prefix')}"]
    for command in (configure, ["cmake", "--build", build]):
        subprocess.run(command, check=True)
    return build / "tests/bad_plugins"


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def scorelab(tmp_path, cache):
    """scorelab(*arguments) -> code, out, err; whatever a plugin does, the front end neither crashes nor shows an exception."""

    def call(*arguments, program=PROGRAM, internal=False, fresh=False):
        environment = dict(os.environ, SCORELAB_CACHE=str(tmp_path / "cache" if fresh else cache), NO_COLOR="1")
        done = subprocess.run([program, *map(str, arguments)], cwd=tmp_path, env=environment, capture_output=True, timeout=120)
        r = types.SimpleNamespace(code=done.returncode, out=done.stdout.decode(errors="replace"), err=done.stderr.decode(errors="replace"))
        assert 0 <= r.code < 128, (r.code, r.err)
        assert "terminate called" not in r.err
        assert internal or ("internal" not in r.err and r.code != 3), r.err
        return r

    return call


@pytest.fixture
def run(tmp_path, scorelab):
    """run(sampler, plugin folder, ..): a run of four samples of a 2-D Gaussian; beside code, out, err: keys, samples."""

    def call(sampler, *folders, network="exact-gaussian", name="tiny", check_only=False, arguments=(), **options):
        quoted = json.dumps([str(f) for f in folders])
        (tmp_path / "tiny.toml").write_text(
            f'name = "{name}"\nplugins = {quoted}\ndataset = {{ plugin = "gaussian", dim = 2 }}\nscheduler = "vp"\n'
            f'network = "{network}"\nsampler = {sampler}\nsample = {{ count = 4 }}\nrun = {{ chunk = 4, precision = "float64" }}\n'
        )
        if check_only:
            return scorelab("check", "tiny.toml", **options)
        r = scorelab("run", "tiny.toml", "--results", "results", *arguments, **options)
        experiment = tmp_path / "results" / name / "experiment.json"
        if experiment.exists():
            cell = json.loads(experiment.read_text())["replicates"][0]
            r.keys = [s["key"] for s in cell["stages"]]
        if r.code == 0:
            import h5py

            with h5py.File(tmp_path / "results" / name / "run.h5") as f:
                r.x = f["samples/x"][...]
        return r

    return call
