"""Who a plugin is: libraries with the same names inside do not meet, and results belong to a source, not to a file (contracts 6 and 8)."""
import hashlib
import json
import os
import shutil

import numpy
import pytest
from tiny import PROGRAM, bare


def pair(predictor, corrector):
    return (
        f'{{ plugin = "predictor-corrector", steps = 3, to = "t_min", denoise = false, predictor = "{predictor}", corrector = "{corrector}" }}'
    )


@pytest.mark.parametrize("where", ["outer", "inner"])
def test_same_names_in_two_libraries(where, run, plugins):
    """Class, inline function with a static, free function and run.memory's type: all have one name in both. 3 a call, or 300; and
    millionths for the calls before, 1 + 2."""
    three, hundreds = f"{where}-three", f"{where}-three-hundred"
    folders = plugins / three, plugins / hundreds
    small, large = run(pair(three, "none"), *folders), run(pair(hundreds, "none"), *folders)
    both, swapped = run(pair(three, hundreds), *folders), run(pair(hundreds, three), *folders[::-1])
    for r in (small, large, both, swapped):
        assert r.code == 0, r.err
    numpy.testing.assert_allclose(both.x - small.x, 3 * 300 + 3 * 300e-6, atol=1e-9)
    numpy.testing.assert_allclose(both.x - large.x, 3 * 3 + 3 * 3e-6, atol=1e-9)
    numpy.testing.assert_allclose(swapped.x, both.x, atol=1e-9)


def test_rebuilt_plugin_reruns_nothing(run, plugins):
    first, second = run(bare("good"), plugins / "good"), run(bare("good"), plugins / "rebuilt")
    assert (plugins / "good/good.so").read_bytes() != (plugins / "rebuilt/good.so").read_bytes()
    assert first.code == second.code == 0, second.err
    assert "0 done, 1 to do" in first.err and "1 done, 0 to do" in second.err
    assert "~ sampler good was rebuilt" in second.err and "~" not in first.err
    assert first.keys == second.keys


def test_rebuilt_slot_is_told(run, plugins):
    sampler = '{ plugin = "predictor-corrector", steps = 3, predictor = "good", corrector = "none" }'
    first, second = run(sampler, plugins / "good"), run(sampler, plugins / "rebuilt")
    assert first.keys == second.keys and "1 done, 0 to do" in second.err
    assert "was rebuilt" in second.err


def test_other_source_reruns(run, plugins):
    first, second = run(bare("good"), plugins / "good"), run(bare("good"), plugins / "changed")
    assert "0 done, 1 to do" in second.err and second.code == 0
    assert first.keys != second.keys
    numpy.testing.assert_allclose(first.x * 0.5**3, second.x, rtol=1e-12)  # halved three times, quartered three times
    back = run(bare("good"), plugins / "good")
    assert "1 done, 0 to do" in back.err and back.keys == first.keys


def test_renamed_file_changes_nothing(run, plugins, tmp_path):
    first = run(bare("good"), plugins / "good")
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(plugins / "good/good.so", tmp_path / "elsewhere/another-name.so")
    second = run(bare("good"), tmp_path / "elsewhere")
    assert second.code == 0 and "1 done, 0 to do" in second.err and "~" not in second.err
    assert first.keys == second.keys


def test_no_folder_wins_until_one_is_named(run, plugins):
    good, changed = run(bare("good"), plugins / "good"), run(bare("good"), plugins / "changed")
    for folders in ((plugins / "good", plugins / "changed"), (plugins / "changed", plugins / "good")):
        both = run(bare("good"), *folders)
        assert both.code == 2 and all(str(f / "good.so") in both.err for f in folders), both.err
        assert run(bare("good/good"), *folders).keys == good.keys
        assert run(bare("changed/good"), *folders).keys == changed.keys


def test_plugins_are_frozen_by_hash(run, plugins, tmp_path):
    r = run(bare("good"), plugins / "good")
    spec = json.loads(next((tmp_path / "results/.stages").glob("*/spec.json")).read_text())
    for part in (spec["sampler"], spec["dataset"], spec["scheduler"], spec["network"], spec["sample"]["initial"]):
        copy = tmp_path / "results/.plugins" / f"{part['sha256']}.so"
        assert part["file"] == str(copy)
        assert hashlib.sha256(copy.read_bytes()).hexdigest() == part["sha256"]
    good = hashlib.sha256((plugins / "good/good.so").read_bytes()).hexdigest()
    assert spec["sampler"]["sha256"] == good
    assert len(list((tmp_path / "results/.plugins").iterdir())) == 5
    run(bare("good"), plugins / "changed")
    assert (tmp_path / "results/.plugins" / f"{good}.so").exists() and len(list((tmp_path / "results/.plugins").iterdir())) == 6
    assert r.code == 0


@pytest.fixture
def tree(tmp_path):
    """A copy of scorelab's own tree: programs copied (they find their plugins from where they are), the rest linked."""
    root, copy = PROGRAM.parents[1], tmp_path / "tree"
    shutil.copytree(root / "bin", copy / "bin")
    installed = (root / "lib/scorelab/plugins").exists()
    own = copy / ("lib/scorelab/plugins" if installed else "plugins")
    own.mkdir(parents=True)
    for file in (root / ("lib/scorelab/plugins" if installed else "plugins")).glob("*.so"):
        os.symlink(file, own / file.name)
    if installed:
        for file in (root / "lib").glob("*.so*"):
            os.symlink(file, copy / "lib" / file.name)
    else:
        os.symlink(root / "lib", copy / "lib")
    return copy / "bin/scorelab", own


def put(source, own):
    target = own / source.name
    target.unlink(missing_ok=True)
    shutil.copy(source, target)


def test_a_default_slot_is_scorelabs_own_whatever_else_has_its_name(run, plugins, tree):
    program, own = tree
    for folder in ("good/good.so", "holds-good/holder.so"):
        put(plugins / folder, own)
    first, other = run('"holder"', program=program), run('"holder"', plugins / "changed", program=program)
    assert first.code == other.code == 0, first.err + other.err
    assert first.keys == other.keys and numpy.array_equal(first.x, other.x)


def test_rebuilt_built_in_reruns_nothing(run, plugins, tree):
    program, own = tree
    put(plugins / "good/good.so", own)
    first = run(bare("good"), program=program)
    put(plugins / "rebuilt/good.so", own)
    second = run(bare("good"), program=program)
    assert first.code == second.code == 0, first.err + second.err
    assert "1 done, 0 to do" in second.err and "~ sampler good was rebuilt" in second.err and first.keys == second.keys


def test_built_in_goes_by_its_version(run, plugins, tree):
    program, own = tree
    put(plugins / "good/good.so", own)
    first = run(bare("good"), program=program)
    put(plugins / "changed/good.so", own)  # other code under the same version: an author's mistake, and the version's word counts
    assert run(bare("good"), program=program).keys == first.keys


def test_changed_default_without_a_version(run, plugins, tree):
    program, own = tree
    put(plugins / "default-one/shift.so", own)
    first = run(bare("shift"), program=program)
    assert first.code == 0, first.err
    put(plugins / "default-two/shift.so", own)
    second = run(bare("shift"), program=program)
    assert second.code != 0
    for words in ("the default of `by` in sampler `shift` 1.0.0", "was 1.0", "is 2.0 now", "raise the plugin's version"):
        assert words in second.err
    given = run(bare("shift", by=2.0), program=program)
    assert given.code != 0  # 2 is the default now: the stored stage stands in the way all the same
    other = run(bare("shift", by=5.0), program=program)
    assert other.code == 0, other.err


def test_changed_default_elsewhere_is_another_source(run, plugins):
    first, second = run(bare("shift"), plugins / "default-one"), run(bare("shift"), plugins / "default-two")
    assert first.code == second.code == 0, second.err
    numpy.testing.assert_allclose(second.x - first.x, 3, atol=1e-12)


def test_changed_slot_default_without_a_version(run, plugins, tree):
    program, own = tree
    for folder in ("good/good.so", "default-one/shift.so", "holds-good/holder.so"):
        put(plugins / folder, own)
    first = run('"holder"', program=program)
    assert first.code == 0, first.err
    put(plugins / "holds-shift/holder.so", own)
    second = run('"holder"', program=program)
    assert second.code != 0 and "the default of `inner`" in second.err
