"""The target manifests: their plans count what their README's table says, with stand-ins for plugins that are not there yet."""
import pathlib
import re

import pytest

from comparing import STAND_INS

TARGETS = pathlib.Path(__file__).resolve().parent / "targets"
built = pytest.mark.skipif(not STAND_INS.is_dir(), reason=f"no stand-ins in {STAND_INS}: ninja tests builds them")

# What a manifest says and the program cannot read yet -> what stands in its place here. As each comes, its line goes.
NOT_YET = {
    "b-ddim-table1": [
        ('eta = 1.0, sigma = "hat", clip_x0 = true', 'sigma = "hat"'),  # sigma-hat is of eta = 1; a step clips by a guide alone
        ('space     = "pixels"\n', ""),  # of values unless features are named
    ],
    "c-sde-table1": [(', between = "interpolate"', ""), (', space = "pixels"', "")],  # an embedding between levels
    "d-ssm-dimension": [("train.jvps", "train.vjps")],  # losses sweep in reverse
    "e-ncsn-fig3": [("std = 0.0", "std = [0.0]")],  # one number for a list
    "f-iddpm": [('clip_x0 = true, variance = "model"', 'variance = "learned"'), (', space = "pixels"', "")],  # a step clips by a guide alone
    "g-edm": [("trace = { count = 64 }", "trace = 64")],  # traces have a count alone
    # No latent space: an objective stands for it, as it changes what is trained. No start from another model's weights.
    "i-models": [
        ('latent = { model = "autoencoder" }', 'objective = { plugin = "ddpm-in-latent", model = "autoencoder" }'),
        ('from = "teacher", ', ""),
    ],
}


def wanted():
    """name -> cells, trainings, samplings, samplings of a search, evaluations."""
    out = {}
    for line in (TARGETS / "README.md").read_text().splitlines():
        if m := re.match(r"\| ([a-k]-\S+) \| (\d+) \| (\d+) \| (\d+)(?: \(\+(\d+) search\))? \| (\d+) \|", line):
            out[m[1]] = tuple(int(v or 0) for v in m.groups()[1:])
    return out


def planned(lab, name):
    (lab.folder / "build").symlink_to(STAND_INS)
    for file in TARGETS.glob("*.toml"):
        text = file.read_text()
        for yet, now in NOT_YET.get(file.stem, []):
            assert yet in text, "the manifest has changed: this test must follow"
            text = text.replace(yet, now)
        lab.write(text if re.search(r"^plugins\b", text, re.M) else 'plugins = ["build"]\n' + text, file.name)
    return lab.plan(file=f"{name}.toml")


@built
@pytest.mark.parametrize("name", sorted(wanted()))
def test_a_target_manifest_plans_what_it_should(lab, name):
    p = planned(lab, name)
    cells, trainings, samplings, searched, evaluations = wanted()[name]
    pending = {kind: p.pending.get(kind, 0) for kind in ("train", "sample", "evaluate")}
    assert p.cells == cells
    assert len(p.own_trainings()) + pending["train"] == trainings  # those of [models] count apart
    assert p.count("sample") + pending["sample"] == samplings + searched
    assert p.count("evaluate") + pending["evaluate"] == evaluations + searched  # a candidate is sampled and measured


@built
def test_models_are_trained_beside_the_trainings_of_the_table(lab):
    """Each once, with seed 0. The teacher's training is the one that `guided` has with that seed, as all that it says is the same."""
    p = planned(lab, "i-models")
    models = {name: key for r in p.replicates for name, key in r["models"].items()}
    assert models.keys() == {"features", "classifier", "autoencoder", "teacher"} and len(set(models.values())) == 4
    assert set(models.values()) & p.own_trainings() == {models["teacher"]}
    assert p.count("train") == 12 + 4 - 1
    of = {r["at"]["variant"]: set(r["models"]) for r in p.replicates if r["train_seed"] == 1}
    assert of == {"guided": {"features", "classifier"}, "free": {"features"}, "latent": {"features", "autoencoder"}, "flash": {"features", "teacher"}}


def test_the_table_is_read():
    assert len(wanted()) == 11 and wanted()["c-sde-table1"] == (20, 2, 100, 160, 100)
