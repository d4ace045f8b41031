"""A results folder from elsewhere leads nowhere else: no link in it is written through, followed or emptied."""
import json
import os
import pathlib

import pytest
from comparing import EXACT


@pytest.fixture
def precious(lab):
    """A folder of the user, outside of the results."""
    folder = lab.folder / "home"
    (folder / "letters").mkdir(parents=True)
    (folder / "letters/one.txt").write_text("dear")
    return folder


def inside(folder):
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*"))


@pytest.mark.parametrize("own", [".trash", ".stages", ".plugins"])
def test_gc_follows_no_link(lab, precious, own):
    lab.run(EXACT)
    before = inside(precious)
    (lab.results / own).rename(lab.folder / "moved") if (lab.results / own).exists() else None
    (lab.results / own).symlink_to(precious)
    for arguments in (["gc"], ["gc", "--empty-trash"]):
        done = lab.call(*arguments)
        assert done.returncode == 1 and "is a link" in done.stderr, done.stderr
    assert inside(precious) == before


def test_the_trash_is_emptied_of_what_gc_put_there_alone(lab):
    lab.run(EXACT)
    lab.run(EXACT.replace("steps = 3", "steps = 4"))
    assert "moved" in lab.call("gc").stdout
    (lab.results / ".trash/mine").mkdir()
    assert "freed" in lab.call("gc", "--empty-trash").stdout
    assert inside(lab.results / ".trash") == ["mine"]


def test_a_run_writes_through_no_link(lab, precious):
    lab.run(EXACT)
    (lab.results / "cmp").rename(lab.folder / "moved")
    (lab.results / "cmp").symlink_to(precious)
    before = inside(precious)
    done = lab.run(None, code=1)
    assert "is a link" in done.stderr and inside(precious) == before


def test_a_stage_that_is_a_link_is_not_worked_in(lab, precious):
    lab.run(EXACT)
    stage = next(f for f in (lab.results / ".stages").iterdir())
    stage.rename(lab.folder / "moved")
    stage.symlink_to(precious)
    before = inside(precious)
    done = lab.run(None, code=1)
    assert "is a link" in done.stderr and inside(precious) == before


def test_the_results_folder_itself_may_be_a_link(lab):
    (lab.folder / "scratch").mkdir()
    lab.results.symlink_to("scratch")
    lab.run(EXACT)
    assert (lab.folder / "scratch/cmp/run.h5").exists()


def sealed(file, change):
    """Changes a record of ours, and makes its checksum hold."""
    import hashlib

    record = json.loads(file.read_text())
    record.pop("checksum")
    change(record)
    record["checksum"] = hashlib.sha256(json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()[:32]
    file.write_text(json.dumps(record))


def test_a_figure_has_the_name_of_a_file_alone(lab, precious):
    lab.run(EXACT + '[figures.field]\nkind = "score"\n')
    file = lab.results / "cmp/experiment.json"
    sealed(file, lambda record: None)
    assert lab.call("show", "cmp").returncode == 0, "the checksum of this test is not the program's"
    sealed(file, lambda record: record["comparison"]["figures"][0].update(name="../../../home/logo"))
    done = lab.call("report", "cmp")
    assert done.returncode == 1 and "figure" in done.stderr and not (precious / "logo.svg").exists()


@pytest.mark.parametrize("name", ["stage.json", "experiment.json", "journal.jsonl"])
def test_a_pipe_in_place_of_a_record_is_not_waited_for(lab, name):
    lab.run(EXACT)
    file = next(pathlib.Path(f) for f in lab.results.rglob(name))
    file.unlink()
    os.mkfifo(file)
    done = lab.call("show", "cmp", timeout=30)
    assert "no regular file" in done.stderr, (done.returncode, done.stdout, done.stderr)
