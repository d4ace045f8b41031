"""Names, titles and repositories reach other programs as data: nothing in them is run."""
import os
import subprocess

import h5py
import pytest
from comparing import EXACT

NASTY = ["`touch PWNED`", "'; touch PWNED; echo '", "$(touch PWNED)", "\"; system('touch PWNED'); \""]


def pwned(lab):
    return list(lab.folder.rglob("PWNED*"))


@pytest.mark.parametrize("text", NASTY)
def test_names_and_titles_are_not_run(lab, text):
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    lab.run(EXACT.replace('"cmp"', f'"{quoted}"').replace('metrics   = ["moments"]', f'metrics   = {{ "{quoted}" = {{ plugin = "moments" }} }}')
            + f'question = "{quoted}"\n'.join(["", ""]) + '[sweep.S]\nkey = "sampler.steps"\nvalues = [2, 3]\n'
            + f'[sweep.m]\nkey = "sample.count"\nvalues = {{ "{quoted}" = 16, b = 8 }}\n')
    done = lab.call("report", text)
    assert done.returncode == 0 and not pwned(lab), done.stderr
    assert list((lab.results / text / "figures").glob("*.svg"))


def repository(folder, configuration):
    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=folder, check=True, capture_output=True)

    git("init", "-q")
    (folder / "m.toml").write_text(EXACT)
    (folder / "notes.txt").write_bytes(b"caf\xe9 1\n")
    (folder / ".gitattributes").write_text("notes.txt filter=evil diff=evil\n")
    git("add", "m.toml", "notes.txt", ".gitattributes")
    git("commit", "-qm", "first")
    with open(folder / ".git/config", "a") as f:
        f.write(configuration)
    (folder / "notes.txt").write_bytes(b"caf\xe9 2 " + "数".encode() * 40000 + b"\n")


EVIL = """[core]
	fsmonitor = touch PWNED1 #
	hooksPath = hooks
[diff]
	external = touch PWNED2
[diff "evil"]
	textconv = touch PWNED3; cat
[filter "evil"]
	clean = touch PWNED4; cat
	smudge = cat
"""


def test_a_repository_is_read_without_running_what_it_configures(lab):
    repository(lab.folder, EVIL)
    lab.run()
    assert not pwned(lab)
    head = subprocess.run(["git", "-c", "core.fsmonitor=", "rev-parse", "HEAD"], cwd=lab.folder, capture_output=True, text=True).stdout.strip()
    with h5py.File(lab.results / "cmp/run.h5") as f:
        sha, diff = f["provenance"].attrs["git_sha"], f["provenance"].attrs["git_diff"]
    assert sha == head
    assert "-caf\\xe9 1" in diff and "+caf\\xe9 2" in diff and "bytes in all" in diff


def test_a_folder_whose_name_is_no_text(lab):
    folder = os.fsencode(lab.folder) + b"/caf\xe9"
    os.mkdir(folder)
    with open(folder + b"/m.toml", "w") as f:
        f.write(EXACT)
    from comparing import PROGRAM

    done = subprocess.run([PROGRAM, "run", b"caf\xe9/m.toml"], cwd=lab.folder, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
