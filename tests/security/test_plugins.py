"""Plugins are programs: a folder of them is loaded once it is trusted, one name has one file, and results bring no program with them."""
import json
import shutil

import pytest
from comparing import BUILD, EXACT

DDIM = BUILD / "plugins/ddim.so"
WITH = 'plugins = ["mine"]\n' + EXACT.replace('{ plugin = "pf-ode", steps = 3 }', '{ plugin = "NAME", steps = 3 }')


@pytest.fixture
def untrusted(lab, monkeypatch):
    monkeypatch.setenv("SCORELAB_TRUST", "")
    (lab.folder / "mine").mkdir()
    return lab


def test_a_folder_of_plugins_asks_for_trust_once(untrusted):
    lab = untrusted
    lab.write(WITH.replace("NAME", "pf-ode"))
    refused = lab.call("check", "m.toml")
    assert refused.returncode == 4 and "--trust" in refused.stderr and str(lab.folder / "mine") in refused.stderr
    assert lab.call("check", "m.toml", "--trust").returncode == 0
    assert lab.call("check", "m.toml").returncode == 0


def test_a_link_that_leads_elsewhere_since_is_not_trusted(untrusted):
    lab = untrusted
    lab.write(WITH.replace("NAME", "pf-ode"))
    assert lab.call("check", "m.toml", "--trust").returncode == 0
    (lab.folder / "mine").rmdir()
    (lab.folder / "other").mkdir()
    (lab.folder / "mine").symlink_to("other")
    assert lab.call("check", "m.toml").returncode == 4


def another(lab):
    """A plugin with the name of a built-in and other contents: bytes behind the end change nothing of a library."""
    (lab.folder / "mine").mkdir(exist_ok=True)
    file = lab.folder / "mine/ddim.so"
    file.write_bytes(DDIM.read_bytes() + b"other")
    return file


def test_two_plugins_of_one_name_are_refused_until_one_is_named(lab):
    file = another(lab)
    wrong = lab.wrong(WITH.replace("NAME", "ddim"))
    assert str(file) in wrong and str(DDIM) in wrong and "mine/ddim" in wrong and "scorelab/ddim" in wrong
    for name in ("mine/ddim", "scorelab/ddim"):
        lab.run(WITH.replace("NAME", name), "-s", f"name={name[:4]}")
    import h5py

    for name, path in (("mine", file), ("scor", DDIM)):
        with h5py.File(lab.results / name / "run.h5") as f:
            assert json.loads(f["provenance"].attrs["plugins"])["step/ddim"]["file"] == str(path)


def test_the_same_file_twice_is_one_plugin(lab):
    (lab.folder / "mine").mkdir()
    shutil.copy(DDIM, lab.folder / "mine/ddim.so")
    lab.run(WITH.replace("NAME", "ddim"))


def test_results_from_elsewhere_bring_no_program(lab, monkeypatch):
    text = EXACT + '[figures.field]\nkind = "score"\n'
    another(lab)
    lab.run('plugins = ["mine"]\n' + text.replace('{ plugin = "pf-ode", steps = 3 }', '{ plugin = "mine/ddim", steps = 3 }'))
    monkeypatch.setenv("SCORELAB_TRUST", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(lab.folder / "a stranger"))
    shutil.rmtree(lab.folder / "mine")
    report = lab.call("report", "cmp")
    assert "not trusted" in report.stderr, report.stderr


def test_a_trusted_folder_does_not_vouch_for_the_results_below_it(lab, monkeypatch):
    another(lab)
    lab.run('plugins = ["mine"]\n' + EXACT.replace('{ plugin = "pf-ode", steps = 3 }', '{ plugin = "mine/ddim", steps = 3 }')
            + '[figures.field]\nkind = "score"\n')
    monkeypatch.setenv("SCORELAB_TRUST", str(lab.folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(lab.folder / "a stranger"))
    shutil.rmtree(lab.folder / "mine")
    assert "not trusted" in lab.call("report", "cmp").stderr
    (lab.folder / "mine").mkdir()
    lab.write(WITH.replace("NAME", "ddim"))
    assert lab.call("run", "m.toml").returncode == 0


def test_what_a_manifest_runs_is_known_though_nothing_is_left_to_do(lab, monkeypatch):
    text = EXACT + '[figures.field]\nkind = "score"\n'
    lab.run(text)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(lab.folder / "another user"))
    assert "not trusted" in lab.call("report", "cmp").stderr
    assert "0 to do" in lab.run(None).stderr
    assert "not trusted" not in lab.call("report", "cmp").stderr


def test_a_run_needs_no_home_that_can_be_written(lab, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "/proc/nonexistent")
    lab.run(EXACT)


def test_the_name_of_a_folder_trusts_no_other(untrusted):
    lab = untrusted
    (lab.folder / "x\n").mkdir()
    lab.write(WITH.replace('"mine"', '"x\\n/"').replace("NAME", "pf-ode"))
    refused = lab.call("check", "m.toml", "--trust")
    assert refused.returncode != 0 and "control characters" in refused.stderr, refused.stderr
    lab.write(WITH.replace("NAME", "pf-ode"))
    assert lab.call("check", "m.toml").returncode == 4


def test_a_mistake_is_told_beside_what_is_not_trusted(untrusted):
    lab = untrusted
    lab.write(WITH.replace("NAME", "pf-ode") + 'claimz = 3\n')
    refused = lab.call("check", "m.toml")
    assert refused.returncode == 2 and "claimz" in refused.stderr and "--trust" in refused.stderr, refused.stderr


@pytest.mark.parametrize("pipe", [True, False])
def test_what_is_no_file_among_plugins_is_passed_over(lab, pipe):
    import os

    (lab.folder / "mine").mkdir()
    os.mkfifo(lab.folder / "mine/a.so") if pipe else (lab.folder / "mine/a.so").mkdir()
    lab.run(WITH.replace("NAME", "pf-ode"))
