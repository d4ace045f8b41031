"""Checkpoints and journals that a machine left damaged."""
import json

import h5py
import pytest

from lab import Lab, events, lines, rows, same, until, without_sum


@pytest.fixture(scope="module")
def begun(tmp_path_factory, whole):
    """A training that was killed, with two checkpoints."""
    lab = Lab(tmp_path_factory.mktemp("begun") / "lab")
    train = lab.results / whole.stages()["train"].relative_to(whole.results)
    for target in range(120, 300, 10):
        live = lab.start()
        host = live.host()
        until(lambda: live.ended() or len(rows(train / "journal.jsonl", "train")) >= target, what="rows")
        assert not live.ended()
        live.kill("both", host)
        if (train / "checkpoint.h5").exists() and (train / "checkpoint.previous.h5").exists():
            break  # else the kill fell between two renames
    return lab, train.relative_to(lab.folder)


def step_of(file):
    with h5py.File(file) as f:
        return int(f.attrs["step"])


def bytes_of(file):
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def flip(file, where):
    data = bytearray(file.read_bytes())
    data[where] ^= 0x10
    file.write_bytes(data)


def place_of_data(file):
    """The offset of the first parameter's numbers in the file, by HDF5 itself (chunked data are never that small)."""
    with h5py.File(file) as f:
        name = next(iter(f["parameters"]))
        return f["parameters"][name].id.get_offset()


def damage(file, how):
    size = file.stat().st_size
    if how == "truncated":
        with open(file, "r+b") as f:
            f.truncate(size * 2 // 3)
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "checksum":
        with h5py.File(file) as f:
            sum = f.attrs["contents_sha256"]
        flip(file, file.read_bytes().index(sum.encode()) + 5)
    elif how == "superblock":
        flip(file, 8)
    elif how == "object headers":
        flip(file, 48 + 20)
    elif how == "data":
        flip(file, place_of_data(file) + 5)
    elif how == "swapped for text":
        file.write_text("no checkpoint\n" * 100)


@pytest.mark.parametrize("how", ["truncated", "empty", "checksum", "superblock", "object headers", "data", "swapped for text"])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_used(tmp_path, begun, reference, how):
    lab, train = begun[0].copy(tmp_path / "lab"), tmp_path / "lab" / begun[1]
    before = step_of(train / "checkpoint.previous.h5")
    assert before < step_of(train / "checkpoint.h5")
    damage(train / "checkpoint.h5", how)
    lab.run()
    told = events(train / "journal.jsonl")
    assert any(e["event"] == "damaged-checkpoint" and "checkpoint.h5" in e["message"] for e in told), told
    assert [e["step"] for e in told if e["event"] == "resume"][-1] == before
    with h5py.File(lab.h5()) as f:
        assert "damaged-checkpoint" in list(f["events/event"].asstr()[()])
    same(lab, reference)


def test_both_damaged_training_starts_again_and_says_so(tmp_path, begun, reference):
    lab, train = begun[0].copy(tmp_path / "lab"), tmp_path / "lab" / begun[1]
    resumes = len([e for e in events(train / "journal.jsonl") if e["event"] == "resume"])
    damage(train / "checkpoint.h5", "data")
    damage(train / "checkpoint.previous.h5", "truncated")
    lab.run()
    told = events(train / "journal.jsonl")
    assert len([e for e in told if e["event"] == "resume"]) == resumes, "it went on from a damaged checkpoint"
    assert {n for e in told if e["event"] == "damaged-checkpoint" for n in ("checkpoint.h5", "checkpoint.previous.h5") if n in e["message"]} == {"checkpoint.h5", "checkpoint.previous.h5"}
    same(lab, reference)
    assert any("starts again" in e["message"] for e in told), [e["message"] for e in told]


def test_a_damaged_checkpoint_never_replaces_the_good_one_before(tmp_path, begun, reference):
    """After the damage, kill at the next checkpoints: one of the two files is whole at any time."""
    lab, train = begun[0].copy(tmp_path / "lab"), tmp_path / "lab" / begun[1]
    damage(train / "checkpoint.h5", "data")
    damaged = (train / "checkpoint.h5").read_bytes()
    live = lab.start()
    host = live.host()
    until(lambda: live.ended() or bytes_of(train / "checkpoint.h5") != damaged, every=0, what="the next checkpoint")
    live.kill("both", host)
    took_its_place = bytes_of(train / "checkpoint.previous.h5") == damaged
    assert not took_its_place, "the damaged checkpoint took the place of the last good one"
    lab.run()
    same(lab, reference)


def test_a_kill_between_the_renames_of_a_checkpoint(tmp_path, begun, reference):
    """Only the one before is there."""
    lab, train = begun[0].copy(tmp_path / "lab"), tmp_path / "lab" / begun[1]
    (train / "checkpoint.h5").rename(train / ".checkpoint.new.h5")
    before = step_of(train / "checkpoint.previous.h5")
    lab.run()
    assert [e["step"] for e in events(train / "journal.jsonl") if e["event"] == "resume"][-1] == before
    same(lab, reference)


@pytest.mark.parametrize("where, noticed", [("optimizer/exp_avg", False), ("ema/0.99", True)])
def test_a_sampling_reads_its_weights_alone(tmp_path, whole, where, noticed):
    """Damage to what it does not need is not its business: the training's own reader finds it."""
    lab = whole.copy(tmp_path / "lab")
    file = lab.results / whole.stages()["train"].relative_to(whole.results) / "checkpoint.h5"
    with h5py.File(file) as f:
        name = next(iter(f[where]))
        at = f[where][name].id.get_offset()
    flip(file, at + 5)
    done = lab.run("-s", "sampler.steps=10", code=1 if noticed else 0)
    assert ("is gone or damaged" in done.stderr) == noticed, done.stderr
    assert file.with_name("checkpoint.h5.damaged").exists() == noticed


@pytest.mark.parametrize("torn", ['{"stream":"train","step":99', '{"stream":"train","step":99999,"wall":1.5,"loss":0.25', '{"event":"res', "\0\0\0\0\0\0\0\0"])
def test_a_torn_last_line_is_cut(tmp_path, begun, reference, torn):
    lab, train = begun[0].copy(tmp_path / "lab"), tmp_path / "lab" / begun[1]
    journal = train / "journal.jsonl"
    whole_before = lines(journal)
    with open(journal, "a") as f:
        f.write(torn)
    lab.run()
    text = journal.read_bytes().decode()
    assert text.endswith("\n")
    parsed = [without_sum(json.loads(line)) for line in text.splitlines()]  # each line parses
    assert parsed[: len(whole_before)] == whole_before
    assert not any(j.get("step") == 99999 for j in parsed)
    same(lab, reference)


def test_a_torn_row_that_was_cut_is_reported_again(tmp_path, begun, reference):
    lab, train = begun[0].copy(tmp_path / "lab"), tmp_path / "lab" / begun[1]
    with open(train / "journal.jsonl", "r+b") as f:
        f.truncate(f.seek(0, 2) - 5)
    lab.run()
    same(lab, reference)


def test_a_preview_that_was_being_written(tmp_path, begun, reference):
    """A kill leaves its folder, without the file that was to be renamed into it."""
    lab, train = begun[0].copy(tmp_path / "lab"), tmp_path / "lab" / begun[1]
    (train / "previews" / "00002500").mkdir(parents=True)
    shown = lab.show()
    assert shown.returncode == 0, shown.stderr
    lab.run()
    same(lab, reference)


def test_a_truncated_sample_file_is_drawn_again(tmp_path, whole, reference):
    lab = whole.copy(tmp_path / "lab")
    stages = lab.stages()
    (stages["sample"] / "stage.json").unlink()
    file = stages["sample"] / "samples" / "00000064.h5"
    with open(file, "r+b") as f:
        f.truncate(file.stat().st_size // 2)
    untouched = stages["sample"] / "samples" / "00000032.h5"
    then = untouched.stat().st_mtime_ns
    lab.run()
    assert untouched.stat().st_mtime_ns == then
    same(lab, reference)


def test_a_resumed_run_leaves_no_temporary_file_for_ever(tmp_path, begun, reference):
    lab, train = begun[0].copy(tmp_path / "lab"), tmp_path / "lab" / begun[1]
    (train / ".checkpoint.new.h5.4194304.tmp").write_bytes(b"x" * 4096)  # as a killed host leaves it
    lab.run()
    assert [f.name for f in train.rglob("*.tmp")] == []
    same(lab, reference)
