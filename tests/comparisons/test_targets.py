"""The target manifests, where they are: their plans count what their README's table says, with stand-ins for plugins that are not there yet."""
import pathlib
import re

import pytest

from comparing import BUILD, ROOT

TARGETS = ROOT.parent / "shared/target-manifests"
STAND_INS = BUILD / "tests/stand_ins"
there = pytest.mark.skipif(not TARGETS.is_dir(), reason=f"the target manifests are not at {TARGETS}")
built = pytest.mark.skipif(not STAND_INS.is_dir(), reason=f"no stand-ins in {STAND_INS}: ninja tests builds them")

# What a manifest says and the program cannot read yet -> what stands in its place here. As each comes, its line goes.
NOT_YET = {
    "a-ddpm-table2": [('weight = "elbo" }, output = { variance = "learned-range" }', 'weight = "elbo", variance = "small" }')],  # a learned variance
    "c-sde-table1": [(', between = "interpolate"', "")],  # an embedding between levels
    "e-ncsn-fig3": [("std = 0.0", "std = [0.0]")],  # one number for a list
    # Traces have a count alone; the grid's rho is fixed (the stand-in scheduler has one); paths have no exact ones beside them.
    "g-edm": [("trace = { count = 64 }", "trace = 64"), ('"sampler.rho"', '"scheduler.rho"'), ('with   = ["exact"]\n', "")],
}
# Not at all: d and k measure models without a sampler, f draws arrays and learns variances, i needs [models].


def wanted():
    """name -> cells, trainings, samplings, samplings of a search, evaluations."""
    out = {}
    if TARGETS.is_dir():
        for line in (TARGETS / "README.md").read_text().splitlines():
            if m := re.match(r"\| ([a-k]-\S+) \| (\d+) \| (\d+) \| (\d+)(?: \(\+(\d+) search\))? \| (\d+) \|", line):
                out[m[1]] = tuple(int(v or 0) for v in m.groups()[1:])
    return out


@there
@built
@pytest.mark.parametrize("name", ["a-ddpm-table2", "b-ddim-table1", "c-sde-table1", "e-ncsn-fig3", "g-edm", "h-new-sampler", "j-ema"])
def test_a_target_manifest_plans_what_it_should(lab, name):
    (lab.folder / "build").symlink_to(STAND_INS)
    for file in TARGETS.glob("*.toml"):
        text = file.read_text()
        for yet, now in NOT_YET.get(file.stem, []):
            assert yet in text, "the manifest has changed: this test must follow"
            text = text.replace(yet, now)
        lab.write(text if re.search(r"^plugins\b", text, re.M) else 'plugins = ["build"]\n' + text, file.name)
    p = lab.plan(file=f"{name}.toml")
    cells, trainings, samplings, searched, evaluations = wanted()[name]
    pending = {kind: p.pending.get(kind, 0) for kind in ("train", "sample", "evaluate")}
    assert p.cells == cells
    assert p.count("train") + pending["train"] == trainings
    assert p.count("sample") + pending["sample"] == samplings + searched
    assert p.count("evaluate") + pending["evaluate"] == evaluations + searched  # a candidate is sampled and measured


@there
def test_the_table_is_read():
    assert len(wanted()) == 11 and wanted()["c-sde-table1"] == (20, 2, 100, 160, 100)
