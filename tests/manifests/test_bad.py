"""Wrong manifests and wrong command lines: what each says on stderr, to the letter, and how it exits.

bad/NAME.toml is checked with `scorelab check NAME.toml`, or with the arguments in bad/NAME.args, in the folder bad;
bad/NAME.txt is what must come: stderr, then a line `exit N`. After a change on purpose,

    python tests/manifests/test_bad.py --write NAME..     (no name: all)

writes them anew; read what it wrote before it is committed: is it true, helpful, at the right line and column?
"""

import difflib
import shlex
import sys

import pytest
from program import BAD, scorelab

NAMES = sorted({f.stem for f in BAD.iterdir() if f.suffix in (".toml", ".args", ".txt") and f.is_file()})


def what_it_says(name):
    arguments = BAD / f"{name}.args"
    words = shlex.split(arguments.read_text()) if arguments.exists() else ["check", f"{name}.toml"]
    done = scorelab(*words, cwd=BAD)
    said = done.stdout and f"on stdout: {done.stdout}"  # never: it would show in the comparison
    return said + done.stderr.replace(f"{BAD}/", "<here>/") + f"exit {done.returncode}\n"


@pytest.mark.parametrize("name", NAMES)
def test_bad(name):
    golden = BAD / f"{name}.txt"
    assert golden.exists(), f"no golden: python tests/manifests/test_bad.py --write {name}, then read it"
    want, got = golden.read_bytes().decode(), what_it_says(name)
    if want != got:
        pytest.fail("\n".join(difflib.unified_diff(want.split("\n"), got.split("\n"), "wanted", "got", lineterm="")), pytrace=False)


def test_there_are_enough():
    assert len(NAMES) >= 45


def test_bad_is_never_done_nor_internal():
    for name in NAMES:
        assert (BAD / f"{name}.txt").read_text(encoding="utf-8").split("\n")[-2] in ("exit 2", "exit 4", "exit 5"), name


if __name__ == "__main__":
    if sys.argv[1:2] != ["--write"]:
        sys.exit("usage: python tests/manifests/test_bad.py --write NAME..")
    for name in sys.argv[2:] or NAMES:
        (BAD / f"{name}.txt").write_bytes(what_it_says(name).encode())
        print(f"wrote {BAD / name}.txt: read it")
