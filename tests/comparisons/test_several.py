"""Several manifests with one command, and one index of their reports."""
import html
import json
import re

import pytest

from comparing import EXACT, SOLVERS

CLAIMS = """\
[claims.better]
says  = "the second order | is ahead"
holds = "moments.covariance[heun] < moments.covariance[euler]"
decide = "value"
"""
PAPER = """\
[paper.table1]
cite   = "Author & Author 2021, table 1"
beside = "moments.std"
over   = ["variant", "S"]
values = { euler = [0.2, 0.3], heun = [0.4, 0.45] }
[claims.wider]
says   = "Euler's samples are hardly wider"
holds  = "moments.std[euler] < 1.2 * moments.std[heun]"
decide = "value"
paper  = "table1"
"""
FALSE = '[claims.false]\nholds = "moments.covariance[heun] > 1000"\ndecide = "value"\n'


def named(text, name):
    return text.replace('"cmp"', f'"{name}"')


@pytest.fixture
def two(lab):
    lab.write(named(EXACT + SOLVERS + CLAIMS + FALSE, "first"), "first.toml")
    lab.write(named(EXACT + SOLVERS + PAPER, "second"), "second.toml")
    return lab


def test_all_run_and_the_first_failure_is_the_exit_code(two):
    done = two.call("run", "first.toml", "second.toml")
    assert done.returncode == 1  # a claim of the first fails; the second ran all the same
    last = done.stdout.splitlines()[-3:]
    assert re.match(r"first +\d+:\d\d +1 passed, 1 failed$", last[0]) and re.match(r"second +\d+:\d\d +1 passed$", last[1])
    assert last[2] == "next: scorelab report first second"
    assert all(json.loads((two.results / name / "experiment.json").read_text())["replicates"] for name in ("first", "second"))
    before = two.made()
    assert two.call("run", "second.toml", "first.toml").returncode == 1 and two.made() == before  # nothing is made again


def test_overrides_are_for_all(two):
    assert two.call("run", "first.toml", "second.toml", "-s", "sample.count=8").returncode == 1
    for name in ("first@sample.count=8", "second@sample.count=8"):
        assert {c["resolved"]["sample"]["count"] for c in json.loads((two.results / name / "experiment.json").read_text())["cells"]} == {8}


def test_where_one_is_wrong_nothing_starts(two):
    two.write(EXACT.replace("steps = 3", "stepz = 3"), "wrong.toml")
    two.write(EXACT.replace("count", "cuont"), "worse.toml")
    done = two.call("run", "first.toml", "wrong.toml", "worse.toml")
    assert done.returncode == 2 and "wrong.toml:5" in done.stderr and "worse.toml:6" in done.stderr  # all mistakes at once
    assert not (two.results / "first").exists()


def test_two_of_one_name_are_refused(two):
    two.write(named(EXACT, "first"), "third.toml")
    done = two.call("run", "first.toml", "second.toml", "third.toml")
    assert done.returncode == 2 and "first.toml and third.toml are both named `first`" in done.stderr
    assert not two.results.exists()


def test_an_index_of_all_reports(two):
    two.call("run", "first.toml", "second.toml")
    done = two.call("report", "first", "second.toml")
    assert done.returncode == 0 and done.stdout.splitlines()[-2:] == ["results/index.html", "results/index.md"]
    values = two.values("moments.std", "second")
    means = {cell: sum(v) / len(v) for cell, v in values.items()}
    table = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in (two.results / "index.md").read_text().splitlines()]
    assert [row[:1] + row[1:3] for row in table[2:]] == [
        [table[2][0], r"the second order \| is ahead", "pass"], ["", "false", "fail"], [table[4][0], "Euler's samples are hardly wider", "pass"]]
    assert re.match(r"first \(\d+:\d\d\)", table[2][0]) and re.match(r"second \(\d+:\d\d\)", table[4][0])
    # Of both places of S the one whose sides are nearer to each other.
    sides = {S: (means[f"S={S} variant=euler"], 1.2 * means[f"S={S} variant=heun"]) for S in (2, 4)}
    S = min(sides, key=lambda S: (sides[S][1] - sides[S][0]) / sides[S][1])
    ours = re.match(r"([\d.]+) < ([\d.]+) \(S=(\d), of 2 places\)$", table[4][3])
    assert ours and ours[3] == str(S)
    assert [float(x) for x in ours.groups()[:2]] == pytest.approx(sides[S], rel=1e-3)
    assert table[4][4] == {2: "0.2 < 0.48, holds", 4: "0.3 < 0.54, holds"}[S]
    page = html.unescape((two.results / "index.html").read_text())
    assert "2 claims passed" in page and "1 failed" in page and "Author & Author 2021, table 1" in page
    for name in ("first", "second"):
        assert f'href="./{name}/report.html"' in page and (two.results / name / "report.html").exists()
    assert page.count("<svg") == 2  # the first figure of each
    assert not re.search(r"(src|href)=\"http", page)


def test_an_index_elsewhere_finds_the_pages(two):
    two.call("run", "first.toml", "second.toml")
    (two.folder / "docs").mkdir()
    assert two.call("report", "first", "second", "-o", "docs/all.html").returncode == 0
    assert 'href="./../results/first/report.html"' in (two.folder / "docs/all.html").read_text() and (two.folder / "docs/all.md").exists()


def test_a_stop_ends_all(two):
    """SIGTERM in the first: the second does not start."""
    import os
    import signal
    two.write(named(EXACT.replace("count = 16", "count = 200000").replace("steps = 3", "steps = 1000"), "long"), "long.toml")
    run = two.start("run", "long.toml", "second.toml")
    for line in run.stderr:
        if line.startswith("sample") and "0/200000" in line:
            break
    os.kill(run.pid, signal.SIGTERM)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 75 and not (two.results / "second").exists()
