"""A plugin outside of scorelab's tree: built by ten lines of CMake against an installed scorelab, then run from a manifest."""
import os
import pathlib
import shutil
import subprocess

import pytest
from projects import sh

HERE = pathlib.Path(__file__).resolve().parent


def build(source, folder, prefix, *arguments):
    sh("cmake", "-S", source, "-B", folder, f"-DCMAKE_PREFIX_PATH={prefix}", *arguments)
    sh("cmake", "--build", folder)
    return folder


def stamp(file):
    raw = subprocess.run(["objcopy", "--dump-section", "scorelab=/dev/stdout", file, "/dev/null"], capture_output=True, check=True).stdout
    return raw.decode().split("\0")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy: the project stands alone, with nothing of the repository beside it."""
    out = tmp_path_factory.mktemp("consumer") / "source"
    shutil.copytree(HERE, out, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return out


@pytest.fixture(scope="module")
def built(source, prefix, tmp_path_factory):
    return build(source, tmp_path_factory.mktemp("build"), prefix)


@pytest.fixture(scope="module")
def scorelab(prefix, tmp_path_factory):
    environment = dict(os.environ, SCORELAB_CACHE=str(tmp_path_factory.mktemp("cache")), NO_COLOR="1")

    def call(*arguments):
        command = [str(a) for a in (prefix / "bin/scorelab", *arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    return call


def test_the_project_is_small(source):
    lines = [line for line in (source / "CMakeLists.txt").read_text().splitlines() if line.strip()]
    assert len(lines) <= 10 and any("find_package(scorelab REQUIRED)" in line for line in lines)


def test_one_symbol(built):
    symbols = [line.split() for line in sh("nm", "-D", "--defined-only", built / "midpoint.so").splitlines()]
    assert [(kind, name) for _, kind, name in symbols] == [("T", "scorelab_create")]


def test_stamp_survives_strip(built, tmp_path):
    sh("strip", "-s", "-o", tmp_path / "stripped.so", built / "midpoint.so")
    assert (tmp_path / "stripped.so").stat().st_size < (built / "midpoint.so").stat().st_size
    records = stamp(tmp_path / "stripped.so")
    assert records == stamp(built / "midpoint.so")
    assert records[0] == "scorelab-plugin"
    fields = dict(r.split("=", 1) for r in records[1:] if r)
    assert fields["kind"] == "sampler" and fields["name"] == "midpoint" and fields["version"] == "1.0.0"
    assert set(fields) == {"kind", "name", "version", "summary", "api", "torch", "cxx11abi", "gxxabi", "compiler", "source", "sdk"}
    assert len(fields["source"]) == 64 and len(fields["sdk"]) == 64


@pytest.mark.skipif(not os.environ.get("SCORELAB_SLOW"), reason="slow, a build of its own: SCORELAB_SLOW=1 runs it")
def test_stamp_survives_gc_sections(source, prefix, tmp_path):
    folder = build(source, tmp_path, prefix, "-DCMAKE_CXX_FLAGS=-ffunction-sections -fdata-sections", "-DCMAKE_C_FLAGS=-fdata-sections",
                   "-DCMAKE_MODULE_LINKER_FLAGS=-Wl,--gc-sections")
    records = stamp(folder / "midpoint.so")
    assert "name=midpoint" in records and any(r.startswith("source=") for r in records)


def test_runs_from_a_manifest(built, scorelab, tmp_path):
    import h5py

    # A Gaussian of standard deviation 2 in closed form: x_0 is x_T stretched by std / prior_std, up to the rule's error.
    (tmp_path / "midpoint.toml").write_text(
        f'plugins = ["{built}"]\ndataset = {{ plugin = "gaussian", dim = 2, std = [2.0] }}\nscheduler = "vp"\n'
        'network = "exact-gaussian"\nsampler = { plugin = "midpoint", steps = 200 }\n'
        'sample = { count = 8 }\nrun = { chunk = 8, precision = "float64" }\n')
    r = scorelab("run", tmp_path / "midpoint.toml", "--results", tmp_path / "results")
    assert r.returncode == 0, r.stderr
    with h5py.File(tmp_path / "results/midpoint/run.h5") as f:
        ours, nfe = f["samples/x"][...], f["samples/nfe"][...]
    assert (nfe == 400).all()
    theirs = scorelab("run", tmp_path / "midpoint.toml", "--results", tmp_path / "heun", "-s", "sampler.plugin=pf-ode", "-s", "sampler.solver=rk4", "-s", "name=midpoint")
    assert theirs.returncode == 0, theirs.stderr
    with h5py.File(tmp_path / "heun/midpoint/run.h5") as f:
        exact = f["samples/x"][...]
    assert abs(exact).max() > 1  # samples, not zeros
    assert abs(ours - exact).max() < 1e-3


def copied(source, folder, plugin):
    """The project again, whose plugin's file is PLUGIN.so."""
    shutil.copytree(source, folder)
    lists = folder / "CMakeLists.txt"
    lists.write_text(lists.read_text().replace("(midpoint ", f"({plugin} "))
    return folder


def test_a_missing_symbol_is_a_link_error(source, together, tmp_path):
    broken = copied(source, tmp_path / "source", "broken")
    text = (broken / "midpoint.cpp").read_text()
    (broken / "midpoint.cpp").write_text(text.replace("namespace {", "double undefined_half();\nnamespace {", 1).replace("half * h", "undefined_half() * h"))
    done = together.build(broken, "broken")
    assert done.returncode != 0 and "undefined_half" in done.stdout + done.stderr


def test_an_edited_header_is_another_source(source, together, tmp_path):
    project = copied(source, tmp_path / "source", "edited")
    first = stamp(together.built(project, "edited"))
    (project / "half.h").write_text("#pragma once\nconstexpr double half = 0.25;\n")
    assert stamp(together.built(project, "edited")) != first


def test_a_built_in_sampler_is_a_starting_point(together, tmp_path):
    project = tmp_path / "source"
    project.mkdir()
    shutil.copy(HERE.parents[1] / "plugins/samplers/euler-maruyama.cpp", project / "mine.cpp")
    (project / "CMakeLists.txt").write_text((HERE / "CMakeLists.txt").read_text().replace("midpoint", "mine"))
    together.built(project, "mine")
