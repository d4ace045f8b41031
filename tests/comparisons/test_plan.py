"""What a comparison's plan counts, what makes a stage another one, and what does not."""
import json

import pytest

from comparing import EXACT, SOLVERS, TRAINED

BOTH = TRAINED.replace('["moments"]', '{ moments = "moments", sw = "sliced-wasserstein" }')


# --- cells and stages

def test_cells_are_variants_times_axes_and_stages_times_seeds(lab):
    p = lab.plan(EXACT + "seeds = 3\n" + SOLVERS)
    assert p.counts() == (4, 0, 12, 12)
    assert p.places() == {"S=2 variant=euler", "S=4 variant=euler", "S=2 variant=heun", "S=4 variant=heun"}
    assert {r["folder"] for r in p.replicates if r["at"]["variant"] == "heun"} == {f"heun/S={S}/s{s}" for S in (2, 4) for s in range(3)}


def test_the_top_level_is_a_cell_only_where_it_is_written(lab):
    assert lab.plan(EXACT + "[variants]\nheun = { sampler = { solver = \"heun\" } }\n").places() == {"variant=heun"}
    assert lab.plan(EXACT + "[variants]\nbase = {}\nheun = { sampler = { solver = \"heun\" } }\n").places() == {"variant=base", "variant=heun"}


def test_only_and_except(lab):
    axis = "[sweep.r]\nkey = \"sample.count\"\nvalues = [8, 16]\n"
    assert lab.plan(EXACT + SOLVERS + axis + 'only = ["heun"]\n').cells == 2 + 4
    assert lab.plan(EXACT + SOLVERS + axis + 'except = ["heun"]\n').places() >= {"S=2 variant=heun", "S=4 r=16 variant=euler"}


def test_axes_share_trainings_and_samplings(lab):
    assert lab.plan(BOTH + "seeds = 3\n" + SOLVERS).counts() == (4, 3, 12, 24)
    assert lab.plan(BOTH + "seeds = { train = [0], sample = 5 }\n" + SOLVERS).counts() == (4, 1, 20, 40)
    assert lab.plan(BOTH + "seeds = { train = 2, sample = 3 }\n").counts() == (1, 2, 6, 12)


def test_folders_of_seeds_apart(lab):
    p = lab.plan(TRAINED + "seeds = { train = [0, 4], sample = [1, 3] }\n" + SOLVERS)
    assert {r["folder"].split("/")[-1] for r in p.replicates} == {"t0s1", "t0s3", "t4s1", "t4s3"}
    p = lab.plan(TRAINED + "seeds = { train = [4], sample = [1, 3] }\n" + SOLVERS)
    assert {r["folder"].split("/")[-1] for r in p.replicates} == {"s1", "s3"}


def test_points_that_change_several_tables(lab):
    points = """[sweep.kind.points]
small.dataset.std = [0.1]
small.sampler.solver = "euler"
large = { dataset = { std = [2.0] }, sample = { count = 8 } }
"""
    p = lab.plan(EXACT + "seeds = 2\n" + points)
    assert p.counts() == (2, 0, 4, 4) and p.places() == {"kind=small", "kind=large"}


def test_plugins_as_values(lab):
    p = lab.plan(EXACT.replace("exact-gaussian", "exact-gaussian-mixture") + """[sweep.data]
key = "dataset"
values = [{ plugin = "gaussian-mixture", modes = 3 }, { plugin = "gaussian-mixture", modes = 8 }]
""".replace("[{", "{ three = {").replace("}, {", "}, eight = {").replace("}]", "} }"))
    assert p.places() == {"data=three", "data=eight"}
    p = lab.plan(TRAINED + '[sweep.data]\nkey = "dataset"\nvalues = ["two-moons", "swiss-roll", { plugin = "gaussian-mixture", modes = 3 }]\n')
    assert p.places() == {"data=two-moons", "data=swiss-roll", "data=gaussian-mixture"}
    assert p.counts() == (3, 3, 3, 3)


@pytest.mark.parametrize("values, labels", [
    ("{ from = 2, to = 8, n = 4 }", ["2", "4", "6", "8"]),
    ('{ from = 1, to = 100, n = 3, scale = "log" }', ["1", "10", "100"])])
def test_ranges_of_whole_numbers(lab, values, labels):
    p = lab.plan(EXACT + f'[sweep.S]\nkey = "sampler.steps"\nvalues = {values}\n')
    assert [r["at"]["S"] for r in p.replicates] == labels


def test_ranges_of_numbers_are_short(lab):
    p = lab.plan(EXACT + '[sweep.beta]\nkey = "scheduler.beta_max"\nvalues = { from = 10.01, to = 10.39, n = 20 }\n')
    assert [r["at"]["beta"] for r in p.replicates] == [f"{10 + k / 100:g}" for k in range(1, 40, 2)]


def test_sweeps_on_the_command_line(lab):
    assert lab.plan(EXACT + SOLVERS, "-x", "sample.count=8,16,32").places() >= {"S=2 count=8 variant=euler", "S=4 count=32 variant=heun"}
    assert lab.plan(EXACT, "-x", 'sampler.solver=euler,heun', "-x", "sampler.steps=2,5").cells == 4
    assert "changes what sweep `S` changes" in lab.wrong(EXACT + SOLVERS, "-x", "sampler.steps=8,16")


def test_two_axes_of_one_key_need_variants_of_their_own(lab):
    other = '[sweep.K]\nkey = "sampler.steps"\nvalues = [7, 9, 11]\n'
    assert "sweep `K` changes what sweep `S` changes: `sampler.steps`" in lab.wrong(EXACT + SOLVERS + other)
    assert lab.plan(EXACT + SOLVERS + 'only = ["euler"]\n' + other + 'only = ["heun"]\n').cells == 2 + 3


def test_set_reaches_every_cell_and_never_a_swept_key(lab):
    before, after = lab.plan(EXACT + SOLVERS), lab.plan(None, "-s", "dataset.dim=3")
    assert before.places() == after.places() and not before.keys() & after.keys()
    assert lab.plan(None, "-s", "seeds=5").count("sample") == 20
    assert lab.plan(None, "-s", "sweep.S.values=[8]").places() == {"S=8 variant=euler", "S=8 variant=heun"}
    error = lab.wrong(EXACT + SOLVERS, "-s", "sampler.steps=9")
    assert "`sampler.steps` is what the axis `S` changes" in error and "-s sweep.S.values=[..]" in error


def test_left_out_keys_are_listed_and_a_key_that_no_cell_uses_is_an_error(lab):
    mixed = EXACT.replace("steps = 3 }", 'steps = 3, solver = "heun" }') + '[variants]\node = {}\nem = { sampler = { plugin = "euler-maruyama" } }\n'
    p = lab.plan(mixed)
    assert list(p.left_out) == ["em"] and "solver" in str(p.left_out["em"])
    assert "solver" in lab.wrong(mixed.replace("ode = {}\n", "")), "no cell uses it now"


# --- extends

def test_extends_a_list_and_later_wins(lab):
    lab.write(EXACT + "seeds = 2\n", "base.toml")
    lab.write("seeds = 3\nsample = { count = 8 }\n" + SOLVERS, "more.toml")
    p = lab.plan('extends = ["base.toml", "more.toml"]\nname = "own"\n')
    assert p.json["name"] == "own" and p.counts() == (4, 0, 12, 12)
    assert lab.plan('extends = ["base.toml", "more.toml"]\nseeds = 1\n').counts() == (4, 0, 4, 4)
    assert lab.plan('extends = ["more.toml", "base.toml"]\n').count("sample") == 8


def test_false_removes_what_extends_brought(lab):
    lab.write(EXACT + SOLVERS + '[claims]\na = { holds = "moments.mean[heun] < 9" }\n', "base.toml")
    p = lab.plan('extends = "base.toml"\nvariants = { heun = false }\nclaims = { a = false }\n[sweep.S]\nvalues = [3, 6, 9]\n')
    assert p.places() == {f"S={S} variant=euler" for S in (3, 6, 9)}
    assert lab.plan('extends = "base.toml"\nsweep = { S = false }\n').cells == 2
    assert "brought no such name" in lab.wrong('extends = "base.toml"\nvariants = { huen = false }\n')


def test_extends_in_a_circle_is_an_error(lab):
    lab.write('extends = "m.toml"\n' + EXACT, "base.toml")
    assert "this manifest extends itself" in lab.wrong('extends = "base.toml"\n')


def test_files_are_relative_to_the_manifest_that_names_them(lab):
    (lab.folder / "inner").mkdir()
    lab.write(EXACT, "inner/base.toml")
    lab.write('extends = "base.toml"\nseeds = 2\n', "inner/middle.toml")
    assert lab.plan('extends = "inner/middle.toml"\n').count("sample") == 2


# --- keys

SAME = {
    "a comment": lambda t: "# a comment\n" + t.replace("[variants]", "[variants]  # here\n"),
    "the order of keys": lambda t: t.replace('plugin = "pf-ode", steps = 3', 'steps = 3, plugin = "pf-ode"').replace('network   = "exact-gaussian"\n', "").replace('dataset ', 'network = "exact-gaussian"\ndataset '),
    "another way to write a number": lambda t: t.replace("beta_max = 10.0", "beta_max = 1e1").replace("[0.5]", "[5e-1]"),
    "a whole number for a number": lambda t: t.replace("beta_max = 10.0", "beta_max = 10"),
    "a default spelled out": lambda t: t.replace("steps = 3", 'steps = 3, spacing = "uniform"'),
    "a plugin as a table": lambda t: t.replace('network   = "exact-gaussian"', 'network = { plugin = "exact-gaussian" }'),
    "labels of variants": lambda t: t.replace("euler = {", "first = {").replace("heun  =", "second ="),
    "labels of values": lambda t: t.replace("[2, 4]", "{ two = 2, four = 4 }"),
    "a question": lambda t: 'question = "Why?"\n' + t,
    "another name": lambda t: t.replace('"cmp"', '"other"'),
    "claims": lambda t: t + '[claims]\nc = { holds = "moments.mean < 9" }\n',
    "figures": lambda t: t + '[figures.f]\nkind = "bars"\ny = "moments.mean"\n',
    "compare": lambda t: t + '[compare]\nbaseline = "S=2"\ncolumns = ["S"]\n',
    "a paper": lambda t: t + '[paper.p]\nbeside = "moments.mean"\nover = ["S"]\nvalues = [1.0, 2.0]\n',
    "threads": lambda t: t.replace("threads = 1", 'threads = "auto"'),
    "another order of variants": lambda t: t.replace("heun  = { sampler = { solver = \"heun\" } }\n", "").replace("[variants]\n", "[variants]\nheun = { sampler = { solver = \"heun\" } }\n"),
}


@pytest.mark.parametrize("change", SAME)
def test_changes_no_key(lab, change):
    text = EXACT.replace('"vp"', '{ plugin = "vp", beta_max = 10.0 }') + SOLVERS
    changed = SAME[change](text)
    assert changed != text
    assert lab.plan(text).keys() == lab.plan(changed).keys()


def test_after_a_run_nothing_is_to_do_and_words_change_nothing(lab):
    lab.run(EXACT + "seeds = 2\n" + SOLVERS)
    assert lab.plan().to_do() == {}
    before = lab.made()
    lab.run("# a word\n" + EXACT.replace('"cmp"', '"renamed"') + "seeds = 2\n" + SOLVERS.replace("heun  =", "h ="))
    assert lab.made() == before


@pytest.mark.parametrize("change, to_do", [
    (("steps = 20", "steps = 21"), {"train": 1, "sample": 1, "evaluate": 2}),
    (("width = 8", "width = 9"), {"train": 1, "sample": 1, "evaluate": 2}),
    (('"pf-ode", steps = 3', '"pf-ode", steps = 4'), {"sample": 1, "evaluate": 2}),
    (("moments = \"moments\"", "other = \"moments\""), {}),
    (("sw = \"sliced-wasserstein\"", "sw = { plugin = \"sliced-wasserstein\", projections = 7 }"), {"evaluate": 1}),
    (("count = 16", "count = 32"), {"sample": 1, "evaluate": 2}),
])
def test_one_parameter_makes_what_depends_on_it(lab, change, to_do):
    lab.run(BOTH)
    assert lab.plan(BOTH.replace(*change)).to_do() == to_do


def test_a_metric_more_samples_nothing(lab):
    lab.run(TRAINED + SOLVERS)
    before = lab.made()
    assert lab.plan(BOTH + SOLVERS).to_do() == {"evaluate": 4}
    lab.run()
    assert before.items() <= lab.made().items() and len(lab.made()) == len(before) + 4


def test_a_training_named_in_two_manifests_is_done_once(lab):
    lab.run(TRAINED)
    p = lab.plan(TRAINED.replace('"trained"', '"again"').replace("pf-ode", "euler-maruyama"))
    assert p.to_do() == {"sample": 1, "evaluate": 1}


def test_averages_and_checkpoints_are_gathered_upstream(lab):
    axes = '[sweep.ema]\nkey = "sample.ema"\nvalues = [0.0, 0.5, 0.9]\n[sweep.step]\nkey = "sample.step"\nvalues = [12, 16, 20]\n'
    assert lab.plan(TRAINED + axes).counts() == (9, 1, 9, 9)
    lab.run()
    values = lab.values(name="trained")
    assert len({tuple(v) for v in values.values()}) == 9, "every average of every checkpoint is another network"
    before = lab.made()
    fewer = TRAINED + axes.replace("[0.0, 0.5, 0.9]", "[0.5]").replace("[12, 16, 20]", "[16]")
    assert lab.plan(fewer).to_do() == {}, "what is kept serves who asks for less"
    p = lab.plan(TRAINED.replace("count = 16", "count = 16, ema = 0.99"))
    assert p.to_do() == {"train": 1, "sample": 1, "evaluate": 1} and p.reasons("train") == {"the average 0.99 was not kept"}
    p = lab.plan(TRAINED + axes.replace("[12, 16, 20]", "[12, 7]"))
    assert p.to_do() == {"train": 1, "sample": 3, "evaluate": 3} and p.reasons("train") == {"the checkpoint of step 7 was not kept"}
    lab.run()
    after = lab.made()
    assert sum(after[k] != before[k] for k in before) == 1, "the training alone was made again"
    assert lab.plan(TRAINED + axes).to_do() == {}, "and it kept what had been asked for before"


def test_what_has_no_effect_reaches_no_plugin(lab):
    """It is no part of the key: a stage that two cells share must not depend on which of them comes first."""
    text = TRAINED.replace('"denoising-score-matching"', '{ plugin = "denoising-score-matching", times_mean = -0.5 }')
    lab.run(text + '[variants]\nuniform = {}\nnormal = { objective = { times = "log-normal" } }\n')
    specs = [json.loads(f.read_text()) for f in lab.results.glob(".stages/*/spec.json")]
    assert {s["objective"]["params"]["times"]: s["objective"]["params"]["times_mean"] for s in specs if s["stage"] == "train"} == {"uniform": -1.2, "log-normal": -0.5}
