"""What compare and report show of a comparison that was run, and the files that they leave."""
import csv
import io
import math
import re
import statistics

import h5py
import pytest

from comparing import EXACT, SOLVERS, Lab

QUESTION = 'question = "Is second order worth its evaluations?"\n'
CLAIMS = """[claims]
good  = { says = "the errors are small", holds = "moments.covariance < 9", decide = "every-seed" }
wrong = { says = "they are negative", holds = "moments.covariance[heun] < 0", decide = "value", paper = "table1" }
[paper.table1]
beside = "moments.covariance"
over   = ["variant", "S"]
values = { euler = [0.5, 0.25], heun = [0.125, nan] }
[figures.errors]
kind  = "line"
x     = "S"
y     = "moments.covariance"
scale = "log-log"
[figures.cloud]
kind  = "samples"
at    = { S = 4 }
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("done"))
    lab.run(QUESTION + EXACT + "seeds = 3\n" + SOLVERS + CLAIMS, code=1)
    return lab


def row(lab, variant, S, *arguments, metric="moments.covariance"):
    table = next(t for t in lab.compared("cmp", "--metric", metric, *arguments)["tables"] if t["quantity"] == metric)
    return next(r for r in table["rows"] if r["at"] == {"variant": variant, "S": S})


def test_json_has_means_and_paired_differences(done):
    euler, heun = row(done, "euler", "2"), row(done, "heun", "2")
    assert euler["n"] == heun["n"] == 3
    assert math.isclose(heun["mean"], statistics.mean(heun["values"]))
    half = 4.303 * statistics.stdev(heun["values"]) / math.sqrt(3)
    assert math.isclose(heun["interval"][1] - heun["mean"], half, rel_tol=1e-3)
    pairs = [h - e for h, e in zip(heun["values"], euler["values"])]
    assert math.isclose(heun["difference"], statistics.mean(pairs))
    assert math.isclose(heun["difference_interval"][0], statistics.mean(pairs) - 4.303 * statistics.stdev(pairs) / math.sqrt(3), rel_tol=1e-3)
    assert math.isclose(heun["ratio"], sum(heun["values"]) / sum(euler["values"]))
    assert heun["baseline"] == "euler S=2" and "baseline" not in euler and heun["p_exact"]
    assert heun["costs"]["nfe"] == 4 and euler["costs"]["nfe"] == 2 and "2x the NFE; --match nfe" in heun["notes"]
    assert euler["paper"] == 0.5 and "paper" not in row(done, "heun", "4")


def test_match_nfe(done):
    heun = row(done, "heun", "2", "--match", "nfe")
    assert heun["baseline"] == "euler S=4" and heun["notes"] == []
    assert "baseline" not in row(done, "heun", "4", "--match", "nfe")
    assert "without a baseline of equal NFE: heun S=4" in done.call("compare", "cmp", "--match", "nfe").stdout


def test_at_by_and_baseline(done):
    assert {r["at"]["S"] for t in done.compared("cmp", "--at", "S=4.0")["tables"] for r in t["rows"]} == {"4"}
    assert row(done, "euler", "4", "--baseline", "euler, S=2")["baseline"] == "euler S=2"
    text = done.call("compare", "cmp", "--by", "S", "--metric", "moments.covariance").stdout
    assert re.search(r"^variant +S=2 +S=4$", text, re.M), text
    for arguments in (["--at", "S=3"], ["--at", "K=3"], ["--by", "K"], ["--match", "time"]):
        assert done.call("compare", "cmp", *arguments).returncode == 2, arguments
    assert done.call("compare", "cpm").returncode == 5 and "did you mean `cmp`?" in done.call("compare", "cpm").stderr
    for arguments in (["--baseline", "hune"], ["--metric", "momnets"]):
        error = done.call("compare", "cmp", *arguments)
        assert error.returncode == 2 and re.search("did you mean|there is: moments.mean", error.stderr), (error.returncode, error.stderr)


def test_text_says_the_question_the_tables_and_the_verdicts(done):
    text = done.call("compare", "m.toml").stdout
    assert text.startswith("Is second order worth its evaluations?\n")
    assert re.search(r"claim good +pass +the errors are small", text) and re.search(r"claim wrong +fail +they are negative", text)
    assert "the paper: 0.125 < 0, does not hold" in text
    assert "n counts samplings" in text and "no sign-flip p can be below 0.25" in text


def test_markdown(done):
    text = done.call("compare", "cmp", "--md", "--detail").stdout
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1 and len(table.splitlines()) == 2 + 4


def test_csv_has_every_number(done):
    rows = list(csv.DictReader(io.StringIO(done.call("compare", "cmp", "--csv").stdout)))
    assert len(rows) == 3 * 4
    one = next(r for r in rows if (r["quantity"], r["variant"], r["S"]) == ("moments.covariance", "heun", "4"))
    wanted = row(done, "heun", "4")
    assert [float(v) for v in one["values"].split()] == wanted["values"]
    assert float(one["mean"]) == wanted["mean"] and float(one["difference"]) == wanted["difference"] and float(one["nfe"]) == 8
    assert one["paper"] == "" and one["baseline"] == "euler S=4"


def test_export_has_every_run_with_what_was_measured(done):
    runs = list(csv.DictReader(io.StringIO(done.call("export", "cmp").stdout)))
    assert sorted((r["variant"], r["S"], r["seed"]) for r in runs) == [(v, S, k) for v in ("euler", "heun") for S in "24" for k in "012"]
    euler = [float(r["moments.covariance"]) for r in runs if (r["variant"], r["S"]) == ("euler", "2")]
    assert sorted(euler) == sorted(row(done, "euler", "2")["values"])


def test_claims_in_json(done):
    claims = {c["name"]: c for c in done.compared()["claims"]}
    assert claims["good"]["outcome"] == "pass" and len(claims["good"]["instances"]) == 4
    assert claims["wrong"]["outcome"] == "fail" and claims["wrong"]["instances"][0]["paper"] == "0.125 < 0, does not hold"


# --- report

@pytest.fixture(scope="module")
def report(done):
    out = done.call("report", "cmp")
    assert out.returncode == 0, out.stderr
    return done.results / "cmp"


def test_the_page_needs_nothing_else(report):
    page = (report / "report.html").read_text()
    assert "<script" not in page.lower()
    requests = re.findall(r"""(?:src|href|url|srcset|action|data|xlink:href)\s*[=(]\s*["']?(?!data:|#)([a-z]+:)?//[^"')\s]+""", page)
    assert not requests and "@import" not in page and "<link" not in page and "<iframe" not in page
    assert "Is second order worth its evaluations?" in page and "the errors are small" in page and "they are negative" in page
    assert len(re.findall(r"\bpass\b", page)) >= 1 and len(re.findall(r"\bfail\b", page)) >= 1
    assert "exact-gaussian" in page, "the manifest"


def test_figures_as_svg_png_and_pdf(report):
    for name in ("errors", "cloud"):
        figures = report / "figures"
        assert (figures / f"{name}.svg").read_text().count("<svg") >= 1
        assert (figures / f"{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert (figures / f"{name}.pdf").read_bytes()[:5] == b"%PDF-"


def test_comparison_csv_and_h5_agree_with_compare(done, report):
    rows = list(csv.DictReader((report / "comparison.csv").open()))
    assert {r["quantity"] for r in rows} >= {"moments.mean", "moments.covariance", "nfe", "sample.seconds"}
    with h5py.File(report / "comparison.h5") as f:
        names = [n.decode() if isinstance(n, bytes) else n for n in f["cells/name"][()]]
        assert names == ["euler S=2", "euler S=4", "heun S=2", "heun S=4"]
        group = f["moments.covariance"]
        assert group["values"].shape == (4, 3) and group["values"].attrs["goal"] == "min"
        assert list(group["values"][3]) == row(done, "heun", "4")["values"]
        assert group["mean"][3] == row(done, "heun", "4")["mean"]
        assert list(f["unit"][()]) == [0, 1, 2] and list(f["nfe/mean"][()]) == [2, 4, 4, 8]


def test_a_missing_seed_keeps_its_column(lab):
    lab.run(EXACT + "seeds = 3\n" + SOLVERS, "--seeds", "0,2")
    assert lab.call("report", "cmp").returncode == 0
    with h5py.File(lab.results / "cmp/comparison.h5") as f:
        values = f["moments.mean/values"][()]
    assert [[math.isnan(v) for v in r] for r in values] == [[False, True, False]] * 4


def test_a_report_of_what_is_not_done_says_so(lab):
    lab.run(EXACT + "seeds = 3\n" + SOLVERS, "--only", "euler")
    assert lab.call("report", "m.toml", "-o", "mine.html").returncode == 0
    page = (lab.folder / "mine.html").read_text()
    assert "6 of 12 runs" in page and "3 not run" in page
