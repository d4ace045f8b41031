"""Stored files whose bytes changed, or that lie where others belong: noticed, or without effect on any number."""

import errno
import json
import os
import random
import re

import h5py
import pytest

from disturbed import HASTY, PLAIN, TRAINED, Bench, Fault, differences, slow, told

GROWN = {
    "plain": PLAIN.replace("count = 96", "count = 160").replace('["moments"]', '["moments", "sliced-wasserstein"]'),
    "trained": TRAINED.replace("steps = 8", "steps = 12"),
}
KINDS = {  # stored files by their stage's kind and their name in its folder; of the experiment
    "stage.json of samples": ("plain", "sample", "stage.json"),
    "stage.json of a metric": ("plain", "evaluate", "stage.json"),
    "spec.json": ("plain", "sample", "spec.json"),
    "resolved.json": ("plain", "sample", "resolved.json"),
    "first samples": ("plain", "sample", "samples/00000000.h5"),
    "last samples": ("plain", "sample", "samples/00000064.h5"),
    "trace": ("plain", "sample", "trace.h5"),
    "journal of samples": ("plain", "sample", "journal.jsonl"),
    "journal of a metric": ("plain", "evaluate", "journal.jsonl"),
    "experiment.json": ("plain", None, "experiment.json"),
    "stage.json of a training": ("trained", "train", "stage.json"),
    "checkpoint": ("trained", "train", "checkpoint.h5"),
    "journal of a training": ("trained", "train", "journal.jsonl"),
    "samples of a training": ("trained", "sample", "samples/00000032.h5"),
}


@pytest.fixture(scope="session")
def grown(tmp_path_factory, plain, trained):
    """What the larger manifests give where nothing is damaged."""
    out = {}
    for reference in (plain, trained):
        bench = reference.bench.copy(tmp_path_factory.mktemp("grown") / reference.name)
        bench.manifest(reference.name, GROWN[reference.name])
        bench.run(reference.name, code=0)
        out[reference.name] = bench.outcome(reference.name)
    return out


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """Two seeds: two stages of each kind."""
    bench = Bench(tmp_path_factory.mktemp("pair") / "bench", trained=TRAINED.replace("seeds     = [3]", "seeds     = [3, 4]"))
    bench.run("trained", code=0)
    return bench, bench.outcome("trained")


def file_of(bench, kind):
    name, stage, file = KINDS[kind]
    return bench.stages(stage, name)[0] / file if stage else bench.results / name / file


def flip(file, byte, bit):
    data = bytearray(file.read_bytes())
    data[byte] ^= 1 << bit
    file.write_bytes(data)


def number_in(file):
    """The offset of a byte that is part of a stored number: a digit after a decimal point, or an element of the largest array."""
    if file.suffix != ".h5":
        found = [m.start() + 2 for m in re.finditer(rb"[0-9]\.[0-9]{4}", file.read_bytes())] or [file.stat().st_size // 2]
        return found[len(found) // 2]
    arrays = []
    with h5py.File(file) as f:
        f.visititems(lambda _, item: arrays.append((item.size, item.id.get_offset())) if isinstance(item, h5py.Dataset) else None)
    arrays = [a for a in arrays if a[1]]
    return max(arrays)[1] + 2 if arrays else file.stat().st_size // 2


def noticed_or_harmless(bench, name, numbers, names, told=True):
    """`names`: of the changed files, one of which must be named where anything is missing. No number may be wrong."""
    wrong = []
    if told:
        for run, metrics in (bench.metrics(name) or {}).items():
            of_reference = numbers.get(f"metrics of {run}", {})
            wrong += [f"`export` says {m} = {v}, undisturbed {of_reference.get(m)}" for m, v in metrics.items() if v != of_reference.get(m)]
    done = bench.run(name)
    said = done.err + bench.call("show", name).out
    named = any(n in said for n in names) and "damaged" in said
    if done.code == 0:
        now = bench.outcome(name)
        lacks = [k for k in differences(now, numbers) if " parameters/" not in k]  # what no one has read since
        wrong += [f"the next run ends with 0 without a word, and these differ: {lacks[:6]}"] if lacks and not named else []
        wrong += [f"{k} is {now[k]}" for k in lacks if k.startswith("metrics of")]
    else:
        if done.code != 1 or HASTY.search(done.err):
            wrong.append("it failed as if by its own fault")
        if not named:
            wrong.append(f"it names none of {names} as damaged")
    assert not wrong, "\n".join(wrong) + f"\n{done}"


def changed(tmp_path, request, grown, kind, place, larger):
    reference = request.getfixturevalue(KINDS[kind][0])
    bench = reference.bench.copy(tmp_path / "bench")
    file = file_of(bench, kind)
    byte, bit = place(file)
    flip(file, byte, bit)
    if larger:
        bench.manifest(reference.name, GROWN[reference.name])
    noticed_or_harmless(bench, reference.name, grown[reference.name] if larger else reference.numbers, [file.name], told=not larger)


@pytest.mark.parametrize("kind", ["trace", "journal of samples", "journal of a training", "checkpoint", slow("journal of a metric")])
def test_a_file_that_is_gone_is_made_again(tmp_path, request, kind):
    reference = request.getfixturevalue(KINDS[kind][0])
    bench, name = reference.bench.copy(tmp_path / "bench"), reference.name
    file_of(bench, kind).unlink()
    for view in (bench.results / name).rglob("run.h5"):
        view.unlink()
    for _ in range(2):  # the first may find out only when it is done
        done = bench.run(name)
        assert done.code in (0, 1) and not HASTY.search(done.err), done
    assert done.code == 0, done
    assert not differences(bench.outcome(name), reference.numbers)


@pytest.mark.parametrize(
    "kind, larger", [(k, False) for k in KINDS] + [(k, True) if k in ("first samples", "checkpoint") else slow(k, True) for k in KINDS]
)
def test_a_bit_of_a_number_is_flipped(tmp_path, request, grown, kind, larger):
    changed(tmp_path, request, grown, kind, lambda file: (number_in(file), 0), larger)


@pytest.mark.slow
@pytest.mark.parametrize("larger", [False, True], ids=["same", "larger"])
@pytest.mark.parametrize("region", range(12))
@pytest.mark.parametrize("kind", KINDS)
def test_a_bit_anywhere_is_flipped(tmp_path, request, grown, kind, region, larger):
    dice = random.Random(f"{kind} {region}")

    def place(file):
        size = file.stat().st_size
        return min(size - 1, int((region + dice.random()) * size / 12)), dice.randrange(8)

    changed(tmp_path, request, grown, kind, place, larger)


def swap(a, b):
    aside = a.with_name("aside")
    a.rename(aside), b.rename(a), aside.rename(b)


@pytest.mark.parametrize(
    "other, larger", [("00000064.h5", False), slow("00000032.h5", False), slow("00000032.h5", True), ("00000064.h5", True)]
)
def test_two_chunks_of_samples_are_swapped(tmp_path, plain, grown, other, larger):
    bench = plain.bench.copy(tmp_path / "bench")
    folder = bench.stages("sample")[0] / "samples"
    swap(folder / "00000000.h5", folder / other)
    if larger:
        bench.manifest("plain", GROWN["plain"])
    noticed_or_harmless(bench, "plain", grown["plain"] if larger else plain.numbers, ["00000000.h5", other], told=not larger)


@pytest.mark.parametrize(
    "kind, file",
    [
        ("sample", "samples/00000000.h5"),
        ("train", "checkpoint.h5"),
        ("evaluate", "stage.json"),
        slow("sample", "stage.json"),
        slow("evaluate", "journal.jsonl"),
        slow("sample", "spec.json"),
    ],
)
def test_a_file_is_swapped_with_that_of_another_stage(tmp_path, pair, kind, file):
    bench = pair[0].copy(tmp_path / "bench")
    first, second = bench.stages(kind)
    swap(first / file, second / file)
    if kind == "train":  # sampled from again
        for stage in bench.stages("sample") + bench.stages("evaluate"):
            (stage / "stage.json").unlink()
        for chunk in bench.results.glob(".stages/*/samples/*.h5"):
            chunk.unlink()
    noticed_or_harmless(bench, "trained", pair[1], [file.split("/")[-1]], told=kind != "train")


SHAPES = {
    "empty": b"",
    "a list": b"[]",
    "a number": b"7",
    "another shape": b'{"replicates": 3, "values": 4, "count": "x"}',
    "no JSON": b"\x00\xff{",
    "cut": None,
}


@pytest.mark.parametrize(
    "kind, shape",
    [
        (k, s) if (i + j) % 4 == 0 else slow(k, s)
        for i, s in enumerate(SHAPES)
        for j, k in enumerate(["experiment.json", "stage.json of a metric", "spec.json", "journal of a metric"])
    ],
)
def test_one_broken_file_stops_no_other_experiment(tmp_path, both, kind, shape):
    bench = both.copy(tmp_path / "bench")
    file = file_of(bench, kind)
    file.write_bytes(SHAPES[shape] if SHAPES[shape] is not None else file.read_bytes()[: file.stat().st_size // 2])
    listed = bench.call("ls")
    assert listed.code == 0 and re.search(r"^other\b", listed.out, re.M), listed
    for verb in ("show", "compare", "export"):
        done = bench.call(verb, "other")
        assert done.code == 0 and not done.err, f"{verb}: {done}"
    wrong = []
    for verb in ("ls", "show", "compare", "export"):
        done = bench.call(verb, "plain")
        if done.code not in (0, 1, 5) or HASTY.search(done.err):
            wrong.append(f"{verb} plain: {done}")
        if done.code != 0 and not ("damaged" in done.err and file.name in done.err):
            wrong.append(f"{verb} plain does not say that {file.name} is damaged: {done}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "kind, what",
    [("experiment.json", "EACCES"), ("stage.json of a metric", "EIO"), slow("spec.json", "EACCES"), slow("journal of a metric", "EIO")],
)
def test_one_file_that_cannot_be_read_stops_no_other_experiment(both, kind, what):
    file = file_of(both, kind)
    fault = Fault("open", "/".join(file.parts[-2:]), what, 1, 0)
    listed = both.call("ls", faults=[fault])
    assert listed.code == 0 and re.search(r"^other\b", listed.out, re.M) and not HASTY.search(listed.err), listed
    for verb in ("show", "compare", "export"):
        done = both.call(verb, "plain", faults=[fault])
        wrong = told(done.err, file.name, os.strerror(getattr(errno, what))) if done.code or done.err else []
        assert done.code in (0, 1) and not wrong, f"{verb}: {wrong}\n{done}"


@pytest.fixture(scope="session")
def both(tmp_path_factory, plain):
    bench = plain.bench.copy(tmp_path_factory.mktemp("both") / "bench")
    bench.manifest("other", PLAIN.replace('"plain"', '"other"').replace("[3]", "[5]"))
    bench.run("other", code=0)
    return bench


def test_a_folder_where_a_file_belongs(tmp_path, both, plain):
    bench = both.copy(tmp_path / "bench")
    file = bench.stages("evaluate", "plain")[0] / "stage.json"
    file.unlink()
    file.mkdir()
    assert bench.call("show", "other").code == 0
    done = bench.run("plain")
    assert done.code in (0, 1) and not HASTY.search(done.err), done
    assert done.code == 0 or "stage.json" in done.err, done
    assert json.loads(bench.call("ls", "--json").out)["runs"]
