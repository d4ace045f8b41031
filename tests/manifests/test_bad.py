"""Wrong manifests and wrong command lines: what each says on stderr, to the letter, and how it exits.

bad/NAME.toml is checked with `scorelab check NAME.toml`, or with the arguments in bad/NAME.args, in the folder bad;
bad/NAME.txt is what must come: stderr, then a line `exit N`. After a change on purpose,

    python tests/manifests/test_bad.py --write NAME..     (no name: all but the KNOWN)

writes them anew; read what it wrote before it is committed: is it true, helpful, at the right line and column?
"""

import difflib
import shlex
import sys

import pytest
from program import BAD, scorelab

NAMES = sorted({f.stem for f in BAD.iterdir() if f.suffix in (".toml", ".args", ".txt") and f.is_file()})


# What the program does not say yet as the golden has it. Strict: whoever mends one takes its line out.
KNOWN = {
    "file-bom": "the byte order mark is printed with line 1",
    "file-crlf": "the carriage return is printed with each line",
    "file-empty": "an empty file is said to be unreadable: read.cpp streams an empty buffer, which sets failbit",
    "inactive-refine": "says steps = \"0\": schema::words quotes numbers",
    "inactive-solver": "says steps = \"0\": schema::words quotes numbers",
    "key-slot-grid": "`eps` is suggested for `steps`: two of three letters differ",
    "kind-objective": "a objective",
    "metric-label": "labels with a slash and empty ones are accepted",
    "metrics-no-sampler": "three errors for one mistake, one of them \"`sample` needs samples\"",
    "missing-all": "the caret of what is missing runs over the whole line of a one-line manifest",
    "missing-misspelt": "a misspelt `scheduler` is first said to be missing",
    "missing-misspelt-objective": "a misspelt `objective` is first said to be missing",
    "plugin-key-in-table": "`plugin` is accepted in tables that are no component",
    "plugin-misspelt": "the misspelt key is not named",
    "plugin-number": "`plugin` is wrong, not `sampler`",
    "set-into-word": "`plugin` is wrong, not `sampler`",
    "range-from": "times before 0 are accepted",
    "range-infinite": "infinity becomes JSON's null: `mean` takes a floats, got [null]",
    "relation-two": "the verdicts of plugins are not sorted by line",
    "set-empty-part": "a trailing dot is dropped",
    "set-quoted": "a value that is wrong is left half read, and the plugin's verdict on it is reported too",
    "type-slot": "`step` is no key; and what is wrong counts as \"none\"",
    "type-slot-table": "`step` is no key",
    "type-metric-item": "`metric` is no key",
    "type-metric-label": "`metric` is no key",
    "type-ints": "the whole array is blamed for one entry",
    "type-list": "the whole array is blamed for one entry",
    "type-matrix": "the whole array is blamed for one entry",
    "type-number-or-word": "a list of words without \"or\"",
}


def what_it_says(name):
    arguments = BAD / f"{name}.args"
    words = shlex.split(arguments.read_text()) if arguments.exists() else ["check", f"{name}.toml"]
    done = scorelab(*words, cwd=BAD)
    said = done.stdout and f"on stdout: {done.stdout}"  # never: it would show in the comparison
    return said + done.stderr.replace(f"{BAD}/", "<here>/") + f"exit {done.returncode}\n"


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.xfail(strict=True, reason=KNOWN[n])) if n in KNOWN else n for n in NAMES])
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
    for name in sys.argv[2:] or [n for n in NAMES if n not in KNOWN]:
        (BAD / f"{name}.txt").write_bytes(what_it_says(name).encode())
        print(f"wrote {BAD / name}.txt: read it")
