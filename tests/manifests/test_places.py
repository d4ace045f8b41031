"""Mistakes in figures, claims and the tables beside them stand at their own key or value, with the nearest name where there is one."""
import json
import re

import pytest
from program import scorelab

MANIFEST = """name      = "places"
seeds     = 2
dataset   = { plugin = "gaussian", dim = 2 }
scheduler = "vp"
network   = "exact-gaussian"
sampler   = { plugin = "pf-ode", solver = "euler" }
sample    = { count = 4 }
metrics   = ["moments", "sliced-wasserstein"]
[variants]
euler = { sampler = { solver = "euler" } }
heun  = { sampler = { solver = "heun" } }
[sweep.S]
key    = "sampler.steps"
values = [2, 4]
[paper.table1]
cite   = "A paper"
beside = "sliced-wasserstein"
over   = ["S"]
values = [0.1, 0.2]
[compare]
baseline = "euler"
primary  = "sliced-wasserstein"
columns  = ["S"]
cost     = ["nfe"]
[claims.order]
says   = "heun is ahead"
at     = { S = [2, 4] }
holds  = "sliced-wasserstein[heun] < sliced-wasserstein[euler]"
decide = "median"
paper  = "table1"
[figures.cost]
kind   = "line"
says   = "what it costs"
x      = "S"
y      = "sliced-wasserstein"
color  = "variant"
panels = ["variant"]
scale  = "log-log"
at     = { S = [2, 4] }
[figures.cloud]
kind   = "samples"
with   = ["data"]
range  = [[-8.0, 8.0], [-8.0, 8.0]]
"""
# a line that is wrong in place of one that is right -> what must be said there
WRONG = [
    ('kind   = "line"', 'kind   = "lien"', "did you mean `line`"),
    ('kind   = "line"', "kind   = 7", "expected a string"),
    ('says   = "what it costs"', "says   = 7", "expected a string"),
    ('says   = "what it costs"', 'syas   = "what it costs"', "did you mean `says`"),
    ('x      = "S"', 'x      = "s"', "axes and quantities: variant, S"),
    ('y      = "sliced-wasserstein"', 'y      = "sliced-wassertein"', "did you mean `sliced-wasserstein`"),
    ('y      = "sliced-wasserstein"', "y      = 1979-05-27", "expected a string"),
    ('color  = "variant"', 'color  = "varaint"', "did you mean `variant`"),
    ('panels = ["variant"]', 'panels = ["varaint"]', "did you mean `variant`"),
    ('panels = ["variant"]', "panels = [3]", "expected a name"),
    ('scale  = "log-log"', 'scale  = "log-loj"', "did you mean `log-log`"),
    ('scale  = "log-log"', 'xscale = "lgo"', "did you mean `log`"),
    ('with   = ["data"]', 'with   = ["dta"]', "samples and density have"),
    ("range  = [[-8.0, 8.0], [-8.0, 8.0]]", "range  = [[8.0, -8.0], [-8.0, 8.0]]", "such as"),
    ("range  = [[-8.0, 8.0], [-8.0, 8.0]]", "count  = 0", "above 0"),
    ('holds  = "sliced-wasserstein[heun] < sliced-wasserstein[euler]"', 'holds  = "sliced-wasserstein[huen] < 1"', "did you mean `heun`"),
    ('holds  = "sliced-wasserstein[heun] < sliced-wasserstein[euler]"', 'holds  = "slicd-wasserstein < 1"', "did you mean `sliced-wasserstein`"),
    ('decide = "median"', 'decide = "medain"', "did you mean \"median\""),
    ('paper  = "table1"', 'paper  = "tabel1"', "did you mean `table1`"),
    ('beside = "sliced-wasserstein"', 'beside = "sliced"', "did you mean `sliced-wasserstein`"),
    ('primary  = "sliced-wasserstein"', 'primary  = "sliced_wasserstein"', "did you mean `sliced-wasserstein`"),
    ('cost     = ["nfe"]', 'cost     = ["nef"]', "did you mean `nfe`"),
    ('baseline = "euler"', 'baseline = "eular"', "did you mean `euler`"),
    ('columns  = ["S"]', 'columns  = ["s"]', "axes: variant, S"),
    ("values = [2, 4]", "values = [1979-05-27, 4]", "write it as a string"),
]
AT = ['at     = { S = [2, 5] }', 'at     = { s = [2, 4] }', 'at     = { S = 1979-05-27 }', "at     = 3"]


def problems(tmp_path, text):
    (tmp_path / "m.toml").write_text(text)
    done = scorelab("check", "m.toml", "--json", cwd=tmp_path)
    return done.returncode, json.loads(done.stdout)["problems"]


def test_nothing_is_wrong_with_it(tmp_path):
    assert problems(tmp_path, MANIFEST) == (0, [])


@pytest.mark.parametrize("right, wrong, said", WRONG, ids=[w for _, w, _ in WRONG])
def test_a_mistake_stands_at_its_own_place(tmp_path, right, wrong, said):
    text = MANIFEST.replace(right, wrong, 1)
    assert text != MANIFEST
    code, found = problems(tmp_path, text)
    line = text.splitlines().index(next(x for x in text.splitlines() if wrong in x)) + 1
    own = [p for p in found if p["line"] == line]
    assert code == 2 and own, found
    assert any(said in p["hint"] + p["message"] for p in own), own
    start = re.search(r"=\s*", wrong).end()  # the key, or something of the value
    assert all(p["column"] == 1 or p["column"] > start for p in own), own


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("wrong", AT)
def test_places_of_claims_and_figures(tmp_path, which, wrong):
    lines = MANIFEST.splitlines()
    at = [i for i, x in enumerate(lines) if x.startswith("at ")][which]
    lines[at] = wrong
    code, found = problems(tmp_path, "\n".join(lines) + "\n")
    assert code == 2 and [p["line"] for p in found] == [at + 1], found
