"""docs/tutorial.md word for word against an installed tree: its commands are run, its sources are written where they say."""
import pathlib
import re
import subprocess

import pytest
from projects import sh

TUTORIAL = pathlib.Path(__file__).resolve().parents[2] / "docs/tutorial.md"
KINDS = ["sampler", "step", "scheduler", "network", "objective", "guide", "initial", "dataset", "space", "metric"]


def blocks():
    return re.findall(r"^```(sh|cpp)\n(.*?)^```$", TUTORIAL.read_text(), re.M | re.S)


def test_the_tutorial(prefix, tmp_path):
    here, said = tmp_path, ""
    for kind, text in blocks():
        if kind == "cpp":
            (tmp_path / re.match(r"// (\S+)\n", text)[1]).write_text(text.split("\n", 1)[1])
            continue
        if text.startswith("$PREFIX/bin/scorelab new"):
            here = tmp_path
        done = subprocess.run(["bash", "-e", "-c", text + "\npwd"], cwd=here, env={"PATH": "/usr/local/bin:/usr/bin:/bin", "PREFIX": str(prefix), "HOME": str(tmp_path)},
                              capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, text + done.stdout + done.stderr
        here, said = pathlib.Path(done.stdout.splitlines()[-1]), said + done.stdout
    assert "certified: 16 passed, 0 failed" in said and "100% tests passed" in said
    assert (tmp_path / "halfway/certificate/error.svg").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_builds_runs_and_is_certified(prefix, together, tmp_path, kind):
    program, name, project = prefix / "bin/scorelab", f"my-{kind}", tmp_path / "p"
    sh(program, "new", kind, name, project)
    files = [project / f for f in ("CMakeLists.txt", f"{name}.cpp", f"{name}.toml")]
    assert sum(len(f.read_text().splitlines()) for f in files) <= 60 and "emplate" not in "".join(f.read_text() for f in files)
    together.built(project, name)
    sh(program, "run", f"{name}.toml", "-s", "seeds=1", cwd=project)
    if kind not in ("sampler", "step"):  # the tutorial certifies these
        sh(program, "certify", f"build/{name}.so", cwd=project)


def test_mistakes_of_new(prefix, tmp_path):
    def said(*arguments):
        done = subprocess.run([prefix / "bin/scorelab", "new", *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 2
        return done.stderr

    assert "did you mean `sampler`" in said("smapler", "x")
    assert "small letters" in said("step", "MyStep")
    assert "scorelab's own" in said("step", "ddim")
    (tmp_path / "there").mkdir()
    (tmp_path / "there/x").write_text("")
    assert "is not empty" in said("step", "there")
